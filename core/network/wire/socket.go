package wire

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// queue is how many packets wait in user space for their reader; more wait in
// the socket's own buffer.
const queue = 64

// socket is a packet socket (packet(7), SOCK_DGRAM: without Ethernet headers)
// for one protocol on one interface, and the goroutine that reads it.
type socket struct {
	name string
	mac  net.HardwareAddr
	conn *packet.Conn
	done chan struct{} // closed by close
	stop sync.Once
	wait sync.WaitGroup

	mu  sync.Mutex
	err error
}

func openSocket(ifname string, protocol int, filter func(net.HardwareAddr) []bpf.Instruction) (*socket, error) {
	ifi, err := net.InterfaceByName(ifname)
	if err != nil {
		return nil, fmt.Errorf("opening a packet socket on %s: %w", ifname, err)
	}
	if len(ifi.HardwareAddr) != 6 {
		return nil, fmt.Errorf("opening a packet socket on %s: it is no Ethernet interface: its hardware address is %q", ifname, ifi.HardwareAddr)
	}
	prog, err := bpf.Assemble(filter(ifi.HardwareAddr))
	if err != nil {
		return nil, fmt.Errorf("packet filter for %s: %w", ifname, err)
	}
	conn, err := packet.Listen(ifi, packet.Datagram, protocol, &packet.Config{Filter: prog})
	if err != nil {
		return nil, fmt.Errorf("opening a packet socket on %s (it needs CAP_NET_RAW): %w", ifname, err)
	}
	return &socket{name: ifname, mac: ifi.HardwareAddr, conn: conn, done: make(chan struct{})}, nil
}

// broadcast sends one payload to everybody on the segment. That the link was
// down a while ago is told to who comes first, as an error: then it has the
// reader look instead, and tries again.
func (s *socket) broadcast(b []byte) error {
	all := &packet.Addr{HardwareAddr: net.HardwareAddr{255, 255, 255, 255, 255, 255}}
	_, err := s.conn.WriteTo(b, all)
	if errors.Is(err, unix.ENETDOWN) {
		s.conn.SetReadDeadline(time.Now())
		_, err = s.conn.WriteTo(b, all)
	}
	return err
}

// start begins to read: what parse takes goes into the channel.
func start[T any](s *socket, parse func([]byte) (T, bool)) <-chan T {
	out := make(chan T, queue)
	s.wait.Go(func() {
		defer close(out)
		b := make([]byte, 1<<16)
		for {
			n, err := s.read(b)
			if err != nil {
				s.fail(err)
				return
			}
			x, ok := parse(b[:n])
			if !ok {
				continue
			}
			select {
			case out <- x:
			case <-s.done:
				return
			}
		}
	})
	return out
}

// read waits for a packet. When the link goes down the kernel says so once,
// to the reader or to a sender, and the same when the interface is removed,
// shortly before it is gone: so then it looks a few times whether it is.
func (s *socket) read(b []byte) (int, error) {
	looks, armed := 0, false
	for {
		n, _, err := s.conn.ReadFrom(b)
		timeout := errors.Is(err, os.ErrDeadlineExceeded)
		switch {
		case err == nil:
			if armed {
				err = s.conn.SetReadDeadline(time.Time{})
			}
			return n, err
		case errors.Is(err, unix.ENETDOWN), timeout && !armed:
			looks = 3
		case !timeout:
			return 0, err
		}
		if s.gone() {
			return 0, fmt.Errorf("interface %s was removed", s.name)
		}
		var until time.Time
		if armed = looks > 0; armed {
			looks, until = looks-1, time.Now().Add(time.Second)
		}
		if err := s.conn.SetReadDeadline(until); err != nil {
			return 0, err
		}
	}
}

// gone tells whether the kernel has taken the socket off its interface.
func (s *socket) gone() bool {
	raw, err := s.conn.SyscallConn()
	if err != nil {
		return true
	}
	gone := false
	err = raw.Control(func(fd uintptr) {
		sa, err := unix.Getsockname(int(fd))
		ll, ok := sa.(*unix.SockaddrLinklayer)
		gone = err != nil || !ok || ll.Ifindex <= 0
	})
	return gone || err != nil
}

// fail keeps the cause, unless it is that close was called.
func (s *socket) fail(err error) {
	select {
	case <-s.done:
		return
	default:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = fmt.Errorf("reading packets on %s: %w", s.name, err)
}

func (s *socket) cause() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// close ends the goroutine and waits for it.
func (s *socket) close() (err error) {
	s.stop.Do(func() {
		close(s.done)
		err = s.conn.Close()
	})
	s.wait.Wait()
	return err
}
