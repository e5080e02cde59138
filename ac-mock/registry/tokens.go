package registry

import (
	"context"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/g8os/g8os/ac-mock/enrol"
	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/core/api"
)

// ErrInput is wrapped when an operator asked for what cannot be.
var ErrInput = errors.New("not possible")

const keyToken = "token/"

// keepToken is for how long a token that has expired is still listed.
const keepToken = 7 * 24 * time.Hour

// offer reads what a claim brings as a join token, and under which conditions
// that holds. A claim without one costs nothing.
func (r *Registry) offer(ctx context.Context, text api.Secret) (o enrol.Offer, holds []store.Cond, err error) {
	o = enrol.Offer{Given: len(text) > 0, Text: text}
	id, ok := enrol.TokenID(text)
	if !ok {
		return o, nil, nil
	}
	t, modified, err := r.token(ctx, id)
	if errors.Is(err, ErrUnknown) {
		return o, nil, nil
	}
	if err != nil {
		return o, nil, err
	}
	o.Known = &t
	return o, []store.Cond{{Key: keyToken + id, Modified: modified}}, nil
}

func (r *Registry) token(ctx context.Context, id string) (t enrol.Token, modified int64, err error) {
	kv, err := r.o.Store.Get(ctx, keyToken+id)
	if errors.Is(err, store.ErrNotFound) {
		return t, 0, fmt.Errorf("join token %q: %w; see g8os token list", id, ErrUnknown)
	}
	if err != nil {
		return t, 0, fmt.Errorf("join token %s: %w", id, err)
	}
	if err := json.Unmarshal(kv.Value, &t); err != nil {
		return t, 0, fmt.Errorf("join token %s in the store: %w", id, err)
	}
	return t, kv.Modified, nil
}

func putToken(t enrol.Token) (store.Op, error) {
	value, err := json.Marshal(t)
	if err != nil {
		return store.Op{}, fmt.Errorf("encode join token %s: %w", t.ID, err)
	}
	return store.Put(keyToken+t.ID, value), nil
}

// CreateToken makes a join token. Its text is in the answer and nowhere else.
// Errors wrap ErrInput.
func (r *Registry) CreateToken(ctx context.Context, actor string, q api.TokenRequest) (api.TokenMade, error) {
	life := time.Duration(q.ForMS) * time.Millisecond
	switch {
	case q.Uses < 1 || q.Uses > enrol.MaxTokenUses:
		return api.TokenMade{}, fmt.Errorf("join token for %d machines: %w: want 1 to %d", q.Uses, ErrInput, enrol.MaxTokenUses)
	case life < time.Second || life > enrol.MaxTokenLife:
		return api.TokenMade{}, fmt.Errorf("join token for %v: %w: want 1s to %v", life, ErrInput, enrol.MaxTokenLife)
	}
	random := make([]byte, 4+16)
	if _, err := io.ReadFull(r.o.Rand, random); err != nil {
		return api.TokenMade{}, fmt.Errorf("make a join token: %w", err)
	}
	id := fmt.Sprintf("%x", random[:4])
	secret := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(random[4:])
	text := api.Secret("g8t-" + id + "-" + strings.ToLower(secret))
	now := r.o.Clock().UTC()
	t := enrol.Token{ID: id, Hash: enrol.HashToken(text), By: actor, Created: now, Expires: now.Add(life), Uses: q.Uses, Left: q.Uses}
	op, err := putToken(t)
	if err != nil {
		return api.TokenMade{}, err
	}
	e := api.AuditEntry{Actor: actor, Action: "token create", Detail: fmt.Sprintf("%s, %d uses, until %s", id, q.Uses, t.Expires.Format(time.RFC3339))}
	err = r.noted(ctx, e, store.Txn{If: []store.Cond{{Key: op.Key}}, Then: []store.Op{op}})
	if err != nil {
		return api.TokenMade{}, err
	}
	return api.TokenMade{JoinToken: shownToken(t, now), Token: text}, nil
}

// RevokeToken makes a join token void; who has joined with it stays. Errors
// wrap ErrUnknown.
func (r *Registry) RevokeToken(ctx context.Context, actor, id string) (api.JoinToken, error) {
	for range attempts {
		t, modified, err := r.token(ctx, id)
		if err != nil || t.Revoked {
			return shownToken(t, r.o.Clock()), err
		}
		t.Revoked = true
		op, err := putToken(t)
		if err != nil {
			return api.JoinToken{}, err
		}
		e := api.AuditEntry{Actor: actor, Action: "token revoke", Detail: fmt.Sprintf("%s, %d of %d uses were left", id, t.Left, t.Uses)}
		err = r.noted(ctx, e, store.Txn{If: []store.Cond{{Key: op.Key, Modified: modified}}, Then: []store.Op{op}})
		if !errors.Is(err, store.ErrConflict) {
			return shownToken(t, r.o.Clock()), err
		}
	}
	return api.JoinToken{}, fmt.Errorf("revoke join token %s: %w: given up after %d attempts", id, store.ErrConflict, attempts)
}

// Tokens lists the join tokens, the newest last; those that have expired for a
// week.
func (r *Registry) Tokens(ctx context.Context) ([]api.JoinToken, error) {
	list, now := []api.JoinToken{}, r.o.Clock()
	_, err := store.Each(ctx, r.o.Store, keyToken, func(kv store.KV) error {
		var t enrol.Token
		if err := json.Unmarshal(kv.Value, &t); err != nil {
			return fmt.Errorf("%s in the store: %w", kv.Key, err)
		}
		list = append(list, shownToken(t, now))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list join tokens: %w", err)
	}
	slices.SortFunc(list, func(a, b api.JoinToken) int { return a.Created.Compare(b.Created) })
	return list, nil
}

func shownToken(t enrol.Token, now time.Time) api.JoinToken {
	return api.JoinToken{
		ID: t.ID, By: t.By, Created: t.Created, Expires: t.Expires, Uses: t.Uses, Left: t.Left, State: t.State(now),
	}
}

// dropTokens forgets tokens that expired long ago.
func (w *writer) dropTokens(ctx context.Context) error {
	var t store.Txn
	_, err := store.Each(ctx, w.o.Store, keyToken, func(kv store.KV) error {
		var old enrol.Token
		if json.Unmarshal(kv.Value, &old) == nil && w.o.Clock().Sub(old.Expires) > keepToken && len(t.Then) < store.MaxOps {
			t.Then = append(t.Then, store.Delete(kv.Key))
		}
		return nil
	})
	if err == nil && len(t.Then) > 0 {
		_, err = w.o.Store.Txn(ctx, t)
	}
	return err
}
