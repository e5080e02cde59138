package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/core/api"
)

const keyOperator = "operator/"

// Roles of operators, each includes those before it.
var roles = []string{"viewer", "operator", "admin"}

// Bounds of operators.
const (
	maxOperatorLife = 2 * 365 * 24 * time.Hour
	maxCertificates = 32 // of one operator that have not expired
)

var operatorName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`)

// account is what the store knows of an operator.
type account struct {
	Name         string        `json:"name"`
	Role         string        `json:"role"`
	By           string        `json:"by"` // who made it
	Created      time.Time     `json:"created"`
	Revoked      bool          `json:"revoked,omitempty"`
	Certificates []certificate `json:"certificates,omitempty"`
}

type certificate struct {
	Serial string    `json:"serial"` // hex
	Until  time.Time `json:"until"`
}

// good says whether somebody can act as this operator.
func (a account) good(now time.Time) bool {
	return !a.Revoked && slices.ContainsFunc(a.Certificates, func(c certificate) bool { return now.Before(c.Until) })
}

func (a account) view(now time.Time) api.Operator {
	o := api.Operator{Name: a.Name, Role: a.Role, By: a.By, Created: a.Created, State: "active"}
	for _, c := range a.Certificates {
		if c.Until.After(o.Expires) {
			o.Expires = c.Until
		}
		o.Serials = append(o.Serials, c.Serial)
	}
	switch {
	case a.Revoked:
		o.State = "revoked"
	case !a.good(now):
		o.State = "expired"
	}
	return o
}

// AddOperator issues a client certificate to an operator, for the key in a
// certificate request. One who has the role already gets one more certificate.
// Errors wrap ErrInput or ErrState.
func (r *Registry) AddOperator(ctx context.Context, actor string, q api.OperatorRequest) (api.OperatorMade, error) {
	public, err := publicKey(q.CSR)
	if err != nil {
		return api.OperatorMade{}, fmt.Errorf("operator %s: %w: %w", q.Name, ErrInput, err)
	}
	chain, a, err := r.certify(ctx, actor, q.Role, q.Name, public, time.Duration(q.ForMS)*time.Millisecond)
	if err != nil {
		return api.OperatorMade{}, err
	}
	return api.OperatorMade{Operator: a.view(r.o.Clock()), Chain: chain, Root: r.o.CA.RootPEM()}, nil
}

// Operator is AddOperator with a key at hand; name is ROLE.NAME. The chain is
// PEM, leaf first.
func (r *Registry) Operator(ctx context.Context, actor, name string, public any, life time.Duration) (chain []byte, err error) {
	role, who, _ := strings.Cut(name, ".")
	chain, _, err = r.certify(ctx, actor, role, who, public, life)
	return chain, err
}

func (r *Registry) certify(ctx context.Context, actor, role, name string, public any, life time.Duration) ([]byte, account, error) {
	switch {
	case !slices.Contains(roles, role):
		return nil, account{}, fmt.Errorf("operator %q: %w: role %q, want %s", name, ErrInput, role, strings.Join(roles, ", "))
	case !operatorName.MatchString(name):
		return nil, account{}, fmt.Errorf("operator %q: %w: want 1 to 32 of a-z, 0-9 and dashes", name, ErrInput)
	case life < time.Minute || life > maxOperatorLife:
		return nil, account{}, fmt.Errorf("operator %s for %v: %w: want 1m to %v", name, life, ErrInput, maxOperatorLife)
	}
	for range attempts {
		a, modified, err := r.account(ctx, name)
		if err != nil && !errors.Is(err, ErrUnknown) {
			return nil, a, err
		}
		if a.good(r.o.Clock()) && a.Role != role {
			return nil, a, fmt.Errorf("operator %s: %w: has the role %s already; revoke it first", name, ErrState, a.Role)
		}
		chain, a, err := r.issued(ctx, actor, a, role, name, public, life, modified)
		if !errors.Is(err, store.ErrConflict) {
			return chain, a, err
		}
	}
	return nil, account{}, fmt.Errorf("operator %s: %w: given up after %d attempts", name, store.ErrConflict, attempts)
}

// issued issues one more certificate to an account, as it is or anew.
func (r *Registry) issued(ctx context.Context, actor string, a account, role, name string, public any, life time.Duration, modified int64) ([]byte, account, error) {
	now := r.o.Clock().UTC()
	a.Certificates = slices.DeleteFunc(slices.Clone(a.Certificates), func(c certificate) bool { return !now.Before(c.Until) })
	if a.Revoked || a.Role != role {
		a = account{}
	}
	if len(a.Certificates) >= maxCertificates {
		return nil, a, fmt.Errorf("operator %s: %w: has %d certificates already; revoke it first", name, ErrState, len(a.Certificates))
	}
	leaf, chain, err := r.o.CA.Issue(api.Identity{Grid: r.o.Grid, Role: api.RoleOperator, Name: role + "." + name}, public, life, time.Time{})
	if err != nil {
		return nil, a, fmt.Errorf("certificate of operator %s: %w: %w", name, ErrInput, err)
	}
	if a.Name == "" {
		a = account{Name: name, Role: role, By: actor, Created: now}
	}
	serial := fmt.Sprintf("%032x", leaf.SerialNumber)
	a.Certificates = append(a.Certificates, certificate{Serial: serial, Until: leaf.NotAfter.UTC()})
	op, err := putAccount(a)
	if err != nil {
		return nil, a, err
	}
	err = r.noted(ctx, api.AuditEntry{
		Actor: actor, Action: "operator",
		Detail: fmt.Sprintf("%s.%s, serial %s, good until %s", role, name, serial, leaf.NotAfter.UTC().Format(time.RFC3339)),
	}, store.Txn{If: []store.Cond{{Key: op.Key, Modified: modified}}, Then: []store.Op{op}})
	return chain, a, err
}

// RevokeOperator makes void all certificates of an operator. An admin cannot
// revoke himself, nor the last one who can act as admin: the grid would be
// nobody's. Errors wrap ErrUnknown or ErrState.
func (r *Registry) RevokeOperator(ctx context.Context, actor, name string) (api.Operator, error) {
	for range attempts {
		a, modified, err := r.account(ctx, name)
		if err != nil || a.Revoked {
			return a.view(r.o.Clock()), err
		}
		holds, err := r.mayRevoke(ctx, actor, a)
		if err != nil {
			return api.Operator{}, err
		}
		a.Revoked = true
		op, err := putAccount(a)
		if err != nil {
			return api.Operator{}, err
		}
		t := store.Txn{If: append(holds, store.Cond{Key: op.Key, Modified: modified}), Then: []store.Op{op}}
		for _, c := range a.Certificates {
			serial, ok := new(big.Int).SetString(c.Serial, 16)
			if !ok {
				return api.Operator{}, fmt.Errorf("operator %s in the store: serial %q", name, c.Serial)
			}
			t.Then = append(t.Then, r.o.CA.DenySerial(serial, c.Until))
		}
		err = r.noted(ctx, api.AuditEntry{Actor: actor, Action: "operator revoke", Detail: a.Role + "." + a.Name}, t)
		switch {
		case err == nil:
			return a.view(r.o.Clock()), r.o.CA.Sync(ctx)
		case !errors.Is(err, store.ErrConflict):
			return api.Operator{}, err
		}
	}
	return api.Operator{}, fmt.Errorf("revoke operator %s: %w: given up after %d attempts", name, store.ErrConflict, attempts)
}

// mayRevoke says why an operator cannot be revoked, or on which other admin
// that depends.
func (r *Registry) mayRevoke(ctx context.Context, actor string, a account) ([]store.Cond, error) {
	self := api.Identity{Grid: r.o.Grid, Role: api.RoleOperator, Name: a.Role + "." + a.Name}
	if self.String() == actor {
		return nil, fmt.Errorf("revoke operator %s: %w: nobody revokes himself; another admin can", a.Name, ErrState)
	}
	if a.Role != "admin" {
		return nil, nil
	}
	var other []store.Cond
	err := r.accounts(ctx, func(o account, modified int64) {
		if o.Role == "admin" && o.Name != a.Name && o.good(r.o.Clock()) && other == nil {
			other = []store.Cond{{Key: keyOperator + o.Name, Modified: modified}}
		}
	})
	if err == nil && other == nil {
		err = fmt.Errorf("revoke operator %s: %w: it is the last admin; make another one first", a.Name, ErrState)
	}
	return other, err
}

// MayAct says why what an operator left to be done is not to be done any more:
// he was revoked. An operator of whom nothing is known may; one whose certificate
// has expired too, since he only has to have it renewed. Errors wrap ErrState.
func (r *Registry) MayAct(ctx context.Context, actor string) error {
	u, err := url.Parse(actor)
	if err != nil {
		return fmt.Errorf("operator %q: %w", actor, err)
	}
	id, err := api.ParseIdentity([]*url.URL{u})
	if err != nil {
		return err
	}
	role, name, _ := strings.Cut(id.Name, ".")
	a, _, err := r.account(ctx, name)
	switch {
	case errors.Is(err, ErrUnknown):
		return nil
	case err == nil && (a.Revoked || a.Role != role): // made anew, with another one
		return fmt.Errorf("operator %s: %w: revoked", name, ErrState)
	}
	return err
}

// Operators lists operators by name, revoked ones too.
func (r *Registry) Operators(ctx context.Context) ([]api.Operator, error) {
	list, now := []api.Operator{}, r.o.Clock()
	err := r.accounts(ctx, func(a account, _ int64) { list = append(list, a.view(now)) })
	return list, err
}

func (r *Registry) accounts(ctx context.Context, do func(a account, modified int64)) error {
	_, err := store.Each(ctx, r.o.Store, keyOperator, func(kv store.KV) error {
		var a account
		if err := json.Unmarshal(kv.Value, &a); err != nil {
			return fmt.Errorf("%s in the store: %w", kv.Key, err)
		}
		do(a, kv.Modified)
		return nil
	})
	if err != nil {
		return fmt.Errorf("list operators: %w", err)
	}
	return nil
}

func (r *Registry) account(ctx context.Context, name string) (a account, modified int64, err error) {
	kv, err := r.o.Store.Get(ctx, keyOperator+name)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return a, 0, fmt.Errorf("operator %q: %w; see g8os operator list", name, ErrUnknown)
	case err != nil:
		return a, 0, fmt.Errorf("operator %s: %w", name, err)
	}
	if err := json.Unmarshal(kv.Value, &a); err != nil {
		return a, 0, fmt.Errorf("operator %s in the store: %w", name, err)
	}
	return a, kv.Modified, nil
}

func putAccount(a account) (store.Op, error) {
	value, err := json.Marshal(a)
	if err != nil {
		return store.Op{}, fmt.Errorf("encode operator %s: %w", a.Name, err)
	}
	return store.Put(keyOperator+a.Name, value), nil
}
