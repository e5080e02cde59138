package lab

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/coder/websocket"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/clock"
	"github.com/g8os/g8os/core/durable"
	tlsto "github.com/g8os/g8os/core/find"
	"github.com/g8os/g8os/core/secure"
	"github.com/g8os/g8os/core/unlock/device"
)

// Peer holds the identity of a node that has gone bad: its device key and its
// client certificate, without the honesty of g8os_core. It reaches the AC over
// the port on 127.0.0.1.
type Peer struct {
	ac     *AC
	dir    string
	device *device.Device
	cert   tls.Certificate
}

// Peer takes the identity of a managed node. Close it.
func (a *AC) Peer(ctx context.Context, n *Node) (*Peer, error) {
	fail := func(err error) (*Peer, error) { return nil, fmt.Errorf("identity of node %s: %w", n.Name(), err) }
	cert, err := n.certificate(ctx)
	if err != nil {
		return fail(err)
	}
	dir, err := os.MkdirTemp(a.Dir(), "peer-")
	if err != nil {
		return fail(err)
	}
	if err := n.copyOut(ctx, device.KeyFile, dir); err != nil {
		return fail(err)
	}
	dev, err := device.Open(device.Options{Dir: dir})
	if err != nil {
		return fail(err)
	}
	return &Peer{ac: a, dir: dir, device: dev, cert: cert}, nil
}

// copyOut copies a file of a running node's /etc/g8os.
func (n *Node) copyOut(ctx context.Context, name, dir string) error {
	r, err := n.Exec(ctx, "cat", "/etc/g8os/"+name)
	if err == nil && r.Code != 0 {
		err = errors.New(strings.TrimSpace(r.Stderr))
	}
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name), []byte(r.Stdout), 0o600)
}

// certificate reads a node's client certificate out of its open volume.
func (n *Node) certificate(ctx context.Context) (tls.Certificate, error) {
	var pem [2]string
	for i, name := range []string{secure.ChainFile, secure.KeyFile} {
		r, err := n.Exec(ctx, "cat", "/mnt/etc/ssl/"+name)
		if err != nil {
			return tls.Certificate{}, err
		}
		if r.Code != 0 {
			return tls.Certificate{}, fmt.Errorf("the volume is not open: %s", r.Stderr)
		}
		pem[i] = r.Stdout
	}
	return tls.X509KeyPair([]byte(pem[0]), []byte(pem[1]))
}

// Close forgets the identity.
func (p *Peer) Close() error { return os.RemoveAll(p.dir) }

// Shares asks for the AC's shares of a node's key, as base64 and as hex. They
// open nothing without the node's disk.
func (p *Peer) Shares(ctx context.Context, of *Node) ([]string, error) {
	for _, name := range []string{device.CounterFile, device.CounterFile + durable.Previous} {
		if err := of.copyOut(ctx, name, p.dir); err != nil {
			return nil, err
		}
	}
	counter, err := p.device.NextCounter()
	if err != nil {
		return nil, err
	}
	conn, err := p.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	claim := api.Claim{
		MACs: []string{of.MAC(0)}, Hostname: of.Name(), BootID: p.device.BootID(), Counter: counter, Generations: []uint32{1},
	}
	var granted api.Unlocked
	if err := p.device.Post(ctx, conn, api.PathUnlock, api.PurposeUnlock, claim, &granted); err != nil {
		return nil, err
	}
	var out []string
	for _, s := range granted.Shares {
		out = append(out, base64.StdEncoding.EncodeToString(s.Share), hex.EncodeToString(s.Share))
	}
	return out, nil
}

// Confirm says of a node that it has generation 1 in use.
func (p *Peer) Confirm(ctx context.Context, of *Node) error {
	return p.post(ctx, api.PathConfirm, api.PurposeConfirm, api.Confirm{NodeID: of.ID(), Generation: 1})
}

// Certify asks for a certificate in the name of a node.
func (p *Peer) Certify(ctx context.Context, of *Node) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return err
	}
	return p.post(ctx, api.PathCertificate, api.PurposeCertificate, api.CSR{NodeID: of.ID(), DER: csr})
}

func (p *Peer) post(ctx context.Context, path string, purpose api.Purpose, body any) error {
	conn, err := p.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	return p.device.Post(ctx, conn, path, purpose, body, nil)
}

// EndJob opens a session and says of a job, whoever's it is, that it has ended
// with code 0. It returns once the AC has answered.
func (p *Peer) EndJob(ctx context.Context, job string) error {
	conn, err := p.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	ws, _, err := websocket.Dial(ctx, conn.URL(api.PathSession), &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: conn}, CompressionMode: websocket.CompressionDisabled,
	})
	if err != nil {
		return fmt.Errorf("session: %w", err)
	}
	defer func() { _ = ws.CloseNow() }()
	frame, err := json.Marshal(api.Frame{Type: api.FrameExit, Job: job, Seq: 1})
	if err != nil {
		return err
	}
	if err := ws.Write(ctx, websocket.MessageText, frame); err != nil {
		return fmt.Errorf("session: %w", err)
	}
	for {
		_, message, err := ws.Read(ctx)
		if err != nil {
			return fmt.Errorf("session: %w", err)
		}
		var answer api.Frame
		if json.Unmarshal(message, &answer) == nil && answer.Job == job {
			return nil
		}
	}
}

func (p *Peer) connect(ctx context.Context) (*tlsto.Conn, error) {
	pem, err := os.ReadFile(p.ac.CAPath())
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	finder := &tlsto.Finder{Pinned: pool, Clock: clock.NewOwn(0), Log: slog.New(slog.DiscardHandler)}
	return finder.Open(ctx, tlsto.Target{Controller: p.ac.URL()}, &p.cert)
}
