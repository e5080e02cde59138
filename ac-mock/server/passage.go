package server

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/internal/duplex"
)

// farewell is how long an operator who does not read may hold up the end of his
// channel.
const farewell = 300 * time.Millisecond

// codeLost is the exit code of a channel whose end nobody knows.
const codeLost = 255

// passage carries the frames of one channel between an operator and a node, or
// another AC that has the node's session. It holds one frame each way.
type passage struct {
	operator, far duplex.Transport
	leave         func() // closes the operator's side in order: what was sent to him arrives
	relay         bool   // another AC has the session: open is for it to read
	open          api.ChannelOpen
	began         time.Time
	sent, got     atomic.Int64 // bytes of data to the node, and from it
	end           api.ChannelEnd
}

// refuse ends a passage that was not opened.
func (p *passage) refuse(err error) {
	p.say(api.ChannelEnd{Code: codeLost, Error: err.Error()})
	p.leave()
}

// run carries frames until the node says that the channel is over, either side
// is gone, or ctx ends.
func (p *passage) run(ctx context.Context) {
	up, down := make(chan error, 1), make(chan error, 1)
	go func() { up <- p.up() }()
	go func() { down <- p.down() }()
	var heard bool // the operator has been told of the end
	select {
	case err := <-down:
		down <- err
		if heard = err == nil; !heard {
			p.end = api.ChannelEnd{Code: codeLost, Error: fmt.Sprintf("the node's session with its AC ended: %v", err)}
		}
	case err := <-up:
		up <- err
		p.end = api.ChannelEnd{Code: codeLost, Error: fmt.Sprintf("the operator went away: %v", err)}
	case <-ctx.Done():
		p.end = api.ChannelEnd{Code: codeLost, Error: context.Cause(ctx).Error()}
	}
	closed := make(chan struct{})
	go func() { // nothing more reaches the node; a link that is stuck must not keep the operator
		_ = p.far.Close()
		close(closed)
	}()
	if !heard {
		p.say(p.end)
	}
	p.leave()
	<-closed
	<-up
	<-down
}

// say tells the operator of the end, if he listens.
func (p *passage) say(end api.ChannelEnd) {
	f, err := api.JSONFrame(api.FrameEnd, end)
	if err != nil {
		return
	}
	late := time.AfterFunc(farewell, func() { _ = p.operator.Close() })
	defer late.Stop()
	_ = p.operator.Send(f)
}

// up carries what the operator sends.
func (p *passage) up() error {
	for {
		f, err := p.operator.Receive()
		if err != nil {
			return err
		}
		switch f.Kind {
		case api.FrameData:
			p.sent.Add(int64(len(f.Data)))
		case api.FrameEOF, api.FrameTaken, api.FrameResize:
		case api.FrameOpen:
			if p.relay {
				break
			}
			fallthrough
		default:
			return fmt.Errorf("a frame %q is not an operator's", rune(f.Kind))
		}
		if err := p.far.Send(f); err != nil {
			return err
		}
	}
}

// down carries what the node sends, up to its end, for which it returns nil.
func (p *passage) down() error {
	for {
		f, err := p.far.Receive()
		if err != nil {
			return err
		}
		switch f.Kind {
		case api.FrameData, api.FrameErrors:
			p.got.Add(int64(len(f.Data)))
		case api.FrameEnd:
			if err := f.Decode(&p.end); err != nil {
				return err
			}
		case api.FrameEOF, api.FrameTaken, api.FrameReady:
		default:
			return fmt.Errorf("a frame %q is not a node's", rune(f.Kind))
		}
		if err := p.operator.Send(f); err != nil {
			return err
		}
		if f.Kind == api.FrameEnd {
			return nil
		}
	}
}
