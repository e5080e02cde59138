// Package channel is what goes over a connection between a simulated node and
// an AC: the handshake of TLS as far as anybody decides by it, requests and
// answers as they are on the wire (JSON of core/api), and frames of a session.
//
//	node                                  AC
//	Hello (client certificate)  ──────▶
//	                            ◀──────   Shown (chain, binding), or Alert
//	Request                     ──────▶
//	                            ◀──────   Response
//	Request api.PathSession     ──────▶
//	                            ◀──────   Response 101; then frames, both ways
//
// Nothing is encrypted, and nobody proves to hold the key of a certificate:
// chains are verified for real (Judge), signatures of device keys too. It
// promises that a chain is judged as core/find and core/api judge it. It does not
// carry anything: lab/sim/ether does.
package channel

import (
	"crypto/x509"
	"fmt"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/clock"
	"github.com/g8os/g8os/core/find"
)

// Hello opens a connection. Client is the chain that is shown, leaf first; none:
// the peer has no certificate.
type Hello struct{ Client []*x509.Certificate }

// Shown is the server's side of the handshake.
type Shown struct {
	Chain   []*x509.Certificate
	Binding []byte // what api.Binding gives at both ends
	Genuine bool   // for whoever watches the grid: the server is an AC, and the chain its own
}

// Alert ends a handshake: the client's certificate is not accepted.
type Alert struct{ Reason string }

// Request is an HTTP request with a JSON body.
type Request struct {
	Path string
	Body []byte
}

// Response answers a Request.
type Response struct {
	Status int
	Body   []byte
}

// Frame is a frame of a session.
type Frame = api.Frame

// Leave ends a session with a WebSocket status.
type Leave struct{ Status int }

// Sizes on the wire in bytes, about.
const (
	HelloSize   = 1500
	ShownSize   = 2500
	FrameSize   = 220
	RequestHead = 300
)

// Judge is find.Judge with a memory: most of its cost is in signatures, which
// do not change with time.
type Judge struct {
	pinned *x509.CertPool
	built  time.Time
	known  map[*x509.Certificate]span
}

// span is when a chain is valid, and whose it is then.
type span struct {
	from, until time.Time
	id          api.Identity
}

// NewJudge makes a Judge of a grid whose nodes have these CAs pinned.
func NewJudge(pinned *x509.CertPool, built time.Time) *Judge {
	return &Judge{pinned: pinned, built: built, known: map[*x509.Certificate]span{}}
}

// Plausible says whether a clock can be right that shows a time.
func (j *Judge) Plausible(now time.Time) bool { return clock.Plausible(now, j.built) }

// Pinned are the CAs.
func (j *Judge) Pinned() *x509.CertPool { return j.pinned }

// Server says what find.Judge says of a server's chain.
func (j *Judge) Server(chain []*x509.Certificate, ours clock.Reading) (api.Identity, bool, error) {
	if len(chain) == 0 {
		return find.Judge(chain, j.pinned, ours, j.built)
	}
	if s, ok := j.known[chain[0]]; ok && !ours.Now.Before(s.from) && !ours.Now.After(s.until) {
		return s.id, false, nil
	}
	id, doubtful, err := find.Judge(chain, j.pinned, ours, j.built)
	if err == nil && !doubtful {
		j.known[chain[0]] = spanOf(chain, id)
	}
	return id, doubtful, err
}

// Believe says whether the AC's own time can be believed.
func (j *Judge) Believe(chain []*x509.Certificate, said time.Time, ours clock.Reading) error {
	return find.Believe(chain, j.pinned, said, ours, j.built)
}

// Behind says whether a clock is to be set forward to the AC's time.
func (j *Judge) Behind(chain []*x509.Certificate, said time.Time, ours clock.Reading) (bool, error) {
	return find.Behind(chain, j.pinned, said, ours, j.built)
}

// Client says what api.VerifyClient says of a node's chain. roots must be the
// same from call to call for the memory to serve.
func (j *Judge) Client(chain []*x509.Certificate, roots *x509.CertPool, now time.Time) (api.Identity, error) {
	if s, ok := j.known[chain[0]]; ok && !now.Before(s.from) && !now.After(s.until) {
		return s.id, nil
	}
	id, err := api.VerifyClient(chain, roots, now)
	if err == nil {
		j.known[chain[0]] = spanOf(chain, id)
	}
	return id, err
}

func spanOf(chain []*x509.Certificate, id api.Identity) span {
	s := span{chain[0].NotBefore, chain[0].NotAfter, id}
	for _, c := range chain[1:] {
		if c.NotBefore.After(s.from) {
			s.from = c.NotBefore
		}
		if c.NotAfter.Before(s.until) {
			s.until = c.NotAfter
		}
	}
	return s
}

// Parse reads a chain as it is in a tls.Certificate.
func Parse(der [][]byte) ([]*x509.Certificate, error) {
	var chain []*x509.Certificate
	for _, raw := range der {
		c, err := x509.ParseCertificate(raw)
		if err != nil {
			return nil, fmt.Errorf("certificate of a chain: %w", err)
		}
		chain = append(chain, c)
	}
	return chain, nil
}
