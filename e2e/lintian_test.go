package e2e

import (
	. "github.com/onsi/ginkgo/v2"
)

// Debian's own judge of packages. What it is told to overlook, and why, lies in
// the packages.
var _ = Describe("the packages", Label("deb"), func() {
	It("are what Debian wants of packages", func(ctx SpecContext) {
		for _, name := range []string{"g8os-core", "g8os-ac"} {
			ok(tool(ctx, "lintian", "--allow-root", "--fail-on", "error,warning", artefact(name+"_*_amd64.deb", "make deb")))
		}
	}, patience)
})
