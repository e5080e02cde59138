package decide

import (
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/g8os/g8os/core/network/lease"
)

// Hear is Answer for what a client of package lease says. Both go through its
// codec, so that what is heard is what would be on the wire. ok is false when
// the server says nothing.
func (s *Server) Hear(m lease.Message, now time.Time) (answer lease.Message, ok bool, err error) {
	b, err := lease.Encode(m)
	if err != nil {
		return lease.Message{}, false, err
	}
	p, err := dhcpv4.FromBytes(b)
	if err != nil {
		return lease.Message{}, false, err
	}
	reply, err := s.Answer(p, now)
	if reply == nil || err != nil {
		return lease.Message{}, false, err
	}
	answer, err = lease.Decode(reply.ToBytes())
	return answer, err == nil, err
}
