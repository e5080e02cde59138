package modules

import "strings"

// match tells whether a pattern of modules.alias (fnmatch(3): * ? [a-z])
// covers a text. It is linear but for the last star, as patterns come from the
// image and texts from hardware.
func match(pattern []byte, text string) bool {
	p, t := 0, 0
	star, from := -1, 0 // where the last star is, and what it covers up to
	for t < len(text) {
		if p < len(pattern) && pattern[p] == '*' {
			star, from = p, t
			p++
			continue
		}
		if n, ok := one(pattern[p:], text[t]); ok {
			p += n
			t++
			continue
		}
		if star < 0 {
			return false
		}
		from++
		p, t = star+1, from
	}
	return strings.Trim(string(pattern[p:]), "*") == ""
}

// one tells whether the pattern begins with what covers c, and its length.
func one(pattern []byte, c byte) (int, bool) {
	switch {
	case len(pattern) == 0:
		return 0, false
	case pattern[0] == '?':
		return 1, true
	case pattern[0] == '[':
		return class(pattern, c)
	}
	return 1, pattern[0] == c
}

// class reads [abc], [a-z] and [!a-z].
func class(pattern []byte, c byte) (int, bool) {
	i, in := 1, false
	not := i < len(pattern) && (pattern[i] == '!' || pattern[i] == '^')
	if not {
		i++
	}
	for first := true; i < len(pattern) && (first || pattern[i] != ']'); first = false {
		low, high := pattern[i], pattern[i]
		if i+2 < len(pattern) && pattern[i+1] == '-' && pattern[i+2] != ']' {
			high = pattern[i+2]
			i += 2
		}
		in = in || (low <= c && c <= high)
		i++
	}
	if i >= len(pattern) { // never closed: a bracket like any other character
		return 1, c == '['
	}
	return i + 1, in != not
}
