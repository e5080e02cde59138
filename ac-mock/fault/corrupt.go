package fault

// Corrupt flips one bit in each of a few bytes in the middle of a message, in
// place. The message stays text, but is not what was sent.
func Corrupt(message []byte) {
	from := len(message) / 3
	for i := from; i < len(message) && i < from+8; i++ {
		message[i] ^= 0x04
	}
}
