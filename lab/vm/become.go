package vm

import (
	"cmp"
	"context"
	"os"
	"path/filepath"

	"github.com/g8os/g8os/lab/vm/frozen"
)

// becomes reports whether a clone is to be its template's process.
func (s Spec) becomes() bool {
	return s.Library != "" && s.Template != nil && s.Template.HasFrozen()
}

// run starts QEMU and makes it the machine.
func (v *VM) run(ctx context.Context, run Runner, s Spec) error {
	argv := s.Machine.Args()
	if s.becomes() {
		argv = frozen.Becoming(s.Library, s.Template.Frozen(), s.own(), argv)
	}
	if err := run.Start(ctx, argv); err != nil {
		return err
	}
	return v.assemble(ctx, run, s)
}

// own are the files that a clone has for itself, by their names in a template.
func (s Spec) own() map[string]string {
	files := map[string]string{
		filepath.Base(s.Template.Memory()):  s.Template.Memory(),
		filepath.Base(s.Template.Console()): cmp.Or(s.Machine.Log, os.DevNull),
	}
	for _, path := range s.Machine.Dir.Sockets() {
		files[filepath.Base(path)] = path
	}
	return files
}
