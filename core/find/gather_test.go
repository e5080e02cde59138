package find

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// pieces keeps what is written, and how often.
type pieces struct {
	bytes.Buffer
	n int
}

func (p *pieces) Write(b []byte) (int, error) { p.n++; return p.Buffer.Write(b) }

func frame(size int, masked bool) []byte {
	head := []byte{0x82, 0}
	switch {
	case size < 126:
		head[1] = byte(size)
	case size < 1<<16:
		head[1] = 126
		head = binary.BigEndian.AppendUint16(head, uint16(size))
	default:
		head[1] = 127
		head = binary.BigEndian.AppendUint64(head, uint64(size))
	}
	if masked {
		head[1] |= 0x80
		head = append(head, 1, 2, 3, 4)
	}
	return append(head, bytes.Repeat([]byte{0x7f}, size)...)
}

// However frames are written, each is sent with its last byte, and a large one
// in few pieces.
func TestFramesAreGathered(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		var sent pieces
		g := newGathered(&sent)
		var all []byte
		for _, size := range []int{0, 1, 125, 126, 4096 - 8, 4096, 65535, 65536, r.IntN(100_000)} {
			f := frame(size, r.IntN(2) == 0)
			all = append(all, f...)
			sent.n = 0
			for rest := f; len(rest) > 0; {
				n := min(len(rest), 1+r.IntN(5000))
				if _, err := g.Write(rest[:n]); err != nil {
					t.Fatal(err)
				}
				if rest = rest[n:]; len(rest) > 0 && sent.n > 1+size/record {
					t.Fatalf("seed %d: a frame of %d bytes was sent in %d pieces", seed, size, sent.n)
				}
			}
			if !bytes.Equal(sent.Bytes(), all) {
				t.Fatalf("seed %d: a frame of %d bytes was not sent as it is: %d bytes of %d", seed, size, sent.Len(), len(all))
			}
		}
	}
}
