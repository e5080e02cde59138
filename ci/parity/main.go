// Parity sets the reports of scenarios at several fidelities side by side: one
// line a scenario, one column a fidelity, with the time it took, or the reason
// why it does not run there. It exits 1 when a scenario passed at one fidelity
// and failed at another, and when one neither ran nor says why.
//
//	parity build/reports/scenarios-sim.json build/reports/scenarios-netns.json …
//
// The fidelity is in the report's name. A scenario names those at which it
// runs with a label each, and the others with a label "not F: why".
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/g8os/g8os/ci/parity/compare"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "parity:", err)
		os.Exit(1)
	}
}

func run(files []string, out io.Writer) error {
	if len(files) == 0 {
		return fmt.Errorf("no report given; ci/test scenarios writes them to build/reports/scenarios-FIDELITY.json")
	}
	var reports []compare.Report
	for _, f := range files {
		r, err := read(f)
		if err != nil {
			return err
		}
		reports = append(reports, r)
	}
	table := compare.Of(reports)
	table.Write(out)
	return table.Verdict()
}

// suite is what we need of Ginkgo's report (ginkgo/v2/types.Report).
type suite struct {
	SpecReports []struct {
		ContainerHierarchyTexts  []string
		ContainerHierarchyLabels [][]string
		LeafNodeText             string
		LeafNodeLabels           []string
		LeafNodeType             string
		State                    string
		RunTime                  time.Duration
	}
}

func read(file string) (compare.Report, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return compare.Report{}, fmt.Errorf("read the report: %w", err)
	}
	var suites []suite
	if err := json.Unmarshal(text, &suites); err != nil {
		return compare.Report{}, fmt.Errorf("%s: not a report of Ginkgo: %w", file, err)
	}
	_, fidelity, _ := strings.Cut(strings.TrimSuffix(filepath.Base(file), ".json"), "-")
	r := compare.Report{Fidelity: fidelity}
	for _, s := range suites {
		for _, spec := range s.SpecReports {
			if spec.LeafNodeType != "It" {
				continue
			}
			r.Specs = append(r.Specs, compare.Spec{
				Name:   strings.Join(append(slices.Clone(spec.ContainerHierarchyTexts), spec.LeafNodeText), " "),
				Labels: append(slices.Concat(spec.ContainerHierarchyLabels...), spec.LeafNodeLabels...),
				State:  spec.State,
				Took:   spec.RunTime,
			})
		}
	}
	return r, nil
}
