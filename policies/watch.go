package policies

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// debounce is how long a source must be quiet before it is read: a change of
// several files comes as a burst.
const debounce = 50 * time.Millisecond

// watch reads the source again whenever it changes, until ctx ends.
func (e *Engine) watch(ctx context.Context) error {
	if e.c.Source.Dir == "" && e.c.Source.Bundle == "" {
		return nil
	}
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("policies: watching the source: %w", err)
	}
	e.done.Go(func() {
		<-ctx.Done()
		if err := w.Close(); err != nil {
			e.c.Logger.LogAttrs(context.Background(), slog.LevelWarn, "policies: closing the watch", slog.Any("error", err))
		}
	})
	if err := e.c.Source.watch(w); err != nil && !e.c.StartUnready {
		return fmt.Errorf("policies: watching the source: %w", err)
	}
	e.done.Go(func() { e.follow(ctx, w) })
	return nil
}

// follow waits for quiet after changes, then reloads.
func (e *Engine) follow(ctx context.Context, w *fsnotify.Watcher) {
	quiet := time.NewTimer(debounce)
	quiet.Stop()
	defer quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case _, open := <-w.Events:
			if !open {
				return
			}
			quiet.Reset(debounce)
		case err, open := <-w.Errors:
			if !open {
				return
			}
			// Events may be lost: look for oneself.
			e.c.Logger.LogAttrs(ctx, slog.LevelWarn, "policies: watching the source", slog.Any("error", err))
			quiet.Reset(debounce)
		case <-quiet.C:
			// New directories are watched before they are read.
			if err := e.c.Source.watch(w); err != nil {
				e.c.Logger.LogAttrs(ctx, slog.LevelWarn, "policies: watching the source", slog.Any("error", err))
			}
			_ = e.Reload(ctx) // it is logged there, and Ready tells it
		}
	}
}

// watch adds what tells of changes: the directories that hold the files, and
// those that hold the links to them.
func (s *Source) watch(w *fsnotify.Watcher) error {
	if s.Bundle != "" {
		return w.Add(filepath.Dir(s.Bundle))
	}
	if err := w.Add(filepath.Dir(filepath.Clean(s.Dir))); err != nil {
		return err
	}
	root, err := resolve(s.Dir)
	if err != nil {
		return err
	}
	if err := w.Add(s.Dir); err != nil {
		return err
	}
	return filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case !d.IsDir():
			return nil
		case name != root && d.Name()[0] == '.':
			return fs.SkipDir
		}
		if err := w.Add(name); err != nil && !os.IsNotExist(err) {
			return err
		}
		return nil
	})
}
