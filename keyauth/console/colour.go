package console

import (
	"errors"
	"fmt"
	"math"
	"strconv"
)

// The grounds that the accent colours stand on, as style.css has them.
const (
	lightGround = "#f6f7f9"
	darkGround  = "#14171c"
	leastRatio  = 4.5
)

func (c *Colours) settle() error {
	or(&c.Accent, "#1f5fbf")
	or(&c.AccentDark, "#8ab4f8")
	if err := legible("Accent", c.Accent, lightGround); err != nil {
		return err
	}
	return legible("AccentDark", c.AccentDark, darkGround)
}

func legible(name, colour, ground string) error {
	ratio, err := contrast(colour, ground)
	if err != nil {
		return fmt.Errorf("Product.Colours.%s: %w", name, err)
	}
	if ratio < leastRatio {
		return fmt.Errorf("Product.Colours.%s: %s can't be read on %s: its contrast is %.1f to 1, and %.1f is needed",
			name, colour, ground, ratio, leastRatio)
	}
	return nil
}

// on is the colour of text on a colour: black or white, whichever is read better.
func on(colour string) string {
	white, _ := contrast(colour, "#ffffff")
	black, _ := contrast(colour, "#000000")
	if black > white {
		return "#000000"
	}
	return "#ffffff"
}

// contrast is WCAG's contrast ratio of two colours, 1 to 21.
func contrast(a, b string) (float64, error) {
	la, errA := luminance(a)
	lb, errB := luminance(b)
	if err := errors.Join(errA, errB); err != nil {
		return 0, err
	}
	return (max(la, lb) + 0.05) / (min(la, lb) + 0.05), nil
}

func luminance(colour string) (float64, error) {
	if len(colour) != 7 || colour[0] != '#' {
		return 0, fmt.Errorf("%q is not of the form #rrggbb", colour)
	}
	rgb, err := strconv.ParseUint(colour[1:], 16, 24)
	if err != nil {
		return 0, fmt.Errorf("%q is not of the form #rrggbb", colour)
	}
	linear := func(shift int) float64 {
		v := float64(rgb>>shift&0xff) / 255
		if v <= 0.04045 {
			return v / 12.92
		}
		return math.Pow((v+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(16) + 0.7152*linear(8) + 0.0722*linear(0), nil
}
