package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/g8os/g8os/core/api"
)

// working is the ACs of a grid whose nodes do what tests say: n1 and n2 have the
// role web, n3 has none, n9 is away.
type working struct {
	t       *testing.T
	mu      sync.Mutex
	jobs    map[string]*api.Job
	asked   map[string]api.JobRequest
	events  map[string][]api.JobEvent
	changed chan struct{} // closed at every change
	breaks  int           // so many streams still break, after an event each
	hidden  bool          // the AC that made a job dies before it says so
	sched   []api.Schedule
}

func newWorking(t *testing.T) *working {
	return &working{t: t, jobs: map[string]*api.Job{}, asked: map[string]api.JobRequest{}, events: map[string][]api.JobEvent{}, changed: make(chan struct{})}
}

func (g *working) reply(w http.ResponseWriter, status int, v any) {
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		g.t.Error(err)
	}
}

func (g *working) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+api.PathJobs, g.post)
	mux.HandleFunc("GET "+api.PathJobs, g.list)
	mux.HandleFunc("GET "+api.PathJob, func(w http.ResponseWriter, r *http.Request) { g.one(w, r, func(*api.Job) {}) })
	mux.HandleFunc("POST "+api.PathJobCancel, func(w http.ResponseWriter, r *http.Request) {
		g.one(w, r, func(j *api.Job) { g.stop(j, r.URL.Query().Get("node")) })
	})
	mux.HandleFunc("POST "+api.PathJobRetry, g.retry)
	mux.HandleFunc("GET "+api.PathJobEvents, func(w http.ResponseWriter, r *http.Request) { g.stream(w, r, r.PathValue("job")) })
	mux.HandleFunc("GET "+api.PathNode, func(w http.ResponseWriter, r *http.Request) {
		g.reply(w, 200, api.Node{ID: api.NodeID("id-" + r.PathValue("id")), Name: r.PathValue("id")})
	})
	mux.HandleFunc("GET "+api.PathSchedules, func(w http.ResponseWriter, _ *http.Request) { g.reply(w, 200, g.sched) })
	mux.HandleFunc("POST "+api.PathSchedules, g.schedule)
	mux.HandleFunc("DELETE "+api.PathSchedule, func(w http.ResponseWriter, r *http.Request) {
		at := slices.IndexFunc(g.sched, func(s api.Schedule) bool { return s.Name == r.PathValue("name") })
		if at < 0 {
			g.reply(w, http.StatusNotFound, api.Failure{Error: "no such schedule", Remedy: "g8os schedule list"})
			return
		}
		was := g.sched[at]
		g.sched = slices.Delete(g.sched, at, at+1)
		g.reply(w, 200, was)
	})
	return mux
}

func (g *working) schedule(w http.ResponseWriter, r *http.Request) {
	var s api.Schedule
	if err := json.NewDecoder(r.Body).Decode(&s); err != nil {
		g.t.Error(err)
	}
	if s.Name == "" {
		s.Name = "made"
	}
	if s.Cron == "1 2 3" {
		g.reply(w, http.StatusBadRequest, api.Failure{Error: "not a schedule", Remedy: "man crontab"})
		return
	}
	s.By, s.Next = "spiffe://test.grid/operator/admin.test", time.Now().Add(90*time.Second)
	g.sched = append(g.sched, s)
	g.reply(w, 200, s)
}

func (g *working) change() {
	close(g.changed)
	g.changed = make(chan struct{})
}

// names are whom an address means, or why it means nobody.
func names(to api.Address) ([]string, string) {
	switch {
	case to.All:
		return []string{"n1", "n2", "n3", "n9"}, ""
	case slices.Equal(to.Roles, []string{"web"}):
		return []string{"n1", "n2"}, ""
	case len(to.Roles) > 0:
		return nil, "no enrolled node has the role"
	}
	for _, n := range to.Nodes {
		if !slices.Contains([]string{"n1", "n2", "n3", "n9"}, n) {
			return nil, "no such node"
		}
	}
	return to.Nodes, ""
}

