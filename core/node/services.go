package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/services"
	"github.com/g8os/g8os/core/services/declared"
	"github.com/g8os/g8os/core/services/docker"
	"github.com/g8os/g8os/core/services/kinds"
	"github.com/g8os/g8os/core/services/order"
	"github.com/g8os/g8os/core/services/program"
	"github.com/g8os/g8os/core/services/spec"
	"github.com/g8os/g8os/core/ssh"
)

// Where services are declared and what was stopped of them, in the private
// configuration; and their pid files, in the run folder.
const (
	servicesDir  = "services.d"
	stoppedFile  = "services.stopped"
	servicesRun  = "services"
	failingPause = time.Second // between two looks at which services fail
)

// apps are the services that are declared in the volume. They begin when it is
// open, and go on when it is lost.
type apps struct {
	node   *Node
	run    *services.Supervisor
	folder *declared.Folder
	kinds  *kinds.Kinds

	mu      sync.Mutex
	open    bool
	found   declared.Found
	failing []string // as the status shows them
}

func newApps(n *Node) *apps {
	run := filepath.Join(n.opt.RunDir, servicesRun)
	a := &apps{node: n, folder: declared.New(filepath.Join(n.opt.Mount, servicesDir), ssh.Name)}
	a.kinds = kinds.New(program.Where{RunDir: run, LogDir: n.opt.LogDir, Log: n.opt.Log}, docker.Socket)
	a.run = services.New(services.Options{
		RunDir: run, Desired: filepath.Join(n.opt.Mount, stoppedFile), Note: n.noteService, Log: n.opt.Log, Stray: a.kinds.Stray,
	})
	return a
}

// EndServices ends the services that a g8os_core has left running that is no more,
// containers among them. It returns when they have ended, each within its grace.
func EndServices(runDir string, log *slog.Logger) {
	dir := filepath.Join(runDir, servicesRun)
	all := kinds.New(program.Where{RunDir: dir, Log: log}, docker.Socket)
	left := services.New(services.Options{RunDir: dir, Stray: all.Stray, Log: log})
	left.Declare(nil)
	left.Leave()
	all.Prune(nil, nil)
	all.Settle()
}

// noteService tells of a service that fails: the AC has it as soon as it can.
func (n *Node) noteService(level int, service, text string) {
	n.jobs.Note(level, "service:"+service, text, nil)
}

// opened has the services run that the volume declares: they need no AC.
func (a *apps) opened() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.open {
		return
	}
	if err := a.kinds.Limit(); err != nil {
		a.node.opt.Log.Warn("services run without limits", "error", err)
	}
	a.open = true
	if err := a.read(); err != nil {
		a.node.opt.Log.Warn("services", "error", err)
	}
}

// lookForVolume has the services run when the volume is open already, and read
// again when they run.
func (n *Node) lookForVolume() {
	switch err := n.apps.reload(); {
	case err == nil:
	case !errors.Is(err, errClosed):
		n.opt.Log.Warn("services", "error", err)
	case mounted(n.opt.Mount) && n.keys.isOpen():
		n.apps.opened()
	}
}

// lost leaves what runs running, until the volume is open again.
func (a *apps) lost() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.open = false
}

// errClosed is what is said while there are no declarations to be had.
var errClosed = errors.New("the private configuration is not open: services are declared in it")

// read reads the declarations and has them run. The lock is held.
func (a *apps) read() error {
	if !a.open || !mounted(a.node.opt.Mount) {
		return errClosed
	}
	found, err := a.folder.Read()
	if err != nil {
		return err
	}
	if !mounted(a.node.opt.Mount) { // what was read may be the empty folder below
		return errClosed
	}
	for _, p := range found.Problems {
		if !slices.Contains(a.found.Problems, p) {
			a.node.opt.Log.Warn("a service has a mistake", "at", p)
			a.node.jobs.Note(api.LevelWarning, "core", p, nil)
		}
	}
	a.found = found
	all := make([]services.Service, len(found.Services))
	for i, s := range found.Services {
		all[i] = a.service(s)
	}
	a.run.Declare(all, found.Names()...)
	a.kinds.Prune(found.Services, found.Names())
	return nil
}

// service is one as the supervisor takes it. What comes after sshd, which the boot
// machine sees to, is started when that answers, and does not end with it.
func (a *apps) service(s spec.Service) services.Service {
	d := services.Service{Service: s.Ordered(), File: s.File, Runtime: a.kinds.New(s)}
	if slices.Contains(d.After, ssh.Name) {
		d.After = slices.DeleteFunc(slices.Clone(d.After), func(name string) bool { return name == ssh.Name })
		d.Prepare = a.node.sshd.WaitReady
	}
	return d
}

