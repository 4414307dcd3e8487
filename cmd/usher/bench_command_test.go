package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/usher-go/usher/internal/load"
	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

// bench runs usher bench, and reads its object.
func bench(t *testing.T, wantCode int, args ...string) (r load.Report) {
	t.Helper()
	got := usher(t, append(append([]string{"bench"}, args...), "--json")...)
	if got.code != wantCode {
		t.Fatalf("bench %v: %+v, want exit status %d", args, got, wantCode)
	}
	if err := json.Unmarshal([]byte(got.stdout), &r); err != nil {
		t.Fatalf("bench %v: %v in %q", args, err, got.stdout)
	}
	return r
}

// Connections that would have nothing to send are not opened, unless they are asked for.
func TestBenchFewRequests(t *testing.T) {
	t.Parallel()
	s := serve(t, "--app", "echo", "--workers", "1")
	for _, test := range []struct {
		name  string
		args  []string
		conns int64
	}{
		{"three", []string{"--requests=3"}, 3},
		{"three of two processes", []string{"--requests=3", "--processes=2"}, 3},
		{"one of two processes", []string{"--requests=1", "--processes=2"}, 2},
		{"five connections are asked for", []string{"--requests=3", "--conns=5"}, 5},
	} {
		if r := bench(t, 0, append([]string{"echo", s.address}, test.args...)...); !r.OK || r.Connections != test.conns || int64(r.Conns) != test.conns {
			t.Errorf("%s: %+v, want %d connections", test.name, r, test.conns)
		}
	}
	s.until("all are gone", empty)
	s.stop()
}

// Every way of putting load on a server: all answers come, and the server has
// seen as many connections as the client has made.
func TestBench(t *testing.T) {
	t.Parallel()
	echo := serve(t, "--app", "echo", "--workers", "2")
	lines := serve(t, "--app", "lines", "--workers", "1", "--listen", "unix://"+filepath.Join(shortDir(t), "s"))
	for _, test := range []struct {
		name  string
		args  []string
		conns int64 // made; 0: with churn, as many as requests
	}{
		{"echo", []string{"echo", echo.address}, 50},
		{"one", []string{"echo", echo.address, "--conns=1", "--size=1"}, 1},
		{"large", []string{"echo", echo.address, "--conns=3", "--size=1MiB"}, 3},
		{"pipelined", []string{"echo", echo.address, "--conns=4", "--pipeline=16"}, 4},
		{"processes", []string{"echo", echo.address, "--conns=5", "--processes=2"}, 5},
		{"at a rate", []string{"echo", echo.address, "--conns=5", "--rate=2000"}, 5},
		{"from two addresses", []string{"echo", echo.address, "--conns=4", "--source=127.0.0.5,127.0.0.6"}, 4},
		{"churn", []string{"echo", echo.address, "--churn"}, 0},
		{"churn at a rate", []string{"echo", echo.address, "--churn", "--rate=1000", "--conns=5"}, 0},
		{"lines", []string{"lines", lines.address, "--conns=5", "--size=20"}, 5},
		{"pipelined lines", []string{"lines", lines.address, "--conns=5", "--pipeline=4"}, 5},
	} {
		requests := int64(sized(500, 10_000))
		if test.name == "large" {
			requests /= 10
		}
		r := bench(t, 0, append(test.args, "--requests", strconv.FormatInt(requests, 10))...)
		if test.conns == 0 {
			test.conns = requests
		}
		if !r.OK || r.Requests != requests || r.Answers != requests || r.Connections != test.conns || r.Latency == nil || r.Latency.P99 < r.Latency.P50 || r.PerSecond <= 0 {
			t.Errorf("%s: %+v", test.name, r)
		}
		if r.BytesSent < requests || r.CPUSeconds <= 0 || (r.Cycle != nil) != (test.conns == requests) {
			t.Errorf("%s: %+v", test.name, r)
		}
	}
	for _, s := range []*server{echo, lines} {
		s.until("all are gone", empty)
		s.stop()
	}
}

