package run

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/g8os/g8os/core/process"
)

// Clear removes what is left of a job whose end is kept.
func (r *Runner) Clear(id string) {
	p := r.process(id)
	if f, err := os.OpenFile(filepath.Join(p.dir, gatePipe), os.O_WRONLY|syscall.O_NONBLOCK, 0); err == nil {
		_, _ = f.WriteString("done\n")
		_ = f.Close()
	}
	_ = os.RemoveAll(p.dir)
}

// End stops a program that an earlier g8os_core has left, and clears away: there
// is no next one.
func (r *Runner) End(id string) error {
	r.process(id).turnAway()
	p, err := r.Adopt(id, [2]uint64{})
	if err != nil {
		return err
	}
	p.stop()
	_, err = p.gate.WriteString("done\n")
	return errors.Join(err, p.release())
}

// ErrNeverStarted is wrapped by Adopt when a program was not started, and is not
// going to be.
var ErrNeverStarted = errors.New("it was not started")

// Left lists the jobs whose folders an earlier g8os_core has left.
func (r *Runner) Left() (ids []string) {
	entries, _ := os.ReadDir(r.opt.Dir)
	for _, e := range entries {
		if e.IsDir() && !isSpare(e.Name()) {
			ids = append(ids, e.Name())
		}
	}
	return ids
}

// Adopt takes over a program that an earlier g8os_core has started; read is how
// much of its output was kept. The program may have ended. One that was never
// to start, ErrNeverStarted, is cleared away.
func (r *Runner) Adopt(id string, read [2]uint64) (*Process, error) {
	p := r.process(id)
	n, err := p.readNote()
	if err != nil {
		p.turnAway()
		return nil, fmt.Errorf("adopt job %s: %w", id, errors.Join(err, os.RemoveAll(p.dir)))
	}
	p.shim, p.Started, p.deadline = true, n.Started, n.Deadline
	p.id = process.ID{PID: n.PID, Start: n.Start}
	if err := p.openPipes(read); err != nil {
		p.closeFiles()
		return nil, fmt.Errorf("adopt job %s: %w", id, err)
	}
	if !p.id.Alive() {
		if !p.wasStarted() {
			p.closeFiles()
			return nil, errors.Join(fmt.Errorf("adopt job %s: %w", id, ErrNeverStarted), os.RemoveAll(p.dir))
		}
		close(p.gone)
		close(p.ended)
		return p, nil
	}
	if !p.wasStarted() {
		if err := p.Go(); err != nil { // a second one does no harm
			return nil, fmt.Errorf("adopt job %s: %w", id, err)
		}
	}
	go p.wait(p.id.Wait)
	return p, nil
}

func (p *Process) readNote() (n note, err error) {
	text, err := os.ReadFile(filepath.Join(p.dir, "job"))
	if errors.Is(err, fs.ErrNotExist) {
		return n, ErrNeverStarted
	}
	if err == nil {
		err = json.Unmarshal(text, &n)
	}
	if err == nil && (n.ID != p.ID || n.PID <= 1) {
		err = fmt.Errorf("%s: not a note of this job", p.dir)
	}
	return n, err
}

// turnAway has a shim end that waits at the gate and is not known of.
func (p *Process) turnAway() {
	if f, err := os.OpenFile(filepath.Join(p.dir, gatePipe), os.O_WRONLY|syscall.O_NONBLOCK, 0); err == nil {
		_, _ = f.WriteString("stop\ndone\n") // the latter to one that a signal has stopped
		_ = f.Close()
	}
}
