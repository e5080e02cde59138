package docker

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strconv"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"
)

// maxLine bounds a line, in bytes: a longer one comes in pieces.
const maxLine = 64 << 10

// Logs hands out what the last container wrote.
func (c *Container) Logs(ctx context.Context, lines int, follow bool, write func(line []byte) error) error {
	return c.logs(ctx, container.LogsOptions{Tail: strconv.Itoa(lines), Follow: follow}, write)
}

func (c *Container) logs(ctx context.Context, o container.LogsOptions, write func(line []byte) error) error {
	o.ShowStdout, o.ShowStderr = true, true
	out, err := c.e.client.ContainerLogs(ctx, c.name(), o)
	if errdefs.IsNotFound(err) {
		return nil // it has not begun
	} else if err != nil {
		return err
	}
	defer out.Close()
	stdout, stderr := &lines{write: write}, &lines{write: write}
	_, err = stdcopy.StdCopy(stdout, stderr, out)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return errors.Join(err, stdout.end(), stderr.end())
}

// lines cuts a stream into lines.
type lines struct {
	write func(line []byte) error
	rest  []byte
}

// Write takes a part of the stream.
func (l *lines) Write(part []byte) (int, error) {
	l.rest = append(l.rest, part...)
	for {
		i := bytes.IndexByte(l.rest, '\n')
		if i < 0 && len(l.rest) >= maxLine {
			i = len(l.rest)
		}
		if i < 0 {
			return len(part), nil
		}
		if err := l.write(bytes.TrimSuffix(l.rest[:i], []byte("\r"))); err != nil {
			return 0, err
		}
		l.rest = l.rest[min(i+1, len(l.rest)):]
	}
}

func (l *lines) end() error {
	if len(l.rest) == 0 {
		return nil
	}
	return l.write(l.rest)
}
