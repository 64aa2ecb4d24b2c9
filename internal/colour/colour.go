// Package colour tells whether text in a product's own colours can be read.
package colour

import (
	"errors"
	"fmt"
	"math"
	"strconv"
)

// Least is the contrast that text needs (WCAG 2.2, 1.4.3).
const Least = 4.5

// Legible says why a colour can't be read on a ground; both are of the form #rrggbb.
func Legible(colour, ground string) error {
	ratio, err := Contrast(colour, ground)
	if err != nil {
		return err
	}
	if ratio < Least {
		return fmt.Errorf("%s can't be read on %s: its contrast is %.1f to 1, and %.1f is needed", colour, ground, ratio, Least)
	}
	return nil
}

// On is the colour of text on a colour: black or white, whichever is read better.
func On(colour string) string {
	white, _ := Contrast(colour, "#ffffff")
	black, _ := Contrast(colour, "#000000")
	if black > white {
		return "#000000"
	}
	return "#ffffff"
}

// Contrast is WCAG's contrast ratio of two colours, 1 to 21.
func Contrast(a, b string) (float64, error) {
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
