package keyauth

import (
	"context"
	"net/netip"
)

// Seal ends a text with the scheme's checksum, as only a holder of the tag key
// can. Tests use it to make well-formed keys with wrong secrets.
func Seal(s *Scheme, text string) string { return string(s.seal([]byte(text))) }

// DecodeHash checks a stored hash as verification does.
func DecodeHash(phc string) error {
	_, err := decodeHash(phc)
	return err
}

// The hash slot, to test its order without timing real hashes.
type (
	Slot  struct{ *slot }
	Class = class
)

const (
	Minting, Clean, Doubtful = minting, clean, doubtful
	Suspect, Background      = suspect, background
)

func NewSlot(most int) Slot { return Slot{newSlot(most)} }

func (s Slot) Acquire(ctx context.Context, c Class) error { return s.acquire(ctx, c) }
func (s Slot) Release()                                   { s.release() }
func (s Slot) Depth() int                                 { return s.depth() }

// ClassOf is how an unproven key with that look-up id, from that address, would
// wait for the slot.
func ClassOf(a *Authenticator, lookup string, client netip.Addr) Class {
	c, _ := a.throttle.judge(lookup, client)
	return c
}
