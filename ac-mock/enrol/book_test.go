package enrol

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/g8os/g8os/core/api"
)

// book is the least that a registry does: records, and the two indices.
type book struct {
	policy  Policy
	now     time.Time
	records map[api.NodeID]Record
	macs    map[string]api.NodeID
	keys    map[string]api.NodeID
	shares  map[string]bool // "id/generation"
	tokens  map[string]Token
}

func newBook() *book {
	return &book{
		now:     time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC),
		records: map[api.NodeID]Record{}, macs: map[string]api.NodeID{}, keys: map[string]api.NodeID{}, shares: map[string]bool{}, tokens: map[string]Token{},
	}
}

// key makes a device key out of a name.
func key(name string) []byte { return bytes.Repeat([]byte(name[:1]), 32) }

func (b *book) known(c api.Claim, device []byte) Known {
	var k Known
	for _, m := range c.MACs {
		id, ok := b.macs[m]
		if ok && !slices.ContainsFunc(k.ByMAC, func(r Record) bool { return r.ID == id }) {
			k.ByMAC = append(k.ByMAC, b.records[id])
		}
	}
	slices.SortFunc(k.ByMAC, func(a, b Record) int { return strings.Compare(string(a.ID), string(b.ID)) })
	if id, ok := b.keys[string(device)]; ok {
		r := b.records[id]
		k.ByKey = &r
	}
	k.Nodes = len(b.records)
	k.Offer = b.offer(c)
	for _, r := range b.records {
		if r.State == api.NodePending {
			k.Pending++
		}
	}
	return k
}

// text makes the text of a join token out of a digit.
func text(digit string) []byte {
	return []byte("g8t-" + strings.Repeat(digit, 8) + "-" + strings.Repeat("a", 26))
}

func (b *book) offer(c api.Claim) Offer {
	o := Offer{Given: len(c.Token) > 0, Text: c.Token}
	if id, ok := TokenID(c.Token); ok {
		if t, ok := b.tokens[id]; ok {
			o.Known = &t
		}
	}
	return o
}

func (b *book) write(o Outcome) {
	if !o.Changed {
		return
	}
	r := o.Record
	if o.Make != 0 {
		b.shares[fmt.Sprintf("%s/%d", r.ID, o.Make)] = true
	}
	for _, g := range o.Drop {
		delete(b.shares, fmt.Sprintf("%s/%d", r.ID, g))
	}
	b.records[r.ID] = r
	for _, m := range r.MACs {
		b.macs[m] = r.ID
	}
	b.keys[string(r.Device)] = r.ID
}

func (b *book) claim(c api.Claim, device []byte) Outcome {
	k := b.known(c, device)
	o := Decide(k, c, device, b.policy, b.now)
	b.write(o)
	if o.Spend {
		b.tokens[k.Offer.Known.ID] = k.Offer.Known.Spend()
	}
	return o
}

func (b *book) record(id api.NodeID) *Record {
	r, ok := b.records[id]
	if !ok {
		return nil
	}
	return &r
}

func (b *book) confirm(c api.Confirm, device []byte) Outcome {
	o := Confirm(b.record(c.NodeID), c, device)
	b.write(o)
	return o
}

func (b *book) retire(id api.NodeID) {
	r, drop := Retire(b.records[id])
	b.write(Outcome{Record: r, Changed: true, Drop: drop})
}
