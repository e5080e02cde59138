package lines

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestMerge(t *testing.T) {
	type said struct{ name, text string }
	for what, c := range map[string]struct {
		say    []said
		colour bool
		want   string
	}{
		"lines of two":          {[]said{{"a", "1\n2\n"}, {"long", "x\n"}}, false, "a    | 1\na    | 2\nlong | x\n"},
		"parts of lines":        {[]said{{"a", "1"}, {"b", "x"}, {"a", "2\n"}, {"b", "y\nz"}}, false, "a    | 12\nb    | xy\nb    | z\n"},
		"an empty line":         {[]said{{"a", "\n\n"}}, false, "a    | \na    | \n"},
		"no text":               {[]said{{"a", ""}}, false, ""},
		"a name that is longer": {[]said{{"longer", "x\n"}}, false, "longer | x\n"},
		"no UTF-8":              {[]said{{"a", "\xff\x00\r\n"}}, false, "a    | \xff\x00\r\n"},
		"colours":               {[]said{{"a", "1\n"}, {"b", "2\n"}}, true, "\x1b[36ma    |\x1b[0m 1\n\x1b[33mb    |\x1b[0m 2\n"},
	} {
		var out bytes.Buffer
		m := New(&out, 4, c.colour)
		for _, s := range c.say {
			if err := m.Write(s.name, []byte(s.text)); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range []string{"a", "b", "long"} {
			if err := m.Flush(name); err != nil {
				t.Fatal(err)
			}
		}
		if out.String() != c.want {
			t.Errorf("%s: got %q, want %q", what, &out, c.want)
		}
	}
}

// A line without an end costs a bounded memory, and all of it comes out.
func TestEndlessLine(t *testing.T) {
	var out bytes.Buffer
	m := New(&out, 1, false)
	part, rest := bytes.Repeat([]byte("x"), 5000), 0
	for range 100 {
		if err := m.Write("a", part); err != nil {
			t.Fatal(err)
		}
		if rest = len(m.source("a").partial); rest > MaxPartial {
			t.Fatalf("%d bytes are kept", rest)
		}
	}
	if err := m.Flush("a"); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(out.String(), "x"); got != 500_000 {
		t.Errorf("%d bytes of 500000 came out", got)
	}
}

type full struct{}

var errFull = errors.New("full")

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestWriteFails(t *testing.T) {
	m := New(full{}, 1, false)
	if err := m.Write("a", []byte("x")); err != nil {
		t.Errorf("what is not written yet fails: %v", err)
	}
	if err := m.Flush("a"); !errors.Is(err, errFull) {
		t.Errorf("got %v", err)
	}
	if err := m.Write("a", []byte("x\n")); !errors.Is(err, errFull) {
		t.Errorf("got %v", err)
	}
}

// Whatever three sources say, in whatever parts: each line is of one of them,
// and what a source said is what its lines hold.
func FuzzMerge(f *testing.F) {
	f.Add([]byte("\x00a\n\x01b\x02c\n\x00\n"))
	f.Add([]byte("\x00abc\x01\n\x00def\n\x02\xff\xfe\n"))
	f.Add(append([]byte{0}, bytes.Repeat([]byte("y"), 2*MaxPartial+1)...))
	f.Fuzz(func(t *testing.T, script []byte) {
		names := []string{"one", "two", "three"}
		var out bytes.Buffer
		m, said := New(&out, 5, false), map[string][]byte{}
		// A byte below 3 says who speaks from here on.
		who := names[0]
		for len(script) > 0 {
			if script[0] < 3 {
				who, script = names[script[0]], script[1:]
				continue
			}
			end := bytes.IndexAny(script, "\x00\x01\x02")
			if end < 0 {
				end = len(script)
			}
			said[who] = append(said[who], script[:end]...)
			if err := m.Write(who, script[:end]); err != nil {
				t.Fatal(err)
			}
			script = script[end:]
		}
		for _, name := range names {
			if err := m.Flush(name); err != nil {
				t.Fatal(err)
			}
		}
		got := map[string][]byte{}
		for line := range bytes.Lines(out.Bytes()) {
			name, text, ok := bytes.Cut(line, []byte(" | "))
			if !ok || line[len(line)-1] != '\n' {
				t.Fatalf("a line without a name, or without an end: %q", line)
			}
			who := strings.TrimRight(string(name), " ")
			got[who] = append(got[who], text...)
		}
		for _, name := range names {
			if want := whole(said[name]); !bytes.Equal(got[name], want) {
				t.Fatalf("%s said %q, which came out as %q", name, want, got[name])
			}
		}
	})
}

// whole is a text as lines: it ends, and a line that is too long is several.
func whole(text []byte) []byte {
	var out []byte
	for line := range bytes.Lines(text) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		for len(line) > MaxPartial {
			out, line = append(append(out, line[:MaxPartial]...), '\n'), line[MaxPartial:]
		}
		out = append(append(out, line...), '\n')
	}
	return out
}
