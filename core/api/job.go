package api

import (
	"encoding/json"
	"strings"
	"time"
	"unicode"
)

// Paths of jobs, for operators. {job} is a job's id.
const (
	PathJobs      = "/api/jobs"               // GET []Job, ?state= ?node= ?limit=; POST JobRequest, answers Job, or with ?follow=1 what PathJobEvents does
	PathJob       = "/api/jobs/{job}"         // GET Job, with Runs
	PathJobEvents = "/api/jobs/{job}/events"  // GET ?after=CURSOR ?follow=1; JobEvent lines (NDJSON), or RawEvents
	PathJobCancel = "/api/jobs/{job}/cancel"  // POST ?node=; answers Job
	PathJobRetry  = "/api/jobs/{job}/retry"   // POST; a new job for the nodes where it did not succeed; answers Job
	PathSchedules = "/api/schedules"          // GET []Schedule; POST Schedule, answers it
	PathSchedule  = "/api/schedules/{name}"   // DELETE; answers Schedule
	PathNodeRoles = "/api/nodes/{id}/roles"   // POST RolesRequest; answers Node
	PathChannel   = "/api/nodes/{id}/channel" // WebSocket: a shell, a forwarded port or a file; see Channel
	PathEvents    = "/api/events"             // GET ?node= ?level= ?after= ?limit= ?follow=1; NodeEvent lines, the newest last
)

// Address says which nodes a job is for: those that are named, those that have
// one of the roles, or all that are enrolled. Who it names is settled once,
// when the job is made.
type Address struct {
	Nodes []string `json:"nodes,omitempty"` // ids, MACs or host names
	Roles []string `json:"roles,omitempty"`
	All   bool     `json:"all,omitempty"`
}

// JobRequest asks for a job (POST PathJobs).
type JobRequest struct {
	ID       string      `json:"id,omitempty"` // idempotent: a request that is repeated makes no second job; empty: a new one
	To       Address     `json:"to"`
	Exec     ExecRequest `json:"exec"`
	TTLMS    int64       `json:"ttl_ms,omitempty"`   // how long it waits for nodes that are away; 0: they are refused at once
	Queue    string      `json:"queue,omitempty"`    // jobs of one queue run one after the other on a node, in the order of their making
	Parallel int         `json:"parallel,omitempty"` // on how many nodes at a time; 0: no limit
	Detached bool        `json:"detached,omitempty"` // it goes on when who made it with ?follow=1 goes away
}

// JobState is how far a job has come on a node.
type JobState string

// The states of a job on a node; the last eight are ends.
const (
	JobQueued    JobState = "queued"    // on its way, or the node is away, or others are before it
	JobRunning   JobState = "running"   // it began on the node
	JobSuccess   JobState = "success"   // exit code 0
	JobError     JobState = "error"     // another exit code, or it could not be run: Error says why
	JobTimeout   JobState = "timeout"   // stopped: it ran longer than its timeout
	JobKilled    JobState = "killed"    // stopped: cancelled, or by a signal
	JobExpired   JobState = "expired"   // its time to live was over before the node took it
	JobLost      JobState = "lost"      // it began, and nobody knows how it ended: the node's disk or power was lost
	JobRefused   JobState = "refused"   // the node was away and there was no time to live, or it is no longer enrolled
	JobCancelled JobState = "cancelled" // before it began
)

// Ended says whether a job in this state is over.
func (s JobState) Ended() bool { return s != JobQueued && s != JobRunning && s != "" }

// Job is a command for some nodes, and what became of it.
type Job struct {
	ID      string           `json:"id"`
	By      string           `json:"by"` // spiffe URI of the operator, or schedule:NAME
	Created time.Time        `json:"created"`
	Expires time.Time        `json:"expires"` // after which no node begins it
	To      Address          `json:"to"`
	Command string           `json:"command"` // the program's or builtin's name; arguments may be secret
	Queue   string           `json:"queue,omitempty"`
	RetryOf string           `json:"retry_of,omitempty"`
	Nodes   int              `json:"nodes"`
	Counts  map[JobState]int `json:"counts"`
	Ended   *time.Time       `json:"ended"` // null as long as it is not over everywhere
	Runs    []JobRun         `json:"runs,omitempty"`
}

// JobRun is a job on one node.
type JobRun struct {
	Node      NodeID     `json:"node"`
	Name      string     `json:"name"`
	State     JobState   `json:"state"`
	Code      int        `json:"code"`
	Error     string     `json:"error,omitempty"`
	Started   *time.Time `json:"started"` // by the node's clock
	Ended     *time.Time `json:"ended"`
	Dropped   int64      `json:"dropped,omitempty"`   // bytes of output that nobody has: they were too many
	Duplicate bool       `json:"duplicate,omitempty"` // the node was asked again after a crash, and did not run it again
}

// JobEvent is one line of a job's stream: a piece of output, or a change of
// state on one node, or, with Done, the end of all.
type JobEvent struct {
	Job    string    `json:"job,omitempty"`
	Node   NodeID    `json:"node,omitempty"`
	Name   string    `json:"name,omitempty"` // of the node
	Seq    uint64    `json:"seq,omitempty"`  // within the job on this node
	Time   time.Time `json:"time,omitzero"`  // when the AC had it
	Stream string    `json:"stream,omitempty"`
	Data   []byte    `json:"data,omitempty"`
	State  JobState  `json:"state,omitempty"`
	Code   int       `json:"code,omitempty"`
	Error  string    `json:"error,omitempty"`
	Cursor string    `json:"cursor,omitempty"` // for ?after=: what comes after this line
	Done   bool      `json:"done,omitempty"`   // over on all nodes: the last line
}

