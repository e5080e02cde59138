package output

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"time"

	"github.com/g8os/g8os/core/api"
)

// A record: the length of what follows and its checksum, 4 bytes each, then the
// number of the piece, its time (nanoseconds since 1970), its stream, the length
// of its node's id, that, and its data.
const (
	recordHead = 8
	pieceHead  = 8 + 8 + 1 + 1
	maxRecord  = pieceHead + 255 + api.MaxFrame
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errTorn is what the end of a file is that was cut off.
var errTorn = errors.New("record cut off")

const (
	stdout byte = 1
	stderr byte = 2
)

// recordsSize is how long the records of pieces are, at most.
func recordsSize(pieces []Piece) (n int) {
	for _, p := range pieces {
		n += recordHead + pieceHead + len(p.Node) + len(p.Data)
	}
	return n
}

func appendRecord(to []byte, p Piece) []byte {
	at := len(to)
	to = append(to, make([]byte, recordHead)...)
	to = binary.BigEndian.AppendUint64(to, p.Seq)
	to = binary.BigEndian.AppendUint64(to, uint64(p.Time.UnixNano()))
	stream := stdout
	if p.Stream == "stderr" {
		stream = stderr
	}
	node := p.Node[:min(len(p.Node), 255)]
	to = append(to, stream, byte(len(node)))
	to = append(append(to, node...), p.Data...)
	body := to[at+recordHead:]
	binary.BigEndian.PutUint32(to[at:], uint32(len(body)))
	binary.BigEndian.PutUint32(to[at+4:], crc32.Checksum(body, castagnoli))
	return to
}

// readRecord reads the next record into buf, which it returns, grown if need
// be; the piece's data is a part of it. io.EOF: there is none. errTorn: it is
// not whole.
func readRecord(r io.Reader, buf []byte) (p Piece, size int64, _ []byte, err error) {
	var head [recordHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = errTorn
		}
		return p, 0, buf, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n < pieceHead || n > maxRecord {
		return p, 0, buf, errTorn
	}
	if cap(buf) < int(n) {
		buf = make([]byte, n)
	}
	body := buf[:n]
	if _, err := io.ReadFull(r, body); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
			err = errTorn
		}
		return p, 0, buf, err
	}
	if crc32.Checksum(body, castagnoli) != binary.BigEndian.Uint32(head[4:]) {
		return p, 0, buf, errTorn
	}
	p, err = parsePiece(body)
	return p, recordHead + int64(n), buf, err
}

func parsePiece(body []byte) (p Piece, err error) {
	p.Seq = binary.BigEndian.Uint64(body)
	p.Time = time.Unix(0, int64(binary.BigEndian.Uint64(body[8:]))).UTC()
	p.Stream = "stdout"
	if body[16] == stderr {
		p.Stream = "stderr"
	}
	node := int(body[17])
	if pieceHead+node > len(body) {
		return p, errTorn
	}
	p.Node, p.Data = api.NodeID(body[pieceHead:pieceHead+node]), body[pieceHead+node:]
	return p, nil
}
