package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/usher-go/usher/master"
	"github.com/usher-go/usher/worker"
	"github.com/usher-go/usher/worker/web"
	"golang.org/x/sys/unix"
)

func init() {
	// The argument: where it serves.
	helpers["worker-web-statuses"] = func() {
		answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			status, _ := strconv.Atoi(r.FormValue("status")) // the test sends a number
			w.WriteHeader(status)
		})
		var opts []web.Option
		if os.Args[2] == "on the loop" {
			opts = append(opts, web.Inline())
		}
		worker.Main(web.Handler(answer, opts...))
	}
}

// Requests are counted by the class of their answers, on the loop and on goroutines, and so
// are those that are no requests.
func TestWebRequestsAreCounted(t *testing.T) {
	t.Parallel()
	for _, where := range []string{"on the loop", "on goroutines"} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			s := serve(t, "--workers", "2", "--", self(), "worker-web-statuses", where)
			transport := new(http.Transport)
			client := http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
			for _, status := range slices.Repeat([]int{200, 204, 304, 404, 500}, 4) {
				answer, err := client.Get(fmt.Sprintf("http://%s/?status=%d", s.address, status))
				if err != nil {
					t.Fatal(err)
				}
				_ = answer.Body.Close() // it is empty
				if answer.StatusCode != status {
					t.Errorf("status %d, want %d", answer.StatusCode, status)
				}
			}
			conn, err := net.Dial("tcp", s.address)
			if err != nil {
				t.Fatal(err)
			}
			_, err = io.WriteString(conn, "no request\r\n\r\n")
			if _, errRead := io.ReadAll(conn); err != nil || errRead != nil {
				t.Error(err, errRead)
			}
			_ = conn.Close() // all is read
			transport.CloseIdleConnections()
			s.until("all are counted", func(status master.Status) bool {
				c := status.Counters
				return c["http_requests_2xx"] == 8 && c["http_requests_3xx"] == 4 && c["http_requests_4xx"] == 5 && c["http_requests_5xx"] == 4 && c["http_requests_1xx"] == 0
			})
			s.signal(unix.SIGTERM)
			s.ends(0)
		})
	}
}