// Requests of HTTP are what the flags say, and so are answers: by a program that sends back
// what it gets, in an order that shows what the client has done.
func TestBenchHTTP(t *testing.T) {
	t.Parallel()
	var seen atomic.Value
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen.Store(fmt.Sprint(r.Method, " ", r.URL, " ", r.Host, " ", r.Header.Get("X-A"), " ", r.TransferEncoding, " ", r.Close))
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		if len(body) == 0 {
			w.WriteHeader(http.StatusTeapot)
		}
		_, _ = w.Write(body) // the client sees what it lacks
	}))
	t.Cleanup(server.Close)
	address := server.Listener.Addr().String()
	file := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(file, bytes.Repeat([]byte("0123456789"), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args  []string
		seen  string
		conns int64
	}{
		{[]string{"--body=3000", "--expect=sent"}, "POST / " + address + "  [] false", 2},
		{[]string{"--body=3000", "--expect=3000", "-X", "PUT", "--path=/a?b", "-H", "X-A: b, c", "-H", "Host: example"}, "PUT /a?b example b, c [] false", 2},
		{[]string{"--body=@" + file, "--expect=@" + file, "--chunked"}, "POST / " + address + "  [chunked] false", 2},
		{[]string{"--body=1MiB", "--expect=sent", "--close"}, "POST / " + address + "  [] true", 20},
		{[]string{"-X", "HEAD", "--status=418", "--processes=2"}, "HEAD / " + address + "  [] false", 2},
	} {
		r := bench(t, 0, append([]string{"http", address, "--conns=2", "--requests=20"}, test.args...)...)
		if r.Requests != 20 || r.Connections != test.conns || seen.Load() != test.seen || r.HTTP.Statuses["200"]+r.HTTP.Statuses["418"] != 20 {
			t.Errorf("%v: %+v, seen %q", test.args, r, seen.Load())
		}
	}
	if r := bench(t, 1, "http", address, "--conns=2", "--requests=20"); r.Errors[load.KindStatus] != 20 || len(r.Errors) != 1 || r.HTTP.Statuses["418"] != 20 || r.Connections != 2 {
		t.Errorf("%+v", r)
	}
	if r := bench(t, 1, "http", address, "--conns=2", "--requests=20", "--body=10", "--expect=@"+file); r.Errors[load.KindWrong] == 0 || len(r.Errors) != 1 {
		t.Errorf("%+v", r)
	}
	if got := usher(t, "bench", "http", address, "--requests=50", "--body=10"); got.code != 0 || !containsAll(got.stdout, "answers by status: 50 of 200") {
		t.Errorf("%+v", got)
	}
}

// Idle connections are held while others are busy, and answer at the end.
func TestBenchIdle(t *testing.T) {
	t.Parallel()
	s := serve(t, "--app", "echo", "--workers", "1")
	idle := sized(300, 10_000)
	r := bench(t, 0, "echo", s.address, "--idle", strconv.Itoa(idle), "--conns=2", "--duration=1s")
	if r.Idle == nil || r.Idle.Opened != int64(idle) || r.Idle.Answered != int64(idle) || r.Idle.Probe == nil || r.Requests == 0 || r.Connections != int64(idle)+2 {
		t.Errorf("%+v", r)
	}
	r = bench(t, 0, "echo", s.address, "--idle=10", "--duration=1ms")
	if r.Conns != 0 || r.Idle.Answered != 10 {
		t.Errorf("%+v", r)
	}
	s.stop()
}

// Time ends it too, and a warm-up is not measured.
func TestBenchDuration(t *testing.T) {
	t.Parallel()
	s := serve(t, "--app", "echo", "--workers", "1")
	drawing := filepath.Join(t.TempDir(), "bench.svg")
	r := bench(t, 0, "echo", s.address, "--duration=1s", "--warmup=1s", "--plot", drawing)
	if r.Seconds < 1 || r.Answers <= r.Requests || r.Requests == 0 || len(r.Series) == 0 {
		t.Errorf("%+v", r)
	}
	wellFormed(t, drawing)
	got := usher(t, "bench", "echo", s.address, "--against", s.address, "--duration=3s", "--slices=3", "--json", "--plot", drawing)
	var c load.Comparison
	if err := json.Unmarshal([]byte(got.stdout), &c); err != nil || got.code != 0 {
		t.Fatalf("%v: %+v", err, got)
	}
	if !c.OK || c.Ratio.Slices != 3 || c.Ratio.PerSecond.Low <= 0 || c.Ratio.PerSecond.Low > c.Ratio.PerSecond.Median || c.First.Requests == 0 || c.Second.Seconds < 3 {
		t.Errorf("%+v", c)
	}
	wellFormed(t, drawing)
	if got := usher(t, "bench", "echo", s.address, "--requests=10"); got.code != 0 || !containsAll(got.stdout, "10 answers", "p99", "latency") {
		t.Errorf("%+v", got)
	}
	s.stop()
}

