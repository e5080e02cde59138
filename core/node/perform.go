package node

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/boot"
	"github.com/g8os/g8os/core/durable"
	"github.com/g8os/g8os/core/find"
	"github.com/g8os/g8os/core/managed"
	"github.com/g8os/g8os/core/node/verdict"
	"github.com/g8os/g8os/core/version"
)

// perform begins one effect. What takes time runs beside the loop and answers
// with an event.
func (n *Node) perform(e boot.Effect) {
	switch e := e.(type) {
	case boot.ReadConfig, boot.Remove, boot.Ensure, boot.Apply:
		n.net.add(e)
	case boot.Listen:
		n.listen(e)
	case boot.SendARP:
		n.socketsOf(e.Interface).sendARP(e.Packet)
	case boot.SendDHCP:
		n.socketsOf(e.Interface).sendDHCP(e.Send)
	case boot.Try:
		n.work.start(e.ID, e.Timeout, func(ctx context.Context) { n.post(n.try(ctx, e)) })
	case boot.Unlock:
		n.work.start(e.ID, e.Timeout, func(ctx context.Context) { n.unlock(ctx, e) })
	case boot.Secure:
		n.work.start(e.ID, e.Timeout, func(ctx context.Context) { n.post(n.keys.secure(ctx, e)) })
	case boot.StartSSH:
		n.work.startSSH()
	case boot.Connect:
		n.work.start(e.ID, e.Timeout, func(ctx context.Context) { n.connect(ctx, e) })
	case boot.Disconnect:
		n.work.disconnect(e.ID)
	case boot.Remember:
		path := filepath.Join(n.opt.Dir, fallbackFile)
		if err := durable.Write(durable.OS, path, []byte(e.Address.String()+"\n"), 0o644); err != nil {
			n.opt.Log.Warn("fallback address is not remembered", "error", err)
		}
	}
}

func (n *Node) try(ctx context.Context, e boot.Try) boot.Tried {
	finder, err := n.keys.finder()
	if err != nil {
		return boot.Tried{ID: e.ID, Err: err.Error()}
	}
	hello, err := finder.Probe(ctx, target(e.Path))
	if err != nil {
		return boot.Tried{ID: e.ID, Err: err.Error(), Late: errors.Is(err, find.ErrLate)}
	}
	n.opt.Log.Info("an AC has proved itself", "ac", hello.AC, "grid", hello.Grid, "controller", e.Path.Controller,
		"interface", e.Path.Interface, "way", e.Path.Way, "faults", hello.Faults)
	return boot.Tried{ID: e.ID, Faults: hello.Faults}
}

// unlock answers, and then watches over the volume.
func (n *Node) unlock(ctx context.Context, e boot.Unlock) {
	answer, died := n.keys.unlock(ctx, e)
	n.post(answer)
	if answer.Failure.Err == "" {
		n.adoptJobs()
		n.apps.opened()
	}
	n.watchVolume(died)
}

// watchVolume tells when a volume dies; nil: somebody watches it already.
func (n *Node) watchVolume(died <-chan struct{}) {
	if died == nil {
		return
	}
	go func() {
		select {
		case <-died:
			n.apps.lost()
			n.work.stopSSH()
			n.post(boot.VolumeLost{Err: "its daemon has ended"})
		case <-n.ctx.Done():
		}
	}()
}

// connect opens a session, answers, and tells of its end. The certificate is
// read from the volume each time, so that a damaged one is noticed and
// replaced.
func (n *Node) connect(ctx context.Context, e boot.Connect) {
	s, err := n.openSession(ctx, e.Path)
	if err != nil {
		n.post(boot.Connected{ID: e.ID, Failure: verdict.Of(err)})
		return
	}
	n.work.keep(e.ID, s)
	n.post(boot.Connected{ID: e.ID})
	go n.fetchLayer(e.Path, s.Done())
	go func() {
		<-s.Done()
		n.work.forget(e.ID)
		f := boot.Failure{Kind: boot.Unreachable, Err: "the session has ended"}
		if err := s.Err(); err != nil {
			f = verdict.Of(err)
		}
		n.post(boot.Disconnected{ID: e.ID, Failure: f})
	}()
}

