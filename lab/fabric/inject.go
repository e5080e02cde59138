package fabric

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
)

// Injector puts frames into a segment as if they came in by a port: the whole
// table applies to them.
type Injector struct {
	conn net.Conn
	head []byte
}

// Numbers of the OpenFlow Switch Specification 1.3.5 (sections 7.1, 7.3.7, 7.2.5).
const (
	openFlow13  = 4
	ofptHello   = 0
	ofptPacket  = 13 // OFPT_PACKET_OUT
	ofpNoBuffer = 0xffffffff
	ofppTable   = 0xfffffff9
	helloLen    = 8
	packetLen   = 24 // without actions and frame
	actionLen   = 16
)

// Inject opens a connection to the bridge of a port. Close it.
func (s *Switch) Inject(ctx context.Context, p Attached) (*Injector, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", strings.TrimPrefix(s.mgmt(p.Segment), "unix:"))
	if err == nil {
		_, err = c.Write([]byte{openFlow13, ofptHello, 0, helloLen, 0, 0, 0, 1})
		if err != nil {
			_ = c.Close()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("inject into segment %s: %w", p.Segment, err)
	}
	go func() { _, _ = io.Copy(io.Discard, c) }() // its hello, and that it asks for echoes
	return &Injector{conn: c, head: packetOut(p.Number)}, nil
}

// packetOut is a message OFPT_PACKET_OUT up to the frame: it goes through the
// table.
func packetOut(port int) []byte {
	m := []byte{openFlow13, ofptPacket, 0, 0, 0, 0, 0, 2}
	m = binary.BigEndian.AppendUint32(m, ofpNoBuffer)
	m = binary.BigEndian.AppendUint32(m, uint32(port))
	m = binary.BigEndian.AppendUint16(m, actionLen)
	m = append(m, make([]byte, 6)...)
	m = append(m, 0, 0, 0, actionLen) // OFPAT_OUTPUT
	m = binary.BigEndian.AppendUint32(m, ofppTable)
	return append(m, make([]byte, 8)...)
}

// Send puts a frame in.
func (i *Injector) Send(frame []byte) error {
	m := append(i.head[:packetLen+actionLen:packetLen+actionLen], frame...)
	binary.BigEndian.PutUint16(m[2:], uint16(len(m)))
	if _, err := i.conn.Write(m); err != nil {
		return fmt.Errorf("inject a frame: %w", err)
	}
	return nil
}

// Close closes the connection.
func (i *Injector) Close() { _ = i.conn.Close() }
