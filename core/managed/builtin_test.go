package managed

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/g8os/g8os/core/api"
)

func TestBuiltins(t *testing.T) {
	type in struct{ Name string }
	builtins := map[api.Builtin]Builtin{
		"greet": JSON(func(_ context.Context, i in) (string, error) { return "hello " + i.Name, nil }),
		"fail":  JSON(func(context.Context, in) (string, error) { return "", errors.New("no such thing") }),
		"hang":  JSON(func(ctx context.Context, _ in) (string, error) { <-ctx.Done(); return "", ctx.Err() }),
	}
	for _, c := range []struct {
		name   api.Builtin
		args   string
		code   int
		out    string
		reason string
	}{
		{"greet", `{"Name":"ann"}`, 0, "\"hello ann\"\n", ""},
		{"greet", `{"Name":7}`, codeNotRunnable, "", "arguments: "},
		{"fail", ``, 1, "", "fail: no such thing"},
		{"hang", ``, 1, "", "longer than its timeout"},
		{"none", ``, codeNotFound, "", `builtin "none"`},
	} {
		jobs := NewJobs(slog.New(slog.DiscardHandler), builtins)
		session := jobs.attach()
		jobs.start("j", api.ExecRequest{Builtin: c.name, Args: json.RawMessage(c.args), TimeoutMS: 50}, 0)
		var out string
		f, _ := jobs.take(session)
		for ; f.Type == api.FrameOutput; f, _ = jobs.take(session) {
			out += string(f.Data)
		}
		if f.Code != c.code || out != c.out || !strings.Contains(f.Error, c.reason) || c.reason == "" && f.Error != "" {
			t.Errorf("%s %s: %q, code %d, error %q", c.name, c.args, out, f.Code, f.Error)
		}
	}
}
