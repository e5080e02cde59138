// Package chain ties audit entries to each other, so that what is changed,
// dropped, added or put in another order later is found.
//
//	mark 16 ◀── prev ── entry 17 ◀── prev ── entry 18 ◀── mark 18, the head
//	(anchor: what came                        (an operator may note it
//	before was pruned)                         elsewhere)
//
// An entry says its number and the hash of the entry before it; a Mark is the
// number and the hash of the last one. The hash is SHA-256 over the entry's JSON
// as it is stored.
//
// It promises that two chains with one head are equal from the anchor on. It is
// not a signature: who can write the whole store can write a whole new chain. An
// operator who notes a mark elsewhere, and has it looked for later, finds that
// too. It reads and writes nothing itself.
package chain

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/g8os/g8os/core/api"
)

// ErrBroken is wrapped by every way in which a chain is not whole.
var ErrBroken = errors.New("the audit was tampered with, or damaged")

// Append numbers an entry that follows m, ties it to m, and returns it as it is
// to be stored, and the mark of it.
func Append(m api.AuditMark, e api.AuditEntry) (raw []byte, next api.AuditMark, err error) {
	e.Seq, e.Prev = m.Seq+1, m.Hash
	raw, err = json.Marshal(e)
	if err != nil {
		return nil, m, fmt.Errorf("encode audit entry %d: %w", e.Seq, err)
	}
	return raw, api.AuditMark{Seq: e.Seq, Hash: hash(raw)}, nil
}

func hash(raw []byte) string {
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

// Next checks that raw, as it is stored, is the entry that follows m, and
// returns its mark. Errors wrap ErrBroken and say where.
func Next(m api.AuditMark, raw []byte) (api.AuditMark, api.AuditEntry, error) {
	var e api.AuditEntry
	if err := json.Unmarshal(raw, &e); err != nil {
		return m, e, fmt.Errorf("%w: what follows entry %d cannot be read: %w", ErrBroken, m.Seq, err)
	}
	switch {
	case e.Seq > m.Seq+1:
		return m, e, fmt.Errorf("%w: entries %d to %d are missing", ErrBroken, m.Seq+1, e.Seq-1)
	case e.Seq <= m.Seq:
		return m, e, fmt.Errorf("%w: entry %d follows entry %d", ErrBroken, e.Seq, m.Seq)
	case e.Prev != m.Hash:
		return m, e, fmt.Errorf("%w: entry %d does not continue entry %d: one of the two was changed, or is another one", ErrBroken, e.Seq, m.Seq)
	}
	return api.AuditMark{Seq: e.Seq, Hash: hash(raw)}, e, nil
}

// End checks that the last entry that was found is the one that the head names.
func End(last, head api.AuditMark) error {
	switch {
	case last.Seq < head.Seq:
		return fmt.Errorf("%w: entries %d to %d, the newest, are missing", ErrBroken, last.Seq+1, head.Seq)
	case last.Seq > head.Seq:
		return fmt.Errorf("%w: entry %d is beyond the head, %d", ErrBroken, last.Seq, head.Seq)
	case last.Hash != head.Hash:
		return fmt.Errorf("%w: entry %d, the newest, was changed", ErrBroken, last.Seq)
	}
	return nil
}

// Parse reads a mark as its String writes it: NUMBER:HASH.
func Parse(text string) (api.AuditMark, error) {
	number, sum, _ := strings.Cut(text, ":")
	seq, err := strconv.ParseUint(number, 10, 64)
	raw, bad := hex.DecodeString(sum)
	if err != nil || bad != nil || len(raw) != sha256.Size || seq == 0 {
		return api.AuditMark{}, fmt.Errorf("%q is not a mark of the audit: want NUMBER:HASH as g8os audit verify prints it", text)
	}
	return api.AuditMark{Seq: seq, Hash: strings.ToLower(sum)}, nil
}
