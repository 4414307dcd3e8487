package tlshandshake

import (
	"bytes"
	"crypto/tls"
	"errors"
	"slices"
	"strings"
	"testing"
)

// clientHello returns what a client of crypto/tls sends first.
func clientHello(t testing.TB, config *tls.Config) []byte {
	t.Helper()
	conn, server := newPair()
	server.out.Close()
	if err := tls.Client(conn, config).Handshake(); err == nil {
		t.Fatal("a handshake with nobody")
	}
	return server.in.data
}

// cut makes records of a few bytes each of the handshake messages in records.
func cut(records []byte, size int) []byte {
	var out []byte
	for len(records) > 0 {
		n := recordLength(records)
		for piece := range slices.Chunk(records[headerLength:n], size) {
			out = append(out, records[0], records[1], records[2], byte(len(piece)>>8), byte(len(piece)))
			out = append(out, piece...)
		}
		records = records[n:]
	}
	return out
}

func TestWholeHello(t *testing.T) {
	hello := clientHello(t, clientConfig(tls.VersionTLS13))
	record := func(typ byte, payload ...byte) []byte {
		return append([]byte{typ, 3, 1, byte(len(payload) >> 8), byte(len(payload))}, payload...)
	}
	large := bytes.Repeat(record(typeHandshake, bytes.Repeat([]byte{1, 0, 0xff, 0xff}, 1000)...), 5)
	tests := []struct {
		name string
		raw  []byte
		want bool
		err  Reason
	}{
		{"nothing", nil, false, ""},
		{"half a header", hello[:4], false, ""},
		{"a header", hello[:5], false, ""},
		{"half of it", hello[:len(hello)/2], false, ""},
		{"all but one byte", hello[:len(hello)-1], false, ""},
		{"whole", hello, true, ""},
		{"whole, and more", append(bytes.Clone(hello), "more"...), true, ""},
		{"whole, over records", cut(hello, 100), true, ""},
		{"cut, over records", cut(hello, 100)[:len(hello)], false, ""},
		{"whole, but for the record", record(typeHandshake, 1, 0, 0, 1, 0, 0, 0)[:headerLength+5], false, ""},
		{"whole, a record of it empty", append(record(typeHandshake), hello...), true, ""}, // crypto/tls refuses that
		{"large", large[:startsAnyway], true, ""},
		{"not so large", large[:startsAnyway-1], false, ""},
		{"too large", record(typeHandshake, 1, 1, 0, 1), true, ""},
		{"as large as can be", record(typeHandshake, 1, 1, 0, 0), false, ""},
		{"another message, cut", record(typeHandshake, 2, 0, 0, 1), false, ""}, // crypto/tls waits for all of it
		{"another message", record(typeHandshake, 2, 0, 0, 1, 0), true, ""},
		{"an alert", record(typeAlert, 2, 40), true, ""},
		{"an alert within", append(cut(hello, 100)[:105], record(typeAlert, 1, 90)...), true, ""},
		{"junk within", append(cut(hello, 100)[:105], "GET / HTTP/1.1"...), true, ""},
		{"SSL 2.0", []byte{0x80, 46, 1, 0, 2, 0, 21}, true, ""},
		{"a record too large", []byte{22, 3, 1, 0xff, 0xff}, true, ""},
		{"a strange version", []byte{22, 0x10, 0, 0, 1}, false, NotTLS},
		{"application data", record(typeApplicationData, 1), false, NotTLS},
		{"HTTP", []byte("GET / HTTP/1.1\r\n\r\n"), false, PlainHTTP},
		{"HTTP, the beginning", []byte("OPTIO"), false, PlainHTTP},
		{"HTTP, less", []byte("GET "), false, ""},
		{"SSH", []byte("SSH-2.0-OpenSSH_9.2\r\n"), false, NotTLS},
		{"zeros", make([]byte, 100), false, NotTLS},
		{"a PROXY header", []byte("PROXY TCP4 192.0.2.1 192.0.2.2 1 443\r\n"), false, NotTLS},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			whole, err := WholeHello(test.raw)
			var reason Reason
			if e, ok := errors.AsType[*Error](err); ok {
				reason = e.Reason
				if e.Ours() || LooksLikeHTTP(test.raw) != (e.Answer() != nil) {
					t.Errorf("answer %q", e.Answer())
				}
			}
			if whole != test.want || reason != test.err {
				t.Errorf("%v, %v; want %v, %v", whole, err, test.want, test.err)
			}
		})
	}
}

