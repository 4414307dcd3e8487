// Package plot draws line charts as SVG, with no more than that takes.
//
// The plots of docs/performance.md and of usher bench are made by it. It knows nothing of
// what is measured, and writes nowhere but to the writer that it is given.
package plot

import (
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"strings"
)

// Chart is a drawing of one or more lines. Points that a logarithmic scale cannot
// show, and those that are no numbers, are left out.
type Chart struct {
	Title  string
	X, Y   Axis
	Series []Series
}

// Axis is a scale.
type Axis struct {
	Label string
	Log   bool                       // logarithmic; else it begins at 0
	Text  func(value float64) string // of a mark; nil: the number
	Marks []float64                  // nil: round ones
}

// Series is one line.
type Series struct {
	Name   string
	Points []Point
}

// Point is a place on a line.
type Point struct{ X, Y float64 }

// The measures of a chart, in pixels.
const (
	width, height = 760, 320
	left, right   = 80, 20
	top, bottom   = 40, 50
)

var colours = []string{"#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#8c564b", "#17becf", "#7f7f7f"}

// Write writes the charts below one another, as one SVG document.
func Write(w io.Writer, charts ...Chart) error {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" font-family="sans-serif" font-size="12">`+"\n",
		width, height*len(charts))
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="white"/>`+"\n", width, height*len(charts))
	for i := range charts {
		fmt.Fprintf(&b, `<g transform="translate(0,%d)">`+"\n", i*height)
		charts[i].draw(&b)
		b.WriteString("</g>\n")
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func (c *Chart) draw(b *strings.Builder) {
	x := c.X.scale(c.Series, func(p Point) float64 { return p.X }, left, width-right)
	y := c.Y.scale(c.Series, func(p Point) float64 { return p.Y }, height-bottom, top)
	text(b, width/2, top/2, "middle", 15, c.Title)
	text(b, (left+width-right)/2, height-10, "middle", 12, c.X.Label)
	text(b, left-60, top-10, "start", 12, c.Y.Label)
	for _, mark := range x.marks {
		line(b, x.at(mark), top, x.at(mark), height-bottom)
		text(b, x.at(mark), height-bottom+16, "middle", 11, c.X.name(mark))
	}
	for _, mark := range y.marks {
		line(b, left, y.at(mark), width-right, y.at(mark))
		text(b, left-6, y.at(mark)+4, "end", 11, c.Y.name(mark))
	}
	for i, s := range c.Series {
		colour := colours[i%len(colours)]
		var path []string
		for _, p := range s.Points {
			if x.shows(p.X) && y.shows(p.Y) {
				path = append(path, fmt.Sprintf("%.1f,%.1f", x.at(p.X), y.at(p.Y)))
			}
		}
		fmt.Fprintf(b, `<polyline fill="none" stroke="%s" stroke-width="2" points="%s"/>`+"\n", colour, strings.Join(path, " "))
		if len(path) <= 20 {
			for _, p := range path {
				at := strings.Split(p, ",")
				fmt.Fprintf(b, `<circle cx="%s" cy="%s" r="3" fill="%s"/>`+"\n", at[0], at[1], colour)
			}
		}
		if len(c.Series) > 1 {
			fmt.Fprintf(b, `<rect x="%d" y="%d" width="10" height="10" fill="%s"/>`+"\n", left+10, top+6+16*i, colour)
			text(b, left+26, float64(top+15+16*i), "start", 12, s.Name)
		}
	}
}

// scale maps values to pixels.
type scale struct {
	log      bool
	from, to float64 // values, logarithms of them if log
	a, b     float64 // pixels
	marks    []float64
}

// scale covers all points.
func (a *Axis) scale(series []Series, value func(Point) float64, from, to float64) scale {
	s := scale{log: a.Log, a: from, b: to}
	low, high := math.Inf(1), math.Inf(-1)
	for _, line := range series {
		for _, p := range line.Points {
			if v := value(p); s.shows(v) {
				low, high = min(low, v), max(high, v)
			}
		}
	}
	if low > high {
		low, high = 1, 2
	}
	if !a.Log {
		step := roundStep(high / 5)
		s.to = max(math.Ceil(high/step), 1) * step
		for v := 0.0; v <= s.to*1.0001; v += step {
			s.marks = append(s.marks, v)
		}
	} else {
		s.from, s.to = math.Floor(math.Log10(low)), math.Ceil(math.Log10(high))
		if a.Marks != nil {
			s.from, s.to = math.Log10(low), math.Log10(high)
		}
		if s.from == s.to {
			s.to++
		}
		for v := math.Ceil(s.from); v <= s.to; v++ {
			s.marks = append(s.marks, math.Pow(10, v))
		}
	}
	if a.Marks != nil {
		s.marks = nil
		for _, mark := range a.Marks {
			if s.shows(mark) && mark >= low*0.999 && mark <= high*1.001 {
				s.marks = append(s.marks, mark)
			}
		}
	}
	return s
}

func (s scale) shows(v float64) bool {
	return !math.IsNaN(v) && !math.IsInf(v, 0) && (!s.log || v > 0)
}

func (s scale) at(v float64) float64 {
	if s.log {
		v = math.Log10(v)
	}
	return s.a + (v-s.from)/(s.to-s.from)*(s.b-s.a)
}

// roundStep returns 1, 2 or 5 times a power of ten, not below v.
func roundStep(v float64) float64 {
	if v <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, digit := range []float64{1, 2, 5} {
		if digit*power >= v {
			return digit * power
		}
	}
	return 10 * power
}

func (a *Axis) name(v float64) string {
	if a.Text != nil {
		return a.Text(v)
	}
	return Short(v)
}

// Short writes a number with a unit of thousands.
func Short(v float64) string {
	for _, unit := range []struct {
		size float64
		name string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if math.Abs(v) >= unit.size {
			return fmt.Sprintf("%.3g%s", v/unit.size, unit.name)
		}
	}
	return fmt.Sprintf("%.3g", v)
}

func line(b *strings.Builder, x1, y1, x2, y2 float64) {
	fmt.Fprintf(b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="#ddd"/>`+"\n", x1, y1, x2, y2)
}

func text(b *strings.Builder, x, y float64, anchor string, size int, s string) {
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="%s" font-size="%d">`, x, y, anchor, size)
	_ = xml.EscapeText(b, []byte(s)) // a Builder takes all
	b.WriteString("</text>\n")
}
