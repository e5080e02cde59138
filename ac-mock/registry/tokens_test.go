package registry

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/g8os/g8os/ac-mock/enrol"
	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/core/api"
)

func mustToken(t *testing.T, r *Registry, uses int, life time.Duration) api.TokenMade {
	t.Helper()
	made, err := r.CreateToken(t.Context(), admin, api.TokenRequest{ForMS: life.Milliseconds(), Uses: uses})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// A join token lets in as many machines as it says, in its time, and says in
// the audit who made it; its text is nowhere.
func TestJoinToken(t *testing.T) {
	g := newGrid(t)
	r := g.ac(enrol.ModeToken)
	stranger, m, late := newMachine(t, 1), newMachine(t, 2), newMachine(t, 3)
	_, err := stranger.unlock(r)
	wantRefused(t, r, err, enrol.ReasonNoToken)
	if nodes, err := r.Nodes(t.Context()); err != nil || len(nodes) != 0 {
		t.Errorf("a stranger left %+v, %v", nodes, err)
	}
	made := mustToken(t, r, 1, 10*time.Minute)
	if e := lastEntry(t, r); e.Action != "token create" || e.Actor != admin || !strings.Contains(e.Detail, made.ID) {
		t.Errorf("the audit has %+v", e)
	}
	m.claim.Token, late.claim.Token = made.Token, made.Token
	m.boot(r)
	if e := lastEntry(t, r); e.Action != actCertificate {
		t.Errorf("the audit has %+v", e)
	}
	_, err = late.unlock(r)
	wantRefused(t, r, err, enrol.ReasonTokenSpent)
	list, err := r.Tokens(t.Context())
	if err != nil || len(list) != 1 || list[0].State != "spent" || list[0].Left != 0 || list[0].By != admin {
		t.Errorf("%+v, %v", list, err)
	}
	old := mustToken(t, r, 5, time.Minute)
	g.clock.Advance(time.Minute)
	late.claim.Token = old.Token
	_, err = late.unlock(r)
	wantRefused(t, r, err, enrol.ReasonTokenExpired)
	gone := mustToken(t, r, 5, time.Minute)
	if was, err := r.RevokeToken(t.Context(), admin, gone.ID); err != nil || was.State != "revoked" {
		t.Errorf("%+v, %v", was, err)
	}
	late.claim.Token = gone.Token
	_, err = late.unlock(r)
	wantRefused(t, r, err, enrol.ReasonTokenRevoked)
	if _, err := r.RevokeToken(t.Context(), admin, "00000000"); !errors.Is(err, ErrUnknown) {
		t.Errorf("revoke of a token that is not there: %v", err)
	}
	nowhere(t, g.store, made.Token, old.Token, gone.Token)
}

// nowhere demands that no value in the store has a secret in it.
func nowhere(t *testing.T, s store.Store, secrets ...api.Secret) {
	t.Helper()
	_, err := store.Each(t.Context(), s, "", func(kv store.KV) error {
		for _, secret := range secrets {
			if strings.Contains(string(kv.Value)+kv.Key, string(secret)) {
				t.Errorf("%s has a secret in it", kv.Key)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestTokenRequestsThatCannotBe(t *testing.T) {
	g := newGrid(t)
	r := g.ac(enrol.ModeToken)
	for _, q := range []api.TokenRequest{{ForMS: 1000, Uses: 0}, {ForMS: 1000, Uses: 1e6}, {ForMS: 999, Uses: 1}, {ForMS: -1, Uses: 1}, {ForMS: 31 * 24 * 3600e3, Uses: 1}} {
		if _, err := r.CreateToken(t.Context(), admin, q); !errors.Is(err, ErrInput) {
			t.Errorf("%+v: %v", q, err)
		}
	}
	if list, err := r.Tokens(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
}

// Many machines come with one token at once, to several ACs: it lets in as many
// as it says.
func TestTokenIsSpentOnce(t *testing.T) {
	const uses, machines = 5, 20
	g := newGrid(t)
	acs := []*Registry{g.ac(enrol.ModeToken), g.ac(enrol.ModeToken), g.ac(enrol.ModeToken)}
	made := mustToken(t, acs[0], uses, time.Hour)
	var wg sync.WaitGroup
	granted := make(chan string, machines)
	for n := range machines {
		m := newMachine(t, n+1)
		m.claim.Token = made.Token
		wg.Go(func() {
			m.claim.Counter++
			for {
				_, err := acs[n%3].Unlock(context.Background(), m.peer, m.device, m.claim)
				if err == nil {
					granted <- m.claim.Hostname
				}
				if !errors.Is(err, store.ErrConflict) { // given up: it would ask again
					return
				}
			}
		})
	}
	wg.Wait()
	if len(granted) != uses {
		t.Errorf("%d machines were let in by a token for %d", len(granted), uses)
	}
}

// An AC dies between the transaction that enrols and its answer: the machine
// asks again, is known, and costs the token nothing more.
func TestTokenWhenTheAnswerIsLost(t *testing.T) {
	g := newStepped(t, 1, 1)
	g.mode = enrol.ModeToken
	a := g.acs[0]
	g.start(a)
	made, err := a.r.CreateToken(t.Context(), admin, api.TokenRequest{ForMS: 60_000, Uses: 2})
	if err != nil {
		t.Fatal(err)
	}
	m := newSteppedNode(t, 1)
	m.claim.Token = made.Token
	a.client.SetLossy(true)
	if _, err := m.unlock(a.r); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("the answer was lost, and %v", err)
	}
	a.client.SetLossy(false)
	g.start(a)
	if _, err := m.unlock(a.r); err != nil {
		t.Fatal(err)
	}
	if list, err := a.r.Tokens(t.Context()); err != nil || list[0].Left != 1 {
		t.Errorf("%+v, %v", list, err)
	}
}

// Tokens that expired long ago are forgotten.
func TestTokensAreForgotten(t *testing.T) {
	g := newStepped(t, 1, 1)
	r := g.acs[0].r
	for n := range 3 {
		if _, err := r.CreateToken(t.Context(), admin, api.TokenRequest{ForMS: 1000, Uses: n + 1}); err != nil {
			t.Fatal(err)
		}
		g.now = g.now.Add(keepToken/2 + time.Minute)
	}
	r.Settle(t.Context())
	list, err := r.Tokens(t.Context())
	if err != nil || fmt.Sprint(len(list), list[0].Uses) != "1 3" {
		t.Errorf("%+v, %v; want the last one", list, err)
	}
}
