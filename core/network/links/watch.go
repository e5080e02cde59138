package links

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// watched are the groups of netlink that tell of links, addresses and routes.
const watched = unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR | unix.RTMGRP_IPV4_ROUTE | unix.RTMGRP_IPV6_ROUTE

// Watch returns a channel that has something in it whenever a link, address or
// route changed since it was last read. Many changes may be one notice; none is
// lost, also not when the kernel's queue runs over. The channel is closed when
// ctx ends.
func (l *Links) Watch(ctx context.Context) (<-chan struct{}, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("watch interfaces: open netlink: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: watched}); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("watch interfaces: join the groups of netlink: %w", err)
	}
	socket := os.NewFile(uintptr(fd), "netlink")
	stop := context.AfterFunc(ctx, func() { _ = socket.Close() })
	changed := make(chan struct{}, 1)
	go func() {
		defer close(changed)
		defer stop()
		defer socket.Close()
		l.notice(socket, changed)
	}()
	return changed, nil
}

// notice turns messages into notices; what they say does not matter, because
// whoever is told lists again. ENOBUFS means that messages were lost.
func (l *Links) notice(socket *os.File, changed chan<- struct{}) {
	buffer := make([]byte, 64<<10)
	for {
		_, err := socket.Read(buffer)
		if errors.Is(err, os.ErrClosed) {
			return
		}
		if err != nil && !errors.Is(err, unix.ENOBUFS) {
			l.log.Error("interfaces are no longer watched", "error", err)
			return
		}
		select {
		case changed <- struct{}{}:
		default:
		}
	}
}
