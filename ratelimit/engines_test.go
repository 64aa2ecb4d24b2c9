package ratelimit_test

import (
	"github.com/strikeplate/strikeplate/ratelimit"
)

// engines are those in memory.
var engines = []struct {
	name string
	make func(ratelimit.MemoryConfig) (*ratelimit.Memory, error)
}{
	{"fixed window", ratelimit.NewFixedWindow},
	{"sliding log", ratelimit.NewSlidingLog},
	{"GCRA", ratelimit.NewGCRA},
}
