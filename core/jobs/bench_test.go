package jobs

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/g8os/g8os/core/api"
)

// BenchmarkOutput is what a job says, through pipe, stage and spool to a session.
func BenchmarkOutput(b *testing.B) {
	const size = 100 << 20
	b.SetBytes(size)
	j := New(Options{Spool: filepath.Join(b.TempDir(), "spool"), RunDir: b.TempDir(), Log: discard})
	if err := j.Open(testKey); err != nil {
		b.Fatal(err)
	}
	defer j.CancelAll()
	session, buf := j.Attach(), make([]byte, 0, 2*api.MaxPiece)
	for i := range b.N {
		j.Start(fmt.Sprint(i), api.ExecRequest{Argv: []string{"head", "-c", fmt.Sprint(size), "/dev/zero"}}, 0, false)
		for f, _ := j.Take(session, buf); f.Type != api.FrameExit; f, _ = j.Take(session, buf) {
			j.Ack(f.Job, f.Seq)
		}
	}
}

// BenchmarkRoundTrip is a job that does nothing, with its two durable writes.
func BenchmarkRoundTrip(b *testing.B) {
	j := New(Options{Spool: filepath.Join(b.TempDir(), "spool"), RunDir: b.TempDir(), Log: discard})
	if err := j.Open(testKey); err != nil {
		b.Fatal(err)
	}
	defer j.CancelAll()
	session := j.Attach()
	for i := range b.N {
		j.Start(fmt.Sprint(i), api.ExecRequest{Argv: []string{"true"}}, 0, false)
		for f, _ := j.Take(session, nil); f.Type != api.FrameExit; f, _ = j.Take(session, nil) {
			j.Ack(f.Job, f.Seq)
		}
		j.Ack(fmt.Sprint(i), 1)
	}
}
