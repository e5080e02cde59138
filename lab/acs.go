package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/g8os/g8os/ac-mock/client"
	"github.com/g8os/g8os/core/api"
)

// founds tells whether this AC founds the grid; the others join it.
func (a *AC) founds() bool { return a.Name() == a.lab.st.Plan.ACs[0].Name }

// peerURL is where the other ACs reach this one's store; empty when there are none.
func (a *AC) peerURL() string {
	peers, err := a.lab.st.Plan.Peers()
	if err != nil || len(peers) == 0 {
		return ""
	}
	return "https://" + peers[a.Name()].String()
}

// etcd is what ac.toml says about the store.
func (a *AC) etcd() (string, error) {
	own := a.peerURL()
	if own == "" {
		return "", nil
	}
	text := fmt.Sprintf("\n[etcd]\npeer_url = %q\n", own)
	if a.founds() {
		return text, nil
	}
	var others []string
	for _, ac := range a.lab.ACs() {
		if ac.Name() != a.Name() {
			others = append(others, fmt.Sprintf("%q", ac.peerURL()))
		}
	}
	return text + fmt.Sprintf("join = [%s]\n", strings.Join(others, ", ")), nil
}

// hasData tells whether an AC has been a member of the store.
func (a *AC) hasData() bool {
	_, err := os.Stat(filepath.Join(a.DataDir(), "etcd", "etcd", "member"))
	return err == nil
}

// buildACs starts all ACs. Those that were members before have to be there
// together before one is ready; others join one after the other.
func (l *Lab) buildACs(ctx context.Context) error {
	var join []*AC
	for _, ac := range l.ACs() {
		if !ac.founds() && !ac.hasData() {
			join = append(join, ac)
			continue
		}
		if err := ac.Launch(ctx); err != nil {
			return err
		}
	}
	for _, ac := range l.ACs() {
		if slices.ContainsFunc(join, func(j *AC) bool { return j.Name() == ac.Name() }) {
			continue
		}
		if err := ac.WaitReady(ctx); err != nil {
			return err
		}
	}
	for _, ac := range join {
		if err := ac.Join(ctx, l.ACs()[0]); err != nil {
			return err
		}
	}
	return l.writeContext()
}

// Join lets an AC without data join the grid of another one, as an operator
// would: keys are copied, it is added, started, and waited for until it votes.
func (a *AC) Join(ctx context.Context, by *AC) error {
	if err := a.copyKeys(by); err != nil {
		return err
	}
	added, err := by.ListACs(ctx)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(added, func(ac api.AC) bool { return ac.PeerURL == a.peerURL() }) {
		_, err := ask(by, func(c *client.Client) (api.AC, error) {
			return c.AddAC(ctx, api.NewAC{Name: a.Name(), PeerURL: a.peerURL()})
		})
		if err != nil {
			return err
		}
	}
	if err := a.Start(ctx); err != nil {
		return err
	}
	return a.WaitState(ctx, by, api.ACServing)
}

// copyKeys copies what every AC of a grid has.
func (a *AC) copyKeys(from *AC) error {
	for _, name := range []string{"master.key", "peers/ca.key", "peers/ca.pem"} {
		text, err := os.ReadFile(filepath.Join(from.keysDir(), name))
		to := filepath.Join(a.keysDir(), name)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(to), 0o700)
		}
		if err == nil {
			err = os.WriteFile(to, text, 0o600)
		}
		if err != nil {
			return fmt.Errorf("keys of AC %s: %w", a.Name(), err)
		}
	}
	return nil
}

// ListACs are the ACs as this one knows them.
func (a *AC) ListACs(ctx context.Context) ([]api.AC, error) {
	return ask(a, func(c *client.Client) ([]api.AC, error) { return c.ACs(ctx) })
}

// WaitState waits until another AC sees this one in a state.
func (a *AC) WaitState(ctx context.Context, by *AC, want api.ACState) error {
	for {
		all, err := by.ListACs(ctx)
		i := slices.IndexFunc(all, func(ac api.AC) bool { return ac.Name == a.Name() })
		if err == nil && i >= 0 && all[i].State == want {
			return nil
		}
		if ctx.Err() != nil {
			return errors.Join(fmt.Errorf("AC %s: wait until AC %s sees it %s: %w; it sees %+v (log: %s)", a.Name(), by.Name(), want, ctx.Err(), all, a.LogPath()), err)
		}
		pause(ctx, 100*time.Millisecond)
	}
}

// Drain sends an AC's nodes to the others, or ends that.
func (a *AC) Drain(ctx context.Context, drain bool) error {
	_, err := ask(a, func(c *client.Client) (api.AC, error) { return c.DrainAC(ctx, a.Name(), drain) })
	return err
}

// Replace takes an AC that does not run out of the grid and lets its machine
// join with an empty disk.
func (a *AC) Replace(ctx context.Context, by *AC) error {
	if _, err := ask(by, func(c *client.Client) ([]api.AC, error) { return c.RemoveAC(ctx, a.Name()) }); err != nil {
		return err
	}
	if err := a.Erase(); err != nil {
		return err
	}
	return a.Join(ctx, by)
}

// Erase removes an AC's data and its keys, as a lost disk does.
func (a *AC) Erase() error {
	for _, dir := range []string{a.DataDir(), a.keysDir()} {
		if err := os.RemoveAll(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("erase AC %s: %w", a.Name(), err)
		}
	}
	return nil
}
