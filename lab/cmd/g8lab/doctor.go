package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/g8os/g8os/lab"
	"github.com/g8os/g8os/lab/doctor"
	"github.com/g8os/g8os/lab/vm"
)

type doctorCmd struct {
	Image  string `type:"path" default:"build" placeholder:"DIR" help:"Where vmlinuz and initramfs of the image are (${default})."`
	Output string `short:"o" enum:"table,json" default:"table" help:"table or json."`
}

func (doctorCmd) Help() string {
	return `Each line is proved by doing it, in namespaces of its own; nothing is left behind.

  ok  works   --  a lab does without, as the line says   !!  a lab needs it

  g8lab doctor
  g8lab doctor -o json | jq '.checks[] | select(.state != "ok")'`
}

// marks are what a line begins with.
var marks = map[doctor.State]string{doctor.OK: "ok", doctor.Absent: "--", doctor.Broken: "!!"}

func (d *doctorCmd) Run(ctx context.Context, std streams) error {
	cache, err := vm.Cache()
	if err != nil {
		return err
	}
	programs, err := lab.FindBinDir("")
	if err != nil {
		programs = "" // clones read their template's state then
	}
	o := doctor.Options{Cache: cache, Programs: programs, Tell: func(doctor.Result) {}}
	o.Kernel, o.Initrd = d.find("vmlinuz"), d.find("initramfs")
	if o.Kernel == "" {
		o.Kernel = hostKernel()
	}
	if d.Output == "table" {
		o.Tell = func(r doctor.Result) {
			fmt.Fprintf(std.out, "%s  %-12s  %s\n", marks[r.State], r.Name, r.Found)
			if r.Remedy != "" {
				fmt.Fprintf(std.out, "    %-12s  %s\n", "", r.Remedy)
			}
		}
	}
	all, err := doctor.Run(ctx, o)
	if err != nil {
		return err
	}
	if d.Output == "json" {
		if err := json.NewEncoder(std.out).Encode(map[string]any{"checks": all}); err != nil {
			return err
		}
	}
	if doctor.Failed(all) {
		return exitCode(1)
	}
	return nil
}

// find is the path of an artefact of the image, "" if it was not built.
func (d *doctorCmd) find(name string) string {
	path := filepath.Join(d.Image, name)
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}

// hostKernel is one that came with this machine, for want of the image's.
func hostKernel() string {
	all, _ := filepath.Glob("/boot/vmlinuz-*")
	if len(all) == 0 {
		return ""
	}
	return all[len(all)-1]
}
