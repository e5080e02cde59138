package intake

import (
	"fmt"
	"testing"
	"time"

	"github.com/g8os/g8os/core/api"
)

var start = time.Unix(1e9, 0)

func event(seq int) api.NodeEvent {
	return api.NodeEvent{Seq: uint64(seq), Time: start.Add(time.Duration(seq))}
}

// seqs are the numbers of a node's events in a batch.
func seqs(items []Item, id api.NodeID) (list []uint64) {
	for _, x := range items {
		if x.Node == id {
			list = append(list, x.Event.Seq)
		}
	}
	return list
}

// A node that floods has what it may; another one's event is in the next batch.
func TestAFloodDelaysNobodyElse(t *testing.T) {
	in := New()
	taken := 0
	for i := range 100_000 {
		if in.Take("flood", event(i+1), start) {
			taken++
		}
	}
	if taken != room {
		t.Errorf("%d events of a flood are kept, want %d", taken, room)
	}
	in.Take("calm", event(1), start)
	items := in.Next(start, 10)
	if len(items) != 10 || len(seqs(items, "calm")) != 1 {
		t.Errorf("the batch is %+v", items)
	}
	if acks := in.Written(); len(acks) != 2 || acks[1] != (Ack{"flood", 9}) {
		t.Errorf("acknowledged: %+v", acks)
	}
	// No more than burst and then perSecond of it are written.
	written := 9
	for n := -1; n != 0; written += n {
		n = len(in.Next(start, 10))
		in.Written()
	}
	if written != burst {
		t.Errorf("%d of the flood are written at once, want %d", written, burst)
	}
	wait, more := in.Wait(start)
	if !more || wait <= 0 || wait > time.Second {
		t.Errorf("goes on after %s, %v", wait, more)
	}
	if n := len(in.Next(start.Add(time.Second), 100)); n != perSecond {
		t.Errorf("%d a second later, want %d", n, perSecond)
	}
}

// What was ignored is never said to be safe: nothing beyond it is taken until
// it comes again.
func TestNoGap(t *testing.T) {
	in := New()
	for i := range room {
		in.Take("n", event(i+1), start)
	}
	lost := room + 1
	for i := lost; i < lost+3; i++ {
		if in.Take("n", event(i), start) {
			t.Fatalf("event %d is taken, there is no room", i)
		}
	}
	now := start
	for in.Waiting() > 0 {
		now = now.Add(time.Minute)
		in.Next(now, 100)
		for _, a := range in.Written() {
			if a.Seq >= uint64(lost) {
				t.Fatalf("acknowledged: %+v", a)
			}
		}
	}
	if in.Take("n", event(lost+1), now) {
		t.Error("one after a gap is taken")
	}
	for i := room - 5; i < lost+3; i++ { // the next session
		if !in.Take("n", event(i), now) {
			t.Errorf("event %d is not taken when it comes again", i)
		}
	}
}

// A failed batch comes again, in order, and what is sent again meanwhile is no
// second one.
func TestFailed(t *testing.T) {
	in := New()
	for i := range 3 {
		in.Take("n", event(i+1), start)
	}
	in.Next(start, 2)
	if !in.Take("n", event(1), start) || !in.Take("n", event(3), start) {
		t.Error("what is sent again is ignored")
	}
	in.Failed()
	if got := fmt.Sprint(seqs(in.Next(start, 10), "n")); got != "[1 2 3]" {
		t.Errorf("then %s are written", got)
	}
	in.Written()
	if in.Waiting() != 0 {
		t.Errorf("%d wait", in.Waiting())
	}
}

// Nodes that come and go leave nothing behind.
func TestForgets(t *testing.T) {
	in := New()
	for i := range 3 * most {
		now := start.Add(time.Duration(i) * time.Second)
		in.Take(api.NodeID(fmt.Sprint("n", i)), event(1), now)
		in.Next(now, 10)
		in.Written()
	}
	if most := 2 * int(forget/time.Second); len(in.nodes) > most {
		t.Errorf("%d nodes are remembered, want at most %d", len(in.nodes), most)
	}
	for i := range 3 * most {
		in.Take(api.NodeID(fmt.Sprint("n", i)), event(1), start)
	}
	if in.Waiting() > most {
		t.Errorf("%d wait, want at most %d", in.Waiting(), most)
	}
}
