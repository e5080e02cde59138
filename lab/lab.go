// Package lab is a grid in a box: segments, an AC and nodes, the same binaries
// as in the field, each machine in namespaces of its own, with faults on
// demand. Scenarios speak only to this package, g8lab is its command line.
//
//	l, err := lab.Up(ctx, topology, lab.Options{Name: "t1"})
//	err = l.WaitManaged(ctx)
//	n := l.Node("office-1")
//	err = n.PowerCut(ctx)
//	…
//	err = l.Down(ctx)
//
// It promises: nothing in the host's own network namespace but a listener on
// 127.0.0.1 for each AC; Up completes what is missing and can be repeated;
// Down leaves nothing, whatever happened before; a fault is in force when the
// call that asked for it returns; several labs live side by side. A lab lives
// on when the process that built it ends: there is no daemon, and Open gives
// any other process a handle on it.
//
// A Lab may be used by several goroutines. It is not a test framework: it
// asserts nothing.
package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/g8os/g8os/lab/fabric"
	"github.com/g8os/g8os/lab/grid"
	"github.com/g8os/g8os/lab/machine"
	"github.com/g8os/g8os/lab/record"
	"github.com/g8os/g8os/lab/topology"
)

// Grid is what a scenario sees of a lab: the same in virtual time (lab/sim), on
// namespaces and on machines (lab/real).
type Grid = grid.Grid

// DefaultName is the lab that is meant when nobody says which.
const DefaultName = "default"

// Options say how a lab is to be brought up.
type Options struct {
	// Name of the lab, at most 15 of a-z, 0-9 and -; empty: DefaultName.
	Name string
	// BinDir has g8os_core, g8os_ac and gocryptfs; empty: see FindBinDir.
	BinDir string
	// Port on 127.0.0.1 for the (first) AC; 0: a free one, kept while the lab lives.
	Port int
	// Image is the folder with the image that virtual machines boot; empty: see image.Find.
	Image string
	// Cold boots virtual machines instead of making them clones of a template.
	Cold bool
	// Hold leaves g8os_core of every node to be started by StartCore.
	Hold bool
	// Progress is told what is being done, one line at a time; may be nil.
	Progress func(line string)
	// Log; nil: discarded.
	Log *slog.Logger
}

// Lab is a handle on a lab that exists.
type Lab struct {
	rec *record.Record
	opt Options
	log *slog.Logger

	mu       sync.Mutex
	st       state
	machines map[string]*machine.Machine

	shared shared
}

// state is lab.json: what was asked for, and what was changed since.
type state struct {
	Plan   *topology.Plan `json:"plan"`
	BinDir string         `json:"bin_dir"`
	// ImageDir has what virtual machines boot; Cold ones are no clones.
	ImageDir string                  `json:"image_dir,omitempty"`
	Cold     bool                    `json:"cold,omitempty"`
	Forward  map[string]int          `json:"forward"`            // AC → port on 127.0.0.1
	Cuts     map[string][]fabric.Cut `json:"cuts"`               // by segment
	Impaired map[string][]Impairment `json:"impaired,omitempty"` // by segment
	Hosts    []topology.Machine      `json:"hosts"`              // other machines, added later
	Moved    map[string]string       `json:"moved,omitempty"`    // NODE/NIC → the segment it was plugged into
}

const stateFile = "lab.json"

// switchName is the machine a segment's switch runs in; the dot keeps it apart
// from nodes. Each segment has one of its own: a switch forwards on one
// thread, and when it ends the kernel waits for its ports one after the other.
func switchName(segment string) string { return "switch." + segment }

// ErrUnknown is wrapped when a name means nothing in the lab.
var ErrUnknown = errors.New("no such name in the lab")

// ErrNoLab is wrapped when the lab asked for does not exist.
var ErrNoLab = errors.New("the lab is not up")

// List names the labs there are, whole or in pieces.
func List() ([]string, error) { return record.List() }

// Exists reports whether there is anything of a lab, whole or in pieces.
func Exists(name string) bool { return record.CheckName(name) == nil && record.Of(name).Exists() }

// Open returns a handle on a lab that was brought up before.
func Open(name string, log *slog.Logger) (*Lab, error) {
	if err := record.CheckName(name); err != nil {
		return nil, err
	}
	l := newLab(Options{Name: name, Log: log})
	err := l.load()
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("lab %s: %w; g8lab up brings it up, g8lab list says which there are", name, ErrNoLab)
	}
	return l, err
}

func newLab(o Options) *Lab {
	l := &Lab{rec: record.Of(o.Name), opt: o, log: o.Log, machines: map[string]*machine.Machine{}}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	if l.opt.Progress == nil {
		l.opt.Progress = func(string) {}
	}
	return l
}

// load reads what the record knows.
func (l *Lab) load() error {
	if err := l.rec.Load(stateFile, &l.st); err != nil {
		return err
	}
	events, err := l.rec.Journal()
	if err != nil {
		return err
	}
	for name, proc := range record.Machines(events) {
		l.machines[name] = &machine.Machine{Name: name, Proc: proc, Control: l.machineDir(name) + "/control"}
	}
	return nil
}

// Name of the lab.
func (l *Lab) Name() string { return l.opt.Name }

