package probe

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"runtime"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Socket sends and receives frames at an interface of some network namespace.
type Socket struct {
	fd    int
	wake  int // an eventfd
	index int
}

var errStopped = errors.New("stopped")

// ErrDown is wrapped when an interface is there and down.
var ErrDown = errors.New("the interface is down")

// Open opens a socket at an interface. all also gets what leaves there, as is
// needed at the switch's end of a cable. It works on a thread that goes over to
// the namespace and does not come back; the socket stays there.
func Open(namespace, iface string, all bool) (*Socket, error) {
	type result struct {
		s   *Socket
		err error
	}
	done := make(chan result, 1)
	go func() {
		runtime.LockOSThread()
		s, err := openIn(namespace, iface, all)
		if err != nil {
			err = fmt.Errorf("socket at %s: %w", iface, err)
		}
		done <- result{s, err}
	}()
	r := <-done
	return r.s, r.err
}

func openIn(namespace, iface string, all bool) (*Socket, error) {
	ns, err := netns.GetFromPath(namespace)
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	if err := netns.Set(ns); err != nil {
		return nil, err
	}
	i, err := net.InterfaceByName(iface)
	if err != nil {
		return nil, err
	}
	if i.Flags&net.FlagUp == 0 || i.Flags&net.FlagRunning == 0 {
		return nil, ErrDown
	}
	protocol := EtherType
	if all {
		protocol = unix.ETH_P_ALL
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	s := &Socket{fd: fd, wake: wake, index: i.Index}
	if err := s.set(uint16(protocol)); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// set lets in nothing but marked frames, and as many as may come at once.
func (s *Socket) set(protocol uint16) error {
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_H | unix.BPF_ABS, K: 12},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: EtherType},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0xffff},
		{Code: unix.BPF_RET | unix.BPF_K},
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.SetsockoptSockFprog(s.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &prog); err != nil {
		return fmt.Errorf("filter: %w", err)
	}
	if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20); err != nil {
		return fmt.Errorf("buffer: %w", err)
	}
	net := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, protocol))
	return unix.Bind(s.fd, &unix.SockaddrLinklayer{Protocol: net, Ifindex: s.index})
}

// Send sends a frame.
func (s *Socket) Send(frame []byte) error {
	for {
		err := unix.Send(s.fd, frame, 0)
		if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.ENOBUFS) {
			return err
		}
		if _, err := unix.Poll([]unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLOUT}}, 1); err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// read returns the next marked frame, or errStopped after stop.
func (s *Socket) read(buf []byte) (int, error) {
	for {
		n, err := unix.Read(s.fd, buf)
		if err == nil {
			return n, nil
		}
		if !errors.Is(err, unix.EAGAIN) {
			return 0, err
		}
		fds := []unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLIN}, {Fd: int32(s.wake), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); err != nil && !errors.Is(err, unix.EINTR) {
			return 0, err
		}
		if fds[0].Revents == 0 && fds[1].Revents != 0 {
			return 0, errStopped
		}
	}
}

// stop ends read until begin.
func (s *Socket) stop() {
	_, _ = unix.Write(s.wake, binary.NativeEndian.AppendUint64(nil, 1))
}

// begin undoes stop.
func (s *Socket) begin() {
	_, _ = unix.Read(s.wake, make([]byte, 8)) // there is nothing to read in a new one
}

// Close closes the socket.
func (s *Socket) Close() {
	_ = unix.Close(s.fd)
	_ = unix.Close(s.wake)
}
