package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// Where things are, seen from this folder.
const (
	buildDir = "../build"
	cacheDir = buildDir + "/e2e"         // a clean Debian, made once
	saveDir  = buildDir + "/reports/e2e" // what machines said, when a spec failed
)

// How long things may take. Machines are emulated where there is no KVM. What
// the first spec waits for, a clean Debian that is made once, has a limit of its own.
const (
	patience = NodeTimeout(5 * time.Minute)
	soon     = 90 * time.Second
	often    = 500 * time.Millisecond
)

func TestE2E(t *testing.T) {
	RegisterFailHandler(Fail)
	suite, reporter := GinkgoConfiguration()
	suite.FlakeAttempts = 0 // a flake is a finding
	RunSpecs(t, "e2e", suite, reporter)
}

func ok(err error, explain ...any) {
	GinkgoHelper()
	Expect(err).NotTo(HaveOccurred(), explain...)
}

// artefact is the one file that a pattern finds in build/.
func artefact(pattern, maker string) string {
	GinkgoHelper()
	found, err := filepath.Glob(filepath.Join(buildDir, pattern))
	ok(err)
	Expect(found).To(HaveLen(1), "build/%s: want one; %s makes it", pattern, maker)
	path, err := filepath.Abs(found[0])
	ok(err)
	return path
}

// workDir is a folder for disks and sockets, gone at the end. Its path is
// short: that of a socket has room for 107 bytes.
func workDir() string {
	GinkgoHelper()
	dir, err := os.MkdirTemp("", "g8e2e-")
	ok(err)
	DeferCleanup(os.RemoveAll, dir)
	return dir
}

// tell shows, when a spec has failed, what its machines have said.
func tell(machines ...*vm) {
	if !CurrentSpecReport().Failed() {
		return
	}
	ok(os.MkdirAll(saveDir, 0o755))
	for _, m := range machines {
		if m == nil {
			continue
		}
		text, err := os.ReadFile(m.console)
		ok(err)
		ok(os.WriteFile(filepath.Join(saveDir, m.name+".console"), text, 0o644))
		AddReportEntry("console of "+m.name, tail(string(text), 30))
		if m.agent == nil {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		r, err := m.agent.run(ctx, "journalctl -b --no-pager -n 500 | grep -v qemu-ga | tail -n 60; ip -s address; ip neighbour; g8os_core status 2>&1 || true", "")
		cancel()
		AddReportEntry("journal of "+m.name, fmt.Sprint(r.out, err))
	}
}

func tail(text string, lines int) string {
	all := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
