package console

import (
	"strconv"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

// The chart's own units; style.css stretches it.
const (
	chartWidth  = 720.0
	chartHeight = 160.0
)

// chart is requests over time, as bars of which a part are errors. The template
// draws it: every text in it is escaped there, and there are no styles in it.
type chart struct {
	Width, Height    string
	Bars             []bar
	Top, Middle      int64 // of the scale
	First, Mid, Last time.Time
}

// bar is one bucket. Coordinates are texts that the template puts in as they are.
type bar struct {
	Start                 time.Time
	Requests, Errors      int64
	X, Width              string
	Y, Height             string
	ErrorsY, ErrorsHeight string
}

func drawChart(points []storage.UsagePoint) chart {
	c := chart{Width: number(chartWidth), Height: number(chartHeight), Top: scale(points)}
	c.Middle = c.Top / 2
	slot := chartWidth / float64(max(1, len(points)))
	for i, p := range points {
		all, bad := height(p.Requests(), c.Top), height(p.Errors(), c.Top)
		c.Bars = append(c.Bars, bar{
			Start: p.Start, Requests: p.Requests(), Errors: p.Errors(),
			X: number(float64(i)*slot + slot*0.1), Width: number(slot * 0.8),
			Y: number(chartHeight - all), Height: number(all),
			ErrorsY: number(chartHeight - bad), ErrorsHeight: number(bad),
		})
	}
	if n := len(points); n > 0 {
		c.First, c.Mid, c.Last = points[0].Start, points[n/2].Start, points[n-1].Start
	}
	return c
}

// scale is the least round number above all bars: 2, 4 or 10 times a power of ten.
func scale(points []storage.UsagePoint) int64 {
	most := int64(1)
	for _, p := range points {
		most = max(most, p.Requests())
	}
	for power := int64(1); ; power *= 10 {
		for _, step := range []int64{2, 4, 10} {
			if power > 1<<60/step || step*power >= most {
				return step * power
			}
		}
	}
}

func height(n, top int64) float64 {
	return min(chartHeight, chartHeight*float64(n)/float64(max(1, top)))
}

func number(f float64) string { return strconv.FormatFloat(f, 'f', 2, 64) }
