package machine

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// dialName is the first argument that makes a program that imports this
// package carry its stdin and stdout over one TCP connection, and end.
const dialName = "g8lab-dial"

// DialCommand is a shell command (ssh's ProxyCommand) that connects to an
// address through one NIC, whatever the routes say: several legs of an AC
// share a prefix. ssh itself can choose an address to come from, not a NIC.
func DialCommand(nic, address string) (string, error) {
	exe, err := os.Executable()
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("'%s' %s %s %s", exe, dialName, nic, address), nil
}

func init() {
	if len(os.Args) != 4 || os.Args[1] != dialName {
		return
	}
	if err := dial(os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func dial(nic, address string) error {
	d := net.Dialer{Timeout: 5 * time.Second, Control: func(_, _ string, raw syscall.RawConn) (err error) {
		e := raw.Control(func(fd uintptr) { err = unix.BindToDevice(int(fd), nic) })
		if err == nil {
			err = e
		}
		return err
	}}
	c, err := d.DialContext(context.Background(), "tcp", address)
	if err != nil {
		return fmt.Errorf("through %s: %w", nic, err)
	}
	go func() {
		_, _ = io.Copy(c, os.Stdin)
		_ = c.(*net.TCPConn).CloseWrite()
	}()
	_, err = io.Copy(os.Stdout, c)
	return err
}
