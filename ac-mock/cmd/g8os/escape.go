package main

// escape finds ~. at the beginning of a line in what is typed, as ssh has it.
// The zero value is at the beginning of a line.
type escape struct {
	inLine bool // something was typed since the last end of a line
	tilde  bool // a ~ at the beginning of a line waits for what follows it
}

// pass returns what is to be sent of some input, and whether the user leaves.
func (e *escape) pass(in []byte) (send []byte, leave bool) {
	for _, b := range in {
		if e.tilde {
			e.tilde = false
			switch b {
			case '.':
				return send, true
			case '~': // ~~ is a ~
			default:
				send = append(send, '~')
			}
		} else if b == '~' && !e.inLine {
			e.tilde = true
			continue
		}
		send = append(send, b)
		e.inLine = b != '\r' && b != '\n'
	}
	return send, false
}
