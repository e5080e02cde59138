package accel

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/u-root/u-root/pkg/cpio"

	"github.com/g8os/g8os/lab/vm/args"
	"github.com/g8os/g8os/lab/vm/kernel"
	"github.com/g8os/g8os/lab/vm/transient"
)

// said is what the probe's /init writes; seeing it proves that the kernel came
// up and ran a program.
const said = "g8lab: this is userspace\n"

// program is that /init, a whole x86-64 ELF file:
//
//	write(1, said); reboot(magic1, magic2, POWER_OFF); for ever: nothing
//
// A machine without a compiler, and a g8lab that is linked dynamically, can
// still prove that a kernel boots.
func program() []byte {
	const base, header = 0x400000, 64 + 56
	code := []byte{
		0xb8, 1, 0, 0, 0, // mov eax, 1 (write)
		0xbf, 1, 0, 0, 0, // mov edi, 1
		0x48, 0x8d, 0x35, 34, 0, 0, 0, // lea rsi, [rip+34] (what follows the code)
		0xba, byte(len(said)), 0, 0, 0, // mov edx, len
		0x0f, 0x05, // syscall
		0xb8, 169, 0, 0, 0, // mov eax, 169 (reboot)
		0xbf, 0xad, 0xde, 0xe1, 0xfe, // mov edi, 0xfee1dead
		0xbe, 0x69, 0x19, 0x12, 0x28, // mov esi, 0x28121969
		0xba, 0xdc, 0xfe, 0x21, 0x43, // mov edx, 0x4321fedc (POWER_OFF)
		0x0f, 0x05, // syscall
		0xf3, 0x90, // pause
		0xeb, 0xfc, // jmp to it
		0x90,
	}
	size := uint64(header + len(code) + len(said))
	var f []byte
	le := func(v uint64, width int) {
		for range width {
			f, v = append(f, byte(v)), v>>8
		}
	}
	f = append(f, "\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00"...)
	le(2, 2)           // executable
	le(62, 2)          // x86-64
	le(1, 4)           // version
	le(base+header, 8) // entry
	le(64, 8)          // program headers at
	le(0, 8)           // no sections
	le(0, 4)
	le(64, 2) // size of this header
	le(56, 2) // of a program header
	le(1, 2)  // one of them
	le(64, 2)
	le(0, 4)
	le(1, 4) // load
	le(5, 4) // readable, executable
	le(0, 8) // from the file's start
	le(base, 8)
	le(base, 8)
	le(size, 8)
	le(size, 8)
	le(4096, 8)
	return append(append(f, code...), said...)
}

// writeInitramfs packs the program as /init.
func writeInitramfs(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	archiver, err := cpio.Format("newc")
	if err != nil {
		return err
	}
	w := archiver.Writer(f)
	for _, r := range []cpio.Record{cpio.StaticFile("init", string(program()), 0o755), cpio.TrailerRecord} {
		if err := w.WriteRecord(r); err != nil {
			return err
		}
	}
	return f.Close()
}

// Boot boots a kernel until a program of userspace speaks, and says how long
// that took.
func Boot(ctx context.Context, kind, image string, within time.Duration) (took time.Duration, err error) {
	if err := kernel.Check(image); err != nil {
		return 0, err
	}
	image, err = filepath.Abs(image)
	if err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("", "g8probe-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	initrd, console := filepath.Join(dir, "initrd"), filepath.Join(dir, "console.log")
	if err := writeInitramfs(initrd); err != nil {
		return 0, err
	}
	s := args.Spec{
		Name: "probe", Dir: args.Dir(dir), Log: console, Accel: kind, MemoryMiB: 128, NoChannel: true, Running: true,
		Kernel: &args.Kernel{Image: image, Initrd: initrd, Append: "console=ttyS0 no_timer_check panic=1 quiet"},
	}
	if err := s.Check(); err != nil {
		return 0, err
	}
	begun := time.Now()
	vm, err := transient.Start(s.Args())
	if err != nil {
		return 0, err
	}
	defer vm.Close()
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if err := Await(ctx, vm, console, strings.TrimSpace(said)); err != nil {
		return 0, fmt.Errorf("boot a kernel under %s: %w", kind, err)
	}
	return time.Since(begun), nil
}

// Await waits until a console has said something.
func Await(ctx context.Context, vm *transient.VM, console, what string) error {
	for {
		text, _ := os.ReadFile(console)
		if strings.Contains(string(text), what) {
			return nil
		}
		select {
		case <-vm.Ended():
			if text, _ := os.ReadFile(console); strings.Contains(string(text), what) {
				return nil
			}
			return errors.Join(errors.New("QEMU ended before the guest spoke"), vm.Err())
		case <-ctx.Done():
			return fmt.Errorf("the guest did not say %q in time%s", what, last(string(text)))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// last is the last line of a console.
func last(text string) string {
	lines := strings.Split(strings.TrimSpace(transient.Plain(text)), "\n")
	if lines[len(lines)-1] == "" {
		return "; it said nothing"
	}
	return fmt.Sprintf("; the last it said: %.100q", lines[len(lines)-1])
}
