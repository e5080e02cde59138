package api

import "time"

// TopArgs are the arguments of BuiltinTop.
type TopArgs struct {
	IntervalMS int64 `json:"interval_ms,omitempty"` // what is measured over; 0: a second
	Follow     bool  `json:"follow,omitempty"`      // one Top a line, until it is cancelled
	Limit      int   `json:"limit,omitempty"`       // of processes and of groups, each; 0: 20
}

// Top answers BuiltinTop: what uses the machine. Rates are over the interval.
type Top struct {
	Time      time.Time     `json:"time"` // by the node's clock
	OverMS    int64         `json:"over_ms"`
	Cores     int           `json:"cores"`
	Metrics   Metrics       `json:"metrics"`
	SwapTotal int64         `json:"swap_total"` // bytes
	SwapUsed  int64         `json:"swap_used"`
	Disks     []DiskTraffic `json:"disks"`
	Nets      []NetTraffic  `json:"nets"`
	Processes []ProcessUse  `json:"processes"` // by CPU, then by memory
	Groups    []GroupUse    `json:"groups"`    // likewise
}

// ProcessUse is what a process uses.
type ProcessUse struct {
	PID     int     `json:"pid"`
	User    string  `json:"user"`
	Name    string  `json:"name"` // of the program; its arguments may be secret
	State   string  `json:"state"`
	Threads int     `json:"threads"`
	CPU     float64 `json:"cpu"`    // in cores: 1 is all of one
	Memory  int64   `json:"memory"` // bytes that are resident
	Group   string  `json:"group,omitempty"`
}

// GroupUse is what a cgroup uses, without those below it.
type GroupUse struct {
	Name      string  `json:"name"` // its path, which begins with /
	Processes int     `json:"processes"`
	CPU       float64 `json:"cpu"`    // in cores
	Memory    int64   `json:"memory"` // bytes
}

// DiskTraffic is what a disk reads and writes.
type DiskTraffic struct {
	Name      string  `json:"name"`
	ReadRate  float64 `json:"read_rate"`  // bytes a second
	WriteRate float64 `json:"write_rate"` // bytes a second
	Busy      float64 `json:"busy"`       // of the time, 0 to 1
}

// NetTraffic is what an interface receives and sends.
type NetTraffic struct {
	Name    string  `json:"name"`
	InRate  float64 `json:"in_rate"`  // bytes a second
	OutRate float64 `json:"out_rate"` // bytes a second
}
