package ssh

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/g8os/g8os/core/process"
)

// addresses asks sshd where its configuration makes it listen, because an
// operator may have changed that. ours: it is the one made here.
func addresses(o Options, sshd string) (listen []string, ours bool, err error) {
	if isDefault(o) {
		port := strconv.Itoa(o.Port)
		return []string{net.JoinHostPort("0.0.0.0", port), net.JoinHostPort("::", port)}, true, nil
	}
	out, err := exec.Command(sshd, "-T", "-f", o.path(configFile), "-C", "user=root,host=localhost,addr=127.0.0.1").CombinedOutput()
	if err != nil {
		return nil, false, fmt.Errorf("ask sshd for its configuration: %w: %s", err, bytes.TrimSpace(out))
	}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		if address, ok := strings.CutPrefix(lines.Text(), "listenaddress "); ok {
			listen = append(listen, address)
		}
	}
	if len(listen) == 0 {
		return nil, false, fmt.Errorf("ask sshd for its configuration: %s makes it listen nowhere", o.path(configFile))
	}
	return listen, false, nil
}

// free tries whether sshd could listen there. sshd itself goes on when only
// one of its addresses is taken, and the login would reach somebody else.
func free(address string) error {
	network := "tcp4"
	if strings.HasPrefix(address, "[") {
		network = "tcp6"
	}
	l, err := net.Listen(network, address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("start sshd on %s: %w by another program: find it with ss -ltnp, stop it, or change Port in sshd_config", address, ErrPort)
	}
	if err != nil {
		return nil // no IPv6 here, an address that is not there yet: sshd has its own word on that
	}
	return l.Close()
}

// untilAnswers returns when sshd says its protocol on one of its addresses.
func untilAnswers(ctx context.Context, p *process.Process, listen []string) error {
	again := time.NewTicker(askEvery)
	defer again.Stop()
	var last error
	for {
		for _, address := range listen {
			if last = greets(ctx, address); last == nil {
				return nil
			}
		}
		select {
		case <-again.C:
		case <-p.Died():
			return p.Err()
		case <-ctx.Done():
			return fmt.Errorf("sshd runs, but does not answer: %w", errors.Join(context.Cause(ctx), last))
		}
	}
}

// greets reads the greeting of an ssh server (RFC 4253, section 4.2).
func greets(ctx context.Context, address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = map[bool]string{true: "127.0.0.1", false: "::1"}[ip.To4() != nil]
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(host, port))
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetReadDeadline(time.Now().Add(startLimit)); err != nil {
		return err
	}
	greeting := make([]byte, len("SSH-2.0"))
	if _, err := io.ReadFull(conn, greeting); err != nil {
		return err
	}
	if string(greeting) != "SSH-2.0" {
		return fmt.Errorf("%s: greets with %q, not as an ssh server", address, greeting)
	}
	return nil
}
