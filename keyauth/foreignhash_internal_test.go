package keyauth

// ReadHash checks a stored hash of any form as verification does.
func ReadHash(s *Scheme, text string) error {
	_, err := s.readHash(text)
	return err
}

// MatchHash compares without the slot.
func MatchHash(s *Scheme, text, secret string) (bool, error) {
	h, err := s.readHash(text)
	if err != nil {
		return false, err
	}
	return h.matches(secret)
}
