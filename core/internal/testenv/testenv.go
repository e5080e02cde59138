// Package testenv is what tests of the node's parts need around them: a
// network and mount namespace of their own, and the gocryptfs that we ship.
//
// It promises that what a test mounts or listens on never appears on the
// host, and is gone when the test binary ends. It is not the lab.
package testenv

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
)

const marker = "G8OS_TEST_IN_NAMESPACE"

// Main runs the tests of a package in a new network and mount namespace: lo
// is up, and /mnt is an empty tmpfs. Call it from TestMain.
func Main(m *testing.M) {
	if os.Getenv(marker) == "" {
		os.Exit(again())
	}
	if err := furnish(); err != nil {
		fmt.Fprintln(os.Stderr, "furnish the test's namespace:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// again runs this binary once more, in its namespaces. It dies with us.
func again() int {
	runtime.LockOSThread() // the signal comes when this thread ends, not the process
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), marker+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID,
		Pdeathsig:  syscall.SIGKILL,
	}
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "tests need root, for a namespace of their own:", err)
		return 1
	}
	return 0
}

// furnish runs as the first process of a pid namespace: when the tests end,
// the kernel ends whatever they left running.
func furnish() error {
	if err := syscall.Mount("", "/", "", syscall.MS_PRIVATE|syscall.MS_REC, ""); err != nil {
		return fmt.Errorf("make / private: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	for _, dir := range []string{"/mnt", "/run"} {
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=755"); err != nil {
			return fmt.Errorf("mount a tmpfs on %s: %w", dir, err)
		}
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(lo)
}

// Gocryptfs returns the path of the gocryptfs we ship: bin/gocryptfs, or built
// from ci/tools/gocryptfs into the user's cache.
func Gocryptfs(t testing.TB) string {
	t.Helper()
	root := repository(t)
	if built := filepath.Join(root, "bin", "gocryptfs"); exists(built) {
		return built
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	path := filepath.Join(cache, "g8os-test", "gocryptfs-v2.6.1")
	if !exists(path) {
		build(t, filepath.Join(root, "ci", "tools", "gocryptfs"), path)
	}
	return path
}

// build renames the binary into place: several test binaries may be at it.
func build(t testing.TB, module, path string) {
	t.Helper()
	temp := fmt.Sprintf("%s.%d.%d", path, os.Getppid(), os.Getpid())
	cmd := exec.Command("go", "build", "-tags", "without_openssl", "-trimpath", "-ldflags", "-s -w", "-o", temp, "github.com/rfjakob/gocryptfs/v2")
	cmd.Dir, cmd.Env = module, append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=readonly", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build gocryptfs: %v\n%s", err, out)
	}
	if err := os.Rename(temp, path); err != nil {
		t.Fatal(err)
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// repository is the folder with our go.mod, above the package under test.
func repository(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for !exists(filepath.Join(dir, "core", "api")) {
		if dir == filepath.Dir(dir) {
			t.Fatal("no repository above the package under test")
		}
		dir = filepath.Dir(dir)
	}
	return dir
}
