// Package tpm keeps small secrets so that only this machine's TPM 2.0 gives
// them back: what is on the disk is of no use elsewhere.
//
// It promises that a blob opens with the TPM that sealed it and no other, not
// even with the same one after it was cleared; that an answer on its way from
// the chip is encrypted; and that nothing is left in the TPM, so that nothing
// has to be cleaned up and any number of blobs can be made. It is no defence
// against who has the whole machine: whatever system runs there may ask the TPM.
// Binding to PCRs would be one, and is not done: firmware and kernel change them
// with every update, and each would lock nodes out of their own volumes, far from
// anybody who has the recovery key.
package tpm

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
	"github.com/google/go-tpm/tpm2/transport/linuxtpm"
	"github.com/google/go-tpm/tpm2/transport/linuxudstpm"
)

// Where to look for a TPM, beside a path.
const (
	Auto = "auto" // the kernel's: /dev/tpmrm0, else /dev/tpm0
	None = "none" // nowhere, also when there is one
)

// devices are the kernel's TPMs, in the order in which they are wanted: the first
// one is shared between its users by the kernel.
var devices = []string{"/dev/tpmrm0", "/dev/tpm0"}

// MaxSecret is how long a secret may be, in bytes (TCG TPM 2.0 part 2, MAX_SYM_DATA).
const MaxSecret = 128

var (
	// ErrNone is wrapped when this machine has no TPM 2.0 that answers.
	ErrNone = errors.New("there is no TPM")
	// ErrOther is wrapped when a blob was sealed by another TPM, by this one
	// before it was cleared, or is damaged.
	ErrOther = errors.New("it was not sealed by this TPM as it is now")
	// ErrLimit is wrapped when the TPM holds the limits of a blob to be passed.
	ErrLimit = errors.New("the TPM says that its limits are passed")
)

// TPM is a machine's TPM. The zero value is for a machine without one. It is
// opened for each operation, as others may want it too; its methods may be called
// concurrently. How long one takes is up to the chip and the kernel's driver,
// which gives up after minutes at most; milliseconds are usual.
type TPM struct{ where string }

// New returns the TPM at Auto, None, or the path of a device or of a Unix socket
// of an emulator.
func New(where string) TPM { return TPM{where: where} }

// Present says whether there is one.
func (t TPM) Present() bool { return t.path() != "" }

func (t TPM) path() string {
	switch t.where {
	case "", None:
		return ""
	case Auto:
		for _, d := range devices {
			if _, err := os.Stat(d); err == nil {
				return d
			}
		}
		return ""
	}
	return t.where
}

// blob is what Seal returns: the two halves of a sealed object
// (TCG TPM 2.0 part 3, section 12.1), and its limit.
type blob struct {
	Public  []byte `json:"public"`
	Private []byte `json:"private"`
	Limit   *Limit `json:"limit,omitempty"`
}

// Seal returns a blob from which only this TPM gets the secret back.
func (t TPM) Seal(secret []byte) ([]byte, error) { return t.seal(secret, nil) }

// SealUntil returns a blob that this TPM does not open once a limit is passed,
// whatever the disk or the clock say then.
func (t TPM) SealUntil(secret []byte, l Limit) ([]byte, error) { return t.seal(secret, &l) }

