package server

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"runtime"
	"runtime/metrics"
	"slices"
	"testing"

	"github.com/g8os/g8os/ac-mock/enrol"
	"github.com/g8os/g8os/core/api"
)

// BenchmarkGrowth prints what a node costs beside 10 000 others, of what it
// costs beside 100: memory of a session, CPU of a heartbeat and of opening a
// session. Bound: 1.1, the worst of them.
func BenchmarkGrowth(b *testing.B) {
	const few, many, beats, rounds = 100, 10000, 3, 20
	r := newRealRig(b, enrol.ModeOpen)
	certs := r.enrolled(many)
	r.load(b, certs[:few], beats, 1) // what is made once is made now
	var least, most cost
	for b.Loop() {
		// Few first: what many have left behind goes while few are weighed.
		light, heavy := r.weigh(b, certs[:few], rounds/2), r.weigh(b, certs, 1)
		least, most = r.load(b, certs[:few], beats, rounds), r.load(b, certs, beats, 1)
		least.bytes, most.bytes = light, heavy
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(most.bytes/1024, "KiB-in-use/node")
	b.ReportMetric(most.bytes/least.bytes, "x-linear")
	b.ReportMetric(most.beat/least.beat, "x-linear-beat")
	b.ReportMetric(most.open/least.open, "x-linear-open")
}

// cost is that of one node: bytes in use, seconds of CPU.
type cost struct{ bytes, open, beat float64 }

// hold opens a session for each certificate; end closes them all.
func (r *rig) hold(b *testing.B, certs []tls.Certificate, beats int) (beat, end func()) {
	b.Helper()
	beat, stop := clients{Addr: r.addr, Dials: len(certs), Upgrade: true, Hold: true, Beats: beats}.begin(b, certs)
	eventually(b, "all sessions", func() bool { return r.srv.Sessions() == len(certs) })
	return beat, func() {
		stop()
		eventually(b, "none is left", func() bool { return r.srv.Sessions() == 0 })
	}
}

// load says what opening a session and a heartbeat cost in CPU. Collecting
// garbage is part of it, and happens when it does.
func (r *rig) load(b *testing.B, certs []tls.Certificate, beats, times int) (c cost) {
	b.Helper()
	for range times {
		began := cpu(b)
		beat, end := r.hold(b, certs, beats)
		opened := cpu(b)
		beat()
		c.beat += (cpu(b) - opened).Seconds()
		c.open += (opened - began).Seconds()
		end()
	}
	each := float64(len(certs) * times)
	return cost{open: c.open / each, beat: c.beat / each / float64(beats)}
}

// weigh says how many bytes a session takes: the median of some tries, as what
// others have left may go during one.
func (r *rig) weigh(b *testing.B, certs []tls.Certificate, times int) float64 {
	b.Helper()
	var all []float64
	for range times {
		before := inUse()
		_, end := r.hold(b, certs, 0)
		all = append(all, (float64(inUse())-float64(before))/float64(len(certs)))
		end()
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// inUse is the memory of live objects, and what is used of stacks, in bytes, once
// collecting makes it no less. Stacks themselves are had in spans, which a hundred
// sessions find half empty and ten thousand do not.
func inUse() uint64 {
	var m runtime.MemStats
	stacks := []metrics.Sample{{Name: "/gc/scan/stack:bytes"}}
	for last := uint64(0); ; {
		runtime.GC()
		runtime.ReadMemStats(&m)
		metrics.Read(stacks)
		now := m.HeapAlloc + stacks[0].Value.Uint64()
		if last > 0 && now+settled >= last {
			return now
		}
		last = now
	}
}

// settled is by how much memory may differ from one collection to the next.
const settled = 16 << 10

// beat sends heartbeats over sessions and waits for each answer.
func (c clients) beat(sessions []net.Conn) error {
	for _, s := range sessions {
		in := bufio.NewReader(s)
		for i := range c.Beats {
			text, err := json.Marshal(api.Frame{Type: api.FrameHeartbeat, Seq: uint64(i + 1)})
			if err != nil {
				return err
			}
			// RFC 6455, 5.2: a final text frame, masked with zeroes.
			if _, err := s.Write(append([]byte{0x81, 0x80 | byte(len(text)), 0, 0, 0, 0}, text...)); err != nil {
				return err
			}
			if err := answeredBeat(in); err != nil {
				return err
			}
		}
	}
	return nil
}

// answeredBeat reads frames up to a heartbeat.
func answeredBeat(in *bufio.Reader) error {
	for {
		head := make([]byte, 2)
		if _, err := io.ReadFull(in, head); err != nil {
			return err
		}
		size := int(head[1] & 0x7f)
		if size == 126 {
			long := make([]byte, 2)
			if _, err := io.ReadFull(in, long); err != nil {
				return err
			}
			size = int(long[0])<<8 | int(long[1])
		}
		text := make([]byte, size)
		if _, err := io.ReadFull(in, text); err != nil {
			return err
		}
		var f api.Frame
		if err := json.Unmarshal(text, &f); err != nil || f.Type == api.FrameHeartbeat {
			return err
		}
	}
}
