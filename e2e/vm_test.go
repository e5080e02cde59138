package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// vm is one machine: a QEMU that dies with the suite.
type vm struct {
	name    string
	console string   // file with what its serial console has said, since it was first switched on
	args    []string // of QEMU
	agent   *agent   // of a Debian; nil for a machine that boots the image
	gone    chan struct{}
	process *os.Process
}

// machine is the part of a command line that is the same for all.
func machine(dir, name string, memory int) []string {
	return []string{
		"-name", "g8e2e-" + name, "-accel", "tcg,thread=multi", "-machine", "q35", "-cpu", "max", "-smp", "1", "-m", fmt.Sprint(memory),
		"-display", "none", "-chardev", "file,id=console,append=on,path=" + console(dir, name), "-serial", "chardev:console", "-device", "virtio-rng-pci", "-rtc", "base=utc",
	}
}

func console(dir, name string) string { return filepath.Join(dir, name+".console") }

// start switches a machine on, and sees that it ends with the specs.
func start(dir, name string, args []string) *vm {
	GinkgoHelper()
	m := &vm{name: name, console: console(dir, name), args: args}
	ok(os.WriteFile(m.console, nil, 0o644))
	m.switchOn()
	DeferCleanup(m.kill)
	return m
}

func (m *vm) switchOn() {
	GinkgoHelper()
	log, err := os.Create(strings.TrimSuffix(m.console, ".console") + ".qemu")
	ok(err)
	defer log.Close()
	cmd := exec.Command("qemu-system-x86_64", m.args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	started, gone := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread() // the signal comes when this thread ends, not the process
		defer close(gone)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}()
	ok(<-started, "start QEMU; ci/install e2e installs it")
	m.process, m.gone = cmd.Process, gone
}

func (m *vm) kill() {
	m.agent = nil
	m.switchOff()
}

// switchOff takes the power away: what the guest has not flushed is lost with
// it, what it has is on the disk's file.
func (m *vm) switchOff() {
	select {
	case <-m.gone:
	default:
		_ = m.process.Kill() // not reaped yet, so the pid is still its own
		<-m.gone
	}
}

// says waits until the console has said a text, and returns all it said.
func (m *vm) says(ctx context.Context, limit time.Duration, what string) string {
	GinkgoHelper()
	var text string
	Eventually(ctx, func(g Gomega) {
		g.Expect(m.gone).NotTo(BeClosed(), "QEMU has ended")
		b, err := os.ReadFile(m.console)
		g.Expect(err).NotTo(HaveOccurred())
		text = string(b)
		g.Expect(text).To(MatchRegexp(what), "the console of %s ends with:\n%s", m.name, tail(text, 15))
	}).WithTimeout(limit).WithPolling(often).Should(Succeed())
	return text
}

// sh runs a script that must succeed, and returns what it says.
func (m *vm) sh(ctx context.Context, script string, args ...any) string {
	GinkgoHelper()
	r := m.try(ctx, script, args...)
	Expect(r.code).To(BeZero(), "%s: %s\n%s%s", m.name, script, r.out, r.err)
	return strings.TrimSpace(r.out)
}

// try runs a script that may fail.
func (m *vm) try(ctx context.Context, script string, args ...any) result {
	GinkgoHelper()
	if len(args) > 0 {
		script = fmt.Sprintf(script, args...)
	}
	By(m.name + ": " + strings.SplitN(script, "\n", 2)[0])
	r, err := m.agent.run(ctx, script, "")
	ok(err, "on %s", m.name)
	return r
}

// write writes a file.
func (m *vm) write(ctx context.Context, path, text string) {
	GinkgoHelper()
	r, err := m.agent.run(ctx, "cat >"+path, text)
	ok(err)
	Expect(r.code).To(BeZero(), "write %s on %s: %s", path, m.name, r.err)
}

// awake waits until a Debian has booted.
func (m *vm) awake(ctx context.Context) {
	GinkgoHelper()
	Eventually(ctx, func(g Gomega) {
		g.Expect(m.gone).NotTo(BeClosed(), "QEMU has ended")
		g.Expect(m.agent.ping(ctx)).To(Succeed(), "the console of %s ends with:\n%s", m.name, consoleTail(m))
	}).WithTimeout(3 * time.Minute).WithPolling(often).Should(Succeed())
}

func consoleTail(m *vm) string {
	b, _ := os.ReadFile(m.console)
	return tail(string(b), 10)
}

// eventually waits until a script succeeds and its output has a text.
func (m *vm) eventually(ctx context.Context, limit time.Duration, script, what string) string {
	GinkgoHelper()
	var r result
	Eventually(ctx, func(g Gomega) {
		var err error
		r, err = m.agent.run(ctx, script, "")
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(r.code).To(BeZero(), "%s: %s\n%s%s", m.name, script, r.out, r.err)
		g.Expect(r.out).To(MatchRegexp(what), "%s: %s", m.name, script)
	}).WithTimeout(limit).WithPolling(often).Should(Succeed())
	return strings.TrimSpace(r.out)
}
