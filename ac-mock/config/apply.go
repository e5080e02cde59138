package config

import (
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

var (
	gridName  = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$`)
	linkName  = regexp.MustCompile(`^[^\s/:]{1,15}$`)
	shortLife = 10 * time.Second
)

// applier carries the values of a file over to a Config and collects mistakes.
type applier struct {
	file  string
	lines map[string]int
	errs  []error
}

func (a *applier) fail(key, want string, args ...any) {
	a.errs = append(a.errs, &Error{a.file, a.lines[key], key, fmt.Sprintf(want, args...)})
}

func (a *applier) apply(c *Config, f file) {
	a.name("grid", f.Grid, &c.Grid)
	a.name("name", f.Name, &c.Name)
	a.listen("listen", f.Listen, &c.Listen)
	a.path("data_dir", f.DataDir, &c.DataDir)
	a.level("log_level", f.LogLevel, &c.LogLevel)
	if f.Faults != nil {
		c.Faults = *f.Faults
	}
	a.path("master_key", f.MasterKey, &c.MasterKey)
	a.path("ca_key", f.CAKey, &c.CAKey)
	a.policy("policy", f.Policy, &c.Policy)
	a.keys("authorized_keys", f.AuthorizedKeys, &c.AuthorizedKeys)
	a.duration("certificate_life", f.CertificateLife, &c.CertificateLife, shortLife)
	a.names("names", f.Names, &c.Names)
	a.path("layers", f.Layers, &c.Layers)
	a.interfaces("fallback.interfaces", f.Fallback.Interfaces, &c.Fallback)
	c.Etcd.Name = c.Name
	a.etcd(&c.Etcd, f)
	a.apart(*c)
}

func (a *applier) etcd(e *Etcd, f file) {
	a.name("etcd.name", f.Etcd.Name, &e.Name)
	a.url("etcd.peer_url", f.Etcd.PeerURL, &e.PeerURL)
	a.path("etcd.peer_certificate", f.Etcd.PeerCert, &e.PeerCert)
	a.path("etcd.peer_key", f.Etcd.PeerKey, &e.PeerKey)
	a.path("etcd.peer_ca", f.Etcd.PeerCA, &e.PeerCA)
	a.path("etcd.client_certificate", f.Etcd.ClientCert, &e.ClientCert)
	a.path("etcd.client_key", f.Etcd.ClientKey, &e.ClientKey)
	a.path("etcd.client_ca", f.Etcd.ClientCA, &e.ClientCA)
	a.urls("etcd.endpoints", f.Etcd.Endpoints, &e.Endpoints)
	a.urls("etcd.join", f.Etcd.Join, &e.Join)
	if q := f.Etcd.QuotaBytes; q != nil {
		if *q < 16<<20 {
			a.fail("etcd.quota_bytes", "is %d, want 16777216 (16 MiB) or more", *q)
		}
		e.QuotaBytes = *q
	}
	a.duration("etcd.compaction", f.Etcd.Compaction, &e.CompactionAge, time.Minute)
	given := 0
	for _, path := range []string{e.PeerCert, e.PeerKey, e.PeerCA} {
		if path != "" {
			given++
		}
	}
	if given > 0 && given < 3 {
		a.fail("etcd.peer_url", "needs all of peer_certificate, peer_key and peer_ca, or none: then they are made")
	}
	if strings.HasPrefix(e.PeerURL, "http:") {
		a.fail("etcd.peer_url", "%q is not https; ACs speak to each other by TLS only", e.PeerURL)
	}
	if len(e.Join) > 0 && e.PeerURL == "" {
		a.fail("etcd.join", "needs peer_url beside it: where the others reach this AC")
	}
}

func (a *applier) urls(key string, v *[]string, to *[]string) {
	if v == nil {
		return
	}
	for _, u := range *v {
		var checked string
		a.url(key, &u, &checked)
		*to = append(*to, checked)
	}
}

// apart sees to it that a thief of the data does not find the keys beside it.
func (a *applier) apart(c Config) {
	for _, secret := range []struct{ key, path string }{{"master_key", c.MasterKey}, {"ca_key", c.CAKey}} {
		rel, err := filepath.Rel(c.DataDir, secret.path)
		if err == nil && rel != ".." && !strings.HasPrefix(rel, "../") {
			a.fail(secret.key, "%s lies in data_dir %s; want a place that is not backed up or stolen together with the data", secret.path, c.DataDir)
		}
	}
}

func (a *applier) name(key string, v *string, to *string) {
	if v == nil {
		return
	}
	if !gridName.MatchString(*v) {
		a.fail(key, "%q is not a name; want 1 to 63 of a-z, 0-9, '-' and '.'", *v)
	}
	*to = *v
}

func (a *applier) listen(key string, v *string, to *string) {
	if v == nil {
		return
	}
	if err := CheckListen(*v); err != nil {
		a.fail(key, "%v", err)
	}
	*to = *v
}

// CheckListen says whether an address can be listened on.
func CheckListen(v string) error {
	host, port, err := net.SplitHostPort(v)
	if err != nil {
		return fmt.Errorf("%q is not ADDRESS:PORT; want for example \":8966\" or \"192.168.7.2:8966\"", v)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("port %q is not a number up to 65535", port)
	} else if host != "" && net.ParseIP(host) == nil {
		return fmt.Errorf("%q is not an IP address; want one of this machine, or none for all (\":%d\")", host, n)
	}
	return nil
}

func (a *applier) path(key string, v *string, to *string) {
	if v == nil {
		return
	}
	if *v == "" {
		a.fail(key, "is empty; want a path")
	}
	*to = relative(a.file, *v)
}

func (a *applier) level(key string, v *string, to *slog.Level) {
	if v == nil {
		return
	}
	if err := to.UnmarshalText([]byte(*v)); err != nil {
		a.fail(key, "%q is not a level; want debug, info, warn or error", *v)
	}
}

func (a *applier) policy(key string, v *string, to *string) {
	if v == nil {
		return
	}
	if *v != "open" && *v != "approve" && *v != "token" {
		a.fail(key, "%q is not a policy; want open (first come is enrolled), approve (an operator decides) or token (who brings a join token is enrolled)", *v)
	}
	*to = *v
}

func (a *applier) duration(key string, v *string, to *time.Duration, least time.Duration) {
	if v == nil {
		return
	}
	d, err := time.ParseDuration(*v)
	if err != nil || d < least {
		a.fail(key, "%q is not a time of %v or more; want for example \"120h\"", *v, least)
	}
	*to = d
}

func (a *applier) url(key string, v *string, to *string) {
	if v == nil {
		return
	}
	u, err := url.Parse(*v)
	if err != nil || u.Port() == "" || (u.Scheme != "https" && u.Scheme != "http") {
		a.fail(key, "%q is not a URL with a port; want for example \"https://192.168.7.2:2380\"", *v)
	}
	*to = *v
}

func (a *applier) names(key string, v *[]string, to *[]string) {
	if v == nil {
		return
	}
	for _, n := range *v {
		if net.ParseIP(n) == nil && !gridName.MatchString(n) {
			a.fail(key, "%q is neither a DNS name nor an address", n)
		}
	}
	*to = *v
}

func (a *applier) interfaces(key string, v *[]string, to *[]Fallback) {
	if v == nil {
		return
	}
	for _, n := range *v {
		f, err := ParseFallback(n)
		if err != nil {
			a.fail(key, "%v", err)
		}
		*to = append(*to, f)
	}
}

// keys takes a list of OpenSSH lines, or the path of a file with such lines.
func (a *applier) keys(key string, v any, to *[]string) {
	switch v := v.(type) {
	case nil:
	case string:
		path := relative(a.file, v)
		text, err := os.ReadFile(path)
		if err != nil {
			a.fail(key, "%s: %v", path, err)
			return
		}
		a.lineKeys(key+" "+path, strings.Split(string(text), "\n"), to)
		a.relabel(key)
	case []any:
		lines := make([]string, 0, len(v))
		for _, e := range v {
			lines = append(lines, fmt.Sprint(e))
		}
		a.lineKeys(key, lines, to)
	default:
		a.fail(key, "is %T; want a list of OpenSSH lines, or the path of a file with them", v)
	}
}

// relabel gives mistakes in another file the line of the key that names it.
func (a *applier) relabel(key string) {
	for _, err := range a.errs {
		if e := err.(*Error); strings.HasPrefix(e.Key, key+" ") {
			e.Line = a.lines[key]
		}
	}
}

func (a *applier) lineKeys(key string, lines []string, to *[]string) {
	for n, line := range lines {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if _, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line)); err != nil {
			a.fail(key, "entry %d is not an OpenSSH public key line: %v", n+1, err)
			continue
		}
		*to = append(*to, line)
	}
}
