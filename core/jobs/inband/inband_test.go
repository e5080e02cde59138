package inband

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// messages are all that come of pieces, up to the end.
func messages(p *Parser, pieces ...[]byte) (all []Message) {
	take := func(m Message) {
		m.Text = bytes.Clone(m.Text)
		all = append(all, m)
	}
	for _, piece := range pieces {
		p.Write(piece, take)
	}
	p.End(take)
	return all
}

func all(p *Parser, pieces ...string) (out []string) {
	var raw [][]byte
	for _, s := range pieces {
		raw = append(raw, []byte(s))
	}
	for _, m := range messages(p, raw...) {
		text := fmt.Sprintf("%d %s", m.Level, m.Text)
		if m.Cut {
			text += " …"
		}
		out = append(out, text)
	}
	return out
}

func TestT21_T26Levels(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"plain":               {"hello\nworld\n", "1 hello|1 world"},
		"no end":              {"hello", "1 hello"},
		"blank lines":         {"a\n\nb\n", "1 a|1 |1 b"},
		"a level":             {"7::disk nearly full\n", "7 disk nearly full"},
		"no text":             {"9::\n", "9 "},
		"a block":             {"8:::\none\n\ntwo\n:::\nafter\n", "8 one\n\ntwo|1 after"},
		"an empty block":      {"8:::\n:::\n", "8 "},
		"a block without end": {"20:::\n{\n", "20 {"}, // T21
		"a line in a block":   {"8:::\n7::x\n:::\n", "8 7::x"},
		"colons in a text":    {"4::::a\n", "4 ::a"},
		"a spoofed end":       {"50::0\n50:::\n", "1 50::0|1 50:::"}, // T26
		"unknown levels":      {"0::a\n07::a\n12::a\n101::a\n9999::a\n-7::a\n 7::a\n::a\n:::\n", "1 0::a|1 07::a|1 12::a|1 101::a|1 9999::a|1 -7::a|1  7::a|1 ::a|1 :::"},
		"binary":              {"\x00\xff7::x\n7::\x00\xff\n", "1 \x00\xff7::x|7 \x00\xff"}, // T22
		"carriage returns":    {"8:::\r\na\r\n:::\r\n", "8 a\r"},
	} {
		if got := strings.Join(all(New(1), c.text), "|"); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		if got := strings.Join(all(New(1), strings.Split(c.text, "")...), "|"); got != c.want {
			t.Errorf("%s, byte by byte: %q, want %q", name, got, c.want)
		}
	}
	if got := all(New(2), "x\n"); got[0] != "2 x" {
		t.Errorf("a stream of level 2: %q", got)
	}
}

// Lines and blocks that do not end take a bounded memory, and nothing of them is
// lost.
func TestT22EndlessLinesAreCut(t *testing.T) {
	for _, begin := range []string{"", "7::", "8:::\n", "8:::\n" + strings.Repeat("line\n", 30_000)} {
		p := New(1)
		text := begin + strings.Repeat("x", 5*MaxMessage/2)
		n := 0
		for _, m := range messages(p, []byte(text)) {
			if len(m.Text) > MaxMessage {
				t.Errorf("%.10q: a message of %d bytes", begin, len(m.Text))
			}
			n += bytes.Count(m.Text, []byte("x"))
		}
		if n != 5*MaxMessage/2 {
			t.Errorf("%.10q: %d bytes came back of %d", begin, n, 5*MaxMessage/2)
		}
	}
}

func FuzzParser(f *testing.F) {
	f.Add([]byte("7::a\n8:::\nb\n:::\nc"), 3)
	f.Add([]byte("50::0\n:::\n\x00"), 1)
	f.Fuzz(func(t *testing.T, text []byte, cut int) {
		whole, parts := New(1), New(1)
		want := messages(whole, text)
		got := messages(parts, slices.Collect(slices.Chunk(text, max(1, min(cut, 1000))))...)
		if a, b := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); a != b {
			t.Fatalf("in parts of %d it is %s, as a whole %s", cut, a, b)
		}
		for _, m := range got {
			if m.Level == 50 || m.Level > 30 || len(m.Text) > MaxMessage {
				t.Fatalf("level %d, %d bytes", m.Level, len(m.Text))
			}
		}
	})
}
