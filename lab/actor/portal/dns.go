package portal

import (
	"net"
	"net/netip"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/net/ipv4"
)

// answerDNS says that every name is the portal, as portals do. It returns nil
// for what is no question.
func answerDNS(query []byte, self netip.Addr) ([]byte, string) {
	var p dnsmessage.Parser
	h, err := p.Start(query)
	if err != nil || h.Response {
		return nil, ""
	}
	q, err := p.Question()
	if err != nil {
		return nil, ""
	}
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{ID: h.ID, Response: true, RecursionDesired: h.RecursionDesired, RecursionAvailable: true})
	b.EnableCompression()
	if b.StartQuestions() != nil || b.Question(q) != nil || b.StartAnswers() != nil {
		return nil, ""
	}
	if q.Type == dnsmessage.TypeA {
		rh := dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: 5}
		if b.AResource(rh, dnsmessage.AResource{A: self.As4()}) != nil {
			return nil, ""
		}
	}
	reply, err := b.Finish()
	if err != nil {
		return nil, ""
	}
	return reply, q.Name.String()
}

// serveDNS answers from whatever address was asked, and ends when its socket
// is closed.
func (p *portal) serveDNS(socket net.PacketConn) error {
	c := ipv4.NewPacketConn(socket)
	if err := c.SetControlMessage(ipv4.FlagDst, true); err != nil {
		return err
	}
	buf := make([]byte, 1500)
	for {
		n, about, from, err := c.ReadFrom(buf)
		if err != nil {
			return err
		}
		if reply, name := answerDNS(buf[:n], p.cfg.Scope.Server); reply != nil && about != nil {
			p.cfg.Log.Info("dns", "name", name, "from", from.String())
			_, _ = c.WriteTo(reply, &ipv4.ControlMessage{Src: about.Dst}, from)
		}
	}
}
