package spec

import (
	"cmp"
	"fmt"
	"math"
	"net"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/g8os/g8os/core/services/order"
)

// What a declaration leaves to us.
const (
	defaultMinPause = time.Second
	defaultMaxPause = time.Minute
	defaultGrace    = 10 * time.Second
	defaultTimeout  = 30 * time.Second
	defaultLogSize  = 1 << 20
	defaultLogKeep  = 2
	maxLogKeep      = 100
)

// Signals that may end a service.
var signals = []string{"TERM", "INT", "QUIT", "HUP", "USR1", "USR2", "KILL", "WINCH"}

// Namespaces that a service may have of its own (namespaces(7)).
var namespaces = []string{"mount", "pid", "uts", "ipc", "net"}

// checker completes one section, and notes what is wrong with it.
type checker struct {
	file *File
	sec  *section
	bad  bool
}

func (c *checker) wrong(key, wrong, expect string) {
	c.bad = true
	c.file.add(c.sec.at(key), strings.TrimSuffix("service."+c.sec.name+"."+key, "."), wrong, expect)
}

// complete makes a service of a section.
func (f *File) complete(r raw, sec *section) (Service, bool) {
	c := &checker{file: f, sec: sec}
	s := Service{
		Name: sec.name, File: f.Path, Line: sec.line, Env: c.env(r.Env), User: r.User, Group: r.Group,
		Dir: cmp.Or(r.Dir, "/"), After: r.After, Condition: r.Condition, Ready: c.ready(r.Ready), Limits: c.limits(r.Limits),
		Oneshot: r.Oneshot, Every: time.Duration(r.Every), Cron: r.Cron.text, PrivateTmp: r.PrivateTmp,
		Grace: cmp.Or(time.Duration(r.Stop.Grace), defaultGrace), LogSize: cmp.Or(int64(r.Log.Size), defaultLogSize), LogKeep: defaultLogKeep,
	}
	for _, p := range slices.Concat([]string{s.Dir}, s.Condition) {
		if !path.IsAbs(p) {
			c.wrong("", fmt.Sprintf("%.80q is no full path", p), "one that begins with /")
		}
	}
	if r.Log.Keep != nil {
		s.LogKeep = *r.Log.Keep
	}
	if s.LogKeep < 0 || s.LogKeep > maxLogKeep {
		c.wrong("log.keep", fmt.Sprintf("is %d", s.LogKeep), fmt.Sprintf("0 to %d", maxLogKeep))
	}
	c.repeats(&s, r)
	c.stop(&s, r)
	c.space(&s, r)
	c.runtime(&s, r)
	return s, !c.bad
}

func (c *checker) command(v any) (argv []string) {
	switch v := v.(type) {
	case nil:
		c.wrong("command", "is missing", `a list such as ["/bin/web", "-v"], or a string for sh -c`)
		return nil
	case string:
		if strings.TrimSpace(v) != "" {
			return []string{"/bin/sh", "-c", v}
		}
	case []any:
		for _, word := range v {
			text, ok := word.(string)
			if !ok || strings.ContainsRune(text, 0) {
				argv = nil
				break
			}
			argv = append(argv, text)
		}
		if len(argv) > 0 && argv[0] != "" {
			return argv
		}
	}
	c.wrong("command", "is no command", `a list of strings such as ["/bin/web", "-v"], or a string for sh -c`)
	return nil
}

func (c *checker) env(m map[string]string) (env []string) {
	for name, value := range m {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.ContainsRune(value, 0) {
			c.wrong("env", fmt.Sprintf("%.40q cannot be a variable", name), "a name without =")
		}
		env = append(env, name+"="+value)
	}
	slices.Sort(env)
	return env
}

func (c *checker) ready(r rawReady) Ready {
	ready := Ready{AliveFor: time.Duration(r.AliveFor), TCP: r.TCP, HTTP: r.HTTP, Output: r.Output.text, Notify: r.Notify}
	ready.Timeout = cmp.Or(time.Duration(r.Timeout), defaultTimeout+ready.AliveFor)
	kinds := 0
	for _, given := range []bool{r.AliveFor > 0, r.TCP != "", r.HTTP != "", r.Output.text != "", r.Notify} {
		if given {
			kinds++
		}
	}
	switch {
	case kinds > 1:
		c.wrong("ready", "names several tests", "one of alive_for, tcp, http, output, notify")
	case kinds == 0 && r.Timeout > 0:
		c.wrong("ready", "has a timeout and no test", "one of alive_for, tcp, http, output, notify")
	case ready.Timeout <= ready.AliveFor:
		c.wrong("ready.timeout", "is no longer than alive_for", "more")
	}
	if _, port, err := net.SplitHostPort(r.TCP); r.TCP != "" && (err != nil || port == "") {
		c.wrong("ready.tcp", fmt.Sprintf("%.80q is no address", r.TCP), `one such as "127.0.0.1:8080"`)
	}
	if u, err := url.Parse(r.HTTP); r.HTTP != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		c.wrong("ready.http", fmt.Sprintf("%.80q is no URL", r.HTTP), `one such as "http://127.0.0.1:8080/health"`)
	}
	return ready
}

