package scenarios

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	runs "github.com/g8os/g8os/lab/run"
	"github.com/g8os/g8os/lab/run/record"
)

var _ = Describe("Runs of faults", netns, notVM, func() {
	It("a plan is run, recorded, shown, and run again on a lab of its own", patience, func(ctx SpecContext) {
		f := upFaulty(ctx)
		path := filepath.Join(GinkgoT().TempDir(), "a.g8run")
		out, errs, code := f.g8lab(ctx, "chaos", "restart-storm", "--every", "4s", "--for", "12s", "--seed", "2", "--jobs", "3s", "--packets", "--record", path)
		Expect(code).To(BeZero(), out+errs)
		Expect(out).To(ContainSubstring("passed: "))
		Expect(f.listed(ctx)).To(BeEmpty())

		first, err := record.Read(path)
		ok(err)
		Expect(first.Faults).To(HaveLen(len(first.Schedule)), "every fault was had")
		for _, a := range first.Faults {
			Expect(a.Measured.How).NotTo(BeEmpty())
			Expect(a.Healed).To(BeNumerically(">", a.InForce))
		}
		Expect(first.Phases).NotTo(BeEmpty())
		Expect(first.End.Captures).To(ConsistOf("a.office.pcap", "a.dhcp.pcap", "a.isolated.pcap"))
		for _, name := range first.End.Captures {
			info, err := os.Stat(filepath.Join(filepath.Dir(path), name))
			ok(err)
			Expect(info.Size()).To(BeNumerically(">", 1000), name)
		}

		_, errs, code = f.g8lab(ctx, "report", path)
		Expect(code).To(BeZero(), errs)
		page, err := os.ReadFile(strings.TrimSuffix(path, ".g8run") + ".html")
		ok(err)
		Expect(string(page)).To(ContainSubstring("Passed: everything that must hold held"))

		again := filepath.Join(GinkgoT().TempDir(), "b.g8run")
		out, errs, code = f.g8lab(ctx, "replay", path, "--record", again)
		Expect(code).To(BeZero(), out+errs)
		second, err := record.Read(again)
		ok(err)
		Expect(second.Schedule).To(Equal(first.Schedule))
		Expect(second.Fidelity).To(Equal("netns"))
	})

	It("a run that is killed leaves a record, and no fault", patience, func(ctx SpecContext) {
		f := upFaulty(ctx)
		path := filepath.Join(GinkgoT().TempDir(), "killed.g8run")
		cmd := f.command(ctx, "chaos", "ac-outage", "--every", "2s", "--for", "1m", "--seed", "1", "--jobs", "0", "--record", path)
		ok(cmd.Start())
		var r *record.Record
		Eventually(ctx, func() (err error) { // also while a line of it is written
			r, err = record.Read(path)
			if err == nil && len(r.Faults) == 0 {
				err = os.ErrNotExist
			}
			return err
		}, 30*time.Second, 50*time.Millisecond).Should(Succeed())
		ok(cmd.Process.Signal(syscall.SIGKILL))
		_ = cmd.Wait() // it says that it was killed

		r, err := record.Read(path)
		ok(err)
		Expect(r.End.Verdict).To(Equal(runs.BrokenOff))
		Eventually(ctx, func() any { return f.listed(ctx) }, 30*time.Second, time.Second).Should(BeEmpty())
		f.managed(ctx)
	})
})
