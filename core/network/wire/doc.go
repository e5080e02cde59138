// Package wire carries the packets of conflict (ARP) and lease (DHCP) over a
// real Ethernet interface.
//
// Sockets are opened in the network namespace of the calling thread and stay
// in it. Each has one goroutine, which ends with Close. A link that goes down
// does not end it: sending fails meanwhile, and hearing goes on when it is up
// again. An interface that is removed does: the channel is closed then, and
// Err says why. Methods may be called from any goroutine; the channels must be
// drained or the socket closed.
//
// Decides nothing: what is sent when, and what an answer means, is for
// conflict and lease. Kernel filters keep out what is none of their business,
// so that other people's traffic does not wake an idle node.
package wire
