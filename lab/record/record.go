// Package record is the memory of a lab: what it is about to make and what it
// has made, so that any later process can take it all down again, whatever
// happened to the one that built it.
//
//	/run/g8lab/NAME.lock      one builder or destroyer at a time (flock)
//	/run/g8lab/NAME/          logs, sockets, volatile files
//	    lab.json              what was asked for; replaced by rename
//	    journal.jsonl         one line an event, only ever added to
//	/var/lib/g8lab/NAME/      disks, the AC's data
//
// It promises: a directory is written down before it is made, a process
// before it is allowed to do anything (see lab/machine); a line cut short by a
// crash is ignored; only a process whose pid, start time and boot match is
// ever killed. It is not the record of a run's checks and packets.
package record

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

// RunRoot and DataRoot are where labs live.
const (
	RunRoot  = "/run/g8lab"
	DataRoot = "/var/lib/g8lab"
)

// MaxName is the longest name of a lab: paths of its sockets must fit in 107 bytes.
const MaxName = 15

var nameForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)

// CheckName says whether a lab can be called so.
func CheckName(name string) error {
	if len(name) > MaxName || !nameForm.MatchString(name) {
		return fmt.Errorf("lab name %q: want 1 to %d of a-z, 0-9 and -, not at either end", name, MaxName)
	}
	return nil
}

// Record is the record of one lab.
type Record struct {
	Name string
	Run  string // directory of volatile files
	Data string // directory of files that survive a reboot
	lock *os.File
}

// Of names the record of a lab without touching anything.
func Of(name string) *Record {
	return &Record{Name: name, Run: filepath.Join(RunRoot, name), Data: filepath.Join(DataRoot, name)}
}

// ErrBusy is wrapped when another process builds or destroys the lab now.
var ErrBusy = errors.New("another g8lab is at work on this lab")

// patience is how long Lock waits: a builder that was killed can leave a child
// behind that has not yet let go of its files.
const patience = time.Second

// Lock makes this process the one that changes the lab. The lock goes with
// the process. A lock file removed by the previous holder is made anew.
func (r *Record) Lock() error {
	path := r.Run + ".lock"
	for until := time.Now().Add(patience); ; {
		f, err := tryLock(path)
		switch {
		case err == nil && same(f, path):
			r.lock = f
			return nil
		case err == nil: // removed between open and lock
			_ = f.Close()
		case errors.Is(err, fs.ErrNotExist): // the last lab just went and took the directory along
		case errors.Is(err, syscall.EWOULDBLOCK) && time.Now().Before(until):
			time.Sleep(20 * time.Millisecond)
		case errors.Is(err, syscall.EWOULDBLOCK):
			return fmt.Errorf("lab %s: %w; wait for it, or end it", r.Name, ErrBusy)
		default:
			return fmt.Errorf("lock lab %s: %w", r.Name, err)
		}
	}
}

func tryLock(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

func same(f *os.File, path string) bool {
	a, errA := f.Stat()
	b, errB := os.Stat(path)
	return errA == nil && errB == nil && os.SameFile(a, b)
}

// Unlock lets others change the lab.
func (r *Record) Unlock() {
	if r.lock != nil {
		_ = r.lock.Close()
		r.lock = nil
	}
}

// Create makes the two directories of the lab, noting them first.
func (r *Record) Create() error {
	for _, dir := range []string{r.Run, r.Data, filepath.Join(r.Run, "logs")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("lab %s: %w", r.Name, err)
		}
	}
	return nil
}

// Exists reports whether there is anything of the lab to take down.
func (r *Record) Exists() bool {
	for _, dir := range []string{r.Run, r.Data} {
		if _, err := os.Lstat(dir); err == nil {
			return true
		}
	}
	return false
}

// Event is one line of the journal.
type Event struct {
	Time    time.Time `json:"time"`
	Kind    string    `json:"kind"` // create | boot | off | fault | heal | …
	Machine string    `json:"machine,omitempty"`
	Proc    *Process  `json:"proc,omitempty"`
	Note    string    `json:"note,omitempty"`
}

// Note adds a line to the journal. One write makes the line, so that lines of
// several processes never mix.
func (r *Record) Note(e Event) error {
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("journal of lab %s: %w", r.Name, err)
	}
	f, err := os.OpenFile(filepath.Join(r.Run, "journal.jsonl"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("journal of lab %s: %w", r.Name, err)
	}
	defer f.Close()
	// A line cut short by a crash ends here, at the cost of an empty line otherwise.
	if _, err := f.Write(slices.Concat([]byte("\n"), line, []byte("\n"))); err != nil {
		return fmt.Errorf("journal of lab %s: %w", r.Name, err)
	}
	return nil
}

// Journal reads every whole line.
func (r *Record) Journal() ([]Event, error) {
	text, err := os.ReadFile(filepath.Join(r.Run, "journal.jsonl"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("journal of lab %s: %w", r.Name, err)
	}
	return decode(text), nil
}

// decode drops what is not a whole event: only a crash in mid-write leaves such a line.
func decode(text []byte) []Event {
	var events []Event
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e Event
		if json.Unmarshal(lines.Bytes(), &e) == nil && e.Kind != "" {
			events = append(events, e)
		}
	}
	return events
}

// Machines returns the newest init of every machine.
func Machines(events []Event) map[string]Process {
	m := map[string]Process{}
	for _, e := range events {
		if e.Kind == "create" && e.Proc != nil {
			m[e.Machine] = *e.Proc
		}
	}
	return m
}

// Processes returns every process ever noted.
func Processes(events []Event) []Process {
	var all []Process
	for _, e := range events {
		if e.Proc != nil {
			all = append(all, *e.Proc)
		}
	}
	return all
}

// Save replaces a JSON file of the record in one step.
func (r *Record) Save(file string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("save %s of lab %s: %w", file, r.Name, err)
	}
	path := filepath.Join(r.Run, file)
	if err := os.WriteFile(path+".new", append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("save %s of lab %s: %w", file, r.Name, err)
	}
	return os.Rename(path+".new", path)
}

// Load reads a JSON file of the record.
func (r *Record) Load(file string, v any) error {
	text, err := os.ReadFile(filepath.Join(r.Run, file))
	if err != nil {
		return fmt.Errorf("lab %s: %w", r.Name, err)
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("lab %s: %s: %w", r.Name, file, err)
	}
	return nil
}

// Remove deletes all files of the lab, the lock last, and the roots when they
// have become empty.
func (r *Record) Remove() error {
	if err := errors.Join(os.RemoveAll(r.Data), os.RemoveAll(r.Run)); err != nil {
		return fmt.Errorf("remove files of lab %s: %w", r.Name, err)
	}
	if err := os.Remove(r.Run + ".lock"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove lock of lab %s: %w", r.Name, err)
	}
	r.Unlock()
	_, _ = os.Remove(RunRoot), os.Remove(DataRoot) // fail as long as there is another lab
	return nil
}

// List names the labs there is anything of, sorted.
func List() ([]string, error) {
	var names []string
	for _, root := range []string{RunRoot, DataRoot} {
		entries, err := os.ReadDir(root)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("list labs: %w", err)
		}
		for _, e := range entries {
			name := strings.TrimSuffix(e.Name(), ".lock")
			if CheckName(name) == nil && e.IsDir() && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names, nil
}
