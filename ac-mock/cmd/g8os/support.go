package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

type metricsCmd struct{}

func (metricsCmd) Run(s *session) error {
	c, err := s.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	text, err := c.Metrics(s.ctx)
	if err != nil {
		return err
	}
	_, err = s.stdout.Write(text)
	return err
}

type supportCmd struct {
	File string `arg:"" help:"File to make: a gzipped tar file. It must not be there yet."`
}

func (b *supportCmd) Run(s *session) (err error) {
	c, err := s.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	f, err := os.OpenFile(b.File, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return exitError{exitUsage, fmt.Errorf("%s is there already: remove it, or choose another name", b.File)}
	}
	if err != nil {
		return fmt.Errorf("make the support bundle: %w", err)
	}
	size, err := c.Support(s.ctx, f)
	if err = errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(b.File) // a part would be taken for the whole
		return err
	}
	fmt.Fprintf(s.stderr, "%s: %d KiB; look through it before it leaves the house: tar -tzf %s\n", b.File, (size+1023)/1024, b.File)
	return nil
}
