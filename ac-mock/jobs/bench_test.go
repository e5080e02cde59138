package jobs

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/g8os/g8os/ac-mock/jobs/output"
	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/ac-mock/store/etcd"
	"github.com/g8os/g8os/core/api"
)

// quick is a session of a node that ends each job at once.
type quick struct {
	q    *Queue
	node api.NodeID
	in   chan api.Frame
}

func (s *quick) Send(f api.Frame) { s.in <- f }
func (s *quick) Cut(string)       {}

func (s *quick) run() {
	for f := range s.in {
		if f.Type == api.FrameExec {
			s.q.Received(s.node, api.Frame{Type: api.FrameOutput, Job: f.Job, Seq: 1, Stream: "stdout", Data: []byte("hello\n")})
			s.q.Received(s.node, api.Frame{Type: api.FrameExit, Job: f.Job, Seq: 2, State: api.JobSuccess})
		}
	}
}

// mute is a session that is told things and does nothing.
type mute struct{}

func (mute) Send(api.Frame) {}
func (mute) Cut(string)     {}

// durable is a Queue on etcd and real files, with nodes.
func durable(b *testing.B, nodes int) (*Queue, []api.Node) {
	st, err := etcd.Open(b.Context(), etcd.Options{Dir: b.TempDir(), Name: "ac1", Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		b.Fatal(err)
	}
	said, err := output.Open(output.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	var n atomic.Int64
	q, err := Open(b.Context(), Options{
		Store: st, Output: said, AC: "ac1", Noted: func() {}, Name: func(id api.NodeID) string { return string(id) },
		Entry: func(_, _ string, _ api.NodeID, d string) (store.Op, error) {
			return store.Put(fmt.Sprintf("audit/%019d", n.Add(1)), []byte(d)), nil
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	var list []api.Node
	var sessions []*quick
	for i := range nodes {
		s := &quick{q, api.NodeID(fmt.Sprintf("020000%06x", i)), make(chan api.Frame, 10_000)}
		go s.run()
		q.Attached(s.node, s)
		sessions, list = append(sessions, s), append(list, api.Node{ID: s.node})
	}
	b.Cleanup(func() {
		q.Close()
		for _, s := range sessions {
			close(s.in)
		}
		_ = st.Close()
	})
	return q, list
}

// do makes a job and follows it to its end; first is when the first node had it.
func do(b *testing.B, q *Queue, nodes []api.Node) (first, all time.Duration) {
	began := time.Now()
	o := Order{By: "operator", Nodes: nodes, Request: api.JobRequest{ID: NewID(), Exec: api.ExecRequest{Argv: []string{"true"}}}}
	if _, err := q.Make(b.Context(), o); err != nil {
		b.Error(err)
		return 0, 0
	}
	err := q.Follow(context.Background(), o.Request.ID, "", true, func(e api.JobEvent) error {
		if e.State.Ended() && first == 0 {
			first = time.Since(began)
		}
		return nil
	}, nil)
	if err != nil {
		b.Error(err)
	}
	return first, time.Since(began)
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// BenchmarkJob is a job on one node, durable at each step, with nothing else to do.
func BenchmarkJob(b *testing.B) {
	q, nodes := durable(b, 1)
	var took []time.Duration
	for b.Loop() {
		_, all := do(b, q, nodes)
		took = append(took, all)
	}
	slices.Sort(took)
	b.ReportMetric(ms(took[len(took)/2]), "ms-p50-job")
	b.ReportMetric(ms(took[len(took)*99/100]), "ms-p99-job")
}

// BenchmarkFanOut is a job on 100 nodes.
func BenchmarkFanOut(b *testing.B) {
	q, nodes := durable(b, 100)
	var firsts, alls []time.Duration
	for b.Loop() {
		first, all := do(b, q, nodes)
		firsts, alls = append(firsts, first), append(alls, all)
	}
	slices.Sort(firsts)
	slices.Sort(alls)
	b.ReportMetric(ms(firsts[len(firsts)/2]), "ms-first-of-100")
	b.ReportMetric(ms(alls[len(alls)/2]), "ms-all-of-100")
}

// BenchmarkRate is 1000 operators who each have a job run on one of 100 nodes.
func BenchmarkRate(b *testing.B) {
	q, nodes := durable(b, 100)
	const jobs = 1000
	for b.Loop() {
		began := time.Now()
		var wg sync.WaitGroup
		for i := range jobs {
			wg.Go(func() { do(b, q, nodes[i%100:i%100+1]) })
		}
		wg.Wait()
		b.ReportMetric(jobs/time.Since(began).Seconds(), "jobs/s")
	}
}

// BenchmarkOutput is what one node says, until it is durable.
func BenchmarkOutput(b *testing.B) {
	q, nodes := durable(b, 1)
	q.Attached(nodes[0].ID, mute{})
	o := Order{By: "operator", Nodes: nodes, Request: api.JobRequest{ID: NewID(), Exec: api.ExecRequest{Argv: []string{"true"}}}}
	if _, err := q.Make(b.Context(), o); err != nil {
		b.Fatal(err)
	}
	data, seq, began := make([]byte, 32<<10), uint64(0), time.Now()
	for b.Loop() {
		seq++
		q.Received(nodes[0].ID, api.Frame{Type: api.FrameOutput, Job: o.Request.ID, Seq: seq, Stream: "stdout", Data: data})
		q.Absorb(b.Context(), nodes[0].ID)
	}
	b.ReportMetric(float64(seq)*float64(len(data))/1e6/time.Since(began).Seconds(), "MB/s-output")
}
