package channel

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/internal/transfer"
)

func TestPutAndGet(t *testing.T) {
	dir := t.TempDir()
	there := filepath.Join(dir, "file")
	when := time.Date(2020, 1, 2, 3, 4, 5, 6, time.UTC)
	text := bytes.Repeat([]byte("0123456789"), 200_000)
	op := open(t, api.ChannelOpen{Kind: api.ChannelPut, Path: there, Name: "x", Mode: 0o751, ModTime: when, Bytes: int64(len(text))})
	op.ready()
	sum, err := transfer.SendFrom(t.Context(), op.Writer(api.FrameData), bytes.NewReader(text), int64(len(text)))
	if err != nil {
		t.Fatal(err)
	}
	if err := op.SendJSON(api.FrameEOF, sum); err != nil {
		t.Fatal(err)
	}
	if _, _, end := op.end(); end.Error != "" || end.Sum == nil || *end.Sum != sum {
		t.Fatalf("%+v", end)
	}
	st, err := os.Stat(there)
	if err != nil || st.Mode() != 0o751 || !st.ModTime().Equal(when) {
		t.Errorf("%v, %v", st, err)
	}

	op = open(t, api.ChannelOpen{Kind: api.ChannelGet, Path: there})
	if r := op.ready(); r.Folder || r.Mode != 0o751 || !r.ModTime.Equal(when) || r.Bytes != int64(len(text)) {
		t.Errorf("%+v", r)
	}
	data := op.Data()
	got, err := transfer.SendFrom(t.Context(), &bytes.Buffer{}, data, -1)
	if err != nil {
		t.Fatal(err)
	}
	if sent, err := data.Sum(); err != nil || transfer.Check(sent, got) != nil || got != sum {
		t.Errorf("%v, %+v, %+v", err, sent, got)
	}
	if _, _, end := op.end(); end.Code != 0 || end.Error != "" {
		t.Errorf("%+v", end)
	}
}

// A put that is cut off, or whose sum is another, leaves nothing.
func TestPutThatFails(t *testing.T) {
	for what, tt := range map[string]struct {
		finish func(*operator)
		err    string
	}{
		"cut":       {func(op *operator) { op.Close() }, ""},
		"wrong sum": {func(op *operator) { _ = op.SendJSON(api.FrameEOF, api.ChannelSum{Bytes: 4, SHA256: "00"}) }, "what arrived is not what was sent"},
		"no sum":    {func(op *operator) { op.eof() }, "frame"},
		"nonsense":  {func(op *operator) { _ = op.SendJSON(api.FrameReady, api.ChannelReady{}) }, "want data"},
	} {
		dir := t.TempDir()
		op := open(t, api.ChannelOpen{Kind: api.ChannelPut, Path: filepath.Join(dir, "f"), Name: "x", Bytes: -1})
		op.ready()
		op.say("data")
		tt.finish(op)
		if tt.err != "" {
			if _, _, end := op.end(); !strings.Contains(end.Error, tt.err) || end.Code != 1 {
				t.Errorf("%s: %+v", what, end)
			}
		}
		op.Close()
		op.gone()
		if list, _ := os.ReadDir(dir); len(list) != 0 {
			t.Errorf("%s: %v is left", what, list)
		}
	}
}

func TestFilesThatCannotBe(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct {
		open api.ChannelOpen
		err  string
	}{
		{api.ChannelOpen{Kind: api.ChannelGet, Path: dir}, "copy it with -r"},
		{api.ChannelOpen{Kind: api.ChannelGet, Path: "/dev/zero"}, "neither a file nor a folder"},
		{api.ChannelOpen{Kind: api.ChannelGet, Path: dir + "/none"}, "no such file"},
		{api.ChannelOpen{Kind: api.ChannelPut, Path: dir + "/none/f", Name: "f"}, "no such file"},
		{api.ChannelOpen{Kind: api.ChannelPut, Path: dir + "/f", Name: "f", Bytes: 1 << 60}, "no space left"},
		{api.ChannelOpen{Kind: api.ChannelPut, Path: dir, Name: "../f"}, "name"},
	} {
		if _, _, end := open(t, tt.open).end(); !strings.Contains(end.Error, tt.err) || end.Code == 0 {
			t.Errorf("%+v: %+v", tt.open, end)
		}
	}
}

// An operator who never takes what he asked for costs a window, and goes.
func TestGetThatNobodyTakes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "big")
	if err := os.WriteFile(path, make([]byte, 8<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	op := open(t, api.ChannelOpen{Kind: api.ChannelGet, Path: path})
	op.ready()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	<-ctx.Done()
	op.Close()
	op.gone()
}
