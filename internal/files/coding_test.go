package files

import (
	"strings"
	"testing"
)

// Which of the files that lie beside each other a client gets.
func TestChoose(t *testing.T) {
	tests := []struct{ name, accepts, there, want string }{
		{"nothing said", "", "zstd br gzip", "identity"},
		{"all", "gzip, deflate, br, zstd", "zstd br gzip", "zstd"},
		{"all, of two", "gzip, deflate, br, zstd", "br gzip", "br"},
		{"one", "gzip", "zstd br gzip", "gzip"},
		{"one that is not there", "br", "gzip", "identity"},
		{"weights", "gzip;q=0.9, br;q=0.8", "br gzip", "gzip"},
		{"spaces", " gzip ; q=0.5 ,\tbr ; q=0.6", "br gzip", "br"},
		{"refused", "gzip;q=0", "gzip", "identity"},
		{"refused, with zeros", "gzip;q=0.000", "gzip", "identity"},
		{"any", "*", "br gzip", "br"},
		{"any but one", "*, br;q=0", "br gzip", "gzip"},
		{"none but one", "*;q=0, gzip", "br gzip", "gzip"},
		{"plain is better", "identity, gzip;q=0.5", "gzip", "identity"},
		{"plain is worse", "identity;q=0.5, gzip", "gzip", "gzip"},
		{"plain is refused, and there is nothing else", "identity;q=0", "gzip", "identity"},
		{"capitals", "GZIP;Q=1", "gzip", "gzip"},
		{"old name", "x-gzip", "gzip", "gzip"},
		{"weight that is none", "gzip;q=x, br;q=0.1", "br gzip", "br"},
		{"weight beyond 1", "gzip;q=2", "gzip", "identity"},
		{"weight too long", "gzip;q=0.0001", "gzip", "identity"},
		{"not a number", "gzip;q=nan", "gzip", "identity"},
		{"part of a name", "gzippy", "gzip", "identity"},
		{"commas", ",,,gzip,,", "gzip", "gzip"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			taste := tasteOf([]string{test.accepts})
			i := taste.choose(func(i int) bool { return strings.Contains(test.there, codings[i].name) })
			got := "identity"
			if i != identity {
				got = codings[i].name
			}
			if got != test.want {
				t.Errorf("%q of %s: %s, want %s", test.accepts, test.there, got, test.want)
			}
		})
	}
}

// Whatever a client says: it gets something that is there, and no coding that it refuses
// or has not named.
func FuzzChoose(f *testing.F) {
	f.Add("gzip, br;q=0.5, *;q=0", uint8(7))
	f.Add("identity;q=0, x-gzip;q=1.000", uint8(4))
	f.Fuzz(func(t *testing.T, accepts string, mask uint8) {
		taste := tasteOf([]string{accepts})
		i := taste.choose(func(i int) bool { return mask&(1<<i) != 0 })
		if i == identity {
			return
		}
		if mask&(1<<i) == 0 {
			t.Fatalf("%q: %s, which is not there", accepts, codings[i].name)
		}
		said := strings.ToLower(accepts)
		if !strings.Contains(said, codings[i].name) && !strings.Contains(said, "*") {
			t.Fatalf("%q: %s, which it does not name", accepts, codings[i].name)
		}
	})
}
