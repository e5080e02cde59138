package record

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/g8os/g8os/lab/fault"
	"github.com/g8os/g8os/lab/run"
)

// Read reads a record. Errors wrap ErrVersion, ErrDamaged or that of the file
// system.
func Read(path string) (*Record, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("record %s: %w", path, errors.Unwrap(err))
	}
	return Parse(path, text)
}

// Parse reads the text of a record; path is only for error messages.
func Parse(path string, text []byte) (*Record, error) {
	r, sum := &Record{}, sha256.New()
	for number := 1; len(text) > 0; number++ {
		one, rest, whole := bytes.Cut(text, []byte("\n"))
		var l line
		if err := json.Unmarshal(one, &l); err != nil || !whole {
			return nil, damaged(path, "line %d is %s", number, wrong(number, one, whole))
		}
		if err := r.take(path, number, l); err != nil {
			return nil, err
		}
		if l.End != nil {
			return r, r.close(path, l.End, rest, hex.EncodeToString(sum.Sum(nil)))
		}
		sum.Write(text[:len(one)+1])
		text = rest
	}
	if r.Version == 0 {
		return nil, damaged(path, "it is empty")
	}
	r.brokenOff()
	return r, nil
}

// wrong says what is wrong with a line.
func wrong(number int, text []byte, whole bool) string {
	switch {
	case number == 1 && !bytes.HasPrefix(text, []byte(`{"record":`)):
		return "not that of a record; g8lab chaos and g8lab sim write them"
	case !whole:
		return "cut off"
	}
	return "not JSON"
}

// take adds a line to the record.
func (r *Record) take(path string, number int, l line) error {
	switch {
	case number == 1 && l.Record == nil:
		return damaged(path, "line 1 is %s", wrong(1, nil, true))
	case number == 1:
		return r.head(path, *l.Record)
	case l.Record == nil && l.End == nil && l.Note == run.Note{}:
		return damaged(path, "line %d says nothing that is known", number)
	}
	r.add(l.Note)
	return nil
}

// head takes the first line over, if it can be relied on.
func (r *Record) head(path string, h Head) error {
	if h.Version != Version {
		return fmt.Errorf("record %s: %w: %d, made by g8lab %s; this one reads %d", path, ErrVersion, h.Version, h.MadeBy, Version)
	}
	r.Head = h
	_, p, err := h.Plan(h.Lab)
	if err != nil {
		return damaged(path, "%v", err)
	}
	for _, t := range h.Schedule {
		if err := fault.Check(t.Fault, p, h.Fidelity); err != nil {
			return damaged(path, "at %s: %v", t.At, err)
		}
	}
	return nil
}

// close takes the last line over, if everything before it is as it was written.
func (r *Record) close(path string, e *End, rest []byte, sum string) error {
	if len(rest) > 0 {
		return damaged(path, "something follows its end")
	}
	if e.Sum != sum {
		return damaged(path, "it was changed after it was written")
	}
	r.End = *e
	return nil
}
