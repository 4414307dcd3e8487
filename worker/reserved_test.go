package worker

import "testing"

// What is kept from connections grows with what the program wants, up to three quarters of
// the limit.
func TestReserved(t *testing.T) {
	for name, c := range map[string]struct{ limit, more, want int }{
		"nothing more":          {1000, 0, reservedFDs},
		"some":                  {1000, 100, reservedFDs + 100},
		"more than there are":   {1000, 5000, 750},
		"few, and nothing more": {40, 0, 20},
		"few, and some":         {40, 100, 30},
		"less than nothing":     {1000, -5, reservedFDs},
	} {
		if got := reserved(c.limit, c.more); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}
