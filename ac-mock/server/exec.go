package server

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/g8os/g8os/ac-mock/hub"
	"github.com/g8os/g8os/ac-mock/hub/dispatch"
	"github.com/g8os/g8os/core/api"
)

// exec runs a command on a node and streams what becomes of it. With job=ID
// the job gets that id: a request that is repeated does not run twice. With
// cancel=1 the job is stopped when the client goes away.
func (s *Server) exec(w http.ResponseWriter, r *http.Request) {
	var req api.ExecRequest
	if err := readJSON(w, r, &req); err != nil {
		fail(w, http.StatusBadRequest, `send {"argv": ["COMMAND", …]}`, err)
		return
	}
	id, err := jobID(r)
	if err == nil {
		err = checkExec(req)
	}
	if err != nil {
		fail(w, http.StatusBadRequest, "correct the request", err)
		return
	}
	if !s.mayRun(r, req) {
		fail(w, http.StatusForbidden, "ask an operator with a higher level", errors.New("a viewer may ask for what changes nothing, and not run commands"))
		return
	}
	node, err := s.opt.Registry.Node(r.Context(), r.PathValue("id"))
	if err != nil {
		s.trouble(w, r, err)
		return
	}
	actor, relayed, _ := s.caller(r)
	switch online := s.hub.Online(node.ID); {
	case !online && relayed:
		fail(w, http.StatusMisdirectedRequest, "", hub.ErrOffline)
		return
	case (!online || node.AC != "" && node.AC != s.opt.Name) && s.elsewhere(w, r, id, req):
		return
	}
	if err := s.opt.Registry.TakesJobs(node.ID); err != nil && req.Builtin == "" {
		fail(w, http.StatusConflict, "g8os node drain --undo lets it take jobs again", err)
		return
	}
	if !req.Builtin.ReadOnly() && s.hub.Online(node.ID) { // a command is root on the node: its entry is there before it runs
		what := fmt.Sprintf("job %s: %s with %d arguments", id, commandOf(req), max(len(req.Argv)-1, 0))
		if err := s.opt.Registry.Note(r.Context(), actor.String(), "exec", node.ID, what); err != nil {
			s.trouble(w, r, err)
			return
		}
	}
	st, err := s.hub.Exec(node.ID, id, req)
	if err != nil {
		s.notStarted(w, node, err)
		return
	}
	s.opt.Log.Info("exec", "node", node.ID, "job", id, "actor", actor.String(), "command", commandOf(req), "arguments", max(len(req.Argv)-1, 0))
	defer st.Leave(r.URL.Query().Get("cancel") == "1")
	s.follow(w, r, st)
}

// follow copies a job's events to the client until the job or the client ends.
func (s *Server) follow(w http.ResponseWriter, r *http.Request, st *hub.Stream) {
	out := s.stream(w)
	send := func(e api.ExecEvent) error {
		line, err := json.Marshal(e)
		if err != nil {
			return err
		}
		return out.line(line)
	}
	if send(api.ExecEvent{Job: st.Job()}) != nil {
		return
	}
	for {
		done, err := st.Deliver(r.Context(), send)
		if why := context.Cause(r.Context()); errors.Is(why, errVoid) {
			_ = send(api.ExecEvent{Done: true, Code: -1, Error: why.Error()})
		}
		if done || err != nil {
			return
		}
	}
}

func (s *Server) notStarted(w http.ResponseWriter, n api.Node, err error) {
	switch {
	case errors.Is(err, hub.ErrOffline):
		seen := "it has never been seen"
		if n.LastSeen != nil {
			seen = "it was last seen " + n.LastSeen.UTC().Format("2006-01-02 15:04:05 UTC")
		}
		fail(w, http.StatusConflict, fmt.Sprintf("wait until it is managed (g8os nodes --watch); it is %s in phase %q, %s", n.State, n.Phase, seen), err)
	default:
		fail(w, http.StatusConflict, "use another job id, or none", err)
	}
}

// mayRun says whether who asks may have this done: a viewer only what changes nothing.
func (s *Server) mayRun(r *http.Request, req api.ExecRequest) bool {
	id, _, _ := s.caller(r)
	name, _, _ := strings.Cut(id.Name, ".")
	return req.Builtin.ReadOnly() || levels[name] >= operator
}

// commandOf is what a job does, without its arguments: those may be secret.
func commandOf(req api.ExecRequest) string {
	if req.Builtin != "" {
		return string(req.Builtin)
	}
	return req.Argv[0]
}

func jobID(r *http.Request) (string, error) {
	if id := r.URL.Query().Get("job"); id != "" {
		return id, dispatch.CheckJobID(id)
	}
	return rand.Text()[:16], nil
}

func checkExec(req api.ExecRequest) error {
	switch {
	case req.Builtin != "" && len(req.Argv) > 0:
		return errors.New("builtin and argv are both given: want one of them")
	case req.Builtin == "" && (len(req.Argv) == 0 || req.Argv[0] == ""):
		return errors.New("argv is empty: there is no command to run")
	case req.TimeoutMS < 0:
		return fmt.Errorf("timeout_ms is %d: want 0 (none) or more", req.TimeoutMS)
	}
	// JSON writes some characters with six: a frame that the node does not take
	// would end its session again and again.
	frame, err := json.Marshal(api.Frame{Type: api.FrameExec, Exec: &req})
	if err != nil {
		return err
	}
	if most := api.MaxFrame - frameRoom; len(frame) > most {
		return fmt.Errorf("the command takes %d bytes on the wire, at most %d are possible", len(frame), most)
	}
	return nil
}

// frameRoom is what a frame needs beside its command: type, job id, numbers.
const frameRoom = 1024

func number(s string) (uint64, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number", s)
	}
	return n, nil
}
