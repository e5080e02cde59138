package ledger

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/g8os/g8os/core/api"
)

// TestOutboxLosesNothing drives an outbox through sessions that are cut at any
// moment: the receiver, which drops what it has by number, ends with every
// frame of every job, in order.
func TestOutboxLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := newOutbox()
		made, got := map[string]uint64{}, map[string]uint64{}
		jobs := []string{"a", "b", "c"}
		receive := func() {
			f, ok := o.next()
			if !ok {
				return
			}
			switch {
			case f.Seq == got[f.Job]+1:
				got[f.Job] = f.Seq
			case f.Seq > got[f.Job]+1:
				t.Fatalf("job %s: frame %d came after %d", f.Job, f.Seq, got[f.Job])
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"say": func(t *rapid.T) {
				j := rapid.SampledFrom(jobs).Draw(t, "job")
				made[j]++
				o.add(api.Frame{Job: j, Seq: made[j], Data: []byte("x")})
			},
			"send": func(*rapid.T) { receive() },
			"ack": func(t *rapid.T) {
				j := rapid.SampledFrom(jobs).Draw(t, "job")
				if got[j] > 0 {
					o.ack(j, rapid.Uint64Range(1, got[j]).Draw(t, "seq"))
				}
			},
			"cut": func(*rapid.T) { o.rewind() },
		})
		o.rewind()
		for range len(o.frames) {
			receive()
		}
		for _, j := range jobs {
			if got[j] != made[j] {
				t.Fatalf("job %s: %d of %d frames arrived", j, got[j], made[j])
			}
			o.ack(j, made[j])
		}
		if len(o.frames) != 0 || len(o.bytes) != 0 {
			t.Fatalf("after every acknowledgement %d frames and %v bytes are left", len(o.frames), o.bytes)
		}
	})
}