// TestPROXYInPlaceOfTLS: who has forgotten proxy=on is told.
func TestPROXYInPlaceOfTLS(t *testing.T) {
	for raw, want := range map[string]bool{
		"PROXY TCP4 192.0.2.1 192.0.2.2 1 443\r\n": true,
		"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c":   true,
		"PROBE\r\n":                                false,
	} {
		if err := notTLS([]byte(raw)); strings.Contains(err.Error(), "write proxy=on") != want {
			t.Errorf("%q: %v", raw, err)
		}
	}
}

// TestHelloGrows: from the first byte to the last of a hello, more is asked for.
func TestHelloGrows(t *testing.T) {
	hello := clientHello(t, smallHello(tls.VersionTLS13))
	for _, size := range []int{1, 2, 3, 4, 5, 50, len(hello)} {
		raw := cut(hello, size)
		for n := range len(raw) + 1 {
			if whole, err := WholeHello(raw[:n]); whole != (n == len(raw)) || err != nil {
				t.Fatalf("records of %d bytes, %d bytes of %d: %v, %v", size, n, len(raw), whole, err)
			}
		}
	}
}

// TestRefusedAtOnce: what WholeHello lets through though it is no whole hello, crypto/tls
// refuses, and does not wait for more.
func TestRefusedAtOnce(t *testing.T) {
	tests := []struct {
		name  string
		raw   []byte
		want  Reason
		alert []byte
	}{
		{"an alert", []byte{21, 3, 1, 0, 2, 2, 40}, Refused, nil},
		{"a warning", []byte{21, 3, 1, 0, 2, 1, 0}, Closed, nil},
		{"another message", []byte{22, 3, 1, 0, 4, 14, 0, 0, 0}, Malformed, []byte{21, 3, 1, 0, 2, 2, 10}},
		{"an empty record", []byte{22, 3, 1, 0, 0}, Malformed, []byte{21, 3, 1, 0, 2, 2, 10}},
		{"a record too large", []byte{22, 3, 1, 0xff, 0xff}, Malformed, []byte{21, 3, 1, 0, 2, 2, 22}},
		{"too large", []byte{22, 3, 1, 0, 4, 1, 1, 0, 1}, Malformed, []byte{21, 3, 1, 0, 2, 2, 80}},
		{"SSL 2.0", []byte{0x80, 46, 1, 0, 2, 0, 21}, UnsupportedVersion, []byte{21, 3, 1, 0, 2, 2, 70}},
		{"a hello of SSL 3.0", []byte{22, 3, 0, 0, 45, 1, 0, 0, 41, 3, 0, 32: 0, 45: 2, 47: 5, 48: 1, 49: 0}, UnsupportedVersion, []byte{21, 3, 1, 0, 2, 2, 70}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if whole, err := WholeHello(test.raw); !whole || err != nil {
				t.Fatalf("%v, %v", whole, err)
			}
			wakes := make(chan struct{}, 8)
			h := NewPool(1).Start(serverConfig(ecdsaKey()), test.raw, nil, nil, func() { wakes <- struct{}{} })
			<-wakes
			out, done := h.Take()
			if !done {
				t.Fatal("not done")
			}
			_, err := h.Result()
			if e := err.(*Error); e.Reason != test.want || !bytes.Equal(out, test.alert) {
				t.Errorf("%v, sent %v; want %q, sent %v", err, out, test.want, test.alert)
			}
		})
	}
}

// TestHTTPAnswer: net/http's line, and nothing of TLS.
func TestHTTPAnswer(t *testing.T) {
	client, s := serve(t, NewPool(1), serverConfig(ecdsaKey()), 0)
	client.Write([]byte("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"))
	got := <-s.result
	<-s.quit
	const want = "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"
	if answer := string(client.in.data); answer != want || got.err.(*Error).Reason != PlainHTTP {
		t.Errorf("answered %q, %v", answer, got.err)
	}
}
