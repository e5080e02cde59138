package node

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/boot"
	"github.com/g8os/g8os/core/clock"
	"github.com/g8os/g8os/core/find"
	"github.com/g8os/g8os/core/managed"
	"github.com/g8os/g8os/lab/sim/channel"
	"github.com/g8os/g8os/lab/sim/ether"
)

// client is a connection to an AC that has proved itself: core/find's Conn.
type client struct {
	op      *operation
	end     *ether.End
	shown   channel.Shown
	ac      api.Identity
	answer  func(any, error) // whoever waits for the next message; nil: nobody
	inbox   []any            // messages that nobody waited for
	failure error
}

// dial connects over a path and has the server prove itself. cert is shown if
// there is one.
func (op *operation) dial(p boot.Path, cert []*x509.Certificate) (*client, error) {
	c := op.core
	to, err := address(p.Controller)
	if err != nil {
		return nil, err
	}
	x := c.nic(p.Interface)
	if x == nil {
		return nil, fmt.Errorf("connect to %s: %w: %s is gone", p.Controller, ether.ErrUnreachable, p.Interface)
	}
	k := &client{op: op}
	var stop func()
	k.end, err = wait(op, func(answer func(*ether.End, error)) { stop = x.Dial(p.Address.Addr(), to, answer) })
	if err != nil {
		if stop != nil {
			stop()
		}
		return nil, fmt.Errorf("connect to %s: %w", p.Controller, err)
	}
	op.clients = append(op.clients, k)
	k.end.Received = k.received
	k.end.Ended = func(err error) { k.received(err) }
	k.end.Send(channel.Hello{Client: cert}, channel.HelloSize)
	message, err := k.next()
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("%w: %w", find.ErrLate, err)
	}
	if err != nil {
		return nil, fmt.Errorf("TLS with %s: %w", p.Controller, err)
	}
	return k, k.judge(p, message)
}

// judge decides as core/find does.
func (k *client) judge(p boot.Path, message any) error {
	shown, ok := message.(channel.Shown)
	if !ok {
		return fmt.Errorf("TLS with %s: %w: it said %T", p.Controller, api.ErrNotAC, message)
	}
	n := k.op.core.Node
	id, doubtful, err := n.o.Judge.Server(shown.Chain, clock.Read(n))
	if err != nil {
		k.close()
		return fmt.Errorf("TLS with %s: %w", p.Controller, err)
	}
	k.shown, k.ac = shown, id
	if doubtful {
		if err := k.repairClock(); err != nil {
			k.close()
			return err
		}
	}
	n.o.Watcher.Trusts(n, k.end.Peer(), shown.Genuine)
	return nil
}

func (k *client) repairClock() error {
	hello, err := k.hello()
	if err != nil {
		return err
	}
	n := k.op.core.Node
	if err := n.o.Judge.Believe(k.shown.Chain, hello.Time, clock.Read(n)); err != nil {
		return err
	}
	return n.Set(hello.Time)
}

// compareClock does as that of core/find.
func (k *client) compareClock() error {
	hello, err := k.hello()
	if err != nil {
		return err
	}
	n := k.op.core.Node
	behind, err := n.o.Judge.Behind(k.shown.Chain, hello.Time, clock.Read(n))
	if !behind {
		return err
	}
	return n.Set(hello.Time)
}

func (k *client) hello() (api.Hello, error) {
	var h api.Hello
	err := k.Post(k.op.ctx, api.PathHello, nil, &h)
	return h, err
}

// received takes a message, or the end of the connection.
func (k *client) received(message any) {
	if err, ended := message.(error); ended {
		k.failure = err
		message = nil
	}
	switch answer := k.answer; {
	case answer != nil:
		k.answer = nil
		answer(message, k.failure)
	case message != nil:
		k.inbox = append(k.inbox, message)
	}
}

// next waits for the next message.
func (k *client) next() (any, error) {
	if len(k.inbox) > 0 {
		first := k.inbox[0]
		k.inbox = k.inbox[1:]
		return first, nil
	}
	if k.failure != nil {
		return nil, k.failure
	}
	return wait(k.op, func(answer func(any, error)) { k.answer = answer })
}

func (k *client) close() {
	if k.end != nil {
		k.end.Close()
		k.end = nil
	}
}

// Binding is the connection's channel binding.
func (k *client) Binding() ([]byte, error) { return k.shown.Binding, nil }

// Post asks the AC, as core/find's Conn does.
func (k *client) Post(_ context.Context, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	r, err := k.ask(path, body)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", path, err)
	case r.Status == http.StatusForbidden:
		return fmt.Errorf("%s: %w", path, api.ErrRefused)
	case r.Status != http.StatusOK:
		return &find.StatusError{Path: path, Status: r.Status}
	case out == nil:
		return nil
	}
	if err := json.Unmarshal(r.Body, out); err != nil {
		return fmt.Errorf("%s: the answer is no such JSON: %w", path, err)
	}
	return nil
}

func (k *client) ask(path string, body []byte) (channel.Response, error) {
	if k.end == nil {
		return channel.Response{}, ether.ErrClosed
	}
	k.end.Send(channel.Request{Path: path, Body: body}, channel.RequestHead+len(body))
	message, err := k.next()
	if err != nil {
		return channel.Response{}, err
	}
	switch m := message.(type) {
	case channel.Response:
		return m, nil
	case channel.Alert:
		return channel.Response{}, fmt.Errorf("%w: %s", managed.ErrDistrusted, m.Reason)
	}
	return channel.Response{}, fmt.Errorf("%w: it said %T", errAnswer, message)
}

var errAnswer = errors.New("that is no answer")

// address is where a controller is. The simulator has no DNS.
func address(controller string) (netip.Addr, error) {
	u, err := url.Parse(controller)
	if err != nil || u.Scheme != "https" {
		return netip.Addr{}, fmt.Errorf("controller %q: want https://HOST:PORT", controller)
	}
	a, err := netip.ParseAddr(u.Hostname())
	if err != nil {
		return netip.Addr{}, fmt.Errorf("controller %q: there is no DNS in the simulator: want an address", controller)
	}
	return a, nil
}
