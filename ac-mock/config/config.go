// Package config reads ac.toml, the configuration of an AC.
//
// It promises that a file is taken whole or not at all: every mistake is one
// line that names file, line and key and says what is expected. It opens no
// other file but the list of authorized keys, and it makes nothing.
package config

import (
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"strings"
	"time"
)

// Where an AC keeps its things when nothing else is said.
const (
	DefaultFile = "/etc/g8os-ac/ac.toml"
	DefaultDir  = "/etc/g8os-ac"     // keys: the master key and the root's
	DefaultData = "/var/lib/g8os-ac" // data: what is sealed under them
)

// Config is everything that an operator can decide about an AC.
type Config struct {
	Grid     string // name of the grid: the trust domain of every identity
	Name     string // name of this AC
	Listen   string // address and port for nodes, operators and the browser
	DataDir  string // etcd and the first operator's credentials
	LogLevel slog.Level
	Faults   bool // whether faults can be armed

	MasterKey string // file with the key that all secrets are sealed under; not in DataDir
	CAKey     string // folder with the root's private key; not in DataDir

	Policy          string        // open | approve | token: what happens to a machine never seen before
	AuthorizedKeys  []string      // OpenSSH lines: who gets in on every node
	CertificateLife time.Duration // of a node's certificate; renewed at half of it

	Names    []string   // DNS names and addresses in the AC's certificate, for browsers
	Fallback []Fallback // where 10.254.254.254 is held

	Layers string // folder with layers of the operating system for nodes; empty: none

	Etcd Etcd
}

// Fallback is an interface on which 10.254.254.254 is held. ACs that are on
// one link have to call it the same: one of them at a time has the address.
type Fallback struct{ Interface, Segment string }

// ParseFallback reads INTERFACE or INTERFACE=SEGMENT.
func ParseFallback(s string) (Fallback, error) {
	link, segment, named := strings.Cut(s, "=")
	if !linkName.MatchString(link) || link == "lo" {
		return Fallback{}, fmt.Errorf("%q is not the name of an interface that leads somewhere", link)
	}
	if !named {
		segment = link
	}
	if !gridName.MatchString(strings.ToLower(segment)) {
		return Fallback{}, fmt.Errorf("%q is not the name of a segment; want 1 to 63 of a-z, 0-9, '-' and '.'", segment)
	}
	return Fallback{link, segment}, nil
}

// Etcd says where the AC's data is: in a member of its own, or in a cluster.
type Etcd struct {
	Name          string   // of this member
	PeerURL       string   // https://IP:PORT where other members reach this one; empty: there are none
	Join          []string // peer URLs of members that have added this AC; asked while it has no data
	PeerCert      string   // PEM files for PeerURL; empty: made in Peers
	PeerKey       string
	PeerCA        string
	Endpoints     []string // an operator's own cluster; then there is no member of ours
	ClientCert    string   // PEM files for Endpoints
	ClientKey     string
	ClientCA      string
	QuotaBytes    int64         // bound on the database; 0: the default
	CompactionAge time.Duration // how long history is kept; 0: the default
}

// Default is what holds without a file: a production AC on this machine.
func Default() Config {
	return Config{
		Grid: "g8os", Name: "ac1", Listen: ":8966",
		DataDir: DefaultData, LogLevel: slog.LevelInfo,
		MasterKey: filepath.Join(DefaultDir, "master.key"),
		CAKey:     filepath.Join(DefaultDir, "ca"),
		Policy:    "approve", CertificateLife: 5 * 24 * time.Hour,
		Etcd: Etcd{Name: "ac1"},
	}
}

// Operators is the folder with the first operator's credentials. It lies beside
// the master key and not in DataDir: a copy of the data must not be worth an
// admin.
func (c Config) Operators() string { return filepath.Join(filepath.Dir(c.MasterKey), "operators") }

// Peers is the folder with the certificates by which the ACs of a grid prove
// themselves to each other. Its ca.key and ca.pem go to every AC, with the master key.
func (c Config) Peers() string { return filepath.Join(filepath.Dir(c.MasterKey), "peers") }

// PeerHost is where other ACs find this one; empty when there are none.
func (c Config) PeerHost() string {
	u, err := url.Parse(c.Etcd.PeerURL)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// RootKey is the file with the root's private key.
func (c Config) RootKey() string { return filepath.Join(c.CAKey, "root.key") }

// EtcdDir is the folder of our own etcd member.
func (c Config) EtcdDir() string { return filepath.Join(c.DataDir, "etcd") }

// Error is one mistake in a configuration.
type Error struct {
	File string // empty for a flag
	Line int    // 0: not known
	Key  string
	Want string
}

func (e *Error) Error() string {
	where := e.File
	if where == "" {
		where = "flag"
	}
	if e.Line > 0 {
		where = fmt.Sprintf("%s:%d", where, e.Line)
	}
	if e.Key == "" {
		return fmt.Sprintf("%s: %s", where, e.Want)
	}
	return fmt.Sprintf("%s: %s: %s", where, e.Key, e.Want)
}
