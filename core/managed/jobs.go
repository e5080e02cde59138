package managed

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/g8os/g8os/core/api"
)

// keepEnded is how many ended jobs are remembered, so that a job that is
// handed out twice runs once.
const keepEnded = 1000

// maxError bounds why a job could not be run, in bytes.
const maxError = 1024

// Jobs runs what the AC asks for. Jobs belong to the node, not to a session:
// they go on when the session is cut, and what they said in the meantime is
// sent when it is back. All methods may be called concurrently.
type Jobs struct {
	log *slog.Logger

	mu      sync.Mutex
	changed *sync.Cond // something was added, acknowledged or rewound
	out     *outbox
	running map[string]context.CancelFunc
	ended   []string
	session int // number of the session that may take frames
	done    sync.WaitGroup
}

// NewJobs returns Jobs without any.
func NewJobs(log *slog.Logger) *Jobs {
	j := &Jobs{log: log, out: newOutbox(), running: map[string]context.CancelFunc{}}
	j.changed = sync.NewCond(&j.mu)
	return j
}

// start runs a job, unless it is running or has run. have is the number of the
// last frame the AC has of it: a job that has spoken but is not known here was
// cut off when g8os_core ended, and must not run twice.
func (j *Jobs) start(id string, req api.ExecRequest, have uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.running[id] != nil || slices.Contains(j.ended, id) {
		j.log.Info("job handed out again", "job", id, "runs", j.running[id] != nil)
		return
	}
	if have > 0 {
		j.out.add(api.Frame{
			Type: api.FrameExit, Job: id, Seq: have + 1, Code: codeLost,
			Error: "g8os_core was started again while the job ran; whether it ended is not known",
		})
		j.ended = append(j.ended, id)
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
		j.end(r, code, err)
	})
}

func (j *Jobs) end(r *run, code int, err error) {
	f := api.Frame{Type: api.FrameExit, Job: r.id, Code: code}
	if err != nil {
		// Bounded: it may quote the command, and a frame that is too long
		// would end this session and every next one.
		f.Error = api.Shown(err.Error(), maxError)
	}
	j.log.Info("job ended", "job", r.id, "code", code, "error", f.Error)
	j.mu.Lock()
	defer j.mu.Unlock()
	r.seq++
	f.Seq = r.seq
	j.out.add(f)
	delete(j.running, r.id)
	j.ended = append(j.ended, r.id)
	if len(j.ended) > keepEnded {
		j.ended = slices.Delete(j.ended, 0, len(j.ended)-keepEnded)
	}
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
	j.out.ack(job, seq)
	j.changed.Broadcast()
}

// attach begins a session: it alone takes frames from now on, and gets all
// that are not acknowledged.
func (j *Jobs) attach() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.session++
	j.out.rewind()
	j.changed.Broadcast()
	return j.session
}

// detach ends a session's turn, so that its take returns.
func (j *Jobs) detach(session int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.session == session {
		j.session++
	}
	j.changed.Broadcast()
}

// take waits for the next frame that the session is to send; false when its
// turn is over.
func (j *Jobs) take(session int) (api.Frame, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for {
		if j.session != session {
			return api.Frame{}, false
		}
		if f, ok := j.out.next(); ok {
			return f, true
		}
		j.changed.Wait()
	}
}

// say adds a piece of output, after waiting until the job may say more. It is
// false when the job has been cancelled meanwhile.
func (j *Jobs) say(ctx context.Context, r *run, stream string, data []byte) bool {
	stop := context.AfterFunc(ctx, func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.changed.Broadcast()
	})
	defer stop()
	j.mu.Lock()
	defer j.mu.Unlock()
	for j.out.full(r.id) {
		if ctx.Err() != nil {
			return false
		}
		j.changed.Wait()
	}
	r.seq++
	j.out.add(api.Frame{Type: api.FrameOutput, Job: r.id, Seq: r.seq, Stream: stream, Data: data})
	j.changed.Broadcast()
	return true
}
