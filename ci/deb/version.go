package main

import (
	"fmt"
	"regexp"
	"time"
)

// released is what git describe says of a checkout with a tag: v1.2.3,
// v1.2.3-rc.1, five commits later v1.2.3-5-gabcdef0, with changes …-dirty.
var released = regexp.MustCompile(`^v?([0-9]+(?:\.[0-9]+)*)(?:-([a-zA-Z][0-9a-zA-Z.]*))??(?:-([0-9]+)-g([0-9a-f]+))?(-dirty)?$`)

// untagged is what it says without: the commit.
var untagged = regexp.MustCompile(`^([0-9a-f]{7,40})(-dirty)?$`)

// debianVersion turns what git describe says into a Debian version that sorts
// as the commits do: a candidate before its release, what came after a tag
// after it, and without any tag by time and before every release.
func debianVersion(describe string, committed time.Time) (string, error) {
	// A commit first: "1234567" has the form of a release too.
	if m := untagged.FindStringSubmatch(describe); m != nil {
		return "0~git" + committed.UTC().Format("20060102150405") + "." + m[1] + changed(m[2]), nil
	}
	m := released.FindStringSubmatch(describe)
	if m == nil {
		return "", fmt.Errorf("no Debian version can be made of %q: want what git describe --tags --always says where tags are called v1.2.3 or v1.2.3-rc.1", describe)
	}
	v := m[1]
	if m[2] != "" {
		v += "~" + m[2]
	}
	if m[3] != "" {
		v += "+git" + m[3] + "." + m[4]
	}
	return v + changed(m[5]), nil
}

func changed(dirty string) string {
	if dirty == "" {
		return ""
	}
	return "+dirty"
}
