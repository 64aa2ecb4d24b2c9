package strikeplate

import (
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// Secret holds text that must not be printed. Formatting it with %v, %#v, JSON,
// slog and the rest writes "[redacted]", and where Go's formatters look past a
// type's methods, as in another struct's unexported field or after a wrong verb,
// they find no text; [Secret.Reveal] alone returns it. The zero value is empty.
type Secret struct {
	reveal func() string // a closure is the one thing that fmt and reflect can't look into
}

// NewSecret wraps text.
func NewSecret(text string) Secret { return Secret{func() string { return text }} }

// Reveal returns the text. Call it where the secret is handed to its holder,
// and nowhere else.
func (s Secret) Reveal() string {
	if s.reveal == nil {
		return ""
	}
	return s.reveal()
}

// String implements [fmt.Stringer].
func (s Secret) String() string { return redacted }

// Format implements [fmt.Formatter], so that no verb reaches the text.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText implements [encoding.TextMarshaler]; encoding/json uses it too.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue implements [slog.LogValuer].
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }
