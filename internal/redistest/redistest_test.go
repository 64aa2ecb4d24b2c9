package redistest_test

import (
	"os"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/strikeplate/strikeplate/internal/redistest"
)

func TestServersAreApart(t *testing.T) {
	a, b := connect(t, redistest.Start(t)), connect(t, redistest.Start(t))
	if err := a.Set(t.Context(), "here", "1", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if n, err := b.DBSize(t.Context()).Result(); err != nil || n != 0 {
		t.Errorf("another server has %d keys, %v; want none", n, err)
	}
}

func TestListensOnLoopbackOnlyAndKeepsNothing(t *testing.T) {
	c := connect(t, redistest.Start(t))
	for setting, want := range map[string]string{"bind": "127.0.0.1", "unixsocket": "", "save": "", "appendonly": "no"} {
		got, err := c.ConfigGet(t.Context(), setting).Result()
		if err != nil || got[setting] != want {
			t.Errorf("%s = %q, %v; want %q", setting, got[setting], err, want)
		}
	}
}

func TestTakesSettings(t *testing.T) {
	c := connect(t, redistest.Start(t, "maxmemory 12345678"))
	if got, err := c.ConfigGet(t.Context(), "maxmemory").Result(); err != nil || got["maxmemory"] != "12345678" {
		t.Errorf("maxmemory = %q, %v; want 12345678", got["maxmemory"], err)
	}
}

func TestWantsThePassword(t *testing.T) {
	s := redistest.Start(t)
	for _, password := range []string{"", "wrong"} {
		c := redis.NewClient(&redis.Options{Addr: s.Addr(), Password: password, MaxRetries: -1})
		t.Cleanup(func() { _ = c.Close() })
		if err := c.Ping(t.Context()).Err(); err == nil {
			t.Errorf("answers to the password %q", password)
		}
	}
	c := redis.NewClient(&redis.Options{Addr: s.Addr(), Password: s.Password()})
	t.Cleanup(func() { _ = c.Close() })
	if err := c.Ping(t.Context()).Err(); err != nil {
		t.Errorf("with Password: %v", err)
	}
}

func TestKillAndRestartKeepThePort(t *testing.T) {
	s := redistest.Start(t)
	url := s.URL()
	c := connect(t, s)
	if err := c.Set(t.Context(), "lost", "1", 0).Err(); err != nil {
		t.Fatal(err)
	}
	s.Kill()
	if err := c.Ping(t.Context()).Err(); err == nil {
		t.Fatal("a killed server answers")
	}
	s.Restart(t)
	if s.URL() != url {
		t.Errorf("URL after a restart is %q, was %q", s.URL(), url)
	}
	if n, err := c.DBSize(t.Context()).Result(); err != nil || n != 0 {
		t.Errorf("%d keys, %v after a kill; want none", n, err)
	}
}

func TestPauseAndResume(t *testing.T) {
	s := redistest.Start(t)
	c := connect(t, s)
	if err := c.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	s.Pause()
	answered := make(chan error, 1)
	go func() { answered <- c.Ping(t.Context()).Err() }()
	select {
	case err := <-answered:
		t.Fatalf("a paused server answers: %v", err)
	case <-time.After(200 * time.Millisecond):
	}
	s.Resume()
	select {
	case err := <-answered:
		if err != nil {
			t.Errorf("after Resume: %v", err)
		}
	case <-time.After(time.Minute):
		t.Error("no answer within a minute after Resume")
	}
}

func TestStopDeletesTheDirectory(t *testing.T) {
	s := redistest.Start(t)
	dir := s.Dir()
	if _, err := os.Stat(dir); err != nil {
		t.Fatal(err)
	}
	s.Stop()
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("directory after Stop: %v; want that it doesn't exist", err)
	}
}

func connect(t *testing.T, s *redistest.Server) *redis.Client {
	t.Helper()
	options, err := redis.ParseURL(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	options.MaxRetries, options.ReadTimeout = -1, time.Minute
	c := redis.NewClient(options)
	t.Cleanup(func() { _ = c.Close() })
	return c
}
