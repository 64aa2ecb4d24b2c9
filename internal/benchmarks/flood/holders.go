package main

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// holder is a well-behaved client with a connection of its own.
type holder struct {
	client http.Client
	url    string
	key    string
}

func newHolder(s service, key string) *holder {
	return &holder{client: http.Client{Transport: &http.Transport{}, Timeout: 20 * time.Second},
		url: "http://" + s.URL + "/", key: key}
}

// ask sends one request and returns the status and what it was told to wait.
func (h *holder) ask() (status int, wait time.Duration, err error) {
	r, err := http.NewRequest(http.MethodGet, h.url, nil)
	if err != nil {
		return 0, 0, err
	}
	r.Header.Set("Authorization", "Bearer "+h.key)
	res, err := h.client.Do(r)
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = res.Body.Close() }()
	_, err = io.Copy(io.Discard, res.Body)
	seconds, _ := strconv.Atoi(res.Header.Get("Retry-After"))
	return res.StatusCode, time.Duration(seconds) * time.Second, err
}

// The holders of one proven key: connections, each of which asks on a schedule.
const (
	warmConnections = 4
	warmInterval    = 10 * time.Millisecond
)

// warm measures how long the holders of one proven key wait for their answers.
func warm(s service) (outcome, error) {
	spans := make([][]time.Duration, warmConnections)
	errs := make([]error, warmConnections)
	var all sync.WaitGroup
	for i := range spans {
		all.Go(func() { spans[i], errs[i] = newHolder(s, s.Warm).keepAsking() })
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return outcome{}, err
		}
	}
	return judgeWarm(slices.Concat(spans...)), nil
}

// prove presents a key for the first time.
func prove(h *holder) error {
	status, _, err := h.ask()
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("a valid key was answered %d", status)
	}
	return err
}

// keepAsking asks on a schedule. A request that begins late because the one
// before took long counts from when it was due; otherwise the slow ones would
// hide those that they held up.
func (h *holder) keepAsking() ([]time.Duration, error) {
	var spans []time.Duration
	begin := time.Now()
	for due := begin; due.Sub(begin) < warmSpan; due = due.Add(warmInterval) {
		from := due
		if early := time.Until(due); early > 0 {
			time.Sleep(early)
			from = time.Now()
		}
		status, _, err := h.ask()
		if err != nil {
			return nil, err
		}
		if status != http.StatusOK {
			return nil, fmt.Errorf("the holder of a proven key was answered %d", status)
		}
		spans = append(spans, time.Since(from))
	}
	return spans, nil
}

func judgeWarm(spans []time.Duration) outcome {
	slices.Sort(spans)
	p50, p99, most := spans[len(spans)/2], spans[len(spans)*99/100], spans[len(spans)-1]
	o := outcome{text: fmt.Sprintf("%d requests, p50 %s, p99 %s, max %s", len(spans), ms(p50), ms(p99), ms(most))}
	if p50 > mostP50 {
		o.missed = append(o.missed, "p50 above "+ms(mostP50))
	}
	if p99 > mostP99 {
		o.missed = append(o.missed, "p99 above "+ms(mostP99))
	}
	return o
}

func ms(d time.Duration) string { return fmt.Sprintf("%.2f ms", float64(d)/1e6) }

// cold measures how long it takes until every key that was never presented is
// verified. Each holder tries again after a second, or when told to.
func cold(s service) (outcome, error) {
	began := time.Now()
	verified := make([]time.Duration, len(s.Cold))
	var asked, failed atomic.Int64
	var all sync.WaitGroup
	for i, key := range s.Cold {
		all.Go(func() {
			h := newHolder(s, key)
			for time.Since(began) < coldPatience {
				asked.Add(1)
				status, wait, err := h.ask()
				if status == http.StatusOK {
					verified[i] = time.Since(began)
					return
				}
				if err != nil {
					failed.Add(1)
				}
				time.Sleep(max(wait, time.Second))
			}
		})
	}
	all.Wait()
	return judgeCold(verified, asked.Load(), failed.Load()), nil
}

func judgeCold(verified []time.Duration, asked, failed int64) outcome {
	slices.Sort(verified)
	verified = slices.DeleteFunc(verified, func(d time.Duration) bool { return d == 0 })
	inTime := 0
	var last time.Duration
	for _, d := range verified {
		last = d
		if d <= coldBound {
			inTime++
		}
	}
	o := outcome{text: fmt.Sprintf("%d of %d verified within %v, the last after %.1f s, in %d requests (%d without an answer)",
		inTime, coldHolders, coldBound, last.Seconds(), asked, failed)}
	if inTime < coldHolders {
		o.missed = append(o.missed, fmt.Sprintf("%d late", coldHolders-inTime))
	}
	return o
}
