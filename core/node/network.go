package node

import (
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/g8os/g8os/core/boot"
	"github.com/g8os/g8os/core/network/conflict"
	"github.com/g8os/g8os/core/network/lease"
	"github.com/g8os/g8os/core/network/nettoml"
	"github.com/g8os/g8os/core/network/wire"
)

// watchLinks posts the interfaces as they are now, and again on every change.
func (n *Node) watchLinks() error {
	changes, err := n.links.Watch(n.ctx)
	if err != nil {
		return err
	}
	n.postLinks()
	go func() {
		for range changes {
			n.postLinks()
		}
	}()
	return nil
}

func (n *Node) postLinks() {
	list, err := n.links.List()
	if err != nil {
		n.opt.Log.Error("list interfaces", "error", err)
		return
	}
	n.keys.setLinks(list)
	n.post(boot.LinksChanged{Links: list})
}

// configPoll is how often net.toml is looked at for a change: often enough for
// somebody who edits it, too seldom to be felt.
const configPoll = 2 * time.Second

// watchConfig has net.toml read when it changes or somebody asks.
func (n *Node) watchConfig() {
	path := filepath.Join(n.opt.Dir, netToml)
	stamp := func() string {
		st, err := os.Stat(path)
		if err != nil {
			return "none"
		}
		return st.ModTime().String() + " " + time.Duration(st.Size()).String()
	}
	last := stamp()
	ticker := time.NewTicker(configPoll)
	defer ticker.Stop()
	for {
		asked := false
		select {
		case <-n.ctx.Done():
			return
		case <-n.reload:
			asked = true
		case <-n.opt.Reload:
			asked = true
		case <-ticker.C:
		}
		if now := stamp(); asked || now != last {
			last = now
			n.opt.Log.Info("net.toml changed or asked for: reading it")
			n.net.add(boot.ReadConfig{})
		}
		if asked {
			n.lookForVolume()
		}
	}
}

// readConfig reads net.toml. None at all is not a problem: fallback is left.
// While it cannot be read, what it said last counts. It is for one goroutine
// at a time: the netWorker's.
func (n *Node) readConfig() boot.ConfigRead {
	path := filepath.Join(n.opt.Dir, netToml)
	text, err := os.ReadFile(path)
	if err != nil {
		if missingFile(err) {
			return boot.ConfigRead{}
		}
		return boot.ConfigRead{Config: n.config, Problems: []string{err.Error()}}
	}
	config, problems := nettoml.Parse(path, text)
	ev := boot.ConfigRead{Config: config}
	n.config = config
	for _, p := range problems {
		ev.Problems = append(ev.Problems, p.String())
	}
	return ev
}

// netWorker performs the effects on interfaces, in their order. Its queue has
// no bound, so that the loop never waits for it while it waits for the loop.
type netWorker struct {
	node  *Node
	mu    sync.Mutex
	more  *sync.Cond
	queue []boot.Effect
	ended bool
	done  chan struct{}
}

func newNetWorker(n *Node) *netWorker {
	w := &netWorker{node: n, done: make(chan struct{})}
	w.more = sync.NewCond(&w.mu)
	go w.run()
	return w
}

func (w *netWorker) add(e boot.Effect) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queue = append(w.queue, e)
	w.more.Signal()
}

// stop lets what is under way end and drops the rest.
func (w *netWorker) stop() {
	w.mu.Lock()
	w.ended = true
	w.more.Signal()
	w.mu.Unlock()
	<-w.done
}

func (w *netWorker) run() {
	defer close(w.done)
	for {
		w.mu.Lock()
		for len(w.queue) == 0 && !w.ended {
			w.more.Wait()
		}
		if w.ended {
			w.mu.Unlock()
			return
		}
		e := w.queue[0]
		w.queue = w.queue[1:]
		w.mu.Unlock()
		w.perform(e)
	}
}

