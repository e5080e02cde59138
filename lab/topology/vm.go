package topology

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Bounds of a machine, in MiB: below the first the image does not boot.
const (
	minMemory, maxMemory = 128, 65536
	minDisk, maxDisk     = 64, 1 << 20
	maxDisks             = 4
)

func defaultVM() VM { return VM{Memory: 256, CPUs: 1, Boot: "kernel", State: []int{512}} }

func (r *reader) vm(key string, n *yaml.Node) VM {
	v := defaultVM()
	v.line = n.Line
	r.object(key, n, map[string]field{
		"memory":   value(r, &v.Memory, "a size from 128MiB to 64GiB", size(minMemory, maxMemory)),
		"cpus":     value(r, &v.CPUs, "a number from 1 to 64", between(1, 64)),
		"boot":     value(r, &v.Boot, "kernel or usb", oneOf("kernel", "usb")),
		"firmware": value(r, &v.Firmware, "bios or uefi", oneOf("bios", "uefi")),
		"state": func(key string, n *yaml.Node) {
			v.State = nil
			one := func(key string, n *yaml.Node) {
				var s int
				value(r, &s, "none, a size from 64MiB to 1TiB, or a list of sizes", size(minDisk, maxDisk))(key, n)
				v.State = append(v.State, s)
			}
			switch {
			case n.Kind == yaml.SequenceNode:
				r.list(one)(key, n)
			case n.Value != "none":
				one(key, n)
			}
		},
		"tools":  r.flag(&v.Tools),
		"cold":   r.flag(&v.Cold),
		"append": r.text(&v.Append, "kernel arguments"),
	}, "memory, cpus, boot, firmware, state, tools, cold, append")
	return v
}

// size reads a number of MiB, as 512MiB or 2GiB.
func size(least, most int) func(string) (int, error) {
	return func(s string) (int, error) {
		digits, unit := strings.TrimSuffix(s, "MiB"), 1
		if g, ok := strings.CutSuffix(s, "GiB"); ok {
			digits, unit = g, 1024
		} else if digits == s {
			return 0, strconv.ErrSyntax
		}
		n, err := strconv.Atoi(digits)
		if err == nil && (n < 1 || n > most || n*unit < least || n*unit > most) {
			err = strconv.ErrRange
		}
		return n * unit, err
	}
}

func between(least, most int) func(string) (int, error) {
	return func(s string) (int, error) {
		n, err := strconv.Atoi(s)
		if err == nil && (n < least || n > most) {
			err = strconv.ErrRange
		}
		return n, err
	}
}

func oneOf(words ...string) func(string) (string, error) {
	return func(s string) (string, error) {
		for _, w := range words {
			if s == w {
				return s, nil
			}
		}
		return "", strconv.ErrSyntax
	}
}

func (t *Topology) checkVM(r *reader, g *Group) {
	switch {
	case g.Fidelity != NetNS && g.Fidelity != Virtual:
		r.fail(g.line, "fidelity", "%q: want netns or vm", g.Fidelity)
	case len(g.VM.State) > maxDisks:
		r.fail(g.VM.line, "state", "%d disks, want at most %d", len(g.VM.State), maxDisks)
	case len(g.NICs) > 6:
		r.fail(g.line, "nics", "%d of them, want at most 6", len(g.NICs))
	case g.VM.Boot == "kernel" && g.VM.Firmware != "":
		r.fail(g.VM.line, "firmware", "%s: firmware boots a stick, want boot: usb beside it", g.VM.Firmware)
	case g.VM.Boot == "usb" && g.VM.Append != "":
		r.fail(g.VM.line, "append", "a stick has its own kernel arguments, want boot: kernel")
	}
	if g.VM.Boot == "usb" && g.VM.Firmware == "" {
		g.VM.Firmware = "uefi"
	}
}

// SetFidelity makes all nodes of one fidelity.
func (t *Topology) SetFidelity(fidelity string) error {
	if _, err := oneOf(NetNS, Virtual)(fidelity); err != nil {
		return &fidelityError{fidelity}
	}
	for i := range t.Nodes {
		t.Nodes[i].Fidelity = fidelity
	}
	return nil
}

type fidelityError struct{ got string }

func (e *fidelityError) Error() string {
	return strconv.Quote(e.got) + ": no such fidelity; want netns or vm"
}
