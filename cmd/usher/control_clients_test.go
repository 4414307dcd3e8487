package main

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

// badAskers are control clients that do not do their part, by what they send; none
// of them reads.
var badAskers = map[string]string{
	"nothing":             "",
	"half a header":       "GET /v1/status HTTP/1.1\r\nHost: usher\r\nX-Half: ",
	"half a body":         "POST /v1/scale HTTP/1.1\r\nHost: usher\r\nContent-Length: 100\r\n\r\n{",
	"a question":          "GET /v1/status HTTP/1.1\r\nHost: usher\r\n\r\n",
	"an endless question": "GET /v1/status HTTP/1.1\r\nHost: usher\r\nX-Long: " + strings.Repeat("x", 100<<10),
}

// ask badly begins a request on the control socket.
func (s *server) askBadly(request string) net.Conn {
	s.t.Helper()
	conn, err := dialMaster(s.control)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetWriteDeadline(time.Now().Add(limit)) // a socket has deadlines
	_, _ = io.WriteString(conn, request)             // the master may have hung up
	return conn
}

// manyListeners makes an answer to GET /v1/status that no socket's buffer holds.
func manyListeners() string {
	var lines strings.Builder
	for n := range 840 {
		fmt.Fprintf(&lines, ", \"%s=unix://@usher-%d-%s\"", strings.Repeat("n", 190), n, strings.Repeat("x", 80))
	}
	return `listen = ["127.0.0.1:0"` + lines.String() + "]"
}

// Whoever asks the master and does not go on, or does not read the answer, is hung
// up on; commands are answered, and a stop is not held up.
func TestControlClientsThatDoNotGoOn(t *testing.T) {
	t.Parallel()
	s := serveConfigured(t, `app = "lines"`, `workers = 1`, manyListeners())
	for range 3 {
		for _, request := range badAskers {
			s.askBadly(request)
		}
	}
	if got := s.ask("status"); got.code != 0 {
		t.Errorf("%+v", got)
	}
	if n := s.descriptors(); n != s.masterFDs { // once nobody is connected to the control socket
		t.Errorf("the master has %d descriptors, had %d", n, s.masterFDs)
	}
	s.askBadly(badAskers["a question"])
	s.askBadly(badAskers["half a body"])
	s.stop()
}

// A crowd of control clients that say nothing costs the master a bounded number of
// descriptors, and who has something to say is answered.
func TestCrowdOfSilentControlClients(t *testing.T) {
	t.Parallel()
	const most = 128
	crowd := sized(500, 2000)
	s := serve(t, "--workers", "1")
	for range crowd {
		s.askBadly("")
		if n := descriptors(s.pid); n > s.masterFDs+most+8 {
			t.Fatalf("the master has %d descriptors, had %d", n, s.masterFDs)
		}
	}
	if got := s.ask("scale", "+1"); got.code != 0 {
		t.Errorf("%+v", got)
	}
	s.until("two workers", ready(2))
	s.signal(unix.SIGTTOU)
	s.until("one worker", ready(1))
	s.stop()
}

// An answer that takes longer than a request may is given all the same.
func TestPatientControlClient(t *testing.T) {
	t.Parallel()
	s := serve(t, "--workers", "1", "--drain-timeout", "1h", "--", self(), "worker-staying")
	c := dial(t, s.address)
	c.ask(t, "hello")
	asked := time.Now()
	stopped := make(chan error, 1)
	go func() { stopped <- post(s.control, "/v1/stop", nil, new(struct{})) }()
	s.until("it drains", func(status master.Status) bool { return status.Workers[0].State == "draining" })
	pace := time.NewTicker(100 * time.Millisecond)
	defer pace.Stop()
	for range pace.C {
		if c.ask(t, "still here"); time.Since(asked) > 7*time.Second { // longer than each of the limits
			break
		}
	}
	c.leave(t)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	s.ends(0)
}