// Schedule is a job that recurs.
type Schedule struct {
	Name    string     `json:"name"` // 1 to 40 of a-z, 0-9 and -; when it is made, empty: after the command
	Cron    string     `json:"cron"` // five fields (crontab(5)), or @every DURATION, @daily, …; in UTC
	Request JobRequest `json:"request"`
	Overlap Overlap    `json:"overlap,omitempty"` // what becomes of a tick while the job of the one before runs
	By      string     `json:"by,omitempty"`
	Created time.Time  `json:"created,omitzero"`
	Next    time.Time  `json:"next,omitzero"`
	Last    *time.Time `json:"last,omitempty"`     // the last tick for which a job was made
	LastJob string     `json:"last_job,omitempty"` // that job: NAME-TICK, in seconds since 1970
	Note    string     `json:"note,omitempty"`     // the last time a tick had no job, and why
}

// Overlap is what becomes of a tick while the job of the one before still runs.
type Overlap string

// What there is to choose from; empty is OverlapSkip.
const (
	OverlapSkip  Overlap = "skip"  // no job is made for it
	OverlapQueue Overlap = "queue" // each node runs it after the one before
)

// RolesRequest changes the roles of a node: what it is for, as jobs name it.
type RolesRequest struct {
	Add    []string `json:"add,omitempty"`
	Remove []string `json:"remove,omitempty"`
}

// NodeEvent is something a node noticed by itself: a service that fails, an
// alarm, a warning that a program wrote in-band. Events are kept on the node's
// disk until an AC has them.
type NodeEvent struct {
	Node   NodeID          `json:"node,omitempty"`
	Name   string          `json:"name,omitempty"`   // of the node, when an AC shows it
	Seq    uint64          `json:"seq"`              // grows within a node
	Time   time.Time       `json:"time"`             // by the node's clock
	Level  int             `json:"level"`            // see Level
	Source string          `json:"source"`           // job:ID, service:NAME, alarm:NAME, core
	Text   string          `json:"text"`             // one line
	Detail json.RawMessage `json:"detail,omitempty"` // depends on Source
	Cursor string          `json:"cursor,omitempty"` // for ?after=, of any AC: what came to the ACs later than this
}

// MaxEvents is how many events of a node may be on their way: it sends no more
// until the AC has acknowledged some. An AC that is sent more takes none of those
// until they come again, oldest first, with the next session.
const MaxEvents = 64

// Bounds of an event, in bytes. More of a text is cut off, a longer detail left out.
const (
	MaxEventText   = 1024
	MaxEventDetail = 2048
)

// Shown returns e fit to be kept and shown: nobody has checked who says it, so
// that it is bounded and its text is one line that no terminal obeys.
func (e NodeEvent) Shown() NodeEvent {
	e.Source = Shown(e.Source, maxWhere)
	e.Text = oneLine(e.Text, MaxEventText)
	e.Level = min(max(e.Level, LevelStdout), LevelDebug)
	e.Time = e.Time.UTC()
	if len(e.Detail) > MaxEventDetail || !json.Valid(e.Detail) {
		e.Detail = nil
	}
	return e
}

// oneLine is text as one line of at most most bytes, in whatever language.
func oneLine(s string, most int) string {
	s = strings.ToValidUTF8(s, "?")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "")
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
}

// Builtin names what g8os_core itself does when a job asks for it, instead of
// running a program: ExecRequest.Builtin. Its arguments are ExecRequest.Args,
// its answer is JSON on stdout.
type Builtin string

// ReadOnly says whether a builtin changes nothing: a viewer may ask for it.
func (b Builtin) ReadOnly() bool { return readOnly[b] }

// Again says whether a builtin lives on in the next g8os_core: one that did not
// come to its end is asked once more, with the same arguments.
func (b Builtin) Again() bool { return b == BuiltinUpgrade }

// The builtins.
const (
	BuiltinPing     Builtin = "ping"     // answers {"pong": true}
	BuiltinFacts    Builtin = "facts"    // hardware, kernel, disks, networks
	BuiltinTop      Builtin = "top"      // what uses the machine now
	BuiltinServices Builtin = "services" // list, and what they are doing
	BuiltinService  Builtin = "service"  // start | stop | restart one
	BuiltinLogs     Builtin = "logs"     // of a service; follows
	BuiltinReboot   Builtin = "reboot"
	BuiltinPowerOff Builtin = "poweroff"
	BuiltinUpgrade  Builtin = "upgrade" // of g8os_core
)

var readOnly = map[Builtin]bool{BuiltinPing: true, BuiltinFacts: true, BuiltinTop: true, BuiltinServices: true, BuiltinLogs: true}

// Levels of what programs write in-band: a line "7::text" has level 7, and
// "8:::" begins a block that ":::" ends. Without a mark, stdout is 1 and stderr 2.
const (
	LevelStdout   = 1
	LevelStderr   = 2
	LevelPublic   = 3 // for end users
	LevelOperator = 4
	LevelLog      = 5
	LevelStruct   = 6
	LevelWarning  = 7
	LevelOpsError = 8
	LevelCritical = 9
	LevelStatsd   = 10
	LevelDebug    = 11
)
