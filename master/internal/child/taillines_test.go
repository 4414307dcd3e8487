package child

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// linesSaid has lines said from one number to another, with a gap after each.
func linesSaid(k *tailLines, now *time.Time, gap time.Duration, from, to int) {
	for n := from; n <= to; n++ {
		k.add(fmt.Sprint(n), *now)
		*now = now.Add(gap)
	}
}

func numbers(from, to int) (lines []string) {
	for n := from; n <= to; n++ {
		lines = append(lines, fmt.Sprint(n))
	}
	return lines
}

// The cause of a crash is at its beginning or at its end; whatever was said before it
// is kept as far as it was.
func TestTailLines(t *testing.T) {
	for name, test := range map[string]struct {
		quiet, crash int // lines long before, and of the burst
		want         []string
	}{
		"nothing":                  {0, 0, nil},
		"a line":                   {0, 1, numbers(1, 1)},
		"as many as the last":      {0, 20, numbers(1, 20)},
		"as many as are kept":      {0, 30, numbers(1, 30)},
		"one more":                 {0, 31, append(append(numbers(1, 10), "(lines left out here: 1)"), numbers(12, 31)...)},
		"many more":                {0, 1000, append(append(numbers(1, 10), "(lines left out here: 970)"), numbers(981, 1000)...)},
		"a life, and a line":       {100, 1, numbers(82, 101)},
		"a life, and a crash":      {100, 100, append(append(numbers(101, 110), "(lines left out here: 70)"), numbers(181, 200)...)},
		"a life, and a short one":  {100, 25, numbers(101, 125)},
		"a short life and a crash": {5, 31, append(append(numbers(6, 15), "(lines left out here: 1)"), numbers(17, 36)...)},
	} {
		var k tailLines
		now := time.Now()
		linesSaid(&k, &now, burstGap, 1, test.quiet)
		linesSaid(&k, &now, burstGap-1, test.quiet+1, test.quiet+test.crash)
		if got, want := k.String(), strings.Join(test.want, "\n"); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}