// mounted tells whether there is a file system of its own at a path.
func mounted(path string) bool {
	here, err1 := os.Stat(path)
	above, err2 := os.Stat(filepath.Dir(path))
	if err1 != nil || err2 != nil {
		return false
	}
	return here.Sys().(*syscall.Stat_t).Dev != above.Sys().(*syscall.Stat_t).Dev
}

// watch reads the declarations again when a file changes.
func (a *apps) watch(ctx context.Context) {
	tick := time.NewTicker(configPoll)
	defer tick.Stop()
	last := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		a.mu.Lock()
		if a.open && mounted(a.node.opt.Mount) {
			now := a.folder.Stamp()
			if last != "" && now != last {
				if err := a.read(); err != nil {
					a.node.opt.Log.Warn("services", "error", err)
				}
			}
			last = now
		}
		a.mu.Unlock()
	}
}

// leave ends all that watches services; they go on.
func (a *apps) leave() {
	a.run.Leave()
	a.kinds.Leave()
}

// reload reads the declarations now.
func (a *apps) reload() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.read()
}

// watchFailing shows in the status which services fail.
func (a *apps) watchFailing(ctx context.Context) {
	for {
		lines, changed := a.run.Failing()
		a.mu.Lock()
		for _, s := range a.found.Invalid {
			lines = append(lines, s.Name+" is "+s.State+": "+s.Why)
		}
		same := slices.Equal(lines, a.failing)
		a.failing = lines
		a.mu.Unlock()
		if !same {
			a.node.askShow()
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(failingPause):
		}
	}
}

func (a *apps) fails() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.failing
}

// count says how many services run, and how many should and do not.
func (a *apps) count() (run, failed int) {
	for _, s := range a.run.States() {
		switch {
		case s.Failing():
			failed++
		case order.Phase(s.State).Alive():
			run++
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return run, failed + len(a.found.Invalid)
}

// list answers BuiltinServices.
func (a *apps) list(context.Context, struct{}) (api.ServiceList, error) {
	list := api.ServiceList{Services: append(a.ownStates(), a.run.States()...)}
	a.mu.Lock()
	defer a.mu.Unlock()
	list.Services = append(list.Services, a.found.Invalid...)
	list.Problems = a.found.Problems
	if !a.open && len(list.Services) == 0 {
		return list, errClosed
	}
	return list, nil
}

// settle is how long an answer waits for a service to come to rest.
const settle = 10 * time.Second

// do answers BuiltinService.
func (a *apps) do(ctx context.Context, r api.ServiceRequest) (list api.ServiceList, err error) {
	switch r.Do {
	case api.ServiceReload:
		if err := a.reload(); err != nil {
			return list, err
		}
		return a.list(ctx, struct{}{})
	case api.ServiceDeclare:
		err = a.change(func() error { return a.folder.Declare(r.Name, r.Text) })
	case api.ServiceRemove:
		return list, a.change(func() error { return a.folder.Remove(r.Name) })
	default:
		err = a.tell(r.Do, r.Name)
	}
	if err != nil {
		return list, err
	}
	ctx, cancel := context.WithTimeout(ctx, settle)
	defer cancel()
	st, err := a.supervisor(r.Name).Settled(ctx, r.Name)
	if err != nil {
		return list, err
	}
	list.Services = []api.ServiceState{st}
	return list, nil
}

// change changes the declarations, and has them run.
func (a *apps) change(do func() error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.open || !mounted(a.node.opt.Mount) {
		return errClosed
	}
	if err := do(); err != nil {
		return err
	}
	return a.read()
}

// logs answers BuiltinLogs.
func (a *apps) logs(ctx context.Context, args json.RawMessage, out io.Writer) (int, error) {
	var r api.LogsRequest
	if err := json.Unmarshal(args, &r); err != nil {
		return 2, fmt.Errorf("arguments: %w", err)
	}
	if r.Lines <= 0 {
		r.Lines = 100
	}
	enc := json.NewEncoder(out)
	err := a.supervisor(r.Name).Logs(ctx, r.Name, r.Lines, r.Follow, func(line []byte) error { return enc.Encode(api.LogLine{Line: string(line)}) })
	if err != nil && ctx.Err() == nil {
		return 1, err
	}
	return 0, nil
}
