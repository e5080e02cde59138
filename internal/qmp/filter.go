package qmp

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"

	goqemu "github.com/digitalocean/go-qemu/qmp"
	"golang.org/x/sys/unix"
)

// filter stands between QEMU and go-qemu and takes the events out, so that
// go-qemu sees one reply after each command and nothing else:
//
//	go-qemu ──commands, with files──▶ filter ──▶ QEMU
//	        ◀──replies──────────────   │   ◀──replies, events
//	                                   ▼
//	                                 events
//
// It is there because go-qemu takes an event in its handshake for the answer,
// stops when an event is not taken, and hands out a reply in the buffer that it
// reads the next event into (the race detector shows it).
type filter struct {
	qemu, client *net.UnixConn
	events       *events
	close        func()
}

// longest is what go-qemu can read in one line (bufio.Scanner).
const longest = 60 << 10

// newFilter connects a monitor of go-qemu to QEMU by a socket without a name.
func newFilter(ctx context.Context, path string) (*filter, *goqemu.SocketMonitor, error) {
	var d net.Dialer
	qemu, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, nil, err
	}
	mon, client, err := pair()
	if err != nil {
		_ = qemu.Close()
		return nil, nil, err
	}
	f := &filter{qemu: qemu.(*net.UnixConn), client: client, events: newEvents()}
	f.close = sync.OnceFunc(func() { _ = f.qemu.Close(); _ = f.client.Close() })
	go f.down()
	go f.up()
	return f, mon, nil
}

// pair makes a monitor and the other end of its connection. go-qemu can only
// dial, so there is a listener for a moment, in the abstract name space.
func pair() (*goqemu.SocketMonitor, *net.UnixConn, error) {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix"}) // the kernel picks a name (unix(7), autobind)
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	mon, err := goqemu.NewSocketMonitor("unix", l.Addr().String(), Patience)
	if err != nil {
		return nil, nil, err
	}
	for {
		c, err := l.AcceptUnix()
		if err != nil {
			return nil, nil, err
		}
		if ours(c) {
			return mon, c, nil
		}
		_ = c.Close()
	}
}

// ours reports whether this process is at the other end.
func ours(c *net.UnixConn) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	var peer *unix.Ucred
	if err := raw.Control(func(fd uintptr) { peer, _ = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil {
		return false
	}
	return peer != nil && int(peer.Pid) == os.Getpid()
}

// down sorts what QEMU says, until it ends.
func (f *filter) down() {
	defer f.close()
	defer f.events.end() // before go-qemu notices
	r := bufio.NewReader(f.qemu)
	for {
		line, err := r.ReadBytes('\n')
		if err != nil {
			return
		}
		var e Event
		if json.Unmarshal(line, &e) == nil && e.Name != "" {
			f.events.add(e)
			continue
		}
		if len(line) > longest {
			line = fmt.Appendf(nil, `{"error":{"class":"GenericError","desc":"the answer has %d bytes, more than can be read here"}}`+"\n", len(line))
		}
		if _, err := f.client.Write(line); err != nil {
			return
		}
	}
}

// up hands commands on, with the files that come along.
func (f *filter) up() {
	defer f.close()
	text, control := make([]byte, 64<<10), make([]byte, unix.CmsgSpace(4*8))
	for {
		n, k, _, _, err := f.client.ReadMsgUnix(text, control)
		if err != nil || n == 0 {
			return
		}
		_, _, err = f.qemu.WriteMsgUnix(text[:n], control[:k], nil)
		if err := errors.Join(err, closeRights(control[:k])); err != nil {
			return
		}
	}
}

// closeRights closes the files of a message: they were handed on.
func closeRights(control []byte) error {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return err
	}
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			continue
		}
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
	}
	return nil
}
