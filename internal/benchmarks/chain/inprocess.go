package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"syscall"
	"time"
)

// inProcess is what a chain costs without a connection.
type inProcess struct {
	name        string
	cpu, ratio  float64 // nanoseconds of processor time a request, and of Strikeplate's in the same round
	p99         time.Duration
	allocations float64
	bytes       float64
	heap        uint64 // of the chain with its credentials
}

// sink costs nothing; its header map is empty for each request.
type sink struct {
	header http.Header
	status int
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) Write(b []byte) (int, error) { return len(b), nil }
func (s *sink) WriteHeader(status int)      { s.status = status }

// driver serves requests one after the other.
type driver struct {
	handler  http.Handler
	requests []*http.Request
	w        sink
	perRound int
}

func newDriver(c *chain) *driver {
	d := &driver{handler: c.handler, w: sink{header: http.Header{}}}
	for _, text := range c.allowed {
		d.requests = append(d.requests, request(text))
	}
	return d
}

func request(authorization string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Header.Set("Authorization", authorization)
	return r
}

// serve serves n requests.
func (d *driver) serve(n int) error {
	for i := range n {
		clear(d.w.header)
		d.w.status = http.StatusOK
		d.handler.ServeHTTP(&d.w, d.requests[i%len(d.requests)])
		if d.w.status != http.StatusOK {
			return fmt.Errorf("answered %d", d.w.status)
		}
	}
	return nil
}

// measureInProcess lets the chains take turns of about the same length, so that what
// else the machine does is the same for all, and takes medians. Processor time
// includes that of the garbage collector. The first chain is what others are
// compared with.
func measureInProcess(names []string, rounds int, slice time.Duration) ([]inProcess, error) {
	results := make([]inProcess, len(names))
	drivers := make([]*driver, len(names))
	var opened []*chain
	defer func() {
		for _, c := range opened {
			c.close()
		}
	}()
	for i, name := range names {
		before := heap()
		c, err := chains[name]()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		opened = append(opened, c)
		drivers[i] = newDriver(c)
		results[i] = inProcess{name: name, heap: heap() - min(before, heap())}
		if drivers[i].perRound, err = drivers[i].calibrate(slice); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	cpu, ratios := make([][]float64, len(names)), make([][]float64, len(names))
	for range rounds {
		for i, d := range drivers {
			used, err := d.round()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", names[i], err)
			}
			cpu[i] = append(cpu[i], used)
			ratios[i] = append(ratios[i], used/cpu[0][len(cpu[0])-1])
		}
	}
	for i, d := range drivers {
		results[i].cpu, results[i].ratio = median(cpu[i]), median(ratios[i])
		results[i].allocations, results[i].bytes = d.allocations(d.perRound)
		results[i].p99 = d.slowest(d.perRound)
	}
	return results, nil
}

// calibrate finds how many requests take about so long.
func (d *driver) calibrate(slice time.Duration) (n int, err error) {
	const sample = 500
	if err := d.serve(sample); err != nil {
		return 0, err
	}
	began := processorTime()
	err = d.serve(sample)
	return max(100, int(slice*sample/max(time.Microsecond, processorTime()-began))), err
}

// round serves a slice, and returns the processor time of a request in
// nanoseconds. Each credential is presented once before, uncounted: while others
// had their turn the seconds passed after which the directory is asked again,
// which at this rate is no part of a request.
func (d *driver) round() (float64, error) {
	if err := d.serve(len(d.requests)); err != nil {
		return 0, err
	}
	began := processorTime()
	err := d.serve(d.perRound)
	return float64(processorTime()-began) / float64(d.perRound), err
}

func (d *driver) allocations(n int) (count, bytes float64) {
	var before, after runtime.MemStats
	_ = d.serve(len(d.requests))
	runtime.ReadMemStats(&before)
	_ = d.serve(n)
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs-before.Mallocs) / float64(n), float64(after.TotalAlloc-before.TotalAlloc) / float64(n)
}

// slowest is the 99th percentile of single requests.
func (d *driver) slowest(n int) time.Duration {
	times := make([]time.Duration, n)
	for i := range times {
		began := time.Now()
		_ = d.serve(1)
		times[i] = time.Since(began)
	}
	slices.Sort(times)
	return times[n*99/100]
}

func heap() uint64 {
	var m runtime.MemStats
	for range 2 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// processorTime is what this process has used.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // it cannot fail for RUSAGE_SELF
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}
