// Package spec reads what services a node is to run: the files of
// /mnt/etc/services.d.
//
// It promises that a mistake costs no more than the service it is in: Parse and
// Settle never fail as a whole, say in one line per mistake what is wrong and
// where, and return all the rest, whose dependencies are known and without a
// cycle. It is pure: whether a program or a user exists is seen at the start.
//
//	[service.web]
//	command   = ["/opt/web/bin/web", "--port", "8080"] # or a string, for sh -c
//	env       = { LANG = "C.UTF-8" }
//	user      = "www-data"          # else root; group: else that of the user
//	dir       = "/opt/web"          # else /
//	after     = ["db"]              # must be ready before
//	condition = ["/opt/web/bin/web"] # files that must be there
//	restart   = "always"            # always | on-failure | never
//	backoff   = { min = "1s", max = "1m" }
//	limit     = { starts = 5, within = "10m" } # more often: failed
//	stop      = { signal = "TERM", grace = "10s" }
//	log       = { size = "1MiB", keep = 2 }
//	ready     = { http = "http://127.0.0.1:8080/health", timeout = "30s" }
//	limits    = { cpu = 1.5, memory = "512MiB", pids = 100 }
//
//	[service.cache]                 # a container
//	runtime = "docker"
//	docker  = { image = "redis:7", volumes = ["/state/redis:/data"], network = "host" } # command: else the image's
//
//	[service.router]                # a virtual machine: its serial port is its log
//	runtime = "kvm"
//	kvm     = { disks = ["/state/router.qcow2"], cpus = 2, memory = "512MiB", args = ["-nic", "tap,ifname=vm0,script=no"] }
//
//	[service.tidy]                  # oneshot = true: once at every boot
//	command = "find /tmp -mtime +7 -delete"
//	every   = "1h"                  # or cron = "30 4 * * *", in UTC
package spec

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/g8os/g8os/core/problem"
	"github.com/g8os/g8os/core/services/order"
)

// MaxSize is the largest file that is read, in bytes.
const MaxSize = 256 << 10

// Service is what one [service.NAME] says, with what it leaves to us filled in.
type Service struct {
	Name string
	File string `json:"-"`
	Line int    `json:"-"` // of its table

	Command    []string
	Env        []string // NAME=VALUE, sorted
	User       string   // name or number; empty: root
	Group      string   // name or number; empty: that of User
	Dir        string
	After      []string
	Condition  []string // paths
	Ready      Ready
	Restart    order.Restart
	MinPause   time.Duration
	MaxPause   time.Duration
	MaxStarts  int // within Within; 0: no limit
	Within     time.Duration
	Signal     string // to end it, without SIG
	Grace      time.Duration
	Limits     Limits
	Namespaces []string // of namespaces
	PrivateTmp bool
	Oneshot    bool
	Every      time.Duration // 0: does not recur so
	Cron       string        // "": does not recur so
	LogSize    int64         // bytes of one file
	LogKeep    int           // files beside the present one

	// Of other runtimes than programs; left out of what Version sees where they are not.
	Runtime Runtime `json:",omitempty"`
	Docker  Docker  `json:",omitzero"`
	KVM     KVM     `json:",omitzero"`
}

// Runtime is what a service is made of.
type Runtime string

// The runtimes.
const (
	Process   Runtime = "" // a program of the machine
	Container Runtime = "docker"
	Guest     Runtime = "kvm"
)

// Docker says what container a service is. Its command is that of the image,
// unless Command is given.
type Docker struct {
	Image   string
	Volumes []string // HOST:CONTAINER[:ro]
	Network string   // of docker's; empty: that of the machine
	Ports   []string // [ADDRESS:]PORT:PORT[/udp], unless the network is that of the machine
}

// KVM says what virtual machine a service is.
type KVM struct {
	Disks  []string // files, raw or qcow2 by their name, or devices
	Kernel string   // empty: the first disk boots
	Initrd string
	Append string
	CPUs   int
	Memory int64    // bytes
	Accel  string   // kvm or tcg; empty: KVM where there is a /dev/kvm
	Args   []string // more of QEMU's, such as a network card
}

// Ready says when a service is ready. Without any, it is as soon as it runs.
type Ready struct {
	AliveFor time.Duration
	TCP      string // host:port
	HTTP     string // URL that answers with a status below 400
	Output   string // regular expression that a line of output matches
	Notify   bool   // it says READY=1 on $NOTIFY_SOCKET (sd_notify(3))
	Timeout  time.Duration
}

// Asked tells whether readiness is something to be waited for.
func (r Ready) Asked() bool {
	return r.AliveFor > 0 || r.TCP != "" || r.HTTP != "" || r.Output != "" || r.Notify
}

// Limits are those of a cgroup (v2). Zero: none.
type Limits struct {
	CPU    float64 // cores
	Memory int64   // bytes
	Pids   int
	IO     []IO
}

// IO limits a disk, in bytes per second; zero: no limit.
type IO struct {
	Device      string // /dev/sda
	Read, Write int64
}

// Any tells whether there is a limit.
func (l Limits) Any() bool { return l.CPU > 0 || l.Memory > 0 || l.Pids > 0 || len(l.IO) > 0 }

// Version tells declarations apart: it changes with anything that matters.
func (s Service) Version() string {
	text, err := json.Marshal(s)
	if err != nil {
		return "" // nothing in it can fail
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// Ordered is what package order needs to know.
func (s Service) Ordered() order.Service {
	o := order.Service{
		Name: s.Name, Version: s.Version(), After: s.After, Restart: s.Restart, MinPause: s.MinPause, MaxPause: s.MaxPause,
		MaxStarts: s.MaxStarts, Within: s.Within, Oneshot: s.Oneshot,
	}
	if s.Ready.Asked() {
		o.Limit = s.Ready.Timeout
	}
	if s.Every > 0 {
		o.Recurs, o.AtOnce = every(s.Every), true
	}
	if s.Cron != "" {
		o.Recurs, _ = schedule(s.Cron) // Parse has asked
	}
	return o
}

// every is a pause between the end of one run and the next.
type every time.Duration

func (e every) Next(t time.Time) time.Time { return t.Add(time.Duration(e)) }

// inUTC keeps a schedule out of the reach of daylight saving time.
type inUTC struct{ cron.Schedule }

func (s inUTC) Next(t time.Time) time.Time { return s.Schedule.Next(t.UTC()) }

func schedule(text string) (order.Schedule, error) {
	s, err := cron.ParseStandard(text)
	if err != nil {
		return nil, err
	}
	return inUTC{s}, nil
}

// File is what one file declares.
type File struct {
	Path     string
	Services []Service
	Bad      []string // names of services that are left out
	Broken   bool     // nothing of it could be read: it may declare anything
	Problems []problem.Problem
}

// Name tells whether a service may have a name.
func Name(name string) bool { return goodName.MatchString(name) }
