package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

// count is the outcome of one or more runs.
type count struct {
	passed int
	failed []string // names
}

func (c *count) add(d count) {
	c.passed += d.passed
	c.failed = append(c.failed, d.failed...)
}

// read tells the two formats apart: Ginkgo's report is one array, go test
// writes one object a line.
func read(name string) (count, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return count{}, fmt.Errorf("read the test report: %w", err)
	}
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("[")) {
		return ginkgo(name, text)
	}
	return goTest(name, bytes.NewReader(text), func(string) {})
}

// event is a line of go test -json (go doc test2json).
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
	Elapsed float64 // seconds

	ImportPath string // of build output
}

// goTest counts as it reads, and shows a line a package and the output of what
// failed.
func goTest(name string, in io.Reader, show func(text string)) (count, error) {
	var c count
	output := map[string]string{} // by package and test
	failedIn := map[string]bool{} // packages with a failed test
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return c, fmt.Errorf("%s: not a line of go test -json: %q: %w", name, lines.Text(), err)
		}
		key := e.Package + " " + e.Test
		switch {
		case e.Action == "build-output":
			show(e.Output)
		case e.Action == "output":
			output[key] += e.Output
		case e.Action == "pass" && e.Test != "":
			c.passed++
			delete(output, key)
		case e.Action == "skip" && e.Test != "":
			delete(output, key)
		case e.Action == "fail" && e.Test != "":
			failedIn[e.Package] = true
			c.failed = append(c.failed, key)
			show(output[key])
			delete(output, key)
		case e.Action == "fail": // a package: did not build, panicked, or had failed tests
			if !failedIn[e.Package] {
				c.failed = append(c.failed, e.Package)
			}
			show(unended(output, key))
			show(fmt.Sprintf("%sFAIL\t%s\t%.1fs\n", output[key], e.Package, e.Elapsed))
		case e.Action == "pass":
			show(fmt.Sprintf("ok  \t%s\t%.1fs\n", e.Package, e.Elapsed))
		}
	}
	return c, lines.Err()
}

// unended is the output of the tests of a package that neither passed nor
// failed: why it panicked, or where it hung, is there and nowhere else.
func unended(output map[string]string, pkg string) (all string) {
	for _, key := range slices.Sorted(maps.Keys(output)) {
		if key != pkg && strings.HasPrefix(key, pkg) {
			all += output[key]
		}
	}
	return all
}

// suite is what we need of Ginkgo's report (ginkgo/v2/types.Report).
type suite struct {
	SuiteDescription           string
	SuiteSucceeded             bool
	SpecialSuiteFailureReasons []string
	SpecReports                []struct {
		ContainerHierarchyTexts []string
		LeafNodeText            string
		LeafNodeType            string
		State                   string
	}
}

func ginkgo(name string, text []byte) (count, error) {
	var suites []suite
	if err := json.Unmarshal(text, &suites); err != nil {
		return count{}, fmt.Errorf("%s: not a report of Ginkgo: %w", name, err)
	}
	var c count
	for _, s := range suites {
		before := len(c.failed)
		for _, spec := range s.SpecReports {
			title := strings.Join(append(spec.ContainerHierarchyTexts, spec.LeafNodeText), " ")
			switch {
			case spec.State == "passed" && spec.LeafNodeType == "It":
				c.passed++
			case spec.State != "passed" && spec.State != "skipped" && spec.State != "pending":
				c.failed = append(c.failed, strings.TrimSpace(title+" "+spec.LeafNodeType+" "+spec.State))
			}
		}
		if !s.SuiteSucceeded && len(c.failed) == before {
			c.failed = append(c.failed, s.SuiteDescription+" "+strings.Join(s.SpecialSuiteFailureReasons, "; "))
		}
	}
	return c, nil
}