func (w *netWorker) perform(e boot.Effect) {
	n := w.node
	switch e := e.(type) {
	case boot.Remove:
		if err := n.links.Remove(e.Interface); err != nil {
			n.opt.Log.Warn("interface stays", "interface", e.Interface, "error", err)
		}
	case boot.Ensure:
		err := n.links.Ensure(e.Interface)
		n.postLinks() // the machine sees the new interface before the answer
		n.post(boot.Ensured{Interface: e.Interface.Name, Err: text(err)})
	case boot.Apply:
		n.opt.Log.Info("interface", "interface", e.Interface, "addresses", e.Wanted.Addresses,
			"routes", e.Wanted.Routes, "dns", e.Wanted.DNS)
		err := n.links.Apply(e.Interface, e.Wanted)
		n.post(boot.Applied{ID: e.ID, Interface: e.Interface, Err: text(err)})
	case boot.ReadConfig:
		n.post(n.readConfig())
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// sockets are the packet sockets of one interface.
type sockets struct {
	node *Node
	name string
	arp  *wire.ARP
	dhcp *wire.DHCP
}

// listen opens and closes sockets as the machine wants them. One that cannot
// be opened stays closed and is opened by the next send.
func (n *Node) listen(e boot.Listen) {
	s := n.socketsOf(e.Interface)
	switch {
	case len(e.ARP) == 0 && s.arp != nil:
		_ = s.arp.Close()
		s.arp = nil
	case len(e.ARP) > 0 && s.openARP():
		if err := s.arp.Watch(e.ARP...); err != nil {
			n.opt.Log.Debug("ARP filter", "interface", e.Interface, "error", err)
		}
	}
	switch {
	case !e.DHCP && s.dhcp != nil:
		_ = s.dhcp.Close()
		s.dhcp = nil
	case e.DHCP:
		s.openDHCP()
	}
}

func (n *Node) socketsOf(name string) *sockets {
	s := n.sockets[name]
	if s == nil {
		s = &sockets{node: n, name: name}
		n.sockets[name] = s
	}
	return s
}

// openARP opens the socket for ARP, anew if its interface was removed and made
// again meanwhile.
func (s *sockets) openARP() bool {
	if s.arp != nil && s.arp.Err() == nil {
		return true
	}
	arp, err := wire.OpenARP(s.name)
	if err != nil {
		s.node.opt.Log.Warn("no ARP", "interface", s.name, "error", err)
		return false
	}
	s.arp = arp
	go func() {
		for p := range arp.Packets() {
			s.node.post(boot.HeardARP{Interface: s.name, Packet: p})
		}
	}()
	return true
}

func (s *sockets) openDHCP() bool {
	if s.dhcp != nil && s.dhcp.Err() == nil {
		return true
	}
	dhcp, err := wire.OpenDHCP(s.name)
	if err != nil {
		s.node.opt.Log.Warn("no DHCP", "interface", s.name, "error", err)
		return false
	}
	s.dhcp = dhcp
	go func() {
		for m := range dhcp.Messages() {
			s.node.post(boot.HeardDHCP{Interface: s.name, Message: m})
		}
	}()
	return true
}

// sendARP and sendDHCP send or lose, as networks do: the machine sends again.
func (s *sockets) sendARP(p conflict.Packet) {
	if !s.openARP() {
		return
	}
	if err := s.arp.Send(p); err != nil {
		s.node.opt.Log.Debug("ARP not sent", "interface", s.name, "error", err)
	}
}

func (s *sockets) sendDHCP(m lease.Send) {
	if !s.openDHCP() {
		return
	}
	if err := s.dhcp.Send(m); err != nil {
		s.node.opt.Log.Debug("DHCP not sent", "interface", s.name, "error", err)
	}
}

func (s *sockets) close() {
	if s.arp != nil {
		_ = s.arp.Close()
	}
	if s.dhcp != nil {
		_ = s.dhcp.Close()
	}
}
