package web

import (
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"
)

// The request behind each request of the table, and what net/http answers to it: so it is
// seen whether the connection goes on.
const (
	nextRequest = "GET /next HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
	nextAnswer  = "HTTP/1.1 299 status code 299\r\nConnection: close\r\nContent-Length: 4\r\nContent-Type: x/y\r\nDate: -\r\n\r\nnext"
)

// answerNext serves nextRequest, and h the others.
func answerNext(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/next" {
			h.ServeHTTP(w, r)
			return
		}
		for name, value := range map[string]string{"Date": "-", "Content-Type": "x/y", "Content-Length": "4", "Connection": "close"} {
			w.Header().Set(name, value)
		}
		w.WriteHeader(299)
		_, _ = io.WriteString(w, "next")
	})
}

var dates = regexp.MustCompile(`Date: \w\w\w, \d\d \w\w\w \d{4} \d\d:\d\d:\d\d GMT`)

// byNetHTTP returns what net/http's server answers to raw, whether it then serves
// another request, and what it logs.
func byNetHTTP(t *testing.T, raw string, h http.Handler) (answer string, goesOn bool, logged string) {
	t.Helper()
	var log_ lockedLog
	server := httptest.NewUnstartedServer(answerNext(h))
	server.Config.ErrorLog = log.New(&log_, "", 0)
	server.Start()
	defer server.Close()
	c, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, raw+nextRequest); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if err != nil && !strings.Contains(err.Error(), "reset") {
		t.Fatal(err)
	}
	answer, goesOn = strings.CutSuffix(string(got), nextAnswer)
	c.Close()
	server.Close()
	return answer, goesOn, log_.text()
}

// TestAnswersAreNetHTTPs has the same handlers answer the same requests by both.
func TestAnswersAreNetHTTPs(t *testing.T) {
	for _, test := range answers {
		t.Run(test.name, func(t *testing.T) {
			raw := test.raw
			if raw == "" {
				raw = get11
			}
			h := http.HandlerFunc(test.handler)
			want, wantOn, wantLog := byNetHTTP(t, raw, h)
			var wire recorder
			var logged lockedLog
			_, behind := serveForTest(t, raw+nextRequest, h, &wire, &logged)
			want = dates.ReplaceAllString(want, "Date: D")
			got := dates.ReplaceAllString(wire.sent.String(), "Date: D")
			if got != want {
				t.Errorf("answer\n%q\nnet/http's\n%q", short(got), short(want))
			}
			if on := wire.ending == keepAlive; on != wantOn {
				t.Errorf("goes on: %v, with net/http %v", on, wantOn)
			}
			if wire.ending == keepAlive && behind != nextRequest {
				t.Errorf("left of the input: %q", short(behind))
			}
			if gotLog := firstLines(logged.text()); gotLog != firstLines(wantLog) {
				t.Errorf("logged\n%q\nnet/http\n%q", gotLog, firstLines(wantLog))
			}
		})
	}
}

// short cuts what is too long for a test's log.
func short(s string) string {
	if len(s) > 1500 {
		return s[:1000] + "…" + s[len(s)-400:]
	}
	return s
}

var addresses = regexp.MustCompile(`serving [0-9.:]+:`)

// firstLines returns a log without stacks and addresses.
func firstLines(logged string) string {
	logged, _, _ = strings.Cut(logged, "\ngoroutine ")
	return strings.TrimSpace(addresses.ReplaceAllString(logged, "serving ADDR:"))
}
