package main

import (
	"strings"
	"testing"
)

func TestEscape(t *testing.T) {
	for _, tt := range []struct {
		typed []string
		sent  string
		left  bool
	}{
		{[]string{"~."}, "", true},
		{[]string{"~", "."}, "", true},
		{[]string{"ls\r~."}, "ls\r", true},
		{[]string{"ls\n", "~", ".x"}, "ls\n", true},
		{[]string{"ls ~."}, "ls ~.", false},
		{[]string{"~~."}, "~.", false},
		{[]string{"~/bin\r"}, "~/bin\r", false},
		{[]string{"~"}, "", false},
		{[]string{"~\r~."}, "~\r", true},
	} {
		var e escape
		var sent strings.Builder
		var left bool
		for _, in := range tt.typed {
			var out []byte
			out, left = e.pass([]byte(in))
			sent.Write(out)
		}
		if sent.String() != tt.sent || left != tt.left {
			t.Errorf("%q: %q, %t; want %q, %t", tt.typed, sent.String(), left, tt.sent, tt.left)
		}
	}
}

func TestParseForward(t *testing.T) {
	for in, want := range map[string]forwarded{
		"8080:80":                 {"127.0.0.1:8080", "127.0.0.1:80"},
		"0:80":                    {"127.0.0.1:0", "127.0.0.1:80"},
		"5432:db.internal:5432":   {"127.0.0.1:5432", "db.internal:5432"},
		"0.0.0.0:8080:80":         {"0.0.0.0:8080", "127.0.0.1:80"},
		"[::1]:8080:[fe80::1]:80": {"[::1]:8080", "[fe80::1]:80"},
		"8080:[fe80::1]:80":       {"127.0.0.1:8080", "[fe80::1]:80"},
		"9000:unix:/run/a:b.sock": {"127.0.0.1:9000", "unix:/run/a:b.sock"},
		"::9000:80":               {},
		"localhost:9000:unix:/a":  {"localhost:9000", "unix:/a"},
		"80":                      {},
		"80:":                     {},
		"a:b":                     {},
		"1:2:3:4:5":               {},
		"8080:host:http":          {},
		"70000:80":                {},
		":unix:/a":                {},
	} {
		got, err := parseForward(in)
		if got != want || (err == nil) != (want != forwarded{}) {
			t.Errorf("%s: %+v, %v; want %+v", in, got, err, want)
		}
	}
}

func TestSides(t *testing.T) {
	for in, want := range map[string]string{
		"a n1:/b":                "[a] n1:/b",
		"n1:/b .":                "[n1:/b] .",
		"02:00:00:00:00:01:/b c": "[02:00:00:00:00:01:/b] c",
		"a b n1:/c":              "[a b] n1:/c/.",
		"a b n1:/c/":             "[a b] n1:/c/.",
		"n1:/a n2:/b":            "both on nodes",
		"a b":                    "neither",
		"./a:/b n1:/c":           "[./a:/b] n1:/c",
		"a":                      "want g8os cp",
		"n1:/a n1:/b -":          "do not go to stdout",
		"a n1:b":                 "neither",
	} {
		c := cpCmd{Places: strings.Fields(in)}
		from, to, err := c.sides()
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			var names []string
			for _, f := range from {
				names = append(names, f.String())
			}
			got = "[" + strings.Join(names, " ") + "] " + to.String()
		}
		if !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}
