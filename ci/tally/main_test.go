package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func tally(t *testing.T, args []string, reports ...string) (string, error) {
	t.Helper()
	for _, text := range reports {
		name := filepath.Join(t.TempDir(), "report.json")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, name)
	}
	var out bytes.Buffer
	err := run(args, strings.NewReader(""), &out)
	return out.String(), err
}

const good = `{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"noise\n"}
{"Action":"pass","Package":"p","Test":"TestA","Elapsed":0.1}
{"Action":"pass","Package":"p","Elapsed":0.2}
`

const bad = `{"Action":"output","Package":"q","Test":"TestB","Output":"q_test.go:7: want 1\n"}
{"Action":"fail","Package":"q","Test":"TestB","Elapsed":0.1}
{"Action":"fail","Package":"q","Elapsed":0.2}
`

const broken = `{"ImportPath":"r","Action":"build-output","Output":"r.go:1: syntax error\n"}
{"Action":"fail","Package":"r","Elapsed":0}
`

const died = `{"Action":"output","Package":"s","Test":"TestD","Output":"panic: boo\n"}
{"Action":"output","Package":"s","Test":"TestSkipped","Output":"left out\n"}
{"Action":"skip","Package":"s","Test":"TestSkipped","Elapsed":0.1}
{"Action":"fail","Package":"s","Elapsed":0.2}
`

const specs = `[{"SuiteDescription":"scenarios","SuiteSucceeded":false,"SpecReports":[
{"LeafNodeType":"BeforeSuite","State":"passed"},
{"ContainerHierarchyTexts":["the three ways"],"LeafNodeText":"dhcp","LeafNodeType":"It","State":"passed"},
{"ContainerHierarchyTexts":["the three ways"],"LeafNodeText":"fallback","LeafNodeType":"It","State":"timedout"},
{"LeafNodeText":"later","LeafNodeType":"It","State":"skipped"}]}]`

func TestCounts(t *testing.T) {
	for name, c := range map[string]struct {
		reports []string
		want    string
		fails   bool
	}{
		"all good":        {[]string{good}, "1 passed, 0 failed\n", false},
		"one bad":         {[]string{good, bad}, "FAIL q TestB\n1 passed, 1 failed\n", true},
		"does not build":  {[]string{good, broken}, "FAIL r\n1 passed, 1 failed\n", true},
		"died":            {[]string{good, died}, "FAIL s\n1 passed, 1 failed\n", true},
		"scenarios":       {[]string{good, specs}, "FAIL the three ways fallback It timedout\n2 passed, 1 failed\n", true},
		"suite broke":     {[]string{good, `[{"SuiteDescription":"s","SpecialSuiteFailureReasons":["interrupted"]}]`}, "FAIL s interrupted\n1 passed, 1 failed\n", true},
		"nothing was run": {[]string{""}, "0 passed, 0 failed\n", true},
	} {
		out, err := tally(t, nil, c.reports...)
		if out != c.want || (err != nil) != c.fails {
			t.Errorf("%s: got %q, %v; want %q, an error: %v", name, out, err, c.want, c.fails)
		}
	}
}

func TestReportsAreNeverTakenForGood(t *testing.T) {
	for name, text := range map[string]string{"garbage": "ok p 0.1s\n", "half a report": "[{"} {
		if out, err := tally(t, nil, good, text); err == nil {
			t.Errorf("%s: got %q and no error", name, out)
		}
	}
	if err := run([]string{filepath.Join(t.TempDir(), "none.json")}, strings.NewReader(""), &bytes.Buffer{}); err == nil {
		t.Error("a report that is not there was taken for good")
	}
}

func TestShowing(t *testing.T) {
	keep := filepath.Join(t.TempDir(), "kept.json")
	var out bytes.Buffer
	if err := run([]string{"-show", keep}, strings.NewReader(good+bad+broken+died), &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"ok  \tp\t", "q_test.go:7: want 1", "FAIL\tq\t", "r.go:1: syntax error", "panic: boo"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("want %q in:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "noise") || strings.Contains(out.String(), "left out") {
		t.Errorf("output of a test that passed is shown:\n%s", out.String())
	}
	if kept, _ := os.ReadFile(keep); string(kept) != good+bad+broken+died {
		t.Errorf("kept %q", kept)
	}
}
