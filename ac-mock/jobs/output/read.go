package output

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"

	"github.com/g8os/g8os/core/api"
)

// Last says, for each node, the highest number of a piece of a job that is here.
func (l *Log) Last(id string) (map[api.NodeID]uint64, error) {
	j := l.get(id, false)
	if j == nil {
		return nil, nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := l.know(id, j); err != nil {
		return nil, err
	}
	last := make(map[api.NodeID]uint64, len(j.last))
	for n, seq := range j.last {
		last[n] = seq
	}
	return last, nil
}

// know looks through the files of a job that were found at the start: what they
// hold, and where the newest ends; j.mu is held.
func (l *Log) know(id string, j *job) error {
	if j.known {
		return nil
	}
	l.mu.Lock()
	parts := append([]part(nil), j.parts...)
	l.mu.Unlock()
	for i, p := range parts {
		whole, err := l.scan(id, p, 0, func(piece Piece, _ int64) error {
			j.last[piece.Node] = max(j.last[piece.Node], piece.Seq)
			return nil
		})
		if err != nil {
			return err
		}
		if whole == p.size {
			continue
		}
		l.o.Log.Warn("output of a job was cut off, as a crash does", "job", id, "bytes", p.size-whole)
		if err := os.Truncate(l.path(id, p.from), whole); err != nil {
			return fmt.Errorf("output of job %s: %w", id, err)
		}
		l.mu.Lock()
		l.size -= p.size - whole
		j.parts[i].size = whole
		l.mu.Unlock()
	}
	j.known = true
	return nil
}

var buffers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 256<<10) }}

// scan hands on the pieces of a file from an offset on, with the offset behind
// each, their data good until take returns, and says up to where it is whole.
func (l *Log) scan(id string, p part, from int64, take func(Piece, int64) error) (whole int64, err error) {
	f, err := os.Open(l.path(id, p.from))
	if err != nil {
		return from, err
	}
	defer f.Close()
	r := buffers.Get().(*bufio.Reader)
	defer buffers.Put(r)
	r.Reset(io.NewSectionReader(f, from, p.size-from))
	var buf []byte
	for {
		var piece Piece
		var size int64
		piece, size, buf, err = readRecord(r, buf)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, errTorn):
			return from, nil
		case err != nil:
			return from, fmt.Errorf("output of job %s: %w", id, err)
		}
		from += size
		if err := take(piece, from); err != nil {
			return from, err
		}
	}
}

// Read hands on the pieces of a job from a position on (0: the beginning), each
// with the position behind it, up to what is there now. A piece's data may be
// kept, and must not be changed. It says where it ended, and how many bytes from the
// position on are not there any more, for they were too many.
func (l *Log) Read(id string, from int64, take func(p Piece, next int64) error) (next, dropped int64, err error) {
	j := l.get(id, false)
	if j == nil {
		return from, 0, nil
	}
	j.mu.Lock()
	err = l.know(id, j)
	j.mu.Unlock()
	if err != nil {
		return from, 0, err
	}
	for {
		p, ok := l.partAt(j, from)
		if !ok {
			return from, dropped, nil
		}
		if from < p.from {
			dropped += p.from - from
			from = p.from
		}
		if some := l.recall(j, from); len(some) > 0 {
			for _, r := range some {
				from = r.next
				if err := take(r.Piece, from); err != nil {
					return from, dropped, err
				}
			}
			continue
		}
		whole, err := l.scan(id, p, from-p.from, func(piece Piece, at int64) error {
			piece.Data = bytes.Clone(piece.Data)
			return take(piece, p.from+at)
		})
		if errors.Is(err, fs.ErrNotExist) { // dropped meanwhile
			if next, ok := l.partAt(j, from); ok && next.from == p.from {
				return from, dropped, fmt.Errorf("output of job %s: %w", id, err)
			}
			continue
		}
		from = p.from + whole
		if err != nil {
			return from, dropped, err
		}
		if whole < p.size { // damaged on disk: what is behind it cannot be found
			dropped += p.size - whole
			from = p.from + p.size
		}
	}
}

// partAt finds the file that a position is in, or the one after it.
func (l *Log) partAt(j *job, at int64) (part, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range j.parts {
		if at < p.from+p.size {
			return p, true
		}
	}
	return part{}, false
}
