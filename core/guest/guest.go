// Package guest is the channel between a virtual machine's PID 1 and the host:
// what qemu-guest-agent is for a cloud. It is a virtio-serial port, so it works
// without a network, and from the moment PID 1 runs.
//
//	guest ── g8os-guest 1 held|running ──▶ host    once the host is there
//	      ◀═══════════ yamux ════════════▶         any number of streams, opened by the host
//
//	stream   ── {"op":"go",…} ──▶   ◀── {} | {"error":…} ──   then as the op has it
//	  go     hostname, entropy, time for a machine that was held; over
//	  state  whether it is held still; over
//	  dial   bytes to and from a unix socket of the guest
//	  exec   frames: stdin, its end, terminal size, signal ▶ ◀ stdout, stderr, exit
//
// Either side can go away in the middle of anything: the host is another
// process after a template was restored, the guest another boot after a reset.
// A side that is not understood writes newlines, which mean nothing between
// the greeting and the first frame, and are no valid frame: whatever the other
// side was in the middle of ends there, and both start anew. Frames are short,
// so that Resync newlines always are enough.
//
// It promises: a paused machine breaks nothing, however long; a host that goes
// away takes its commands with it; sizes are bounded whatever the other side
// sends; a guest that is left alone does nothing at all, not even wake up.
//
// It does not ask who is at the other end: that is whoever made the machine.
// PID 1 serves it only with g8os.guest, or g8os.hold, on the kernel's command line.
package guest

import (
	"io"
	"log"
	"time"

	"github.com/hashicorp/yamux"

	"github.com/g8os/g8os/core/api"
)

// Port is the name of the virtio-serial port.
const Port = "g8os.guest"

// Greeting is how a guest introduces itself; held or running follows.
const Greeting = "g8os-guest 1 "

// The two states of a guest, as it greets.
const (
	Held    = "held"    // waits for go
	Running = "running" // needs none
)

const (
	maxLine  = 256 << 10 // bytes of a request: argv and environment
	maxWrite = 4 << 10   // bytes of a write into a stream, hence of a frame of yamux
	// Resync is how many newlines end any frame.
	Resync = 2 * maxWrite
)

// Go is what makes a held machine one of its own.
type Go struct {
	Hostname string     `json:"hostname,omitempty"`
	Entropy  api.Secret `json:"entropy,omitempty"` // for the kernel's pool; 32 bytes or more
	Time     time.Time  `json:"time,omitzero"`     // what the clock is set to
}

// Command is a program to run.
type Command struct {
	Argv []string `json:"argv,omitempty"`
	Env  []string `json:"env,omitempty"` // added to PATH, HOME, LANG
	Dir  string   `json:"dir,omitempty"` // default /
	TTY  *Size    `json:"tty,omitempty"` // a terminal of that size; stderr comes with stdout then
}

// Size of a terminal.
type Size struct {
	Rows uint16 `json:"rows"`
	Cols uint16 `json:"cols"`
}

// Exit is how a command ended.
type Exit struct {
	Code   int `json:"code"`
	Signal int `json:"signal,omitempty"` // the signal that ended it, 0: none
}

// Status is the exit status as a shell has it.
func (e Exit) Status() int {
	if e.Signal != 0 {
		return 128 + e.Signal
	}
	return e.Code
}

// RemoteError is what the guest answered: it got the request and could not do it.
type RemoteError struct {
	Text string
	// Status is what a shell would exit with: 127 for a program that is not
	// there, 126 for one that cannot be run, 0 for anything else.
	Status int
}

func (e *RemoteError) Error() string { return "the guest says: " + e.Text }

// What a stream can be opened for.
const (
	opGo    = "go"
	opState = "state"
	opDial  = "dial"
	opExec  = "exec"
)

// request is the first line of a stream.
type request struct {
	Op string `json:"op"`
	Go
	Command
	Path string `json:"path,omitempty"`
}

// answer is the guest's first line.
type answer struct {
	Error  string `json:"error,omitempty"`
	Status int    `json:"status,omitempty"` // see RemoteError
	Held   bool   `json:"held,omitempty"`
}

// patience stands for ever where yamux wants a time: a machine may be paused
// over the weekend.
const patience = 1000 * time.Hour

// A stream that one side has closed is taken down after yamux's 5 minutes: that
// is what ends a sender whose reader went away.
func muxConfig() *yamux.Config {
	c := yamux.DefaultConfig()
	c.EnableKeepAlive = false
	c.ConnectionWriteTimeout = patience
	c.StreamOpenTimeout = 0
	c.LogOutput = nil
	c.Logger = log.New(io.Discard, "", 0) // what matters comes back as an error
	return c
}
