package main

import "github.com/g8os/g8os/core/pid1/power"

type (
	poweroffCmd struct{}
	rebootCmd   struct{}
	haltCmd     struct{}
)

// Run asks PID 1.
func (poweroffCmd) Run() error { return power.Ask(power.PowerOff) }

// Run asks PID 1.
func (rebootCmd) Run() error { return power.Ask(power.Reboot) }

// Run asks PID 1.
func (haltCmd) Run() error { return power.Ask(power.Halt) }
