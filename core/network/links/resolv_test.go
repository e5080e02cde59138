package links

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/g8os/g8os/core/network"
)

func dns(list ...string) network.Wanted { return network.Wanted{Up: true, DNS: addrs(list...)} }

func TestNamesOfSeveralInterfaces(t *testing.T) {
	b := newBench(t)
	before := b.names()
	l := b.open()
	b.must(l.Apply("eth0", dns("10.0.0.1", "10.0.0.2")))
	b.must(l.Apply("eth1", dns("10.0.0.2", "fd00::1")))
	b.must(l.Apply("eth0", dns("10.0.0.3", "10.0.0.2"))) // keeps its place
	servers := func() (list []string) {
		for line := range strings.Lines(b.names()) {
			if s, ok := strings.CutPrefix(line, "nameserver "); ok {
				list = append(list, strings.TrimSpace(s))
			}
		}
		return list
	}
	if got := strings.Join(servers(), " "); got != "10.0.0.3 10.0.0.2 fd00::1" {
		t.Errorf("servers %s", got)
	}
	b.must(l.Withdraw("eth0"))
	if got := strings.Join(servers(), " "); got != "10.0.0.2 fd00::1" {
		t.Errorf("servers %s", got)
	}
	b.must(l.Withdraw("eth1"))
	if b.names() != before {
		t.Errorf("not restored:\n%s", b.names())
	}
}

// TestNamesKeepTheirFile: resolv.conf of a container is a mount, which can be
// neither renamed over nor removed.
func TestNamesKeepTheirFile(t *testing.T) {
	b := newBench(t)
	inode := func() uint64 {
		var st unix.Stat_t
		b.must(unix.Stat(b.opts.ResolvConf, &st))
		return st.Ino
	}
	before := inode()
	l := b.open()
	b.must(l.Apply("eth0", dns("10.0.0.1")))
	b.must(l.Withdraw("eth0"))
	if inode() != before {
		t.Error("the file was replaced")
	}
}

func TestNamesWhereThereWereNone(t *testing.T) {
	b := newBench(t)
	b.must(os.Remove(b.opts.ResolvConf))
	l := b.open()
	b.must(l.Apply("eth0", dns("10.0.0.1")))
	b.has(b.names(), "nameserver 10.0.0.1\n")
	b.must(l.Withdraw("eth0"))
	if _, err := os.Stat(b.opts.ResolvConf); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file stays: %v", err)
	}
}

// TestNamesOfOthers: what somebody else writes meanwhile is not overwritten on
// the way out, and is what is restored when we write again.
func TestNamesOfOthers(t *testing.T) {
	b := newBench(t)
	l := b.open()
	b.must(l.Apply("eth0", dns("10.0.0.1")))
	b.resolv("nameserver 8.8.8.8\n")
	b.must(l.Withdraw("eth0"))
	if b.names() != "nameserver 8.8.8.8\n" {
		t.Errorf("overwritten:\n%s", b.names())
	}
	b.must(l.Apply("eth0", dns("10.0.0.1")))
	b.resolv("nameserver 7.7.7.7\n")
	b.must(l.Apply("eth0", dns("10.0.0.2")))
	b.has(b.names(), "nameserver 10.0.0.2\n")
	b.must(l.Withdraw("eth0"))
	if b.names() != "nameserver 7.7.7.7\n" {
		t.Errorf("not restored:\n%s", b.names())
	}
}

// TestNamesAfterAKill ends the process at each point of the write; the next
// one knows the text for ours and restores what was before.
func TestNamesAfterAKill(t *testing.T) {
	b := newBench(t)
	before := b.names()
	old := compose(&before, []served{{Link: "eth0", DNS: addrs("10.0.0.1", "10.0.0.7")}})
	text := compose(&before, []served{{Link: "eth0", DNS: addrs("10.0.0.2")}})
	for name, left := range map[string]string{
		"before the write": old, "after the write": text,
		"before the end is cut off": text + strings.Repeat("\n", len(old)-len(text)),
		"an empty file":             "",
	} {
		l := b.open()
		l.record.Names = names{Servers: []served{{Link: "eth0", DNS: addrs("10.0.0.2")}}, Before: &before, Wrote: []string{old, text}}
		b.must(l.save())
		b.resolv(left)
		b.must(b.open().WithdrawAll())
		if b.names() != before {
			t.Errorf("%s: not restored:\n%s", name, b.names())
		}
	}
}
