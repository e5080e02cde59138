package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/g8os/g8os/ac-mock/ca"
	"github.com/g8os/g8os/ac-mock/client"
	"github.com/g8os/g8os/ac-mock/fault"
	"github.com/g8os/g8os/ac-mock/jobs"
	"github.com/g8os/g8os/ac-mock/jobs/output"
	"github.com/g8os/g8os/ac-mock/seal"
	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/ac-mock/store/memory"
	"github.com/g8os/g8os/core/api"
)

const grid = "test.grid"

// rig is an AC with a real CA, real TLS on loopback, and a book of nodes that
// says yes to whoever is in it.
type rig struct {
	testing.TB
	ca     *ca.CA
	book   *book
	jobs   *jobs.Queue
	faults *fault.Set
	srv    *Server
	addr   string
	stop   func() // ends the server and waits for it
}

func newRig(t testing.TB, change func(*Options)) *rig {
	t.Helper()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	st := memory.New(memory.Options{})
	sealer, err := seal.New(make(api.Secret, seal.KeySize))
	must(t, err)
	dir := t.TempDir()
	authority, err := ca.Open(t.Context(), ca.Options{
		Store: st, Seal: sealer, Grid: grid, RootKey: filepath.Join(dir, "keys", "root.key"), DataDir: filepath.Join(dir, "data"), Log: log,
	})
	must(t, err)
	r := &rig{TB: t, ca: authority, book: newBook(authority), faults: fault.NewSet(true)}
	names := ca.ServerOptions{Name: "ac1"}
	certificate, err := authority.Server(names)
	must(t, err)
	kept, err := output.Open(output.Options{Dir: filepath.Join(dir, "output")})
	must(t, err)
	var registry Registry
	r.jobs, err = jobs.Open(t.Context(), jobs.Options{
		Store: st, Output: kept, AC: "ac1", Entry: r.book.entry, Noted: func() {}, Name: func(id api.NodeID) string { return "host-" + string(id) }, Log: log,
		Drained: func(id api.NodeID) bool { return registry.TakesJobs(id) != nil },
	})
	must(t, err)
	o := Options{
		Grid: grid, Name: "ac1", Version: "test", Registry: r.book, Jobs: r.jobs, Trust: testTrust{authority, names, st, sealer},
		Certificate: certificate, Faults: r.faults, Log: log, Spare: func(net.Conn) bool { return false },
		Failed: func(err error) (int, string, bool) { return 404, "look it up", errors.Is(err, errUnknown) },
	}
	if change != nil {
		change(&o)
	}
	registry = o.Registry
	r.srv = New(o)
	l, err := Listen(t.Context(), "127.0.0.1:0", false)
	must(t, err)
	r.addr = l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = r.srv.Serve(l) })
	wg.Go(func() {
		if err := r.srv.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	r.stop = sync.OnceFunc(func() { cancel(); wg.Wait(); r.jobs.Close(); _ = authority.Close() })
	t.Cleanup(r.stop)
	return r
}

type testTrust struct {
	*ca.CA
	names ca.ServerOptions
	store store.Store // of the CA, for a real registry beside it
	seal  *seal.Sealer
}

func (t testTrust) Expired(from, until time.Time) (*tls.Certificate, error) {
	return t.IssueServer(t.names, from, until)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits for something that another goroutine brings about.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatalf("in vain waited for: %s", what)
}

// credentials issues a client certificate.
func (r *rig) credentials(role api.Role, name string) tls.Certificate {
	r.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(r, err)
	leaf, chain, err := r.ca.Issue(api.Identity{Grid: grid, Role: role, Name: name}, &key.PublicKey, time.Hour, time.Time{})
	must(r, err)
	return assemble(leaf, chain, key)
}

func assemble(leaf *x509.Certificate, chain []byte, key any) tls.Certificate {
	c := tls.Certificate{PrivateKey: key, Leaf: leaf}
	for block, rest := pem.Decode(chain); block != nil; block, rest = pem.Decode(rest) {
		c.Certificate = append(c.Certificate, block.Bytes)
	}
	return c
}

// clientTLS is what a node or an operator connects with.
func (r *rig) clientTLS(own ...tls.Certificate) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, InsecureSkipVerify: true, Certificates: own,
		VerifyConnection: func(cs tls.ConnectionState) error {
			_, err := api.VerifyAC(cs.PeerCertificates, r.ca.Pinned(), time.Now())
			return err
		},
	}
}

