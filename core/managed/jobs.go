package managed

import (
	"context"
	"log/slog"
	"strings"
	"sync"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/managed/ledger"
)

// Jobs runs what the AC asks for. Jobs belong to the node, not to a session:
// they go on when the session is cut, and what they said in the meantime is
// sent when it is back. All methods may be called concurrently.
type Jobs struct {
	log      *slog.Logger
	builtins map[api.Builtin]Builtin

	mu      sync.Mutex
	changed *sync.Cond // something was added, acknowledged or rewound
	ledger  *ledger.Ledger
	running map[string]context.CancelFunc
	done    sync.WaitGroup
}

// NewJobs returns Jobs without any. builtins are what can be asked for instead
// of a program.
func NewJobs(log *slog.Logger, builtins map[api.Builtin]Builtin) *Jobs {
	j := &Jobs{log: log, builtins: builtins, ledger: ledger.New(), running: map[string]context.CancelFunc{}}
	j.changed = sync.NewCond(&j.mu)
	return j
}

// start runs a job, unless it runs, has run or is lost. have is the number of
// the last frame that the AC has of it.
func (j *Jobs) start(id string, req api.ExecRequest, have uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if decision := j.ledger.HandOut(id, have); decision != ledger.Start {
		j.log.Info("job handed out again", "job", id, "it_is", decision)
		j.changed.Broadcast()
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	j.running[id] = cancel
	// Arguments may be secret, and logs travel: the command's name is enough.
	j.log.Info("job started", "job", id, "command", strings.Join(req.Argv[:min(1, len(req.Argv))], ""), "arguments", max(0, len(req.Argv)-1))
	j.done.Go(func() {
		defer cancel()
		r := &run{jobs: j, id: id}
		code, err := r.execute(ctx, req)
		j.end(id, code, err)
	})
}

func (j *Jobs) end(id string, code int, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	f := j.ledger.End(id, code, err)
	j.log.Info("job ended", "job", id, "code", code, "error", f.Error)
	delete(j.running, id)
	j.changed.Broadcast()
}

func (j *Jobs) cancel(id string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if cancel := j.running[id]; cancel != nil {
		cancel()
	}
}

// CancelAll stops every job and waits for their ends, up to the grace that a
// job gets.
func (j *Jobs) CancelAll() {
	j.mu.Lock()
	for _, cancel := range j.running {
		cancel()
	}
	j.mu.Unlock()
	j.done.Wait()
}

func (j *Jobs) ack(job string, seq uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.ledger.Ack(job, seq)
	j.changed.Broadcast()
}

// attach begins a session: it alone takes frames from now on, and gets all
// that are not acknowledged.
func (j *Jobs) attach() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	defer j.changed.Broadcast()
	return j.ledger.Attach()
}

// detach ends a session's turn, so that its take returns.
func (j *Jobs) detach(session int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.ledger.Detach(session)
	j.changed.Broadcast()
}

// take waits for the next frame that the session is to send; false when its
// turn is over.
func (j *Jobs) take(session int) (api.Frame, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for j.ledger.Attached(session) {
		if f, ok := j.ledger.Next(session); ok {
			return f, true
		}
		j.changed.Wait()
	}
	return api.Frame{}, false
}

// say adds a piece of output, after waiting until the job may say more. What a
// job says that has been cancelled meanwhile is dropped.
func (j *Jobs) say(ctx context.Context, id, stream string, data []byte) {
	stop := context.AfterFunc(ctx, func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.changed.Broadcast()
	})
	defer stop()
	j.mu.Lock()
	defer j.mu.Unlock()
	for j.ledger.Full(id) {
		if ctx.Err() != nil {
			return
		}
		j.changed.Wait()
	}
	j.ledger.Output(id, stream, data)
	j.changed.Broadcast()
}
