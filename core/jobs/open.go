package jobs

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/durable"
	"github.com/g8os/g8os/core/jobs/ledger"
	"github.com/g8os/g8os/core/jobs/run"
	"github.com/g8os/g8os/core/jobs/spool"
)

// Open opens the spool with a key, takes in what earlier runs of g8os_core have
// left, and goes on with the programs that still run. It does nothing when it was
// called before.
func (j *Jobs) Open(key []byte) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.spool != nil || j.leaving {
		return nil
	}
	s, kept, err := spool.Open(spool.Options{Dir: j.opt.Spool, Key: key, Limits: j.opt.Limits, Log: j.log})
	if err != nil {
		return fmt.Errorf("jobs: %w", err)
	}
	if j.boot, err = bootID(j.opt.RunDir); err != nil {
		s.Close()
		return fmt.Errorf("jobs: %w", err)
	}
	j.runner, j.spool = run.New(run.Options{Dir: j.opt.RunDir, Env: j.opt.Env, Log: j.log}), s
	if kept.LastEvent == 0 { // numbers grow, also over a spool that was lost
		kept.LastEvent = uint64(time.Now().UnixMilli())
	}
	j.ledger = ledger.New(kept.LastEvent)
	for _, ev := range kept.Events {
		j.ledger.RestoreEvent(ev)
	}
	j.restore(kept.Records)
	for _, p := range kept.Problems {
		j.log.Error("spool of jobs", "problem", p)
		j.note(api.NodeEvent{Time: time.Now(), Level: api.LevelOpsError, Source: "core", Text: p})
	}
	for _, ev := range j.early {
		j.note(ev)
	}
	j.early = nil
	return nil
}

// bootID names this start of the machine, by a file that is gone after the next:
// machines that share a kernel have one each.
func bootID(runDir string) (string, error) {
	path := filepath.Join(runDir, "boot")
	if id, err := os.ReadFile(path); err == nil && len(id) > 0 {
		return string(id), nil
	}
	if err := os.MkdirAll(runDir, 0o711); err != nil {
		return "", err
	}
	id := rand.Text()
	return id, durable.Write(durable.OS, path, []byte(id), 0o600)
}

// restore takes in the jobs of earlier runs.
func (j *Jobs) restore(records []spool.Record) {
	left := map[string]bool{}
	for _, id := range j.runner.Left() {
		left[id] = true
	}
	for _, r := range records {
		j.order = max(j.order, r.Order)
		if r.Exit == nil {
			j.resume(r)
		} else {
			j.ledger.Restore(ledger.Restored{ID: r.ID, Acked: j.spool.First(r.ID) - 1, Exit: *r.Exit, Told: r.Told})
			if !r.Told {
				j.records[r.ID] = r
			}
			if left[r.ID] {
				j.runner.Clear(r.ID)
			}
		}
		delete(left, r.ID)
	}
	for id := range left { // their records were lost
		j.resume(spool.Record{ID: id, Boot: j.boot, Begun: time.Now()})
	}
}

// resume goes on with a job that has begun.
func (j *Jobs) resume(r spool.Record) {
	j.records[r.ID] = r
	last := j.spool.Last(r.ID)
	rebooted := r.Boot != j.boot
	if r.Builtin.Again() {
		j.ledger.Restore(ledger.Restored{ID: r.ID, Last: last.Seq, Acked: j.spool.First(r.ID) - 1, Started: r.Begun})
		j.again(r, last.Read)
		return
	}
	p, err := j.runner.Adopt(r.ID, last.Read)
	switch {
	case err == nil:
		j.ledger.Restore(ledger.Restored{ID: r.ID, Last: last.Seq, Acked: j.spool.First(r.ID) - 1, Started: r.Begun})
		j.adopt(r, p, last.Read)
	case errors.Is(err, run.ErrNeverStarted) && !rebooted && (r.Builtin == "" || r.Builtin.ReadOnly()):
		// As good as never handed out: it is when it comes again.
	default:
		j.lose(r, last, err, rebooted)
	}
}

// again asks a builtin once more that was not over.
func (j *Jobs) again(r spool.Record, read [2]uint64) {
	ctx, cancel := context.WithCancel(context.Background())
	t := &task{jobs: j, id: r.ID, ctx: ctx, cancel: cancel, read: read, heed: newHeed(j, r.ID)}
	j.tasks[r.ID] = t
	j.log.Info("job goes on", "job", r.ID, "builtin", r.Builtin)
	j.done.Go(func() {
		defer cancel()
		t.answer(api.ExecRequest{Builtin: r.Builtin, Args: r.Args}, r)
	})
}

func (j *Jobs) adopt(r spool.Record, p *run.Process, read [2]uint64) {
	ctx, cancel := context.WithCancel(context.Background())
	t := &task{jobs: j, id: r.ID, ctx: ctx, cancel: cancel, read: read, heed: newHeed(j, r.ID)}
	j.tasks[r.ID] = t
	j.log.Info("job adopted", "job", r.ID, "since", p.Started)
	j.done.Go(func() {
		defer cancel()
		t.follow(p, r)
	})
}

// lose ends a job of which nobody can tell how it ended, or a builtin of which
// somebody can.
func (j *Jobs) lose(r spool.Record, last spool.Piece, why error, rebooted bool) {
	result := ledger.Result{State: api.JobLost, Code: codeLost, Err: ledger.ErrLost, At: time.Now()}
	if r.Builtin != "" {
		result.Err = errInterrupted
		if j.opt.After != nil {
			if code, err, known := j.opt.After(r.Builtin, rebooted); known {
				result.State, result.Code, result.Err = stateOf(code, err), code, err
			}
		}
	}
	j.log.Warn("job ended while no g8os_core ran", "job", r.ID, "state", result.State, "reason", why)
	j.runner.Clear(r.ID)
	result.Dropped = j.spool.Dropped(r.ID)
	j.ledger.Restore(ledger.Restored{ID: r.ID, Last: last.Seq, Acked: j.spool.First(r.ID) - 1, Started: r.Begun})
	exit := j.ledger.End(r.ID, result)
	j.done.Go(func() { j.keep(r, exit) })
}
