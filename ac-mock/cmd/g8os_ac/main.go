// Command g8os_ac is the agent controller: it releases keys to nodes, issues
// their certificates, holds their sessions and runs jobs on them. It is the
// production AC; --faults makes it one that can be told to misbehave.
//
// It promises to start whole or not at all: when something is in its way it
// says in one line what, and what to do, and exits with status 1.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/g8os/g8os/ac-mock/backup"
	"github.com/g8os/g8os/ac-mock/config"
	"github.com/g8os/g8os/ac-mock/seal"
	"github.com/g8os/g8os/ac-mock/server"
	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/ac-mock/store/etcd"
	"github.com/g8os/g8os/ac-mock/support"
)

const description = `The agent controller of a grid.

Everything it needs is made at the first start: data in /var/lib/g8os-ac, and
apart from it in /etc/g8os-ac the master key, the root's key, and in operators/
the credentials of a first admin with a context for g8os. What nodes pin is
operators/ca.pem.

Exit status: 0 stopped as told; 1 something is in its way; 2 wrong usage.`

type cli struct {
	Config string `help:"Configuration file. Default ${file}, if it is there." placeholder:"FILE"`

	Run     runCmd     `cmd:"" help:"Run the controller."`
	Init    initCmd    `cmd:"" help:"Make what a first start makes, and end: keys, CA, first admin."`
	Restore restoreCmd `cmd:"" help:"Fill the empty store of this AC, which must not run, from a backup."`
	Check   checkCmd   `cmd:"" name:"check-config" help:"Say what is wrong with the configuration, if anything."`
}

// overrides are the flags that stand above the file.
type overrides struct {
	Grid     *string   `help:"Name of the grid." placeholder:"NAME"`
	Name     *string   `help:"Name of this AC." placeholder:"NAME"`
	Listen   *string   `help:"ADDRESS:PORT to listen on." placeholder:"ADDR"`
	DataDir  *string   `help:"Folder for data." placeholder:"DIR"`
	Policy   *string   `help:"open, approve or token." enum:"open,approve,token" placeholder:"POLICY"`
	Fallback *[]string `help:"Interfaces on which to hold 10.254.254.254, each as IF or IF=SEGMENT." placeholder:"IF"`
	Layers   *string   `help:"Folder with layers of the operating system (tools.squashfs) for nodes." placeholder:"DIR"`
	Faults   *bool     `help:"Let faults be armed."`
	LogLevel *string   `help:"debug, info, warn or error." placeholder:"LEVEL"`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr)) //nolint:gocritic // nothing is left to be undone
}

// invocation is what a command gets.
type invocation struct {
	ctx            context.Context
	file           string
	stdout, stderr io.Writer
}

// run is the program: arguments in, exit status out.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var c cli
	exited := -1
	parser, err := kong.New(&c, kong.Name("g8os_ac"), kong.Description(description), kong.Vars{"file": config.DefaultFile},
		kong.Writers(stdout, stderr), kong.Exit(func(code int) { exited = code }))
	if err != nil {
		fmt.Fprintln(stderr, "g8os_ac:", err)
		return 2
	}
	parsed, err := parser.Parse(args)
	if exited >= 0 { // --help
		return exited
	}
	if err != nil {
		fmt.Fprintf(stderr, "g8os_ac: %v (g8os_ac --help)\n", err)
		return 2
	}
	if err := parsed.Run(&invocation{ctx, c.Config, stdout, stderr}); err != nil && ctx.Err() == nil {
		report(stderr, err)
		return 1
	}
	return 0
}

func report(stderr io.Writer, err error) {
	for _, line := range strings.Split(err.Error(), "\n") {
		fmt.Fprintln(stderr, "g8os_ac:", line)
	}
	if remedy := remedyOf(err); remedy != "" {
		fmt.Fprintln(stderr, "         →", remedy)
	}
}

