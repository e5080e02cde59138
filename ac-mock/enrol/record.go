// Package enrol decides which machine may have which keys: the AC's side of
// design section 3.2, without a store, a clock or a secret in it.
//
//	          open: first come; join token           quarantine
//	unknown ────────────────────▶ enrolled ◀───────────────────────▶ quarantined
//	   │                          ▲      │           release
//	   │ approve: first seen      │      │ clone, rollback, moved disk
//	   └──────────▶ pending ──────┘◀─────┘
//	                  approve; join token, if it never was enrolled
//	(any) ── retire ──▶ retired ── another device key comes ──▶ as unknown
//
// It promises that a share is given only to a claim whose device key is the
// one pinned in an enrolled record, whatever the MACs say; that a claim with
// another device key changes nothing in a record; that a join token lets in only
// who was never let in, and never who is in doubt; that a device key once
// retired never comes back; and that repeating a step (after a crash on either
// side) gives the same generation again until it is confirmed.
//
// Everything is a function of its arguments. Callers look up records, make and
// seal shares, write the outcome and its audit entry in one transaction, and
// tell the claimant nothing but granted or refused.
package enrol

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/internal/planted"
)

// Record is what an AC knows of a node. It holds no secret.
type Record struct {
	ID       api.NodeID    `json:"id"`
	MACs     []string      `json:"macs"` // all that select it, sorted
	Hostname string        `json:"hostname"`
	State    api.NodeState `json:"state"`
	Reason   string        `json:"reason,omitempty"` // why it is pending or quarantined
	// Device is the device key: pinned once enrolled; while pending, the one that
	// approval will pin.
	Device []byte `json:"device,omitempty"`
	// Offered are MACs with which the device key came although none of them
	// selects this record. Approval adds them.
	Offered []string `json:"offered,omitempty"`
	// Held is the state to which Release returns.
	Held api.NodeState `json:"held,omitempty"`
	// Retired are SHA-256 hashes of device keys that must not come back.
	Retired [][]byte `json:"retired,omitempty"`

	Counter uint64   `json:"counter"`          // highest seen in a granted request
	Rebase  bool     `json:"rebase,omitempty"` // the next granted request sets the counter, whatever it is
	Boots   []string `json:"boots,omitempty"`  // last boot ids, the current one last

	Generations []uint32 `json:"generations,omitempty"` // for which there are shares, ascending
	Confirmed   uint32   `json:"confirmed,omitempty"`   // highest that the node has in use
	Newest      uint32   `json:"newest,omitempty"`      // highest ever made: no number is used twice

	Roles []string `json:"roles,omitempty"` // what it is for, as jobs name it; sorted

	Grace api.Grace `json:"grace,omitzero"` // how far it may unlock without an AC
	TPM   bool      `json:"tpm,omitempty"`  // a TPM keeps its device key, as it says

	// Drained says who has it begin no new job, and since when; nil: it takes jobs.
	Drained *Shown `json:"drained,omitempty"`
	// Recovered says to whom the recovery key of the volume was shown; nil: nobody.
	Recovered *Shown `json:"recovered,omitempty"`

	Certificate *Certificate `json:"certificate,omitempty"` // the last one issued; nil: none, or none that counts
	// LastIssue is the issue time (package ca) of the last certificate or
	// revocation: the next one's is later, and it never goes back.
	LastIssue time.Time `json:"last_issue,omitzero"`
	Created   time.Time `json:"created"`
	Unlocked  time.Time `json:"unlocked,omitzero"` // last granted claim
}

// Certificate is what is remembered of one that was issued.
type Certificate struct {
	Serial   string    `json:"serial"`
	NotAfter time.Time `json:"not_after"`
}

// Shown is to whom something was shown, or who has done it, and when.
type Shown struct {
	By string    `json:"by"` // the operator's identity
	At time.Time `json:"at"`
}

// Bounds of what a record remembers.
const (
	keepBoots       = 4
	keepGenerations = 4
	keepRetired     = 16
	maxMACs         = 32
)

func (r Record) clone() Record {
	r.MACs, r.Offered, r.Boots = slices.Clone(r.MACs), slices.Clone(r.Offered), slices.Clone(r.Boots)
	r.Retired, r.Generations, r.Roles = slices.Clone(r.Retired), slices.Clone(r.Generations), slices.Clone(r.Roles)
	return r
}

// Allowed is the grace that the node may have now.
func (r Record) Allowed() api.Grace {
	if r.State != api.NodeEnrolled {
		return api.Grace{}
	}
	return r.Grace
}

func (r Record) owns(device []byte) bool {
	return len(device) > 0 && bytes.Equal(r.Device, device)
}

func (r Record) selectedBy(macs []string) bool {
	return slices.ContainsFunc(macs, func(m string) bool { return slices.Contains(r.MACs, m) })
}

// banned says whether a device key was retired with this record.
func (r Record) banned(device []byte) bool {
	sum := sha256.Sum256(device)
	return slices.ContainsFunc(r.Retired, func(h []byte) bool { return bytes.Equal(h, sum[:]) })
}

// cloned says why a claim shows that there are two of a node, or that its disk
// went back in time; empty when it does not.
func (r Record) cloned(boot string, counter uint64) string {
	if r.Rebase {
		return ""
	}
	if counter <= r.Counter && !planted.Is(planted.CounterUnchecked) {
		return ReasonRollback
	}
	if n := len(r.Boots); n > 1 && slices.Contains(r.Boots[:n-1], boot) {
		return ReasonTwoAlive
	}
	return ""
}

// seen notes a granted claim.
func (r *Record) seen(c api.Claim, now time.Time) {
	r.Hostname, r.TPM, r.Unlocked = c.Hostname, c.TPM, now.UTC()
	r.MACs = union(r.MACs, c.MACs)
	r.counted(c.BootID, c.Counter)
}

// counted notes a granted request that counts.
func (r *Record) counted(boot string, counter uint64) {
	r.Counter, r.Rebase = counter, false
	if n := len(r.Boots); n == 0 || r.Boots[n-1] != boot {
		r.Boots = append(r.Boots, boot)
		r.Boots = r.Boots[max(0, len(r.Boots)-keepBoots):]
	}
}

func union(a, b []string) []string {
	all := append(slices.Clone(a), b...)
	slices.Sort(all)
	all = slices.Compact(all)
	return all[:min(len(all), maxMACs)]
}
