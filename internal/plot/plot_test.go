package plot

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
)

// A document is well-formed and shows what can be shown.
func TestWrite(t *testing.T) {
	tests := []struct {
		name   string
		chart  Chart
		points int // of all lines
	}{
		{"nothing", Chart{Title: "a < b & c"}, 0},
		{"one", Chart{Series: []Series{{"line", []Point{{1, 1}, {2, 4}}}}}, 2},
		{"zeros", Chart{Series: []Series{{"line", []Point{{0, 0}, {0, 0}}}}}, 2},
		{"logarithms", Chart{X: Axis{Log: true}, Y: Axis{Log: true}, Series: []Series{
			{"<first>", []Point{{0, 1}, {1, 0}, {10, 100}, {100, 5}}},
			{"second", []Point{{10, math.Inf(1)}, {10, math.NaN()}}},
		}}, 2},
		{"marks", Chart{X: Axis{Log: true, Marks: []float64{1, 2, 1000}}, Series: []Series{{"line", []Point{{1, 1}, {4, 2}}}}}, 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var b strings.Builder
			if err := Write(&b, test.chart, test.chart); err != nil {
				t.Fatal(err)
			}
			points := 0
			decoder := xml.NewDecoder(strings.NewReader(b.String()))
			for {
				token, err := decoder.Token()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				start, ok := token.(xml.StartElement)
				if !ok || start.Name.Local != "polyline" {
					continue
				}
				for _, attribute := range start.Attr {
					if attribute.Name.Local == "points" {
						points += len(strings.Fields(attribute.Value))
					}
				}
			}
			if points != 2*test.points {
				t.Errorf("%d points, want %d", points, 2*test.points)
			}
			if strings.Contains(b.String(), "NaN") || strings.Contains(b.String(), "Inf") {
				t.Error("something is no number")
			}
		})
	}
}

func TestRoundStep(t *testing.T) {
	for _, test := range []struct{ v, want float64 }{{0, 1}, {1, 1}, {1.1, 2}, {3, 5}, {7, 10}, {0.03, 0.05}, {12345, 20000}} {
		if got := roundStep(test.v); math.Abs(got-test.want) > 1e-9 {
			t.Errorf("%v: %v, want %v", test.v, got, test.want)
		}
	}
}

func TestShort(t *testing.T) {
	for _, test := range []struct {
		v    float64
		want string
	}{{0, "0"}, {12, "12"}, {1500, "1.5k"}, {2e6, "2M"}, {3e9, "3G"}} {
		if got := Short(test.v); got != test.want {
			t.Errorf("%v: %q, want %q", test.v, got, test.want)
		}
	}
}
