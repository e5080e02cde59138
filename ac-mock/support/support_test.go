package support

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/ac-mock/support/supporttest"
)

// A part that fails, or has no end, costs itself only.
func TestBundle(t *testing.T) {
	long := bytes.Repeat([]byte{'x'}, MaxPart/4)
	var out bytes.Buffer
	err := Write(t.Context(), &out, "b", time.Unix(0, 0), []Part{
		JSON("good.json", func(context.Context) (any, error) { return []int{1}, nil }),
		JSON("bad.json", func(context.Context) (any, error) { return nil, errors.New("no quorum") }),
		{"long.txt", func(_ context.Context, w io.Writer) (err error) {
			for err == nil {
				_, err = w.Write(long)
			}
			return err
		}},
		{"last.txt", func(_ context.Context, w io.Writer) error { _, err := io.WriteString(w, "end"); return err }},
	})
	if err != nil {
		t.Fatal(err)
	}
	files := supporttest.Files(t, out.Bytes())
	if files["b/good.json"] != "[\n  1\n]\n" || files["b/last.txt"] != "end" || !strings.Contains(files["b/bad.json.error"], "no quorum") {
		t.Errorf("files: %.200q", files)
	}
	if n := len(files["b/long.txt.error"]); n < MaxPart/2 || n > MaxPart+100 {
		t.Errorf("the long part has %d bytes", n)
	}
}

// A client that goes away ends it.
func TestNobodyReads(t *testing.T) {
	r, w := io.Pipe()
	_ = r.CloseWithError(errors.New("gone"))
	if err := Write(t.Context(), w, "b", time.Unix(0, 0), nil); err == nil || !strings.Contains(err.Error(), "gone") {
		t.Errorf("got %v", err)
	}
}

func TestRecent(t *testing.T) {
	r := NewRecent(100)
	for i := range 50 {
		fmt.Fprintf(r, "line %d\n", i)
	}
	_, _ = r.Write(bytes.Repeat([]byte{'y'}, 1000))
	var out bytes.Buffer
	if err := r.Part("log.txt").Write(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	if out.Len() > 100 || !strings.HasPrefix(out.String(), "line 4") || !strings.HasSuffix(out.String(), "yyy") {
		t.Errorf("kept %d bytes: %q", out.Len(), out.String())
	}
}
