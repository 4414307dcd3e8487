package worker

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// accessed is a request, with the changes of a test.
func accessed(change ...func(*Access)) *Access {
	a := &Access{
		Time:     time.Date(2026, 11, 27, 5, 8, 45, 123_456_789, time.UTC),
		Duration: 412*time.Microsecond + 900, Remote: netip.MustParseAddr("192.0.2.1"),
		Host: "example.org", Method: "GET", URI: "/", Proto: "HTTP/1.1", Status: 200, Bytes: 13, UserAgent: "curl/8.14.1",
	}
	for _, f := range change {
		f(a)
	}
	return a
}

func lineOf(a *Access, format accessFormat) string {
	return string(appendAccess(nil, a, format, stampAccess(a.Time, format)))
}

func TestAccessCombined(t *testing.T) {
	stamp := time.Date(2026, 11, 27, 5, 8, 45, 0, time.UTC).Local().Format("02/Jan/2006:15:04:05 -0700")
	for _, test := range []struct {
		name   string
		change func(*Access)
		want   string // STAMP stands for the time
	}{
		{"plain", func(*Access) {}, `192.0.2.1 - - [STAMP] "GET / HTTP/1.1" 200 13 "-" "curl/8.14.1"`},
		{"all there is", func(a *Access) { a.User, a.Referer = "me", "http://r/?a=b&c" }, `192.0.2.1 - me [STAMP] "GET / HTTP/1.1" 200 13 "http://r/?a=b&c" "curl/8.14.1"`},
		{"nothing", func(a *Access) { *a = Access{Time: a.Time} }, `unix: - - [STAMP] "-" 000 0 "-" "-"`},
		{"a status of one digit", func(a *Access) { a.Status = 9 }, `192.0.2.1 - - [STAMP] "GET / HTTP/1.1" 009 13 "-" "curl/8.14.1"`},
		{"IPv6", func(a *Access) { a.Remote = netip.MustParseAddr("2001:db8::1") }, `2001:db8::1 - - [STAMP] "GET / HTTP/1.1" 200 13 "-" "curl/8.14.1"`},
		{"IPv4 in IPv6", func(a *Access) { a.Remote = netip.MustParseAddr("::ffff:192.0.2.1") }, `192.0.2.1 - - [STAMP] "GET / HTTP/1.1" 200 13 "-" "curl/8.14.1"`},
		{"a zone", func(a *Access) { a.Remote = netip.MustParseAddr("fe80::1%eth0") }, `fe80::1%eth0 - - [STAMP] "GET / HTTP/1.1" 200 13 "-" "curl/8.14.1"`},
		{"a zone that is none", func(a *Access) { a.Remote = netip.MustParseAddr("fe80::1%\n1.2.3.4") }, `fe80::1 - - [STAMP] "GET / HTTP/1.1" 200 13 "-" "curl/8.14.1"`},
		{"a forged field", func(a *Access) { a.UserAgent = `x" 200 "\` }, `192.0.2.1 - - [STAMP] "GET / HTTP/1.1" 200 13 "-" "x\x22 200 \x22\x5C"`},
		{"a forged line", func(a *Access) { a.URI = "/\r\n1.2.3.4 - -" }, `192.0.2.1 - - [STAMP] "GET /\x0D\x0A1.2.3.4 - - HTTP/1.1" 200 13 "-" "curl/8.14.1"`},
		{"a forged user", func(a *Access) { a.User = "a [b] \"" }, `192.0.2.1 - a\x20[b]\x20\x22 [STAMP] "GET / HTTP/1.1" 200 13 "-" "curl/8.14.1"`},
		{"a terminal's", func(a *Access) { a.Referer = "\x1b[2J\x7f\u009bé" }, `192.0.2.1 - - [STAMP] "GET / HTTP/1.1" 200 13 "\x1B[2J\x7F\xC2\x9B\xC3\xA9" "curl/8.14.1"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			want := strings.Replace(test.want, "STAMP", stamp, 1) + "\n"
			if got := lineOf(accessed(test.change), accessCombined); got != want {
				t.Errorf("got  %swant %s", got, want)
			}
		})
	}
}

