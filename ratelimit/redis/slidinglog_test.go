package redis_test

import (
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/strikeplate/strikeplate/internal/redistest"
	"github.com/strikeplate/strikeplate/ratelimit/redis"
)

// However many units pass, a log has 128 moments, and one in the making.
func TestSlidingLogIsBoundedInRedis(t *testing.T) {
	server := redistest.Start(t)
	c := client(t, server, true)
	engine := open(t, redis.NewSlidingLog, config(t, server))
	p := policy(1_000_000, 300*time.Millisecond)
	longest, taken := int64(0), 0
	for deadline := time.Now().Add(3 * p.Period); time.Now().Before(deadline) || taken < 1000; taken++ {
		take(t, engine, charge(p, "k", 1))
		if taken%100 == 0 {
			keys := c.Keys(t.Context(), "*").Val()
			if len(keys) == 1 {
				longest = max(longest, c.StrLen(t.Context(), keys[0]).Val())
			}
		}
	}
	// A moment is packed into 9 bytes, its units into 9 at most, the list into 5 more.
	if longest == 0 || longest > 129*18+5 {
		t.Errorf("a log of %d bytes", longest)
	}
	t.Logf("%d units in three periods, at most %d bytes", taken, longest)
}

// A clock that was set back makes nobody wait longer than a period.
func TestSlidingLogSurvivesAClockSetBack(t *testing.T) {
	server := redistest.Start(t)
	c := client(t, server, true)
	engine := open(t, redis.NewSlidingLog, config(t, server))
	p := policy(10, time.Minute)
	take(t, engine, charge(p, "k", 4))
	keys := c.Keys(t.Context(), "*").Val()
	if len(keys) != 1 {
		t.Fatalf("keys %q", keys)
	}
	later := goredis.NewScript(`
		local log = cmsgpack.unpack(redis.call("get", KEYS[1]))
		log[1] = log[1] + 3600 * 1000000
		return redis.call("set", KEYS[1], cmsgpack.pack(log), "KEEPTTL")`)
	if err := later.Run(t.Context(), c, keys).Err(); err != nil {
		t.Fatal(err)
	}
	if d := take(t, engine, charge(p, "k", 7)); d.Allowed || d.Remaining != 6 || d.RetryAfter > time.Minute || d.ResetAfter > time.Minute {
		t.Errorf("with a moment an hour ahead: %+v", d)
	}
}
