package rules

import (
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"
)

// tree is the project itself.
var tree = os.DirFS("../..")

func demandNone(t *testing.T, found []Finding, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		t.Error(f)
	}
}

func TestImportArrows(t *testing.T) {
	found, err := Arrows(tree)
	demandNone(t, found, err)
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	found, err := PackageComments(tree)
	demandNone(t, found, err)
}

func TestWhatDecidesIsPure(t *testing.T) {
	found, err := Purity(tree, Pure)
	demandNone(t, found, err)
	for _, dir := range Pure {
		if _, err := fs.Stat(tree, dir); err != nil {
			t.Errorf("the list of pure packages names %s, which is not there: %v", dir, err)
		}
	}
}

func TestNothingIsKilledByName(t *testing.T) {
	found, err := KillByName(tree)
	demandNone(t, found, err)
}

func TestNothingIsTooLong(t *testing.T) {
	found, err := Length(tree)
	demandNone(t, found, err)
}

func TestEveryTrapHasItsTest(t *testing.T) {
	found, err := TrapTests(tree, Traps)
	demandNone(t, found, err)
}

// The rules must fail when they are broken: each is shown a bad tree.

func files(pairs ...string) fs.FS {
	m := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return m
}

func demandExactly(t *testing.T, found []Finding, err error, want ...string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range found {
		got = append(got, f.String())
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("found\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func TestArrowsThatPointTheWrongWay(t *testing.T) {
	const m = Module
	found, err := Arrows(files(
		"core/a/a.go", "package a\nimport (\n_ \"fmt\"\n_ \""+m+"/core/api\"\n_ \""+m+"/ac-mock/ca\"\n_ \""+m+"/lab\"\n)",
		"ac-mock/a/a.go", "package a\nimport (\n_ \""+m+"/core/api\"\n_ \""+m+"/core/apis\"\n_ \""+m+"/core/boot\"\n)",
		"lab/a.go", "package lab\nimport (\n_ \""+m+"/core/boot\"\n_ \""+m+"/ac-mock/ca\"\n_ \""+m+"/scenarios\"\n)",
		"scenarios/a_test.go", "package s\nimport (\n_ \""+m+"/lab\"\n_ \"github.com/onsi/gomega\"\n_ \""+m+"/core/api\"\n_ \"github.com/other/x\"\n)",
		"e2e/a_test.go", "package e\nimport _ \""+m+"/lab\"",
		"misc/a.go", "package misc",
		"ci/tools/x/go.mod", "module x", "ci/tools/x/a.go", "package x\nimport _ \""+m+"/lab\"",
	))
	demandExactly(t, found, err,
		"ac-mock/a/a.go:4: ac-mock must not import "+m+"/core/apis",
		"ac-mock/a/a.go:5: ac-mock must not import "+m+"/core/boot",
		"core/a/a.go:5: core must not import "+m+"/ac-mock/ca",
		"core/a/a.go:6: core must not import "+m+"/lab",
		"e2e/a_test.go:2: e2e must not import "+m+"/lab",
		"lab/a.go:5: lab must not import "+m+"/scenarios",
		"misc/a.go:1: misc is no folder of the design's tree: give it an arrow in ci/rules",
		"scenarios/a_test.go:5: scenarios must not import "+m+"/core/api",
		"scenarios/a_test.go:6: scenarios must not import github.com/other/x",
	)
}

func TestPackagesThatSayNothing(t *testing.T) {
	found, err := PackageComments(files(
		"a/a.go", "package a",
		"b/b.go", "// Package b counts the sheep of the whole valley.\npackage b", "b/more.go", "package b",
		"c/c.go", "// Package c.\npackage c",
		"d/d.go", "// G8x is a command that does one thing well.\npackage main",
		"e/e.go", "// Something else altogether, of eight words or more.\npackage e",
		"f/f_test.go", "package f",
	))
	demandExactly(t, found, err,
		"a/a.go:1: package a has no comment that says what it is for",
		"c/c.go:2: package c has no comment that says what it is for",
		"e/e.go:2: package e has no comment that says what it is for",
	)
}

func TestPackagesThatAreNotPure(t *testing.T) {
	const bad = `package p
import (
	"os"
	clock "time"
	"math/rand"
)
var _ = clock.Now()
var _ = clock.Second
var _ = os.Args
func f() { go f(); rand.Int(); clock.Sleep(1); <-clock.After(1) }
`
	found, err := Purity(files(
		"p/p.go", bad, "q/q.go", bad, "p/p_test.go", bad,
		"p/dice.go", "package p\nimport \"math/rand/v2\"\nvar _ = rand.New(rand.NewPCG(1, 2)).IntN(6)\nvar _ = rand.IntN(6)",
		"p/net.go", "package p\nimport \"net\"\nvar _ = net.IPv4zero\nvar _, _ = net.Dial(\"tcp\", \"a:1\")",
		"p/ok.go", "package p\ntype time struct{}\nfunc (time) Now() {}\nvar x time\nfunc g() { x.Now() }",
	), []string{"p"})
	demandExactly(t, found, err,
		"p/dice.go:4: p decides, it must use a generator made from a seed it was given instead of calling rand.IntN",
		"p/net.go:4: p decides, it must leave sockets to its shell instead of calling net.Dial",
		"p/p.go:3: p decides, it must not import os (files and processes)",
		"p/p.go:5: p decides, it must not import math/rand (randomness)",
		"p/p.go:7: p decides, it must be given the time instead of calling time.Now",
		"p/p.go:10: p decides, it must be given the time instead of calling time.After",
		"p/p.go:10: p decides, it must be given the time instead of calling time.Sleep",
		"p/p.go:10: p decides, it must not start a goroutine",
	)
}

func TestKillingByName(t *testing.T) {
	found, err := KillByName(files(
		"a.sh", "#!/bin/sh\np"+"kill g8os\n", "Makefile", "x:\n\tkill"+"all dnsmasq\n",
		"b.go", "package b // skills and kill $pid are fine", "README.md", "never kill"+"all",
	))
	demandExactly(t, found, err,
		"Makefile:2: kill"+"all kills by name: kill a pid whose start time was checked",
		"a.sh:2: p"+"kill kills by name: kill a pid whose start time was checked",
	)
}

func TestWhatIsTooLong(t *testing.T) {
	long := strings.Repeat("\n", MaxFile)
	found, err := Length(files(
		"a.go", "package a\n"+long, "gen.go", "// Code generated by x. DO NOT EDIT.\npackage a\n"+long,
		"ok.go", "package a\n"+long[2:], "f.go", "package a\n\nfunc f() {"+strings.Repeat("\n", MaxFunction)+"}",
		"f_test.go", "package a\n"+long+"func g() {"+long+"}",
	))
	demandExactly(t, found, err,
		"a.go:0: has 351 lines, at most 350: split it",
		"f.go:3: f has 81 lines, at most 80: split it",
	)
}

func TestTrapsWithoutATest(t *testing.T) {
	traps := []Trap{{1, "one"}, {3, "three"}, {7, "seven"}, {10, "ten"}, {30, "thirty"}, {31, "thirty-one"}}
	found, err := TrapTests(files(
		"a_test.go", "package a\nfunc TestT01Lo() {}\nfunc TestFlapT07() {}\nfunc helperT03() {}\nfunc TestT100() {}",
		"b_test.go", "package a\nvar _ = It(\"T30 two nodes\")\nvar _ = It(\"about T31 only\")\nvar _ = t.Run(\"T3 is a DHCP timer\", nil)",
		"c.go", "package a\nfunc TestT10() {}",
	), traps)
	demandExactly(t, found, err,
		".:0: no test is named after T3: three",
		".:0: no test is named after T10: ten",
		".:0: no test is named after T31: thirty-one",
	)
}