func (g *working) post(w http.ResponseWriter, r *http.Request) {
	var q api.JobRequest
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		g.t.Error(err)
	}
	list, why := names(q.To)
	if why != "" {
		g.reply(w, http.StatusNotFound, api.Failure{Error: why, Remedy: "g8os nodes shows them"})
		return
	}
	g.mu.Lock()
	if g.jobs[q.ID] == nil {
		g.make(q, list)
	}
	job, hidden := *g.jobs[q.ID], g.hidden
	g.hidden = false
	g.mu.Unlock()
	switch {
	case hidden:
		g.hangUp(w)
	case r.URL.Query().Get("follow") == "1":
		g.stream(w, r, q.ID)
	default:
		g.reply(w, 200, job)
	}
}

// make does a job at once, as far as it ends; g.mu is held.
func (g *working) make(q api.JobRequest, list []string) {
	j := &api.Job{ID: q.ID, By: "spiffe://test.grid/operator/admin.test", Created: time.Now(), Expires: time.Now().Add(time.Duration(q.TTLMS) * time.Millisecond),
		To: q.To, Command: "script", Nodes: len(list), Counts: map[api.JobState]int{}}
	if len(q.Exec.Argv) > 0 && len(q.Exec.Script) == 0 {
		j.Command = q.Exec.Argv[0]
	}
	g.jobs[q.ID], g.asked[q.ID] = j, q
	for _, n := range list {
		j.Runs = append(j.Runs, api.JobRun{Node: api.NodeID("id-" + n), Name: n, State: api.JobQueued})
	}
	g.say(j, api.JobEvent{Job: j.ID})
	for i := range j.Runs {
		g.work(j, &j.Runs[i], q)
	}
	g.count(j)
}

func (g *working) say(j *api.Job, e api.JobEvent) {
	e.Cursor = fmt.Sprint(len(g.events[j.ID]) + 1)
	g.events[j.ID] = append(g.events[j.ID], e)
	g.change()
}

func (g *working) end(j *api.Job, r *api.JobRun, state api.JobState, code int, err string) {
	r.State, r.Code, r.Error = state, code, err
	g.say(j, api.JobEvent{Node: r.Node, Name: r.Name, State: state, Code: code, Error: err})
}

// work is what the nodes do: argv says what.
func (g *working) work(j *api.Job, r *api.JobRun, q api.JobRequest) {
	out := func(stream, text string) {
		g.say(j, api.JobEvent{Node: r.Node, Name: r.Name, Stream: stream, Data: []byte(text)})
	}
	if r.Name == "n9" {
		if q.TTLMS == 0 {
			g.end(j, r, api.JobRefused, 0, "the node is away")
		}
		return
	}
	r.State = api.JobRunning
	g.say(j, api.JobEvent{Node: r.Node, Name: r.Name, State: api.JobRunning})
	argv := append(slices.Clone(q.Exec.Argv), "")
	if len(q.Exec.Script) > 0 {
		out("stdout", fmt.Sprintf("%s%q\n", q.Exec.Script, q.Exec.Argv))
		argv[0] = "echo"
	}
	switch argv[0] {
	case "hang":
		out("stdout", "begun\n")
	case "revoked": // he who asks
		g.say(j, api.JobEvent{Done: true, Error: "the operator's certificate does not count any more"})
	case "levels":
		out("stdout", "plain\n7::disk ne")
		out("stdout", "arly full\n8:::\nfirst\n")
		out("stderr", "9::on fire\n")
		out("stdout", "second\n:::\nplain again\n7::no end")
		g.end(j, r, api.JobSuccess, 0, "")
	case "nosuch":
		g.end(j, r, api.JobError, 127, "run nosuch: not found")
	case "late":
		g.end(j, r, api.JobTimeout, 137, "stopped: it ran longer than its timeout")
	case "lost":
		g.end(j, r, api.JobLost, 0, "")
	case "exit":
		code, _ := strconv.Atoi(argv[1])
		if len(argv) > 3 && argv[2] != r.Name { // only on one
			code = 0
		}
		g.end(j, r, map[bool]api.JobState{true: api.JobSuccess, false: api.JobError}[code == 0], code, "")
	case "binary":
		out("stdout", "\x00\xff")
		out("stdout", "\n\x01")
		g.end(j, r, api.JobSuccess, 0, "")
	case "much":
		r.Dropped, r.Duplicate = 7, true
		g.end(j, r, api.JobSuccess, 0, "")
	default:
		out("stdout", fmt.Sprintf("%q", q.Exec.Argv))
		out("stderr", "err\n")
		out("stdout", "\nno end")
		g.end(j, r, api.JobSuccess, 0, "")
	}
}

