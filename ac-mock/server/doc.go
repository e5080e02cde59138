// Package server is the one port of an AC: TLS, the requests of nodes and of
// operators, and the sessions of nodes.
//
//	listeners ─▶ gate ──TLS 1.3──▶ HTTP/1.1 ─┬▶ /node/…  proof ─▶ Registry
//	            limits             limits    ├▶ /node/session  ─▶ hub
//	                                         └▶ /api/…   role  ─▶ Registry, hub
//
// It promises:
//   - a grid that returns at once is let in as fast as the machine can and no
//     faster; operators, and where they came from before, do not stand in line;
//   - a client costs what the Limits say and never more than its own
//     connection, whatever it sends, or does not send;
//   - a node speaks only for itself: what it says is signed for this connection
//     and this moment, or comes with its own certificate;
//   - every refusal of a node looks the same on the wire;
//   - what an operator may do follows from the level in his certificate.
//
// It decides nothing about keys (Registry does) and holds no data.
package server

import (
	"runtime"
	"time"
)

// Limits bounds what clients can cost.
type Limits struct {
	Connections  int           // open at once, all together
	Anonymous    int           // open at once from one source, without a certificate
	PerNode      int           // open at once with one node's certificate; an honest node has two
	HalfOpen     int           // that have not proved anything yet, all together; then the oldest goes
	HalfOpenEach int           // the same from one source; then the newest goes
	Turns        int           // handshakes begun in a second; the others wait for their turn; 0: no bound
	Turn         time.Duration // longest wait for it; who would wait longer is reset at once, and comes again
	Deciding     int           // requests for keys and certificates at once; the others are told to come later
	Handshake    time.Duration // for TLS
	Header       time.Duration // for the head of a request
	Read         time.Duration // for a whole request
	Write        time.Duration // for a whole reply, or one line of a stream
	Idle         time.Duration // between requests
	HeaderBytes  int
}

// DefaultLimits fits an AC with twenty thousand nodes. Turns leaves half of a
// machine to what is not a handshake; Turn is less than a node waits when it
// looks for an AC (core/boot Timing.TryTimeout). A source is an IPv4
// address or an IPv6 /64; many nodes can share one behind a NAT.
var DefaultLimits = Limits{
	Connections: 32768, Anonymous: 512, PerNode: 16, HalfOpen: 2048, HalfOpenEach: 128,
	Turns: 600 * runtime.GOMAXPROCS(0), Turn: 1500 * time.Millisecond, Deciding: 256,
	Handshake: 10 * time.Second, Header: 5 * time.Second, Read: 15 * time.Second,
	Write: 30 * time.Second, Idle: 60 * time.Second, HeaderBytes: 8 << 10,
}
