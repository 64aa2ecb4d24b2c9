package meetings

import (
	"encoding/binary"
	"math"
)

// WAV makes the recording's sound, a tone of its own pitch: 8,000 samples a
// second, 16 bits, one channel.
func (r Recording) WAV() []byte {
	const rate, width = 8000, 2
	samples := rate * r.Milliseconds / 1000
	b := make([]byte, 0, 44+width*samples)
	text := func(s string) { b = append(b, s...) }
	long := func(n int) { b = binary.LittleEndian.AppendUint32(b, uint32(n)) }
	short := func(n int) { b = binary.LittleEndian.AppendUint16(b, uint16(n)) }

	text("RIFF")
	long(36 + width*samples)
	text("WAVEfmt ")
	long(16)
	short(1) // PCM
	short(1) // channels
	long(rate)
	long(rate * width)
	short(width)
	short(8 * width)
	text("data")
	long(width * samples)
	for i := range samples {
		short(int(8000*math.Sin(2*math.Pi*float64(r.Hertz)*float64(i)/rate)) & 0xffff)
	}
	return b
}
