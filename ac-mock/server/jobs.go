package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/g8os/g8os/ac-mock/hub/dispatch"
	"github.com/g8os/g8os/ac-mock/jobs"
	"github.com/g8os/g8os/ac-mock/jobs/delivery"
	"github.com/g8os/g8os/core/api"
)

// maxJobBody bounds the request of a job: it has to fit into a frame, and JSON
// writes some characters with six.
const maxJobBody = 2 * api.MaxFrame

// maxTTL is how long a job may wait for nodes: as long as jobs are remembered.
const maxTTL = 7 * 24 * time.Hour

// maxQueue bounds the name of a queue.
const maxQueue = 64

// makeJob makes a job, and with follow=1 streams what becomes of it.
func (s *Server) makeJob(w http.ResponseWriter, r *http.Request) {
	var req api.JobRequest
	if err := readUpTo(w, r, maxJobBody, &req); err != nil {
		fail(w, http.StatusBadRequest, `send {"to": {"nodes": ["NODE"]}, "exec": {"argv": ["COMMAND", …]}}`, err)
		return
	}
	if !onlyReads(req.Exec) && s.levelOf(r) < operator {
		actor, _, _ := s.caller(r)
		fail(w, http.StatusForbidden, "ask an operator with a higher level", errors.New("the certificate "+actor.String()+" is not of a level that may do this"))
		return
	}
	s.orderJob(w, r, req, "")
}

// onlyReads says whether a job changes nothing at a node.
func onlyReads(e api.ExecRequest) bool {
	return e.Builtin.ReadOnly() && len(e.Argv) == 0 && len(e.Script) == 0
}

func (s *Server) orderJob(w http.ResponseWriter, r *http.Request, req api.JobRequest, retryOf string) {
	if req.ID == "" {
		req.ID = jobs.NewID()
	}
	if err := checkJob(req); err != nil {
		fail(w, http.StatusBadRequest, "correct the request", err)
		return
	}
	nodes, err := s.opt.Registry.Resolve(r.Context(), req.To)
	if err != nil {
		s.trouble(w, r, err)
		return
	}
	actor, _, _ := s.caller(r)
	o := jobs.Order{Request: req, By: actor.String(), Nodes: nodes, RetryOf: retryOf}
	if req.TTLMS == 0 && !s.opt.Jobs.Has(req.ID) {
		o.Refused = s.away(r.Context(), nodes)
		remedy := "wait until it is managed (g8os nodes --watch), or give the job a time to live"
		if s.drained(&o) {
			remedy = "g8os node undrain lets it begin jobs again; with a time to live (--queue) a job waits for that"
		}
		if len(o.Refused) == len(nodes) {
			fail(w, http.StatusConflict, remedy, noneThere(o))
			return
		}
	}
	j, err := s.opt.Jobs.Make(r.Context(), o)
	if err != nil {
		s.jobTrouble(w, r, err)
		return
	}
	s.opt.Log.Info("job", "job", j.ID, "nodes", j.Nodes, "actor", j.By, "command", j.Command)
	if r.URL.Query().Get("follow") == "1" {
		s.followMade(w, r, req)
		return
	}
	reply(w, http.StatusOK, j)
}

// drained refuses a command to the nodes that begin none, and says whether there
// are any.
func (s *Server) drained(o *jobs.Order) (some bool) {
	if o.Request.Exec.Builtin != "" {
		return false
	}
	for _, n := range o.Nodes {
		if err := s.opt.Registry.TakesJobs(n.ID); err != nil {
			if o.Refused == nil {
				o.Refused = map[api.NodeID]string{}
			}
			o.Refused[n.ID], some = err.Error(), true
		}
	}
	return some
}

// noneThere is why a job is not made: no node is there.
func noneThere(o jobs.Order) error {
	n := o.Nodes[0]
	err := fmt.Errorf("%s: %s", n.MAC, o.Refused[n.ID])
	if more := len(o.Nodes) - 1; more > 0 {
		err = fmt.Errorf("none of %d nodes is there: %w, and %d more", len(o.Nodes), err, more)
	}
	return err
}