func (c *checker) limits(r rawLimits) Limits {
	l := Limits{CPU: r.CPU, Memory: int64(r.Memory), Pids: r.Pids}
	if r.CPU < 0 || math.IsNaN(r.CPU) || r.CPU > 4096 || r.CPU > 0 && r.CPU < 0.01 {
		c.wrong("limits.cpu", fmt.Sprintf("is %v", r.CPU), "cores, 0.01 or more")
	}
	if r.Pids < 0 {
		c.wrong("limits.pids", fmt.Sprintf("is %d", r.Pids), "1 or more")
	}
	for _, d := range r.IO {
		if !path.IsAbs(d.Device) || d.Read == 0 && d.Write == 0 {
			c.wrong("limits.io", "does not say what of which disk", `{ device = "/dev/sda", read = "10MiB", write = "5MiB" }`)
		}
		l.IO = append(l.IO, IO{d.Device, int64(d.Read), int64(d.Write)})
	}
	return l
}

// repeats settles when a service is started again.
func (c *checker) repeats(s *Service, r raw) {
	s.MinPause = cmp.Or(time.Duration(r.Backoff.Min), defaultMinPause)
	s.MaxPause = cmp.Or(time.Duration(r.Backoff.Max), max(defaultMaxPause, s.MinPause))
	if s.MinPause > s.MaxPause {
		c.wrong("backoff", "min is more than max", "the other way round")
	}
	recurs := s.Every > 0 || s.Cron != ""
	switch {
	case s.Every > 0 && s.Cron != "":
		c.wrong("cron", "stands beside every", "one of the two")
	case recurs && s.Oneshot:
		c.wrong("oneshot", "stands beside every or cron", "one of the two")
	case recurs && r.Restart != "":
		c.wrong("restart", "stands beside every or cron", "one of the two: it runs again at its time")
	case (recurs || s.Oneshot) && s.Ready.Asked():
		c.wrong("ready", "is asked of what is meant to end", "no oneshot, every or cron; or no ready")
	}
	s.Restart = order.Restart(r.Restart)
	switch {
	case r.Restart == "" && (s.Oneshot || recurs):
		s.Restart = order.Never
	case r.Restart == "":
		s.Restart = order.Always
	case s.Restart == order.Always && s.Oneshot:
		c.wrong("restart", "is always for a oneshot", `"on-failure" or "never"`)
	case s.Restart != order.Always && s.Restart != order.OnFailure && s.Restart != order.Never:
		c.wrong("restart", fmt.Sprintf("is %.40q", r.Restart), `"always", "on-failure" or "never"`)
	}
	s.MaxStarts, s.Within = r.Limit.Starts, cmp.Or(time.Duration(r.Limit.Within), 10*time.Minute)
	if s.MaxStarts < 0 || s.MaxStarts == 0 && r.Limit.Within > 0 || s.MaxStarts > 1000 {
		c.wrong("limit.starts", fmt.Sprintf("is %d", s.MaxStarts), "1 to 1000")
	}
}

func (c *checker) stop(s *Service, r raw) {
	s.Signal = strings.TrimPrefix(strings.ToUpper(cmp.Or(r.Stop.Signal, "TERM")), "SIG")
	if !slices.Contains(signals, s.Signal) {
		c.wrong("stop.signal", fmt.Sprintf("is %.40q", r.Stop.Signal), "one of "+strings.Join(signals, ", "))
	}
}

// space settles what a service has of its own.
func (c *checker) space(s *Service, r raw) {
	s.Namespaces = slices.Clone(r.Namespaces)
	for _, n := range r.Namespaces {
		if !slices.Contains(namespaces, n) {
			c.wrong("namespaces", fmt.Sprintf("has %.40q", n), "some of "+strings.Join(namespaces, ", "))
		}
	}
	if r.NoNetwork {
		s.Namespaces = append(s.Namespaces, "net")
	}
	if r.PrivateTmp || slices.Contains(s.Namespaces, "pid") { // a /proc of its own
		s.Namespaces = append(s.Namespaces, "mount")
	}
	slices.Sort(s.Namespaces)
	s.Namespaces = slices.Compact(s.Namespaces)
}
