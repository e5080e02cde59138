package server

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/g8os/g8os/ac-mock/enrol"
	"github.com/g8os/g8os/core/api"
)

// The clients of the benchmarks are in a process of their own, so that what is
// measured is the AC.
func TestMain(m *testing.M) {
	if file := os.Getenv("SERVER_BENCH_CLIENTS"); file != "" {
		if err := clientsMain(file); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// clients says what that process is to do.
type clients struct {
	Addr    string
	Certs   [][][]byte // of each client, leaf first
	Keys    [][]byte   // PKCS #8
	Dials   int
	Upgrade bool // open a session; otherwise exchange one byte
	Hold    bool // keep all connections until the end of stdin
	Beats   int  // heartbeats over each session that is held, when told to
}

func clientsMain(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var c clients
	if err := json.Unmarshal(text, &c); err != nil {
		return err
	}
	certs := make([]tls.Certificate, len(c.Certs))
	for i := range certs {
		key, err := x509.ParsePKCS8PrivateKey(c.Keys[i])
		if err != nil {
			return err
		}
		certs[i] = tls.Certificate{Certificate: c.Certs[i], PrivateKey: key}
	}
	held, err := c.dialAll(certs)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	told := bufio.NewReader(os.Stdin)
	if _, err := told.ReadByte(); err == nil {
		if err := c.beat(held); err != nil {
			return err
		}
		fmt.Println("ready")
		_, _ = told.ReadByte()
	}
	runtime.KeepAlive(held)
	return nil
}

// dialAll returns the connections that are to be held.
func (c clients) dialAll(certs []tls.Certificate) (held []net.Conn, failed error) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	next := make(chan tls.Certificate)
	for range 8 {
		wg.Go(func() {
			for cert := range next {
				conn, err := c.dial(cert)
				mu.Lock()
				switch {
				case err != nil:
					failed = err
				case c.Hold:
					held = append(held, conn)
				default:
					_ = conn.Close()
				}
				mu.Unlock()
			}
		})
	}
	for i := range c.Dials {
		next <- certs[i%len(certs)]
	}
	close(next)
	wg.Wait()
	return held, failed
}

func (c clients) dial(cert tls.Certificate) (net.Conn, error) {
	conn, err := tls.Dial("tcp", c.Addr, &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{cert}})
	if err != nil {
		return nil, err
	}
	ask := "x"
	if c.Upgrade {
		ask = "GET " + api.PathSession + " HTTP/1.1\r\nHost: ac\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
	}
	if _, err := conn.Write([]byte(ask)); err != nil {
		return nil, err
	}
	answer := make([]byte, 4096)
	n, err := conn.Read(answer)
	if err == nil && c.Upgrade && !strings.HasPrefix(string(answer[:n]), "HTTP/1.1 101") {
		return nil, fmt.Errorf("no session: %q", answer[:n])
	}
	return conn, err
}

// start starts the process and waits until it has dialled; the returned
// function ends it.
func (c clients) start(b *testing.B, certs []tls.Certificate) (end func()) {
	b.Helper()
	_, end = c.begin(b, certs)
	return end
}

// begin is start, and beat has it send its heartbeats and waits for them.
func (c clients) begin(b *testing.B, certs []tls.Certificate) (beat, end func()) {
	b.Helper()
	for _, cert := range certs {
		key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
		must(b, err)
		c.Certs, c.Keys = append(c.Certs, cert.Certificate), append(c.Keys, key)
	}
	text, err := json.Marshal(c)
	must(b, err)
	file := filepath.Join(b.TempDir(), "clients.json")
	must(b, os.WriteFile(file, text, 0o600))
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "SERVER_BENCH_CLIENTS="+file)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	must(b, err)
	out, err := cmd.StdoutPipe()
	must(b, err)
	must(b, cmd.Start())
	said := bufio.NewReader(out)
	ready := func() {
		if line, err := said.ReadString('\n'); line != "ready\n" {
			b.Fatalf("clients: %q, %v", line, err)
		}
	}
	ready()
	beat = func() { _, err := in.Write([]byte{'b'}); must(b, err); ready() }
	return beat, func() { _ = in.Close(); _ = cmd.Wait() }
}

