package measure

import (
	"math"
	"testing"
	"time"

	"github.com/g8os/g8os/core/api"
)

var start = time.Unix(1e9, 0)

// sample is a machine of two cores some seconds after start, that has been busy
// for a part of them.
func sample(seconds, busy float64) Sample {
	return Sample{
		At: start.Add(time.Duration(seconds * float64(time.Second))), Cores: 2, CPUBusy: busy, CPUAll: 2 * seconds,
		MemTotal: 1000, MemUsed: 400, Load1: 0.5, Processes: 3,
	}
}

func TestMetrics(t *testing.T) {
	with := func(s Sample, in, out uint64) Sample {
		s.Nets = map[string]Net{"eth0": {In: in, Out: out, Card: true}, "lo": {In: 9e9}}
		return s
	}
	for name, c := range map[string]struct {
		before, after Sample
		want          api.Metrics
	}{
		"busy for a quarter":               {with(sample(10, 5), 1000, 0), with(sample(20, 10), 3000, 500), api.Metrics{CPU: .25, NetIn: 3000, NetOut: 500, NetInRate: 200, NetOutRate: 50}},
		"the first":                        {Sample{}, with(sample(10, 5), 1000, 0), api.Metrics{CPU: .25, NetIn: 1000}},
		"a counter of traffic went back":   {with(sample(10, 5), 5000, 10), with(sample(20, 5), 100, 20), api.Metrics{NetIn: 100, NetOut: 20, NetOutRate: 1}},
		"processor time went back":         {sample(10, 9), sample(20, 5), api.Metrics{}},
		"all processor time went back":     {sample(20, 1), sample(10, 5), api.Metrics{}},
		"a card came":                      {sample(10, 5), with(sample(20, 5), 1000, 0), api.Metrics{NetIn: 1000}},
		"a card went":                      {with(sample(10, 5), 1000, 0), sample(20, 5), api.Metrics{}},
		"no time has passed":               {with(sample(10, 5), 0, 0), with(sample(10, 5), 100, 0), api.Metrics{NetIn: 100}},
		"the machine slept for two days":   {with(sample(0, 0), 0, 0), with(sample(200_000, 0), 100, 0), api.Metrics{NetIn: 100}},
		"more busy than there are cores":   {sample(10, 0), sample(11, 1e9), api.Metrics{CPU: 1}},
		"a counter that is all but over":   {with(sample(10, 0), 0, 0), with(sample(20, 0), math.MaxUint64, 0), api.Metrics{NetInRate: float64(uint64(math.MaxUint64)) / 10}},
		"processor time is not a number":   {sample(10, 0), sample(20, math.NaN()), api.Metrics{}},
		"processor time is without an end": {sample(10, 0), sample(20, math.Inf(1)), api.Metrics{CPU: 1}},
	} {
		got := Metrics(c.before, c.after)
		c.want.MemTotal, c.want.MemUsed, c.want.Load1, c.want.Processes = 1000, 400, 0.5, 3
		if c.want = c.want.Shown(); got != c.want {
			t.Errorf("%s:\n%+v, want\n%+v", name, got, c.want)
		}
	}
}

func TestStateIsTheDisk(t *testing.T) {
	s := sample(1, 0)
	s.FileSystems = []FileSystem{{Path: "/", Total: 9, Used: 8}, {Path: "/state", Total: 100, Used: 30, State: true}}
	if m := Metrics(Sample{}, s); m.DiskTotal != 100 || m.DiskUsed != 30 {
		t.Errorf("%+v", m)
	}
}

// A number of a process is used again, a group is counted by the kernel, a disk
// has gone and another has come.
func TestTop(t *testing.T) {
	before, after := sample(10, 0), sample(20, 0)
	before.Procs = []Process{
		{PID: 1, Started: 1, CPU: 5, Group: "/init"}, {PID: 7, Started: 50, CPU: 100, Group: "/web"}, {PID: 8, Started: 2, CPU: 1, Group: "/web"},
	}
	after.Procs = []Process{
		{PID: 1, Started: 1, CPU: 6, Group: "/init", Memory: 10}, {PID: 7, Started: 1500, CPU: 8, Group: "/web", Memory: 30},
		{PID: 8, Started: 2, CPU: 6, Group: "/web", Memory: 20}, {PID: 9, Started: 3, CPU: 6, Memory: -1},
	}
	before.Groups, after.Groups = map[string]Group{"/web": {CPU: 100}}, map[string]Group{"/web": {CPU: 115, Memory: 77}, "/gone": {}}
	before.Disks = map[string]Disk{"sda": {Read: 100}, "sdb": {}}
	after.Disks = map[string]Disk{"sda": {Read: 1100, Written: 10, BusyMS: 20_000}, "sdc": {Read: 5000}}
	top := Top(before, after, 3)
	if got := top.Processes; len(got) != 3 || got[0].PID != 8 || got[0].CPU != .5 || got[1].PID != 1 || got[1].CPU != .1 || got[2].PID != 7 || got[2].CPU != 0 {
		t.Errorf("processes %+v", got)
	}
	if got := top.Groups; len(got) != 2 || got[0] != (api.GroupUse{Name: "/web", Processes: 2, CPU: 1.5, Memory: 77}) || got[1].Name != "/init" || got[1].CPU != .1 {
		t.Errorf("groups %+v", got)
	}
	if got := top.Disks; len(got) != 2 || got[0] != (api.DiskTraffic{Name: "sda", ReadRate: 100, WriteRate: 1, Busy: 1}) || got[1] != (api.DiskTraffic{Name: "sdc"}) {
		t.Errorf("disks %+v", got)
	}
	if top.OverMS != 10_000 || top.Cores != 2 {
		t.Errorf("%+v", top)
	}
	if backward := Top(after, before, 10); backward.OverMS != 0 || backward.Processes[0].CPU != 0 {
		t.Errorf("a clock that went back: %+v", backward)
	}
}
