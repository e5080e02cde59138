package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"time"
)

var failedOver = bound{Name: "sessions of an AC that was killed, with the two others", Limit: 10, Unit: "s"}

// failoverLimit is how long it is waited for: then nobody believes in it.
const failoverLimit = 60 * time.Second

// measureFailover kills the AC of three that has most sessions, and waits until
// the others have all.
func measureFailover(ctx context.Context, b *bench) []result {
	const name = "failover"
	nodes, _, err := b.labUp(ctx, name, "lab/topologies/three-acs.yaml", "--nodes", "30")
	defer b.down(ctx, name)
	if err != nil {
		return failedAll(err, failedOver)
	}
	took, err := b.failover(ctx, name, len(nodes))
	if err != nil {
		return failedAll(err, failedOver)
	}
	return []result{failedOver.measured(took.Seconds())}
}

func (b *bench) failover(ctx context.Context, name string, nodes int) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, failoverLimit)
	defer cancel()
	var lost string
	for lost == "" { // sessions are counted by each AC, and told the others now and then
		acs, err := b.sessions(ctx, name)
		if err != nil {
			return 0, err
		}
		if total(acs, "") == nodes {
			lost = busiest(acs)
		} else if err := sleep(ctx, 200*time.Millisecond); err != nil {
			return 0, fmt.Errorf("%d of %d sessions before anything was killed: %w", total(acs, ""), nodes, err)
		}
	}
	begin := time.Now()
	if _, err := b.g8lab(ctx, "fault", "add", "ac-kill", "--on", lost, "--lab", labPrefix+name); err != nil {
		return 0, err
	}
	for {
		acs, err := b.sessions(ctx, name) // an AC that was asked may be the one that is gone
		if err == nil && total(acs, lost) == nodes {
			return time.Since(begin), nil
		}
		if waited := sleep(ctx, 200*time.Millisecond); waited != nil {
			return 0, errors.Join(fmt.Errorf("%d of %d sessions are with others than %s: %w", total(acs, lost), nodes, lost, waited), err)
		}
	}
}

// controller is one of g8os ac list -o json.
type controller struct {
	Name     string
	Sessions int
}

func (b *bench) sessions(ctx context.Context, name string) ([]controller, error) {
	text, err := exec.CommandContext(ctx, filepath.Join(b.bin, "g8os"), "--context", labPrefix+name, "ac", "list", "-o", "json").Output()
	if err != nil {
		return nil, fmt.Errorf("g8os ac list: %w", err)
	}
	var acs []controller
	if err := json.Unmarshal(text, &acs); err != nil {
		return nil, fmt.Errorf("g8os ac list -o json: %w", err)
	}
	return acs, nil
}

// total is how many sessions all but one have.
func total(acs []controller, but string) (n int) {
	for _, ac := range acs {
		if ac.Name != but {
			n += ac.Sessions
		}
	}
	return n
}

func busiest(acs []controller) (name string) {
	most := -1
	for _, ac := range acs {
		if ac.Sessions > most {
			name, most = ac.Name, ac.Sessions
		}
	}
	return name
}
