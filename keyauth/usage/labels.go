package usage

import (
	"sync"

	"github.com/strikeplate/strikeplate/storage"
)

// Labels bound the names that a monitoring system gets to see: the first ones
// are kept, all further ones are [storage.UsageOther]. Packages
// usage/prometheus and usage/otel use it. It is safe for concurrent use.
type Labels struct {
	most  int
	known sync.Map // of string to struct{}
	mu    sync.Mutex
	n     int
}

// NewLabels returns room for so many names.
func NewLabels(most int) *Labels { return &Labels{most: most} }

// Of returns name if it is among those that are kept, or can still be.
func (l *Labels) Of(name string) string {
	if _, ok := l.known.Load(name); ok {
		return name
	}
	if l.most <= 0 || name == "" || !storable(name) {
		return storage.UsageOther
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.known.Load(name); ok {
		return name
	}
	if l.n >= l.most {
		return storage.UsageOther
	}
	l.n++
	l.known.Store(name, struct{}{})
	return name
}
