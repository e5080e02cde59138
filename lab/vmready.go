package lab

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/g8os/g8os/lab/vm"
	"github.com/g8os/g8os/lab/vm/accel"
	"github.com/g8os/g8os/lab/vm/args"
	"github.com/g8os/g8os/lab/vm/template"
)

// shared is what the VMs of a lab start from. It is found out once for all
// that start together: finding a template means reading the whole image.
type shared struct {
	mu        sync.Mutex
	verdict   *accel.Verdict
	templates map[string]foundTemplate
}

type foundTemplate struct {
	template.Template
	at time.Time
}

// stale is when a template that was found is looked at again: another process
// may have made room, or it was damaged.
const stale = time.Minute

// readyMachines finds or makes what those VMs start from that have no power,
// before any of them is touched, and says how they will run.
func (l *Lab) readyMachines(ctx context.Context) error {
	told := false
	for _, n := range l.Nodes() {
		if !isVM(n.plan) || n.Powered() {
			continue
		}
		if !told {
			v, err := l.acceleration(ctx)
			if err != nil {
				return err
			}
			l.opt.Progress("machines run under " + v.String())
			told = true
		}
		if _, err := (vmBody{n}).spec(ctx); err != nil {
			return fmt.Errorf("node %s: %w", n.Name(), err)
		}
	}
	return nil
}

// acceleration is the verdict on this host.
func (l *Lab) acceleration(ctx context.Context) (accel.Verdict, error) {
	l.shared.mu.Lock()
	defer l.shared.mu.Unlock()
	if l.shared.verdict != nil {
		return *l.shared.verdict, nil
	}
	img, cache, err := l.imageAndCache()
	if err != nil {
		return accel.Verdict{}, err
	}
	if !accel.Known(ctx, cache) {
		l.opt.Progress("does KVM work here? a kernel is booted under it, once")
	}
	v, err := accel.Probe(ctx, cache, img.Kernel())
	if err == nil {
		l.shared.verdict = &v
	}
	return v, err
}

// template is the one of a machine. Who wants it while it is made waits.
func (l *Lab) template(ctx context.Context, cache string, spec args.Spec) (*template.Template, error) {
	l.shared.mu.Lock()
	defer l.shared.mu.Unlock()
	key := fmt.Sprint(spec.Accel, spec.MemoryMiB, spec.CPUs, *spec.Kernel)
	if known, ok := l.shared.templates[key]; ok && time.Since(known.at) < stale {
		if _, err := os.Stat(known.State()); err == nil {
			return &known.Template, nil
		}
	}
	t, err := template.Get(ctx, vm.Wanted(cache, l.st.BinDir, spec, func(format string, a ...any) {
		l.opt.Progress(fmt.Sprintf(format, a...))
	}))
	if err != nil {
		if os.Getenv(accel.Env) == accel.KVM { // nobody has seen it work
			err = fmt.Errorf("%w (%s=%s is in force: g8lab doctor without it says whether KVM works)", err, accel.Env, accel.KVM)
		}
		return nil, err
	}
	if l.shared.templates == nil {
		l.shared.templates = map[string]foundTemplate{}
	}
	l.shared.templates[key] = foundTemplate{t, time.Now()}
	return &t, nil
}
