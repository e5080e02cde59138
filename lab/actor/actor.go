// Package actor holds the other parties of a segment, the ones that make a
// node's life hard: somebody who already has its address, a stranger who
// plays the AC, a captive portal, a DHCP server that misbehaves. They are
// products of the lab, not test hacks: each is a subcommand of g8lab actor,
// and runs the same way in a scenario, in a demonstration and by hand.
//
//	squatter  has addresses, answers ARP for them, defends them
//	stranger  a server on the AC's port that is no AC; notes all it is sent
//	portal    DHCP, DNS and a web page in answer to everything
//	dhcp      a scripted DHCP server, whose behaviour is switched while it runs
//	control   the socket over which a running actor is told something
//	command   their command lines
//
// Each is a Run(ctx, …) error in the network namespace of the process, ends
// when ctx does (with nil), and takes away what it put there. What happens
// goes to a log, one JSON object a line (log/slog), whose msg is the event;
// the first is always "ready". They promise nothing about speed, and nothing
// about being gentle to a network that is not the lab's.
package actor

import (
	"io"
	"log/slog"
)

// Ready is the event every actor logs once it answers.
const Ready = "ready"

// Log returns the log an actor writes its events to, as JSON lines.
func Log(w io.Writer) *slog.Logger { return slog.New(slog.NewJSONHandler(w, nil)) }
