package jobs

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/g8os/g8os/ac-mock/jobs/delivery"
)

// ErrCursor is wrapped when a cursor is not one that a stream gave.
var ErrCursor = errors.New("not a cursor of a job's stream")

// cursor says how far a stream has come: which change was told last, and up to
// where the output of each AC was.
type cursor struct {
	Revision int64            `json:"r,omitempty"`
	Node     string           `json:"n,omitempty"`
	At       map[string]int64 `json:"at,omitempty"` // by AC
}

var noChange = delivery.Change{}

func parseCursor(text string) (c cursor, err error) {
	c.At = map[string]int64{}
	if text == "" {
		return c, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		err = json.Unmarshal(raw, &c)
	}
	if err != nil || len(text) > maxCursor {
		return c, fmt.Errorf("%.80q: %w", text, ErrCursor)
	}
	if c.At == nil {
		c.At = map[string]int64{}
	}
	return c, nil
}

// maxCursor bounds a cursor: some ACs with their names.
const maxCursor = 4096

func (c cursor) String() string { return base64.RawURLEncoding.EncodeToString(encode(c)) }

// CheckCursor says whether a text is a cursor, or empty. Errors wrap ErrCursor.
func CheckCursor(text string) error {
	_, err := parseCursor(text)
	return err
}
