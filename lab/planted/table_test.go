//go:build planted

package planted

import (
	"cmp"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/g8os/g8os/internal/planted"
	"github.com/g8os/g8os/internal/table"
)

// findings are the rows of the table, as they come.
var findings [][]string

// note adds what became of a bug.
func note(bug planted.Bug, fidelity, how string, f found) {
	at := "-"
	if f.by != "" {
		at = f.at.Round(100 * time.Millisecond).String()
	}
	findings = append(findings, []string{
		string(bug), fidelity, how, cmp.Or(string(f.by), "-"), at, f.cost.Round(time.Millisecond).String(), cmp.Or(f.text, "-"),
	})
}

// TestMain prints what was found, into the file that G8OS_PLANTED_TABLE names
// or, without it, on the terminal.
func TestMain(m *testing.M) {
	code := m.Run()
	if err := report(os.Getenv("G8OS_PLANTED_TABLE")); err != nil {
		fmt.Fprintln(os.Stderr, "the table of planted bugs:", err)
		code = 1
	}
	os.Exit(code)
}

func report(path string) error {
	out := os.Stdout
	if path != "" {
		f, err := os.Create(path)
		if err != nil {
			return err
		}
		defer f.Close()
		out = f
	}
	t := table.Table{Head: []string{"BUG", "FIDELITY", "FOUND BY", "INVARIANT", "AFTER", "MACHINE TIME", "WHAT WAS SAID"}, Rows: findings, Wraps: true}
	return t.Print(out)
}
