package machine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"
)

// Job is a process for the init to run.
type Job struct {
	Name string   `json:"name"` // unique within the machine among running jobs
	Argv []string `json:"argv"`
	Env  []string `json:"env,omitempty"` // added to PATH and HOME
	Log  string   `json:"log"`           // file in the machine's log directory, appended to
}

// State is what became of a job.
type State struct {
	Name    string    `json:"name"`
	PID     int       `json:"pid"` // within the machine
	Running bool      `json:"running"`
	Code    int       `json:"code"` // exit code; 128+n after signal n
	Since   time.Time `json:"since"`
}

// request and response are one line each on the control socket.
type request struct {
	Op      string         `json:"op"` // start | signal | list | wait | release
	Job     Job            `json:"job,omitzero"`
	Name    string         `json:"name,omitempty"`
	Signal  syscall.Signal `json:"signal,omitempty"`
	Release *Release       `json:"release,omitempty"`
}

type response struct {
	Error string  `json:"error,omitempty"`
	Jobs  []State `json:"jobs,omitempty"`
}

// Start runs a job. A job of that name that still runs is an error.
func (m *Machine) Start(ctx context.Context, job Job) error {
	_, err := m.ask(ctx, request{Op: "start", Job: job})
	return err
}

// Signal sends a signal to a running job, to its first process only.
func (m *Machine) Signal(ctx context.Context, name string, sig syscall.Signal) error {
	_, err := m.ask(ctx, request{Op: "signal", Name: name, Signal: sig})
	return err
}

// Jobs lists every job ever started, in order of their start.
func (m *Machine) Jobs(ctx context.Context) ([]State, error) {
	r, err := m.ask(ctx, request{Op: "list"})
	return r.Jobs, err
}

// Job returns the state of the newest job of a name; ok is false if there was none.
func (m *Machine) Job(ctx context.Context, name string) (s State, ok bool, err error) {
	jobs, err := m.Jobs(ctx)
	for _, j := range jobs {
		if j.Name == name {
			s, ok = j, true
		}
	}
	return s, ok, err
}

// Wait returns once the newest job of a name has ended.
func (m *Machine) Wait(ctx context.Context, name string) (State, error) {
	r, err := m.ask(ctx, request{Op: "wait", Name: name})
	if err != nil {
		return State{}, err
	}
	return r.Jobs[0], nil
}

func (m *Machine) ask(ctx context.Context, q request) (response, error) {
	fail := func(err error) (response, error) {
		return response{}, fmt.Errorf("machine %s: %s %s: %w", m.Name, q.Op, q.Job.Name+q.Name, err)
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", m.Control)
	if err != nil {
		return fail(err)
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	var r response
	if err := json.NewEncoder(c).Encode(q); err != nil {
		return fail(err)
	}
	if err := json.NewDecoder(c).Decode(&r); err != nil {
		return fail(errors.Join(err, ctx.Err()))
	}
	if r.Error != "" {
		return fail(errors.New(r.Error))
	}
	return r, nil
}
