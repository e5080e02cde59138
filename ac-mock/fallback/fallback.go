// Package fallback puts an AC where a node looks when nothing else works: at
// 10.254.254.254, on the link, without DHCP or configuration.
//
// It promises that every interface it is given holds the address as long as it
// runs and no longer: one that appears later, or comes back, gets it then; what
// was there before is left as it was. The address is the same on all of them,
// so each gets a listener of its own that is bound to it: replies leave through
// the interface that the question came in on. With several ACs on a link,
// Options.Held says whether it is this one's turn (package claim decides), and
// the kernel takes the address away from an AC that was killed or frozen.
package fallback

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/g8os/g8os/core/api"
)

// How often the address is announced on an interface, and how far apart.
const (
	announcements = 3
	announceEvery = 2 * time.Second
	prefixLength  = 24
	defendEvery   = 10 * time.Second
)

// Options of a Holder. All must be set but those that say what nil means.
type Options struct {
	Interfaces []string
	// Held says whether an interface is to have the address; Changed that it may
	// say something else now. Both nil: always.
	Held    func(device string) bool
	Changed <-chan struct{}
	// Heard is called when somebody else announces the address on an interface
	// that has it. It returns whether to announce it once more. Nil: never.
	Heard func(device string) (defend bool)
	// Lifetime is after what time the kernel removes the address unless this
	// process is there to ask for more. 0: never.
	Lifetime time.Duration
	// Listen opens a listener for an interface, once it has the address.
	Listen func(device string) (net.Listener, error)
	// Serve takes connections from it until it is closed.
	Serve func(net.Listener) error
	Log   *slog.Logger
}

// Holder holds the fallback address on some interfaces.
type Holder struct {
	opt    Options
	held   map[string]*held
	defend chan string
}

// held is what we did to one interface.
type held struct {
	index    int
	added    bool   // the address was not there before
	filter   string // rp_filter as it was; empty: untouched
	listener net.Listener
	ears     io.Closer // hears who else announces the address
	announce int       // announcements still to be made
	next     time.Time
	renewed  time.Time // when the address was last given its lifetime
	defended time.Time // when it was last announced against somebody else
}

// New makes a Holder that holds nothing yet.
func New(o Options) *Holder {
	return &Holder{opt: o, held: map[string]*held{}, defend: make(chan string, 1)}
}

// Run holds the address until ctx ends, and then gives everything back. It
// must run in the network namespace of the interfaces.
func (h *Holder) Run(ctx context.Context) error {
	links, addrs, done, err := subscribe()
	if err != nil {
		return err
	}
	defer close(done)
	defer h.giveBack()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-links:
		case <-addrs:
		case <-h.opt.Changed:
		case name := <-h.defend:
			h.held[name].defends(time.Now())
		case <-timer.C:
		}
		wait := 5 * time.Second // also look without being told: messages can be lost
		if h.opt.Lifetime > 0 {
			wait = min(wait, h.opt.Lifetime/3)
		}
		if next := h.look(time.Now()); !next.IsZero() {
			wait = min(wait, max(0, time.Until(next)))
		}
		timer.Reset(wait)
	}
}

// subscribe asks the kernel to tell when links and addresses change.
func subscribe() (chan netlink.LinkUpdate, chan netlink.AddrUpdate, chan struct{}, error) {
	links, addrs, done := make(chan netlink.LinkUpdate, 64), make(chan netlink.AddrUpdate, 64), make(chan struct{})
	if err := netlink.LinkSubscribe(links, done); err != nil {
		close(done)
		return nil, nil, nil, fmt.Errorf("follow the interfaces: %w", err)
	}
	if err := netlink.AddrSubscribe(addrs, done); err != nil {
		close(done)
		return nil, nil, nil, fmt.Errorf("follow the addresses: %w", err)
	}
	return links, addrs, done, nil
}

// look brings every interface to where it should be, and returns when the next
// announcement is due.
func (h *Holder) look(now time.Time) (next time.Time) {
	for _, name := range h.opt.Interfaces {
		if h.opt.Held != nil && !h.opt.Held(name) {
			h.undo(name)
			continue
		}
		if err := h.hold(name, now); err != nil {
			h.opt.Log.Warn("fallback address not held", "interface", name, "error", err)
		}
		if st := h.held[name]; st != nil && st.announce > 0 && (next.IsZero() || st.next.Before(next)) {
			next = st.next
		}
	}
	return next
}

