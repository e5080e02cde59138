package main

// What --help adds to each command: how it is typed.

const description = `A grid in a box: real nodes and a real controller in namespaces, with faults on demand.

  g8lab up                            the default grid: three segments, six nodes, one AC
  g8lab up --lab big --nodes 100      another one beside it
  g8lab status --watch                every node: phase, way, address, controller
  g8lab exec office-1 -- ip address   a command inside a node
  g8lab down                          leaves nothing

What the AC knows and does is asked with g8os; see g8os --help.

Exit status: 0 done; 1 not done, stderr says why and what to do; 2 wrong usage; 130 interrupted.
"exec" and "ssh" exit as the command did; 127 no such program, 255 the command could not be run.`

func (upCmd) Help() string {
	return `A wrong topology, a port that is taken, a tool that is missing, too little memory: refused before anything is touched.
A node that is not managed in time is named, with what it waits for and its log, and the exit status is 1; the lab stays up.

  g8lab up
  g8lab up my.yaml --lab mine     lab/topologies/default.yaml is the example
  g8lab up --lab big --nodes 100
  g8lab up --fidelity vm          every node a QEMU machine that boots build/vmlinuz (make image-base)

Machines run under KVM where a kernel was seen to boot under it, else by translation (TCG); G8LAB_ACCEL=kvm|tcg
overrides that. One machine is booted once per image, its clones are kept ready in ~/.cache/g8lab.`
}

func (statusCmd) Help() string {
	return `PHASE is off without power, down when g8os_core does not answer.

  g8lab status --watch
  g8lab status -o json | jq '.nodes[] | select(.phase != "managed")'`
}

func (downCmd) Help() string {
	return `  g8lab down --lab big
  g8lab down --keep-logs /tmp/logs
  g8lab down --all`
}

func (execCmd) Help() string {
	return `By way of the lab, as if one sat at the node: also when it has no network. By way of the AC: g8os exec.

  g8lab exec office-1 -- g8os_core status
  g8lab exec office-1 -- sh`
}

func (sshCmd) Help() string {
	return `  g8lab ssh dhcp-1
  g8lab ssh dhcp-1 -- uptime`
}

func (logsCmd) Help() string {
	return `  g8lab logs isolated-1 -f
  g8lab logs ac`
}

func (captureCmd) Help() string {
	return `Of a node of fidelity vm: what it sends and what is for it, as the switch sees it.

  g8lab capture office -w office.pcap
  g8lab capture office-1 -w - | tcpdump -nr -`
}

func (consoleCmd) Help() string {
	return `What the node has said last is shown first; all of it: g8lab logs NODE.

  g8lab console office-1`
}

func (powerCmd) Help() string {
	return `off is a power cut: nothing is flushed, the disk stays. An ordered power-off: g8lab exec NODE -- g8os_core poweroff.

  g8lab power office-1 off
  g8lab power office-1 on`
}

func (nicCmd) Help() string {
	return `  g8lab nic office-1 eth0 down
  g8lab nic office-1 eth0 up`
}

func (chaosCmd) Help() string {
	return `Faults come for a time, then everything is healed and the grid has to recover. All along and in the end it is
checked that nothing that must hold is violated. Exit status: 0 passed; 1 violated, or broken off.

  g8lab chaos list
  g8lab chaos ac-outage --every 20s --for 5m
  g8lab chaos everything --seed 42 --packets`
}

func (simCmd) Help() string {
	return `The step functions of core and AC run in virtual time: much faster than real time, and the same history for the same seed.
All along and in the end it is checked that nothing that must hold is violated. Of many seeds the first that fails is
shrunk, recorded and said as a command. Exit status: 0 passed; 1 violated, broken off, or two histories of one seed.

  g8lab sim --nodes 1000 --hours 1 --seed 42
  g8lab sim --plan ac-outage --for 10m --record outage.g8run
  g8lab sim --schedule faults.txt --twice
  g8lab sim --seeds 1000..2000 --swarm`
}

func (replayCmd) Help() string {
	return `A simulated run gives the same history again, which is checked. Another one is run by its schedule, on a lab that
is brought up for it and taken down. Exit status: 0 passed; 1 violated, broken off, or another history.

  g8lab replay chaos-power-20260101-030000.g8run
  g8lab replay sim-42.g8run --fidelity netns`
}

func (reportCmd) Help() string {
	return `The page needs nothing else: it can be mailed, and opens without a network.

  g8lab report chaos-power-20260101-030000.g8run
  g8lab report run.g8run -o /tmp/run.html`
}

func (faultCmd) Help() string {
	return `Faults belong to the lab: any g8lab lists and heals them, one with --for ends by itself, "down" ends all.

  g8lab fault add partition --from dhcp-1 --to ac1 --for 30s
  g8lab fault add loss from=office-1 both percent=10
  g8lab fault list
  g8lab fault heal f1
  g8lab fault heal --all`
}
