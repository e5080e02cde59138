package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/g8os/g8os/ac-mock/client"
	"github.com/g8os/g8os/ac-mock/support/supporttest"
)

// folder makes a folder with an ac.toml, and returns the path of the file.
func folder(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ac.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const small = "data_dir = \"data\"\nmaster_key = \"keys/master\"\nca_key = \"keys\"\npolicy = \"open\"\n"

// awaited is a log that says when a text has been written to it.
type awaited struct {
	bytes.Buffer
	text string
	seen chan struct{}
}

func (a *awaited) Write(p []byte) (int, error) {
	n, err := a.Buffer.Write(p)
	if a.seen != nil && strings.Contains(a.String(), a.text) {
		close(a.seen)
		a.seen = nil
	}
	return n, err
}

// begin starts an AC and waits until it serves; the returned function stops it
// and gives its exit status.
func begin(t *testing.T, path, addr string) (end func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	log := &awaited{text: "msg=serving", seen: make(chan struct{})}
	serving, status := log.seen, make(chan int, 1)
	go func() { status <- run(ctx, []string{"--config", path, "run", "--listen", addr}, &bytes.Buffer{}, log) }()
	select {
	case <-serving:
	case code := <-status:
		t.Fatalf("the AC ends with %d: %s", code, log)
	}
	return func() int { cancel(); return <-status }
}

// freeAddr is an address that stays free between the lives of an AC: nobody else
// takes ports of an address of this process's own.
func freeAddr(t *testing.T) string {
	t.Helper()
	pid := os.Getpid()
	l, err := net.Listen("tcp", fmt.Sprintf("127.%d.%d.%d:0", 1+pid>>16&63, pid>>8&255, pid&255))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// What an AC keeps on its disk outside of its data is secret, and none of it is
// in a support bundle; where it is stands there.
func TestSupportBundle(t *testing.T) {
	path, addr := folder(t, small+"log_level = \"debug\"\n"), freeAddr(t)
	keys := filepath.Join(filepath.Dir(path), "keys")
	end := begin(t, path, addr)
	defer end()
	c, err := client.Load(filepath.Join(keys, "operators", "admin.toml"))
	if err != nil {
		t.Fatal(err)
	}
	c.AC = []string{"https://" + addr}
	admin, err := client.New(c)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	var out bytes.Buffer
	if _, err := admin.Support(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	files, secrets := supporttest.Unpack(t, out.Bytes()), map[string][]byte{}
	for what, file := range map[string]string{"the master key": filepath.Join(keys, "master"), "the root's key": filepath.Join(keys, "root.key"), "the admin's key": c.Key} {
		if secrets[what], err = os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
	}
	supporttest.Clean(t, files, secrets)
	if !strings.Contains(files["config.json"], filepath.Join(keys, "master")) || !strings.Contains(files["log.txt"], "msg=serving") {
		t.Errorf("config.json: %s\nlog.txt: %s", files["config.json"], files["log.txt"])
	}
}

// The first start makes a working grid; a second AC on its port or its data is
// told what is in its way; a restart changes no identity.
func TestRun(t *testing.T) {
	path, addr := folder(t, small), freeAddr(t)
	operators := filepath.Join(filepath.Dir(path), "keys", "operators")
	end := begin(t, path, addr)
	c, err := client.Load(filepath.Join(operators, "admin.toml"))
	if err != nil {
		t.Fatal(err)
	}
	c.AC = []string{"https://" + addr}
	op, err := client.New(c)
	if err != nil {
		t.Fatal(err)
	}
	defer op.Close()
	if list, err := op.Nodes(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("nodes of a new grid: %v, %v", list, err)
	}
	if info, err := os.Stat(filepath.Join(operators, "admin.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the admin's key: %v, %v", info, err)
	}
	for listen, want := range map[string]string{addr: "the port is taken", "127.0.0.1:0": "another g8os_ac runs on this data"} {
		var stderr bytes.Buffer
		if code := run(t.Context(), []string{"--config", path, "run", "--listen", listen}, &stderr, &stderr); code != 1 || !strings.Contains(stderr.String(), want) {
			t.Errorf("a second AC: exit %d, %s; want %q", code, &stderr, want)
		}
	}
	if code := end(); code != 0 {
		t.Errorf("stopped as told, exit %d", code)
	}
	before, err := os.ReadFile(filepath.Join(operators, "admin.crt"))
	if err != nil {
		t.Fatal(err)
	}
	end = begin(t, path, addr)
	defer end()
	if after, err := os.ReadFile(filepath.Join(operators, "admin.crt")); err != nil || !bytes.Equal(before, after) {
		t.Errorf("a restart made another admin (%v)", err)
	}
	if _, err := op.Nodes(t.Context()); err != nil {
		t.Errorf("after a restart: %v", err)
	}
}

// A wrong configuration: lines with file, line and key, and nothing is touched.
func TestBadConfigTouchesNothing(t *testing.T) {
	path := folder(t, small+"polcy = \"x\"\n")
	for _, command := range []string{"run", "init", "check-config"} {
		var stderr bytes.Buffer
		code := run(t.Context(), []string{"--config", path, command}, &stderr, &stderr)
		if code != 1 || !strings.HasPrefix(stderr.String(), "g8os_ac: "+path+":5: polcy: no such key") {
			t.Errorf("%s: exit %d, %s", command, code, &stderr)
		}
	}
	files, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(files) != 1 {
		t.Errorf("after a bad configuration there are %v, %v", files, err)
	}
}

func TestFlags(t *testing.T) {
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"check-config", 0, "the configuration is good"},
		{"run --listen 8966", 1, "flag: --listen: \"8966\" is not ADDRESS:PORT"},
		{"run --listen 192.0.2.1:8966", 1, "this machine does not have that address"},
		{"run --log-level loud", 1, "flag: --log-level"},
		{"run --policy never", 2, "policy"},
		{"dance", 2, "dance"},
	} {
		var out bytes.Buffer
		args := append([]string{"--config", folder(t, small)}, strings.Fields(c.args)...)
		if code := run(t.Context(), args, &out, &out); code != c.code || !strings.Contains(out.String(), c.want) {
			t.Errorf("g8os_ac %s: exit %d, %s", c.args, code, &out)
		}
	}
}

// A flag cannot move the data to where the key lies.
func TestDataMovedToTheKey(t *testing.T) {
	path := folder(t, small)
	var log bytes.Buffer
	code := run(t.Context(), []string{"--config", path, "init", "--data-dir", filepath.Dir(path)}, &bytes.Buffer{}, &log)
	if code != 1 || !strings.Contains(log.String(), "put it elsewhere") {
		t.Errorf("status %d, %s", code, &log)
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(path), "keys", "master")); err == nil {
		t.Error("a master key was made in the data folder")
	}
}
