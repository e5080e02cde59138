package fault

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Rate is a bit rate in bits per second, written as 8mbit, 64kbit or 1gbit
// (tc(8); factors of 1000).
type Rate int64

var rateUnits = []struct {
	name   string
	factor Rate
}{{"gbit", 1e9}, {"mbit", 1e6}, {"kbit", 1e3}, {"bit", 1}}

// String writes the rate in the largest unit that divides it.
func (r Rate) String() string {
	for _, u := range rateUnits {
		if r >= u.factor && r%u.factor == 0 {
			return strconv.FormatInt(int64(r/u.factor), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(r), 10) + "bit"
}

// MarshalText writes the rate as text.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (r *Rate) UnmarshalText(text []byte) error {
	for _, u := range rateUnits {
		number, ok := strings.CutSuffix(string(text), u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil || n <= 0 || n > math.MaxInt64/int64(u.factor) {
			break
		}
		*r = Rate(n) * u.factor
		return nil
	}
	return fmt.Errorf("%q: want a rate such as 8mbit or 64kbit", text)
}
