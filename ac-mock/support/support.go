// Package support makes a support bundle: one file with what somebody needs who
// is to find out from afar what ails an AC.
//
// It promises a bundle that is whole or says of a part why it is not there, and
// bounded sizes. That no secret is in it is the promise of the parts: logs,
// configuration, book and audit log hold none, and a test searches a bundle for
// every one of a grid.
package support

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// MaxPart bounds one part in bytes; what goes beyond is left out, and said.
const MaxPart = 64 << 20

// Part is one file of a bundle.
type Part struct {
	Name  string // of the file
	Write func(ctx context.Context, w io.Writer) error
}

// JSON is a part that holds a value as readable JSON.
func JSON(name string, get func(context.Context) (any, error)) Part {
	return Part{Name: name, Write: func(ctx context.Context, w io.Writer) error {
		v, err := get(ctx)
		if err != nil {
			return err
		}
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(v)
	}}
}

// Write writes a bundle to w: a gzipped tar file with a folder in it. A part
// that fails becomes a file PART.error that says why. The error is that of w.
func Write(ctx context.Context, w io.Writer, folder string, now time.Time, parts []Part) error {
	zip := gzip.NewWriter(w)
	files := tar.NewWriter(zip)
	for _, p := range parts {
		name, text := p.Name, limited{}
		if err := p.Write(ctx, &text); err != nil {
			name += ".error"
			fmt.Fprintf(&text, "\n%s\n", err)
		}
		if err := add(files, folder+"/"+name, now, text.Bytes()); err != nil {
			return fmt.Errorf("write the support bundle: %w", err)
		}
	}
	if err := errors.Join(files.Close(), zip.Close()); err != nil {
		return fmt.Errorf("write the support bundle: %w", err)
	}
	return nil
}

func add(files *tar.Writer, name string, now time.Time, text []byte) error {
	if err := files.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(text)), ModTime: now}); err != nil {
		return err
	}
	_, err := files.Write(text)
	return err
}

// limited takes up to MaxPart bytes, and room for the reason why it ends there.
type limited struct{ bytes.Buffer }

var errLong = fmt.Errorf("cut at %d bytes", MaxPart)

// Write implements io.Writer.
func (l *limited) Write(b []byte) (int, error) {
	if l.Len()+len(b) > MaxPart {
		return 0, errLong
	}
	return l.Buffer.Write(b)
}