// operator is a client with a context of its own.
func (r *rig) operator(name string) *client.Client {
	r.Helper()
	dir := r.TempDir()
	c := r.credentials(api.RoleOperator, name)
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	must(r, err)
	var chain []byte
	for _, der := range c.Certificate {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	must(r, os.WriteFile(dir+"/c", chain, 0o600))
	must(r, os.WriteFile(dir+"/k", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), 0o600))
	must(r, os.WriteFile(dir+"/ca", r.ca.RootPEM(), 0o600))
	cl, err := client.New(client.Context{AC: []string{"https://" + r.addr}, CA: dir + "/ca", Certificate: dir + "/c", Key: dir + "/k"})
	must(r, err)
	r.Cleanup(cl.Close)
	return cl
}

// alive proves that the AC still serves somebody else.
func (r *rig) alive() {
	r.Helper()
	n := newNode(r, 200)
	defer n.close()
	if _, err := n.hello(); err != nil {
		r.Errorf("the AC does not serve others any more: %v", err)
	}
}

var errUnknown = errors.New("no such node")

// book is a registry that enrols everybody, unless told to refuse.
type book struct {
	Trustees // none: tests about those have the real book
	ca       *ca.CA
	revoked  chan api.NodeID
	hold     chan struct{} // an unlock waits until it can be sent to; nil: it does not

	mu      sync.Mutex
	nodes   map[api.NodeID]*api.Node
	refuse  bool
	broken  error // the store cannot be used
	unlocks int
	proofs  []error
	actions []string
	changed []chan struct{}
}

func newBook(c *ca.CA) *book {
	return &book{ca: c, revoked: make(chan api.NodeID, 16), nodes: map[api.NodeID]*api.Node{}}
}

