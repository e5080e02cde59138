package fabric

import (
	"context"
	"fmt"
	"hash/fnv"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/g8os/g8os/lab/impair"
	"github.com/g8os/g8os/lab/machine"
)

// shape tells a segment's shaper of its links. It is
// started when there are some, and goes on running: idle, it costs nothing.
func (s *Switch) shape(ctx context.Context, segment string, bad []pair) (map[string]conduit, error) {
	var links []impair.Link
	for _, p := range bad {
		links = append(links, impair.Link{Name: p.name(), Spec: p.spec, Seed1: seed(s.m.Name), Seed2: seed(p.name())})
	}
	job := shaperJob(segment)
	st, _, err := s.m.Job(ctx, job)
	switch {
	case err != nil:
		return nil, err
	case !st.Running && len(links) == 0:
		return nil, nil
	case !st.Running:
		if err := s.startShaper(ctx, segment); err != nil {
			return nil, fmt.Errorf("start the shaper: %w", err)
		}
	}
	tagged, _, err := impair.Set(ctx, s.shaperSocket(segment), links)
	if err != nil {
		return nil, err
	}
	port, err := s.shaperPort(ctx, segment)
	if err != nil {
		return nil, err
	}
	via := map[string]conduit{}
	for _, t := range tagged {
		via[t.Name] = conduit{in: port, out: port, tag: t.Tag, gone: t.Gone}
	}
	return via, nil
}

// seed makes a number of a name.
func seed(name string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	return h.Sum64()
}

func shaperJob(segment string) string { return "shaper." + segment }

// shaperTap is the name of the shaper's port, and of its tap.
func shaperTap(segment string) string { return short("sh-" + segment) }

func (s *Switch) shaperSocket(segment string) string {
	return filepath.Join(s.dir, Bridge(segment)+".shaper")
}

// startShaper starts the process and attaches its tap; what was left of an
// earlier one is detached first.
func (s *Switch) startShaper(ctx context.Context, segment string) error {
	tap, socket := shaperTap(segment), s.shaperSocket(segment)
	vsctl := []string{"ovs-vsctl", "--db=unix:" + s.socket(), "--timeout=10"}
	if _, err := s.run(ctx, nil, append(vsctl, "--if-exists", "del-port", tap)...); err != nil {
		return err
	}
	job := machine.Job{Name: shaperJob(segment), Argv: impair.Argv(tap, socket), Log: s.m.Name + ".log"}
	if err := s.m.Start(ctx, job); err != nil {
		return err
	}
	if err := s.awaitShaper(ctx, segment); err != nil {
		return err
	}
	if err := s.prefer(ctx, job.Name); err != nil {
		return err
	}
	_, err := s.run(ctx, nil, append(vsctl, "add-port", Bridge(segment), tap, "tag="+noFlood)...)
	return err
}

// awaitShaper waits until the new shaper answers, or has ended.
func (s *Switch) awaitShaper(ctx context.Context, segment string) error {
	for {
		_, _, err := impair.Set(ctx, s.shaperSocket(segment), nil)
		if err == nil {
			return nil
		}
		st, _, asked := s.m.Job(ctx, shaperJob(segment))
		if asked != nil {
			return asked
		}
		if !st.Running {
			return fmt.Errorf("it has ended with code %d; the log %s.log says why", st.Code, s.m.Name)
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// shaperPort reads the number of the shaper's port back.
func (s *Switch) shaperPort(ctx context.Context, segment string) (int, error) {
	out, err := s.run(ctx, nil, "ovs-vsctl", "--db=unix:"+s.socket(), "--timeout=10", "get", "interface", shaperTap(segment), "ofport", "error")
	if err != nil {
		return 0, fmt.Errorf("port of the shaper: %w", err)
	}
	number, problem, _ := strings.Cut(strings.TrimSpace(out), "\n")
	port, err := strconv.Atoi(number)
	if err != nil || port <= 0 {
		return 0, fmt.Errorf("the shaper's port is not attached; the switch says: %q %s", number, problem)
	}
	return port, nil
}
