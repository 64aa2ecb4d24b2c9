package oauth

import "time"

// NewReplayMemory is the memory of used proofs, with bounds that a test can reach.
func NewReplayMemory(life time.Duration, most, mostByKey int) Replays {
	return newReplayMemory(life, most, mostByKey)
}

// ReadMetadata is how an issuer's metadata is read.
func ReadMetadata(body []byte, issuer string) (keys, name string, err error) {
	m, err := parseMetadata(body, issuer, false)
	return m.KeysURL, m.Issuer, err
}

// ReadKeys is how many keys of a set can be used.
func ReadKeys(body []byte) (int, error) {
	set, err := parseKeySet(body, nil)
	if err != nil {
		return 0, err
	}
	return len(set.keys), nil
}

// ReadCertificate is how a proxy's field is read.
func ReadCertificate(field string) []byte { return readCertificate([]string{field}) }
