package redis_test

import (
	"context"
	"fmt"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/strikeplate/strikeplate/ratelimit"
	"github.com/strikeplate/strikeplate/ratelimit/redis"
)

// An engine of a fleet of four, with all decorators: inside out, refusals are
// repeated for a moment, limits from 1,000 on are taken in chunks, a call takes
// 100 ms at most, and each instance decides by itself while Redis fails.
func Example() {
	client := goredis.NewClient(&goredis.Options{Addr: "127.0.0.1:1", ContextTimeoutEnabled: true, MaxRetries: -1, DialerRetries: 1})
	defer func() { _ = client.Close() }()
	windows, err := redis.NewFixedWindow(redis.Config{Client: client, Secret: []byte("from your secrets manager")})
	if err != nil {
		panic(err)
	}
	denials, err := ratelimit.NewDenyCache(ratelimit.DenyCacheConfig{Engine: windows})
	if err != nil {
		panic(err)
	}
	leases, err := ratelimit.NewLease(ratelimit.LeaseConfig{Engine: denials})
	if err != nil {
		panic(err)
	}
	bounded, err := ratelimit.NewTimeout(leases, 100*time.Millisecond)
	if err != nil {
		panic(err)
	}
	engine, err := ratelimit.NewFallback(ratelimit.FallbackConfig{Shared: bounded, Instances: 4, FailClosed: []string{"login"}})
	if err != nil {
		panic(err)
	}

	// Nobody listens on port 1, so this instance lets its part through.
	charge := ratelimit.Charge{Policy: ratelimit.Policy{Name: "pro", Limit: 300, Period: time.Minute}, Key: ratelimit.Key("organisation", "acme"), Cost: 1}
	out := make([]ratelimit.Decision, 1)
	err = engine.Take(context.Background(), []ratelimit.Charge{charge}, out)
	fmt.Println(out[0].Allowed, out[0].Limit, out[0].Remaining, err)

	charge.Policy.Name = "login"
	err = engine.Take(context.Background(), []ratelimit.Charge{charge}, out)
	fmt.Println("the guard fails closed:", err != nil)
	// Output:
	// true 300 74 <nil>
	// the guard fails closed: true
}
