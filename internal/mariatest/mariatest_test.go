package mariatest_test

import (
	"database/sql"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/strikeplate/strikeplate/internal/mariatest"
)

func TestMain(m *testing.M) { os.Exit(mariatest.Main(m)) }

func TestDatabasesAreApart(t *testing.T) {
	a, b := connect(t, mariatest.Database(t)), connect(t, mariatest.Database(t))
	run(t, a, "CREATE TABLE here (n INT)")
	if got := read(t, b, "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE()"); got != "0" {
		t.Errorf("another database has %s tables; want none", got)
	}
}

func TestDatabasesAreUTF8(t *testing.T) {
	db := connect(t, mariatest.Database(t))
	if got := read(t, db, "SELECT @@character_set_database"); got != "utf8mb4" {
		t.Errorf("character set %q, want utf8mb4", got)
	}
	run(t, db, "CREATE TABLE texts (s VARCHAR(10))", "INSERT INTO texts VALUES ('\U0001F511')")
	if got := read(t, db, "SELECT s FROM texts"); got != "\U0001F511" {
		t.Errorf("read %q, want what was written", got)
	}
}

func TestListensOnLoopbackOnly(t *testing.T) {
	s := mariatest.Start(t, "--max-connections=21")
	db := connect(t, s.DSN())
	for query, want := range map[string]string{
		"SELECT @@bind_address":    "127.0.0.1",
		"SELECT @@max_connections": "21", // the caller's settings win
		"SELECT GROUP_CONCAT(CONCAT(user, '@', host)) FROM mysql.user WHERE user <> 'mariadb.sys'": "root@127.0.0.1",
	} {
		if got := read(t, db, query); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	if got := read(t, db, "SELECT @@socket"); !strings.HasPrefix(got, s.Dir()) {
		t.Errorf("the socket is %q, outside of the server's directory", got)
	}
}

func TestWantsThePassword(t *testing.T) {
	for _, password := range []string{"", "wrong"} {
		config, err := mysql.ParseDSN(mariatest.Database(t))
		if err != nil {
			t.Fatal(err)
		}
		config.Passwd = password
		if err := connect(t, config.FormatDSN()).Ping(); err == nil {
			t.Errorf("connected with the password %q", password)
		}
	}
}

func TestKillAndRestartKeepPortAndData(t *testing.T) {
	s := mariatest.Start(t)
	dsn := s.DSN()
	db := connect(t, dsn)
	run(t, db, "CREATE DATABASE d", "CREATE TABLE d.kept (n INT)", "INSERT INTO d.kept VALUES (7)")
	s.Kill()
	if err := connect(t, dsn).Ping(); err == nil {
		t.Fatal("a killed server answers")
	}
	s.Restart(t)
	if s.DSN() != dsn {
		t.Errorf("DSN after a restart is %q, was %q", s.DSN(), dsn)
	}
	if got := read(t, connect(t, dsn), "SELECT n FROM d.kept"); got != "7" {
		t.Errorf("read %q after a crash, want 7", got)
	}
}

func TestPauseAndResume(t *testing.T) {
	s := mariatest.Start(t)
	db := connect(t, s.DSN())
	run(t, db, "DO 1")
	s.Pause()
	answered := make(chan error, 1)
	ask := func() {
		_, err := db.ExecContext(t.Context(), "DO 1")
		answered <- err
	}
	// A signal stops each thread when its turn comes, so the first answers may
	// still be on their way.
	for paused := false; !paused; {
		go ask()
		select {
		case err := <-answered:
			if err != nil || t.Context().Err() != nil {
				t.Fatalf("a paused server answers: %v", err)
			}
		case <-time.After(200 * time.Millisecond):
			paused = true
		}
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
	s := mariatest.Start(t)
	dir := s.Dir()
	if _, err := os.Stat(dir); err != nil {
		t.Fatal(err)
	}
	s.Stop()
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("directory after Stop: %v; want that it doesn't exist", err)
	}
}

func connect(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	config, err := mysql.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	config.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func run(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func read(t *testing.T, db *sql.DB, query string) string {
	t.Helper()
	var text string
	if err := db.QueryRowContext(t.Context(), query).Scan(&text); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return text
}
