// Command image builds the operating system that a node boots.
//
//	go run ./ci/image [-out DIR] [-base-only] [-ca FILE] [-net-toml FILE] [-cmdline "…"] [-key FILE]
//	go run ./ci/image lock
//
// What comes out, and how it gets onto a machine, is in README.md beside this.
// The packages are exactly those of packages.lock; the same commit gives the
// same bytes. An output is written aside and gets its name when it is whole.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/g8os/g8os/ci/image/lock"
	"github.com/g8os/g8os/ci/image/recipe"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stderr); err != nil {
		if ctx.Err() != nil {
			err = errors.New("broken off; what was there before is as it was")
		}
		fmt.Fprintf(os.Stderr, "image: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, log io.Writer) error {
	start := time.Now()
	say := func(line string) { fmt.Fprintf(log, "image: %6.1fs %s\n", time.Since(start).Seconds(), line) }
	if len(args) > 0 && args[0] == "lock" {
		return relock(ctx, args[1:], say)
	}
	b := Build{Say: say}
	flags := flag.NewFlagSet("image", flag.ContinueOnError)
	flags.SetOutput(log)
	flags.StringVar(&b.Out, "out", "build", "folder for what is built")
	flags.BoolVar(&b.BaseOnly, "base-only", false, "only vmlinuz and initramfs")
	flags.StringVar(&b.Lock, "lock", "ci/image/packages.lock", "the packages to build from")
	flags.StringVar(&b.Cache, "cache", defaultCache(), "folder for packages and layers; G8OS_CACHE")
	flags.StringVar(&b.Archive, "archive", os.Getenv("G8OS_ARCHIVE"), "where packages come from: an address, or snapshot; G8OS_ARCHIVE; else this machine's apt sources")
	flags.StringVar(&b.Version, "version", "", "version of g8os (git describe)")
	flags.StringVar(&b.Built, "built", "", "time of the commit, in seconds since 1970 (git log)")
	flags.StringVar(&b.Grid.CA, "ca", "", "certificate of the grid's CA, put on the disk image")
	flags.StringVar(&b.Grid.NetTOML, "net-toml", "", "net.toml, put on the disk image")
	flags.StringVar(&b.Grid.Cmdline, "cmdline", "", "more arguments for the kernel of the disk image")
	flags.StringVar(&b.Grid.Key, "key", "", "PEM file to sign with: an RSA key and its certificate, or an Ed25519 key")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%q is not understood; see -help", flags.Args())
	}
	return b.Run(ctx)
}

func defaultCache() string {
	if dir := os.Getenv("G8OS_CACHE"); dir != "" {
		return dir
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return filepath.Join("build", "cache")
	}
	return filepath.Join(dir, "g8os", "image")
}

// relock pins the packages to what the archive has now.
func relock(ctx context.Context, args []string, say func(string)) error {
	flags := flag.NewFlagSet("image lock", flag.ContinueOnError)
	file := flags.String("lock", "ci/image/packages.lock", "the file to write")
	if err := flags.Parse(args); err != nil {
		return err
	}
	say("asking apt what the archive has")
	l, err := lock.Resolve(ctx, recipe.Packages(), time.Now())
	if err != nil {
		return err
	}
	old, err := os.ReadFile(*file)
	if before, parsed := lock.Parse(*file, old); err == nil && parsed == nil {
		if lock.Same(before, l) {
			say(fmt.Sprintf("%s is up to date: %d packages", *file, len(l.Packages)))
			return nil
		}
	}
	if err := writeAside(*file, func(w io.Writer) error { _, err := w.Write(l.Format()); return err }); err != nil {
		return err
	}
	say(fmt.Sprintf("%s: %d packages; read the diff, then commit it", *file, len(l.Packages)))
	return nil
}
