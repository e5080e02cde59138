package main

import (
	"bytes"
	"fmt"
	"os"

	pages "github.com/g8os/g8os/lab/report"
	"github.com/g8os/g8os/lab/run/record"
)

type reportCmd struct {
	Record string `arg:"" help:"Record of a run, as g8lab chaos, sim and replay write it."`
	Output string `short:"o" placeholder:"FILE" help:"Where the page goes; - is stdout; default: beside the record."`
}

func (r *reportCmd) Run(std streams) error {
	rec, err := record.Read(r.Record)
	if err != nil {
		return exitError{exitUsage, err}
	}
	var page bytes.Buffer
	if err := pages.HTML(&page, rec, r.Record); err != nil {
		return err
	}
	out := r.Output
	switch out {
	case "-":
		_, err := page.WriteTo(std.out)
		return err
	case "":
		out = beside(r.Record, ".html")
	}
	if err := os.WriteFile(out, page.Bytes(), 0o644); err != nil {
		return fmt.Errorf("report of %s: %w", r.Record, err)
	}
	_, err = fmt.Fprintf(std.out, "%s: %s; open it in a browser\n", rec.End.Verdict, out)
	return err
}
