// Command deb makes the Debian packages: g8os-core for a machine that is to be
// a node, g8os-ac for one that is to be a controller.
//
// What a package consists of lies in packages/NAME as it lies on a machine;
// the programs come from bin/, where make build puts them. It promises that
// the same commit gives the same bytes, and that a package is either whole in
// the output folder or not there. It installs nothing and signs nothing, and
// it publishes to no archive. dpkg-deb packs: it is on every Debian, and no
// library of Go knows the format better.
package main

import (
	"context"
	"embed"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

//go:embed all:packages
var skeletons embed.FS

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "ci/deb:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("ci/deb", flag.ContinueOnError)
	to := flags.String("out", "build", "folder for the packages")
	bin := flags.String("bin", "bin", "folder with the programs")
	version := flags.String("version", "", "what git describe --tags --always --dirty says")
	built := flags.String("built", "", "time of the commit, in seconds since 1970")
	if err := flags.Parse(args); err != nil {
		return err
	}
	seconds, err := strconv.ParseInt(*built, 10, 64)
	if err != nil || seconds <= 0 {
		return fmt.Errorf("-built %q is not the time of a commit; build with make deb, inside a checkout", *built)
	}
	b := build{bin: *bin, out: *to, when: time.Unix(seconds, 0).UTC()}
	if b.version, err = debianVersion(*version, b.when); err != nil {
		return err
	}
	for _, p := range packages {
		path, err := b.pack(ctx, p)
		if err != nil {
			return fmt.Errorf("package %s: %w", p.name, err)
		}
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s  %.1f MiB\n", path, float64(info.Size())/(1<<20))
	}
	return nil
}

// pkg is one package: its skeleton in packages/NAME, and programs.
type pkg struct {
	name     string
	programs map[string]string // where in the package: which of bin/
	links    map[string]string // where in the package: what it leads to
}

// g8os_core finds the gocryptfs it was tested with beside itself, and /usr/bin
// must keep room for Debian's own.
var packages = []pkg{
	{name: "g8os-core",
		programs: map[string]string{"usr/lib/g8os/g8os_core": "g8os_core", "usr/lib/g8os/gocryptfs": "gocryptfs"},
		links:    map[string]string{"usr/bin/g8os_core": "../lib/g8os/g8os_core"}},
	{name: "g8os-ac",
		programs: map[string]string{"usr/bin/g8os_ac": "g8os_ac", "usr/bin/g8os": "g8os"}},
}

func (p pkg) skeleton() (fs.FS, error) { return fs.Sub(skeletons, "packages/"+p.name) }

func (p pkg) file(version string) string { return p.name + "_" + version + "_amd64.deb" }

// earlier finds packages of the same name in a folder: two would make it
// unclear which one make deb has built.
func (p pkg) earlier(dir string) ([]string, error) {
	return filepath.Glob(filepath.Join(dir, p.name+"_*_amd64.deb"))
}
