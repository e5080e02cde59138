package guest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// Stdio is what a command in the guest is connected to. All may be nil.
type Stdio struct {
	In       io.Reader // a Read that blocks is left behind when the command ends
	Out, Err io.Writer
	Resize   <-chan Size
	Signals  <-chan os.Signal // sent on to its process group
}

// ErrGone is wrapped when a guest, or the way to it, went away while a command ran.
var ErrGone = errors.New("the guest went away")

// Exec runs a command over a fresh stream. Ending ctx kills the command.
func Exec(ctx context.Context, stream net.Conn, command Command, stdio Stdio) (Exit, error) {
	c, _, err := ask(ctx, stream, request{Op: opExec, Command: command})
	if err != nil {
		return Exit{}, err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { _ = stream.Close(); _ = stream.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	over := make(chan struct{})
	defer close(over)
	f, credit := &frames{w: c}, make(chan struct{}, window)
	for range window {
		credit <- struct{}{}
	}
	go sendStdin(f, stdio.In, credit, over)
	go sendEvents(f, stdio, over)
	exit, err := receive(c, stdio, credit)
	if err != nil {
		err = fmt.Errorf("guest: exec %s: %w", command.Argv[0], errors.Join(err, context.Cause(ctx)))
	}
	return exit, err
}

// sendStdin sends what there is to read, as far ahead of the command as there
// is credit.
func sendStdin(f *frames, in io.Reader, credit <-chan struct{}, over <-chan struct{}) {
	buf := make([]byte, maxFrame)
	for in != nil {
		n, err := in.Read(buf)
		if n > 0 {
			select {
			case <-credit:
			case <-over:
				return
			}
			if f.send(frameStdin, buf[:n]) != nil {
				return
			}
		}
		if err != nil {
			break
		}
	}
	_ = f.send(frameEnd, nil)
}

func sendEvents(f *frames, stdio Stdio, over <-chan struct{}) {
	for {
		select {
		case size := <-stdio.Resize:
			_ = f.sendJSON(frameResize, size)
		case sig := <-stdio.Signals:
			if n, ok := sig.(syscall.Signal); ok {
				_ = f.sendJSON(frameSignal, int(n))
			}
		case <-over:
			return
		}
	}
}

// receive hands out output until the command has ended.
func receive(c *conn, stdio Stdio, credit chan<- struct{}) (exit Exit, err error) {
	var buf [maxFrame]byte
	for {
		kind, data, err := readFrame(c.r, &buf)
		if err != nil {
			return exit, fmt.Errorf("%w: %w", ErrGone, err)
		}
		switch kind {
		case frameStdout:
			err = write(stdio.Out, data)
		case frameStderr:
			err = write(stdio.Err, data)
		case frameTaken:
			select {
			case credit <- struct{}{}:
			default:
				err = errors.New("the guest has taken more than it was sent")
			}
		case frameExit:
			return exit, json.Unmarshal(data, &exit)
		}
		if err != nil {
			return exit, err
		}
	}
}

func write(w io.Writer, p []byte) error {
	if w == nil {
		return nil
	}
	_, err := w.Write(p)
	return err
}