func wellFormed(t *testing.T, path string) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines := 0
	for decoder := xml.NewDecoder(file); ; {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if start, ok := token.(xml.StartElement); ok && start.Name.Local == "polyline" {
			lines++
		}
	}
	if lines < 2 {
		t.Errorf("%d lines drawn", lines)
	}
}

// Servers that do everything wrong: each error is of its kind, and it ends.
func TestBenchErrors(t *testing.T) {
	t.Parallel()
	closed := closedPort(t)
	read := func(c *net.TCPConn) bool {
		_, err := io.ReadFull(c, make([]byte, 64))
		return err == nil
	}
	for _, test := range []struct {
		kind  string
		serve func(c *net.TCPConn)
	}{
		{load.KindRefused, nil},
		{load.KindWrong, func(c *net.TCPConn) { fmt.Fprintf(c, "%64s", "no") }},
		{load.KindWrong, func(c *net.TCPConn) { read(c); fmt.Fprintf(c, "%164s", "no") }},
		{load.KindReset, func(c *net.TCPConn) { read(c); _ = c.SetLinger(0) }},
		{load.KindClosed, func(c *net.TCPConn) { read(c); fmt.Fprint(c, "\x00\x00") }},
		{load.KindClosed, func(c *net.TCPConn) { read(c) }},
		{load.KindTimeout, func(c *net.TCPConn) { read(c); read(c) }},
	} {
		for _, end := range []string{"--duration=1s", "--requests=1000"} {
			t.Run(test.kind+end, func(t *testing.T) {
				t.Parallel()
				address := closed
				if test.serve != nil {
					address = serveConns(t, func(c *net.TCPConn) {
						_ = c.SetDeadline(time.Now().Add(limit)) // a socket has deadlines
						test.serve(c)
					})
				}
				timeout := "--timeout=2s" // it also ends who gets no answer at all
				if test.kind == load.KindTimeout {
					timeout = "--timeout=200ms"
				}
				r := bench(t, 1, "echo", address, "--conns=5", timeout, end)
				if r.OK || r.Errors[test.kind] == 0 || len(r.Errors) != 1 || r.Requests != 0 {
					t.Errorf("%+v", r)
				}
			})
		}
	}
	if r := bench(t, 1, "echo", closed, "--source=192.0.2.1"); r.Errors[load.KindPorts] == 0 || len(r.Advice) != 1 || !containsAll(r.Advice[0], "--source") {
		t.Errorf("%+v", r)
	}
	got := usher(t, "bench", "echo", closed)
	if got.code != exitFailed || !containsAll(got.stdout, "errors: 50 refused") {
		t.Errorf("%+v", got)
	}
	r := bench(t, 1, "echo", closed, "--idle=20")
	if r.Errors[load.KindRefused] != 20 || r.Idle.Opened != 0 {
		t.Errorf("%+v", r)
	}
}

// closedPort returns an address that nobody listens on, nor will.
func closedPort(t *testing.T) string {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) }) // a bound socket has nothing to flush
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", name.(*unix.SockaddrInet4).Port)
}

