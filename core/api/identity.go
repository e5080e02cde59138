package api

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
)

// NodeID names a node: twelve lower-case hex digits, the MAC address under
// which it was first enrolled. It selects a record and proves nothing.
type NodeID string

// ParseMAC returns a MAC address in its one canonical form, lower-case with
// colons. It refuses anything but a 48-bit, unicast, non-zero address.
func ParseMAC(s string) (string, error) {
	hw, err := net.ParseMAC(s)
	if err != nil || len(hw) != 6 {
		return "", fmt.Errorf("MAC address %q: want six hex bytes such as 02:00:00:00:00:01", s)
	}
	if hw[0]&1 != 0 || slices.Equal(hw, make(net.HardwareAddr, 6)) {
		return "", fmt.Errorf("MAC address %q: is multicast or zero, no machine has it", s)
	}
	return hw.String(), nil
}

// IDOf returns the NodeID that belongs to a MAC address.
func IDOf(mac string) (NodeID, error) {
	canonical, err := ParseMAC(mac)
	if err != nil {
		return "", err
	}
	return NodeID(strings.ReplaceAll(canonical, ":", "")), nil
}

// MAC returns the address the id was made from, in canonical form.
func (id NodeID) MAC() string {
	s := string(id)
	if len(s) != 12 {
		return ""
	}
	parts := make([]string, 0, 6)
	for i := 0; i < 12; i += 2 {
		parts = append(parts, s[i:i+2])
	}
	return strings.Join(parts, ":")
}

// Role is the kind of party a certificate stands for, the first path segment
// of its SPIFFE-style URI.
type Role string

// The parties of a grid.
const (
	RoleNode     Role = "node"
	RoleAC       Role = "ac"
	RoleOperator Role = "operator" // its name is LEVEL.NAME, for example admin.ann
)

// Identity is what a certificate says about its holder:
// spiffe://GRID/ROLE/NAME (SPIFFE-ID specification, section 2).
type Identity struct {
	Grid string
	Role Role
	Name string
}

// URI returns the identity as it stands in a certificate's URI SAN.
func (i Identity) URI() *url.URL {
	return &url.URL{Scheme: "spiffe", Host: i.Grid, Path: "/" + string(i.Role) + "/" + i.Name}
}

func (i Identity) String() string { return i.URI().String() }

// ParseIdentity reads the identity out of a certificate's URI SANs. Exactly
// one SPIFFE URI must be there.
func ParseIdentity(uris []*url.URL) (Identity, error) {
	if len(uris) != 1 || uris[0].Scheme != "spiffe" {
		return Identity{}, fmt.Errorf("certificate identity: want exactly one spiffe:// URI, got %d URIs", len(uris))
	}
	u := uris[0]
	role, name, ok := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	if !ok || u.Host == "" || role == "" || name == "" || strings.Contains(name, "/") {
		return Identity{}, fmt.Errorf("certificate identity %q: want spiffe://GRID/ROLE/NAME", u)
	}
	return Identity{Grid: u.Host, Role: Role(role), Name: name}, nil
}
