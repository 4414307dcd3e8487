package master

import (
	"net/netip"
	"strings"
	"testing"
)

func TestParseAddress(t *testing.T) {
	tests := map[string]struct {
		in   string
		want Address
		err  string // part of the error; empty: none
	}{
		"host and port":     {in: "127.0.0.1:8888", want: Address{Network: "tcp", Host: "127.0.0.1", Port: 8888}},
		"port alone":        {in: ":9000", want: Address{Network: "tcp", Port: 9000}},
		"any port":          {in: "localhost:0", want: Address{Network: "tcp", Host: "localhost"}},
		"IPv6":              {in: "[::1]:80", want: Address{Network: "tcp", Host: "::1", Port: 80}},
		"tcp4":              {in: "tcp4://:80", want: Address{Network: "tcp4", Port: 80}},
		"tcp6":              {in: "tcp6://[::]:80", want: Address{Network: "tcp6", Host: "::", Port: 80}},
		"named":             {in: "game=:7000", want: Address{Name: "game", Network: "tcp", Port: 7000}},
		"named with scheme": {in: "a=tcp://[::1]:7000", want: Address{Name: "a", Network: "tcp", Host: "::1", Port: 7000}},
		"empty":             {in: "", err: "want HOST:PORT"},
		"no port":           {in: "127.0.0.1", err: "want HOST:PORT"},
		"bare IPv6":         {in: "::1:80", err: "want HOST:PORT"},
		"port too large":    {in: ":65536", err: `port "65536"`},
		"port in words":     {in: ":http", err: `port "http"`},
		"negative port":     {in: ":-1", err: `port "-1"`},
		"unknown scheme":    {in: "udp://:80", err: `unknown kind "udp"`},
		"empty name":        {in: "=:80", err: "1 to 255 bytes"},
		"endless name":      {in: strings.Repeat("n", 256) + "=:80", err: "1 to 255 bytes"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := ParseAddress(test.in)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Fatalf("error %v, want one that says %q", err, test.err)
				}
				return
			}
			if err != nil || got != test.want {
				t.Errorf("got %+v, %v; want %+v", got, err, test.want)
			}
		})
	}
}

func TestResolve(t *testing.T) {
	tests := map[string]struct {
		in   string
		want string
		dual bool
	}{
		"every address":      {":80", "[::]:80", true},
		"every IPv4 address": {"tcp4://:80", "0.0.0.0:80", false},
		"every IPv6 address": {"tcp6://:80", "[::]:80", false},
		"this one":           {"127.0.0.1:80", "127.0.0.1:80", false},
		"IPv4 zero":          {"0.0.0.0:80", "0.0.0.0:80", false},
		"this IPv6 one":      {"[::1]:80", "[::1]:80", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			address, err := ParseAddress(test.in)
			if err != nil {
				t.Fatal(err)
			}
			addr, dual, err := address.resolve()
			if want := netip.MustParseAddrPort(test.want); err != nil || addr != want || dual != test.dual {
				t.Errorf("got %v, dual %v, %v; want %v, dual %v", addr, dual, err, want, test.dual)
			}
		})
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, seed := range []string{"127.0.0.1:8888", "a=tcp6://[::1]:0", "=", "://", ":"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAddress(s)
		if err == nil && a.Network != "tcp" && a.Network != "tcp4" && a.Network != "tcp6" {
			t.Errorf("network %q", a.Network)
		}
	})
}
