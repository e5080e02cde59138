package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"testing"
)

// A command that is attended gets the streams, and its exit code is ours.
func TestAttend(t *testing.T) {
	null, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for script, want := range map[string]exitCode{"echo out; echo err >&2; exit 7": 7, "echo out; echo err >&2; kill -9 $$": 137} {
		var out, errs bytes.Buffer
		err = attend(streams{null, &out, &errs}, func(prepare func(*exec.Cmd)) (*exec.Cmd, error) {
			cmd := exec.Command("sh", "-c", script)
			prepare(cmd)
			return cmd, cmd.Start()
		})
		if code, ok := errors.AsType[exitCode](err); !ok || code != want {
			t.Errorf("%s: got %v, want %v", script, err, want)
		}
		if out.String() != "out\n" || errs.String() != "err\n" {
			t.Errorf("%s: out %q, err %q", script, out.String(), errs.String())
		}
	}
}
