package keyauth

import "crypto/rand"

const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

func isBase62(text []byte) bool {
	for _, c := range text {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// appendBase62 appends n's last digits.
func appendBase62(b []byte, n uint64, digits int) []byte {
	start := len(b)
	for range digits {
		b = append(b, 0)
	}
	for i := start + digits - 1; i >= start; i-- {
		b[i] = alphabet[n%62]
		n /= 62
	}
	return b
}

// randomBase62 returns n characters, each uniform: bytes that would favour the
// first letters are drawn again.
func randomBase62(n int) string {
	text := make([]byte, 0, n)
	var batch [64]byte
	for len(text) < n {
		_, _ = rand.Read(batch[:]) // never fails: crypto/rand ends the program instead
		for _, c := range batch {
			if c < 4*62 && len(text) < n {
				text = append(text, alphabet[c%62])
			}
		}
	}
	return string(text)
}
