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
		"unknown option":    {in: "unix:///a?owner=me", err: `unknown option "owner": want mode=0660, tls=on|off, cert=NAME, proxy=on|off, trust=CIDR[,CIDR]`},
		"mode twice":        {in: "unix:///a?mode=0600&mode=0660", err: "mode is there 2 times; leave all out but one"},
		"mode of TCP":       {in: ":80?mode=0660", err: "mode is that of a Unix socket's file; there is none here"},
		"no option":         {in: ":80?", want: Address{Network: "tcp", Port: 80}},
		"broken options":    {in: ":80?%", err: "after the ? want options, with & between them: mode=0660, tls"},

		"TLS":                   {in: "tls://127.0.0.1:443", want: Address{Network: "tcp", Host: "127.0.0.1", Port: 443, Transport: Transport{TLS: true}}},
		"TLS by option":         {in: ":443?tls=on", want: Address{Network: "tcp", Port: 443, Transport: Transport{TLS: true}}},
		"TLS twice":             {in: "a=tls://:443?tls=on", want: Address{Name: "a", Network: "tcp", Port: 443, Transport: Transport{TLS: true}}},
		"TLS, IPv6":             {in: "tcp6://[::1]:443?tls=on", want: Address{Network: "tcp6", Host: "::1", Port: 443, Transport: Transport{TLS: true}}},
		"TLS, Unix":             {in: "unix:///a?mode=600&tls=on", want: Address{Network: "unix", Path: "/a", Mode: 0o600, Transport: Transport{TLS: true}}},
		"TLS, abstract":         {in: "unix://@a?tls=on", want: Address{Network: "unix", Path: "@a", Transport: Transport{TLS: true}}},
		"TLS, systemd":          {in: "systemd://web?tls=on", want: Address{Network: "systemd", Inherited: "web", Transport: Transport{TLS: true}}},
		"TLS, all from systemd": {in: "systemd://?tls=on", want: Address{Network: "systemd", Transport: Transport{TLS: true}}},
		"no TLS":                {in: ":80?tls=off&proxy=off", want: Address{Network: "tcp", Port: 80}},
		"TLS and not":           {in: "tls://:443?tls=off", err: "tls:// and tls=off contradict each other"},
		"TLS, or so":            {in: ":443?tls=yes", err: `tls is "yes", want on or off`},
		"TLS in capitals":       {in: ":443?TLS=on", err: `unknown option "TLS"`},
		"TLS at a path":         {in: "tls:///run/a.sock", err: "want HOST:PORT"},
		"certificate":           {in: "tls://:443?cert=B.Example.", want: Address{Network: "tcp", Port: 443, Transport: Transport{TLS: true, Cert: "b.example"}}},
		"wildcard":              {in: "tls://:443?cert=*.b.example", want: Address{Network: "tcp", Port: 443, Transport: Transport{TLS: true, Cert: "*.b.example"}}},
		"certificate, no TLS":   {in: ":443?cert=b.example", err: "cert says which certificate TLS shows first; it wants tls=on, or tls://, beside it"},
		"certificate of none":   {in: "tls://:443?cert=", err: `cert "" is no name of a certificate`},
		"certificate of two":    {in: "tls://:443?cert=a&cert=b", err: "cert is there 2 times"},
		"certificate, a line":   {in: "tls://:443?cert=a%0Ab", err: `cert "a\nb" is no name`},
		"long certificate":      {in: "tls://:443?cert=" + strings.Repeat("c", 254), err: "is no name of a certificate"},
		"PROXY":                 {in: ":80?proxy=on", want: Address{Network: "tcp", Port: 80, Transport: Transport{Proxy: true, Trust: "127.0.0.0/8,::1/128"}}},
		"PROXY, trusting":       {in: "tls://:443?proxy=on&trust=192.0.2.0/24,10.0.0.0/8", want: Address{Network: "tcp", Port: 443, Transport: Transport{TLS: true, Proxy: true, Trust: "10.0.0.0/8,192.0.2.0/24"}}},
		"PROXY, trusting lists": {in: ":80?trust=2001:db8::/32&proxy=on&trust=10.0.0.0/8&trust=10.0.0.0/8", want: Address{Network: "tcp", Port: 80, Transport: Transport{Proxy: true, Trust: "10.0.0.0/8,2001:db8::/32"}}},
		"PROXY, trusting one":   {in: ":80?proxy=on&trust=10.1.2.3,::1", want: Address{Network: "tcp", Port: 80, Transport: Transport{Proxy: true, Trust: "10.1.2.3/32,::1/128"}}},
		"PROXY, trusting all":   {in: ":80?proxy=on&trust=0.0.0.0/0,::/0", want: Address{Network: "tcp", Port: 80, Transport: Transport{Proxy: true, Trust: "0.0.0.0/0,::/0"}}},
		"PROXY, Unix":           {in: "unix:///a?proxy=on", want: Address{Network: "unix", Path: "/a", Transport: Transport{Proxy: true}}},
		"PROXY, systemd":        {in: "systemd://web?proxy=on", want: Address{Network: "systemd", Inherited: "web", Transport: Transport{Proxy: true, Trust: "127.0.0.0/8,::1/128"}}},
		"trust, no PROXY":       {in: ":80?trust=10.0.0.0/8", err: "trust says whose PROXY headers are believed; it wants proxy=on beside it"},
		"trust, PROXY off":      {in: ":80?proxy=off&trust=10.0.0.0/8", err: "it wants proxy=on beside it"},
		"trust, Unix":           {in: "unix:///a?proxy=on&trust=10.0.0.0/8", err: "whoever may connect to a Unix socket is believed"},
		"trust in nobody":       {in: ":80?proxy=on&trust=", err: `trust "" is no network`},
		"trust in a name":       {in: ":80?proxy=on&trust=localhost", err: `trust "localhost" is no network, such as 10.0.0.0/8`},
		"trust, empty part":     {in: ":80?proxy=on&trust=10.0.0.0/8,", err: `trust "" is no network`},
		"trust, host bits":      {in: ":80?proxy=on&trust=10.1.2.3/8", err: `trust "10.1.2.3/8" has bits set beyond its first 8; write 10.0.0.0/8, or 10.1.2.3 for it alone`},
		"trust, mapped":         {in: ":80?proxy=on&trust=::ffff:10.0.0.0/104", err: "is IPv4 within IPv6; write it as IPv4"},
		"trust, too long":       {in: ":80?proxy=on&trust=10.0.0.0/33", err: `trust "10.0.0.0/33" is no network`},
		"trust, zone":           {in: ":80?proxy=on&trust=fe80::1%25lo", err: "is no network"},
		"empty":                 {in: "", err: "want HOST:PORT"},
		"no port":               {in: "127.0.0.1", err: "want HOST:PORT"},
		"bare IPv6":             {in: "::1:80", err: "want HOST:PORT"},
		"port too large":        {in: ":65536", err: `port "65536"`},
		"port in words":         {in: ":http", err: `port "http"`},
		"a path":                {in: "/run/a.sock", err: "unix:///run/app.sock"},
		"a path after unix:":    {in: "unix:/run/a.sock", err: "unix:///run/app.sock"},
		"negative port":         {in: ":-1", err: `port "-1"`},
		"unknown scheme":        {in: "udp://:80", err: `unknown kind "udp"`},
		"empty name":            {in: "=:80", err: "1 to 191 bytes"},
		"endless name":          {in: strings.Repeat("n", 192) + "=:80", err: "1 to 191 bytes"},
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
	for _, seed := range []string{"tls://:443?cert=a.example", "unix:///a?mode=0600&tls=on&proxy=on", ":1?proxy=on&trust=10.0.0.0/8,::1&trust=::/0", "127.0.0.1:8888", "a=tcp6://[::1]:0", "=", "://", ":", "b=unix:///run/b?mode=0600", "systemd://x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAddress(s)
		if err == nil && (networks[a.Network] == nil || len(a.Path) > maxUnixPath || len(a.Name) > 191) {
			t.Errorf("%+v", a)
		}
		if err != nil {
			return
		}
		transport := a.Transport
		if transport.Cert != "" && !transport.TLS || transport.Trust != "" && !transport.Proxy || transport.Proxy && a.Network != "unix" && transport.Trust == "" {
			t.Errorf("%+v", transport)
		}
		if again, err := parseTrust([]string{transport.Trust}); transport.Trust != "" && (err != nil || again != transport.Trust) {
			t.Errorf("%q is read again as %q, %v", transport.Trust, again, err)
		}
		if n := len(transport.Networks()); n != len(strings.FieldsFunc(transport.Trust, func(r rune) bool { return r == ',' })) {
			t.Errorf("%q: %d networks", transport.Trust, n)
		}
	})
}

// An address is shown as it may be written, with tls:// where that says it.
func TestAddressString(t *testing.T) {
	for in, want := range map[string]string{
		"a=127.0.0.1:80":       "127.0.0.1:80",
		"tls://[::1]:443":      "tls://[::1]:443",
		":443?tls=on&proxy=on": "tls://:443",
		"unix:///a?tls=on":     "unix:///a",
		"systemd://b?tls=on":   "systemd://b",
	} {
		if a, err := ParseAddress(in); err != nil || a.String() != want {
			t.Errorf("%s is shown as %s, %v; want %s", in, a, err, want)
		}
	}
}
