package console

import (
	"fmt"

	"github.com/strikeplate/strikeplate/internal/colour"
)

// The grounds that the accent colours stand on, as style.css has them.
const (
	lightGround = "#f6f7f9"
	darkGround  = "#14171c"
)

func (c *Colours) settle() error {
	or(&c.Accent, "#1f5fbf")
	or(&c.AccentDark, "#8ab4f8")
	if err := colour.Legible(c.Accent, lightGround); err != nil {
		return fmt.Errorf("Product.Colours.Accent: %w", err)
	}
	if err := colour.Legible(c.AccentDark, darkGround); err != nil {
		return fmt.Errorf("Product.Colours.AccentDark: %w", err)
	}
	return nil
}
