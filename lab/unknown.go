package lab

import (
	"fmt"
	"strings"
)

// unknown says which names there are, and which one was probably meant.
func unknown(kind, lab, name string, names []string) error {
	hint := "none"
	if len(names) > 0 {
		hint = strings.Join(names, ", ")
	}
	if len(names) > 12 {
		hint = fmt.Sprintf("%s, … (%d)", strings.Join(names[:10], ", "), len(names))
	}
	best, least := "", 4
	for _, n := range names {
		if d := distance(name, n); d < least {
			best, least = n, d
		}
	}
	if best != "" {
		hint += fmt.Sprintf("; did you mean %s?", best)
	}
	return fmt.Errorf("%s %q: %w %s; there is %s", kind, name, ErrUnknown, lab, hint)
}

// distance is the number of letters to insert, delete or replace (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
