// Package impair is the shaper of a segment: a process that the segment's
// switch hands frames of links that misbehave, and that hands them back when
// and as lab/impair/link decides.
//
//	switch ──tag k──▶ tap ──▶ shaper: link k ──▶ tap ──tag k──▶ switch ──▶ receiver
//
// The frames of all links go through one tap; an 802.1Q tag says which link
// they are on, both ways. The shaper runs inside the switch's machine, as a job
// of its init, and is told over a socket what the links are.
//
// It promises: a frame is handed back within a fraction of a millisecond of the
// time decided (one locked thread, ppoll, timer slack 1 ns), in the order of
// these times; a link that is set again as it was loses no frame and goes on
// with its stream; one that is taken away passes what it still holds; what it
// holds in all is bounded, and what is beyond that is lost and counted.
//
// Any program that imports this package can be the shaper: the init starts
// itself again with ShaperArg, which is caught before main.
//
// It does not know who is on a link, and steers nothing: lab/fabric does.
package impair

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"

	"github.com/g8os/g8os/lab/impair/link"
)

// ShaperArg is the first argument of a shaper, after Self.
const ShaperArg = "g8lab-shaper"

// Self is how a process names the program it runs, also when its file is gone.
const Self = "/proc/self/exe"

// Argv is the command line of a shaper: it makes a tap of that name where it is
// started, and listens on the socket once that is up.
func Argv(tap, socket string) []string { return []string{Self, ShaperArg, tap, socket} }

// MaxLinks is how many links a shaper can have: the tags of 802.1Q without the
// two that are reserved.
const MaxLinks = 4094

// Link is one that misbehaves.
type Link struct {
	Name  string    `json:"name"` // whose it is; the same name is the same link
	Spec  link.Spec `json:"spec"`
	Seed1 uint64    `json:"seed1"`
	Seed2 uint64    `json:"seed2"`
}

// Tagged says by which tag a link goes. A link that was taken away keeps its
// tag until the next change, for what it still holds.
type Tagged struct {
	Name string `json:"name"`
	Tag  int    `json:"tag"`
	Gone bool   `json:"gone,omitempty"`
}

// Stats is what a shaper has done so far, in frames.
type Stats struct {
	In      uint64 `json:"in"`
	Out     uint64 `json:"out"`
	Held    int    `json:"held"`    // now
	Refused uint64 `json:"refused"` // by the switch, or beyond what is held at most
}

type response struct {
	Links []Tagged `json:"links"`
	Stats Stats    `json:"stats"`
	Error string   `json:"error,omitempty"`
}

// init turns a process into a shaper before main and most of what the program
// would otherwise set up.
func init() {
	if len(os.Args) != 4 || os.Args[0] != Self || os.Args[1] != ShaperArg {
		return
	}
	fmt.Fprintln(os.Stderr, ShaperArg+":", run(os.Args[2], os.Args[3]))
	os.Exit(1)
}

// run is the life of a shaper: until its machine loses power.
func run(tap, socket string) error {
	fd, err := openTap(tap)
	if err != nil {
		return err
	}
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	s := &server{pump: newPump(fd)}
	go s.serve(l)
	return s.pump.run()
}

// server takes what the links are from whoever connects: one list a connection.
type server struct {
	pump *pump

	mu     sync.Mutex
	tagged []Tagged // by tag
	last   int      // tag that was given last
}

func (s *server) serve(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				fmt.Fprintln(os.Stderr, ShaperArg+":", err)
			}
			return
		}
		go s.answer(c)
	}
}

func (s *server) answer(c net.Conn) {
	defer c.Close()
	var links []Link
	if err := json.NewDecoder(c).Decode(&links); err != nil {
		return
	}
	tagged, err := s.set(links)
	r := response{Links: tagged, Stats: s.pump.stats()}
	if err != nil {
		r.Error = err.Error()
	}
	_ = json.NewEncoder(c).Encode(r)
}
