// Package scenarios says what must hold when things break: each spec brings up
// a grid of real binaries, does something nasty to it, and demands what the
// design promises. Nodes are network namespaces, or machines that boot the
// image: G8LAB_FIDELITY=vm. The labels of a spec say at which it runs.
//
// How to write one:
//
//	var _ = Describe("a cut cable", netns, vm, func() {
//		It("T7 a node recovers after its link flapped", func(ctx SpecContext) {
//			g := up(ctx, officeOnly)          // a lab of this spec's own; taken down at the end
//			g.managed(ctx)                    // all nodes, or the spec fails saying who waits for what
//			…
//		}, patience)
//	})
//
// A spec speaks to package lab only. It waits for what it demands (status,
// events of an actor), never for a time; a promise about the absence of
// something is kept for a stated while. When a spec fails, status, journal and
// the ends of all logs are in its report, and the logs are kept under
// build/reports/logs. After each spec, a panic, a data race, or what a kernel
// says that breaks, in any log or on any console of its lab fails it, whatever
// it demanded itself.
package scenarios
