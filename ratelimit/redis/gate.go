package redis

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/strikeplate/strikeplate/ratelimit"
)

// GateConfig says how long a place outlives its process.
type GateConfig struct {
	Config
	// Lease is how long a place is held without being renewed: by as much it
	// outlives a process that dies. A process that stands still for longer may find
	// its places given away. Zero means 15 s; at least 100 ms.
	Lease time.Duration
}

const (
	defaultLease = 15 * time.Second
	minLease     = 100 * time.Millisecond
	renewals     = 3 // in a lease's time
)

// NewGate returns a [ratelimit.Gate] whose places are shared by all instances.
//
// A place is a lease in Redis, renewed from one goroutine that runs while places
// are held, and given back when its holder leaves. It is exact while Redis keeps
// its data: no more than max are inside. When Redis has lost them, those inside are
// counted again as they are renewed, within a third of the lease; until then
// others may take their places. A place whose return Redis doesn't hear of, or
// that was given in an answer that got lost, ends with its lease.
func NewGate(c GateConfig) (*Gate, error) {
	s, err := newServer(c.Config, "c:")
	if err != nil {
		return nil, err
	}
	if c.Lease == 0 {
		c.Lease = defaultLease
	}
	if c.Lease < minLease {
		return nil, fmt.Errorf("ratelimit/redis: GateConfig.Lease is %v, below %v", c.Lease, minLease)
	}
	return &Gate{server: s, lease: c.Lease, held: map[*place]struct{}{}}, nil
}

// Gate is a [ratelimit.Gate] in Redis. It is safe for concurrent use.
type Gate struct {
	server *server
	lease  time.Duration

	mu       sync.Mutex
	held     map[*place]struct{}
	renewing bool
}

// A place is one lease: a member of the sorted set under its key, whose score is
// when it ends by Redis's clock.
type place struct{ key, id string }

// enter returns 1 if there was room.
var enter = goredis.NewScript(`
local time = redis.call("time")
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call("zremrangebyscore", KEYS[1], "-inf", now)
if redis.call("zcard", KEYS[1]) >= tonumber(ARGV[2]) then
	return 0
end
redis.call("zadd", KEYS[1], now + ARGV[3], ARGV[1])
redis.call("pexpire", KEYS[1], ARGV[3])
return 1
`)

// renew extends places under one key. It also restores those that Redis has lost.
var renew = goredis.NewScript(`
local time = redis.call("time")
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for i = 2, #ARGV do
	redis.call("zadd", KEYS[1], now + ARGV[1], ARGV[i])
end
return redis.call("pexpire", KEYS[1], ARGV[1])
`)

// Enter implements [ratelimit.Gate].
func (g *Gate) Enter(ctx context.Context, key string, most int) (leave func(), err error) {
	if most < 1 {
		return nil, fmt.Errorf("%w: %d places", ratelimit.ErrPolicy, most)
	}
	p := &place{key: g.server.prefix + g.server.digest(&ratelimit.Charge{Key: key}), id: rand.Text()}
	bounded, cancel := g.server.bound(ctx)
	defer cancel()
	room, err := enter.Run(bounded, g.server.client, []string{p.key}, p.id, most, g.lease.Milliseconds()).Int()
	if err != nil {
		return nil, fmt.Errorf("ratelimit/redis: %w", err)
	}
	if room == 0 {
		return nil, ratelimit.ErrBusy
	}
	g.hold(p)
	var once sync.Once
	return func() { once.Do(func() { g.leave(p) }) }, nil
}

func (g *Gate) hold(p *place) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held[p] = struct{}{}
	if !g.renewing {
		g.renewing = true
		go g.renew()
	}
}

func (g *Gate) leave(p *place) {
	g.mu.Lock()
	delete(g.held, p)
	g.mu.Unlock()
	g.remove(p)
}

// remove ends a lease, if Redis answers; else it ends by itself.
func (g *Gate) remove(p *place) {
	ctx, cancel := context.WithTimeout(context.Background(), g.server.timeout)
	defer cancel()
	_ = g.server.client.ZRem(ctx, p.key, p.id).Err()
}

// renew extends the leases of all places until none is held. It renews where it
// can: a failure is made good by the next round, before the lease ends.
func (g *Gate) renew() {
	every := time.NewTicker(g.lease / renewals)
	defer every.Stop()
	for range every.C {
		places := g.places()
		if places == nil {
			return
		}
		for len(places) > 0 {
			n := min(len(places), renewedAtOnce)
			g.renewSome(places[:n])
			places = places[n:]
		}
	}
}

// places are those that are held; with none, renewing is over.
func (g *Gate) places() []*place {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.held) == 0 {
		g.renewing = false
		return nil
	}
	places := make([]*place, 0, len(g.held))
	for p := range g.held {
		places = append(places, p)
	}
	return places
}

// renewedAtOnce bounds a pipeline.
const renewedAtOnce = 500

func (g *Gate) renewSome(places []*place) {
	ctx, cancel := context.WithTimeout(context.Background(), min(g.lease/renewals, 10*g.server.timeout))
	defer cancel()
	ids := map[string][]any{}
	for _, p := range places {
		if ids[p.key] == nil {
			ids[p.key] = []any{g.lease.Milliseconds()}
		}
		ids[p.key] = append(ids[p.key], p.id)
	}
	_, _ = g.server.client.Pipelined(ctx, func(pipe goredis.Pipeliner) error {
		for key, args := range ids {
			renew.Eval(ctx, pipe, []string{key}, args...)
		}
		return nil
	})
	// Who left meanwhile may have been let in again.
	for _, p := range places {
		g.mu.Lock()
		_, held := g.held[p]
		g.mu.Unlock()
		if !held {
			g.remove(p)
		}
	}
}
