// Package shown writes what a node says of itself for people: its facts, and
// what uses it. The operator's command and the node's own print the same.
//
// It promises that nothing in it obeys a terminal, whatever the node says.
package shown

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/internal/table"
)

// clean is text of a node fit for a terminal.
func clean(s string) string { return cmp.Or(api.Shown(s, 256), "-") }

// Facts writes them in groups.
func Facts(w io.Writer, f api.Facts) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name string, cells ...string) {
		for i, c := range cells {
			cells[i] = clean(c)
		}
		fmt.Fprintf(t, "%s\t%s\n", name, strings.Join(cells, "\t"))
	}
	row("host name", f.Hostname)
	row("system", f.OS)
	row("kernel", f.Kernel+" "+f.Arch)
	row("booted", f.Boot.UTC().Format(time.DateTime)+" UTC, "+f.Time.Sub(f.Boot).Round(time.Second).String()+" ago")
	row("machine", strings.TrimSpace(f.Machine.Vendor+" "+f.Machine.Product+" "+f.Machine.Serial))
	row("firmware", strings.TrimSpace(f.Machine.Boots+" "+f.Machine.Firmware))
	row("tpm", cmp.Or(f.TPM, "none"))
	row("cpu", fmt.Sprintf("%s, %d sockets, %d cores, %d threads", cmp.Or(f.CPU.Model, "unknown"), f.CPU.Sockets, f.CPU.Cores, f.CPU.Threads))
	row("", fmt.Sprintf("virtualisation %s%s", cmp.Or(f.CPU.Virtualization, "none"), map[bool]string{true: ", is a guest"}[f.CPU.Hypervisor]))
	row("", strings.Join(f.CPU.Flags, " "))
	row("memory", table.Bytes(float64(f.Memory))+", swap "+table.Bytes(float64(f.Swap)))
	for _, name := range slices.Sorted(maps.Keys(f.Versions)) {
		row("version", name+" "+f.Versions[name])
	}
	if err := t.Flush(); err != nil {
		return err
	}
	return hardware(w, f)
}

func hardware(w io.Writer, f api.Facts) error {
	disks := table.Table{Head: []string{"DISK", "SIZE", "KIND", "MODEL"}}
	for _, d := range f.Disks {
		kind := map[bool]string{true: "rotational", false: "flash"}[d.Rotational]
		if d.Removable {
			kind += ", removable"
		}
		disks.Rows = append(disks.Rows, []string{clean(d.Name), table.Bytes(float64(d.Size)), kind, clean(d.Model)})
	}
	mounts := table.Table{Head: []string{"MOUNT", "SOURCE", "TYPE", "SIZE", "USED"}}
	for _, m := range f.Mounts {
		used := table.Of(m.Used, m.Total)
		if m.ReadOnly {
			used = "read-only"
		}
		mounts.Rows = append(mounts.Rows, []string{clean(m.Path), clean(m.Source), clean(m.Type), table.Bytes(float64(m.Total)), used})
	}
	nics := table.Table{Head: []string{"NIC", "MAC", "KIND", "DRIVER", "SPEED", "MTU", "LINK", "ADDRESSES"}}
	for _, n := range f.NICs {
		speed := "-"
		if n.Speed > 0 {
			speed = fmt.Sprintf("%d Mbit/s", n.Speed)
		}
		nics.Rows = append(nics.Rows, []string{
			clean(n.Name), clean(n.MAC), clean(n.Kind), clean(n.Driver), speed, fmt.Sprint(n.MTU),
			map[bool]string{true: "yes", false: "no"}[n.Carrier], clean(strings.Join(n.Addresses, " ")),
		})
	}
	for _, t := range []table.Table{disks, mounts, nics} {
		if len(t.Rows) == 0 {
			continue
		}
		fmt.Fprintln(w)
		if err := t.Print(w); err != nil {
			return err
		}
	}
	return nil
}

// Top writes what uses a node.
func Top(w io.Writer, t api.Top) error {
	m := t.Metrics
	fmt.Fprintf(w, "%s  over %s\n", t.Time.Local().Format(time.TimeOnly), (time.Duration(t.OverMS) * time.Millisecond).Round(100*time.Millisecond))
	fmt.Fprintf(w, "cpu %s of %d cores, load %.2f; memory %s of %s, swap %s of %s; disk %s of %s\n",
		table.Percent(m.CPU), t.Cores, m.Load1, table.Bytes(float64(m.MemUsed)), table.Bytes(float64(m.MemTotal)),
		table.Bytes(float64(t.SwapUsed)), table.Bytes(float64(t.SwapTotal)), table.Bytes(float64(m.DiskUsed)), table.Bytes(float64(m.DiskTotal)))
	var traffic []string
	for _, d := range t.Disks {
		if d.ReadRate+d.WriteRate > 0 {
			traffic = append(traffic, fmt.Sprintf("%s read %s/s write %s/s busy %s", clean(d.Name), table.Bytes(d.ReadRate), table.Bytes(d.WriteRate), table.Percent(d.Busy)))
		}
	}
	for _, n := range t.Nets {
		if n.InRate+n.OutRate > 0 {
			traffic = append(traffic, fmt.Sprintf("%s in %s/s out %s/s", clean(n.Name), table.Bytes(n.InRate), table.Bytes(n.OutRate)))
		}
	}
	fmt.Fprintf(w, "%s; %d processes, %d services, %d failed, %d jobs\n\n", cmp.Or(strings.Join(traffic, "; "), "no traffic"), m.Processes, m.Services, m.Failed, m.Jobs)
	processes := table.Table{Head: []string{"PID", "USER", "CPU", "MEMORY", "THREADS", "STATE", "NAME", "GROUP"}, Wraps: true, Dispensable: []string{"THREADS", "STATE"}}
	for _, p := range t.Processes {
		processes.Rows = append(processes.Rows, []string{
			fmt.Sprint(p.PID), clean(p.User), table.Percent(p.CPU), table.Bytes(float64(p.Memory)), fmt.Sprint(p.Threads), clean(p.State), clean(p.Name), clean(p.Group),
		})
	}
	if err := processes.Print(w); err != nil || len(t.Groups) == 0 {
		return err
	}
	fmt.Fprintln(w)
	groups := table.Table{Head: []string{"CPU", "MEMORY", "PROCESSES", "GROUP"}, Wraps: true}
	for _, g := range t.Groups {
		groups.Rows = append(groups.Rows, []string{table.Percent(g.CPU), table.Bytes(float64(g.Memory)), fmt.Sprint(g.Processes), clean(g.Name)})
	}
	return groups.Print(w)
}
