package main

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
)

// The app lines, through master and worker.
func TestLines(t *testing.T) {
	t.Parallel()
	s := serve(t, "--app", "lines", "--workers", "1")
	status, err := s.status()
	if err != nil {
		t.Fatal(err)
	}
	longest := strings.Repeat("x", maxLine)
	tests := []struct {
		name string
		send string
		want []string // lines with their endings; each comes back with the prefix
		open bool     // the client does not finish sending: the server ends it
	}{
		{name: "nothing"},
		{name: "LF", send: "a\nb\n", want: []string{"a\n", "b\n"}},
		{name: "CRLF", send: "a\r\nb\r\n", want: []string{"a\r\n", "b\r\n"}},
		{name: "empty lines", send: "\n\r\n\n", want: []string{"\n", "\r\n", "\n"}},
		{name: "NUL and high bytes", send: "a\x00b\xff\n\x00\n", want: []string{"a\x00b\xff\n", "\x00\n"}},
		{name: "last line without an end", send: "a\nb", want: []string{"a\n", "b"}},
		{name: "only a CR", send: "\r", want: []string{"\r"}},
		{name: "quit", send: "a\nquit\nnever\n", want: []string{"a\n", "quit\n"}, open: true},
		{name: "quit with CRLF", send: "quit\r\n", want: []string{"quit\r\n"}, open: true},
		{name: "not quit", send: "quitter\n quit\nQUIT\n", want: []string{"quitter\n", " quit\n", "QUIT\n"}},
		{name: "quit without an end", send: "quit", want: []string{"quit"}},
		{name: "longest line", send: longest + "\nb\n", want: []string{longest + "\n", "b\n"}},
		{name: "too long", send: "a\n" + longest + "x\n", want: []string{"a\n"}, open: true},
		{name: "too long without an end", send: "a\n" + longest + "xx", want: []string{"a\n"}, open: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := dial(t, s.address)
			me := c.conn.LocalAddr().(*net.TCPAddr)
			var want strings.Builder
			for _, line := range test.want {
				fmt.Fprintf(&want, "%d %v %d %s", status.Workers[0].PID, me.IP, me.Port, line)
			}
			if err := c.send(test.send); err != nil {
				t.Fatal(err)
			}
			if !test.open {
				if err := c.conn.CloseWrite(); err != nil {
					t.Fatal(err)
				}
			}
			got, err := io.ReadAll(c.conn)
			if string(got) != want.String() || err != nil {
				t.Errorf("got %.200q (%d bytes), %v; want %.200q (%d bytes)", got, len(got), err, want.String(), want.Len())
			}
			_ = c.conn.Close() // so that a lingering end is over
		})
	}
	s.stop()
}
