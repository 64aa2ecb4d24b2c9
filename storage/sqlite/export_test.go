package sqlite

import "fmt"

// SetMaxPages lets the file grow no further than n pages, as a full disk does.
func SetMaxPages(s *Store, n int) error {
	_, err := s.writer.Exec(fmt.Sprintf("PRAGMA max_page_count = %d", n))
	return err
}
