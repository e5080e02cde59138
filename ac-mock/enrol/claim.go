package enrol

import (
	"fmt"
	"slices"
	"strings"

	"github.com/g8os/g8os/core/api"
)

// Bounds of a claim.
const (
	maxHostname    = 253 // RFC 1035, section 2.3.4, less the root
	maxGenerations = 16
	bootIDLength   = 32
)

// Valid checks the form of a claim; nothing in it is trusted.
func Valid(c api.Claim) error {
	if err := validMACs(c.MACs); err != nil {
		return err
	}
	if err := validCount(c.BootID, c.Counter); err != nil {
		return err
	}
	if len(c.Generations) > maxGenerations {
		return fmt.Errorf("%d generations, want at most %d", len(c.Generations), maxGenerations)
	}
	if len(c.Token) > maxTokenLength {
		return fmt.Errorf("join token of %d bytes, want at most %d", len(c.Token), maxTokenLength)
	}
	return validHostname(c.Hostname)
}

func validCount(boot string, counter uint64) error {
	if len(boot) != bootIDLength || strings.Trim(boot, "0123456789abcdef") != "" {
		return fmt.Errorf("boot id of %d characters, want %d hex digits", len(boot), bootIDLength)
	}
	if counter == 0 {
		return fmt.Errorf("counter 0, want one that begins at 1")
	}
	return nil
}

func validMACs(macs []string) error {
	if len(macs) == 0 || len(macs) > maxMACs {
		return fmt.Errorf("%d MAC addresses, want 1 to %d", len(macs), maxMACs)
	}
	for i, m := range macs {
		canonical, err := api.ParseMAC(m)
		if err != nil {
			return err
		}
		if canonical != m {
			return fmt.Errorf("MAC address %q, want %q", m, canonical)
		}
		if i > 0 && macs[i-1] >= m {
			return fmt.Errorf("MAC addresses are not sorted and distinct")
		}
	}
	return nil
}

// validHostname lets through what is safe on a terminal and in a table.
func validHostname(h string) error {
	ok := func(r rune) bool {
		return r == '-' || r == '.' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
	}
	if len(h) > maxHostname || slices.ContainsFunc([]rune(h), func(r rune) bool { return !ok(r) }) {
		return fmt.Errorf("host name of %d bytes, want at most %d letters, digits, dots and dashes", len(h), maxHostname)
	}
	return nil
}
