package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/g8os/g8os/core/clock"
	"github.com/g8os/g8os/core/node"
	"github.com/g8os/g8os/core/process"
	"github.com/g8os/g8os/core/unlock/tpm"
	"github.com/g8os/g8os/core/upgrade"
	"github.com/g8os/g8os/core/version"
)

type runCmd struct {
	Dir        string `help:"Folder with net.toml, ca.pem, keys and the encrypted volume." default:"/etc/g8os" type:"path"`
	Mount      string `help:"Where the private configuration is mounted." default:"/mnt/etc" type:"path"`
	RunDir     string `help:"Folder for what is gone after a reboot." default:"/run/g8os" type:"path"`
	Spool      string `help:"Folder for jobs, results and events until an AC has them. On a disk that outlives a reboot." default:"/var/lib/g8os/spool" type:"path"`
	ResolvConf string `help:"File that name servers are written to." default:"/etc/resolv.conf" type:"path"`
	SSHPort    int    `name:"ssh-port" help:"Port of the node's sshd, for machines whose own sshd has 22. Written down when the volume is made; from then on sshd_config in it says." default:"22"`
	TPM        string `name:"tpm" help:"TPM 2.0 that keeps the device key and a share of the volume's key: auto (/dev/tpmrm0, else /dev/tpm0), none, or the path of a device or of an emulator's socket." default:"auto" env:"G8OS_TPM"`
	Upgrades   string `help:"Folder for other versions of g8os_core, and which of them runs." default:"${upgrades}" type:"path"`
	Power      string `help:"How this machine is rebooted and switched off. auto: by its PID 1. exit: g8os_core ends with status 85 or 86, and who has started it does it." enum:"auto,exit" default:"auto"`
	Clock      string `help:"system: set the machine's clock when it is plainly wrong or behind the AC's. own[:OFFSET]: run a clock of our own beside it, for machines that share theirs." default:"system"`
}

// gcPercent keeps the heap of an idle node small; a node collects rarely, so it
// costs nothing that could be measured.
const gcPercent = 50

func (r *runCmd) Run(ctx context.Context, c *cli, log *slog.Logger) error {
	if os.Geteuid() != 0 {
		return errors.New("run: needs root, it sets up interfaces; use sudo")
	}
	kept := upgrade.Store{Dir: r.Upgrades, RunDir: r.RunDir}
	kept.Stage(log)
	inherited := process.Inherited()
	ck, err := clock.Parse(r.Clock)
	if err != nil {
		return usageError{err}
	}
	debug.SetGCPercent(gcPercent)
	log.Info("g8os_core starts", "version", version.Version(), "built", version.Built().UTC(), "pid", os.Getpid())
	defer log.Info("g8os_core ends")
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	go process.Reap(ctx, inherited)
	err = node.Run(ctx, node.Options{
		Upgrades: kept, Power: &machinePower{byExit: r.Power == "exit"}, Reload: reload, LogDir: servicesLogs, Image: "/usr/share/g8os/image.json", Layers: "/state/tools", Spool: r.Spool, SSHPort: r.SSHPort,
		Dir: r.Dir, Mount: r.Mount, RunDir: r.RunDir, Socket: c.Socket, ResolvConf: r.ResolvConf, Clock: ck, Log: log, TPM: tpm.New(r.TPM),
	})
	if errors.Is(err, node.ErrRestart) {
		log.Info("g8os_core starts again")
		return upgrade.Restart()
	}
	if down, ok := errors.AsType[node.Down](err); ok {
		return r.down(ctx, c, down.Kind, log)
	}
	return err
}
