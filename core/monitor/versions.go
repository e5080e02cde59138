package monitor

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"os/exec"
	"regexp"
	"time"

	"github.com/g8os/g8os/core/unlock/volume"
	"github.com/g8os/g8os/core/version"
)

// versionLimit bounds how long a program may take to say its version.
const versionLimit = 2 * time.Second

var versionText = regexp.MustCompile(`v?[0-9]+\.[0-9]+[0-9A-Za-z.+~-]*`)

// versions asks the programs that G8OS stands on, those of them that are there.
func versions(ctx context.Context) map[string]string {
	found := map[string]string{"core": version.Version()}
	for _, p := range []struct {
		name, flag string
		find       func() (string, error)
	}{
		{"gocryptfs", "-version", volume.Find},
		{"ovs", "--version", func() (string, error) { return exec.LookPath("ovs-vswitchd") }},
		{"docker", "--version", func() (string, error) { return exec.LookPath("docker") }},
	} {
		path, err := p.find()
		if err != nil {
			continue
		}
		if v := versionOf(ctx, path, p.flag); v != "" {
			found[p.name] = v
		}
	}
	return found
}

// versionOf is what is written in a program of Go, or else what it says.
func versionOf(ctx context.Context, path, flag string) string {
	if info, err := buildinfo.ReadFile(path); err == nil && info.Main.Version != "(devel)" {
		if v := versionText.FindString(info.Main.Version); v != "" {
			return v
		}
	}
	ctx, cancel := context.WithTimeout(ctx, versionLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, flag)
	cmd.WaitDelay = versionLimit
	out, err := cmd.Output()
	if err != nil {
		return ""
	}
	line, _, _ := bytes.Cut(out, []byte("\n"))
	return string(versionText.Find(line))
}
