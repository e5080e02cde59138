// Package node is the shell around the boot machine: it turns interfaces,
// packets, files, timers and connections into events, and performs the
// machine's effects.
//
//	kernel ─ links ──┐                       ┌─▶ netWorker ─▶ links
//	wire (ARP, DHCP) ┼─▶ events ─▶ boot.Machine ─▶ wire
//	files, timers ───┤        ▲              ├─▶ find (try, open)
//	answers ─────────┘        └── answers ───┴─▶ unlock, secure, ssh, managed
//
// It promises that the machine is stepped by one goroutine, that effects on
// interfaces are performed in their order, and that every effect that wants an
// answer gets one. It decides nothing.
package node

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/boot"
	"github.com/g8os/g8os/core/channel"
	"github.com/g8os/g8os/core/clock"
	"github.com/g8os/g8os/core/jobs"
	"github.com/g8os/g8os/core/local"
	"github.com/g8os/g8os/core/managed"
	"github.com/g8os/g8os/core/monitor"
	"github.com/g8os/g8os/core/network/links"
	"github.com/g8os/g8os/core/network/nettoml"
	"github.com/g8os/g8os/core/ssh"
	"github.com/g8os/g8os/core/unlock/tpm"
	"github.com/g8os/g8os/core/upgrade"
	"github.com/g8os/g8os/core/version"
)

// Options says where a node's things are.
type Options struct {
	Dir        string           // net.toml, ca.pem, keys and ciphertext: /etc/g8os
	Mount      string           // the private configuration: /mnt/etc
	RunDir     string           // gone after a reboot: /run/g8os
	LogDir     string           // what services write: /var/log/g8os/services
	Socket     string           // local.Socket
	ResolvConf string           // /etc/resolv.conf
	Image      string           // what the image says of itself: /usr/share/g8os/image.json
	Layers     string           // where layers are kept, if there is a disk: /state/tools
	Spool      string           // what jobs and events are kept in until an AC has them: /var/lib/g8os/spool
	SSHPort    int              // of sshd, as long as the volume has no sshd_config; 0: 22
	Upgrades   upgrade.Store    // where kept binaries of g8os_core are
	Power      Power            // how the machine is switched off; nil: it cannot be
	Reload     <-chan os.Signal // asks for net.toml to be read again; nil: nobody does
	TPM        tpm.TPM          // of the machine
	Clock      clock.Clock
	Log        *slog.Logger
}

// Node is one node's shell.
type Node struct {
	opt     Options
	machine *boot.Machine
	events  chan boot.Event
	net     *netWorker
	sockets map[string]*sockets
	keys    *keys
	jobs    *jobs.Jobs
	channel *channel.Server
	monitor *monitor.Monitor
	apps    *apps
	sshd    *ssh.Server
	links   *links.Links
	board   *local.Board
	work    operations
	where   atomic.Pointer[api.Whereabouts]
	ctx     context.Context
	reload  chan struct{}
	lastErr string
	leave   context.CancelCauseFunc // ends Run, with the reason

	path      atomic.Pointer[boot.Path] // the way to the AC
	upgrading sync.Mutex                // held while an upgrade is prepared

	fetching sync.Mutex                    // held while a layer is fetched
	off      atomic.Pointer[time.Duration] // how far our clock is ahead of the AC's
	config   nettoml.Config                // as read last; the netWorker's
}

const (
	netToml      = "net.toml"
	pinnedCA     = "ca.pem"
	fallbackFile = "fallback-address"
	eventQueue   = 256
)

// Run runs a node until ctx ends. Sessions are closed then; sshd, the volume, the
// interfaces and the programs of jobs stay as they are, for the next g8os_core to
// adopt. It returns an error only for what no waiting can mend, ErrRestart when
// g8os_core is to be started again, or a Down when the machine is to go.
func Run(ctx context.Context, opt Options) error {
	ctx, leave := context.WithCancelCause(ctx)
	defer leave(nil)
	listener, err := local.Listen(opt.Socket)
	if err != nil {
		return err
	}
	defer listener.Close()
	if err := os.MkdirAll(opt.RunDir, 0o755); err != nil {
		return fmt.Errorf("run folder: %w", err)
	}
	l, err := links.Open(links.Options{
		Record: filepath.Join(opt.RunDir, "links.json"), ResolvConf: opt.ResolvConf, Log: opt.Log,
	})
	if err != nil {
		return err
	}
	n := newNode(ctx, opt, l)
	n.leave = leave
	defer n.shutdown()
	go n.monitor.Run(ctx)
	go func() {
		err := local.Serve(ctx, listener, n.board, local.Does{
			Reload: n.askReload, Builtin: n.builtin, Shutdown: n.endAll, Restart: func() { leave(ErrRestart) },
		})
		if err != nil {
			opt.Log.Error("local socket", "error", err)
		}
	}()
	go n.watchConfig()
	n.adoptJobs()
	go n.keepGrace(ctx)
	go n.apps.watch(ctx)
	go n.apps.watchFailing(ctx)
	go n.lookForVolume()
	if err := n.watchLinks(); err != nil {
		return err
	}
	go n.watchTrial()
	n.loop()
	return reason(ctx)
}

