package chain

import (
	"errors"
	"fmt"

	"github.com/g8os/g8os/core/api"
)

// ErrPruned is wrapped when a noted mark is of an entry that is not kept any
// more: nothing can be said about it.
var ErrPruned = errors.New("the entry is not kept any more")

// Report says what was verified.
type Report struct {
	Anchor  api.AuditMark // of what was pruned; number 0: nothing
	Head    api.AuditMark // to be noted elsewhere
	Entries int
	Waiting int // not tied to the chain yet
}

// Verify walks the whole chain. fetch returns the entries after a number, some
// at a time. noted is a mark of an earlier time that the chain has to pass
// through; the zero mark asks for nothing. Errors of the chain wrap ErrBroken.
func Verify(fetch func(after uint64) (api.AuditChain, error), noted api.AuditMark) (Report, error) {
	var r Report
	c, err := fetch(0)
	if err != nil {
		return r, err
	}
	r.Anchor = c.Anchor
	at := c.Anchor
	if err := passes(at, noted); err != nil {
		return r, err
	}
	for len(c.Entries) > 0 {
		for _, raw := range c.Entries {
			if at, _, err = Next(at, raw); err != nil {
				return r, err
			}
			if err := passes(at, noted); err != nil {
				return r, err
			}
			r.Entries++
		}
		if c, err = fetch(at.Seq); err != nil {
			return r, err
		}
		if c.Anchor.Seq > at.Seq {
			return r, fmt.Errorf("entry %d was pruned while it was to be read: verify again", at.Seq+1)
		}
	}
	r.Head, r.Waiting = c.Head, c.Waiting
	if err := End(at, c.Head); err != nil {
		return r, err
	}
	return r, reached(at, r.Anchor, noted)
}

func passes(at, noted api.AuditMark) error {
	if noted.Seq != 0 && at.Seq == noted.Seq && at.Hash != noted.Hash {
		return fmt.Errorf("%w: entry %d is not the one that was noted: it, or one before it, was changed", ErrBroken, at.Seq)
	}
	return nil
}

func reached(at, anchor, noted api.AuditMark) error {
	switch {
	case noted.Seq > at.Seq:
		return fmt.Errorf("%w: entry %d was noted, and the newest is %d: the newest are missing, or the store is an older one", ErrBroken, noted.Seq, at.Seq)
	case noted.Seq != 0 && noted.Seq < anchor.Seq:
		return fmt.Errorf("entry %d was noted, the oldest kept is %d: %w; what is kept is whole", noted.Seq, anchor.Seq+1, ErrPruned)
	}
	return nil
}
