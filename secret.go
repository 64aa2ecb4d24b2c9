package strikeplate

import (
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// Secret holds text that must not be printed. Every way of formatting it,
// %v, %#v, JSON, slog and the rest, writes "[redacted]"; [Secret.Reveal] alone
// returns the text. The zero value is empty.
type Secret struct{ text []byte }

// NewSecret wraps text.
func NewSecret(text string) Secret { return Secret{text: []byte(text)} }

// Reveal returns the text. Call it where the secret is handed to its holder,
// and nowhere else.
func (s Secret) Reveal() string { return string(s.text) }

// String implements [fmt.Stringer].
func (s Secret) String() string { return redacted }

// Format implements [fmt.Formatter], so that no verb reaches the text.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText implements [encoding.TextMarshaler]; encoding/json uses it too.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue implements [slog.LogValuer].
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }
