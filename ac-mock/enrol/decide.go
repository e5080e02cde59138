package enrol

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/internal/planted"
)

// Why a claim was granted or refused: for the audit, the console and tests.
// None of it reaches the claimant.
const (
	ReasonUnlocked    = "device key matches"
	ReasonEnrolled    = "first seen, enrolled by policy open"
	ReasonNew         = "first seen, waits for approval"
	ReasonPending     = "waits for approval"
	ReasonTooMany     = "first seen, but too many wait for approval"
	ReasonFull        = "first seen, but there are too many nodes"
	ReasonQuarantined = "is quarantined"
	ReasonRetired     = "device key was retired"
	ReasonOtherKey    = "another device key is pinned"
	ReasonAmbiguous   = "MAC addresses belong to several nodes"
	ReasonMoved       = "device key came with none of its MAC addresses: disk moved, or network card changed"
	ReasonRollback    = "clone or rollback: counter did not grow"
	ReasonTwoAlive    = "clone: two boots of it are alive at once"
	ReasonNoShare     = "no share for any generation it named"
	ReasonMalformed   = "claim is malformed"
	ReasonUnknown     = "no such node"
	ReasonConfirmed   = "generation is in use"
	ReasonCertificate = "certificate issued"
)

// Known is what the AC knows about a claim: the records that its MACs select,
// each once and ordered by id, the record that its device key belongs to or was
// retired with, how many records there are, how many wait for approval, and the
// join token that it brings.
type Known struct {
	ByMAC   []Record
	ByKey   *Record
	Nodes   int
	Pending int
	Offer   Offer
}

// Outcome is a decision. When Changed, Record has to be written, in one
// transaction with the audit entry; before any share leaves.
type Outcome struct {
	Record  Record // zero when no record is concerned
	Changed bool
	Granted bool
	Reason  string
	Detail  string // for the audit

	Make     uint32   // a generation whose share (and recovery key) has to be made; 0: none
	Give     []uint32 // generations whose shares are given, Make among them
	Recovery bool     // the recovery key of the last of Give goes with them
	Drop     []uint32 // generations whose shares have to be deleted
	Spend    bool     // a use of the join token has to be spent
}

func refuse(r Record, reason string) Outcome { return Outcome{Record: r, Reason: reason} }

// Decide answers an unlock claim whose signature by device holds.
func Decide(k Known, c api.Claim, device []byte, p Policy, now time.Time) Outcome {
	if err := Valid(c); err != nil {
		o := refuse(Record{}, ReasonMalformed)
		o.Detail = err.Error()
		return o
	}
	r, found, o := choose(k, device)
	switch {
	case o != nil:
		return *o
	case !found:
		return first(r, k, c, device, p, now)
	}
	if planted.Is(planted.PendingServed) && r.State == api.NodePending {
		return enrolled(r, c, now) // as if it were
	}
	switch r.State {
	case api.NodeEnrolled:
		return enrolled(r, c, now)
	case api.NodePending:
		return waits(r, k, c, now)
	default:
		return refuse(r, ReasonQuarantined)
	}
}

// waits meets a node that an operator has to approve. One that never was
// enrolled may bring a join token later; about one that is in doubt somebody has
// to think.
func waits(r Record, k Known, c api.Claim, now time.Time) Outcome {
	why := k.Offer.refused(now)
	if r.Reason == ReasonNew && why == "" {
		return byToken(r, k, c, now)
	}
	o := refuse(r, ReasonPending)
	if k.Offer.Given {
		o.Detail = cmp.Or(why, "a join token does not settle a doubt: approve it, or not")
	}
	return o
}

// byToken enrols a machine that brings a join token which counts.
func byToken(r Record, k Known, c api.Claim, now time.Time) Outcome {
	r.State, r.Reason = api.NodeEnrolled, ""
	o := give(r, c, now)
	if o.Granted {
		o.Reason, o.Spend = ReasonToken, true
		o.Detail += ", " + k.Offer.detail()
	}
	return o
}

// choose finds the record that a claim is about: found with its own device
// key, or not found and r is what to begin with; or refused at once.
func choose(k Known, device []byte) (r Record, found bool, o *Outcome) {
	live := slices.DeleteFunc(slices.Clone(k.ByMAC), func(r Record) bool { return r.State == api.NodeRetired })
	no := func(r Record, reason string) (Record, bool, *Outcome) {
		refused := refuse(r, reason)
		return r, false, &refused
	}
	switch {
	case len(live) > 1:
		_, _, o := no(Record{}, ReasonAmbiguous)
		o.Detail = names(live)
		return Record{}, false, o
	case len(live) == 1 && !live[0].owns(device) && !planted.Is(planted.MACAlone):
		return no(live[0], ReasonOtherKey)
	case len(live) == 1:
		return live[0].clone(), true, nil
	case k.ByKey != nil && k.ByKey.banned(device):
		return no(*k.ByKey, ReasonRetired)
	case k.ByKey != nil && k.ByKey.owns(device):
		return k.ByKey.clone(), true, nil
	}
	for _, r := range k.ByMAC {
		if r.banned(device) {
			return no(r, ReasonRetired)
		}
	}
	if len(k.ByMAC) > 0 { // only retired ones: the hardware may begin again, under its old id
		old := k.ByMAC[0]
		return Record{ID: old.ID, MACs: old.MACs, Retired: old.Retired, Newest: old.Newest, LastIssue: old.LastIssue}.clone(), false, nil
	}
	return Record{}, false, nil
}

func names(rs []Record) string {
	var ids []string
	for _, r := range rs {
		ids = append(ids, string(r.ID))
	}
	return strings.Join(ids, ", ")
}

// first meets a machine for the first time. Leads to enrolled (open, or with a
// join token) or pending (approve).
func first(r Record, k Known, c api.Claim, device []byte, p Policy, now time.Time) Outcome {
	if r.ID == "" {
		if p.full(k.Nodes) {
			return refuse(Record{}, ReasonFull)
		}
		r.ID, _ = api.IDOf(c.MACs[0]) // valid: it was looked at
	}
	r.MACs = union(r.MACs, c.MACs)
	r.Device, r.Hostname, r.Created, r.Rebase = bytes.Clone(device), c.Hostname, now.UTC(), true
	if p.Mode == ModeOpen {
		r.State = api.NodeEnrolled
		o := give(r, c, now)
		if o.Granted {
			o.Reason = ReasonEnrolled
		}
		return o
	}
	why := k.Offer.refused(now)
	switch {
	case why == "":
		return byToken(r, k, c, now)
	case p.Mode == ModeToken:
		o := refuse(Record{ID: r.ID}, why)
		o.Detail = k.Offer.detail()
		return o
	case !p.room(k.Pending):
		return refuse(Record{}, ReasonTooMany)
	}
	r.State, r.Reason = api.NodePending, ReasonNew
	o := Outcome{Record: r, Changed: true, Reason: ReasonNew, Detail: "fingerprint " + api.Fingerprint(device)}
	if k.Offer.Given {
		o.Detail += ", " + why
	}
	return o
}

// enrolled meets a node that it knows. Leads to pending when there seem to be
// two of it, or when its disk sits in another machine.
func enrolled(r Record, c api.Claim, now time.Time) Outcome {
	why := r.cloned(c.BootID, c.Counter)
	if why == "" && !r.selectedBy(c.MACs) {
		why = ReasonMoved
		r.Offered = slices.Clone(c.MACs)
	}
	if why == "" {
		return give(r, c, now)
	}
	o := doubt(r, why, c.BootID, c.Counter)
	o.Detail += ", MACs " + strings.Join(c.MACs, " ")
	return o
}

// doubt leads to pending: an operator has to say which of two is the node, and
// no certificate of either counts any more.
func doubt(r Record, why, boot string, counter uint64) Outcome {
	detail := fmt.Sprintf("counter %d after %d, boot %s", counter, r.Counter, boot)
	return Outcome{Record: Suspect(r, why), Changed: true, Reason: why, Detail: detail}
}

