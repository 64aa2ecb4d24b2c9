package policies

// Log says which decisions are recorded, and where.
type Log struct {
}

func (l *Log) complete() error { return nil }
