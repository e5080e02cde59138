package upgrade

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"syscall"
	"time"

	"github.com/g8os/g8os/core/upgrade/trial"
)

// builtInVar tells a binary that was started by Stage where the built-in one is.
const builtInVar = "G8OS_CORE_BUILTIN"

// builtInBuildVar tells it which build that is.
const builtInBuildVar = "G8OS_CORE_BUILTIN_BUILD"

// BuiltIn is the build of the image or the package, whichever runs.
func BuiltIn() trial.Build {
	var b trial.Build
	if !Staged() || json.Unmarshal([]byte(os.Getenv(builtInBuildVar)), &b) != nil {
		return Self()
	}
	return b
}

// BuiltInPath is the binary of the image or the package, whichever runs.
func BuiltInPath() (string, error) {
	if path := os.Getenv(builtInVar); path != "" {
		return path, nil
	}
	return os.Executable()
}

// Staged says whether this process was started by Stage as a kept binary.
func Staged() bool { return os.Getenv(builtInVar) != "" }

// Stage is the first thing that g8os_core run does: it goes on as the binary
// that is to run, in this process. It returns if that is this one, or if
// the other one cannot be started; then it says why.
func (s Store) Stage(log *slog.Logger) {
	if Staged() {
		return
	}
	if _, err := os.Stat(s.Dir); err != nil {
		return // never upgraded
	}
	run, why, err := s.choose()
	if err != nil {
		log.Error("which g8os_core is to run is not known: the one of the image or package does", "error", err)
		return
	}
	if why != "" {
		log.Warn("g8os_core", "runs", shown(run), "why", why)
	}
	if run == trial.BuiltIn {
		return
	}
	err = s.execute(run)
	log.Error("g8os_core cannot be started: the one of the image or package runs", "file", s.Path(run), "error", err)
	if r, readErr := s.Read(); readErr == nil && r.Trial != nil {
		if err := s.RollBack(r.Trial.ID, fmt.Sprintf("it cannot be started: %v", err)); err != nil {
			log.Error("g8os_core: not taken back", "error", err)
			return
		}
		s.Stage(log) // the one before it may be a kept one too
	}
}

func (s Store) execute(sum string) error {
	self, err1 := os.Executable()
	build, err2 := json.Marshal(Self())
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	return syscall.Exec(s.Path(sum), os.Args, append(os.Environ(), builtInVar+"="+self, builtInBuildVar+"="+string(build)))
}

func (s Store) choose() (run, why string, err error) {
	_, err = s.Change(func(r trial.Record) (next trial.Record, _ error) {
		w := trial.World{BuiltIn: Self(), SameRun: r.Trial != nil && s.sameRun(r.Trial.ID), Whole: s.Whole}
		next, run, why = r.Start(w, time.Now())
		return next, nil
	})
	return run, why, err
}

func shown(sum string) string {
	if sum == trial.BuiltIn {
		return "that of the image or package"
	}
	return sum[:12]
}

// Restart replaces this process by the binary that is to run now, with the same
// arguments. It returns only if that fails. What is to go on has to be on the
// disk: nothing but pid, standard streams and children stays.
func Restart() error {
	path, err := BuiltInPath()
	if err != nil {
		return fmt.Errorf("restart: %w", err)
	}
	if err := os.Unsetenv(builtInVar); err != nil {
		return fmt.Errorf("restart: %w", err)
	}
	if err := syscall.Exec(path, os.Args, os.Environ()); err != nil {
		return fmt.Errorf("restart: execute %s: %w", path, err)
	}
	return nil
}
