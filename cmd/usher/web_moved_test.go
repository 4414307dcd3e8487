package main

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/usher-go/usher/master"
)

// A client that has sent its next request, or a part of it, before its connection moves
// is answered by the next worker, as by the first: also if it finishes sending then.
func TestWebMovesWithInput(t *testing.T) {
	const (
		slow   = "GET /f0.p60000 HTTP/1.1\r\nHost: x\r\n\r\n" // until the worker leaves
		quick  = "GET /w1 HTTP/1.1\r\nHost: x\r\n\r\n"
		upload = "POST /R0 HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nfoo"
		chunks = "POST /R0 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nfoo"
	)
	for _, test := range []struct {
		name         string
		inline       bool
		before       string // it sends
		starts       bool   // the first answer has begun, and is not whole, when it moves
		behind       string // it sends behind that
		finishes     bool
		first, after string // what the answers contain
	}{
		{"the next request", false, slow + quick, true, "", false, "f0", "w1: 1 <nil>"},
		{"the next request, and its end", false, slow + quick, true, "", true, "f0", "w1: 1 <nil>"},
		{"a part of a head", false, quick + quick[:9], false, quick[9:], false, "w1", "w1: 1 <nil>"},
		{"a part of a head, on the loop", true, quick + quick[:9], false, quick[9:], false, "w1", "w1: 1 <nil>"},
		{"a part of a body, on the loop", true, quick + upload, false, "bar", false, "w1", "R0: 6 bytes of"},
		{"a part of chunks, on the loop", true, quick + chunks, false, "bar\r\n0\r\n\r\n", false, "w1", "R0: 6 bytes of"},
		{"a part of a body, and its end, on the loop", true, quick + upload, false, "", true, "w1", "R0: 3 bytes of"},
		{"a part of chunks, and its end, on the loop", true, quick + chunks, false, "", true, "w1", "R0: 3 bytes of"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			args := []string{"--workers", "1", "--", self(), "worker-web-steps"}
			if test.inline {
				args = append(args, "inline")
			}
			s := serve(t, args...)
			c := dial(t, s.address)
			if err := c.send(test.before); err != nil {
				t.Fatal(err)
			}
			first, err := http.ReadResponse(c.in, nil)
			if err != nil {
				t.Fatal(err)
			}
			if !test.starts {
				webBody(t, first, test.first)
			}
			if got := s.ask("reload"); got.code != 0 {
				t.Fatalf("%+v", got)
			}
			if test.starts {
				webBody(t, first, test.first)
			}
			s.until("it has moved", func(status master.Status) bool { return status.Connections.Moved == 1 })
			if err := c.send(test.behind); err != nil {
				t.Fatal(err)
			}
			if test.finishes {
				if err := c.conn.CloseWrite(); err != nil {
					t.Fatal(err)
				}
			}
			second, err := http.ReadResponse(bufio.NewReader(c.in), nil)
			if err != nil {
				t.Fatalf("the next worker's answer: %v", err)
			}
			webBody(t, second, test.after)
			_ = c.conn.Close() // nothing is owed
			s.stop()
		})
	}
}

// webBody reads a body, which is to contain something.
func webBody(t *testing.T, r *http.Response, want string) {
	t.Helper()
	body, err := io.ReadAll(r.Body)
	if err != nil || !strings.Contains(string(body), want) {
		t.Errorf("%q, %v; want it to contain %q", body, err, want)
	}
}
