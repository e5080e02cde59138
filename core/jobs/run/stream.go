package run

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/g8os/g8os/core/api"
)

const (
	// gather is how long pieces of output smaller than small are gathered. The
	// first one after a pause goes at once.
	gather = 5 * time.Millisecond
	small  = 8 << 10
	// pipeSize is how far a program may be ahead, also while no g8os_core reads.
	pipeSize = 1 << 20
	// stageSize is how large a stage becomes.
	stageSize = 1 << 20
)

// stream is one of a program's outputs. What is in the pipe is moved to a file
// first (the stage), which the kernel does as one step: a g8os_core that is
// killed has either left it in the pipe, or put it where the next one finds it.
//
//	pipe ──splice──▶ stage, bytes base to end ──▶ Sink, up to byte read
type stream struct {
	dir   string
	n     byte
	pipe  *os.File
	stage *os.File
	base  uint64
	plain bool // the pipe is read as usual: the file system cannot splice
	buf   []byte
	last  time.Time // when a piece was handed on
	stop  atomic.Bool

	mu        sync.Mutex // held while what is in the pipe is moved
	read, end uint64
}

func openStream(dir string, n byte, read uint64) (*stream, error) {
	s := &stream{dir: dir, n: n, read: read, end: read, base: read}
	var err error
	if s.pipe, err = os.OpenFile(filepath.Join(dir, strconv.Itoa(int(n))), os.O_RDONLY|syscall.O_NONBLOCK, 0); err != nil {
		return nil, err
	}
	if raw, err := s.pipe.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, pipeSize) }) // 64 KiB do too
	}
	if err = s.findStage(); err != nil {
		_ = s.pipe.Close()
		return nil, err
	}
	return s, nil
}

func (s *stream) stagePath() string {
	return filepath.Join(s.dir, fmt.Sprintf("%d.%016x", s.n, s.base))
}

// findStage opens the stage that there is, or a new one. A new one is begun only
// when everything in the old one was kept: the newest is what counts.
func (s *stream) findStage() error {
	old, err := filepath.Glob(filepath.Join(s.dir, fmt.Sprintf("%d.*", s.n)))
	if err != nil {
		return err
	}
	slices.Sort(old)
	if len(old) == 0 {
		return s.newStage()
	}
	_, base, _ := strings.Cut(filepath.Base(old[len(old)-1]), ".")
	if s.base, err = strconv.ParseUint(base, 16, 64); err != nil {
		return err
	}
	if s.stage, err = os.OpenFile(s.stagePath(), os.O_RDWR, 0o600); err != nil {
		return err
	}
	size, err := s.stage.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	s.end = s.base + uint64(size)
	s.read = min(max(s.read, s.base), s.end) // the spool may have been lost
	for _, path := range old[:len(old)-1] {
		_ = os.Remove(path)
	}
	return nil
}

// newStage begins a stage at the end of the one there is.
func (s *stream) newStage() error {
	before, path := s.stage, s.stagePath()
	s.base = s.end
	f, err := os.OpenFile(s.stagePath(), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	s.stage = f
	if before != nil {
		_ = before.Close()
		if path != s.stagePath() {
			_ = os.Remove(path)
		}
	}
	return nil
}

func (s *stream) close() {
	_ = s.pipe.Close()
	_ = s.stage.Close()
}

// pump hands on what comes, until the pipe is at its end or closed, the sink
// takes no more, or halt was called.
func (s *stream) pump(sink Sink) {
	for {
		if s.held() > 0 && !s.hand(sink) || s.stop.Load() {
			return
		}
		if _, err := s.take(true); err != nil {
			return
		}
		if s.more(); s.held() < small {
			if wait := gather - time.Since(s.last); wait > 0 {
				time.Sleep(wait)
				s.more()
			}
		}
	}
}

// held is how much was taken and not handed on.
func (s *stream) held() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int(s.end - s.read)
}

// owed is up to which byte the program has written.
func (s *stream) owed() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var n int
	raw, err := s.pipe.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { n, _ = unix.IoctlGetInt(int(fd), unix.TIOCINQ) })
	}
	if err != nil {
		return s.end
	}
	return s.end + uint64(n)
}

func (s *stream) handed() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.read
}

// halt ends the pump, after the piece that it is about.
func (s *stream) halt() {
	s.stop.Store(true)
	_ = s.pipe.SetReadDeadline(time.Unix(1, 0))
}

// more takes what is there, up to a piece.
func (s *stream) more() {
	for s.held() < api.MaxPiece {
		if n, err := s.take(false); n == 0 || err != nil {
			return // whatever it is, it is there for the next take too
		}
	}
}

// hand gives the sink what it has not had.
func (s *stream) hand(sink Sink) bool {
	if !s.plain {
		s.buf = slices.Grow(s.buf[:0], api.MaxPiece)[:min(api.MaxPiece, s.held())]
		if _, err := s.stage.ReadAt(s.buf, int64(s.handed()-s.base)); err != nil {
			return false
		}
	}
	s.last = time.Now()
	end := s.handed() + uint64(len(s.buf))
	if !sink(s.n, end, s.buf) {
		return false
	}
	s.mu.Lock()
	s.read = end
	done := s.read == s.end && s.end-s.base >= stageSize
	s.mu.Unlock()
	s.buf = s.buf[:0]
	return s.plain || !done || s.newStage() == nil
}

// take moves what is in the pipe, at most up to a piece, and returns how much.
// wait has it wait for something to come. io.EOF: nobody has the pipe open.
func (s *stream) take(wait bool) (n int, err error) {
	raw, err := s.pipe.SyscallConn()
	if err != nil {
		return 0, err
	}
	rerr := raw.Read(func(fd uintptr) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		n, err = s.move(int(fd), api.MaxPiece-int(s.end-s.read))
		s.end += uint64(n)
		return !wait || !errors.Is(err, unix.EAGAIN)
	})
	switch {
	case rerr != nil:
		return 0, rerr
	case errors.Is(err, unix.EAGAIN):
		return 0, nil
	case err != nil:
		return 0, err
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// move has s.mu.
func (s *stream) move(fd, most int) (n int, err error) {
	if !s.plain {
		at := int64(s.end - s.base)
		for {
			moved, err := unix.Splice(fd, nil, int(s.stage.Fd()), &at, most, unix.SPLICE_F_NONBLOCK|unix.SPLICE_F_MOVE)
			switch {
			case errors.Is(err, unix.EINTR):
				continue
			case !errors.Is(err, unix.EINVAL):
				return int(max(moved, 0)), err
			}
			break
		}
		if s.read < s.end {
			return 0, unix.EAGAIN // first what is in the stage
		}
		s.plain, s.buf = true, nil
	}
	s.buf = slices.Grow(s.buf, most)
	for {
		n, err = unix.Read(fd, s.buf[len(s.buf):len(s.buf)+most])
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	n = max(n, 0)
	s.buf = s.buf[:len(s.buf)+n]
	return n, err
}
