package config

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEvBqF7mXx6aQ5P0h5cF2m3YV0a2C9VgkBZ0rG7QWb1M ann@desk"

const whole = `
grid = "grid.example"
name = "ac2"
listen = "127.0.0.1:9000"
data_dir = "data"
log_level = "debug"
faults = true
master_key = "/etc/g8os-ac/k"
ca_key = "ca"
policy = "open"
authorized_keys = ["` + key + `"]
certificate_life = "1h"
names = ["ac2.grid.example", "192.168.7.2"]

[fallback]
interfaces = ["eth1", "eth2=dhcp"]

[etcd]
name = "two"
peer_url = "https://192.168.7.2:2380"
peer_certificate = "peer.crt"
peer_key = "peer.key"
peer_ca = "peer.ca"
quota_bytes = 1073741824
compaction = "30m"
`

func TestParseWhole(t *testing.T) {
	c, err := Parse("/etc/x/ac.toml", []byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	if c.Grid != "grid.example" || c.Name != "ac2" || c.Listen != "127.0.0.1:9000" || !c.Faults || c.Policy != "open" {
		t.Errorf("plain values: %+v", c)
	}
	if c.DataDir != "/etc/x/data" || c.RootKey() != "/etc/x/ca/root.key" || c.MasterKey != "/etc/g8os-ac/k" {
		t.Errorf("paths are not taken from the file's folder: %q %q %q", c.DataDir, c.RootKey(), c.MasterKey)
	}
	if c.CertificateLife != time.Hour || c.Etcd.CompactionAge != 30*time.Minute || c.Etcd.QuotaBytes != 1<<30 {
		t.Errorf("times and sizes: %+v", c)
	}
	if len(c.AuthorizedKeys) != 1 || !slices.Equal(c.Fallback, []Fallback{{"eth1", "eth1"}, {"eth2", "dhcp"}}) || c.Etcd.Name != "two" || c.Etcd.PeerKey != "/etc/x/peer.key" {
		t.Errorf("lists and tables: %+v", c)
	}
}

// Every mistake is one line: file, line, key, what is expected.
func TestMistakes(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"grid = \"a\"\nlisen = \":1\"", `ac.toml:2: lisen: no such key; there are authorized_keys,`},
		{"[etcd]\nquotabytes = 1", `ac.toml:2: etcd.quotabytes: no such key; there are client_ca,`},
		{"grid = ", `ac.toml:1: `},
		{"\nfaults = \"yes\"", `ac.toml:2: faults: `},
		{"grid = \"A B\"", `ac.toml:1: grid: "A B" is not a name`},
		{"# x\n\nlisten = \"8966\"", `ac.toml:3: listen: "8966" is not ADDRESS:PORT; want for example ":8966"`},
		{"listen = \":99999\"", `ac.toml:1: listen: port "99999" is not a number`},
		{"listen = \"ac1:8966\"", `ac.toml:1: listen: "ac1" is not an IP address`},
		{"policy = \"closed\"", `ac.toml:1: policy: "closed" is not a policy; want open`},
		{"log_level = \"loud\"", `ac.toml:1: log_level: "loud" is not a level; want debug`},
		{"certificate_life = \"5d\"", `ac.toml:1: certificate_life: "5d" is not a time of 10s or more`},
		{"data_dir = \"/d\"\nmaster_key = \"/d/keys/m\"", `ac.toml:2: master_key: /d/keys/m lies in data_dir /d`},
		{"data_dir = \"/d\"\nca_key = \"/d\"", `ac.toml:2: ca_key: /d lies in data_dir /d`},
		{"authorized_keys = [\"ssh-ed25519 !\"]", `ac.toml:1: authorized_keys: entry 1 is not an OpenSSH public key line`},
		{"authorized_keys = 7", `ac.toml:1: authorized_keys: is int64; want a list`},
		{"\nauthorized_keys = \"no/such\"", `ac.toml:2: authorized_keys: /t/no/such: open`},
		{"[fallback]\n# x\ninterfaces = [\"lo\"]", `ac.toml:3: fallback.interfaces: "lo" is not the name`},
		{"[etcd]\npeer_url = \"10.0.0.1\"", `ac.toml:2: etcd.peer_url: "10.0.0.1" is not a URL with a port`},
		{"[etcd]\npeer_url = \"https://10.0.0.1:2380\"\npeer_ca = \"x\"", `ac.toml:2: etcd.peer_url: needs all of peer_certificate`},
		{"[etcd]\npeer_url = \"http://10.0.0.1:2380\"", `ac.toml:2: etcd.peer_url: "http://10.0.0.1:2380" is not https`},
		{"[etcd]\njoin = [\"https://10.0.0.1:2380\"]", `ac.toml:2: etcd.join: needs peer_url beside it`},
		{"[etcd]\njoin = [\"10.0.0.1\"]\npeer_url = \"https://10.0.0.2:2380\"", `ac.toml:2: etcd.join: "10.0.0.1" is not a URL with a port`},
		{"[fallback]\ninterfaces = [\"eth0=no way\"]", `ac.toml:2: fallback.interfaces: "no way" is not the name of a segment`},
		{"etcd.quota_bytes = 5", `ac.toml:1: etcd.quota_bytes: is 5, want 16777216`},
	} {
		_, err := Parse("/t/ac.toml", []byte(c.text))
		if err == nil {
			t.Errorf("%q is accepted", c.text)
			continue
		}
		if got := err.Error(); !strings.HasPrefix(got, "/t/"+c.want) || strings.Contains(got, "\n") {
			t.Errorf("%q:\n got %s\nwant /t/%s…", c.text, got, c.want)
		}
		if _, ok := errors.AsType[*Error](err); !ok {
			t.Errorf("%q: %T is not an *Error", c.text, err)
		}
	}
}

func TestAllMistakesAtOnce(t *testing.T) {
	_, err := Parse("ac.toml", []byte("grid = \"?\"\npolicy = \"x\"\n"))
	if err == nil || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("want two lines: %v", err)
	}
}

func TestKeysFromAFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "ac.toml")
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("keys", "# people\n\n"+key+"\n")
	write("ac.toml", `authorized_keys = "keys"`)
	c, err := Load(path, true)
	if err != nil || len(c.AuthorizedKeys) != 1 {
		t.Fatalf("keys %q, %v", c.AuthorizedKeys, err)
	}
	write("keys", key+"\nrubbish\n")
	if _, err := Load(path, true); err == nil || !strings.Contains(err.Error(), "keys: entry 2 is not") || !strings.Contains(err.Error(), "ac.toml:1:") {
		t.Errorf("bad line in the keys file: %v", err)
	}
}

func TestMissingFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none.toml")
	if c, err := Load(path, false); err != nil || c.Policy != "approve" || c.Listen != ":8966" {
		t.Errorf("defaults: %+v, %v", c, err)
	}
	if _, err := Load(path, true); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a file that was asked for: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte("[etcd]\n[fallback]\ninterfaces=[]\n"))
	f.Add([]byte("a.b.c = 1\n[a]\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if _, err := Parse("ac.toml", text); err != nil && err.Error() == "" {
			t.Error("an error without words")
		}
	})
}
