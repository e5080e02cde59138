package tpm_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/core/unlock/tpm"
	"github.com/g8os/g8os/core/unlock/tpm/tpmtest"
)

var secret = bytes.Repeat([]byte("k"), 64)

func seal(t *testing.T, c tpm.TPM) []byte {
	t.Helper()
	b, err := c.Seal(secret)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(b, secret) {
		t.Fatal("the secret is in the blob")
	}
	return b
}

func wantSecret(t *testing.T, c tpm.TPM, sealed []byte) {
	t.Helper()
	if got, err := c.Unseal(sealed); err != nil || !bytes.Equal(got, secret) {
		t.Fatalf("%q, %v", got, err)
	}
}

func wantNot(t *testing.T, c tpm.TPM, sealed []byte, reason error) {
	t.Helper()
	if got, err := c.Unseal(sealed); !errors.Is(err, reason) || got != nil {
		t.Fatalf("%d bytes, %v, want: %v", len(got), err, reason)
	}
}

func TestWhatATPMSealedOnlyItUnseals(t *testing.T) {
	one, other := tpmtest.New(t), tpmtest.New(t)
	sealed := seal(t, one.TPM())
	wantSecret(t, one.TPM(), sealed)
	one.Boot()
	wantSecret(t, one.TPM(), sealed)
	wantNot(t, other.TPM(), sealed, tpm.ErrOther)
	one.Clear()
	wantNot(t, one.TPM(), sealed, tpm.ErrOther)
}

func TestAMachineWithoutTPM(t *testing.T) {
	real := tpmtest.New(t).TPM()
	for _, none := range []tpm.TPM{{}, tpm.New(tpm.None), tpm.New("/nowhere/tpm0")} {
		if _, err := none.Seal(secret); !errors.Is(err, tpm.ErrNone) {
			t.Error(err)
		}
		if _, err := none.Counts(); !errors.Is(err, tpm.ErrNone) {
			t.Error(err)
		}
		wantNot(t, none, seal(t, real), tpm.ErrNone)
	}
	if tpm.New(tpm.None).Present() || (tpm.TPM{}).Present() {
		t.Error("a machine without TPM says that it has one")
	}
}

func TestDamagedBlobs(t *testing.T) {
	c := tpmtest.New(t)
	sealed := seal(t, c.TPM())
	for _, damaged := range []string{"", "null", "[]", `{"public":"AAAA","private":"AAAA"}`, string(sealed[:len(sealed)/2]),
		strings.Replace(string(sealed), `"private":"A`, `"private":"B`, 1), flip(t, sealed)} {
		wantNot(t, c.TPM(), []byte(damaged), tpm.ErrOther)
	}
	wantSecret(t, c.TPM(), sealed) // and it is none the worse for it
	for _, n := range []int{0, tpm.MaxSecret + 1} {
		if _, err := c.TPM().Seal(make([]byte, n)); err == nil {
			t.Errorf("%d bytes were sealed", n)
		}
	}
}

// flip changes the last byte of the private half.
func flip(t *testing.T, sealed []byte) string {
	t.Helper()
	var b struct{ Public, Private []byte }
	if err := json.Unmarshal(sealed, &b); err != nil {
		t.Fatal(err)
	}
	b.Private[len(b.Private)-1] ^= 1
	raw, _ := json.Marshal(map[string][]byte{"public": b.Public, "private": b.Private})
	return string(raw)
}

func TestNothingIsLeftInTheTPM(t *testing.T) {
	c := tpmtest.New(t)
	for range 10 { // a TPM has room for three objects, and for as many sessions
		sealed := seal(t, c.TPM())
		wantSecret(t, c.TPM(), sealed)
		limited, err := c.TPM().SealUntil(secret, tpm.Limit{PoweredMS: 1 << 40, Resets: 1000})
		if err != nil {
			t.Fatal(err)
		}
		wantSecret(t, c.TPM(), limited)
	}
}

func limited(t *testing.T, c *tpmtest.Chip, powered time.Duration, boots int) []byte {
	t.Helper()
	now, err := c.TPM().Counts()
	if err != nil {
		t.Fatal(err)
	}
	b, err := c.TPM().SealUntil(secret, now.Limit(powered, boots))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The number of boots is counted by the TPM: what is put back on the disk does
// not help.
func TestATPMCountsBoots(t *testing.T) {
	c := tpmtest.New(t)
	sealed := limited(t, c, time.Hour, 2)
	wantSecret(t, c.TPM(), sealed)
	for range 2 {
		c.Boot()
		wantSecret(t, c.TPM(), sealed)
	}
	c.Boot()
	wantNot(t, c.TPM(), sealed, tpm.ErrLimit)
	var b map[string]any
	if err := json.Unmarshal(sealed, &b); err != nil {
		t.Fatal(err)
	}
	b["limit"].(map[string]any)["resets"] = 1000
	forged, _ := json.Marshal(b)
	wantNot(t, c.TPM(), forged, tpm.ErrLimit)
	delete(b, "limit")
	forged, _ = json.Marshal(b)
	if got, err := c.TPM().Unseal(forged); err == nil || got != nil {
		t.Error("it opens without its limit")
	}
}

func TestATPMMeasuresTime(t *testing.T) {
	c := tpmtest.New(t)
	sealed := limited(t, c, 0, 9)
	before, err := c.TPM().Counts()
	if err != nil {
		t.Fatal(err)
	}
	for now := before; now.PoweredMS <= before.PoweredMS+1; { // its clock goes on by itself
		if now, err = c.TPM().Counts(); err != nil {
			t.Fatal(err)
		}
	}
	wantNot(t, c.TPM(), sealed, tpm.ErrLimit)
}

func BenchmarkUnseal(b *testing.B) {
	c := tpmtest.New(b).TPM()
	sealed, err := c.Seal(secret)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := c.Unseal(sealed); err != nil {
			b.Fatal(err)
		}
	}
}
