package scenarios

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/g8os/g8os/lab"
	"github.com/g8os/g8os/lab/actor/control"
)

// party is an actor that runs on a host of a segment.
type party struct {
	*lab.Process
	host   *lab.Host
	socket string
}

// actor puts a host on a segment and runs g8lab actor KIND there; it returns
// once the actor answers. Actors are told things over tell.
func (g *grid) actor(ctx context.Context, segment, address, kind string, args ...string) *party {
	GinkgoHelper()
	bin, err := lab.FindBinDir("")
	ok(err)
	name := fmt.Sprintf("%s-%d", kind, len(g.Hosts())+1)
	var addresses []string
	if address != "" {
		addresses = append(addresses, address)
	}
	host, err := g.Segment(segment).AddHost(ctx, name, addresses...)
	ok(err)
	p := &party{host: host, socket: filepath.Join(g.Dir(), name+".sock")}
	argv := append([]string{filepath.Join(bin, "g8lab"), "actor", kind}, args...)
	if kind == "dhcp" || kind == "squatter" {
		argv = append(argv, "--control", p.socket)
	}
	p.Process, err = host.Start(ctx, kind, argv...)
	ok(err)
	p.says(ctx, "ready", nil)
	return p
}

// tell switches the actor's behaviour; it is in force when tell returns.
func (p *party) tell(ctx context.Context, words ...string) {
	GinkgoHelper()
	ok(control.Tell(ctx, p.socket, words...))
}

// event is a line of an actor's log.
type event map[string]any

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
	}).WithContext(ctx).WithTimeout(contextTimeout(ctx)).Should(BeTrue(), "%s says %s %v", p.LogPath(), kind, with)
	return found
}

// events of a kind so far.
func (p *party) events(kind string) []event {
	f, err := os.Open(p.LogPath())
	if err != nil {
		return nil
	}
	defer f.Close()
	var all []event
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) == nil && e["msg"] == kind {
			all = append(all, e)
		}
	}
	return all
}

func fits(e, with event) bool {
	for k, v := range with {
		if !strings.HasPrefix(fmt.Sprint(e[k]), fmt.Sprint(v)) {
			return false
		}
	}
	return true
}