func (n *Node) openSession(ctx context.Context, p boot.Path) (*managed.Session, error) {
	c, err := n.keys.loadFor(ctx, p)
	if err != nil {
		return nil, err
	}
	conn, err := n.keys.connect(ctx, p, &c.Certificate)
	if err != nil {
		return nil, err
	}
	if err := n.openJobs(true); err != nil {
		conn.Close()
		return nil, err
	}
	n.keys.setGracePath(p)
	where := p.Where(boot.PhaseManaged)
	where.Version = version.Version()
	return managed.Open(ctx, conn, managed.Options{
		Jobs: n.jobs, Settings: n.keys.settle, Rotate: func(r api.Rotate) api.Rotate { return n.rotate(p, r) }, Timing: managed.DefaultTiming, Log: n.opt.Log,
		Where: func() api.Whereabouts { return where }, Metrics: n.monitor.Metrics, Clock: n.compareClock, Channel: n.channel.Serve,
	})
}

// operations are the effects that take time, by id.
type operations struct {
	node     *Node
	mu       sync.Mutex
	open     map[int]context.CancelFunc
	sessions map[int]*managed.Session
	running  sync.WaitGroup
	starting sync.Mutex         // held while sshd is being started
	stop     context.CancelFunc // of sshd
	stopped  chan struct{}
}

// start runs do beside the loop with a deadline.
func (o *operations) start(id int, timeout time.Duration, do func(context.Context)) {
	ctx, cancel := context.WithTimeout(o.node.ctx, timeout)
	o.mu.Lock()
	o.open[id] = cancel
	o.mu.Unlock()
	o.running.Go(func() {
		defer func() {
			cancel()
			o.mu.Lock()
			delete(o.open, id)
			o.mu.Unlock()
		}()
		do(ctx)
	})
}

func (o *operations) keep(id int, s *managed.Session) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sessions[id] = s
}

func (o *operations) forget(id int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.sessions, id)
}

// disconnect ends a session, or the attempt to open it.
func (o *operations) disconnect(id int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if cancel := o.open[id]; cancel != nil {
		cancel()
	}
	if s := o.sessions[id]; s != nil {
		go s.Close()
	}
}

// sshPatience is how long sshd may take to answer before the climb goes on
// without it.
const sshPatience = 4 * time.Second

// startSSH has sshd run, and tells when it is ready and when it is not.
func (o *operations) startSSH() {
	o.starting.Lock()
	defer o.starting.Unlock()
	o.stopSSH()
	n := o.node
	ctx, cancel := context.WithCancel(n.ctx)
	stopped := make(chan struct{})
	o.mu.Lock()
	o.stop, o.stopped = cancel, stopped
	o.mu.Unlock()
	go func() {
		defer close(stopped)
		if err := n.sshd.Run(ctx); err != nil && ctx.Err() == nil {
			n.post(boot.SSHStarted{Err: fmt.Sprintf("sshd: %v", err)})
		}
	}()
	go func() {
		first, done := context.WithTimeout(ctx, sshPatience)
		defer done()
		err := n.sshd.WaitReady(first)
		if err != nil && ctx.Err() == nil {
			n.post(boot.SSHStarted{Err: fmt.Sprintf("sshd is not ready yet: %v", err)})
			err = n.sshd.WaitReady(ctx)
		}
		if err == nil {
			n.post(boot.SSHStarted{})
		}
	}()
}

// stopSSH ends an sshd whose files have gone.
func (o *operations) stopSSH() {
	o.mu.Lock()
	cancel, stopped := o.stop, o.stopped
	o.stop, o.stopped = nil, nil
	o.mu.Unlock()
	if cancel == nil {
		return
	}
	ctx, done := context.WithTimeout(context.Background(), sshPatience)
	defer done()
	if err := o.node.sshd.Stop(ctx); err != nil {
		o.node.opt.Log.Warn("sshd", "error", err)
	}
	cancel()
	<-stopped
}

// closeAll ends sessions in order, and what is under way. sshd stays.
func (o *operations) closeAll() {
	o.mu.Lock()
	sessions := make([]*managed.Session, 0, len(o.sessions))
	for _, s := range o.sessions {
		sessions = append(sessions, s)
	}
	o.mu.Unlock()
	for _, s := range sessions {
		s.Close()
	}
	o.running.Wait()
}
