package main

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What is refused ahead of any handler is in the access log, too: by its first line, with the
// status, and the bytes of the answer's body.
func TestAccessLogHasRefusals(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "access.log")
	s := serve(t, "--app", "hello", "--workers", "1", "--access-log", path)
	tests := []struct{ name, request, want string }{
		{"no Host", "GET /a HTTP/1.1\r\n\r\n", `"GET /a HTTP/1.1" 400 45 "-" "-"`},
		{"two lengths", "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", `"POST /b HTTP/1.1" 400 `},
		{"a field's name", "GET /c HTTP/1.1\r\nHost: x\r\na b: c\r\n\r\n", `"GET /c HTTP/1.1" 400 `},
		{"no request at all", "\x16\x03\x01\"\n\n", `"\x16\x03\x01\x22`},
		{"a long head", "GET /d HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 2<<20), `"GET /d HTTP/1.1" 431 `},
		{"an expectation", "GET /e HTTP/1.1\r\nHost: x\r\nExpect: more\r\n\r\n", `"GET /e HTTP/1.1" 417 0 `},
		{"half a head", "GET /f HTTP/1.1\r\nHost", `"GET /f HTTP/1.1" 400 `},
	}
	for _, test := range tests {
		conn, err := net.Dial("tcp", s.address)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, test.request) // a long head is not read whole
		_ = conn.(*net.TCPConn).CloseWrite()      // likewise
		_, _ = io.Copy(io.Discard, conn)          // other tests look at the answers
		_ = conn.Close()                          // all was read
	}
	s.stop()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if len(lines) != len(tests) {
		t.Fatalf("%d lines of %d requests:\n%s", len(lines), len(tests), text)
	}
	form := regexp.MustCompile(`^127\.0\.0\.1 - - \[[^]]+\] ".*" [45]\d\d \d+ "-" "-"$`)
	for i, test := range tests {
		if !strings.Contains(lines[i], test.want) || !form.MatchString(lines[i]) {
			t.Errorf("%s: %q, want %s", test.name, lines[i], test.want)
		}
	}
}
