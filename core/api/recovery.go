package api

import (
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
)

// recoverySize is the length of a recovery key in bytes.
const recoverySize = 32

var recoveryAlphabet = base32.StdEncoding.WithPadding(base32.NoPadding)

// FormatRecovery writes a recovery key as people write it down and type it in:
// fourteen groups of four letters and digits (RFC 4648 base32), of which the last
// one is a check on the others.
func FormatRecovery(key Secret) string {
	text := recoveryAlphabet.EncodeToString(key)
	text += recoveryCheck(key)
	var groups []string
	for i := 0; i < len(text); i += 4 {
		groups = append(groups, text[i:min(i+4, len(text))])
	}
	return strings.Join(groups, "-")
}

func recoveryCheck(key []byte) string {
	sum := sha256.Sum256(append([]byte("g8os recovery key\x00"), key...))
	return recoveryAlphabet.EncodeToString(sum[:])[:4]
}

// ParseRecovery reads what FormatRecovery wrote, whatever the case, with or
// without dashes and blanks. The error does not repeat what was typed.
func ParseRecovery(text string) (Secret, error) {
	plain := strings.ToUpper(strings.NewReplacer("-", "", " ", "", "\t", "", "\n", "", "\r", "").Replace(text))
	letters := recoveryAlphabet.EncodedLen(recoverySize)
	if len(plain) != letters+4 {
		return nil, fmt.Errorf("recovery key: it has %d letters and digits, want %d", len(plain), letters+4)
	}
	key, err := recoveryAlphabet.DecodeString(plain[:letters])
	if err != nil {
		return nil, errors.New("recovery key: want letters A to Z and digits 2 to 7")
	}
	if recoveryCheck(key) != plain[letters:] {
		return nil, errors.New("recovery key: the check at its end does not fit: a letter is wrong")
	}
	return key, nil
}
