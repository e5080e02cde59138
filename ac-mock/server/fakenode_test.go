package server

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/coder/websocket"

	"github.com/g8os/g8os/core/api"
)

// fakeNode is a node as the contract describes it, on one TLS connection.
type fakeNode struct {
	rig     *rig
	mac     string
	id      api.NodeID
	public  ed25519.PublicKey
	private ed25519.PrivateKey
	own     []tls.Certificate
	asked   uint64 // counter of the last certificate request
	conn    *tls.Conn
	in      *bufio.Reader // what comes on conn
	http    *http.Client
}

func newNode(r *rig, number int) *fakeNode {
	r.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	must(r, err)
	mac := fmt.Sprintf("02:00:00:00:%02x:%02x", number>>8, number&255)
	id, err := api.IDOf(mac)
	must(r, err)
	n := &fakeNode{rig: r, mac: mac, id: id, public: public, private: private}
	n.connect()
	r.Cleanup(n.close)
	return n
}

// connect makes the node use a new connection from now on.
func (n *fakeNode) connect(own ...tls.Certificate) {
	n.close()
	n.own = own
	n.http = &http.Client{Transport: single{n}}
}

func (n *fakeNode) close() {
	if n.conn != nil {
		_ = n.conn.Close()
	}
	n.conn, n.in = nil, nil
}

// single sends one request after another on the node's one connection.
// http.Transport may take a new one when the machine is slow, and the nonce
// was for the old.
type single struct{ n *fakeNode }

func (s single) RoundTrip(req *http.Request) (*http.Response, error) {
	n := s.n
	if n.conn == nil {
		d := tls.Dialer{Config: n.rig.clientTLS(n.own...)}
		c, err := d.DialContext(req.Context(), "tcp", n.rig.addr)
		if err != nil {
			return nil, err
		}
		n.conn, n.in = c.(*tls.Conn), bufio.NewReader(c)
	}
	err := n.conn.SetDeadline(time.Now().Add(time.Minute))
	if err == nil {
		err = req.Write(n.conn)
	}
	var res *http.Response
	if err == nil {
		res, err = http.ReadResponse(n.in, req)
	}
	if err != nil {
		n.close()
	}
	return res, err
}

func (n *fakeNode) url(path string) string { return "https://" + n.rig.addr + path }

func (n *fakeNode) hello() (h api.Hello, err error) {
	res, err := n.http.Get(n.url(api.PathHello))
	if err != nil {
		return h, err
	}
	defer res.Body.Close()
	return h, json.NewDecoder(res.Body).Decode(&h)
}

func (n *fakeNode) nonce() []byte {
	n.rig.Helper()
	var c api.Challenge
	if status := n.post(api.PathChallenge, struct{}{}, &c); status != http.StatusOK {
		n.rig.Fatalf("challenge: %d", status)
	}
	return c.Nonce
}

// sign makes a signed message for the connection in use.
func (n *fakeNode) sign(p api.Purpose, nonce []byte, body any) api.Signed {
	n.rig.Helper()
	binding, err := api.Binding(n.conn.ConnectionState())
	must(n.rig, err)
	signed, err := api.Sign(p, body, binding, nonce, n.public, func(b []byte) ([]byte, error) { return ed25519.Sign(n.private, b), nil })
	must(n.rig, err)
	return signed
}

// post sends a body and decodes a 200.
func (n *fakeNode) post(path string, body, into any) int {
	n.rig.Helper()
	text, err := json.Marshal(body)
	must(n.rig, err)
	res, err := n.http.Post(n.url(path), "application/json", bytes.NewReader(text))
	must(n.rig, err)
	defer res.Body.Close()
	defer io.Copy(io.Discard, res.Body)
	if res.StatusCode == http.StatusOK && into != nil {
		must(n.rig, json.NewDecoder(res.Body).Decode(into))
	}
	return res.StatusCode
}

func (n *fakeNode) claim() api.Claim {
	return api.Claim{MACs: []string{n.mac}, Hostname: "host-" + string(n.id), BootID: "00112233445566778899aabbccddeeff", Counter: 1}
}

