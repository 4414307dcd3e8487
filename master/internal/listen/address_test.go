package listen

import (
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
		"Unix":              {in: "unix:///run/a.sock", want: Address{Network: "unix", Path: "/run/a.sock"}},
		"Unix with a mode":  {in: "unix:///run/a.sock?mode=0660", want: Address{Network: "unix", Path: "/run/a.sock", Mode: 0o660}},
		"Unix, named":       {in: "a=unix:///a?mode=600", want: Address{Name: "a", Network: "unix", Path: "/a", Mode: 0o600}},
		"Unix, abstract":    {in: "unix://@a", want: Address{Network: "unix", Path: "@a"}},
		"systemd":           {in: "systemd://web", want: Address{Network: "systemd", Inherited: "web"}},
		"all from systemd":  {in: "systemd://", want: Address{Network: "systemd"}},
		"relative path":     {in: "unix://run/a", err: "want unix:///PATH"},
		"no path":           {in: "unix:///", err: "want unix:///PATH"},
		"path too long":     {in: "unix:///" + strings.Repeat("p", 107), err: "107 fit"},
		"mode in words":     {in: "unix:///a?mode=rw", err: `mode "rw"`},
		"mode too large":    {in: "unix:///a?mode=1777", err: `mode "1777"`},
		"abstract, mode":    {in: "unix://@a?mode=0660", err: "of a socket that has a file"},
		"unknown option":    {in: "unix:///a?owner=me", err: `unknown option "owner"`},
		"empty":             {in: "", err: "want HOST:PORT"},
		"no port":           {in: "127.0.0.1", err: "want HOST:PORT"},
		"bare IPv6":         {in: "::1:80", err: "want HOST:PORT"},
		"port too large":    {in: ":65536", err: `port "65536"`},
		"port in words":     {in: ":http", err: `port "http"`},
		"negative port":     {in: ":-1", err: `port "-1"`},
		"unknown scheme":    {in: "udp://:80", err: `unknown kind "udp"`},
		"empty name":        {in: "=:80", err: "1 to 191 bytes"},
		"endless name":      {in: strings.Repeat("n", 192) + "=:80", err: "1 to 191 bytes"},
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

func FuzzParseAddress(f *testing.F) {
	for _, seed := range []string{"127.0.0.1:8888", "a=tcp6://[::1]:0", "=", "://", ":", "b=unix:///run/b?mode=0600", "systemd://x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAddress(s)
		if err == nil && (networks[a.Network] == nil || len(a.Path) > maxUnixPath || len(a.Name) > 191) {
			t.Errorf("%+v", a)
		}
	})
}
