package impair

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/g8os/g8os/lab/impair/link"
)

// newShaper runs a shaper whose tap is one end of a pair of sockets; the other
// is the switch.
func newShaper(t *testing.T) (sw *os.File, socket string) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	sw, socket = os.NewFile(uintptr(fds[1]), "switch"), filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{pump: newPump(fds[0])}
	ended := make(chan error)
	go s.serve(l)
	go func() { ended <- s.pump.run() }()
	t.Cleanup(func() {
		_ = sw.Close()
		if err := <-ended; err == nil || !strings.Contains(err.Error(), "gone") {
			t.Errorf("the shaper ended with %v, want that its tap is gone", err)
		}
		_ = l.Close()
		_ = unix.Close(fds[0])
	})
	return sw, socket
}

func tell(t *testing.T, socket string, links ...Link) map[string]Tagged {
	t.Helper()
	tagged, _, err := Set(t.Context(), socket, links)
	if err != nil {
		t.Fatal(err)
	}
	by := map[string]Tagged{}
	for _, l := range tagged {
		by[l.Name] = l
	}
	return by
}

func frame(tag, n int) []byte {
	f := append(bytes.Repeat([]byte{2}, 12), 0x81, 0, byte(tag>>8), byte(tag), 0x88, 0xb5)
	return binary.BigEndian.AppendUint64(f, uint64(n))
}

func put(t *testing.T, sw *os.File, f []byte) {
	t.Helper()
	if _, err := sw.Write(f); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, sw *os.File) []byte {
	t.Helper()
	buf := make([]byte, maxFrame)
	if err := sw.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	n, err := sw.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return buf[:n]
}

func TestShaper(t *testing.T) {
	sw, socket := newShaper(t)
	const late = 30 * time.Millisecond
	by := tell(t, socket, Link{Name: "late", Spec: link.Spec{Delay: late}}, Link{Name: "twice", Spec: link.Spec{Duplicate: 100}},
		Link{Name: "damaged", Spec: link.Spec{Corrupt: 100}}, Link{Name: "dead", Spec: link.Spec{Loss: 100}})
	if len(by) != 4 {
		t.Fatalf("got %v", by)
	}
	begin := time.Now()
	put(t, sw, frame(by["late"].Tag, 1))
	put(t, sw, frame(by["dead"].Tag, 2))
	put(t, sw, frame(4000, 3))                    // nobody's
	put(t, sw, bytes.Repeat([]byte{0xff}, 40))    // without a tag
	put(t, sw, frame(by["late"].Tag, 9)[:tagged]) // as short as can be
	put(t, sw, frame(by["twice"].Tag, 4))
	for range 2 {
		if got := get(t, sw); !bytes.Equal(got, frame(by["twice"].Tag, 4)) {
			t.Errorf("twice: got %x", got)
		}
	}
	put(t, sw, frame(by["damaged"].Tag, 5))
	got, sent := get(t, sw), frame(by["damaged"].Tag, 5)
	if bytes.Equal(got, sent) || !bytes.Equal(got[:tagged], sent[:tagged]) || len(got) != len(sent) {
		t.Errorf("damaged: got %x, sent %x: want a bit of the payload flipped", got, sent)
	}
	if got := get(t, sw); !bytes.Equal(got, frame(by["late"].Tag, 1)) {
		t.Errorf("late: got %x", got)
	}
	if took := time.Since(begin); took < late {
		t.Errorf("after %v, want no less than %v", took, late)
	}
	if got := get(t, sw); len(got) != tagged {
		t.Errorf("got %x, want the short one", got)
	}
}

// TestOrder: frames of one delay come in the order in which they were sent, and
// what a link holds when it is taken away still comes.
func TestOrder(t *testing.T) {
	sw, socket := newShaper(t)
	tag := tell(t, socket, Link{Name: "a", Spec: link.Spec{Delay: 20 * time.Millisecond}})["a"].Tag
	const n = 100
	for i := range n {
		put(t, sw, frame(tag, i))
	}
	put(t, sw, frame(tag, n))
	if got := get(t, sw); !bytes.Equal(got, frame(tag, 0)) { // all are in by now, or were behind it
		t.Errorf("got %x first", got)
	}
	if gone := tell(t, socket)["a"]; gone.Tag != tag || !gone.Gone {
		t.Errorf("got %+v, want it gone and by the same tag", gone)
	}
	for i := range n {
		if got := get(t, sw); !bytes.Equal(got, frame(tag, i+1)) {
			t.Fatalf("got %x, want %d", got, i+1)
		}
	}
	put(t, sw, frame(tag, 7)) // the switch sends no more, but has one on the way
	if got := get(t, sw); !bytes.Equal(got, frame(tag, 7)) {
		t.Errorf("got %x", got)
	}
	if left := tell(t, socket); len(left) != 0 {
		t.Errorf("got %v, want it forgotten", left)
	}
}