func newNode(ctx context.Context, opt Options, l *links.Links) *Node {
	hostname, _ := os.Hostname()
	n := &Node{
		opt: opt, ctx: ctx, links: l,
		events:  make(chan boot.Event, eventQueue),
		sockets: map[string]*sockets{},
		reload:  make(chan struct{}, 1),
	}
	n.sshd = ssh.New(ssh.Options{Dir: filepath.Join(opt.Mount, "ssh"), RunDir: opt.RunDir, Port: opt.SSHPort, Note: n.noteService, Log: opt.Log})
	n.apps = newApps(n)
	n.jobs = jobs.New(jobs.Options{
		Spool: opt.Spool, RunDir: filepath.Join(opt.RunDir, "jobs"), Builtins: n.builtins(), Env: n.jobEnv, After: after, Log: opt.Log,
	})
	n.channel = &channel.Server{Log: opt.Log}
	n.machine = boot.New(boot.Config{
		Hostname: hostname, Seed: randomSeed(), LastFallback: readFallback(opt.Dir),
		Timing: boot.DefaultTiming(), Fallback: api.FallbackController,
		Touched: l.Touched(), Made: l.Made(),
	})
	n.keys = &keys{opt: opt, log: opt.Log, grace: graced{changed: make(chan struct{}, 1)}}
	n.work = operations{node: n, open: map[int]context.CancelFunc{}, sessions: map[int]*managed.Session{}}
	n.net = newNetWorker(n)
	n.where.Store(&api.Whereabouts{})
	n.board = local.NewBoard(n.status())
	n.monitor = n.newMonitor()
	return n
}

// loop steps the machine.
func (n *Node) loop() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		if next := n.machine.Next(); !next.IsZero() {
			timer.Reset(time.Until(next))
		} else {
			timer.Stop()
		}
		var ev boot.Event = boot.Tick{}
		select {
		case <-n.ctx.Done():
			return
		case ev = <-n.events:
		case <-timer.C:
		}
		n.step(ev)
	}
}

func (n *Node) step(ev boot.Event) {
	before := n.machine.Status()
	effects := n.machine.Step(ev, time.Now())
	for _, e := range effects {
		n.perform(e)
	}
	after := n.status()
	where := n.machine.Path().Where(boot.Phase(after.Phase))
	n.where.Store(&where)
	path := n.machine.Path()
	n.path.Store(&path)
	n.logChange(before, after)
	n.board.Show(after)
}

// logChange writes down what an operator reads a log for: each phase, and each
// new error once.
func (n *Node) logChange(before, after api.Status) {
	if before.Phase != after.Phase {
		n.opt.Log.Info("phase", "phase", after.Phase, "way", after.Way, "interface", after.Interface,
			"address", after.Address, "controller", after.Controller, "waits_for", after.WaitsFor)
	}
	if after.LastError != "" && after.LastError != n.lastErr {
		n.lastErr = after.LastError
		n.opt.Log.Warn("not yet", "phase", after.Phase, "error", after.LastError)
	}
}

// post hands an event to the loop.
func (n *Node) post(ev boot.Event) {
	select {
	case n.events <- ev:
	case <-n.ctx.Done():
	}
}

// status is the machine's, with what only the shell knows.
func (n *Node) status() api.Status {
	s := n.machine.Status()
	s.PID, s.Version, s.Services = os.Getpid(), version.Version(), n.apps.fails()
	s.Fingerprint = n.keys.fingerprint()
	if text := n.keys.graceText(); text != "" {
		s.Warnings = append(s.Warnings, text)
	}
	return s
}

func (n *Node) askReload() {
	select {
	case n.reload <- struct{}{}:
	default:
	}
}

// askShow has the status shown anew.
func (n *Node) askShow() { n.post(boot.Tick{}) }

// shutdown ends what must not outlive the process.
func (n *Node) shutdown() {
	n.apps.leave()
	n.work.closeAll()
	if _, down := errors.AsType[Down](reason(n.ctx)); down {
		n.jobs.CancelAll() // those that did not end in time
	} else {
		n.jobs.Leave()
	}
	n.net.stop()
	for _, s := range n.sockets {
		s.close()
	}
}

func randomSeed() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return binary.LittleEndian.Uint64(b[:])
}

func readFallback(dir string) netip.Addr {
	b, err := os.ReadFile(filepath.Join(dir, fallbackFile))
	if err != nil {
		return netip.Addr{}
	}
	a, _ := netip.ParseAddr(strings.TrimSpace(string(b)))
	return a
}

func missingFile(err error) bool { return errors.Is(err, fs.ErrNotExist) }
