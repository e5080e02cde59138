package screen

import (
	"fmt"
	"strings"
	"time"
)

// clean leaves printable ASCII: what comes from elsewhere must not steer the
// terminal, and a serial line may know no other characters.
func clean(text string) string {
	return strings.TrimRight(strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case r == '…':
			return '~'
		case r < ' ' || r > '~':
			return '?'
		}
		return r
	}, text), " ")
}

// clip cuts a text of one line to a width.
func clip(text string, width int) string {
	text = clean(text)
	if len(text) > width {
		return text[:width-1] + "~"
	}
	return text
}

// wrap breaks a text at blanks into at most lines parts no wider than width.
// Blanks at the beginning of the text are kept.
func wrap(text string, width, lines int) []string {
	var out []string
	for len(text) > width && len(out) < lines-1 {
		at := strings.LastIndexByte(text[:width+1], ' ')
		if strings.TrimSpace(text[:max(at, 0)]) == "" {
			at = width
		}
		out = append(out, strings.TrimRight(text[:at], " "))
		text = strings.TrimLeft(text[at:], " ")
	}
	return append(out, clip(text, width))
}

// rounded is a duration as a person says it.
func rounded(d time.Duration) string {
	s := int(d / time.Second)
	switch {
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return fmt.Sprintf("%d min %d s", s/60, s%60)
	case s < 86400:
		return fmt.Sprintf("%d h %d min", s/3600, s%3600/60)
	}
	return fmt.Sprintf("%d days %d h", s/86400, s%86400/3600)
}
