package lab

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/g8os/g8os/lab/actor"
	"github.com/g8os/g8os/lab/actor/control"
	"github.com/g8os/g8os/lab/topology"
)

// Actor is a party of lab/actor that runs on a host of a segment, or in the
// place of a segment's DHCP server.
type Actor struct {
	*Process
	Host *Host
	from int64 // where its own part of the log begins
}

// Happening is a line of an actor's log: what happened is in "msg".
type Happening map[string]any

// AddActor puts a host on the segment and starts g8lab actor KIND there. It
// returns once the actor answers. An empty address gives the host none.
func (s *Segment) AddActor(ctx context.Context, name, address, kind string, args ...string) (*Actor, error) {
	var addresses []string
	if address != "" {
		addresses = append(addresses, address)
	}
	h, err := s.AddHost(ctx, name, addresses...)
	if err != nil {
		return nil, err
	}
	return h.StartActor(ctx, kind, args...)
}

// StartActor starts g8lab actor KIND on the host and returns once it answers.
func (h *Host) StartActor(ctx context.Context, kind string, args ...string) (*Actor, error) {
	program, err := h.lab.Program("g8lab")
	if err != nil {
		return nil, err
	}
	a := h.Actor(kind)
	argv := append([]string{program, "actor", kind}, args...)
	if told(kind) {
		argv = append(argv, "--control", a.Socket())
	}
	if st, err := os.Stat(a.LogPath()); err == nil {
		a.from = st.Size()
	}
	if _, err := h.Start(ctx, kind, argv...); err != nil {
		return nil, err
	}
	return a, a.ready(ctx)
}

// Actor is a handle on an actor of a kind that was started on the host.
func (h *Host) Actor(kind string) *Actor {
	return &Actor{Process: &Process{host: h, name: kind}, Host: h}
}

// told says which actors can be told something while they run.
func told(kind string) bool { return kind == "dhcp" || kind == "squatter" }

// ready waits until the actor says that it answers, or has ended.
func (a *Actor) ready(ctx context.Context) error {
	for ctx.Err() == nil {
		all, err := a.Log(actor.Ready)
		if err != nil || len(all) > 0 {
			return err
		}
		if j, err := a.Host.lab.Job(ctx, a.Host.Name(), a.name); err != nil || j.State == 0 {
			return errors.Join(err, fmt.Errorf("actor %s on %s has ended (log: %s): %s", a.name, a.Host.Name(), a.LogPath(), tail(a.LogPath())))
		}
		pause(ctx, 10*time.Millisecond)
	}
	return fmt.Errorf("actor %s on %s does not say that it is ready: %w (log: %s)", a.name, a.Host.Name(), ctx.Err(), a.LogPath())
}

// Socket is where the actor is told things.
func (a *Actor) Socket() string { return filepath.Join(a.Host.lab.Dir(), a.Host.Name()+".sock") }

// Tell switches the actor's behaviour; it is in force when Tell returns.
func (a *Actor) Tell(ctx context.Context, words ...string) error {
	return control.Tell(ctx, a.Socket(), words...)
}

// Log lists what the actor has noted so far, of one kind or (empty) of all.
func (a *Actor) Log(kind string) ([]Happening, error) {
	return readHappenings(a.LogPath(), a.from, kind)
}

// ReadHappenings lists all that the actors of a log have noted; one that does
// not exist is empty.
func ReadHappenings(path string) ([]Happening, error) { return readHappenings(path, 0, "") }

func readHappenings(path string, from int64, kind string) ([]Happening, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if _, err := f.Seek(from, io.SeekStart); err != nil {
		return nil, err
	}
	var all []Happening
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var h Happening
		if json.Unmarshal(lines.Bytes(), &h) == nil && (kind == "" || h["msg"] == kind) {
			all = append(all, h)
		}
	}
	return all, lines.Err()
}

// Time is when it happened.
func (h Happening) Time() time.Time {
	t, _ := time.Parse(time.RFC3339Nano, fmt.Sprint(h["time"]))
	return t
}

// End ends the actor and waits for it; its host stays. One that has ended is
// no error.
func (a *Actor) End(ctx context.Context) error {
	j, err := a.Host.lab.Job(ctx, a.Host.Name(), a.name)
	if err != nil || j.State == 0 {
		return err
	}
	if err := a.Signal(ctx, syscall.SIGKILL); err != nil {
		return err
	}
	_, err = a.Wait(ctx)
	return err
}

// DHCPHost is the machine of the segment's DHCP server, to run something else
// in its place.
func (s *Segment) DHCPHost() (*Host, topology.DHCP, error) {
	plan, ok := s.dhcp()
	if !ok {
		return nil, topology.DHCP{}, fmt.Errorf("segment %s: DHCP server: %w %s", s.Name(), ErrUnknown, s.lab.Name())
	}
	return &Host{lab: s.lab, plan: plan}, *plan.DHCP, nil
}

// Address is the host's own on its first NIC, where the topology gives it one.
func (h *Host) Address() string { return h.plan.Ports[0].Address.String() }

// FindHost returns a machine that AddHost has put on a segment.
func (l *Lab) FindHost(name string) (*Host, error) {
	for _, h := range l.hosts() {
		if h.Name == name {
			return &Host{lab: l, plan: h}, nil
		}
	}
	return nil, unknown("host", l.Name(), name, l.Hosts())
}

// Fits tells whether a happening has values that begin so.
func (h Happening) Fits(with map[string]any) bool {
	for k, v := range with {
		if !strings.HasPrefix(fmt.Sprint(h[k]), fmt.Sprint(v)) {
			return false
		}
	}
	return true
}
