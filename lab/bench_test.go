package lab_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/ac-mock/client"
	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/lab"
)

// idleGrid is a lab of two nodes with the real binaries (G8LAB_BIN, or those of
// make build), and who operates it.
func idleGrid(b *testing.B) (*lab.Lab, *client.Client) {
	b.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	l, err := lab.Up(ctx, parse(b, small), lab.Options{Name: name("bench")})
	b.Cleanup(func() {
		if err := lab.Down(context.Background(), name("bench"), lab.DownOptions{}); err != nil {
			b.Error(err)
		}
	})
	if err == nil {
		err = l.WaitManaged(ctx)
	}
	if err != nil {
		b.Fatal(err)
	}
	c, err := l.AC("ac1").Client()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	return l, c
}

// BenchmarkRoundTrip is a job that does nothing on an idle grid of namespaces,
// from being asked for to its end being told, with all that is durable between.
func BenchmarkRoundTrip(b *testing.B) {
	l, c := idleGrid(b)
	node := string(l.Nodes()[0].ID())
	var all []time.Duration
	for b.Loop() {
		began := time.Now()
		code, err := c.Exec(b.Context(), node, api.ExecRequest{Argv: []string{"true"}}, client.ExecOptions{})
		if err != nil || code != 0 {
			b.Fatalf("code %d, %v", code, err)
		}
		all = append(all, time.Since(began))
	}
	slices.Sort(all)
	at := func(share float64) float64 { return all[int(share*float64(len(all)-1))].Seconds() * 1000 }
	b.ReportMetric(at(0.5), "ms-p50-grid")
	b.ReportMetric(at(0.99), "ms-p99-grid")
}

// BenchmarkOutput is a job that says much, from its pipe through the session to
// its operator, and by how much that makes the core and the AC larger.
func BenchmarkOutput(b *testing.B) {
	const spoken = 1 << 30
	l, c := idleGrid(b)
	core0, ac0 := resident(b, l)
	core, ac := core0, ac0
	done := make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for every := time.Tick(200 * time.Millisecond); ; {
			select {
			case <-done:
				return
			case <-every:
			}
			x, y := resident(b, l)
			core, ac = max(core, x), max(ac, y)
		}
	}()
	var heard counted
	began := time.Now()
	for b.Loop() {
		argv := []string{"head", "-c", strconv.Itoa(spoken), "/dev/zero"}
		if code, err := c.Exec(b.Context(), string(l.Nodes()[0].ID()), api.ExecRequest{Argv: argv}, client.ExecOptions{Stdout: &heard}); err != nil || code != 0 {
			b.Fatalf("code %d, %v", code, err)
		}
	}
	took := time.Since(began)
	close(done)
	<-watched
	b.ReportMetric(float64(heard)/1e6/took.Seconds(), "MB/s-grid")
	b.ReportMetric(core-core0, "MiB-core-grows")
	b.ReportMetric(ac-ac0, "MiB-AC-grows")
}

// counted is how many bytes were written.
type counted int64

func (n *counted) Write(p []byte) (int, error) { *n += counted(len(p)); return len(p), nil }

// resident is the MiB of memory that the core of the first node and the AC have.
func resident(b *testing.B, l *lab.Lab) (core, ac float64) {
	n := l.Nodes()[0]
	state, err := n.Core(b.Context())
	if err != nil {
		b.Error(err)
	}
	r, err := n.Exec(b.Context(), "cat", fmt.Sprintf("/proc/%d/status", state.PID))
	if err != nil {
		b.Error(err)
	}
	page, err := l.AC("ac1").MetricsPage(b.Context())
	if err != nil {
		b.Error(err)
	}
	return number(b, r.Stdout, "VmRSS:") / 1024, number(b, page, "process_resident_memory_bytes ") / (1 << 20)
}

// number is what follows a word at the beginning of a line.
func number(b *testing.B, text, word string) float64 {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, word); ok {
			n, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			if err != nil {
				b.Error(err)
			}
			return n
		}
	}
	b.Errorf("no %q in %.80q", word, text)
	return 0
}
