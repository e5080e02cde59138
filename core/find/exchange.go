package find

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"sync"
)

// maxHead bounds the head of an answer, in bytes.
const maxHead = 16 << 10

var errUsedUp = errors.New("the connection to the AC is used up")

// exchange speaks HTTP/1.1 on one connection, and never on another: a nonce is
// good on its own only. http.Transport gives a connection up when its machine
// is slow to go on after it has sent.
type exchange struct {
	conn  io.ReadWriteCloser
	limit *io.LimitedReader // what may still come
	in    *bufio.Reader
	once  sync.Once // conn is closed once
	used  bool      // no further request
}

func newExchange(conn io.ReadWriteCloser) *exchange {
	limit := &io.LimitedReader{R: conn, N: math.MaxInt64}
	return &exchange{conn: conn, limit: limit, in: bufio.NewReaderSize(limit, 4096)}
}

func (x *exchange) close() { x.once.Do(func() { _ = x.conn.Close() }) }

// roundTrip sends a request and reads the head of its answer. The body is to be
// read to its end, or the connection is used up; while it is read ctx of the
// request still counts. After 101 the body is the connection.
func (x *exchange) roundTrip(r *http.Request) (*http.Response, error) {
	if x.used {
		return nil, errUsedUp
	}
	x.used = true // until the answer has been read
	stop := context.AfterFunc(r.Context(), x.close)
	resp, err := x.ask(r)
	if err != nil {
		stop()
		x.close()
		if r.Context().Err() != nil {
			err = context.Cause(r.Context())
		}
		return nil, err
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		if !stop() {
			return nil, context.Cause(r.Context())
		}
		resp.Body = upgraded{x, newGathered(x.conn)}
		return resp, nil
	}
	resp.Body = &answer{x: x, ctx: r.Context(), body: resp.Body, last: resp.Close, stop: stop}
	return resp, nil
}

// ask also reads when it could not send: an AC that wants no more of a request
// may have said why.
func (x *exchange) ask(r *http.Request) (*http.Response, error) {
	unsent := r.Write(x.conn)
	x.limit.N = maxHead
	defer func() { x.limit.N = math.MaxInt64 }()
	for {
		resp, err := http.ReadResponse(x.in, r)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("read the answer: %w", err), unsent)
		}
		if resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols {
			return resp, nil
		}
	}
}

// answer is the body of an answer. When it has been read to its end the
// connection is free for the next request.
type answer struct {
	x    *exchange
	ctx  context.Context
	body io.ReadCloser
	last bool // the AC closes after this answer
	stop func() bool
	done bool
}

func (a *answer) Read(b []byte) (int, error) {
	n, err := a.body.Read(b)
	switch {
	case err == io.EOF && !a.done:
		a.done = true
		a.x.used = !a.stop() || a.last
	case err != nil && a.ctx.Err() != nil:
		err = context.Cause(a.ctx)
	}
	return n, err
}

// Close gives the connection up when the answer was not read to its end: there
// may be no end to it.
func (a *answer) Close() error {
	if a.done {
		return a.body.Close()
	}
	a.stop()
	a.x.close()
	return nil
}

// upgraded is the connection after 101, on which a WebSocket follows. One
// goroutine may write at a time.
type upgraded struct {
	x   *exchange
	out *gathered
}

func (u upgraded) Read(b []byte) (int, error)  { return u.x.in.Read(b) }
func (u upgraded) Write(b []byte) (int, error) { return u.out.Write(b) }
func (u upgraded) Close() error                { u.x.close(); return nil }
