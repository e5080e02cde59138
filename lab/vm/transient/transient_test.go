package transient

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// helper makes the test's own program a maker that starts a child and waits.
const helper = "G8_TRANSIENT_HELPER"

func TestMain(m *testing.M) {
	if os.Getenv(helper) == "" {
		os.Exit(m.Run())
	}
	vm, err := Start([]string{"sleep", "1000"})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(vm.PID())
	<-vm.Ended()
}

func TestTheChildDiesWithItsMaker(t *testing.T) {
	maker := exec.Command(os.Args[0])
	maker.Env = append(os.Environ(), helper+"=1")
	out, err := maker.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := maker.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	line, _ := bufio.NewReader(out).ReadString('\n')
	if _, err := fmt.Sscan(line, &pid); err != nil {
		t.Fatalf("the maker says %q", line)
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := maker.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = maker.Wait()
	gone := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(gone, int((30 * time.Second).Milliseconds()))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if n != 1 || err != nil {
			t.Errorf("the child lives on: %v", err)
			_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
		}
		return
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	vm, err := Start([]string{"sleep", "1000"})
	if err != nil {
		t.Fatal(err)
	}
	if err := vm.Err(); err != nil {
		t.Errorf("while it runs: %v", err)
	}
	for range 2 {
		if err := vm.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := unix.Kill(vm.PID(), 0); !errors.Is(err, unix.ESRCH) {
		t.Errorf("after Close: %v", err)
	}
}

func TestWhyItEndedIsKnown(t *testing.T) {
	vm, err := Start([]string{"sh", "-c", "echo no such machine >&2; exit 3"})
	if err != nil {
		t.Fatal(err)
	}
	<-vm.Ended()
	if err := vm.Err(); err == nil || !strings.Contains(err.Error(), "exit status 3: no such machine") {
		t.Errorf("got %v", err)
	}
	if _, err := Start([]string{"qemu-system-nothing"}); err == nil || !strings.Contains(err.Error(), "install qemu") {
		t.Errorf("a program that is not there: %v", err)
	}
}

func TestItHasNoNetwork(t *testing.T) {
	vm, err := Start([]string{"ip", "-o", "link"})
	if err != nil {
		t.Fatal(err)
	}
	<-vm.Ended()
	if said := vm.Said(); strings.Count(said, "mtu") != 1 || !strings.Contains(said, "lo:") {
		t.Errorf("it has %s", said)
	}
}

func TestPlain(t *testing.T) {
	const said = "\x1bc\x1b[?7l\x1b[2J\x1b[0mSeaBIOS (version 1)\r\nBooting"
	if got := Plain(said); got != "SeaBIOS (version 1)\nBooting" {
		t.Errorf("got %q", got)
	}
}
