package enrol

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"regexp"
	"time"
)

// Why a join token does not count. Like all reasons they reach the audit only.
const (
	ReasonNoToken      = "first seen, and without a join token"
	ReasonTokenUnknown = "join token is not known"
	ReasonTokenExpired = "join token has expired"
	ReasonTokenSpent   = "join token is spent"
	ReasonTokenRevoked = "join token was revoked"
	ReasonToken        = "first seen, enrolled by join token"
)

// Token is what an AC remembers of a join token: an approval in advance of so
// many machines, for a time. Its text is nowhere but with whom it was made for.
type Token struct {
	ID      string    `json:"id"`
	Hash    []byte    `json:"hash"` // SHA-256 of the text
	By      string    `json:"by"`   // the operator's identity
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"`
	Uses    int       `json:"uses"` // machines that it lets in
	Left    int       `json:"left"` // of them
	Revoked bool      `json:"revoked,omitempty"`
}

// Bounds of a join token.
const (
	MaxTokenUses   = 10_000
	MaxTokenLife   = 30 * 24 * time.Hour
	maxTokenLength = 64
)

// tokenText is g8t-ID-SECRET: 8 hex digits that name it, and 128 bits in base32.
var tokenText = regexp.MustCompile(`^g8t-([0-9a-f]{8})-[a-z2-7]{26}$`)

// TokenID returns the id in the text of a join token; ok is false when the text
// is not one.
func TokenID(text []byte) (id string, ok bool) {
	if len(text) > maxTokenLength {
		return "", false
	}
	m := tokenText.FindSubmatch(text)
	if m == nil {
		return "", false
	}
	return string(m[1]), true
}

// HashToken is what is kept of a join token's text.
func HashToken(text []byte) []byte {
	sum := sha256.Sum256(text)
	return sum[:]
}

// Offer is a join token in a claim, as far as the AC knows it.
type Offer struct {
	Given bool   // there is one
	Text  []byte // as it was given
	Known *Token // the one that it names, if there is such
}

// refused says why the offer does not count; empty when it does.
func (o Offer) refused(now time.Time) string {
	switch t := o.Known; {
	case !o.Given:
		return ReasonNoToken
	case t == nil || !bytes.Equal(t.Hash, HashToken(o.Text)): // of hashes: what differs first tells nothing
		return ReasonTokenUnknown
	case t.Revoked:
		return ReasonTokenRevoked
	case t.Left <= 0:
		return ReasonTokenSpent
	case !now.Before(t.Expires):
		return ReasonTokenExpired
	}
	return ""
}

func (o Offer) detail() string {
	if o.Known == nil {
		return ""
	}
	return fmt.Sprintf("join token %s of %s", o.Known.ID, o.Known.By)
}

// State is what an operator sees of a token: good, revoked, spent or expired.
func (t Token) State(now time.Time) string {
	switch {
	case t.Revoked:
		return "revoked"
	case t.Left <= 0:
		return "spent"
	case !now.Before(t.Expires):
		return "expired"
	}
	return "good"
}

// Spend takes one use of a token.
func (t Token) Spend() Token {
	t.Left--
	return t
}
