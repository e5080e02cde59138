package ether

import (
	"errors"
	"net/netip"
	"slices"
	"time"
)

// Why a connection could not be made, or has ended.
var (
	ErrRefused     = errors.New("connection refused")
	ErrReset       = errors.New("connection reset by peer")
	ErrUnreachable = errors.New("no route to host")
	ErrClosed      = errors.New("the connection was closed")
)

// Times of a kernel's TCP (Linux 6.1).
const (
	synAgain    = time.Second            // doubled with each attempt
	unreachable = 3 * time.Second        // without an answer to ARP
	resendFirst = 200 * time.Millisecond // doubled with each attempt
	resendLast  = 30 * time.Second       // then an end that nobody holds any more is given up
	resendMost  = 2 * time.Minute
)

// End is one end of a connection.
type End struct {
	NIC  *NIC
	Addr netip.Addr // on NIC

	// Received and Ended are the owner's. Ended is called once, with the reason
	// (ErrClosed when the other end closed it in order), unless this end closed it.
	Received func(message any)
	Ended    func(error)

	peer    *End
	queue   []queued
	sending bool
	flight  flight
	gone    bool // closed here, or the process or the power is gone
	index   int  // in the host's ends
	boot    int  // of the host, when it was made
}

// flight is the message of an End that is under way where no fault is: there is
// one at a time, and one copy of it.
type flight struct {
	q      queued
	again  time.Duration // until it is sent once more, if it does not arrive
	landed func()        // made once
}

type queued struct {
	message any
	size    int
	fin     bool
}

// Listen has every connection to the host handed to accept; nil: refused.
func (h *Host) Listen(accept func(*End)) { h.accept = accept }

func (e *End) register() {
	h := e.NIC.Host
	e.index, e.boot = len(h.ends), h.boots
	h.ends = append(h.ends, e)
}

func (e *End) forget() {
	e.gone, e.queue = true, nil
	h := e.NIC.Host
	last := h.ends[len(h.ends)-1]
	h.ends[e.index], last.index = last, e.index
	h.ends[len(h.ends)-1] = nil
	h.ends = h.ends[:len(h.ends)-1]
}

// Peer is the name of the host at the other end.
func (e *End) Peer() string { return e.peer.NIC.Host.Name }

// Open says whether this end is still in use.
func (e *End) Open() bool { return !e.gone }

// PeerAddr is the address of the other end.
func (e *End) PeerAddr() netip.Addr { return e.peer.Addr }

// Send sends a message of a size in bytes; after the end it is dropped.
func (e *End) Send(message any, size int) {
	if e.gone {
		return
	}
	e.queue = append(e.queue, queued{message: message, size: size})
	e.pump(resendFirst)
}

// Close ends the connection in order, after what was sent: the kernel goes on
// sending for an end that nobody holds any more.
func (e *End) Close() {
	if e.gone {
		return
	}
	rest := e.queue
	e.forget()
	e.queue = append(rest, queued{fin: true, size: arpSize})
	e.pump(resendFirst)
}

// Abort ends it at once: the other end hears of a reset, if that arrives.
func (e *End) Abort() {
	if e.gone {
		return
	}
	e.forget()
	e.NIC.Host.net.send(e.NIC, e.peer.NIC, arpSize, whole(func() { e.peer.fail(ErrReset) }))
}

// fail tells the owner that the connection is over.
func (e *End) fail(err error) {
	if e.gone {
		return
	}
	e.forget()
	if e.Ended != nil {
		e.Ended(err)
	}
}

// pump sends what is first in the queue, and then the next, until the queue is
// empty. What does not arrive is sent again, later each time.
func (e *End) pump(again time.Duration) {
	if e.sending || len(e.queue) == 0 || e.boot != e.NIC.Host.boots {
		return
	}
	if e.gone && again > resendLast { // nobody waits for it: Linux gives up
		e.queue = nil
		return
	}
	e.sending = true
	if len(e.NIC.Host.net.rules) == 0 && e.NIC.Has(e.Addr) {
		e.fly(again)
		return
	}
	e.scatter(again)
}

// fly sends what is first in the queue where no fault of links is in force.
func (e *End) fly(again time.Duration) {
	if e.flight.landed == nil {
		e.flight.landed = e.land
	}
	e.flight.q, e.flight.again = e.queue[0], again
	if !e.NIC.Host.net.sendOne(e.NIC, e.peer.NIC, e.flight.landed) {
		e.retry(again)
	}
}

func (e *End) land() {
	if e.NIC.reaches(e.peer.NIC) && e.peer.NIC.Has(e.peer.Addr) {
		e.delivered(e.flight.q)
		return
	}
	e.retry(e.flight.again)
}

// retry sends what is first in the queue once more, later.
func (e *End) retry(again time.Duration) {
	e.NIC.Host.net.e.After(again, func() {
		e.sending = false
		e.pump(min(2*again, resendMost))
	})
}

// scatter sends it where copies of it may be lost, late and several.
func (e *End) scatter(again time.Duration) {
	n, q := e.NIC.Host.net, e.queue[0]
	copies, arrived := 0, false
	if e.NIC.Has(e.Addr) {
		copies = n.send(e.NIC, e.peer.NIC, q.size, func(ok bool) {
			copies--
			switch {
			case arrived:
			case ok && e.peer.NIC.Has(e.peer.Addr):
				arrived = true
				e.delivered(q)
			case copies == 0:
				e.retry(again)
			}
		})
	}
	if copies == 0 {
		e.retry(again)
	}
}

// delivered is at the receiver. A kernel that does not know the connection any
// more says so.
func (e *End) delivered(q queued) {
	e.sending = false
	if len(e.queue) > 0 {
		e.queue = slices.Delete(e.queue, 0, 1)
	}
	switch {
	case e.peer.gone:
		e.NIC.Host.net.send(e.peer.NIC, e.NIC, arpSize, whole(func() { e.fail(ErrReset) }))
	case q.fin:
		e.peer.fail(ErrClosed)
	case e.peer.Received != nil:
		e.peer.Received(q.message)
	}
	e.pump(resendFirst)
}

// CloseAll ends the connections of a process that was killed: its kernel sends
// a reset for each.
func (h *Host) CloseAll() {
	for len(h.ends) > 0 {
		h.ends[len(h.ends)-1].Abort()
	}
}

// PowerCut takes the power: nobody is told of anything.
func (h *Host) PowerCut() {
	h.Powered, h.accept = false, nil
	h.boots++
	for len(h.ends) > 0 {
		h.ends[len(h.ends)-1].forget()
	}
	for _, x := range h.NICs {
		x.SetAddresses(nil)
		x.unwatch()
		x.Up = false
	}
}
