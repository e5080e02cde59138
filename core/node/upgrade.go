package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/boot"
	"github.com/g8os/g8os/core/jobs"
	"github.com/g8os/g8os/core/layer"
	"github.com/g8os/g8os/core/upgrade"
	"github.com/g8os/g8os/core/upgrade/trial"
)

// lookEvery is how often it is asked how a trial stands.
const lookEvery = 500 * time.Millisecond

// upgrade is what a job asks for. It survives the restart that it brings: the
// job is run again then, finds its own ID on the disk, and answers.
func (n *Node) upgrade(ctx context.Context, a api.UpgradeArgs) (api.Upgraded, error) {
	if a.ID == "" || len(a.ID) > 128 || api.Shown(a.ID, 128) != a.ID {
		return api.Upgraded{}, errors.New("an upgrade wants an id of 1 to 128 characters")
	}
	for {
		r, err := n.opt.Upgrades.Read()
		switch {
		case err != nil:
			return api.Upgraded{}, err
		case r.Trial != nil && r.Trial.ID != a.ID:
			return api.Upgraded{}, fmt.Errorf("upgrade %s is under way on this node; wait for its end", r.Trial.ID)
		case r.Trial == nil && r.Last != nil && r.Last.ID == a.ID:
			return outcome(*r.Last)
		case r.Trial == nil:
			if answer, done, err := n.begin(ctx, a); done || err != nil {
				return answer, err
			}
		}
		select { // the trial is on, or g8os_core is about to start again
		case <-ctx.Done():
			if n.ctx.Err() == nil { // cancelled: what has begun goes on all the same
				return api.Upgraded{}, ctx.Err()
			}
			return api.Upgraded{}, jobs.ErrAgain
		case <-time.After(lookEvery):
		}
	}
}

// failed is an error whose exit code says of which kind it is.
type failed struct {
	code int
	error
}

func (f failed) ExitCode() int { return f.code }
func (f failed) Unwrap() error { return f.error }

func outcome(r trial.Result) (api.Upgraded, error) {
	if !r.Proved {
		return api.Upgraded{}, failed{api.CodeRolledBack, fmt.Errorf("%s: %s", r.Build.Version, r.Why)}
	}
	return api.Upgraded{ID: r.ID, Version: r.Build.Version}, nil
}

// begin brings a release here and has g8os_core start again as it, unless it
// runs already.
func (n *Node) begin(ctx context.Context, a api.UpgradeArgs) (answer api.Upgraded, done bool, err error) {
	n.upgrading.Lock()
	defer n.upgrading.Unlock()
	r, err := n.opt.Upgrades.Read()
	if err != nil || r.Trial != nil || r.Last != nil && r.Last.ID == a.ID { // another was first
		return answer, false, err
	}
	fail := func(err error) (api.Upgraded, bool, error) {
		return api.Upgraded{}, false, failed{api.CodeRefused, err}
	}
	if err := upgrade.Accept(a.Release, filepath.Join(n.opt.Dir, upgrade.KeysFile), upgrade.Self(), a.AllowDowngrade); err != nil {
		return fail(err)
	}
	if r.Current == a.Release.Sum && upgrade.Staged() {
		return api.Upgraded{ID: a.ID, Version: a.Release.Version, Already: true}, true, nil
	}
	within := time.Duration(a.ProveMS) * time.Millisecond
	if within == 0 {
		within = trial.DefaultWithin
	}
	if within < trial.LeastWithin || within > trial.MostWithin {
		return fail(fmt.Errorf("%s to prove itself, want %s to %s", within, trial.LeastWithin, trial.MostWithin))
	}
	err = n.keep(ctx, a.Release)
	if errors.Is(err, layer.ErrRoom) || errors.Is(err, layer.ErrDamaged) {
		return fail(err)
	}
	if err != nil { // the AC asks again
		return answer, false, err
	}
	return answer, false, n.trial(a, within)
}

// keep has the release's file here, whole.
func (n *Node) keep(ctx context.Context, r api.Release) error {
	store := n.opt.Upgrades
	if store.Whole(r.Sum) == nil {
		return nil
	}
	if err := os.MkdirAll(store.Dir, 0o755); err != nil {
		return err
	}
	p := n.path.Load()
	c, err := n.keys.load()
	if err != nil {
		return err
	}
	conn, err := n.keys.connect(ctx, *p, &c.Certificate)
	if err != nil {
		return err
	}
	defer conn.Close()
	n.opt.Log.Info("upgrade: fetching it from the AC", "version", r.Version, "sha256", r.Sum, "MiB", r.Size>>20)
	if err := layer.FetchFile(ctx, conn, layer.Layer{Sum: r.Sum, Size: r.Size}, store.Path(r.Sum)); err != nil {
		return err
	}
	return store.Whole(r.Sum)
}

// trial writes the trial down, sets a guard, and has g8os_core start again.
func (n *Node) trial(a api.UpgradeArgs, within time.Duration) error {
	store := n.opt.Upgrades
	path, err := upgrade.BuiltInPath()
	if err != nil {
		return err
	}
	build := trial.Build{Version: a.Release.Version, Built: a.Release.Built}
	t := trial.Trial{ID: a.ID, Since: time.Now().UTC(), Within: within}
	if err := store.Begin(a.Release.Sum, build, upgrade.BuiltIn(), t); err != nil {
		return err
	}
	err = upgrade.StartGuard(upgrade.Charge{Store: store, ID: a.ID, Within: within, Socket: n.opt.Socket, Path: path})
	if err != nil {
		return errors.Join(err, store.RollBack(a.ID, "not begun: "+err.Error()))
	}
	n.opt.Log.Warn("upgrade: g8os_core starts again as another", "version", a.Release.Version, "sha256", a.Release.Sum, "upgrade", a.ID)
	n.leave(ErrRestart)
	return nil
}

// watchTrial is a new binary's own eye on its trial.
func (n *Node) watchTrial() {
	store := n.opt.Upgrades
	r, err := store.Read()
	if err != nil || r.Trial == nil || !r.Trial.Started {
		return
	}
	id := r.Trial.ID
	n.opt.Log.Info("upgrade: this g8os_core is on trial", "upgrade", id, "within", r.Trial.Within)
	w := trial.NewWatch(r.Trial.Within, time.Now())
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		st, _ := n.board.Status()
		verdict, why := w.Step(boot.Phase(st.Phase) == boot.PhaseManaged && st.WaitsFor == "", st.WaitsFor, time.Now())
		switch verdict {
		case trial.Proven:
			n.opt.Log.Info("upgrade: proved", "upgrade", id, "error", store.Prove(id))
			return
		case trial.Lost:
			n.opt.Log.Error("upgrade: taken back", "upgrade", id, "why", why, "error", store.RollBack(id, why))
			n.leave(ErrRestart)
			return
		}
		select {
		case <-n.ctx.Done():
			return
		case <-tick.C:
		}
	}
}
