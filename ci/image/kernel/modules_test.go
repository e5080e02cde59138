package kernel

import (
	"slices"
	"strings"
	"testing"

	"github.com/g8os/g8os/ci/image/tree"
)

var some = []Module{
	{Path: "kernel/drivers/net/veth.ko", Name: "veth", Depends: []string{"core"}},
	{Path: "kernel/drivers/net/wireless/wifi.ko", Name: "wifi"},
	{Path: "kernel/lib/core.ko", Name: "core", Before: []string{"crypto_sum", "gone"}},
	{Path: "kernel/crypto/sum.ko", Name: "sum", Aliases: []string{"crypto_sum"}},
	{Path: "kernel/fs/other.ko", Name: "other", Depends: []string{"builtin_thing"}},
}

func names(modules []Module) string {
	var all []string
	for _, m := range modules {
		all = append(all, m.Name)
	}
	return strings.Join(all, " ")
}

func TestPickedWithWhatTheyNeed(t *testing.T) {
	picked, err := Pick(some, []string{"kernel/lib/builtin-thing.ko"}, Match("kernel/drivers/net/", "-kernel/drivers/net/wireless/", "kernel/fs/other.ko"))
	if err != nil {
		t.Fatal(err)
	}
	if got := names(picked); got != "sum veth other core" { // by path
		t.Errorf("picked %q", got)
	}
}

func TestWhatIsLackingIsSaid(t *testing.T) {
	_, err := Pick(some, nil, Match("kernel/fs/other.ko"))
	if err == nil || !strings.Contains(err.Error(), "other.ko depends on builtin_thing") {
		t.Errorf("got %v", err)
	}
}

func TestMatch(t *testing.T) {
	match := Match("a/", "b/c.ko", "-a/no/", "-a/x")
	for p, want := range map[string]bool{"a/y.ko": true, "a/no/y.ko": false, "b/c.ko": true, "b/c.ko.x": false, "ab/y.ko": false, "a/x": false, "c": false} {
		if match(p) != want {
			t.Errorf("%s: %v, want %v", p, !want, want)
		}
	}
}

func TestSoftDependencies(t *testing.T) {
	if got := before("pre: a-b c post: d pre: e"); !slices.Equal(got, []string{"a_b", "c", "e"}) {
		t.Errorf("got %q", got)
	}
}

func TestNoModule(t *testing.T) {
	if _, err := Read("kernel/x.ko", tree.Bytes([]byte("not an ELF file"))); err == nil || !strings.Contains(err.Error(), "kernel/x.ko") {
		t.Errorf("got %v, want an error that names the file", err)
	}
}
