package real

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/g8os/g8os/lab"
	"github.com/g8os/g8os/lab/fault"
	"github.com/g8os/g8os/lab/grid"
	"github.com/g8os/g8os/lab/invariant"
)

// Facts is what invariants are checked against. Of addresses that two nodes
// had between two calls it sees nothing; what an AC that does not answer has
// decided comes with the first Facts after it is back. The counter of a claim is
// in no audit, so no Release is ever Stale here.
func (g *Grid) Facts(ctx context.Context) (grid.Facts, error) {
	nodes, err := g.Nodes(ctx)
	if err != nil {
		return grid.Facts{}, err
	}
	f := grid.Facts{At: g.Elapsed(), Nodes: nodes}
	f.Duplicates = invariant.Shared(f)
	f.Releases, f.Acts = g.decisions(ctx)
	if f.Trusts, err = g.trusts(nodes); err != nil {
		return f, err
	}
	f.Plaintext = g.plaintext(ctx, nodes)
	f.Jobs = g.jobFacts(ctx)
	return f, nil
}

// asksAC is within what an AC has to answer.
const asksAC = 5 * time.Second

// decisions are what the ACs have decided since the last time.
func (g *Grid) decisions(ctx context.Context) (releases []grid.Release, acts []grid.Act) {
	for _, a := range g.lab.ACs() {
		if g.l.mute(a.Name()) {
			continue
		}
		if g.audits[a.Name()] == nil {
			g.audits[a.Name()] = &audit{}
		}
		limited, cancel := context.WithTimeout(ctx, asksAC)
		entries, err := a.AuditAfter(limited, g.audits[a.Name()].seq)
		cancel()
		if err != nil {
			g.note(g.Elapsed(), a.Name(), "note", "its audit cannot be read: %v", err)
			continue
		}
		r, x := g.audits[a.Name()].read(entries, g.at)
		releases, acts = append(releases, r...), append(acts, x...)
	}
	return releases, acts
}

// at turns a time of day into grid time, not later than now: an AC's clock may
// be wrong.
func (g *Grid) at(t time.Time) time.Duration {
	return min(max(t.Sub(g.since), 0), g.Elapsed())
}

// trusts are those whom a stranger was told more by than a handshake takes.
func (g *Grid) trusts(nodes []grid.Node) ([]grid.Trust, error) {
	logs, err := filepath.Glob(filepath.Join(g.lab.LogDir(), "*."+fault.Stranger+".log"))
	if err != nil {
		return nil, err
	}
	var all []grid.Trust
	for _, path := range logs {
		host := strings.TrimSuffix(filepath.Base(path), "."+fault.Stranger+".log")
		events, err := lab.ReadHappenings(path)
		if err != nil {
			return nil, fmt.Errorf("log of %s: %w", host, err)
		}
		for _, e := range events[min(g.met[path], len(events)):] {
			if e["msg"] == "request" || e["msg"] == "garbage" {
				all = append(all, grid.Trust{At: g.at(e.Time()), Node: whose(nodes, fmt.Sprint(e["from"])), Server: host})
			}
		}
		g.met[path] = len(events)
	}
	return all, nil
}

// whose is the node that has an address, or the address itself.
func whose(nodes []grid.Node, from string) string {
	host, _, err := net.SplitHostPort(from)
	if err != nil {
		return from
	}
	for _, n := range nodes {
		if slices.ContainsFunc(n.Holdings, func(h grid.Holding) bool { return h.Address.Addr().String() == host }) {
			return n.Name
		}
	}
	return host
}

// secret is what a node keeps in its volume, and must not be on its disk.
type secret struct {
	lines []string
	read  time.Time
}

// readAgain is how often a node's secret is read, and a machine's disk looked
// through: both cost.
const readAgain = time.Minute

// plaintext names the nodes on whose disk there is something of the content of
// the volume: lines of the private key of the client certificate.
func (g *Grid) plaintext(ctx context.Context, nodes []grid.Node) []string {
	var found []string
	for _, now := range nodes {
		n, err := g.lab.FindNode(now.Name)
		if err != nil {
			continue
		}
		s := g.secrets[now.Name]
		due := s == nil || time.Since(s.read) > readAgain
		if due && now.Managed() && now.Running && !g.l.has(fault.Pause, now.Name) {
			if text, err := g.inside(ctx, n, "cat", "/mnt/etc/ssl/client.key"); err == nil {
				s = &secret{lines: secretLines(text), read: time.Now()}
				g.secrets[now.Name] = s
			}
		}
		if s == nil || isVM(n.Plan()) && !due {
			continue
		}
		if shows(n, s.lines) {
			found = append(found, now.Name)
		}
	}
	return found
}

// secretLines are the lines of a PEM file that nobody could guess.
func secretLines(pem string) []string {
	var lines []string
	for line := range strings.Lines(pem) {
		if line = strings.TrimSpace(line); len(line) > 20 && !strings.HasPrefix(line, "-----") {
			lines = append(lines, line)
		}
	}
	return lines
}

// shows looks for lines in all files of a node's disk. A file that goes
// meanwhile has shown nothing.
func shows(n *lab.Node, lines []string) bool {
	var files []string
	if isVM(n.Plan()) {
		files = n.Disks()
	} else {
		_ = filepath.WalkDir(n.Disk(), func(path string, d os.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				files = append(files, path)
			}
			return nil
		})
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err == nil && slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(string(text), l) }) {
			return true
		}
	}
	return false
}