// count brings a job's numbers in line with its runs, and ends it with the last.
func (g *working) count(j *api.Job) {
	j.Counts = map[api.JobState]int{}
	over := true
	for _, r := range j.Runs {
		j.Counts[r.State]++
		over = over && r.State.Ended()
	}
	if over && j.Ended == nil {
		now := time.Now()
		j.Ended = &now
		g.say(j, api.JobEvent{Done: true})
	}
}

func (g *working) stop(j *api.Job, node string) {
	for i := range j.Runs {
		r := &j.Runs[i]
		switch {
		case r.State.Ended(), node != "" && r.Name != node:
		case r.State == api.JobRunning:
			g.end(j, r, api.JobKilled, 143, "")
		default:
			g.end(j, r, api.JobCancelled, 0, "")
		}
	}
	g.count(j)
}

func (g *working) one(w http.ResponseWriter, r *http.Request, do func(*api.Job)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	j := g.jobs[r.PathValue("job")]
	if j == nil {
		g.reply(w, http.StatusNotFound, api.Failure{Error: "no such job", Remedy: "g8os job list lists them"})
		return
	}
	do(j)
	g.reply(w, 200, j)
}

func (g *working) retry(w http.ResponseWriter, r *http.Request) {
	g.one(w, r, func(j *api.Job) {
		var failed []string
		for _, run := range j.Runs {
			if run.State != api.JobSuccess {
				failed = append(failed, run.Name)
			}
		}
		q := g.asked[j.ID]
		q.ID, q.To = j.ID+"-again", api.Address{Nodes: failed}
		g.make(q, failed)
		g.jobs[q.ID].RetryOf = j.ID
		*j = *g.jobs[q.ID]
	})
}

func (g *working) list(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	list := []api.Job{}
	for _, j := range g.jobs {
		if s := api.JobState(r.URL.Query().Get("state")); s == "" || j.Counts[s] > 0 {
			without := *j
			without.Runs = nil
			list = append(list, without)
		}
	}
	slices.SortFunc(list, func(a, b api.Job) int { return strings.Compare(a.ID, b.ID) })
	g.reply(w, 200, list)
}

func (g *working) hangUp(w http.ResponseWriter) {
	_ = http.NewResponseController(w).Flush()
	if c, _, err := w.(http.Hijacker).Hijack(); err == nil {
		_ = c.Close()
	}
}

// stream sends what there is after a cursor, and with follow=1 what comes.
func (g *working) stream(w http.ResponseWriter, r *http.Request, id string) {
	at, _ := strconv.Atoi(r.URL.Query().Get("after"))
	for sent := false; ; {
		g.mu.Lock()
		rest, changed := g.events[id][at:], g.changed
		cut := sent && g.breaks > 0
		if cut {
			g.breaks--
		}
		g.mu.Unlock()
		switch {
		case cut:
			g.hangUp(w)
			return
		case len(rest) > 0:
			if json.NewEncoder(w).Encode(rest[0]) != nil || rest[0].Done {
				return
			}
			_ = http.NewResponseController(w).Flush()
			at, sent = at+1, true
			continue
		case r.URL.Query().Get("follow") != "1":
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-changed:
		}
	}
}