// remedyOf says what can be done about what stands in the way of a start.
func remedyOf(err error) string {
	switch {
	case errors.Is(err, server.ErrPortTaken):
		return "another program listens there (ss -ltnp shows which): stop it, or choose another port with listen"
	case errors.Is(err, store.ErrLocked):
		return "another g8os_ac runs on this data: stop it, or choose another data_dir"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return "this machine does not have that address: correct listen"
	case errors.Is(err, fs.ErrPermission):
		return "run it as root, or choose folders and a port that this user may use"
	case errors.Is(err, errNewer):
		return "run the version that wrote it, or a later one; or restore a backup of this version into an empty data_dir"
	case errors.Is(err, errMasterFirst):
		return "copy the master key file to where master_key says, from where its copy is kept"
	case errors.Is(err, backup.ErrNotEmpty):
		return "a backup is restored into an AC that has never run: choose an empty data_dir"
	case errors.Is(err, backup.ErrVersion):
		return "restore it with the version that made it, into a grid of the same name (grid in ac.toml)"
	case errors.Is(err, seal.ErrKey):
		return "the master key is that of another grid, or of another time: restore its file from the copy of that time"
	case errors.Is(err, backup.ErrDamaged):
		return "take another copy of the backup"
	case errors.Is(err, etcd.ErrNotMember):
		return "say to an AC of the grid that this one may join (g8os ac add NAME PEER-URL), and start it again"
	case errors.Is(err, etcd.ErrRemoved):
		return "to let it in again: move its data_dir away, g8os ac add it, and start it with etcd.join"
	case errors.Is(err, errKeysFirst):
		return "copy the master key and the folder peers (ca.key, ca.pem) from an AC of the grid, by a way that nobody overhears; or, to found a grid of its own, leave etcd.join out"
	case errors.Is(err, syscall.ENOSPC):
		return "the disk is full: make room"
	}
	return ""
}

// load reads the configuration with the flags above it.
func (i *invocation) load(o overrides) (config.Config, error) {
	file, must := i.file, i.file != ""
	if !must {
		file = config.DefaultFile
	}
	c, err := config.Load(file, must)
	if err != nil {
		return c, err
	}
	return o.over(c)
}

func (o overrides) over(c config.Config) (config.Config, error) {
	set(&c.Grid, o.Grid)
	set(&c.Name, o.Name)
	set(&c.Listen, o.Listen)
	set(&c.DataDir, o.DataDir)
	set(&c.Policy, o.Policy)
	if o.Fallback != nil {
		c.Fallback = nil
		for _, text := range *o.Fallback {
			f, err := config.ParseFallback(text)
			if err != nil {
				return c, &config.Error{Key: "--fallback", Want: err.Error()}
			}
			c.Fallback = append(c.Fallback, f)
		}
	}
	set(&c.Layers, o.Layers)
	set(&c.Faults, o.Faults)
	if o.LogLevel != nil {
		if err := c.LogLevel.UnmarshalText([]byte(*o.LogLevel)); err != nil {
			return c, &config.Error{Key: "--log-level", Want: fmt.Sprintf("%q is not a level; want debug, info, warn or error", *o.LogLevel)}
		}
	}
	if err := config.CheckListen(c.Listen); err != nil {
		return c, &config.Error{Key: "--listen", Want: err.Error()}
	}
	return c, nil
}

func set[T any](to *T, v *T) {
	if v != nil {
		*to = *v
	}
}

type checkCmd struct{}

func (checkCmd) Run(i *invocation) error {
	if _, err := i.load(overrides{}); err != nil {
		return err
	}
	_, err := fmt.Fprintln(i.stdout, "the configuration is good")
	return err
}

type initCmd struct{ overrides }

func (c *initCmd) Run(i *invocation) error {
	cfg, err := i.load(c.overrides)
	if err != nil {
		return err
	}
	ac, err := open(i.ctx, cfg, logger(cfg, i.stderr))
	if err != nil {
		return err
	}
	defer ac.close()
	_, err = fmt.Fprintf(i.stdout, "grid %s: made\n  nodes pin    %s\n  first admin  %s\n  keep safe    %s, %s\n",
		cfg.Grid, cfg.Operators()+"/ca.pem", cfg.Operators()+"/admin.toml", cfg.MasterKey, cfg.RootKey())
	return err
}

type runCmd struct{ overrides }

func (c *runCmd) Run(i *invocation) error {
	cfg, err := i.load(c.overrides)
	if err != nil {
		return err
	}
	recent := support.NewRecent(recentLog)
	return serve(i.ctx, cfg, logger(cfg, io.MultiWriter(i.stderr, recent)), recent)
}

// recentLog is how much of the log is kept for a support bundle, in bytes.
const recentLog = 4 << 20

func logger(c config.Config, w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: c.LogLevel}))
}
