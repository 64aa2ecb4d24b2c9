package main

import (
	"bufio"
	"crypto/rand"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// plan is what the attackers' process is told.
type plan struct {
	URL    string // the service's address
	Lookup string
	From   source
}

// answers counts what attackers were answered, by status; 0 is no answer.
type answers struct {
	Span     time.Duration
	Statuses map[int]int
}

func (a answers) String() string {
	if len(a.Statuses) == 0 {
		return "none"
	}
	var parts []string
	total := 0
	for _, status := range slices.Sorted(maps.Keys(a.Statuses)) {
		total += a.Statuses[status]
		parts = append(parts, fmt.Sprintf("%d: %d", status, a.Statuses[status]))
	}
	return fmt.Sprintf("%.0f/s (%s)", float64(total)/a.Span.Seconds(), strings.Join(parts, ", "))
}

// attack is the attackers' process.
func attack() error {
	return obey(func(p plan) (struct{}, func() answers, error) {
		began := time.Now()
		var stop atomic.Bool
		var all sync.WaitGroup
		counted := make([]map[int]int, attackers)
		for i := range attackers {
			all.Go(func() { counted[i] = p.attacker(i, &stop) })
		}
		return struct{}{}, func() answers {
			stop.Store(true)
			all.Wait()
			a := answers{Span: time.Since(began), Statuses: make(map[int]int)}
			for _, one := range counted {
				for status, n := range one {
					a.Statuses[status] += n
				}
			}
			return a
		}, nil
	})
}

// attacker sends wrong secrets until told to stop, on one connection while it
// lasts. It works on the bare connection: an attacker who spends less on each
// request sends more of them.
func (p plan) attacker(i int, stop *atomic.Bool) map[int]int {
	counted := make(map[int]int)
	dialer := net.Dialer{Timeout: 10 * time.Second}
	if p.From == elsewhere {
		dialer.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, byte(1+i/250), byte(1+i%250))}
	}
	for !stop.Load() {
		conn, err := dialer.Dial("tcp", p.URL)
		if err != nil {
			counted[0]++
			time.Sleep(10 * time.Millisecond) // a service that is not there is no flood
			continue
		}
		in := bufio.NewReader(conn)
		for err == nil && !stop.Load() {
			var status int
			if status, err = p.guess(conn, in); status != 0 || !stop.Load() {
				counted[status]++
			}
		}
		_ = conn.Close()
	}
	return counted
}

// guess sends one wrong secret.
func (p plan) guess(conn net.Conn, in *bufio.Reader) (status int, err error) {
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	secret := (rand.Text() + rand.Text())[:secretLength]
	if _, err := fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer %s%s%s\r\n\r\n",
		foreignPrefix, p.Lookup, secret); err != nil {
		return 0, err
	}
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	return res.StatusCode, err
}
