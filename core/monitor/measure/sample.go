// Package measure makes figures of samples: given what a machine's counters
// said at two moments, it says how busy the machine was between them.
//
// It promises that every figure is a number, not below 0 and bounded by what
// the machine has, whatever became of the counters: one that goes back or wraps
// says nothing for that time, a disk or process that has gone is left out, one
// that has come is counted from its second sample on, and a clock that jumps or
// stands still makes rates 0. It reads nothing; core/monitor does.
package measure

import "time"

// Sample is what a machine's counters said at one moment. What could not be
// read is zero.
type Sample struct {
	At       time.Time // with the monotonic clock's reading where there is one
	CPUBusy  float64   // seconds of all cores since boot
	CPUAll   float64   // seconds of all cores since boot, idle ones too
	Cores    int
	MemTotal int64 // bytes
	MemUsed  int64 // bytes, without what the kernel can drop
	Swap     int64 // bytes
	SwapUsed int64 // bytes
	Load1    float64

	Nets         map[string]Net // by interface
	FileSystems  []FileSystem
	Temperatures map[string]float64 // degrees Celsius, by sensor
	Processes    int

	// Only of a sample in full.
	Disks  map[string]Disk // by name
	Procs  []Process
	Groups map[string]Group // by path, of those whose kernel counts for them
}

// Net is the traffic of an interface since boot.
type Net struct {
	In, Out uint64 // bytes
	Card    bool   // it counts for the machine's traffic
}

// Disk is the traffic of a disk since boot.
type Disk struct {
	Read, Written uint64 // bytes
	BusyMS        uint64
}

// FileSystem is one that can be filled.
type FileSystem struct {
	Path               string // where it is mounted
	Source, Type       string
	Total, Used        int64 // bytes; Used of what others than root can have
	Inodes, InodesUsed int64 // 0: it has no fixed number of them
	ReadOnly           bool
	State              bool // the node's state is on it
}

// Process is a process.
type Process struct {
	PID     int
	Started uint64 // ticks after boot: with PID it names a process for good
	User    string
	Name    string
	State   string
	Threads int
	CPU     float64 // seconds so far
	Memory  int64   // bytes that are resident
	Group   string
}

// Group is a cgroup.
type Group struct {
	CPU    float64 // seconds so far
	Memory int64   // bytes
}
