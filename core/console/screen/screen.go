// Package screen draws what a node shows of itself on its consoles.
//
// It promises that the same View gives the same lines, in printable ASCII, no
// wider than asked and, where a height is given, no longer: what has no room is
// counted, not lost. Nothing that came over the network reaches a terminal as
// an escape sequence. It draws and decides when something is worth a block on
// a serial line (Calm); it reads no clock, file or socket. Package console is
// its shell.
package screen

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/g8os/g8os/core/api"
)

// View is all that can be seen on a console.
type View struct {
	Facts
	Status  *api.Status   // what g8os_core said last; nil: nothing yet
	Waiting time.Duration // since when Status waits for what it waits for, measured here
}

// Facts is what is known without g8os_core. Empty texts are not shown.
type Facts struct {
	Hostname string
	Version  string // of g8os_core
	Kernel   string
	Uptime   time.Duration
	State    string   // the state disk, or that there is none
	Tools    string   // the tools layer, and what runs of it
	Logs     string   // where to look
	Daemon   string   // why there is no g8os_core to ask; empty while there is
	Notices  []string // what PID 1 has to say: the last boot's end, disks that could not be used
	Cards    []Card
}

// Card is a network interface.
type Card struct {
	Name, MAC string
	Up        bool
	Carrier   bool
	Physical  bool // has hardware behind it: shown first
	Addresses []string
}

// Style is how a terminal that can should set a line off.
type Style int

// The styles.
const (
	Plain Style = iota
	Head        // title and phase ladder
	Ask         // somebody must do something
	Bad         // warnings and errors
)

// Line is one line, without its end.
type Line struct {
	Text  string
	Style Style
}

const (
	label     = 12 // columns of the names on the left
	maxCards  = 6
	maxWrap   = 3 // lines of one text
	patience  = 3 * time.Second
	lastPhase = "managed"
)

var phases = []string{"network", "unlock", "secure", "ssh", "sandbox", lastPhase}

// Lines draws the view for a terminal. Height 0: as many lines as it takes.
func Lines(v View, width, height int) []Line {
	d := &drawing{width: max(width, 40)}
	d.head(v)
	d.progress(v)
	d.key(v)
	d.cards(v.Cards)
	d.machine(v)
	d.troubles(v, height)
	if height > 0 && len(d.lines) > height {
		d.lines = d.lines[:height]
	}
	return d.lines
}

type drawing struct {
	width int
	lines []Line
}

func (d *drawing) put(s Style, text string) {
	d.lines = append(d.lines, Line{clip(text, d.width), s})
}

// row is a name and a text, wrapped; nothing when the text is empty.
func (d *drawing) row(s Style, name, text string) {
	if text = clean(text); text == "" {
		return
	}
	for i, part := range wrap(text, d.width-label-1, maxWrap) {
		if i > 0 {
			name = ""
		}
		d.put(s, fmt.Sprintf(" %-*s%s", label, name, part))
	}
}

func (d *drawing) blank() {
	if n := len(d.lines); n > 0 && d.lines[n-1].Text != "" {
		d.put(Plain, "")
	}
}

func (d *drawing) head(v View) {
	left := " G8OS  " + clean(name(v))
	right := strings.TrimSpace(clean(v.Version) + "  " + clean(v.Kernel))
	d.put(Head, left+strings.Repeat(" ", max(2, d.width-1-len(left)-len(right)))+right)
	d.blank()
}

func name(v View) string {
	if v.Hostname == "" && v.Status != nil {
		return v.Status.Hostname
	}
	return v.Hostname
}

// progress is the ladder, what the node waits for, and its controller.
func (d *drawing) progress(v View) {
	s := v.Status
	if s == nil || v.Daemon != "" {
		d.row(Ask, "g8os_core", orElse(v.Daemon, "is starting"))
		d.blank()
	}
	if s == nil {
		return
	}
	d.put(Head, "  "+ladder(s.Phase))
	d.blank()
	if s.WaitsFor != "" {
		d.row(Plain, "waits for", fmt.Sprintf("%s, for %s", s.WaitsFor, rounded(v.Waiting)))
		if !strings.Contains(s.WaitsFor, s.LastError) {
			d.row(Bad, "last error", s.LastError)
		}
	} else if s.Phase == lastPhase {
		d.row(Plain, "managed", "for "+rounded(v.Waiting))
	}
	d.row(Plain, "controller", controller(s))
}

func controller(s *api.Status) string {
	if s.Controller == "" {
		return "none found yet"
	}
	return fmt.Sprintf("%s  (%s, %s %s)", s.Controller, s.Way, s.Interface, s.Address)
}

func ladder(phase string) string {
	steps := slices.Clone(phases)
	if i := slices.Index(steps, phase); i >= 0 {
		steps[i] = "[" + strings.ToUpper(phase) + "]"
	}
	return strings.Join(steps, " > ")
}

// key shows the fingerprint: large while somebody may have to compare it,
// because the AC does not know this node, or has not let it in.
func (d *drawing) key(v View) {
	s := v.Status
	if s == nil || s.Fingerprint == "" {
		d.blank()
		return
	}
	if s.Phase != "unlock" || v.Waiting < patience && !strings.Contains(s.LastError, "refused") {
		d.row(Plain, "device key", s.Fingerprint)
		d.blank()
		return
	}
	d.blank()
	d.row(Ask, "APPROVE", "if this node is not enrolled yet: compare its device key, then")
	d.row(Ask, "", "    "+s.Fingerprint)
	d.row(Ask, "", fmt.Sprintf("    g8os node approve %s", orElse(string(s.NodeID), "NODE")))
	d.blank()
}

func (d *drawing) cards(cards []Card) {
	cards = slices.Clone(cards)
	slices.SortStableFunc(cards, func(a, b Card) int { return rank(a) - rank(b) })
	if len(cards) == 0 {
		d.row(Bad, "network", "this machine has no network interface, or no driver for it")
	}
	for i, c := range cards {
		if i == maxCards && len(cards) > maxCards+1 {
			d.row(Plain, "", fmt.Sprintf("and %d interfaces more", len(cards)-maxCards))
			break
		}
		d.row(Plain, c.Name, fmt.Sprintf("%-17s  %-10s  %s", c.MAC, c.link(), orElse(strings.Join(c.Addresses, ", "), "no address")))
	}
	d.blank()
}

func rank(c Card) int {
	if c.Physical {
		return 0
	}
	return 1
}

func (c Card) link() string {
	switch {
	case !c.Up:
		return "down"
	case !c.Carrier:
		return "no carrier"
	}
	return "link"
}

func (d *drawing) machine(v View) {
	d.row(Plain, "state", v.State)
	d.row(Plain, "tools", v.Tools)
	d.row(Plain, "logs", v.Logs)
	if v.Uptime > 0 {
		d.row(Plain, "up", rounded(v.Uptime))
	}
}

// troubles get the lines that are left.
func (d *drawing) troubles(v View, height int) {
	all := slices.Clone(v.Notices)
	if v.Status != nil {
		all = append(all, v.Status.Warnings...)
	}
	if len(all) == 0 {
		return
	}
	d.blank()
	for i, t := range all {
		before := len(d.lines)
		d.row(Bad, "warning", t)
		left := len(all) - i
		if height > 0 && (len(d.lines) > height || len(d.lines) == height && left > 1) {
			d.lines = d.lines[:min(before, height-1)]
			d.put(Bad, fmt.Sprintf(" %-*sand %d more: g8os_core status", label, "", left))
			return
		}
	}
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}
