package swtpm

import (
	"context"
	"os/exec"
	"testing"
	"time"
)

func TestTry(t *testing.T) {
	if _, err := exec.LookPath(Program); err != nil {
		t.Skip("swtpm is not installed: ci/install test")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	found, err := Try(ctx)
	if err != nil || found == "" {
		t.Fatal(found, err)
	}
}
