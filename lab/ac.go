package lab

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/lab/machine"
	"github.com/g8os/g8os/lab/topology"
)

// acJob is g8os_ac among an AC's processes.
const acJob = "g8os_ac"

// AC is a controller running g8os_ac with its faults unlocked.
type AC struct {
	lab  *Lab
	plan topology.Machine
}

// Name of the AC.
func (a *AC) Name() string { return a.plan.Name }

// URL of the AC on the host's loopback.
func (a *AC) URL() string { return fmt.Sprintf("https://127.0.0.1:%d", a.lab.Ports()[a.Name()]) }

// Dir holds all files of the AC; ConfigPath is its ac.toml.
func (a *AC) Dir() string { return a.lab.dataDir(a.Name()) }

// ConfigPath is ac.toml; what is changed there holds from the next Start.
func (a *AC) ConfigPath() string { return filepath.Join(a.Dir(), "ac.toml") }

// DataDir is where the AC keeps its data, apart from its keys.
func (a *AC) DataDir() string { return filepath.Join(a.Dir(), "data") }

// CAPath is the CA certificate that nodes have pinned.
func (a *AC) CAPath() string { return filepath.Join(a.keysDir(), "operators", "ca.pem") }

func (a *AC) keysDir() string { return filepath.Join(a.Dir(), "keys") }

// LogPath is the log of g8os_ac.
func (a *AC) LogPath() string { return filepath.Join(a.lab.LogDir(), a.Name()+".log") }

// Start starts g8os_ac unless it runs, and waits until it is ready. The first
// start makes the configuration, the CA and the first operator.
func (a *AC) Start(ctx context.Context) error {
	if err := a.Launch(ctx); err != nil {
		return err
	}
	return a.WaitReady(ctx)
}

// Launch starts g8os_ac unless it runs, and does not wait for it: one of
// several ACs is ready when most of them are there.
func (a *AC) Launch(ctx context.Context) error {
	m, err := a.lab.machine(a.Name())
	if err != nil {
		return err
	}
	if st, ok, err := m.Job(ctx, acJob); err != nil || ok && st.Running {
		return err
	}
	if err := a.init(ctx, m); err != nil {
		return err
	}
	job := machine.Job{Name: acJob, Argv: []string{a.program(), "run", "--config", a.ConfigPath()}, Log: a.Name() + ".log"}
	return m.Start(ctx, job)
}

// init writes ac.toml and lets g8os_ac make its keys, once.
func (a *AC) init(ctx context.Context, m *machine.Machine) error {
	if _, err := os.Stat(a.ConfigPath()); err != nil {
		text, err := a.config()
		if err != nil {
			return err
		}
		if err := os.WriteFile(a.ConfigPath(), []byte(text), 0o644); err != nil {
			return fmt.Errorf("configuration of AC %s: %w", a.Name(), err)
		}
	}
	if _, err := os.Stat(a.CAPath()); err == nil || !a.founds() {
		return nil
	}
	job := machine.Job{Name: acJob + "-init", Argv: []string{a.program(), "init", "--config", a.ConfigPath()}, Log: a.Name() + ".log"}
	if err := m.Start(ctx, job); err != nil {
		return err
	}
	st, err := m.Wait(ctx, job.Name)
	if err == nil && st.Code != 0 {
		err = fmt.Errorf("g8os_ac init --config %s: ended with code %d (log: %s): %s", a.ConfigPath(), st.Code, a.LogPath(), tail(a.LogPath()))
	}
	return err
}

func (a *AC) program() string { return filepath.Join(a.lab.st.BinDir, "g8os_ac") }

