package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/g8os/g8os/ac-mock/client"
	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/ac-mock/store/etcd"
)

// admin is a client of an AC with its first admin's credentials.
func admin(t *testing.T, path, addr string) *client.Client {
	t.Helper()
	c, err := client.Load(filepath.Join(filepath.Dir(path), "keys", "operators", "admin.toml"))
	if err != nil {
		t.Fatal(err)
	}
	c.AC = []string{"https://" + addr}
	op, err := client.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(op.Close)
	return op
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(to), 0o700)
	}
	if err == nil {
		err = os.WriteFile(to, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// do runs g8os_ac to its end.
func do(t *testing.T, args ...string) (code int, said string) {
	t.Helper()
	var out bytes.Buffer
	return run(t.Context(), args, &out, &out), out.String()
}

// What one AC backs up, another machine goes on with: same CA, same operators,
// same history. A restore without the key, or into a store in use, changes
// nothing and says what to do.
func TestBackupAndRestore(t *testing.T) {
	old, addr := folder(t, small), freeAddr(t)
	end := begin(t, old, addr)
	op := admin(t, old, addr)
	file := filepath.Join(t.TempDir(), "backup")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := op.Backup(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if code := end(); code != 0 {
		t.Fatalf("exit %d", code)
	}

	fresh := folder(t, small)
	keys := func(path string) string { return filepath.Join(filepath.Dir(path), "keys", "master") }
	if code, said := do(t, "--config", fresh, "restore", file); code != 1 || !strings.Contains(said, "copy the master key") {
		t.Errorf("without the master key: exit %d, %s", code, said)
	}
	copyFile(t, keys(old), keys(fresh))
	if code, said := do(t, "--config", fresh, "restore", file); code != 0 || !strings.Contains(said, "is restored") {
		t.Fatalf("exit %d, %s", code, said)
	}
	if code, said := do(t, "--config", fresh, "restore", file); code != 1 || !strings.Contains(said, "choose an empty data_dir") {
		t.Errorf("once more: exit %d, %s", code, said)
	}
	end = begin(t, fresh, addr)
	defer end()
	if _, err := op.Nodes(t.Context()); err != nil {
		t.Errorf("the operator of before is not known: %v", err)
	}
	all, err := op.Audit(t.Context(), "", 0, 0)
	made := false
	for _, e := range all {
		made = made || e.Action == "backup"
	}
	if err != nil || !made {
		t.Errorf("the audit has %+v, %v; want that a backup was made", all, err)
	}
}

// Data of a later program is left alone.
func TestNewerData(t *testing.T) {
	path := folder(t, small)
	if code, said := do(t, "--config", path, "init"); code != 0 {
		t.Fatal(said)
	}
	change := func(value string) {
		s, err := etcd.Open(t.Context(), etcd.Options{Dir: filepath.Join(filepath.Dir(path), "data", "etcd"), Name: "ac1"})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if _, err := s.Txn(t.Context(), store.Txn{Then: []store.Op{store.Put(keyFormat, []byte(value))}}); err != nil {
			t.Fatal(err)
		}
	}
	change("2")
	if code, said := do(t, "--config", path, "init"); code != 1 || !strings.Contains(said, "the data is of a newer version") || !strings.Contains(said, "→ run the version that wrote it") {
		t.Errorf("exit %d, %s", code, said)
	}
	change("1")
	if code, said := do(t, "--config", path, "init"); code != 0 {
		t.Error(said)
	}
}

// An AC that is to join makes no keys of its own.
func TestJoiningNeedsTheKeys(t *testing.T) {
	path := folder(t, small+"[etcd]\npeer_url = \"https://127.0.0.1:2380\"\njoin = [\"https://127.0.0.2:2380\"]\n")
	code, said := do(t, "--config", path, "init")
	if code != 1 || !strings.Contains(said, "needs the keys of the grid") || !strings.Contains(said, "→ copy the master key") {
		t.Errorf("exit %d, %s", code, said)
	}
	files, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(files) != 1 {
		t.Errorf("it has made %v, %v", files, err)
	}
}
