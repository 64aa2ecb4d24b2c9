package meetings_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"testing"

	"github.com/strikeplate/strikeplate/examples/internal/meetings"
)

// However long another process holds the file's lock, an instance waits for it; what
// fails otherwise fails at once.
func TestPatientlyWaitsForTheLock(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "demo.db")
	open := func() *sql.Conn { // with no busy_timeout
		db, err := sql.Open("sqlite", "file:"+file)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		conn, err := db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	begin := func(c *sql.Conn) error {
		_, err := c.ExecContext(t.Context(), "BEGIN IMMEDIATE")
		return err
	}
	first, second := open(), open()
	if err := begin(first); err != nil {
		t.Fatal(err)
	}
	attempts := 0
	err := meetings.Patiently(t.Context(), func() error {
		if attempts++; attempts == 3 {
			if _, err := first.ExecContext(t.Context(), "COMMIT"); err != nil {
				t.Error(err)
			}
		}
		return begin(second)
	})
	if err != nil || attempts != 3 {
		t.Errorf("%v after %d attempts, want none after 3", err, attempts)
	}

	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := meetings.Patiently(gone, func() error { return begin(first) }); !errors.Is(err, context.Canceled) {
		t.Errorf("when the server is to end: %v", err)
	}
	other := errors.New("no disk")
	if err := meetings.Patiently(t.Context(), func() error { return other }); !errors.Is(err, other) {
		t.Errorf("another error: %v", err)
	}
}
