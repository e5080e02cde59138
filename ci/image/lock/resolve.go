package lock

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Resolve asks apt what the packages named and all they depend on are now, in
// the archives of this machine's sources. apt works in a folder of its own: it
// neither sees nor touches what is installed here.
func Resolve(ctx context.Context, names []string, now time.Time) (Lock, error) {
	dir, err := os.MkdirTemp("", "g8os-lock-")
	if err != nil {
		return Lock{}, err
	}
	defer os.RemoveAll(dir)
	conf, err := aptConf(dir)
	if err != nil {
		return Lock{}, err
	}
	if _, err := apt(ctx, conf, "update", "-q", "-o", "APT::Update::Error-Mode=any"); err != nil {
		return Lock{}, err
	}
	out, err := apt(ctx, conf, append([]string{"install", "-y", "-q", "--print-uris"}, names...)...)
	if err != nil {
		return Lock{}, err
	}
	packages, err := parseURIs(out)
	if err != nil {
		return Lock{}, err
	}
	return Lock{Resolved: now.UTC().Truncate(time.Second), Packages: packages}, nil
}

// aptConf writes a configuration under which apt believes in an empty machine.
func aptConf(dir string) (string, error) {
	for _, sub := range []string{"state/lists/partial", "cache/archives/partial", "parts"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return "", err
		}
	}
	sources, err := Sources("/etc/apt")
	if err != nil {
		return "", err
	}
	list := sourcesList(sources)
	conf := fmt.Sprintf(`Dir::State "%[1]s/state"; Dir::State::status "%[1]s/status"; Dir::Cache "%[1]s/cache";
Dir::Etc::sourcelist "%[1]s/sources.list"; Dir::Etc::SourceParts "%[1]s/parts"; Dir::Etc::preferencesparts "%[1]s/parts"; Dir::Etc::preferences "/dev/null";
APT::Architecture "%[2]s"; APT::Architectures { "%[2]s"; }; APT::Install-Recommends "false"; Acquire::Languages "none"; Acquire::ForceHash "SHA256"; Acquire::Retries "2";
APT::Sandbox::User "root";
`, dir, Arch)
	for name, text := range map[string]string{"status": "", "sources.list": list, "apt.conf": conf} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return "", err
		}
	}
	return filepath.Join(dir, "apt.conf"), nil
}

func sourcesList(sources []Source) string {
	var b strings.Builder
	for _, s := range sources {
		for _, suite := range s.Suites {
			signed := ""
			if s.SignedBy != "" {
				signed = " signed-by=" + s.SignedBy
			}
			fmt.Fprintf(&b, "deb [arch=%s%s] %s %s main\n", Arch, signed, s.URI, suite)
		}
	}
	return b.String()
}

func apt(ctx context.Context, conf string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "apt-get", args...)
	cmd.Env = append(os.Environ(), "APT_CONFIG="+conf, "LC_ALL=C")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("apt-get %s: %w: %s; is the archive in /etc/apt reachable?", args[0], err, strings.TrimSpace(stderr.String()))
	}
	return out, nil
}

// parseURIs reads what apt-get --print-uris says:
// 'http://HOST/debian/pool/…/x_1%3a2_amd64.deb' x_1%3a2_amd64.deb SIZE SHA256:SUM
func parseURIs(out []byte) ([]Package, error) {
	var packages []Package
	s := bufio.NewScanner(bytes.NewReader(out))
	for s.Scan() {
		f := strings.Fields(s.Text())
		if len(f) == 0 || !strings.HasPrefix(f[0], "'") {
			continue
		}
		p, err := parseURI(f)
		if err != nil {
			return nil, fmt.Errorf("apt-get said %q, which is not understood: %w", s.Text(), err)
		}
		packages = append(packages, p)
	}
	slices.SortFunc(packages, func(a, b Package) int { return strings.Compare(a.Name, b.Name) })
	return packages, s.Err()
}

func parseURI(f []string) (Package, error) {
	if len(f) != 4 {
		return Package{}, fmt.Errorf("%d words, not 4", len(f))
	}
	u := strings.Trim(f[0], "'")
	base, pool, ok := strings.Cut(u, "/pool/")
	sum, hashed := strings.CutPrefix(f[3], "SHA256:")
	parts := strings.Split(strings.TrimSuffix(f[1], ".deb"), "_")
	size, err := strconv.ParseInt(f[2], 10, 64)
	if !ok || !hashed || len(parts) != 3 || err != nil {
		return Package{}, fmt.Errorf("want 'ARCHIVE/pool/PATH' NAME_VERSION_ARCH.deb SIZE SHA256:SUM")
	}
	version, err := url.PathUnescape(parts[1])
	if err != nil {
		return Package{}, err
	}
	return Package{Name: parts[0], Version: version, Arch: parts[2], Size: size, SHA256: sum, Archive: path.Base(base), Path: "pool/" + pool}, nil
}
