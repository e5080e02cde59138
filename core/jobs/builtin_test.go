package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/jobs/run"
)

func TestBuiltins(t *testing.T) {
	type in struct{ Name string }
	builtins := map[api.Builtin]Builtin{
		"greet": JSON(func(_ context.Context, i in) (string, error) { return "hello " + i.Name, nil }),
		"fail":  JSON(func(context.Context, in) (string, error) { return "", errors.New("no such thing") }),
		"hang":  JSON(func(ctx context.Context, _ in) (string, error) { <-ctx.Done(); return "", ctx.Err() }),
	}
	for _, c := range []struct {
		name    api.Builtin
		args    string
		code    int
		out     string
		reason  string
		timeout int64
	}{
		{"greet", `{"Name":"ann"}`, 0, "\"hello ann\"\n", "", 0},
		{"greet", `{"Name":7}`, run.CodeNotRunnable, "", "arguments: ", 0},
		{"fail", ``, 1, "", "fail: no such thing", 0},
		{"hang", ``, 1, "", "longer than its timeout", 50},
		{"none", ``, run.CodeNotFound, "", `builtin "none"`, 0},
	} {
		jobs := opened(t, Options{Builtins: builtins})
		session := jobs.Attach()
		jobs.Start("j", api.ExecRequest{Builtin: c.name, Args: json.RawMessage(c.args), TimeoutMS: c.timeout}, 0, false)
		var out string
		f, _ := take(jobs, session)
		for ; f.Type == api.FrameOutput; f, _ = take(jobs, session) {
			out += string(f.Data)
		}
		if f.Code != c.code || out != c.out || !strings.Contains(f.Error, c.reason) || c.reason == "" && f.Error != "" {
			t.Errorf("%s %s: %q, code %d, error %q", c.name, c.args, out, f.Code, f.Error)
		}
	}
}