// climb goes from nothing to a client certificate.
func (n *fakeNode) climb() tls.Certificate {
	n.rig.Helper()
	var unlocked api.Unlocked
	if s := n.post(api.PathUnlock, n.sign(api.PurposeUnlock, n.nonce(), n.claim()), &unlocked); s != http.StatusOK {
		n.rig.Fatalf("unlock: %d, proofs %v", s, n.rig.book.proofs)
	}
	if unlocked.NodeID != n.id || len(unlocked.Shares) != 1 {
		n.rig.Fatalf("unlocked: %+v", unlocked)
	}
	generation := unlocked.Shares[0].Generation
	if s := n.post(api.PathConfirm, n.sign(api.PurposeConfirm, n.nonce(), api.Confirm{NodeID: n.id, Generation: generation}), nil); s != http.StatusOK {
		n.rig.Fatalf("confirm: %d, proofs %v", s, n.rig.book.proofs)
	}
	return n.certificate()
}

// certificate gets a client certificate.
func (n *fakeNode) certificate() tls.Certificate {
	n.rig.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(n.rig, err)
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	must(n.rig, err)
	n.asked = max(n.asked+1, 1000) // above whatever a test claims with
	var issued api.Issued
	if s := n.post(api.PathCertificate, n.sign(api.PurposeCertificate, n.nonce(), api.CSR{NodeID: n.id, DER: der, BootID: n.claim().BootID, Counter: n.asked}), &issued); s != http.StatusOK {
		n.rig.Fatalf("certificate: %d, proofs %v", s, n.rig.book.proofs)
	}
	return assemble(nil, issued.Chain, key)
}

// dial opens a session with a certificate.
func (n *fakeNode) dial(own tls.Certificate) (*websocket.Conn, *http.Response, error) {
	transport := &http.Transport{TLSClientConfig: n.rig.clientTLS(own)}
	return websocket.Dial(n.rig.Context(), n.url(api.PathSession), &websocket.DialOptions{HTTPClient: &http.Client{Transport: transport}})
}

// session is the node's end of a session.
type nodeSession struct {
	rig  *rig
	conn *websocket.Conn
}

func (n *fakeNode) session(own tls.Certificate) *nodeSession {
	n.rig.Helper()
	conn, _, err := n.dial(own)
	must(n.rig, err)
	conn.SetReadLimit(api.MaxFrame)
	n.rig.Cleanup(func() { _ = conn.CloseNow() })
	s := &nodeSession{n.rig, conn}
	if f := s.receive(); f.Type != api.FrameSettings || f.Settings == nil {
		n.rig.Fatalf("first frame: %+v, want settings", f)
	}
	return s
}

func (s *nodeSession) send(f api.Frame) {
	s.rig.Helper()
	text, err := json.Marshal(f)
	must(s.rig, err)
	must(s.rig, s.conn.Write(s.rig.Context(), websocket.MessageText, text))
}

func (s *nodeSession) read() (f api.Frame, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, text, err := s.conn.Read(ctx)
	if err != nil {
		return f, err
	}
	return f, json.Unmarshal(text, &f)
}

func (s *nodeSession) receive() api.Frame {
	s.rig.Helper()
	f, err := s.read()
	must(s.rig, err)
	return f
}

// want receives frames until one of a type comes.
func (s *nodeSession) want(t api.FrameType) api.Frame {
	s.rig.Helper()
	for {
		if f := s.receive(); f.Type == t {
			return f
		}
	}
}

func (s *nodeSession) heartbeat(seq uint64, phase string) {
	s.rig.Helper()
	s.send(api.Frame{Type: api.FrameHeartbeat, Seq: seq, Where: &api.Whereabouts{Phase: phase, Way: "configured"}})
	if f := s.want(api.FrameHeartbeat); f.Seq != seq {
		s.rig.Errorf("heartbeat %d answered with %d", seq, f.Seq)
	}
}

func said(job string, seq uint64, text string) api.Frame {
	return api.Frame{Type: api.FrameOutput, Job: job, Seq: seq, Stream: "stdout", Data: []byte(text)}
}
