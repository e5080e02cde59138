package chaos

import (
	"math"
	"time"

	"github.com/g8os/g8os/lab/fault"
)

// busy is until when each thing that can have one fault at a time has one:
// a node without power is not killed, a DHCP server fails in one way at a time,
// an AC that is killed cannot be told to misbehave, and what happens once does
// not happen again.
type busy map[string]time.Duration

// apart is how long one fault is over before the next of the same begins: what
// is started again needs a moment.
const apart = 2 * time.Second

// forever is until when something is busy to which a thing happens once.
const forever = time.Duration(math.MaxInt64)

// take says whether a fault contradicts none that was taken before, and takes
// it. Faults are asked for in the order of time.
func (b busy) take(t fault.Timed, acs []string) bool {
	k, err := fault.Find(t.Fault.Kind)
	if err != nil {
		return false
	}
	needs, takes := claims(t.Fault, k, acs)
	for _, key := range needs {
		if b[key] > time.Duration(t.At) {
			return false
		}
	}
	until := time.Duration(t.At+t.Fault.For) + apart
	if k.Once {
		until = forever
	}
	for _, key := range takes {
		b[key] = max(b[key], until)
	}
	return true
}

// claims lists what has to be free for a fault, and what is busy with it then.
func claims(f fault.Fault, k fault.Kind, acs []string) (needs, takes []string) {
	once := "once " + f.Kind + " " + f.On
	switch {
	case k.Class == fault.AC:
		needs, takes = claimsAC(f, acs)
	case k.Class == fault.Segment && isDHCP(f.Kind):
		needs = []string{"dhcp " + f.On}
	case k.Class == fault.Segment:
		needs = []string{f.Kind + " " + f.On}
	case k.Class == fault.Node:
		needs = []string{"node " + f.On}
	default:
		needs = []string{f.Kind + " " + f.From + " " + f.To}
	}
	if k.Once {
		return append(needs, once), []string{once}
	}
	if takes == nil {
		takes = needs
	}
	return needs, takes
}

// claimsAC: what an AC is told to do, it can do together with others; what
// happens to its process, happens alone.
func claimsAC(f fault.Fault, acs []string) (needs, takes []string) {
	if f.On != "" {
		acs = []string{f.On}
	}
	for _, name := range acs {
		process, armed, kind := "process "+name, "armed "+name, f.Kind+" "+name
		if fault.Armed(f.Kind) {
			needs, takes = append(needs, process, kind), append(takes, armed, kind)
		} else {
			needs, takes = append(needs, process, armed), append(takes, process)
		}
	}
	return needs, takes
}