// hold makes one interface hold the address, if it is there and up.
func (h *Holder) hold(name string, now time.Time) error {
	link, err := netlink.LinkByName(name)
	if _, missing := errors.AsType[netlink.LinkNotFoundError](err); missing {
		h.lose(name)
		return nil
	}
	if err != nil {
		return fmt.Errorf("find interface: %w", err)
	}
	st := h.held[name]
	if st != nil && st.index != link.Attrs().Index { // another one with the same name
		h.lose(name)
		st = nil
	}
	if st == nil {
		st = &held{index: link.Attrs().Index}
		h.held[name] = st
	}
	if link.Attrs().Flags&net.FlagUp == 0 {
		return nil
	}
	if err := h.address(st, link, now); err != nil {
		return err
	}
	if st.announce > 0 && !now.Before(st.next) {
		st.announce, st.next = st.announce-1, now.Add(announceEvery)
		return announce(link)
	}
	return nil
}

// address adds the address if it is not there, and listens on it.
func (h *Holder) address(st *held, link netlink.Link, now time.Time) error {
	name := link.Attrs().Name
	switch err := netlink.AddrAdd(link, h.lent()); {
	case err == nil:
		st.added, st.announce, st.next, st.renewed = true, announcements, now, now
		h.opt.Log.Info("fallback address held", "interface", name, "address", own().String())
	case !errors.Is(err, syscall.EEXIST):
		return fmt.Errorf("add %s: %w", own(), err)
	case h.opt.Lifetime > 0 && now.Sub(st.renewed) > h.opt.Lifetime/4:
		// It may be one that an earlier run has left: that is ours then.
		if err := netlink.AddrReplace(link, h.lent()); err != nil {
			return fmt.Errorf("keep %s: %w", own(), err)
		}
		st.added, st.renewed = true, now
	}
	if st.filter == "" {
		if err := st.loosen(name); err != nil {
			return err
		}
	}
	if st.ears == nil && h.opt.Heard != nil {
		ears, err := h.listen(link)
		if err != nil {
			return err
		}
		st.ears = ears
	}
	if st.listener != nil {
		return nil
	}
	l, err := h.opt.Listen(name)
	if err != nil {
		return err
	}
	own := track(l)
	st.listener = own
	go func() {
		if err := h.opt.Serve(own); err != nil {
			h.opt.Log.Error("fallback listener ended", "interface", name, "error", err)
		}
	}()
	return nil
}

// defends has the address announced once more, and not too often (RFC 5227,
// section 2.4: two who defend it must not fill the link).
func (st *held) defends(now time.Time) {
	if st == nil || now.Sub(st.defended) < defendEvery {
		return
	}
	st.announce, st.next, st.defended = max(st.announce, 1), now, now
}

// loosen lets packets in although the same prefix lies behind other interfaces
// too: strict reverse-path filtering (1) would drop those of all but one.
func (st *held) loosen(name string) error {
	path := filterFile(name)
	was, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read rp_filter: %w", err)
	}
	st.filter = strings.TrimSpace(string(was))
	if err := os.WriteFile(path, []byte("2"), 0o644); err != nil {
		return fmt.Errorf("loosen rp_filter: %w", err)
	}
	return nil
}

// lose forgets an interface that is gone.
func (h *Holder) lose(name string) {
	if st := h.forget(name); st != nil {
		h.opt.Log.Info("fallback interface is gone", "interface", name)
	}
}

// forget ends what goes on because of an interface.
func (h *Holder) forget(name string) *held {
	st := h.held[name]
	if st == nil {
		return nil
	}
	delete(h.held, name)
	if st.listener != nil {
		_ = st.listener.Close()
	}
	if st.ears != nil {
		_ = st.ears.Close()
	}
	return st
}

// giveBack undoes what we did.
func (h *Holder) giveBack() {
	for _, name := range h.opt.Interfaces {
		h.undo(name)
	}
}

// undo leaves an interface as it was before it was held.
func (h *Holder) undo(name string) {
	st := h.forget(name)
	if st == nil {
		return
	}
	link, err := netlink.LinkByIndex(st.index)
	if err != nil {
		return
	}
	if st.filter != "" {
		_ = os.WriteFile(filterFile(link.Attrs().Name), []byte(st.filter), 0o644)
	}
	if !st.added {
		return
	}
	if err := netlink.AddrDel(link, own()); err != nil && !errors.Is(err, syscall.EADDRNOTAVAIL) {
		h.opt.Log.Warn("fallback address not removed", "interface", name, "error", err)
	}
	h.opt.Log.Info("fallback address given back", "interface", name)
}

// lent is the address for as long as the kernel is to keep it without us.
func (h *Holder) lent() *netlink.Addr {
	a := own()
	if h.opt.Lifetime > 0 {
		a.ValidLft = int(h.opt.Lifetime / time.Second)
		a.PreferedLft = a.ValidLft
	}
	return a
}

func own() *netlink.Addr {
	return &netlink.Addr{IPNet: &net.IPNet{IP: net.ParseIP(api.FallbackAddress).To4(), Mask: net.CIDRMask(prefixLength, 32)}}
}

func filterFile(name string) string {
	return filepath.Join("/proc/sys/net/ipv4/conf", name, "rp_filter")
}
