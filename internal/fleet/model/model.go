// Package model simulates a fleet in virtual time: the cache, the feed and the
// bound of package keyauth, and counters with leases as in package ratelimit. It is
// deterministic: the same Config and Seed give the same figures.
//
// What it is for are sizes that no test starts: 10,000 instances and 100 million
// keys. What it leaves out are processors: a hash, a query and a message take the
// time that the Config says, whatever else goes on. The tests hold it to what
// internal/fleet measures with three instances.
package model

import (
	"container/heap"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// Config is a fleet and its world. Every field is required.
type Config struct {
	Seed      uint64
	Instances int
	Keys      float64 // in the store
	// Skew is the exponent of Zipf's law by which keys are used; 1 is what web
	// traffic looks like, and it may not be 1 exactly.
	Skew float64
	// Requests a second, over all instances.
	Requests float64
	// Spread is how many instances a key's requests go to: all where a load balancer
	// picks at random, a few where it hashes the Authorization field.
	Spread float64
	// Entries is how many keys an instance remembers.
	Entries float64

	Beat, Fresh time.Duration // how often the feed proves itself; how old the proof may be
	Directory   time.Duration // how long the directory's answers count
	Proofs      time.Duration // how long a proof counts
	// Delay is how long a notification takes to arrive at least; Jitter is the mean of
	// what comes on top, exponentially distributed.
	Delay, Jitter time.Duration
	// Changes a second of all keys' records, revocations and renamings alike.
	Changes float64
	// Broken is the part of instances whose feed is silently dead when a key is
	// revoked.
	Broken float64
}

// Delays are how long after its revocation a key still passed, on instances that it
// is presented to all the time.
type Delays struct {
	Median, P99, Max time.Duration
	Strict           int // instances that found out by asking the store, because their feed was silent
}

// Revocation simulates one revocation over all instances, from the commit to the
// last instance that would let the key pass.
func Revocation(c Config) Delays {
	r := rand.New(rand.NewPCG(c.Seed, 1))
	s := simulation{random: r}
	delays := make([]time.Duration, c.Instances)
	strict := 0
	for i := range c.Instances {
		// The feed of an instance beats at a phase of its own. What it may serve from
		// memory ends with the first of two: the change arrives, or the last barrier is
		// too old.
		phase := time.Duration(r.Float64() * float64(c.Beat))
		if r.Float64() < c.Broken {
			// Dead since a moment before the revocation: the last heartbeat that came
			// back left up to a beat and a round trip before.
			left := phase + 2*c.arrival(r)
			s.at(c.Fresh-left, func() { delays[i], strict = s.now, strict+1 })
			continue
		}
		s.at(c.arrival(r), func() { delays[i] = s.now })
	}
	s.run()
	slices.Sort(delays)
	return Delays{Median: delays[len(delays)/2], P99: delays[len(delays)*99/100], Max: delays[len(delays)-1], Strict: strict}
}

func (c *Config) arrival(r *rand.Rand) time.Duration {
	return c.Delay + time.Duration(r.ExpFloat64()*float64(c.Jitter))
}

// simulation is events in virtual time.
type simulation struct {
	now    time.Duration
	queue  queue
	random *rand.Rand
}

type event struct {
	at time.Duration
	do func()
}

type queue []event

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].at < q[j].at }
func (q queue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)        { *q = append(*q, x.(event)) }
func (q *queue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

// at does something at a moment, now at the earliest.
func (s *simulation) at(t time.Duration, do func()) { heap.Push(&s.queue, event{max(t, s.now), do}) }

func (s *simulation) run() {
	for len(s.queue) > 0 {
		e := heap.Pop(&s.queue).(event)
		s.now = e.at
		e.do()
	}
}

// Load is what the store and the hash slots do a second, over all instances, once
// caches are as full as they get.
type Load struct {
	HitRate   float64 // requests answered from memory alone
	Records   float64 // reads of a key's record
	Directory float64 // questions to the directory
	Unproven  float64 // requests whose key the instance has no proof of: hashes, unless proofs are shared
	Hashes    float64 // with shared proofs
	Beats     float64 // heartbeats through the feed
	Notices   float64 // notifications delivered
	Strict    float64 // reads of records if no feed were fresh
}

// slots are the stamps of internal/freshness: a change outdates its neighbours in
// the slot too.
const slots = 1 << 12

// StoreLoad works the load out: in closed form for each class of keys that are used
// about as often, since 100 million keys times 10,000 caches are too many to walk.
// A cache is taken for one that forgets what wasn't used for its characteristic time
// (Che's approximation of least recently used).
func StoreLoad(c Config) Load {
	classes := c.classes()
	here := c.Spread / float64(c.Instances) // the part of the keys that an instance sees
	stays := c.characteristic(classes, here)
	l := Load{Beats: float64(c.Instances) / c.Beat.Seconds(), Notices: c.Changes * float64(c.Instances), Strict: c.Requests}
	dirty := c.Changes / slots // how often a key's slot is outdated
	missed := 0.0
	for _, k := range classes {
		total := c.Requests * k.share // requests for one key
		rate := total / c.Spread      // of which an instance gets
		n := k.count * c.Spread
		// Unproven: it wasn't asked for as long as it stays, or its proof ended.
		unproven := max(rate*math.Exp(-rate*stays), firstAfter(rate, 1/c.Proofs.Seconds()))
		// Of the others, the first after a change reads the record, and the first after
		// the directory's time asks the directory.
		records := firstAfter(rate, dirty)
		directory := firstAfter(rate, 1/c.Directory.Seconds())
		l.Unproven += n * unproven
		l.Hashes += k.count * firstAfter(total, 1/c.Proofs.Seconds())
		l.Records += n * (2*unproven + records) // by look-up id and by id
		l.Directory += n * max(directory, unproven)
		missed += n * rate * (1 - (1-unproven/rate)*(1-records/rate)*(1-directory/rate))
	}
	l.HitRate = 1 - missed/c.Requests
	return l
}

// firstAfter is how often a request comes that is the first since an event, where
// both come at random.
func firstAfter(requests, events float64) float64 {
	return requests * events / (requests + events)
}

// class is keys that are used about as often: how many, and each one's share of all
// requests.
type class struct{ count, share float64 }

// classes divides the keys by Zipf's law: the first hundred singly, then classes
// that grow by a tenth.
func (c *Config) classes() []class {
	var all []class
	total := 0.0
	for first := 1.0; first <= c.Keys; {
		last := max(first, math.Floor(first*1.1))
		if first <= 100 {
			last = first
		}
		last = min(last, c.Keys)
		var weight float64
		if last == first {
			weight = math.Pow(first, -c.Skew)
		} else { // the integral from first-1/2 to last+1/2
			e := 1 - c.Skew
			weight = (math.Pow(last+0.5, e) - math.Pow(first-0.5, e)) / e
		}
		count := last - first + 1
		all = append(all, class{count, weight / count})
		total += weight
		first = last + 1
	}
	for i := range all {
		all[i].share /= total
	}
	return all
}

// characteristic is the time, in seconds, after which an instance's cache forgets
// what wasn't used.
func (c *Config) characteristic(classes []class, here float64) float64 {
	held := func(t float64) (n float64) {
		for _, k := range classes {
			n += k.count * here * -math.Expm1(-c.Requests*k.share/c.Spread*t)
		}
		return n
	}
	low, high := 0.0, 1.0
	for held(high) < c.Entries && high < 1e9 {
		high *= 2
	}
	for range 60 {
		if mid := (low + high) / 2; held(mid) < c.Entries {
			low = mid
		} else {
			high = mid
		}
	}
	return high
}

// Lease is a limit over a fleet that takes units from the shared counter by chunks.
type Lease struct {
	Seed      uint64
	Instances int
	Limit     int           // in a window
	Chunk     int           // taken at a time
	Flush     time.Duration // zero: chunks are taken; else counts are told so often and nothing is asked
	Deny      time.Duration // how long an instance remembers that nothing is left
	Window    time.Duration
	Demand    float64 // requests a second, more than the limit
	Skew      float64 // zero: evenly over the instances; else by Zipf's law
}

// Limited is how much a fleet lets through in one window, and what that costs.
type Limited struct {
	Error      float64 // of the limit: above it if positive
	Operations float64 // of the shared counter, for each request
}

// Limit simulates one window.
func Limit(c Lease) Limited {
	r := rand.New(rand.NewPCG(c.Seed, 2))
	weights := make([]float64, c.Instances)
	sum := 0.0
	for i := range weights {
		sum += math.Pow(float64(i+1), -c.Skew)
		weights[i] = sum
	}
	requests := int(c.Demand * c.Window.Seconds())
	held, told, denied := make([]int, c.Instances), make([]int, c.Instances), make([]time.Duration, c.Instances)
	counter, passed, operations := 0, 0, 0
	nextFlush := c.Flush
	for n := range requests {
		now := time.Duration(float64(n) / c.Demand * float64(time.Second))
		i, _ := slices.BinarySearch(weights, r.Float64()*sum)
		if c.Flush > 0 {
			for ; now >= nextFlush; nextFlush += c.Flush {
				counter, operations = flush(told, counter, operations)
			}
			if counter+told[i] < c.Limit {
				told[i], passed = told[i]+1, passed+1
			}
			continue
		}
		if held[i] == 0 && now >= denied[i] {
			operations++
			held[i] = min(c.Chunk, c.Limit-counter)
			counter += held[i]
			if held[i] == 0 {
				denied[i] = now + c.Deny
			}
		}
		if held[i] > 0 {
			held[i], passed = held[i]-1, passed+1
		}
	}
	return Limited{Error: float64(passed-c.Limit) / float64(c.Limit), Operations: float64(operations) / float64(requests)}
}

// flush adds what instances let through to the shared counter.
func flush(told []int, counter, operations int) (afterwards, asked int) {
	for i, n := range told {
		if n > 0 {
			counter, told[i], operations = counter+n, 0, operations+1
		}
	}
	return counter, operations
}
