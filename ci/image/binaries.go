package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// binaries are the programs of ours that are in the image.
type binaries struct {
	core      string // g8os_core
	gocryptfs string
}

// binaries builds them, as make build does: the same source, wherever it is,
// gives the same bytes. What did not change comes from Go's own cache.
func (b *Build) binaries(ctx context.Context) (binaries, error) {
	if b.Version == "" {
		b.Version = git(ctx, "devel", "describe", "--tags", "--always", "--dirty")
	}
	if b.Built == "" {
		b.Built = git(ctx, "0", "log", "-1", "--format=%ct")
	}
	dir := filepath.Join(b.Out, "bin")
	bin := binaries{core: filepath.Join(dir, "g8os_core"), gocryptfs: filepath.Join(dir, "gocryptfs")}
	const version = "github.com/g8os/g8os/core/version."
	flags := fmt.Sprintf("-s -w -buildid= -X %sversion=%s -X %sbuilt=%s", version, b.Version, version, b.Built)
	b.Say("building g8os_core " + b.Version)
	if err := goBuild(ctx, ".", bin.core, "-ldflags", flags, "./core/cmd/g8os_core"); err != nil {
		return bin, err
	}
	return bin, goBuild(ctx, "ci/tools/gocryptfs", bin.gocryptfs, "-tags", "without_openssl", "-ldflags", "-s -w -buildid=", "github.com/rfjakob/gocryptfs/v2")
}

func goBuild(ctx context.Context, dir, out string, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", append([]string{"build", "-trimpath", "-buildvcs=false", "-o", out}, args...)...)
	cmd.Dir = dir
	cmd.WaitDelay = 5 * time.Second // its compilers hold the pipes a moment longer
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64", "GOAMD64=v1", "GOFLAGS=")
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", args[len(args)-1], err, strings.TrimSpace(string(said)))
	}
	return nil
}

func git(ctx context.Context, otherwise string, args ...string) string {
	out, err := exec.CommandContext(ctx, "git", args...).Output()
	if err != nil || len(out) == 0 {
		return otherwise
	}
	return strings.TrimSpace(string(out))
}