func (b *book) Unlock(_ context.Context, _ string, device []byte, c api.Claim) (api.Unlocked, error) {
	if b.hold != nil {
		b.hold <- struct{}{}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.unlocks++
	if b.refuse || len(c.MACs) == 0 {
		return api.Unlocked{}, fmt.Errorf("because we say so: %w", api.ErrRefused)
	}
	id, err := api.IDOf(c.MACs[0])
	if err != nil {
		return api.Unlocked{}, errors.Join(api.ErrRefused, err)
	}
	b.nodes[id] = &api.Node{ID: id, MAC: id.MAC(), Name: c.Hostname, State: api.NodeEnrolled, Fingerprint: api.Fingerprint(device)}
	return api.Unlocked{NodeID: id, Grid: grid, Shares: []api.Share{{Generation: 1, Share: make(api.Secret, 32)}}}, nil
}

func (b *book) Confirm(context.Context, string, []byte, api.Confirm) error { return nil }

func (b *book) Certificate(_ context.Context, _ string, _ []byte, c api.CSR) (api.Issued, error) {
	csr, err := x509.ParseCertificateRequest(c.DER)
	if err != nil {
		return api.Issued{}, errors.Join(api.ErrRefused, err)
	}
	leaf, chain, err := b.ca.Issue(api.Identity{Grid: grid, Role: api.RoleNode, Name: c.NodeID.MAC()}, csr.PublicKey, time.Hour, time.Time{})
	if err != nil {
		return api.Issued{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := b.nodes[c.NodeID]; n != nil {
		n.CertificateExpires = &leaf.NotAfter
	}
	return api.Issued{Chain: chain, Accepted: b.ca.AcceptedPEM(), NotAfter: leaf.NotAfter}, nil
}

func (b *book) BadProof(_ context.Context, _ string, _ []byte, why error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.proofs = append(b.proofs, why)
}

func (b *book) Admit(id api.NodeID, c *x509.Certificate) error { return b.Holds(id, c) }

func (b *book) Holds(id api.NodeID, _ *x509.Certificate) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := b.nodes[id]; n == nil || n.State != api.NodeEnrolled {
		return errors.New("not enrolled")
	}
	return nil
}

func (b *book) Seen(id api.NodeID, w api.Whereabouts, online bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := b.nodes[id]; n != nil {
		if n.Phase = w.Phase; !online {
			n.Phase = "offline"
		}
	}
	for _, c := range b.changed {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

func (b *book) Settings(api.NodeID) api.Settings {
	return api.Settings{AuthorizedKeys: []string{"ssh-ed25519 A"}}
}
func (b *book) Resettled() <-chan api.NodeID { return nil }

func (b *book) SetGrace(_ context.Context, a, ref string, _ api.Grace) (api.Node, error) {
	return b.act("grace", a, ref, "")
}

func (b *book) Revoked() <-chan api.NodeID { return b.revoked }

func (b *book) Nodes(context.Context) ([]api.Node, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := []api.Node{}
	for _, n := range b.nodes {
		list = append(list, *n)
	}
	slices.SortFunc(list, func(x, y api.Node) int { return len(x.ID) - len(y.ID) })
	return list, nil
}

func (b *book) Node(_ context.Context, ref string) (api.Node, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, n := range b.nodes {
		if ref == string(n.ID) || ref == n.MAC || ref == n.Name {
			return *n, nil
		}
	}
	return api.Node{}, fmt.Errorf("node %q: %w", ref, errUnknown)
}

func (b *book) Watch(ctx context.Context) <-chan struct{} {
	c := make(chan struct{}, 1)
	b.mu.Lock()
	b.changed = append(b.changed, c)
	b.mu.Unlock()
	context.AfterFunc(ctx, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.changed = slices.DeleteFunc(b.changed, func(x chan struct{}) bool { return x == c })
		close(c)
	})
	return c
}

func (b *book) act(what, actor, ref string, state api.NodeState) (api.Node, error) {
	n, err := b.Node(context.Background(), ref)
	if err != nil {
		return n, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.actions = append(b.actions, what+" "+string(n.ID))
	if state != "" {
		b.nodes[n.ID].State = state
	}
	return *b.nodes[n.ID], nil
}

func (b *book) did(what string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Contains(b.actions, what)
}

func (b *book) Approve(_ context.Context, a, ref string) (api.Node, error) {
	return b.act("approve", a, ref, api.NodeEnrolled)
}

func (b *book) Retire(_ context.Context, a, ref string) (api.Node, error) {
	return b.act("retire", a, ref, api.NodeRetired)
}

func (b *book) Suspect(_ context.Context, a, ref, _ string) (api.Node, error) {
	return b.act("suspect", a, ref, api.NodePending)
}

func (b *book) Quarantine(_ context.Context, a, ref, _ string) (api.Node, error) {
	return b.act("quarantine", a, ref, api.NodeQuarantined)
}

func (b *book) Release(_ context.Context, a, ref string) (api.Node, error) {
	return b.act("release", a, ref, api.NodeEnrolled)
}

func (b *book) ChangeRoles(_ context.Context, a, ref string, _ api.RolesRequest) (api.Node, error) {
	return b.act("roles", a, ref, "")
}

func (b *book) Drain(_ context.Context, a, ref string) (api.Node, error) {
	return b.act("drain", a, ref, "")
}

func (b *book) Undrain(_ context.Context, a, ref string) (api.Node, error) {
	return b.act("undrain", a, ref, "")
}

func (b *book) TakesJobs(api.NodeID) error { return nil }

func (b *book) Revoke(_ context.Context, a, ref string) (api.Node, error) {
	n, err := b.act("revoke", a, ref, "")
	if err == nil {
		b.revoked <- n.ID
	}
	return n, err
}

func (b *book) Audit(_ context.Context, _ string, after uint64, _ int) ([]api.AuditEntry, error) {
	return []api.AuditEntry{{Seq: 1, Action: "unlock"}, {Seq: 2, Action: "confirm"}}[after:], nil
}

func (b *book) entry(actor, action string, node api.NodeID, detail string) (store.Op, error) {
	return store.Put("audit/"+rand.Text(), []byte(detail)), b.Note(context.Background(), actor, action, node, detail)
}

func (b *book) Resolve(ctx context.Context, a api.Address) (list []api.Node, err error) {
	for _, ref := range a.Nodes {
		n, err := b.Node(ctx, ref)
		if err != nil {
			return nil, err
		}
		list = append(list, n)
	}
	if a.All {
		return b.Nodes(ctx)
	}
	return list, nil
}

func (b *book) Note(_ context.Context, actor, action string, node api.NodeID, detail string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.actions = append(b.actions, action+" "+string(node)+" by "+actor+": "+detail)
	return b.broken
}

func (b *book) Ready(context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.broken
}
