package accel

import (
	"os"
	"testing"
	"time"
)

// Image is the kernel of the image build; without it there is nothing to boot.
const image = "../../../build/vmlinuz"

func TestAKernelBootsUnderTCG(t *testing.T) {
	if _, err := os.Stat(image); err != nil {
		t.Skip("no kernel to boot: ", err, " (make image-base)")
	}
	took, err := Boot(t.Context(), TCG, image, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("userspace after %.1f s", took.Seconds())
}

func TestProbeHere(t *testing.T) {
	if _, err := os.Stat(image); err != nil {
		t.Skip("no kernel to boot: ", err, " (make image-base)")
	}
	cache := t.TempDir()
	first, err := Probe(t.Context(), cache, image)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(first)
	again, err := Probe(t.Context(), cache, image)
	if err != nil || again.Accel != first.Accel || !again.Cached {
		t.Errorf("the second time: %v, %v", again, err)
	}
}
