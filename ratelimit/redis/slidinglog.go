package redis

import (
	"context"
	"fmt"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/strikeplate/strikeplate/ratelimit"
)

// NewSlidingLog returns an engine that remembers when units were taken, so that
// no window of length Period, wherever it begins, sees more than Limit. All of
// the Limit may come at once.
//
// Up to 128 moments within a Period are told apart. Policies with a Limit up to
// 128 are therefore exact. Above, units that were taken within Period/128 of each
// other count as taken together, at the last one's time: they come back up to that
// much later than they might, and never earlier. A Burst is refused. Periods are
// rounded up to a microsecond. A counter takes 100 bytes of Redis and up to 14 for
// each moment, 2 KB at most.
//
// One script checks and charges, so a counter is exact at any cost.
func NewSlidingLog(c Config) (*Engine, error) {
	s, err := newServer(c, "l:")
	if err != nil {
		return nil, err
	}
	return &Engine{server: s, rules: &slidingLog{server: s}}, nil
}

// logSlots is how many moments a log tells apart within a Period.
const logSlots = 128

type slidingLog struct{ server *server }

func (l *slidingLog) check(p ratelimit.Policy) error {
	if p.Burst != 0 {
		return fmt.Errorf("%w: %s: a sliding log cannot honour Burst %d; use a second, shorter policy", ratelimit.ErrPolicy, p.Name, p.Burst)
	}
	return nil
}

func (l *slidingLog) most(p ratelimit.Policy) int64 { return p.Limit }

// log is a list of moments and units, oldest first, packed. The script tells
// whether the cost was taken (or would fit), what is left, and microseconds until
// the cost fits and until all is there. A moment that is still to come is one of a
// clock that was set back: it counts as now.
var log = goredis.NewScript(`
local what, limit, period = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local cost, step, ago = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local time = redis.call("time")
local now = time[1] * 1000000 + time[2]
local text = redis.call("get", KEYS[1])
local old = text and cmsgpack.unpack(text) or {}
local slots, used = {}, 0
for i = 1, #old, 2 do
	local at, units = math.min(old[i], now), old[i + 1]
	if at + period > now then
		if what == "refund" and cost > 0 and at >= now - ago then
			local back = math.min(cost, units)
			cost, units = cost - back, units - back
		end
		if units > 0 then
			slots[#slots + 1], slots[#slots + 2] = at, units
			used = used + units
		end
	end
end

local fits = used + cost <= limit
if what == "take" and fits then
	local n = #slots
	if n > 0 and (slots[n - 1] == now or step > 0 and math.floor(slots[n - 1] / step) == math.floor(now / step)) then
		slots[n - 1], slots[n] = now, slots[n] + cost
	else
		slots[n + 1], slots[n + 2] = now, cost
	end
	used = used + cost
end

local reset, retry = 0, 0
if #slots > 0 then
	reset = slots[#slots - 1] + period - now
end
if what == "refund" or what == "take" and fits then
	if #slots == 0 then
		redis.call("del", KEYS[1])
	else
		redis.call("set", KEYS[1], cmsgpack.pack(slots), "PX", math.floor(reset / 1000) + 1)
	end
elseif not fits then
	local missing = used + cost - limit
	for i = 1, #slots, 2 do
		if missing > 0 then
			missing, retry = missing - slots[i + 1], slots[i] + period - now
		end
	end
end
return {fits and 1 or 0, limit - used, retry, reset}
`)

// run asks the script, in microseconds.
func (l *slidingLog) run(ctx context.Context, what, digest string, p ratelimit.Policy, cost int64, ago time.Duration) (ratelimit.Decision, error) {
	period := (p.Period + time.Microsecond - 1).Microseconds()
	step := int64(0)
	if p.Limit > logSlots {
		step = max(1, (period+logSlots-1)/logSlots)
	}
	said, err := log.Run(ctx, l.server.client, []string{l.server.prefix + digest},
		what, p.Limit, period, cost, step, ago.Microseconds()).Int64Slice()
	if err != nil {
		return ratelimit.Decision{}, err
	}
	if len(said) != 4 {
		return ratelimit.Decision{}, fmt.Errorf("redis returned %d values", len(said))
	}
	return ratelimit.Decision{
		Allowed: said[0] == 1, Limit: p.Limit, Remaining: said[1],
		RetryAfter: time.Duration(said[2]) * time.Microsecond, ResetAfter: time.Duration(said[3]) * time.Microsecond,
	}, nil
}

func (l *slidingLog) take(ctx context.Context, digest string, p ratelimit.Policy, cost int64) (ratelimit.Decision, error) {
	d, err := l.run(ctx, "take", digest, p, cost, 0)
	if d.Allowed {
		d.Taken = time.Now()
	}
	return d, err
}

func (l *slidingLog) peek(ctx context.Context, digest string, p ratelimit.Policy, cost int64) (ratelimit.Decision, error) {
	return l.run(ctx, "peek", digest, p, cost, 0)
}

// refund takes units out of the oldest moments that can be those of the charge:
// what stays is counted no shorter than it should be. The clocks of Redis and of
// this process are not compared, and messages take time, hence the slack.
func (l *slidingLog) refund(ctx context.Context, digest string, p ratelimit.Policy, cost int64, ago time.Duration) error {
	slack := min(l.server.timeout, p.Period/10)
	if ago+slack >= p.Period {
		return nil // forgotten by now, or soon; what is there is others'
	}
	_, err := l.run(ctx, "refund", digest, p, cost, ago+slack)
	return err
}

func (l *slidingLog) forget(ctx context.Context, digest string, _ ratelimit.Policy) error {
	return l.server.client.Del(ctx, l.server.prefix+digest).Err()
}
