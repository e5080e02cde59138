package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// bound is one promise: at most (or at least) so much.
type bound struct {
	Name    string  `json:"bound"`
	Limit   float64 `json:"limit"`
	Unit    string  `json:"unit"`
	AtLeast bool    `json:"at_least,omitempty"`
}

// result is what was measured for a bound, or why it was not.
type result struct {
	bound
	Measured float64 `json:"measured"`
	Error    string  `json:"error,omitempty"`
}

func (b bound) measured(v float64) result { return result{bound: b, Measured: v} }
func (b bound) failed(err error) result   { return result{bound: b, Error: err.Error()} }

// all gives several bounds the same failure.
func failedAll(err error, bounds ...bound) []result {
	var rs []result
	for _, b := range bounds {
		rs = append(rs, b.failed(err))
	}
	return rs
}

func (r result) holds() bool {
	if r.Error != "" {
		return false
	}
	if r.AtLeast {
		return r.Measured >= r.Limit
	}
	return r.Measured <= r.Limit
}

func (r result) word() string {
	switch {
	case r.Error != "":
		return "NOT MEASURED: " + r.Error
	case r.holds():
		return "holds"
	}
	return "MISSED"
}

func (r result) sign() string {
	if r.AtLeast {
		return "≥"
	}
	return "≤"
}

func printTable(out io.Writer, results []result) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "BOUND\tLIMIT\tMEASURED\tRATIO\tVERDICT")
	for _, r := range results {
		measured, ratio := "-", "-"
		if r.Error == "" {
			measured = fmt.Sprintf("%.4g %s", r.Measured, r.Unit)
			ratio = fmt.Sprintf("%.2f", r.Measured/r.Limit)
		}
		fmt.Fprintf(w, "%s\t%s %.4g %s\t%s\t%s\t%s\n", r.Name, r.sign(), r.Limit, r.Unit, measured, ratio, r.word())
	}
	return w.Flush()
}

// verdict is an error that counts what does not hold; nil when all holds.
func verdict(results []result) error {
	bad := 0
	for _, r := range results {
		if !r.holds() {
			bad++
		}
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d bounds do not hold", bad, len(results))
	}
	return nil
}
