package scenarios

import (
	"context"
	"fmt"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/g8os/g8os/lab"
)

// party is an actor that runs on a host of a segment.
type party struct{ *lab.Actor }

// actor puts a host on a segment and runs g8lab actor KIND there; it returns
// once the actor answers. Actors are told things over tell.
func (g *grid) actor(ctx context.Context, segment, address, kind string, args ...string) *party {
	GinkgoHelper()
	a, err := g.Segment(segment).AddActor(ctx, fmt.Sprintf("%s-%d", kind, len(g.Hosts())+1), address, kind, args...)
	ok(err)
	return &party{a}
}

// tell switches the actor's behaviour; it is in force when tell returns.
func (p *party) tell(ctx context.Context, words ...string) {
	GinkgoHelper()
	ok(p.Tell(ctx, words...))
}

// event is a line of an actor's log.
type event = lab.Happening

// says waits until the actor logged such an event.
func (p *party) says(ctx context.Context, kind string, with event) event {
	GinkgoHelper()
	var found event
	Eventually(ctx, func() bool {
		for _, e := range p.events(kind) {
			if fits(e, with) {
				found = e
				return true
			}
		}
		return false
	}).WithContext(ctx).WithTimeout(stepTimeout()).Should(BeTrue(), "%s says %s %v", p.LogPath(), kind, with)
	return found
}

// events of a kind so far.
func (p *party) events(kind string) []event {
	all, err := p.Log(kind)
	ok(err)
	return all
}

func fits(e, with event) bool { return e.Fits(with) }