func (t TPM) seal(secret []byte, l *Limit) ([]byte, error) {
	if len(secret) == 0 || len(secret) > MaxSecret {
		return nil, fmt.Errorf("seal to the TPM: %d bytes, want 1 to %d", len(secret), MaxSecret)
	}
	var sealed []byte
	err := t.use(func(s session) error {
		public := tpm2.TPMTPublic{
			Type: tpm2.TPMAlgKeyedHash, NameAlg: tpm2.TPMAlgSHA256,
			ObjectAttributes: tpm2.TPMAObject{FixedTPM: true, FixedParent: true, UserWithAuth: l == nil, NoDA: true},
		}
		if l != nil {
			digest, err := l.digest(s.tpm)
			if err != nil {
				return err
			}
			public.AuthPolicy = tpm2.TPM2BDigest{Buffer: digest}
		}
		made, err := tpm2.Create{
			ParentHandle: s.parent(tpm2.HMAC(tpm2.TPMAlgSHA256, nonceSize, s.encrypted(tpm2.AESEncryption(128, tpm2.EncryptIn))...)),
			InSensitive: tpm2.TPM2BSensitiveCreate{Sensitive: &tpm2.TPMSSensitiveCreate{
				Data: tpm2.NewTPMUSensitiveCreate(&tpm2.TPM2BSensitiveData{Buffer: secret})}},
			InPublic: tpm2.New2B(public),
		}.Execute(s.tpm)
		if err != nil {
			return err
		}
		sealed, err = json.Marshal(blob{Public: tpm2.Marshal(made.OutPublic), Private: tpm2.Marshal(made.OutPrivate), Limit: l})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("seal to the TPM: %w", err)
	}
	return sealed, nil
}

// Unseal returns the secret. Errors wrap ErrNone, ErrOther or ErrLimit.
func (t TPM) Unseal(sealed []byte) ([]byte, error) {
	if !t.Present() {
		return nil, fmt.Errorf("unseal from the TPM: %w in this machine", ErrNone)
	}
	b, public, private, err := parse(sealed)
	if err != nil {
		return nil, fmt.Errorf("unseal from the TPM: %w: %w", ErrOther, err)
	}
	var secret []byte
	err = t.use(func(s session) error {
		loaded, err := tpm2.Load{ParentHandle: s.parent(tpm2.PasswordAuth(nil)), InPublic: *public, InPrivate: *private}.Execute(s.tpm)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrOther, err)
		}
		defer s.flush(loaded.ObjectHandle)
		got, err := s.unseal(loaded, b.Limit)
		if err == nil {
			secret = got
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("unseal from the TPM: %w", err)
	}
	return secret, nil
}

func parse(sealed []byte) (b blob, public *tpm2.TPM2BPublic, private *tpm2.TPM2BPrivate, err error) {
	if err := json.Unmarshal(sealed, &b); err != nil {
		return b, nil, nil, err
	}
	public, err1 := tpm2.Unmarshal[tpm2.TPM2BPublic](b.Public)
	private, err2 := tpm2.Unmarshal[tpm2.TPM2BPrivate](b.Private)
	return b, public, private, errors.Join(err1, err2)
}

// session is one use of the TPM: it is open, and has its storage root key.
type session struct {
	tpm  transport.TPM
	root *tpm2.CreatePrimaryResponse
	key  tpm2.TPMTPublic // the root key's public half
}

// use opens the TPM and derives its storage root key: from a seed in the chip,
// so it is the same each time until the TPM is cleared.
func (t TPM) use(do func(session) error) error {
	chip, err := t.open()
	if err != nil {
		return err
	}
	defer chip.Close()
	root, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHOwner, InPublic: tpm2.New2B(tpm2.ECCSRKTemplate)}.Execute(chip)
	if err != nil {
		return fmt.Errorf("%w that answers: the storage root key: %w", ErrNone, err)
	}
	s := session{tpm: chip, root: root}
	defer s.flush(root.ObjectHandle)
	key, err := root.OutPublic.Contents()
	if err != nil {
		return fmt.Errorf("%w that answers: the storage root key: %w", ErrNone, err)
	}
	s.key = *key
	return do(s)
}

// open returns a connection to the chip.
func (t TPM) open() (transport.TPMCloser, error) {
	path := t.path()
	if path == "" {
		return nil, fmt.Errorf("%w in this machine", ErrNone)
	}
	openAs := linuxtpm.Open
	st, err := os.Stat(path)
	if err == nil && st.Mode()&fs.ModeSocket != 0 {
		openAs = linuxudstpm.Open
	}
	chip, err := openAs(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNone, err)
	}
	return chip, nil
}

// parent is the root key as the parent of an object.
func (s session) parent(auth tpm2.Session) tpm2.AuthHandle {
	return tpm2.AuthHandle{Handle: s.root.ObjectHandle, Name: s.root.Name, Auth: auth}
}

// encrypted are the options of a session whose secrets nobody reads on the way:
// dir says which way.
func (s session) encrypted(dir tpm2.AuthOption) []tpm2.AuthOption {
	return []tpm2.AuthOption{dir, tpm2.Salted(s.root.ObjectHandle, s.key)}
}

// unseal asks for the content of a loaded object.
func (s session) unseal(o *tpm2.LoadResponse, l *Limit) ([]byte, error) {
	out := s.encrypted(tpm2.AESEncryption(128, tpm2.EncryptOut))
	auth := tpm2.HMAC(tpm2.TPMAlgSHA256, nonceSize, out...)
	if l != nil {
		auth = tpm2.Policy(tpm2.TPMAlgSHA256, nonceSize, func(chip transport.TPM, policy tpm2.TPMISHPolicy, _ tpm2.TPM2BNonce) error {
			return l.assert(chip, policy)
		}, out...)
	}
	got, err := tpm2.Unseal{ItemHandle: tpm2.AuthHandle{Handle: o.ObjectHandle, Name: o.Name, Auth: auth}}.Execute(s.tpm)
	switch {
	case errors.Is(err, tpm2.TPMRCPolicyFail): // the limit on the disk is not the one that was sealed
		return nil, fmt.Errorf("%w: %w", ErrLimit, err)
	case err != nil:
		return nil, err
	}
	return got.OutData.Buffer, nil
}

// nonceSize is that of a session's nonces, in bytes.
const nonceSize = 16

func (s session) flush(h tpm2.TPMHandle) {
	_, _ = tpm2.FlushContext{FlushHandle: h}.Execute(s.tpm)
}
