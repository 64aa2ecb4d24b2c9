package colour_test

import (
	"math"
	"testing"

	"github.com/strikeplate/strikeplate/internal/colour"
)

func TestContrast(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want float64
	}{{"#000000", "#ffffff", 21}, {"#ffffff", "#ffffff", 1}, {"#777777", "#ffffff", 4.48}, {"#767676", "#ffffff", 4.54}, {"#1f5fbf", "#ffffff", 6.05}} {
		if got, err := colour.Contrast(c.a, c.b); err != nil || math.Abs(got-c.want) > 0.05 {
			t.Errorf("%s on %s: %.2f %v", c.a, c.b, got, err)
		}
	}
	if colour.Legible("#777777", "#ffffff") == nil || colour.Legible("#767676", "#ffffff") != nil || colour.Legible("red", "#ffffff") == nil || colour.Legible("#12345g", "#ffffff") == nil {
		t.Error("what can be read is judged wrongly")
	}
	if colour.On("#1f5fbf") != "#ffffff" || colour.On("#8ab4f8") != "#000000" {
		t.Error("text on a colour has the wrong one")
	}
}