// What makes no sense is refused with a reason, before anything is sent.
func TestBenchRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"echo"}, "address"},
		{[]string{"shout", "127.0.0.1:1"}, "shout"},
		{[]string{"echo", "127.0.0.1"}, "host:port"},
		{[]string{"echo", "127.0.0.1:1", "--churn", "--pipeline=2"}, "nothing to pipeline"},
		{[]string{"echo", "127.0.0.1:1", "--duration=1s", "--requests=1"}, "exclude one another"},
		{[]string{"echo", "127.0.0.1:1", "--conns=0"}, "nothing to do"},
		{[]string{"echo", "127.0.0.1:1", "--size=0"}, "size"},
		{[]string{"http", "127.0.0.1:1", "--size=10"}, "--size"},
		{[]string{"http", "127.0.0.1:1", "--path=x"}, "slash"},
		{[]string{"http", "127.0.0.1:1", "-H", "x"}, "NAME: VALUE"},
		{[]string{"http", "127.0.0.1:1", "--body=x"}, "64KiB or @FILE"},
		{[]string{"http", "127.0.0.1:1", "--body=@"}, "file's name"},
		{[]string{"http", "127.0.0.1:1", "--body=@/nowhere"}, "/nowhere"},
		{[]string{"http", "http://127.0.0.1:1"}, "write HOST:PORT, and its path by --path: usher bench http 127.0.0.1:1"},
		{[]string{"http", "http://localhost/a/b?c=d"}, "usher bench http localhost:80 --path '/a/b?c=d'"},
		{[]string{"http", "https://[::1]/"}, "usher bench http [::1]:443 --tls"},
		{[]string{"http", "127.0.0.1:1", "--against=http://127.0.0.1:2/"}, "http://127.0.0.1:2/ is a URL"},
		{[]string{"http", "http://"}, "http://"},
		{[]string{"http", "127.0.0.1:1", "--expect=sent"}, "no body is sent"},
		{[]string{"echo", "127.0.0.1:1", "--against", "127.0.0.1:2", "--idle=1"}, "idle or against"},
		{[]string{"echo", "127.0.0.1:1", "--against", "nowhere"}, "nowhere"},
		{[]string{"echo", "127.0.0.1:1", "--against", "127.0.0.1:2", "--slices=0"}, "slices"},
		{[]string{"echo", "127.0.0.1:1", "--source=nowhere"}, "nowhere"},
		{[]string{"echo", "127.0.0.1:1", "--insecure"}, "with --tls"},
		{[]string{"echo", "127.0.0.1:1", "--tls", "--insecure", "--ca=x"}, "exclude one another"},
		{[]string{"echo", "127.0.0.1:1", "--tls", "--ca=/nowhere"}, "/nowhere"},
		{[]string{"echo", "127.0.0.1:1", "--tls", "--tls-version=1.1"}, "1.2 or 1.3"},
		{[]string{"echo", "unix:///nowhere", "--tls"}, "--server-name"},
	} {
		checkComplaint(t, usher(t, append([]string{"bench"}, test.args...)...), exitUsage, test.want)
	}
}

// Too few descriptors are noticed before the first connection, with what to do.
func TestBenchDescriptors(t *testing.T) {
	t.Parallel()
	cmd, mark := command("bench", "echo", "127.0.0.1:1", "--conns=100")
	t.Cleanup(func() { killMarked(mark) })
	cmd.Args = append([]string{"sh", "-c", `ulimit -n 64; exec "$0" "$@"`}, append([]string{cmd.Path}, cmd.Args[1:]...)...)
	cmd.Path = "/bin/sh"
	out, err := cmd.CombinedOutput()
	if err == nil || !containsAll(string(out), "100 connections need", "this process may have 64", "use 4 --processes") {
		t.Errorf("%v: %s", err, out)
	}
}

// Who interrupts it gets what there is.
func TestBenchInterrupted(t *testing.T) {
	t.Parallel()
	s := serve(t, "--app", "echo", "--workers", "1")
	for _, processes := range []string{"1", "2"} {
		cmd, mark := command("bench", "echo", s.address, "--duration=1h", "--processes", processes, "--json")
		t.Cleanup(func() { killMarked(mark) })
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		s.until("it has connected", func(status master.Status) bool { return status.Connections.Active == 50 })
		for _, pid := range marked(mark) { // as a terminal does
			if err := unix.Kill(pid, unix.SIGINT); err != nil {
				t.Fatal(err)
			}
		}
		var r load.Report
		if err := json.NewDecoder(out).Decode(&r); err != nil || r.Connections != 50 {
			t.Errorf("%+v, %v", r, err)
		}
		_ = cmd.Wait() // with 1 if there was no answer yet
		if left := marked(mark); len(left) > 0 {
			t.Errorf("left processes %v", left)
		}
		s.until("all are gone", empty)
	}
	s.stop()
}

func empty(status master.Status) bool {
	return status.Connections.Active+status.Connections.Queued == 0
}

func containsAll(text string, parts ...string) bool {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}