// enrolled makes certificates of nodes that are in the book.
func (r *rig) enrolled(count int) []tls.Certificate {
	r.Helper()
	certs := make([]tls.Certificate, count)
	for i := range certs {
		n := newNode(r, i+1)
		claim, book := n.claim(), r.srv.opt.Registry
		u, err := book.Unlock(r.Context(), "192.0.2.1:1", n.public, claim)
		must(r, err)
		must(r, book.Confirm(r.Context(), "192.0.2.1:1", n.public, api.Confirm{NodeID: n.id, Generation: u.Shares[0].Generation}))
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		must(r, err)
		der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
		must(r, err)
		issued, err := book.Certificate(r.Context(), "192.0.2.1:1", n.public, api.CSR{NodeID: n.id, DER: der, BootID: claim.BootID, Counter: 2})
		must(r, err)
		certs[i] = assemble(nil, issued.Chain, key)
	}
	return certs
}

// BenchmarkIdleNode prints what an idle node costs the AC in memory, TLS and
// the real book included. Bound: 64 KiB.
func BenchmarkIdleNode(b *testing.B) {
	const nodes = 10000
	r := newRealRig(b, enrol.ModeOpen)
	certs := r.enrolled(nodes)
	warm := clients{Addr: r.addr, Dials: 50, Upgrade: true}.start(b, certs[:50])
	warm()
	eventually(b, "none is left", func() bool { return r.srv.Sessions() == 0 })
	before := resident(b)
	end := clients{Addr: r.addr, Dials: nodes, Upgrade: true, Hold: true}.start(b, certs)
	defer end()
	eventually(b, "all sessions", func() bool { return r.srv.Sessions() == nodes })
	after := resident(b)
	for b.Loop() { // nothing to repeat
		time.Sleep(10 * time.Millisecond)
	}
	b.ReportMetric(float64(after-before)/1024/nodes, "KiB/node")
	b.ReportMetric(0, "ns/op")
}

// resident is the memory that this process has, in bytes, once what is not
// used has been given back.
func resident(b *testing.B) int64 {
	b.Helper()
	for range 3 {
		runtime.GC()
	}
	text, err := os.ReadFile("/proc/self/statm")
	must(b, err)
	pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	must(b, err)
	return pages * int64(os.Getpagesize())
}

// BenchmarkNewSession prints how many sessions one core of an AC can begin in a
// second, and how that compares to a bare listener with mutual TLS. Bound: 0.8.
func BenchmarkNewSession(b *testing.B) {
	const dials = 2000
	r := newRealRig(b, enrol.ModeOpen)
	certs := r.enrolled(200)
	bare := bareListener(b, r)
	cost := func(c clients) time.Duration {
		c.Dials = dials
		before := cpu(b)
		c.start(b, certs)()
		return (cpu(b) - before) / dials
	}
	var session, plain time.Duration
	for b.Loop() {
		plain = cost(clients{Addr: bare})
		session = cost(clients{Addr: r.addr, Upgrade: true})
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(time.Second)/float64(session), "sessions/s/core")
	b.ReportMetric(float64(time.Second)/float64(plain), "bare/s/core")
	b.ReportMetric(float64(plain)/float64(session), "of-bare-TLS")
}

// bareListener is the least that a Go program does for mutual TLS.
func bareListener(b *testing.B, r *rig) string {
	b.Helper()
	certificate, err := r.srv.opt.Certificate(&tls.ClientHelloInfo{})
	must(b, err)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{*certificate},
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: r.ca.ClientCAs(), SessionTicketsDisabled: true,
	})
	must(b, err)
	b.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				one := make([]byte, 1)
				if _, err := c.Read(one); err == nil {
					_, _ = c.Write(one)
				}
				_, _ = c.Read(one)
			}()
		}
	}()
	return l.Addr().String()
}

func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
