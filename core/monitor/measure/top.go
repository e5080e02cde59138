package measure

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"github.com/g8os/g8os/core/api"
)

// Top says what used the machine between two samples in full: at most limit
// processes and as many groups.
func Top(before, after Sample, limit int) api.Top {
	over := between(before, after)
	all := processes(before, after, over)
	return api.Top{
		Time: after.At.Round(0), OverMS: int64(math.Round(over * 1000)), Cores: after.Cores,
		Metrics: Metrics(before, after), SwapTotal: after.Swap, SwapUsed: after.SwapUsed,
		Disks: disks(before, after, over), Nets: nets(before, after, over),
		Processes: most(all, limit, func(p api.ProcessUse) (float64, int64) { return p.CPU, p.Memory }),
		Groups:    most(groups(before, after, all, over), limit, func(g api.GroupUse) (float64, int64) { return g.CPU, g.Memory }),
	}
}

func processes(before, after Sample, over float64) []api.ProcessUse {
	type name struct {
		pid     int
		started uint64
	}
	had := make(map[name]float64, len(before.Procs))
	for _, p := range before.Procs {
		had[name{p.PID, p.Started}] = p.CPU
	}
	list := make([]api.ProcessUse, 0, len(after.Procs))
	for _, p := range after.Procs {
		use := api.ProcessUse{PID: p.PID, User: p.User, Name: p.Name, State: p.State, Threads: p.Threads, Memory: max(p.Memory, 0), Group: p.Group}
		if was, same := had[name{p.PID, p.Started}]; same {
			use.CPU = spent(was, p.CPU, over, after.Cores)
		}
		list = append(list, use)
	}
	return list
}

// groups adds up processes by their cgroup, and believes the kernel where it
// counts for the group: it has those in it that have ended.
func groups(before, after Sample, all []api.ProcessUse, over float64) []api.GroupUse {
	sum := map[string]api.GroupUse{}
	for _, p := range all {
		g := sum[p.Group]
		g.Name = p.Group
		g.Processes++
		g.CPU += p.CPU
		g.Memory += p.Memory
		sum[p.Group] = g
	}
	delete(sum, "")
	list := make([]api.GroupUse, 0, len(sum))
	for _, path := range slices.Sorted(maps.Keys(sum)) {
		g := sum[path]
		g.CPU = min(g.CPU, float64(max(after.Cores, 1)))
		if now, counted := after.Groups[path]; counted {
			g.Memory = max(now.Memory, 0)
			if was, counted := before.Groups[path]; counted {
				g.CPU = spent(was.CPU, now.CPU, over, after.Cores)
			}
		}
		list = append(list, g)
	}
	return list
}

// most returns those that use most CPU and, of those that use alike, most memory.
func most[T any](list []T, limit int, use func(T) (cpu float64, memory int64)) []T {
	slices.SortStableFunc(list, func(a, b T) int {
		ac, am := use(a)
		bc, bm := use(b)
		return cmp.Or(cmp.Compare(bc, ac), cmp.Compare(bm, am))
	})
	return list[:min(max(limit, 0), len(list))]
}

func disks(before, after Sample, over float64) []api.DiskTraffic {
	list := []api.DiskTraffic{}
	for _, name := range slices.Sorted(maps.Keys(after.Disks)) {
		was, had := before.Disks[name]
		t := api.DiskTraffic{Name: name}
		if now := after.Disks[name]; had {
			t.ReadRate, t.WriteRate = rate(was.Read, now.Read, over), rate(was.Written, now.Written, over)
			t.Busy = min(rate(was.BusyMS, now.BusyMS, over)/1000, 1)
		}
		list = append(list, t)
	}
	return list
}

func nets(before, after Sample, over float64) []api.NetTraffic {
	list := []api.NetTraffic{}
	for _, name := range slices.Sorted(maps.Keys(after.Nets)) {
		was, had := before.Nets[name]
		t := api.NetTraffic{Name: name}
		if now := after.Nets[name]; had {
			t.InRate, t.OutRate = rate(was.In, now.In, over), rate(was.Out, now.Out, over)
		}
		list = append(list, t)
	}
	return list
}
