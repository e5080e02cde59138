package output

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// syncEach is up to how many files are synced one by one. Of more, the whole
// file system is: that costs one commit of its journal.
const syncEach = 16

// Append adds pieces, and returns when they are durable. If it fails, some may
// be there: to add them again does no harm. Their data must not be changed any more.
func (l *Log) Append(pieces []Piece) error {
	byJob, ids := map[string][]Piece{}, []string{}
	for _, p := range pieces {
		if byJob[p.Job] == nil {
			ids = append(ids, p.Job)
		}
		byJob[p.Job] = append(byJob[p.Job], p)
	}
	slices.Sort(ids) // who appends to several jobs locks them in this order
	var w written
	defer w.close()
	for _, id := range ids {
		if err := l.write(id, byJob[id], &w); err != nil {
			return fmt.Errorf("output of job %s: %w", id, err)
		}
	}
	if err := l.sync(&w); err != nil {
		return fmt.Errorf("output of jobs: make it durable: %w", err)
	}
	l.settle(&w)
	l.makeRoom()
	return nil
}

// written is what an Append has written and not synced. It holds the locks of
// the jobs.
type written struct {
	files []*os.File
	path  string // of the last of files
	grown []grown
	made  bool // there are new files
}

type grown struct {
	id   string
	j    *job
	add  []part // new or longer ones
	last []recalled
}

func (w *written) close() {
	for _, f := range w.files {
		_ = f.Close()
	}
	for _, g := range w.grown {
		g.j.mu.Unlock()
	}
}

// lock finds or makes a job and locks it.
func (l *Log) lock(id string) *job {
	for {
		j := l.get(id, true)
		j.mu.Lock()
		if !j.removed {
			return j
		}
		j.mu.Unlock()
	}
}

// writeOnce is about how much is put together for one write.
const writeOnce = 256 << 10

// texts are buffers for that.
var texts = sync.Pool{New: func() any { return new([]byte) }}

// write writes pieces of one job.
func (l *Log) write(id string, pieces []Piece, w *written) error {
	j := l.lock(id)
	w.grown = append(w.grown, grown{id: id, j: j, last: make([]recalled, 0, len(pieces))})
	g := &w.grown[len(w.grown)-1]
	if err := l.know(id, j); err != nil {
		return err
	}
	at := part{}
	if n := len(j.parts); n > 0 { // only who holds j.mu changes it
		at = j.parts[n-1]
	}
	text := texts.Get().(*[]byte)
	defer texts.Put(text)
	*text = slices.Grow((*text)[:0], min(recordsSize(pieces), writeOnce+maxRecord))
	for i, p := range pieces {
		if at.size >= l.o.PerJob/2 {
			at = part{from: at.from + at.size}
		}
		from := at.from + at.size + int64(len(*text))
		*text = appendRecord(*text, p)
		g.last = append(g.last, recalled{p, from, at.from + at.size + int64(len(*text))})
		if i < len(pieces)-1 && len(*text) < writeOnce && at.size+int64(len(*text)) < l.o.PerJob/2 {
			continue
		}
		if err := l.writeAt(id, at, *text, w); err != nil {
			return err
		}
		at.size += int64(len(*text))
		g.add = append(g.add, at)
		*text = (*text)[:0]
	}
	return nil
}

// writeAt writes to the end of a file, over what an earlier try left there.
func (l *Log) writeAt(id string, at part, text []byte, w *written) error {
	if path := l.path(id, at.from); path != w.path {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
		if err != nil {
			return err
		}
		w.files, w.path, w.made = append(w.files, f), path, w.made || at.size == 0
	}
	_, err := w.files[len(w.files)-1].WriteAt(text, at.size)
	return err
}

func (l *Log) sync(w *written) error {
	dir, err := os.Open(l.o.Dir)
	if err != nil {
		return err
	}
	defer dir.Close()
	if len(w.files) > syncEach {
		return unix.Syncfs(int(dir.Fd()))
	}
	var g errgroup.Group
	for _, f := range w.files {
		g.Go(func() error { return unix.Fdatasync(int(f.Fd())) })
	}
	if w.made {
		g.Go(dir.Sync)
	}
	return g.Wait()
}

// settle makes known what is durable now, and drops the oldest part of jobs that
// say too much.
func (l *Log) settle(w *written) {
	for _, g := range w.grown {
		l.mu.Lock()
		for _, p := range g.add {
			n := len(g.j.parts)
			if n > 0 && g.j.parts[n-1].from == p.from {
				l.size += p.size - g.j.parts[n-1].size
				g.j.parts[n-1] = p
				continue
			}
			g.j.parts = append(g.j.parts, p)
			l.size += p.size
		}
		var drop []part
		for len(g.j.parts) > 2 {
			drop = append(drop, g.j.parts[0])
			l.size -= g.j.parts[0].size
			g.j.parts = slices.Delete(g.j.parts, 0, 1)
		}
		l.remember(g.j, g.last)
		l.mu.Unlock()
		for _, p := range g.last {
			g.j.last[p.Node] = max(g.j.last[p.Node], p.Seq)
		}
		for _, p := range drop {
			if err := os.Remove(l.path(g.id, p.from)); err != nil && !errors.Is(err, os.ErrNotExist) {
				l.o.Log.Warn("cannot drop old output", "job", g.id, "error", err)
			}
		}
	}
}

// makeRoom drops the output of the oldest jobs that nobody writes to now, while
// there is too much in all.
func (l *Log) makeRoom() {
	for {
		l.mu.Lock()
		over := l.size > l.o.InAll
		var id string
		var j *job
		for _, x := range l.order {
			if over && l.jobs[x].mu.TryLock() {
				id, j = x, l.jobs[x]
				break
			}
		}
		l.mu.Unlock()
		if j == nil {
			return
		}
		l.o.Log.Warn("output of a job dropped: there is too much of all", "job", id, "most", l.o.InAll)
		err := l.remove(id, j)
		j.mu.Unlock()
		if err != nil {
			l.o.Log.Warn("cannot drop old output", "job", id, "error", err)
		}
	}
}
