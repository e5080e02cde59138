package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/jobs/run"
)

// Builtin is what g8os_core does itself when a job asks for it. It writes its
// answer to out, ends soon after ctx has, and returns an exit code; its error
// says why it could not.
type Builtin func(ctx context.Context, args json.RawMessage, out io.Writer) (code int, err error)

// JSON makes a Builtin of a function that answers with a value. Arguments that
// do not fit In are refused.
func JSON[In, Out any](do func(context.Context, In) (Out, error)) Builtin {
	return func(ctx context.Context, args json.RawMessage, out io.Writer) (int, error) {
		var in In
		if len(args) > 0 {
			if err := json.Unmarshal(args, &in); err != nil {
				return run.CodeNotRunnable, fmt.Errorf("arguments: %w", err)
			}
		}
		answer, err := do(ctx, in)
		if coded, ok := errors.AsType[interface {
			error
			ExitCode() int
		}](err); ok {
			return coded.ExitCode(), err
		}
		if err != nil {
			return 1, err
		}
		if err := json.NewEncoder(out).Encode(answer); err != nil {
			return 1, fmt.Errorf("answer: %w", err)
		}
		return 0, nil
	}
}

// ErrAgain is the end of a builtin that is not over: g8os_core is started again,
// and is asked for the same once more, with the same arguments.
var ErrAgain = errors.New("g8os_core is being started again; the job goes on then")

// JSONThen is JSON for what ends g8os_core or the machine: then is called once
// the AC has the answer, or when it has not come for it within thenWithin.
func JSONThen[In, Out any](do func(context.Context, In) (answer Out, then func(), err error)) Builtin {
	return func(ctx context.Context, args json.RawMessage, out io.Writer) (int, error) {
		return JSON(func(ctx context.Context, in In) (Out, error) {
			answer, then, err := do(ctx, in)
			if s, ok := out.(*saying); ok && err == nil {
				s.task.then = then
			}
			return answer, err
		})(ctx, args, out)
	}
}

// thenWithin is how long an answer may take to reach the AC.
const thenWithin = 10 * time.Second

// builtin runs one in this process.
func (t *task) builtin(req api.ExecRequest) (int, error) {
	do := t.jobs.opt.Builtins[req.Builtin]
	if do == nil {
		return run.CodeNotFound, fmt.Errorf("builtin %q: this g8os_core has none of that name", api.Shown(string(req.Builtin), 32))
	}
	ctx, cancel := t.ctx, context.CancelFunc(func() {})
	if req.TimeoutMS > 0 {
		ctx, cancel = context.WithTimeout(t.ctx, time.Duration(min(req.TimeoutMS, math.MaxInt64/int64(time.Millisecond)))*time.Millisecond)
	}
	defer cancel()
	code, err := do(ctx, req.Args, &saying{ctx: ctx, task: t})
	switch {
	case errors.Is(err, ErrAgain):
		return code, ErrAgain
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return code, run.ErrTimeout
	case ctx.Err() != nil:
		return code, run.ErrCancelled
	case err != nil:
		return code, fmt.Errorf("%s: %w", req.Builtin, err)
	}
	return code, nil
}

// saying is the stdout of a builtin.
type saying struct {
	ctx  context.Context
	task *task
	end  uint64
}

func (s *saying) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		n := min(len(rest), api.MaxPiece)
		s.end += uint64(n)
		s.task.sink(1, s.end, rest[:n])
		rest = rest[n:]
	}
	return len(p), s.ctx.Err()
}