func TestAccessJSON(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*Access)
		want   string
	}{
		{"plain", func(*Access) {}, `{"time":"2026-11-27T05:08:45.123Z","remote":"192.0.2.1","user":"","host":"example.org","method":"GET","uri":"/","proto":"HTTP/1.1","status":200,"bytes":13,"duration":0.000412,"referer":"","user_agent":"curl/8.14.1"}`},
		{"long, and early in its second", func(a *Access) {
			a.Time, a.Duration = a.Time.Truncate(time.Second).Add(7*time.Millisecond), 61*time.Second+50*time.Millisecond
		},
			`{"time":"2026-11-27T05:08:45.007Z","remote":"192.0.2.1","user":"","host":"example.org","method":"GET","uri":"/","proto":"HTTP/1.1","status":200,"bytes":13,"duration":61.050000,"referer":"","user_agent":"curl/8.14.1"}`},
		{"nothing, and a clock that went back", func(a *Access) { *a = Access{Time: a.Time, Duration: -1} },
			`{"time":"2026-11-27T05:08:45.123Z","remote":"","user":"","host":"","method":"","uri":"","proto":"","status":0,"bytes":0,"duration":0.000000,"referer":"","user_agent":""}`},
		{"what is no text", func(a *Access) { a.URI, a.UserAgent = "/\xff\"\\\n\u2028é", "\u009b\x7f\x00" },
			`{"time":"2026-11-27T05:08:45.123Z","remote":"192.0.2.1","user":"","host":"example.org","method":"GET","uri":"/\ufffd\"\\\u000a\u2028é","proto":"HTTP/1.1","status":200,"bytes":13,"duration":0.000412,"referer":"","user_agent":"\u009b\u007f\u0000"}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := lineOf(accessed(test.change), accessJSON); got != test.want+"\n" {
				t.Errorf("got  %swant %s", got, test.want)
			}
		})
	}
}

// What is too long for a pipe to take whole is cut, and says so; nothing else is.
func TestAccessLinesAreBounded(t *testing.T) {
	for _, text := range []string{strings.Repeat("a", 1<<20), strings.Repeat("\"", 1<<20), strings.Repeat("\x00", 2000), strings.Repeat("é", 4000), strings.Repeat("\xff", 900)} {
		a := accessed(func(a *Access) {
			a.User, a.Host, a.Method, a.URI, a.Proto, a.Referer, a.UserAgent = text, text, text, "/"+text, text, text, text
		})
		cut := map[accessFormat]int{accessCombined: 6, accessJSON: 7} // fields: combined has no host
		for format := range cut {
			line := lineOf(a, format)
			if len(line) > maxAccessLine || strings.Count(line, ellipsis) != cut[format] {
				t.Errorf("format %d of %.3q: %d bytes, %d ellipses", format, text, len(line), strings.Count(line, ellipsis))
			}
			if !utf8.ValidString(line) || format == accessJSON && !json.Valid([]byte(line)) {
				t.Errorf("format %d of %.3q is torn: %q", format, text, line)
			}
		}
	}
	uri := "/" + strings.Repeat("a", 3500)
	if line := lineOf(accessed(func(a *Access) { a.URI = uri }), accessJSON); !strings.Contains(line, `"`+uri+`"`) {
		t.Errorf("a URI of %d bytes was cut: %q", len(uri), line)
	}
}

// Whatever a client sends, a line is one line, with its fields where they are to be.
func FuzzAccessLine(f *testing.F) {
	f.Add("", "example.org", "GET", "/", "HTTP/1.1", "", "curl", "", int64(0), 200)
	f.Add("u [", "h\"", "G\n", "/\r\n\x00", "\\", "\xff\u2028", "\x1b\"", "\n", int64(1<<40), -1)
	f.Add("", "", "", strings.Repeat("\"", 5000), "", "", "", "eth0", int64(-5), 9)
	f.Add("\xaa\xae\x7f\xef\x93\xe80\x8b\xb3\xef\xd1\x1c", "0", strings.Repeat("\xe3", 1400), "/", "", "", "", "", int64(0), 200) // a short one is cut, too
	f.Fuzz(func(t *testing.T, user, host, method, uri, proto, referer, agent, zone string, nanos int64, status int) {
		a := accessed(func(a *Access) {
			a.User, a.Host, a.Method, a.URI, a.Proto, a.Referer, a.UserAgent, a.Status = user, host, method, uri, proto, referer, agent, status
			a.Time, a.Duration, a.Remote = time.Unix(0, nanos), time.Duration(nanos), netip.MustParseAddr("fe80::1").WithZone(zone)
		})
		for _, format := range []accessFormat{accessCombined, accessJSON} {
			line := appendAccess([]byte("before"), a, format, stampAccess(a.Time, format))
			line, whole := bytes.CutPrefix(line, []byte("before"))
			if !whole || len(line) > maxAccessLine || bytes.IndexByte(line, '\n') != len(line)-1 {
				t.Fatalf("not one line of at most %d bytes: %q", maxAccessLine, line)
			}
			for _, r := range strings.TrimSuffix(string(line), "\n") {
				if r < ' ' || r >= 0x7f && r <= 0x9f || r == '\u2028' || r == '\u2029' || r == utf8.RuneError && format == accessCombined {
					t.Fatalf("%q has %q", line, r)
				}
			}
			if format == accessCombined {
				if fields := strings.Split(string(line), `"`); len(fields) != 7 {
					t.Fatalf("%q has %d quotes", line, len(fields)-1)
				}
				continue
			}
			expectObject(t, line, a)
		}
	})
}

// expectObject compares what encoding/json reads with the request, where nothing was cut.
func expectObject(t *testing.T, line []byte, a *Access) {
	t.Helper()
	var got struct {
		Time                            time.Time
		Remote, User, Host, Method, URI string
		Proto, Referer                  string
		UserAgent                       string `json:"user_agent"`
		Status                          int
		Bytes                           int64
		Duration                        float64
	}
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&got); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	if !got.Time.Equal(a.Time.Truncate(time.Millisecond)) && a.Time.UnixNano() >= 0 || got.Status != a.Status || got.Bytes != a.Bytes {
		t.Fatalf("%q is not of %+v", line, a)
	}
	for _, text := range []struct{ got, want string }{
		{got.User, a.User}, {got.Host, a.Host}, {got.Method, a.Method}, {got.URI, a.URI}, {got.Proto, a.Proto}, {got.Referer, a.Referer}, {got.UserAgent, a.UserAgent},
	} {
		if want := strings.ToValidUTF8(text.want, "\ufffd"); len(a.URI)+len(line) < maxAccessLine && !sameText(text.got, text.want) {
			t.Fatalf("%q has %q, want %q", line, text.got, want)
		}
	}
}

// sameText reports whether what was read is what was written, where each byte that is no
// UTF-8 has become U+FFFD, or the text was cut.
func sameText(got, want string) bool {
	want = string([]rune(want))
	if cut, is := strings.CutSuffix(got, ellipsis); is && len(want) > len(cut) {
		return strings.HasPrefix(want, cut)
	}
	return got == want
}
