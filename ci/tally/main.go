// Tally counts the tests of a run: it reads what go test -json and Ginkgo's
// JSON report wrote and ends with the line "N passed, N failed". It exits 1
// when a test failed, when a package did not build, or when there was none.
//
//	tally FILE…                           the count
//	go test -json … | tally -show FILE    keep the report in FILE, and meanwhile
//	                                      show one line a package and what
//	                                      failed tests printed
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "tally:", err)
		os.Exit(1)
	}
}

func run(args []string, in io.Reader, out io.Writer) error {
	flags := flag.NewFlagSet("tally", flag.ContinueOnError)
	keep := flags.String("show", "", "show what comes in on stdin, and keep it in this file")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *keep != "" {
		return show(*keep, in, out)
	}
	var sum count
	for _, name := range flags.Args() {
		c, err := read(name)
		if err != nil {
			return err
		}
		sum.add(c)
	}
	for _, name := range sum.failed {
		fmt.Fprintln(out, "FAIL", name)
	}
	fmt.Fprintf(out, "%d passed, %d failed\n", sum.passed, len(sum.failed))
	if len(sum.failed) > 0 || sum.passed == 0 {
		return fmt.Errorf("%d of %d tests failed", len(sum.failed), sum.passed+len(sum.failed))
	}
	return nil
}

func show(keep string, in io.Reader, out io.Writer) error {
	f, err := os.Create(keep)
	if err != nil {
		return fmt.Errorf("keep the test report: %w", err)
	}
	defer f.Close()
	_, err = goTest("stdin", io.TeeReader(in, f), func(text string) { fmt.Fprint(out, text) })
	return err
}