func TestStatistics(t *testing.T) {
	sw, socket := newShaper(t)
	half := Link{Name: "half", Spec: link.Spec{Loss: 50}}
	tag := tell(t, socket, half)["half"].Tag
	arrived := 0
	for i := range 1000 {
		put(t, sw, frame(tag, i))
		if i%100 != 99 { // as many as the pair of sockets takes
			continue
		}
		end := tell(t, socket, half, Link{Name: "end"})["end"].Tag // the stream of the other goes on
		put(t, sw, frame(end, 0))
		for !bytes.Equal(get(t, sw), frame(end, 0)) {
			arrived++
		}
	}
	if arrived < 490 || arrived > 510 {
		t.Errorf("%d of 1000 arrived, want half", arrived)
	}
	if _, st, err := Set(t.Context(), socket, nil); err != nil || st.In != 1010 || st.Out != uint64(arrived)+10 || st.Held != 0 || st.Refused != 0 {
		t.Errorf("got %+v, %v", st, err)
	}
}

func TestRefused(t *testing.T) {
	_, socket := newShaper(t)
	tell(t, socket, Link{Name: "a"})
	for _, bad := range [][]Link{
		{{Name: "a"}, {Name: "a"}},
		{{Name: "b", Spec: link.Spec{Loss: 101}}},
	} {
		if _, _, err := Set(t.Context(), socket, bad); err == nil {
			t.Errorf("%v was accepted", bad)
		}
	}
	if by := tell(t, socket, Link{Name: "a"}); len(by) != 1 || by["a"].Gone {
		t.Errorf("a list that was refused changed something: %v", by)
	}
	if _, _, err := Set(t.Context(), socket+"x", nil); err == nil {
		t.Error("told a shaper that is not there")
	}
}

func TestTags(t *testing.T) {
	var had []Tagged
	last := 0
	step := func(names ...string) {
		t.Helper()
		var links []Link
		for _, n := range names {
			links = append(links, Link{Name: n})
		}
		by, err := index(links)
		if err != nil {
			t.Fatal(err)
		}
		if had, last, err = assign(had, last, links, by); err != nil {
			t.Fatal(err)
		}
	}
	want := func(all ...Tagged) {
		t.Helper()
		if !slices.Equal(had, all) {
			t.Errorf("got %v, want %v", had, all)
		}
	}
	step("a", "b")
	want(Tagged{"a", 1, false}, Tagged{"b", 2, false})
	step("b", "c")
	want(Tagged{"a", 1, true}, Tagged{"b", 2, false}, Tagged{"c", 3, false})
	step("a", "b", "d") // back before it was forgotten
	want(Tagged{"a", 1, false}, Tagged{"b", 2, false}, Tagged{"c", 3, true}, Tagged{"d", 4, false})
	step("b")
	step("b", "e")
	want(Tagged{"b", 2, false}, Tagged{"e", 5, false})
	last = MaxLinks
	step("b", "e", "f", "g", "h")
	want(Tagged{"f", 1, false}, Tagged{"b", 2, false}, Tagged{"g", 3, false}, Tagged{"h", 4, false}, Tagged{"e", 5, false})

	var many []string
	for i := range MaxLinks {
		many = append(many, fmt.Sprint(i))
	}
	had = nil
	step(many...)
	links := []Link{{Name: "one more"}}
	by, _ := index(links)
	if _, _, err := assign(had, last, links, by); err == nil {
		t.Error("more links than there are tags")
	}
}

func TestQueue(t *testing.T) {
	var q queue
	var want []time.Duration
	for i := range 1000 {
		at := time.Duration(i * 7919 % 311)
		q.push(held{at: at})
		want = append(want, at)
	}
	slices.Sort(want)
	var before held
	for i, at := range want {
		f := q.pop()
		if f.at != at || i > 0 && !before.before(f) {
			t.Fatalf("%d: got %v after %v, want %v", i, f, before, at)
		}
		before = f
	}
}