// away says of the nodes that have a session with no AC why a job without a time
// to live ends there.
func (s *Server) away(ctx context.Context, nodes []api.Node) map[api.NodeID]string {
	var missing []api.Node
	for _, n := range nodes {
		if !s.hub.Online(n.ID) {
			missing = append(missing, n)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	var there map[api.NodeID]bool
	if s.opt.Cluster != nil && s.opt.Peer != nil {
		there = Peers{s.opt.Cluster, s.opt.Peer}.online(ctx, missing)
	}
	why := map[api.NodeID]string{}
	for _, n := range missing {
		if !there[n.ID] {
			why[n.ID] = "the node has no session with an AC; " + absent(n)
		}
	}
	return why
}

// absent says where a node was last.
func absent(n api.Node) string {
	seen := "it has never been seen"
	if n.LastSeen != nil {
		seen = "it was last seen " + n.LastSeen.UTC().Format("2006-01-02 15:04:05 UTC")
	}
	return fmt.Sprintf("it is %s in phase %q, %s", n.State, n.Phase, seen)
}

// checkJob says what is wrong with a request, whoever it is for.
func checkJob(r api.JobRequest) error {
	switch {
	case r.TTLMS < 0 || time.Duration(r.TTLMS) > maxTTL/time.Millisecond:
		return fmt.Errorf("ttl_ms is %d: want 0 (nodes that are away are refused) to %d", r.TTLMS, maxTTL.Milliseconds())
	case r.Parallel < 0:
		return fmt.Errorf("parallel is %d: want 0 (no limit) or more", r.Parallel)
	case len(r.Queue) > maxQueue || api.Shown(r.Queue, maxQueue) != r.Queue:
		return fmt.Errorf("queue %.80q: want a name of at most %d printable ASCII characters", r.Queue, maxQueue)
	}
	if err := dispatch.CheckJobID(r.ID); err != nil {
		return err
	}
	return checkExec(r.Exec)
}

func checkExec(req api.ExecRequest) error {
	switch {
	case req.Builtin != "" && len(req.Argv)+len(req.Script) > 0:
		return errors.New("both a builtin and a command are named: want one")
	case req.Builtin == "" && len(req.Script) == 0 && (len(req.Argv) == 0 || req.Argv[0] == ""):
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

// listJobs lists jobs, the newest first.
func (s *Server) listJobs(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	limit, err := number(q.Get("limit"))
	if err != nil {
		fail(w, http.StatusBadRequest, "give a number for limit", err)
		return
	}
	f := delivery.Query{State: api.JobState(q.Get("state")), Limit: int(limit)}
	if f.State != "" && f.State != api.JobQueued && f.State != api.JobRunning && !jobEnds[f.State] {
		fail(w, http.StatusBadRequest, "g8os job list --help names the states", fmt.Errorf("%.40q is no state of a job", f.State))
		return
	}
	if ref := q.Get("node"); ref != "" {
		n, err := s.opt.Registry.Node(r.Context(), ref)
		if err != nil {
			s.trouble(w, r, err)
			return
		}
		f.Node = n.ID
	}
	reply(w, http.StatusOK, s.opt.Jobs.Jobs(f))
}

var jobEnds = map[api.JobState]bool{
	api.JobSuccess: true, api.JobError: true, api.JobTimeout: true, api.JobKilled: true,
	api.JobExpired: true, api.JobLost: true, api.JobRefused: true, api.JobCancelled: true,
}

func (s *Server) job(w http.ResponseWriter, r *http.Request) {
	j, err := s.opt.Jobs.Job(r.PathValue("job"))
	s.answerJob(w, r, j, err)
}

func (s *Server) answerJob(w http.ResponseWriter, r *http.Request, j api.Job, err error) {
	if err != nil {
		s.jobTrouble(w, r, err)
		return
	}
	reply(w, http.StatusOK, j)
}

func (s *Server) cancelJob(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("job")
	j, err := s.opt.Jobs.Job(id)
	if err != nil {
		s.jobTrouble(w, r, err)
		return
	}
	var on api.NodeID
	if ref := r.URL.Query().Get("node"); ref != "" {
		n, err := s.opt.Registry.Node(r.Context(), ref)
		if err != nil {
			s.trouble(w, r, err)
			return
		}
		if !isOf(j, n.ID) {
			fail(w, http.StatusNotFound, "g8os job show "+id+" lists its nodes", fmt.Errorf("job %s is not for node %s", id, ref))
			return
		}
		on = n.ID
	}
	actor, _, _ := s.caller(r)
	j, err = s.opt.Jobs.Cancel(r.Context(), actor.String(), id, on)
	s.answerJob(w, r, j, err)
}

func isOf(j api.Job, node api.NodeID) bool {
	for _, r := range j.Runs {
		if r.Node == node {
			return true
		}
	}
	return false
}

// retryJob makes a new job for the nodes where one did not succeed, as far as
// they are still let in.
func (s *Server) retryJob(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("job")
	req, err := s.opt.Jobs.Again(id)
	if err != nil {
		s.jobTrouble(w, r, err)
		return
	}
	var enrolled []string
	for _, ref := range req.To.Nodes {
		if n, err := s.opt.Registry.Node(r.Context(), ref); err == nil && n.State == api.NodeEnrolled {
			enrolled = append(enrolled, ref)
		}
	}
	if req.To.Nodes = enrolled; len(enrolled) == 0 {
		fail(w, http.StatusConflict, "g8os nodes says how they stand", fmt.Errorf("job %s: none of the nodes on which it did not succeed is enrolled any more", id))
		return
	}
	s.orderJob(w, r, req, id)
}

// jobTrouble tells an operator why the queue did not do what he asked for.
func (s *Server) jobTrouble(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, jobs.ErrUnknown):
		fail(w, http.StatusNotFound, "g8os job list lists those that are remembered", err)
	case errors.Is(err, jobs.ErrTaken):
		fail(w, http.StatusConflict, "use another job id, or none", err)
	case errors.Is(err, jobs.ErrState):
		fail(w, http.StatusConflict, "g8os job show says how it stands", err)
	case errors.Is(err, jobs.ErrFull):
		fail(w, http.StatusTooManyRequests, "wait until some have ended, or cancel some: g8os job list --state queued", err)
	case errors.Is(err, jobs.ErrCursor):
		fail(w, http.StatusBadRequest, "use the cursor of an event, or none", err)
	default:
		s.trouble(w, r, err)
	}
}

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

// levelOf is the level of the operator whose request it is.
func (s *Server) levelOf(r *http.Request) level {
	id, _, _ := s.caller(r)
	name, _, _ := strings.Cut(id.Name, ".")
	return levels[name]
}
