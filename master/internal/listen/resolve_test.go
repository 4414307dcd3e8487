package listen

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func parseAll(t *testing.T, addresses ...string) (parsed []Address) {
	t.Helper()
	for _, s := range addresses {
		address, err := ParseAddress(s)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, address)
	}
	return parsed
}

func TestResolve(t *testing.T) {
	tests := map[string]struct {
		in   string
		want string
		dual bool
	}{
		"every address":       {":80", "[::]:80", true},
		"every IPv4 address":  {"tcp4://:80", "0.0.0.0:80", false},
		"every IPv6 address":  {"tcp6://:80", "[::]:80", false},
		"this one":            {"127.0.0.1:80", "127.0.0.1:80", false},
		"IPv4 zero":           {"0.0.0.0:80", "0.0.0.0:80", false},
		"this IPv6 one":       {"[::1]:80", "[::1]:80", false},
		"one of an interface": {"[fe80::1%lo]:80", "[fe80::1%lo]:80", false},
		"IPv4 within IPv6":    {"[::ffff:127.0.0.1]:80", "127.0.0.1:80", false},
		"localhost":           {"tcp4://localhost:80", "127.0.0.1:80", false},
		"its other address":   {"tcp6://LOCALHOST.:80", "[::1]:80", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := Resolve(parseAll(t, test.in), nil)
			if err != nil {
				t.Fatal(err)
			}
			if want := netip.MustParseAddrPort(test.want); got[0].bind != want || got[0].dual != test.dual {
				t.Errorf("got %v, dual %v; want %v, dual %v", got[0].bind, got[0].dual, want, test.dual)
			}
		})
	}
	for in, want := range map[string]string{
		"tcp4://[::1]:80":     "family that tcp4 asks for",
		"tcp6://127.0.0.1:80": "family that tcp6 asks for",
	} {
		if got, err := Resolve(parseAll(t, in), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v, %v; want it to say %q", in, got, err, want)
		}
	}
}

// Nobody is asked about a name that keeps its socket; one that is there once more
// than before is new.
func TestNamesInForceAreNotLookedUp(t *testing.T) {
	const name = "a name with spaces:80" // which would be an error
	got, err := Resolve(parseAll(t, "web="+name, "127.0.0.1:80"), parseAll(t, name, "unix:///run/x"))
	if err != nil || got[0].bind.IsValid() || got[0].Name != "web" || !got[1].bind.IsValid() {
		t.Errorf("%+v, %v; want the second looked up alone", got, err)
	}
	if got, err := Resolve(parseAll(t, name, name), parseAll(t, name)); err == nil {
		t.Errorf("%+v, want the second to be looked up", got)
	}
	if l, err := Open(Settings{Addresses: got[:1], Sockets: 1}, nil); !errors.Is(err, errNotResolved) {
		t.Errorf("%v, %v; want %v", l, err, errNotResolved)
	}
}
