package monitor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/procfs"
	"github.com/prometheus/procfs/blockdevice"
	"golang.org/x/sys/unix"

	"github.com/g8os/g8os/core/monitor/measure"
)

// Paths says where a machine is read from.
type Paths struct {
	Proc  string // default /proc
	Sys   string // default /sys
	State string // a path on the file system of the node's state; default /
	// Cards names the interfaces whose traffic is the machine's; nil: all but lo.
	Cards func() []string
}

// Reader reads a machine. It keeps nothing between two reads but names of
// users; one goroutine at a time may use it.
type Reader struct {
	paths  Paths
	proc   procfs.FS
	blocks blockdevice.FS
	users  map[uint32]string
}

// NewReader opens the folders to read from. It reads nothing yet.
func NewReader(p Paths) (*Reader, error) {
	for _, d := range []struct {
		path  *string
		usual string
	}{{&p.Proc, "/proc"}, {&p.Sys, "/sys"}, {&p.State, "/"}} {
		if *d.path == "" {
			*d.path = d.usual
		}
	}
	proc, err := procfs.NewFS(p.Proc)
	if err != nil {
		return nil, fmt.Errorf("measure this machine: %w", err)
	}
	blocks, err := blockdevice.NewFS(p.Proc, p.Sys)
	if err != nil {
		return nil, fmt.Errorf("measure this machine: %w", err)
	}
	return &Reader{paths: p, proc: proc, blocks: blocks, users: map[uint32]string{}}, nil
}

// Sample reads what is wanted all the time. What cannot be read is left out;
// the error says what and why.
func (r *Reader) Sample() (measure.Sample, error) {
	s := measure.Sample{At: time.Now()}
	err := errors.Join(r.cpu(&s), r.memory(&s), r.load(&s), r.nets(&s), r.fileSystems(&s))
	s.Temperatures = r.temperatures()
	s.Processes = r.count()
	return s, err
}

// Full reads what Sample does, and every disk, process and cgroup.
func (r *Reader) Full() (measure.Sample, error) {
	s, err := r.Sample()
	err = errors.Join(err, r.disks(&s), r.processes(&s))
	s.Groups = r.groups(s.Procs)
	return s, err
}

func (r *Reader) cpu(s *measure.Sample) error {
	st, err := r.proc.Stat()
	if err != nil {
		return err
	}
	c := st.CPUTotal // guests' time is in User and Nice already (proc(5))
	idle := c.Idle + c.Iowait
	s.CPUBusy = c.User + c.Nice + c.System + c.IRQ + c.SoftIRQ + c.Steal
	s.CPUAll, s.Cores = s.CPUBusy+idle, len(st.CPU)
	return nil
}

func (r *Reader) memory(s *measure.Sample) error {
	m, err := r.proc.Meminfo()
	if err != nil {
		return err
	}
	of := func(v *uint64) int64 {
		if v == nil {
			return 0
		}
		return int64(*v)
	}
	s.MemTotal, s.Swap = of(m.MemTotalBytes), of(m.SwapTotalBytes)
	s.MemUsed, s.SwapUsed = s.MemTotal-of(m.MemAvailableBytes), s.Swap-of(m.SwapFreeBytes)
	return nil
}

func (r *Reader) load(s *measure.Sample) error {
	l, err := r.proc.LoadAvg()
	if err != nil {
		return err
	}
	s.Load1 = l.Load1
	return nil
}

func (r *Reader) nets(s *measure.Sample) error {
	list, err := r.proc.NetDev()
	if err != nil {
		return err
	}
	isCard := func(name string) bool { return name != "lo" }
	if r.paths.Cards != nil {
		cards := r.paths.Cards()
		isCard = func(name string) bool { return slices.Contains(cards, name) }
	}
	s.Nets = make(map[string]measure.Net, len(list))
	for name, n := range list {
		s.Nets[name] = measure.Net{In: n.RxBytes, Out: n.TxBytes, Card: isCard(name)}
	}
	return nil
}

// disks are whole ones: partitions are in them.
func (r *Reader) disks(s *measure.Sample) error {
	whole, err := r.blocks.SysBlockDevices()
	if err != nil {
		return err
	}
	list, err := r.blocks.ProcDiskstats()
	if err != nil {
		return err
	}
	s.Disks = map[string]measure.Disk{}
	for _, d := range list {
		if slices.Contains(whole, d.DeviceName) && !memoryDisk(d.DeviceName) {
			s.Disks[d.DeviceName] = measure.Disk{
				Read: d.ReadSectors * procfs.SectorSize, Written: d.WriteSectors * procfs.SectorSize, BusyMS: d.IOsTotalTicks,
			}
		}
	}
	return nil
}

// memoryDisk tells block devices that are none: of memory, or of a file.
func memoryDisk(name string) bool {
	return strings.HasPrefix(name, "ram") || strings.HasPrefix(name, "loop") || strings.HasPrefix(name, "zram")
}

// count is how many processes there are.
func (r *Reader) count() (n int) {
	d, err := os.Open(r.paths.Proc)
	if err != nil {
		return 0
	}
	defer d.Close()
	names, _ := d.Readdirnames(-1)
	for _, name := range names {
		if name[0] >= '1' && name[0] <= '9' {
			n++
		}
	}
	return n
}

// temperatures are those of the thermal zones and of the sensors of hwmon, in
// degrees, by their names.
func (r *Reader) temperatures() map[string]float64 {
	found := map[string]float64{}
	for _, g := range []struct{ inputs, name string }{
		{"class/thermal/thermal_zone*/temp", "type"},
		{"class/hwmon/hwmon*/temp*_input", "name"},
	} {
		inputs, _ := filepath.Glob(filepath.Join(r.paths.Sys, g.inputs))
		for _, in := range inputs {
			milli, err := strconv.ParseFloat(text(in), 64)
			if err != nil || milli < -100_000 || milli > 1_000_000 {
				continue
			}
			name := text(filepath.Join(filepath.Dir(in), g.name))
			found[name] = max(found[name], milli/1000)
		}
	}
	return found
}

// text is what a small file says, without blanks around it; empty if it cannot
// be read.
func text(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// statfs asks how full a file system is.
func statfs(path string) (total, used, inodes, inodesUsed int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return 0, 0, 0, 0, fmt.Errorf("statfs %s: %w", path, err)
	}
	size := int64(st.Bsize)
	used = int64(st.Blocks-st.Bfree) * size
	// What root keeps for itself is not there for others: full is when they
	// get no more (df(1) counts so).
	total = used + int64(st.Bavail)*size
	return total, used, int64(st.Files), int64(st.Files - st.Ffree), nil
}
