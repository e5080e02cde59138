package ssh

import (
	"bytes"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// hostKeyOf is the key that an sshd shows.
func hostKeyOf(t *testing.T, address string) string {
	t.Helper()
	shown := ""
	_, err := ssh.Dial("tcp", address, &ssh.ClientConfig{User: "root", Timeout: 10 * time.Second, HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
		shown = string(ssh.MarshalAuthorizedKey(key))
		return errors.New("that was all")
	}})
	if shown == "" {
		t.Fatalf("no key was shown: %v", err)
	}
	return shown
}

// For a time both keys are in the configuration and the old one is shown, then
// the new one alone; cut short or asked again, it comes to the same end.
func TestAHostKeyIsRotated(t *testing.T) {
	o := options(t)
	s := running(t, o)
	address := "127.0.0.1:22"
	old := hostKeyOf(t, address)
	restart, err := s.Rotate("r1", time.Hour, time.Now())
	if !restart || !errors.Is(err, ErrOverlap) {
		t.Fatalf("restart %t, %v", restart, err)
	}
	again := func() { // as core/node starts sshd again
		t.Helper()
		must(t, s.Restart())
		st, err := s.Supervisor().Settled(limit(t), Name)
		if err != nil || st.State != "ready" {
			t.Fatalf("sshd is %+v, %v", st, err)
		}
	}
	again()
	config, err := os.ReadFile(o.path(configFile))
	must(t, err)
	if n := strings.Count(string(config), "HostKey "); n != 2 || hostKeyOf(t, address) != old {
		t.Errorf("meanwhile %d keys are configured, and the old one is shown: %t", n, hostKeyOf(t, address) == old)
	}
	next, err := os.ReadFile(o.path(nextKey + ".pub"))
	must(t, err)
	if restart, err := s.Rotate("r1", time.Hour, time.Now()); restart || !errors.Is(err, ErrOverlap) {
		t.Errorf("asked again meanwhile: restart %t, %v", restart, err)
	}
	if restart, err := s.Rotate("r1", time.Hour, time.Now().Add(2*time.Hour)); !restart || err != nil {
		t.Fatalf("after the overlap: restart %t, %v", restart, err)
	}
	again()
	if got := hostKeyOf(t, address); got != string(next) {
		t.Errorf("shown is %s, want %s", got, next)
	}
	if pub, err := os.ReadFile(o.path(hostKey + ".pub")); err != nil || !bytes.Equal(pub, next) {
		t.Errorf("the public half is another key's, %v", err)
	}
	if restart, err := s.Rotate("r1", time.Hour, time.Now()); restart || err != nil {
		t.Errorf("asked again after the end: restart %t, %v", restart, err)
	}
}

func TestAHostKeyIsRotatedAtOnce(t *testing.T) {
	o := options(t)
	s := New(o)
	must(t, os.MkdirAll(o.Dir, 0o700))
	must(t, ensureHostKey(o))
	before, err := os.ReadFile(o.path(hostKey))
	must(t, err)
	must(t, os.WriteFile(o.path(nextKey), []byte("what a full disk left"), 0o600))
	if _, err := s.Rotate("r1", 0, time.Now()); err == nil {
		t.Error("a damaged key was put in place")
	}
	if after, err := os.ReadFile(o.path(hostKey)); err != nil || !bytes.Equal(before, after) {
		t.Fatalf("a failed rotation has changed the key, %v", err)
	}
	if restart, err := s.Rotate("r1", 0, time.Now()); !restart || err != nil {
		t.Fatalf("asked again: restart %t, %v", restart, err)
	}
	if after, err := os.ReadFile(o.path(hostKey)); err != nil || bytes.Equal(before, after) {
		t.Errorf("the key is the one of before, %v", err)
	}
}

// Where the operator wrote the configuration, a second key is not slipped in.
func TestAnOverlapWantsOurOwnConfiguration(t *testing.T) {
	o := options(t)
	s := New(o)
	must(t, os.MkdirAll(o.Dir, 0o700))
	must(t, ensureHostKey(o))
	must(t, os.WriteFile(o.path(configFile), []byte("Port 2222\n"), 0o600))
	if _, err := s.Rotate("r1", time.Hour, time.Now()); !errors.Is(err, ErrConfig) {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(o.path(nextKey)); err == nil {
		t.Error("a key was left")
	}
}
