package tpm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// Limit is until when a TPM opens a blob. Both counts are the TPM's own, survive
// power cuts, and go back only when it is cleared, which voids the blob.
type Limit struct {
	PoweredMS uint64 `json:"powered_ms"` // of Counts
	Resets    uint32 `json:"resets"`     // of Counts
}

// Counts is how long a TPM was powered and how often it was reset. A machine that
// boots resets it, and a thief's does too.
type Counts struct {
	PoweredMS uint64 // time off does not count; after a power cut it may be an hour behind
	Resets    uint32
}

// Limit returns the limit that is so far away: a time under power, and a number
// of boots after this one.
func (c Counts) Limit(powered time.Duration, boots int) Limit {
	return Limit{PoweredMS: c.PoweredMS + uint64(max(0, powered.Milliseconds())), Resets: c.Resets + uint32(max(0, boots))}
}

// Counts reads the TPM's.
func (t TPM) Counts() (Counts, error) {
	chip, err := t.open()
	if err != nil {
		return Counts{}, fmt.Errorf("read the TPM's clock: %w", err)
	}
	defer chip.Close()
	got, err := tpm2.ReadClock{}.Execute(chip)
	if err != nil {
		return Counts{}, fmt.Errorf("read the TPM's clock: %w", err)
	}
	info := got.CurrentTime.ClockInfo
	return Counts{PoweredMS: info.Clock, Resets: info.ResetCount}, nil
}

// Where the counts are in a TPMS_TIME_INFO, and the comparison "at most"
// (TCG TPM 2.0 part 2, sections 10.10.1 and 6.8).
const (
	offsetClock  = 8
	offsetResets = 16
	atMost       = 9 // TPM_EO_UNSIGNED_LE
)

// digest is the policy that says so, as the TPM computes it.
func (l Limit) digest(chip transport.TPM) (_ []byte, err error) {
	trial, end, err := tpm2.PolicySession(chip, tpm2.TPMAlgSHA256, nonceSize, tpm2.Trial())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, end()) }()
	if err := l.assert(chip, trial.Handle()); err != nil {
		return nil, err
	}
	got, err := tpm2.PolicyGetDigest{PolicySession: trial.Handle()}.Execute(chip)
	if err != nil {
		return nil, err
	}
	return got.PolicyDigest.Buffer, nil
}

// assert has a policy session prove that the limit is not passed.
func (l Limit) assert(chip transport.TPM, policy tpm2.TPMHandle) error {
	clock := binary.BigEndian.AppendUint64(nil, l.PoweredMS)
	resets := binary.BigEndian.AppendUint32(nil, l.Resets)
	return errors.Join(compare(chip, policy, offsetClock, clock), compare(chip, policy, offsetResets, resets))
}

// compare is TPM2_PolicyCounterTimer (TCG TPM 2.0 part 3, section 23.10), which
// the library does not have.
func compare(chip transport.TPM, policy tpm2.TPMHandle, offset uint16, operand []byte) error {
	const headerSize = 10
	body := binary.BigEndian.AppendUint32(nil, uint32(policy))
	body = binary.BigEndian.AppendUint16(body, uint16(len(operand)))
	body = append(body, operand...)
	body = binary.BigEndian.AppendUint16(body, offset)
	body = binary.BigEndian.AppendUint16(body, atMost)
	command := binary.BigEndian.AppendUint16(nil, uint16(tpm2.TPMSTNoSessions))
	command = binary.BigEndian.AppendUint32(command, uint32(headerSize+len(body)))
	command = binary.BigEndian.AppendUint32(command, uint32(tpm2.TPMCCPolicyCounterTimer))
	answer, err := chip.Send(append(command, body...))
	if err != nil {
		return err
	}
	if len(answer) < headerSize {
		return fmt.Errorf("the TPM answers %d bytes", len(answer))
	}
	switch rc := tpm2.TPMRC(binary.BigEndian.Uint32(answer[6:headerSize])); {
	case rc == 0:
		return nil
	case errors.Is(rc, tpm2.TPMRCPolicy):
		return ErrLimit
	default:
		return rc
	}
}
