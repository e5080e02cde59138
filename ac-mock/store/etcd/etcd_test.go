package etcd_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/ac-mock/store/etcd"
	"github.com/g8os/g8os/ac-mock/store/storetest"
)

func open(t *testing.T, dir string) store.Store {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), storetest.Patience)
	defer cancel()
	s, err := etcd.Open(ctx, etcd.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return open(t, t.TempDir()) })
}

func TestSecondProcessIsToldSo(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	_, err := etcd.Open(t.Context(), etcd.Options{Dir: dir})
	if !errors.Is(err, store.ErrLocked) {
		t.Fatalf("got %v, want ErrLocked", err)
	}
}

func TestDataSurvivesAndFolderIsPrivate(t *testing.T) {
	dir := t.TempDir() + "/data"
	s := open(t, dir)
	if _, err := s.Txn(t.Context(), store.Txn{Then: []store.Op{store.Put("k", []byte("v"))}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Fatalf("data folder: %v, %v; want mode 0700", info.Mode(), err)
	}
	if kv, err := open(t, dir).Get(t.Context(), "k"); err != nil || string(kv.Value) != "v" {
		t.Fatalf("after a restart k=%s, %v", kv.Value, err)
	}
}

func TestNoPortIsOpenedAlone(t *testing.T) {
	before := listening(t)
	open(t, t.TempDir())
	if after := listening(t); after != before {
		t.Fatalf("%d TCP sockets listen, %d did before", after, before)
	}
}

// listening counts the TCP sockets of this process that listen.
func listening(t *testing.T) int {
	t.Helper()
	own := map[string]bool{}
	fds, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil {
			own[to] = true
		}
	}
	n := 0
	for _, table := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		text, err := os.ReadFile(table)
		if err != nil {
			continue // no IPv6 here
		}
		for line := range strings.Lines(string(text)) {
			const state, inode, listen = 3, 9, "0A"
			if f := strings.Fields(line); len(f) > inode && f[state] == listen && own["socket:["+f[inode]+"]"] {
				n++
			}
		}
	}
	return n
}

func TestPeerURLIsRefusedWithoutTLS(t *testing.T) {
	for _, url := range []string{"http://192.168.7.2:2380", "https://192.168.7.2", "https://192.168.7.2:2380", "nonsense"} {
		if _, err := etcd.Open(t.Context(), etcd.Options{Dir: t.TempDir(), PeerURL: url}); err == nil {
			t.Errorf("peer URL %q without TLS files was accepted", url)
		}
	}
}

func BenchmarkStart(b *testing.B) {
	dir := b.TempDir()
	for b.Loop() {
		s, err := etcd.Open(context.Background(), etcd.Options{Dir: dir})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		_ = s.Close()
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed()/time.Duration(b.N))/float64(time.Millisecond), "ms/start")
}
