// Package qmp speaks to a running QEMU over a monitor socket (QEMU Machine
// Protocol), through go-qemu.
//
// It promises what go-qemu's monitor does not: every call ends by its deadline,
// or after Patience if it has none; events never block a command, are never
// taken for its reply, and never overwrite it while it is read; a reply that is
// too long is an error and not the end. It keeps to that by a filter between
// the two (filter.go), by one goroutine that owns the monitor, and by closing
// the connection when a deadline passes: a Conn that failed that way stays
// closed.
//
// QEMU serves one client per socket: open a Conn for a short action, close it.
package qmp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	goqemu "github.com/digitalocean/go-qemu/qmp"
)

// Patience is how long a call waits whose context has no deadline.
const Patience = 10 * time.Second

// ErrClosed is what calls on a closed Conn return, and those that were under
// way when QEMU went away.
var ErrClosed = errors.New("the monitor connection is closed (has QEMU ended?)")

// Event is something QEMU told without being asked.
type Event struct {
	Name string         `json:"event"`
	Data map[string]any `json:"data"`
}

// Conn is one session with a monitor.
type Conn struct {
	path   string
	mon    *goqemu.SocketMonitor
	filter *filter
	asks   chan ask
	done   chan struct{} // closed by Close
	close  func() error
}

// ask is a command on its way to the owner.
type ask struct {
	line  []byte
	file  *os.File
	reply chan<- answer
}

type answer struct {
	value json.RawMessage
	err   error
}

// Dial opens a monitor. It fails when nobody listens, and when QEMU does not
// answer in time: it hangs, or somebody else holds the socket.
func Dial(ctx context.Context, path string) (*Conn, error) {
	ctx, cancel := patient(ctx)
	defer cancel()
	fail := func(err error) (*Conn, error) { return nil, fmt.Errorf("QEMU monitor %s: %w", short(path), err) }
	f, mon, err := newFilter(ctx, path)
	if err != nil {
		return fail(err)
	}
	stop := context.AfterFunc(ctx, f.close)
	err = mon.Connect()
	if !stop() || err != nil {
		f.close()
		_ = mon.Disconnect()
		if ctx.Err() != nil {
			err = fmt.Errorf("does not answer: %w (QEMU hangs, or another client holds the socket)", ctx.Err())
		}
		return fail(err)
	}
	c := &Conn{path: path, mon: mon, filter: f, asks: make(chan ask), done: make(chan struct{})}
	c.close = sync.OnceValue(func() error { close(c.done); f.close(); return mon.Disconnect() })
	go c.own()
	return c, nil
}

// own is the one goroutine that runs commands.
func (c *Conn) own() {
	for {
		select {
		case <-c.done:
			return
		case a := <-c.asks:
			raw, err := c.mon.RunWithFile(a.line, a.file)
			var r struct{ Return json.RawMessage }
			if err == nil {
				err = json.Unmarshal(raw, &r)
			}
			a.reply <- answer{r.Return, err}
		}
	}
}

// Run executes a command. args is marshalled, nil for none; the value QEMU
// returns is unmarshalled into reply unless that is nil.
func (c *Conn) Run(ctx context.Context, command string, args, reply any) error {
	return c.run(ctx, command, args, nil, reply)
}

// Pass hands QEMU a file under a name, for netdevs and migration to refer to.
// QEMU has its own duplicate of it afterwards.
func (c *Conn) Pass(ctx context.Context, name string, file *os.File) error {
	return c.run(ctx, "getfd", map[string]any{"fdname": name}, file, nil)
}

func (c *Conn) run(ctx context.Context, command string, args any, file *os.File, reply any) error {
	ctx, cancel := patient(ctx)
	defer cancel()
	fail := func(err error) error {
		return fmt.Errorf("ask QEMU (%s) %s: %w", short(c.path), command, err)
	}
	line, err := json.Marshal(goqemu.Command{Execute: command, Args: args})
	if err != nil {
		return fail(err)
	}
	value, err := c.send(ctx, ask{line: append(line, '\n'), file: file})
	if err != nil {
		return fail(err)
	}
	if reply == nil {
		return nil
	}
	if err := json.Unmarshal(value, reply); err != nil {
		return fail(fmt.Errorf("value %.80q: %w", value, err))
	}
	return nil
}

// send hands a command to the owner and waits; the deadline closes the connection.
func (c *Conn) send(ctx context.Context, a ask) (json.RawMessage, error) {
	reply := make(chan answer, 1)
	a.reply = reply
	select {
	case c.asks <- a:
	case <-c.done:
		return nil, ErrClosed
	case <-ctx.Done():
		_ = c.Close()
		return nil, ctx.Err()
	}
	select {
	case r := <-reply:
		if r.err != nil && c.filter.events.closed() {
			r.err = fmt.Errorf("%w: %v", ErrClosed, r.err) // go-qemu says "unexpected end of JSON input"
		}
		return r.value, r.err
	case <-ctx.Done():
		_ = c.Close()
		return nil, fmt.Errorf("no answer: %w", ctx.Err())
	}
}

// Close ends the session.
func (c *Conn) Close() error { return c.close() }

func patient(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, Patience)
}

// short names a socket by its machine: the last two parts of its path.
func short(path string) string {
	return filepath.Join(filepath.Base(filepath.Dir(path)), filepath.Base(path))
}
