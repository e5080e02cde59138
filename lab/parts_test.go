package lab_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/g8os/g8os/lab"
)

func testHost(t *testing.T, ctx context.Context, l *lab.Lab) {
	s := l.Segment("dhcp")
	h, err := s.AddHost(ctx, "stranger", "192.168.8.66/24")
	if err != nil {
		t.Fatal(err)
	}
	if r, err := h.Exec(ctx, "ping", "-c1", "-w30", "-i0.2", "192.168.8.2"); err != nil || r.Code != 0 {
		t.Errorf("ping the AC: %v %+v", err, r)
	}
	lease := func(tries string) []string {
		return []string{"busybox", "udhcpc", "-i", "eth0", "-n", "-q", "-f", "-t", tries, "-T", "1", "-s", "/bin/true"}
	}
	if r, err := h.Exec(ctx, lease("30")...); err != nil || r.Code != 0 {
		t.Errorf("lease: %v %+v", err, r)
	}
	if err := s.StopDHCP(ctx); err != nil {
		t.Fatal(err)
	}
	if r, err := h.Exec(ctx, lease("3")...); err != nil || r.Code == 0 {
		t.Errorf("lease from a server that is stopped: %v %+v", err, r)
	}
	if err := s.StartDHCP(ctx); err != nil {
		t.Fatal(err)
	}
	p, err := h.Start(ctx, "noise", "sh", "-c", "echo noise; exec sleep 100")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Signal(ctx, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code, err := p.Wait(ctx); err != nil || code != 128+15 {
		t.Errorf("process ended with %d, %v", code, err)
	}
	again, err := lab.Open(l.Name(), nil)
	if err != nil || len(again.Hosts()) != 1 {
		t.Errorf("open: %v, hosts %v", err, again.Hosts())
	}
	if err := h.Remove(ctx); err != nil {
		t.Fatal(err)
	}
}

func testAC(t *testing.T, ctx context.Context, l *lab.Lab) {
	a := l.AC("ac1")
	url := a.URL()
	if err := a.Kill(ctx); err != nil {
		t.Fatal(err)
	}
	if err := a.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if a.URL() != url {
		t.Errorf("the AC was at %s and is at %s", url, a.URL())
	}
	text, err := os.ReadFile("/run/g8os/contexts/" + l.Name() + ".toml")
	if err != nil || !strings.Contains(string(text), url) {
		t.Errorf("context: %v\n%s", err, text)
	}
	if _, err := l.FindNode("ofice-1"); err == nil || !strings.Contains(err.Error(), "did you mean office-1?") {
		t.Errorf("unknown node: %v", err)
	}
}

// testCapture takes packets at a node, where a ping passes, and at the
// segment, where one between two others does.
func testCapture(t *testing.T, ctx context.Context, l *lab.Lab) {
	for _, target := range []string{"office-1", "office"} {
		var pcap bytes.Buffer
		began := make(chan struct{})
		go func() {
			<-began
			ping(t, ctx, l.Node("office-1"), "192.168.7.11", true)
		}()
		n, err := l.Capture(ctx, target, &pcap, lab.CaptureOptions{Packets: 2, Filter: "icmp", For: time.Minute, Began: func() { close(began) }})
		if err != nil || n != 2 || !bytes.HasPrefix(pcap.Bytes(), []byte{0xd4, 0xc3, 0xb2, 0xa1}) {
			t.Errorf("%s: %d packets, %v, %d bytes", target, n, err, pcap.Len())
		}
	}
	if _, err := l.Capture(ctx, "ofice", io.Discard, lab.CaptureOptions{}); !errors.Is(err, lab.ErrUnknown) {
		t.Errorf("capture on nothing: %v", err)
	}
}
