package api

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
)

// Purpose says what a signature is for, so that one made for one step can
// never serve another.
type Purpose string

// The purposes, one for each signed path.
const (
	PurposeUnlock      Purpose = "unlock"
	PurposeConfirm     Purpose = "confirm"
	PurposeCertificate Purpose = "certificate"
)

// NonceSize is the length of an AC's nonce in bytes.
const NonceSize = 32

// Challenge answers POST /node/challenge. The nonce is good once, on the TLS
// connection it was handed out on.
type Challenge struct {
	Nonce []byte `json:"nonce"`
}

// Signed is a message together with the proof of who sent it: the holder of
// the device key, on this TLS connection, now.
type Signed struct {
	Body      json.RawMessage `json:"body"`
	DeviceKey []byte          `json:"device_key"` // Ed25519 public key, 32 bytes
	Nonce     []byte          `json:"nonce"`
	Signature []byte          `json:"signature"` // Ed25519, 64 bytes
}

// ErrProof is wrapped by every reason for which a Signed does not hold.
var ErrProof = errors.New("proof does not hold")

const (
	transcriptLabel = "g8os proof v1\x00"
	exporterLabel   = "EXPORTER-g8os-device-proof-v1"
	bindingSize     = 32
)

// Binding returns the value that ties a signature to one TLS connection: 32
// bytes of exported keying material (RFC 8446, section 7.5). Both ends of a
// connection get the same; a man in the middle has two connections and gets
// two. It fails below TLS 1.3.
func Binding(cs tls.ConnectionState) ([]byte, error) {
	if cs.Version < tls.VersionTLS13 {
		return nil, fmt.Errorf("channel binding: TLS 1.3 is required, the connection has %s", tls.VersionName(cs.Version))
	}
	b, err := cs.ExportKeyingMaterial(exporterLabel, nil, bindingSize)
	if err != nil {
		return nil, fmt.Errorf("channel binding: %w", err)
	}
	return b, nil
}

// transcript is what is signed. All parts but the purpose have a fixed length,
// and the purpose ends in a zero byte, so no two inputs share a transcript.
func transcript(p Purpose, binding, nonce, body []byte) []byte {
	digest := sha256.Sum256(body)
	t := append([]byte(transcriptLabel), p...)
	t = append(t, 0)
	t = append(t, binding...)
	t = append(t, nonce...)
	return append(t, digest[:]...)
}

// Sign makes a Signed out of a message. sign is the device key's signature
// function, so that a key in a TPM can serve too.
func Sign(p Purpose, body any, binding, nonce []byte, public ed25519.PublicKey, sign func([]byte) ([]byte, error)) (Signed, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return Signed{}, fmt.Errorf("sign %s: %w", p, err)
	}
	sig, err := sign(transcript(p, binding, nonce, raw))
	if err != nil {
		return Signed{}, fmt.Errorf("sign %s with the device key: %w", p, err)
	}
	return Signed{Body: raw, DeviceKey: public, Nonce: nonce, Signature: sig}, nil
}

// Verify checks s against the purpose, the connection and the nonce that were
// expected, and then decodes its body into body. Errors wrap ErrProof.
func (s Signed) Verify(p Purpose, binding, nonce []byte, body any) error {
	switch {
	case len(s.DeviceKey) != ed25519.PublicKeySize:
		return fmt.Errorf("%w: device key has %d bytes, want %d", ErrProof, len(s.DeviceKey), ed25519.PublicKeySize)
	case len(binding) != bindingSize || len(nonce) != NonceSize:
		return fmt.Errorf("%w: no challenge is open on this connection", ErrProof)
	case string(s.Nonce) != string(nonce):
		return fmt.Errorf("%w: nonce is not the one this connection was given", ErrProof)
	case !ed25519.Verify(s.DeviceKey, transcript(p, binding, nonce, s.Body), s.Signature):
		return fmt.Errorf("%w: signature is wrong for %s on this connection", ErrProof, p)
	}
	if err := json.Unmarshal(s.Body, body); err != nil {
		return fmt.Errorf("%w: signed body: %w", ErrProof, err)
	}
	return nil
}

// Fingerprint is the short form of a device key that a console shows and an
// operator compares before approving: SHA-256, first 16 hex digits in groups
// of four.
func Fingerprint(device []byte) string {
	sum := sha256.Sum256(device)
	h := fmt.Sprintf("%x", sum[:8])
	return h[0:4] + "-" + h[4:8] + "-" + h[8:12] + "-" + h[12:16]
}
