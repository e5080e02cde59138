package services

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// crowd is how many services are meant when many are.
const crowd = 200

// idleFor is how long a benchmark watches what nothing does.
const idleFor = 3 * time.Second

// BenchmarkTwoHundred starts as many, from their declarations until the last is
// ready, and then watches what they cost the supervisor while nothing happens.
// The run folder is in memory, as /run is.
func BenchmarkTwoHundred(b *testing.B) {
	var text strings.Builder
	for i := range crowd {
		fmt.Fprintf(&text, "[service.s%d]\ncommand = [\"sleep\", \"3000\"]\n", i)
	}
	var slowest, busiest float64
	for b.Loop() {
		p := &place{b, memory(b)}
		ready := make(chan string, crowd)
		s := New(Options{RunDir: p.path("run"), Ready: func(name string) { ready <- name }, Log: slog.New(slog.DiscardHandler)})
		begun := time.Now()
		s.Declare(p.declared(text.String()))
		for range crowd {
			<-ready
		}
		slowest = max(slowest, time.Since(begun).Seconds())
		before := used(b)
		time.Sleep(idleFor)
		busiest = max(busiest, (used(b)-before).Seconds()/idleFor.Seconds()*100)
		if err := s.Shutdown(b.Context()); err != nil {
			b.Fatal(err)
		}
		s.Leave()
	}
	b.ReportMetric(slowest, "s-200-services")
	b.ReportMetric(busiest, "%-200-services")
}

// memory is a folder in memory, where the machine has one.
func memory(b *testing.B) string {
	dir, err := os.MkdirTemp("/dev/shm", "services-")
	if err != nil {
		return b.TempDir()
	}
	b.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// used is the processor time of this process so far.
func used(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