// give grants a claim, unless it names only generations that do not exist.
//
//	it names generations   → those of them that exist
//	it names none          → the newest if that is unconfirmed (the node, or the
//	                         answer, was lost before), else a new one: its disk is empty
func give(r Record, c api.Claim, now time.Time) Outcome {
	o := Outcome{Granted: true, Changed: true, Reason: ReasonUnlocked}
	for _, g := range r.Generations {
		if slices.Contains(c.Generations, g) {
			o.Give = append(o.Give, g)
		}
	}
	if len(c.Generations) > 0 && len(o.Give) == 0 {
		return refuse(r, ReasonNoShare)
	}
	if len(c.Generations) == 0 {
		if n := len(r.Generations); n == 0 || r.Generations[n-1] <= r.Confirmed {
			r.Newest++
			o.Make, r.Recovered = r.Newest, nil // a new volume has a new recovery key
			r.Generations = append(r.Generations, o.Make)
		}
		o.Give = r.Generations[len(r.Generations)-1:]
	}
	// A share that a rotation has made is unconfirmed too; the node has its recovery slot by then.
	o.Recovery = o.Give[len(o.Give)-1] > r.Confirmed && (r.Confirmed == 0 || len(c.Generations) == 0)
	r.seen(c, now)
	o.Record = r
	o.Detail = fmt.Sprintf("generations %v, counter %d, boot %s", o.Give, c.Counter, c.BootID)
	return o
}

// Confirm notes that a node has a generation in use. From then on its recovery
// key is given to no node; old generations beyond a few are dropped, and all of
// them when the node says that this one is alone on its disk.
func Confirm(r *Record, c api.Confirm, device []byte) Outcome {
	o := entitled(r, device)
	if !o.Granted {
		return o
	}
	if !slices.Contains(o.Record.Generations, c.Generation) {
		return refuse(o.Record, ReasonNoShare)
	}
	o.Reason, o.Detail = ReasonConfirmed, fmt.Sprintf("generation %d", c.Generation)
	if c.Generation > o.Record.Confirmed {
		o.Record.Confirmed, o.Changed = c.Generation, true
	}
	over := len(o.Record.Generations) - keepGenerations
	if c.Alone {
		over = slices.Index(o.Record.Generations, c.Generation)
		o.Detail += ", alone"
	}
	if over > 0 {
		o.Drop = o.Record.Generations[:over]
		o.Record.Generations = slices.Clone(o.Record.Generations[over:])
		o.Changed = true
	}
	return o
}

// Certify says whether a node may have a certificate; it counts as an unlock
// does. The caller sets Record.Certificate.
func Certify(r *Record, c api.CSR, device []byte) Outcome {
	o := entitled(r, device)
	if !o.Granted {
		return o
	}
	if err := validCount(c.BootID, c.Counter); err != nil {
		o = refuse(o.Record, ReasonMalformed)
		o.Detail = err.Error()
		return o
	}
	if why := o.Record.cloned(c.BootID, c.Counter); why != "" {
		return doubt(o.Record, why, c.BootID, c.Counter)
	}
	o.Record.counted(c.BootID, c.Counter)
	o.Reason, o.Changed = ReasonCertificate, true
	return o
}

// entitled is the rule of everything that follows an unlock.
func entitled(r *Record, device []byte) Outcome {
	switch {
	case r == nil:
		return refuse(Record{}, ReasonUnknown)
	case r.State == api.NodeRetired:
		return refuse(*r, ReasonRetired)
	case !r.owns(device) && !planted.Is(planted.CertificateForAnyone):
		return refuse(*r, ReasonOtherKey)
	case r.State == api.NodePending:
		return refuse(*r, ReasonPending)
	case r.State != api.NodeEnrolled:
		return refuse(*r, ReasonQuarantined)
	}
	return Outcome{Record: r.clone(), Granted: true}
}
