package web_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/usher-go/usher/worker/web"
)

// A handler takes its connection over: with what has come behind the request, deadlines,
// and both ends.
func TestHijack(t *testing.T) {
	addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		_ = rw.Flush()
		line, err := rw.ReadString('\n')
		if err != nil {
			t.Error(err)
		}
		_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
		if _, err := rw.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%v, want a deadline", err)
		}
		_ = c.SetReadDeadline(time.Time{})
		_, _ = io.WriteString(c, "echo "+line)
		n, err := io.Copy(c, c)
		if err != nil || n == 0 {
			t.Errorf("%d, %v", n, err)
		}
		if _, _, err := w.(http.Hijacker).Hijack(); !errors.Is(err, http.ErrHijacked) {
			t.Errorf("%v", err)
		}
	}), web.MaxRunning(1))
	for range 3 { // it does not count
		c := connect(t, addr)
		c.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello\n")
		if r, err := http.ReadResponse(c.in, nil); err != nil || r.StatusCode != 101 {
			t.Fatal(r, err)
		}
		line, err := c.in.ReadString('\n')
		if err != nil || line != "echo hello\n" {
			t.Fatalf("%q, %v", line, err)
		}
		big := bytes.Repeat([]byte("x"), 1<<20)
		go func() {
			_, _ = c.Write(big)
			_ = c.Conn.(*net.TCPConn).CloseWrite()
		}()
		back, err := io.ReadAll(c.in)
		if err != nil || !bytes.Equal(back, big) {
			t.Fatalf("%d, %v", len(back), err)
		}
	}
}
