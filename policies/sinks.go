package policies

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
)

// JSONLines is a sink that writes each record as one line of JSON. Records that
// were decided at about the same time are one call of w.Write.
func JSONLines(w io.Writer) Sink { return &jsonLines{to: w} }

type jsonLines struct{ to io.Writer }

func (s *jsonLines) Write(records []Record) error {
	var b bytes.Buffer
	lines := json.NewEncoder(&b)
	for i := range records {
		if err := lines.Encode(&records[i]); err != nil {
			return err
		}
	}
	_, err := s.to.Write(b.Bytes())
	return err
}

// ToLogger is a sink that logs each record, denials as warnings and what could
// not be decided as errors.
func ToLogger(l *slog.Logger) Sink { return logger{l} }

type logger struct{ to *slog.Logger }

func (s logger) Write(records []Record) error {
	for i := range records {
		r := &records[i]
		level := slog.LevelInfo
		switch {
		case r.Err != "":
			level = slog.LevelError
		case !r.Allowed:
			level = slog.LevelWarn
		}
		s.to.LogAttrs(context.Background(), level, "decision", r.attributes()...)
	}
	return nil
}

func (r *Record) attributes() []slog.Attr {
	attributes := []slog.Attr{
		slog.Time("decided", r.Time), slog.String("entry", r.Entry), slog.Bool("allowed", r.Allowed),
		slog.String("revision", r.Revision), slog.Duration("elapsed", r.Elapsed),
	}
	for _, text := range [][2]string{
		{"what", r.What}, {"request", r.Request}, {"rule", r.Rule}, {"reason", r.Reason}, {"credential", r.Credential},
		{"organisation", r.Organisation}, {"actor", r.Actor}, {"error", r.Err},
	} {
		if text[1] != "" {
			attributes = append(attributes, slog.String(text[0], text[1]))
		}
	}
	if r.Rows > 0 {
		attributes = append(attributes, slog.Int("rows", r.Rows), slog.Int("visible", r.Visible))
	}
	if r.Remembered {
		attributes = append(attributes, slog.Bool("remembered", true))
	}
	if r.Scopes != nil {
		attributes = append(attributes, slog.Any("scopes", r.Scopes))
	}
	if r.Settings != nil {
		attributes = append(attributes, slog.Any("settings", r.Settings))
	}
	return attributes
}
