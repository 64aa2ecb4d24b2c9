package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// connections to a server are kept alive and never idle.
const connections = 16

// served is what a server tells in a line of JSON once it is ready.
type served struct {
	Address string
	Allowed []string
}

// serve runs a chain on a free port until its standard input ends. Each line of
// the input asks for the processor time that was used so far.
//
// Where profiles is a directory, it writes there what it spent its time on.
func serve(name, profiles string) error {
	newChain, ok := chains[name]
	if !ok {
		return fmt.Errorf("no chain %q", name)
	}
	c, err := newChain()
	if err != nil {
		return err
	}
	defer c.close()
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: c.handler, ReadHeaderTimeout: time.Minute}
	defer func() { _ = server.Close() }()
	go func() { _ = server.Serve(l) }()
	if profiles != "" {
		f, err := os.Create(filepath.Join(profiles, strings.ReplaceAll(name, " ", "-")+".pprof"))
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	out := json.NewEncoder(os.Stdout)
	if err := out.Encode(served{l.Addr().String(), c.allowed}); err != nil {
		return err
	}
	for asked := bufio.NewScanner(os.Stdin); asked.Scan(); {
		if err := out.Encode(processorTime()); err != nil {
			return err
		}
	}
	return nil
}

// profileDir is where servers write profiles; empty: nowhere.
var profileDir string

// remote is a server in a process of its own, and connections to it.
type remote struct {
	cmd     *exec.Cmd
	input   io.WriteCloser
	output  *json.Decoder
	clients []*client

	rates, cpu, ratios []float64 // by round
	times              []time.Duration
}

func startRemote(name string) (*remote, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	s := &remote{cmd: exec.CommandContext(context.Background(), self, "-serve", name, "-profile", profileDir)}
	s.cmd.Stderr = os.Stderr
	if s.input, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	output, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	s.output = json.NewDecoder(output)
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	var ready served
	if err := s.output.Decode(&ready); err != nil {
		s.stop()
		return nil, err
	}
	for i := range connections {
		c, err := connect(ready.Address, ready.Allowed[i%len(ready.Allowed)])
		if err != nil {
			s.stop()
			return nil, err
		}
		s.clients = append(s.clients, c)
	}
	return s, nil
}

func (s *remote) stop() {
	for _, c := range s.clients {
		_ = c.conn.Close()
	}
	_ = s.input.Close()
	_ = s.cmd.Wait()
}

// used is the server's processor time so far.
func (s *remote) used() (t time.Duration, err error) {
	if _, err = io.WriteString(s.input, "\n"); err == nil {
		err = s.output.Decode(&t)
	}
	return t, err
}

// round sends n requests on each connection, one after the other, and notes what
// they took.
func (s *remote) round(n int) error {
	before, err := s.used()
	if err != nil {
		return err
	}
	failed := make([]error, len(s.clients))
	var all sync.WaitGroup
	began := time.Now()
	for i, c := range s.clients {
		all.Go(func() { failed[i] = c.send(n) })
	}
	all.Wait()
	elapsed := time.Since(began)
	after, err := s.used()
	if err := errors.Join(errors.Join(failed...), err); err != nil {
		return err
	}
	requests := float64(n * len(s.clients))
	s.rates = append(s.rates, requests/elapsed.Seconds())
	s.cpu = append(s.cpu, float64(after-before)/requests)
	for _, c := range s.clients {
		s.times = append(s.times, c.times...)
	}
	return nil
}

// client is one connection. It does as little as it can, for it shares the machine
// with the server.
type client struct {
	conn    net.Conn
	in      *bufio.Reader
	request []byte
	times   []time.Duration
}

func connect(address, authorization string) (*client, error) {
	conn, err := new(net.Dialer).DialContext(context.Background(), "tcp", address)
	if err != nil {
		return nil, err
	}
	return &client{conn: conn, in: bufio.NewReader(conn), request: []byte("GET " + path + " HTTP/1.1\r\nHost: api.example\r\n" +
		"User-Agent: chain\r\nAccept: application/json\r\nAuthorization: " + authorization + "\r\n\r\n")}, nil
}

func (c *client) send(n int) error {
	c.times = c.times[:0]
	for range n {
		began := time.Now()
		if _, err := c.conn.Write(c.request); err != nil {
			return err
		}
		if err := c.receive(); err != nil {
			return err
		}
		c.times = append(c.times, time.Since(began))
	}
	return nil
}

// receive reads one response that has a Content-Length.
func (c *client) receive() error {
	length := -1
	for first := true; ; first = false {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		text := strings.TrimSpace(string(line))
		switch {
		case first && text != "HTTP/1.1 200 OK":
			return errors.New("answered " + text)
		case text == "":
			if length < 0 {
				return errors.New("a response without its length")
			}
			_, err := c.in.Discard(length)
			return err
		}
		if value, ok := strings.CutPrefix(text, "Content-Length: "); ok {
			if length, err = strconv.Atoi(value); err != nil {
				return err
			}
		}
	}
}

func showLoopback(quick bool) ([]target, error) {
	rounds := 61
	if quick {
		rounds = 3
	}
	names := []string{"bare", "strikeplate", "strikeplate+addresses", "by hand", "JWT RS256", "JWT EdDSA"}
	var servers []*remote
	defer func() {
		for _, s := range servers {
			s.stop()
		}
	}()
	for _, name := range names {
		s, err := startRemote(name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		servers = append(servers, s)
	}
	for range rounds {
		for i, s := range servers {
			if err := s.round(100); err != nil {
				return nil, fmt.Errorf("%s: %w", names[i], err)
			}
			s.ratios = append(s.ratios, s.rates[len(s.rates)-1]/servers[0].rates[len(servers[0].rates)-1])
		}
	}
	fmt.Printf("\nOn loopback, %d keep-alive connections, server and clients in a process each, medians of %d rounds\n\n", connections, rounds)
	fmt.Println("| chain | requests/s | of bare | server's CPU µs | p50 µs | p99 µs |")
	fmt.Println("|---|---|---|---|---|---|")
	var targets []target
	for i, s := range servers {
		slices.Sort(s.times)
		rate, ratio, cpu := median(s.rates), median(s.ratios), median(s.cpu)
		fmt.Printf("| %s | %.0f | %.3f | %.1f | %d | %d |\n", names[i], rate, ratio, cpu/1000,
			s.times[len(s.times)/2].Microseconds(), s.times[len(s.times)*99/100].Microseconds())
		if names[i] == "strikeplate" {
			targets = append(targets, target{"throughput on loopback, of the bare server's", ratio, true, 0.92})
		}
	}
	return targets, nil
}
