package scenarios

import (
	"context"
	"slices"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/g8os/g8os/lab"
)

// phases in which a node can be when something happens to it.
var phases = []string{"network", "unlock", "secure", "ssh", "managed"}

// slowSSHD stands before sshd for a while, so that phase ssh lasts.
const slowSSHD = `
cp /usr/sbin/sshd /tmp/sshd
printf '#!/bin/sh\nsleep 1\nexec /tmp/sshd "$@"\n' >/tmp/slow-sshd
chmod +x /tmp/slow-sshd
mount --bind /tmp/slow-sshd /usr/sbin/sshd
`

// climb starts g8os_core of a node that was held, and returns when it is in
// the phase, with what keeps it there in force. letGo ends that.
func (g *grid) climb(ctx context.Context, node, phase string) (letGo func()) {
	GinkgoHelper()
	ac, n := g.AC("ac1"), g.Node(node)
	letGo = func() {}
	armed := func(fault string, towards ...*lab.Node) {
		GinkgoHelper()
		ok(ac.Arm(ctx, fault, towards...))
		letGo = func() { GinkgoHelper(); ok(ac.Clear(ctx, fault)) }
	}
	switch phase {
	case "network":
		ok(ac.Pause(ctx))
		letGo = func() { GinkgoHelper(); ok(ac.Resume(ctx)) }
	case "unlock":
		armed("refuse-unlock")
	case "secure":
		g.losesCertificate(ctx, node)
		armed("slow", n)
	case "ssh":
		g.inside(ctx, node, "sh", "-ec", slowSSHD)
	}
	ok(n.StartCore(ctx))
	g.reaches(ctx, node, "is in phase "+phase, func(s lab.Status) bool { return s.Phase == phase })
	return letGo
}

// losesCertificate boots a node once and takes its certificate away, so that
// its next boot needs one; g8os_core is left to be started.
func (g *grid) losesCertificate(ctx context.Context, node string) {
	GinkgoHelper()
	n := g.Node(node)
	ok(n.StartCore(ctx))
	g.works(ctx, node)
	g.inside(ctx, node, "sh", "-ec", "rm -r /mnt/etc/ssl/*")
	ok(n.PowerCut(ctx))
	ok(n.PowerOnHeld(ctx))
}

// inEachPhase is a table with an entry for each phase. Those that are not named
// are long; when none is, no one is.
func inEachPhase(text string, body func(ctx SpecContext, phase string), named ...string) {
	args := []any{body}
	for _, p := range phases {
		args = append(args, Entry("in phase "+p, p, patience, only(len(named) == 0 || slices.Contains(named, p))))
	}
	DescribeTable(text, args...)
}

// holdsOn says that what does not need an AC is there: the volume and sshd.
func (g *grid) holdsOn(ctx context.Context, node string) {
	GinkgoHelper()
	g.inside(ctx, node, "grep", "-q", " /mnt/etc ", "/proc/mounts")
	g.inside(ctx, node, "cat", "/mnt/etc/ssl/client.key")
	if onMachines() {
		Expect(g.inside(ctx, node, "sh", "-c", "nc -w 10 127.0.0.1 22 </dev/null | head -c 8")).To(HavePrefix("SSH-2.0"))
	} else {
		Expect(g.inside(ctx, node, "bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/22; head -c 8 <&3")).To(HavePrefix("SSH-2.0"))
	}
}
