package oauth

import "time"

// NewReplayMemory is the memory of used proofs, with bounds that a test can reach.
func NewReplayMemory(life time.Duration, most, mostByKey int) Replays {
	return newReplayMemory(life, most, mostByKey)
}
