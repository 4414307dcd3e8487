package load

import (
	"io"
	"strconv"
	"time"

	"github.com/usher-go/usher/internal/plot"
)

// Plot draws the distribution of latencies, and the throughput over time, of one
// report or several, as SVG.
func Plot(w io.Writer, reports ...*Report) error {
	latency := plot.Chart{
		Title: "latency by percentile",
		X: plot.Axis{Label: "percentile", Log: true, Marks: []float64{1, 10, 100, 1000, 1e4, 1e5}, Text: func(inverse float64) string {
			return strconv.FormatFloat(100-100/inverse, 'f', -1, 64) + " %"
		}},
		Y: plot.Axis{Label: "latency", Log: true, Text: func(ns float64) string { return time.Duration(ns).String() }},
	}
	throughput := plot.Chart{
		Title: "answers per second",
		X:     plot.Axis{Label: "seconds of measuring"},
		Y:     plot.Axis{Label: "answers/s"},
	}
	for _, r := range reports {
		var spread, over []plot.Point
		for _, p := range r.Distribution {
			if p.Percent < 100 {
				spread = append(spread, plot.Point{X: 1 / (1 - p.Percent/100), Y: float64(p.Latency)})
			}
		}
		for i, rate := range r.Series {
			over = append(over, plot.Point{X: float64(i+1) * r.Interval, Y: rate})
		}
		latency.Series = append(latency.Series, plot.Series{Name: r.Address, Points: spread})
		throughput.Series = append(throughput.Series, plot.Series{Name: r.Address, Points: over})
	}
	return plot.Write(w, latency, throughput)
}
