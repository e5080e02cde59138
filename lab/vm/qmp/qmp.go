// Package qmp speaks to a running QEMU over a monitor socket (QEMU Machine
// Protocol), through go-qemu.
//
// It promises what go-qemu's monitor does not: every call ends by its deadline,
// or after Patience if it has none; events never block a command; a reply is
// the reply to the command that was asked. It keeps to that by one goroutine
// that owns the monitor, a second that always drains events, an id on every
// command, and by closing the connection when a deadline passes: a Conn that
// failed that way stays closed.
//
// QEMU serves one client per socket: open a Conn for a short action, close it.
// Replies are bounded by go-qemu at 64 KiB, so query-qmp-schema is not for here.
package qmp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
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
	Name string
	Data map[string]any
}

// Conn is one session with a monitor.
type Conn struct {
	path   string
	mon    *goqemu.SocketMonitor
	asks   chan ask
	events *events
	done   chan struct{} // closed by Close
	close  func() error
	last   atomic.Int64 // number of the last command
}

// ask is a command on its way to the owner.
type ask struct {
	line  []byte
	id    string
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
	for {
		c, err := dialOnce(ctx, path)
		// The handshake takes an event that comes first for its answer; every
		// reply would then belong to the command before. The next session has
		// its events behind it.
		if !errors.Is(err, errOffByOne) || ctx.Err() != nil {
			return c, err
		}
	}
}

var errOffByOne = errors.New("an event came in the middle of the handshake")

func dialOnce(ctx context.Context, path string) (*Conn, error) {
	fail := func(err error) (*Conn, error) { return nil, fmt.Errorf("QEMU monitor %s: %w", short(path), err) }
	mon, err := goqemu.NewSocketMonitor("unix", path, Patience)
	if err != nil {
		return fail(err)
	}
	connected := make(chan error, 1)
	go func() { connected <- mon.Connect() }()
	select {
	case err := <-connected:
		if err != nil {
			_ = mon.Disconnect()
			return fail(fmt.Errorf("handshake: %w", err))
		}
	case <-ctx.Done():
		// Disconnect must not run beside Connect; it follows it whenever that
		// ends, at the latest with QEMU.
		go func() { <-connected; _ = mon.Disconnect() }()
		return fail(fmt.Errorf("does not answer: %w (QEMU hangs, or another client holds the socket)", ctx.Err()))
	}
	c := newConn(path, mon)
	if err := c.Run(ctx, "query-name", nil, nil); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

func newConn(path string, mon *goqemu.SocketMonitor) *Conn {
	c := &Conn{path: path, mon: mon, asks: make(chan ask), done: make(chan struct{}), events: newEvents()}
	c.close = sync.OnceValue(func() error { close(c.done); return mon.Disconnect() })
	stream, _ := mon.Events(context.Background()) // never fails
	go c.events.drain(stream)
	go c.own()
	return c
}

// own is the one goroutine that runs commands.
func (c *Conn) own() {
	for {
		select {
		case <-c.done:
			return
		case a := <-c.asks:
			raw, err := c.mon.RunWithFile(a.line, a.file)
			value, err := readReply(raw, err, a.id)
			a.reply <- answer{value, err}
		}
	}
}

// readReply checks that a reply is the one to the command with this id.
// Errors of QEMU have lost their id on the way; Dial's first command cannot fail.
func readReply(raw []byte, err error, id string) (json.RawMessage, error) {
	if err != nil {
		return nil, err
	}
	var r struct {
		ID     string          `json:"id"`
		Return json.RawMessage `json:"return"`
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		return nil, fmt.Errorf("reply %.80q: %w", raw, err)
	}
	if r.ID != id {
		return nil, errOffByOne
	}
	return r.Return, nil
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
	id := strconv.FormatInt(c.last.Add(1), 10)
	request := map[string]any{"execute": command, "id": id}
	if args != nil {
		request["arguments"] = args
	}
	line, err := json.Marshal(request)
	if err != nil {
		return fail(err)
	}
	value, err := c.send(ctx, ask{line: append(line, '\n'), id: id, file: file})
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
		if r.err != nil && c.events.closed() {
			r.err = ErrClosed // go-qemu says "unexpected end of JSON input"
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
