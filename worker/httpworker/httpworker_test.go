package httpworker_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/usher-go/usher/worker/httpworker"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// When the listener is closed, a kept connection gets one more answer, which
// says that it is the last; then Serve returns.
func TestFarewell(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var states []http.ConnState
	server := &http.Server{
		Handler:   http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }),
		ConnState: func(_ net.Conn, state http.ConnState) { states = append(states, state) },
	}
	ended := make(chan error, 1)
	go func() { ended <- httpworker.Serve(l, server, time.Hour) }()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	ask := func() (last bool) {
		t.Helper()
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if body, err := io.ReadAll(response.Body); err != nil || string(body) != "hello" {
			t.Fatalf("%q, %v", body, err)
		}
		return response.Close
	}
	if ask() {
		t.Error("the first answer is the last")
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for range 1000 { // the server may be a moment behind
		if ask() {
			if err := <-ended; err != nil {
				t.Error(err)
			}
			if rest, err := io.ReadAll(in); err != nil || len(rest) > 0 {
				t.Errorf("after the last answer: %q, %v", rest, err)
			}
			if len(states) == 0 {
				t.Error("the server's own ConnState was not called")
			}
			return
		}
	}
	t.Error("no answer is the last")
}