// config is the first ac.toml. Its keys lie apart from its data.
func (a *AC) config() (string, error) {
	pub, err := os.ReadFile(a.lab.keyPath() + ".pub")
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# Made by g8lab for lab %s.\n", a.lab.Name())
	fmt.Fprintf(&b, "grid = %q\nname = %q\nlisten = \":%d\"\n", a.lab.Name()+".lab", a.Name(), api.Port)
	fmt.Fprintf(&b, "data_dir = %q\nmaster_key = %q\nca_key = %q\n", a.DataDir(), filepath.Join(a.keysDir(), "master.key"), filepath.Join(a.keysDir(), "ca"))
	if a.plan.AC.Layers {
		fmt.Fprintf(&b, "layers = %q\n", a.lab.st.ImageDir)
	}
	fmt.Fprintf(&b, "policy = %q\nfaults = true\nauthorized_keys = [%q]\n", a.plan.AC.Policy, strings.TrimSpace(string(pub)))
	if life := a.plan.AC.CertificateLife; life > 0 {
		fmt.Fprintf(&b, "certificate_life = %q\n", life)
	}
	etcd, err := a.etcd()
	if err != nil {
		return "", err
	}
	b.WriteString(etcd)
	if *a.plan.AC.Fallback {
		var legs []string
		for _, p := range a.plan.Ports {
			legs = append(legs, fmt.Sprintf("%q", p.NIC+"="+p.Segment))
		}
		fmt.Fprintf(&b, "\n[fallback]\ninterfaces = [%s]\n", strings.Join(legs, ", "))
	}
	return b.String(), nil
}

// WaitReady returns once the AC says it is ready, over TLS that its CA vouches for.
func (a *AC) WaitReady(ctx context.Context) error {
	m, err := a.lab.machine(a.Name())
	if err != nil {
		return err
	}
	for {
		err := a.ready(ctx)
		if err == nil {
			return nil
		}
		if st, _, e := m.Job(ctx, acJob); e == nil && !st.Running {
			return fmt.Errorf("AC %s: g8os_ac ended with code %d (log: %s): %s", a.Name(), st.Code, a.LogPath(), tail(a.LogPath()))
		}
		if ctx.Err() != nil {
			return fmt.Errorf("AC %s: wait until ready: %w (log: %s)", a.Name(), err, a.LogPath())
		}
		pause(ctx, 50*time.Millisecond)
	}
}

func (a *AC) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	conf, err := a.tls()
	if err != nil {
		return err
	}
	transport := &http.Transport{TLSClientConfig: conf, DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.URL()+api.PathReady, nil)
	if err != nil {
		return err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", req.URL, resp.Status)
	}
	return nil
}

// tls verifies an AC by its identity, as everybody does; names do not count.
func (a *AC) tls() (*tls.Config, error) {
	pem, err := os.ReadFile(a.CAPath())
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: no certificate in it", a.CAPath())
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		InsecureSkipVerify: true, // VerifyConnection does it: by identity instead of by name
		VerifyConnection: func(cs tls.ConnectionState) error {
			_, err := api.VerifyAC(cs.PeerCertificates, pool, now())
			return err
		},
	}, nil
}

// tail is the last line of a log.
func tail(path string) string {
	text, _ := os.ReadFile(path)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return lines[len(lines)-1]
}

// Kill ends g8os_ac with SIGKILL. Its machine and its port on 127.0.0.1 stay.
func (a *AC) Kill(ctx context.Context) error { return a.end(ctx, syscall.SIGKILL) }

// Stop ends g8os_ac with SIGTERM and waits for it.
func (a *AC) Stop(ctx context.Context) error { return a.end(ctx, syscall.SIGTERM) }

// Pause freezes g8os_ac (SIGSTOP): connections stay open and nobody answers.
func (a *AC) Pause(ctx context.Context) error { return a.signal(ctx, syscall.SIGSTOP) }

// Resume undoes Pause.
func (a *AC) Resume(ctx context.Context) error { return a.signal(ctx, syscall.SIGCONT) }

func (a *AC) signal(ctx context.Context, sig syscall.Signal) error {
	m, err := a.lab.machine(a.Name())
	if err != nil {
		return err
	}
	return m.Signal(ctx, acJob, sig)
}

func (a *AC) end(ctx context.Context, sig syscall.Signal) error {
	if err := a.signal(ctx, sig); err != nil {
		return err
	}
	m, err := a.lab.machine(a.Name())
	if err != nil {
		return err
	}
	_, err = m.Wait(ctx, acJob)
	return err
}

// EnterNet starts a command that sees the host's files and the AC's network.
func (a *AC) EnterNet(argv []string, prepare func(*exec.Cmd)) (*exec.Cmd, error) {
	m, err := a.lab.machine(a.Name())
	if err != nil {
		return nil, err
	}
	return m.EnterNet(argv, prepare)
}

// Leg is the AC's NIC on a segment.
func (a *AC) Leg(segment string) (string, bool) {
	for _, p := range a.plan.Ports {
		if p.Segment == segment {
			return p.NIC, true
		}
	}
	return "", false
}
