package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"golang.org/x/term"
)

// leave is ^], which ends a console as it ends telnet.
const leave = 0x1d

// recent is how much of what a console has said is shown first.
const recent = 2 << 10

type consoleCmd struct {
	Node string `arg:"" help:"Name of the node, of fidelity vm."`
}

func (k *consoleCmd) Run(ctx context.Context, c *cli, std streams) error {
	n, err := c.node(k.Node)
	if err != nil {
		return err
	}
	conn, err := n.Console(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	fmt.Fprintf(std.err, "console of %s; ^] leaves\n", n.Name())
	if err := tailOf(std.out, n.LogPath()); err != nil {
		return err
	}
	if isTerminal(std.in) {
		was, err := term.MakeRaw(int(std.in.Fd()))
		if err != nil {
			return fmt.Errorf("console: raw terminal: %w", err)
		}
		defer func() {
			_ = term.Restore(int(std.in.Fd()), was)
			fmt.Fprintln(std.err)
		}()
	}
	return converse(ctx, conn, std.in, std.out)
}

// converse carries a console until ^], the end of input, or the end of the
// node.
func converse(ctx context.Context, conn net.Conn, in io.Reader, out io.Writer) error {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	left := make(chan error, 2)
	go func() { left <- untilLeft(conn, in) }()
	go func() {
		_, err := io.Copy(out, conn)
		if err == nil {
			err = errors.New("the node has lost power")
		}
		left <- err
	}()
	err := <-left
	if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// untilLeft sends input up to ^] or its end.
func untilLeft(conn io.Writer, in io.Reader) error {
	buf := make([]byte, 256)
	for {
		n, err := in.Read(buf)
		for i, b := range buf[:n] {
			if b == leave {
				_, err := conn.Write(buf[:i])
				return err
			}
		}
		if _, err := conn.Write(buf[:n]); err != nil {
			return err
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// tailOf shows the end of what a console has said.
func tailOf(w io.Writer, path string) error {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if st, err := f.Stat(); err == nil && st.Size() > recent {
		if _, err := f.Seek(-recent, io.SeekEnd); err != nil {
			return err
		}
	}
	_, err = io.Copy(w, f)
	return err
}
