package enrol

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/g8os/g8os/core/api"
)

func drawClaim(t *rapid.T) (api.Claim, []byte) {
	macs := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"01", "02", "03"}), 1, 2, rapid.ID[string]).Draw(t, "macs")
	slices.Sort(macs)
	c := api.Claim{
		BootID:      strings.Repeat(rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "boot"), 32),
		Counter:     rapid.Uint64Range(1, 40).Draw(t, "counter"),
		Generations: rapid.SliceOfNDistinct(rapid.Uint32Range(1, 6), 0, 2, rapid.ID[uint32]).Draw(t, "generations"),
	}
	if digit := rapid.SampledFrom([]string{"", "", "1", "2", "3"}).Draw(t, "token"); digit != "" {
		c.Token = text(digit)
	}
	for _, m := range macs {
		c.MACs = append(c.MACs, "02:00:00:00:00:"+m)
	}
	return c, key(rapid.SampledFrom([]string{"A", "B", "C"}).Draw(t, "key"))
}

// TestNoShareWithoutPinnedKey plays random histories, and looks at every
// answer with the eyes of a thief.
func TestNoShareWithoutPinnedKey(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := newBook()
		gone := map[string]bool{} // "key of id" that was retired
		b.tokens["11111111"] = Token{ID: "11111111", Hash: HashToken(text("1")), Expires: b.now.Add(time.Hour), Left: 2}
		b.tokens["22222222"] = Token{ID: "22222222", Hash: HashToken(text("3")), Expires: b.now.Add(time.Hour), Left: 2}
		b.policy = Policy{Mode: rapid.SampledFrom([]Mode{ModeOpen, ModeApprove, ModeToken, "typo"}).Draw(t, "policy"), MaxPending: 2}
		t.Repeat(map[string]func(*rapid.T){
			"claim": func(t *rapid.T) {
				c, device := drawClaim(t)
				before, spent := snapshot(b), b.tokens["11111111"].Left
				o := b.claim(c, device)
				checkClaim(t, b, before, c, device, o, gone)
				if left := b.tokens["11111111"].Left; left < 0 || left != spent && !(o.Granted && o.Spend) {
					t.Fatalf("the join token has %d uses left after %d, and %+v", left, spent, o)
				}
			},
			"confirm": func(t *rapid.T) {
				c := api.Confirm{NodeID: drawID(t), Generation: rapid.Uint32Range(1, 6).Draw(t, "generation")}
				device := key(rapid.SampledFrom([]string{"A", "B", "C"}).Draw(t, "key"))
				before := snapshot(b)
				if o := b.confirm(c, device); o.Granted && !before[c.NodeID].owns(device) {
					t.Fatalf("confirmed with a key that is not pinned")
				}
			},
			"operate": func(t *rapid.T) {
				id := drawID(t)
				r, ok := b.records[id]
				if !ok {
					return
				}
				what := rapid.SampledFrom([]string{"approve", "retire", "quarantine", "release"}).Draw(t, "what")
				b.operate(what, id)
				if what == "retire" {
					gone[string(r.Device)+string(id)] = true
				}
			},
			"": func(t *rapid.T) { checkBook(t, b) },
		})
	})
}

func drawID(t *rapid.T) api.NodeID {
	return id(rapid.SampledFrom([]string{"01", "02", "03"}).Draw(t, "id"))
}

func snapshot(b *book) map[api.NodeID]Record {
	s := map[api.NodeID]Record{}
	for id, r := range b.records {
		s[id] = r.clone()
	}
	return s
}

func checkClaim(t *rapid.T, b *book, before map[api.NodeID]Record, c api.Claim, device []byte, o Outcome, gone map[string]bool) {
	r, was := before[o.Record.ID]
	if !o.Granted {
		if len(o.Give) > 0 || o.Make != 0 || o.Recovery {
			t.Fatalf("refused, and yet given: %+v", o)
		}
		if was && !r.owns(device) && r.State != api.NodeRetired && !reflect.DeepEqual(r, b.records[r.ID].clone()) {
			t.Fatalf("a claim with another device key changed the record")
		}
		return
	}
	if gone[string(device)+string(o.Record.ID)] {
		t.Fatalf("a retired device key was given shares")
	}
	if o.Record.State != api.NodeEnrolled || !bytes.Equal(o.Record.Device, device) || len(o.Give) == 0 {
		t.Fatalf("granted, but %+v", o)
	}
	byToken := string(c.Token) == string(text("1")) && o.Spend
	if o.Spend && !byToken {
		t.Fatalf("let in by the join token %q", []byte(c.Token))
	}
	waited := r.State == api.NodePending && r.Reason == ReasonNew && byToken
	if was && r.State != api.NodeRetired && (r.State != api.NodeEnrolled && !waited || !r.owns(device) || !r.Rebase && c.Counter <= r.Counter) {
		t.Fatalf("granted although before it was %+v", r)
	}
	if (!was || r.State == api.NodeRetired) && b.policy.Mode != ModeOpen && !byToken {
		t.Fatalf("granted at first sight under policy %s", b.policy.Mode)
	}
	for _, g := range o.Give {
		if !b.shares[fmt.Sprintf("%s/%d", o.Record.ID, g)] {
			t.Fatalf("generation %d is given, but there is no share of it", g)
		}
	}
	if o.Recovery && o.Give[len(o.Give)-1] <= o.Record.Confirmed {
		t.Fatalf("recovery key given for a confirmed generation")
	}
}

func checkBook(t *rapid.T, b *book) {
	shares := 0
	for id, r := range b.records {
		shares += len(r.Generations)
		if r.ID != id || len(r.Generations) > keepGenerations+1 || len(r.Boots) > keepBoots {
			t.Fatalf("record %+v", r)
		}
		for _, g := range r.Generations {
			if !b.shares[fmt.Sprintf("%s/%d", id, g)] {
				t.Fatalf("node %s: generation %d has no share", id, g)
			}
		}
	}
	if shares != len(b.shares) {
		t.Fatalf("%d shares, %d named in records: some were not deleted", len(b.shares), shares)
	}
}
