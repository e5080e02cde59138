package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/g8os/g8os/lab/chaos"
	"github.com/g8os/g8os/lab/fault"
	runs "github.com/g8os/g8os/lab/run"
	"github.com/g8os/g8os/lab/run/record"
	"github.com/g8os/g8os/lab/sim"
	"github.com/g8os/g8os/lab/swarm"
	"github.com/g8os/g8os/lab/topologies"
	"github.com/g8os/g8os/lab/topology"
)

// blueprint is what runs of one command have in common.
type blueprint struct {
	head     record.Head
	plan     *topology.Plan
	origin   string // where the topology comes from
	schedule fault.Schedule
}

// blueprint works out the grid that is asked for.
func (s *simCmd) blueprint(in io.Reader) (*blueprint, error) {
	if s.Swarm {
		return &blueprint{origin: "drawn from the seed"}, nil
	}
	b := &blueprint{head: record.Head{What: "sim", Fidelity: topology.Simulated, Lab: swarm.Name, Boot: fault.Duration(s.Boot)}}
	var err error
	if b.head.Topology, b.origin, err = s.topology(); err != nil {
		return nil, err
	}
	if s.Topology != "" && s.Nodes != nil {
		b.head.Nodes = *s.Nodes
	}
	if _, b.plan, err = b.head.Plan(swarm.Name); err != nil {
		return nil, err
	}
	if b.schedule, err = s.readSchedule(in); err != nil {
		return nil, err
	}
	jobs := s.Jobs
	if jobs == 0 && (s.Plan != "" || s.Schedule != "") {
		jobs = 10 * time.Second
	}
	b.head.Options = runs.Options{
		For: fault.Duration(s.length()), Every: fault.Duration(lookEvery(len(b.plan.Nodes))), Ready: true, Jobs: fault.Duration(jobs),
		Settle: fault.Duration(cmp.Or(s.Settle, runs.DefaultSettle(topology.Simulated)+s.Boot)),
	}
	return b, nil
}

// lookEvery is how often all nodes of a grid are looked at. What lasts a moment
// is seen by the simulator itself; the look is for what lasts.
func lookEvery(nodes int) time.Duration {
	return min(max(time.Duration(nodes)*time.Second/100, time.Second), 10*time.Second)
}

// topology is the text of the topology, and where it comes from.
func (s *simCmd) topology() (text, origin string, err error) {
	switch {
	case s.Topology != "" && s.ACs != nil:
		return "", "", fmt.Errorf("--acs: %s says which ACs there are; leave one out", s.Topology)
	case s.Topology != "":
		b, err := os.ReadFile(s.Topology)
		return string(b), s.Topology, err
	case s.Nodes == nil && s.ACs == nil:
		return string(topologies.Default), "the grid of g8lab up", nil
	}
	nodes, acs := 6, 1
	if s.Nodes != nil {
		nodes = *s.Nodes
	}
	if s.ACs != nil {
		acs = *s.ACs
	}
	text, err = sim.ScaleYAML(nodes, acs)
	return text, "segments made for them", err
}

func (s *simCmd) readSchedule(in io.Reader) (fault.Schedule, error) {
	var text []byte
	var err error
	switch s.Schedule {
	case "":
		return nil, nil
	case "-":
		text, err = io.ReadAll(in)
	default:
		text, err = os.ReadFile(s.Schedule)
	}
	if err != nil {
		return nil, err
	}
	schedule, err := fault.ParseSchedule(string(text))
	if err != nil {
		return nil, fmt.Errorf("schedule %s: %w", s.Schedule, err)
	}
	return schedule, nil
}

// draw is the run of a seed.
func (s *simCmd) draw(b *blueprint, seed uint64) (record.Head, error) {
	if s.Swarm {
		settle := cmp.Or(s.Settle, 3*time.Minute)
		return swarm.Draw(seed, swarm.Drawing{For: s.length(), Settle: settle, Without: s.Without})
	}
	h := b.head
	h.Seed, h.Options.Seed, h.Schedule = seed, seed, b.schedule
	for _, t := range h.Schedule {
		if err := fault.Check(t.Fault, b.plan, topology.Simulated); err != nil {
			return h, fmt.Errorf("at %s: %w", t.At, err)
		}
	}
	if s.Plan == "" {
		return h, nil
	}
	plan, err := chaos.Find(s.Plan)
	if err == nil {
		h.Schedule, _, err = plan.Schedule(b.plan, topology.Simulated, chaos.Options{Seed: seed, Every: s.Every, For: s.length()})
	}
	return h, err
}