// Dir is where the lab's volatile files are.
func (l *Lab) Dir() string { return l.rec.Run }

// LogDir is where the logs of all machines are.
func (l *Lab) LogDir() string { return filepath.Join(l.rec.Run, "logs") }

// Plan is what the lab consists of.
func (l *Lab) Plan() *topology.Plan { return l.st.Plan }

// Nodes of the lab, in the order of the topology.
func (l *Lab) Nodes() []*Node {
	var all []*Node
	for _, m := range l.nodes() {
		all = append(all, &Node{lab: l, plan: m})
	}
	return all
}

// FindNode returns a node, or an error that wraps ErrUnknown and says which there are.
func (l *Lab) FindNode(name string) (*Node, error) {
	return find(l, "node", name, l.Nodes(), (*Node).Name)
}

// Node returns a node that is known to exist; it panics otherwise.
func (l *Lab) Node(name string) *Node { return must(l.FindNode(name)) }

// ACs of the lab.
func (l *Lab) ACs() []*AC {
	var all []*AC
	for _, m := range l.st.Plan.ACs {
		all = append(all, &AC{lab: l, plan: m})
	}
	return all
}

// FindAC returns an AC, or an error that wraps ErrUnknown.
func (l *Lab) FindAC(name string) (*AC, error) {
	return find(l, "AC", name, l.ACs(), (*AC).Name)
}

// AC returns an AC that is known to exist; it panics otherwise.
func (l *Lab) AC(name string) *AC { return must(l.FindAC(name)) }

// Segments of the lab.
func (l *Lab) Segments() []*Segment {
	var all []*Segment
	for _, s := range l.st.Plan.Segments {
		all = append(all, &Segment{lab: l, plan: s})
	}
	return all
}

// FindSegment returns a segment, or an error that wraps ErrUnknown.
func (l *Lab) FindSegment(name string) (*Segment, error) {
	return find(l, "segment", name, l.Segments(), (*Segment).Name)
}

// Segment returns a segment that is known to exist; it panics otherwise.
func (l *Lab) Segment(name string) *Segment { return must(l.FindSegment(name)) }

func find[T any](l *Lab, kind, name string, all []T, nameOf func(T) string) (T, error) {
	var names []string
	for _, t := range all {
		if nameOf(t) == name {
			return t, nil
		}
		names = append(names, nameOf(t))
	}
	var none T
	return none, unknown(kind, l.Name(), name, names)
}

func must[T any](t T, err error) T {
	if err != nil {
		panic(err)
	}
	return t
}

// machineDir holds a machine's sockets and volatile files.
func (l *Lab) machineDir(name string) string { return filepath.Join(l.rec.Run, "m", name) }

// dataDir holds what a machine keeps over a power cut.
func (l *Lab) dataDir(name string) string { return filepath.Join(l.rec.Data, name) }

// machine returns the handle of a machine that has power.
func (l *Lab) machine(name string) (*machine.Machine, error) {
	l.mu.Lock()
	m := l.machines[name]
	l.mu.Unlock()
	if m == nil || !m.Alive() {
		remedy := l.say("up")
		if l.isNode(name) {
			remedy = l.say("power " + name + " on")
		}
		return nil, fmt.Errorf("%s of lab %s has no power; %s gives it some", name, l.Name(), remedy)
	}
	return m, nil
}

// say is a command of g8lab as one would type it for this lab.
func (l *Lab) say(command string) string {
	if l.Name() == DefaultName {
		return "g8lab " + command
	}
	return "g8lab --lab " + l.Name() + " " + command
}

// fabric is a handle on a segment's switch.
func (l *Lab) fabric(segment string) (*fabric.Switch, error) {
	m, err := l.machine(switchName(segment))
	if err != nil {
		return nil, err
	}
	return fabric.Open(m, l.machineDir(m.Name)), nil
}

// change changes the state and writes it down. What other processes have
// changed since it was read is taken in first.
func (l *Lab) change(f func(*state)) error {
	return l.rec.Alone(stateFile, func() error {
		var now state
		if err := l.rec.Load(stateFile, &now); err != nil {
			return err
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.st.takeIn(now)
		f(&l.st)
		return l.rec.Save(stateFile, l.st)
	})
}

// takeIn makes what changes while a lab is up that of a newer state.
func (st *state) takeIn(now state) {
	st.Forward, st.Cuts, st.Impaired, st.Hosts, st.Moved = now.Forward, now.Cuts, now.Impaired, now.Hosts, now.Moved
}

// samePlan reports whether two plans ask for the same lab.
func samePlan(a, b *topology.Plan) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}

// Down takes the lab down; see the function Down.
func (l *Lab) Down(ctx context.Context) error { return Down(ctx, l.Name(), DownOptions{}) }

// Ports on 127.0.0.1, by AC.
func (l *Lab) Ports() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.st.Forward)
}

// Hosts lists the machines that were added to segments.
func (l *Lab) Hosts() []string {
	var names []string
	for _, h := range l.hosts() {
		names = append(names, h.Name)
	}
	slices.Sort(names)
	return names
}

func (l *Lab) hosts() []topology.Machine {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.st.Hosts)
}
