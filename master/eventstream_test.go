package master

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/internal/leaktest"
)

// streamLimit is the time in which whatever a test waits for must have come.
const streamLimit = 20 * time.Second

// eventServer is a session of control with an event log behind it, and no supervisor.
type eventServer struct {
	t       *testing.T
	events  *eventLog
	session *session
	path    string
}

func serveEvents(t *testing.T) *eventServer {
	t.Helper()
	leaktest.Descriptors(t)
	path := filepath.Join(t.TempDir(), "s")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	s := &eventServer{t: t, events: new(eventLog), path: path}
	s.session = newSession(listener, newAPI(&supervisor{events: s.events}), hclog.NewNullLogger())
	go func() {
		_ = s.session.server.Serve(s.session) // it ends with the session
		close(s.session.over)
	}()
	t.Cleanup(s.session.end)
	return s
}

// add adds n events.
func (s *eventServer) add(n int) {
	for range n {
		s.events.add(hclog.Info, "it", []any{"value", strings.Repeat("x", 100)})
	}
}

// get asks, and returns the answer, whose body the caller reads.
func (s *eventServer) get(method, query string, header ...string) *http.Response {
	s.t.Helper()
	conn, err := net.Dial("unix", s.path)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })          // the answer was read, or is not to be
	_ = conn.SetDeadline(time.Now().Add(streamLimit)) // a socket has deadlines
	r, err := http.NewRequest(method, "http://usher/v1/events"+query, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if len(header) > 0 {
		r.Header.Set("Last-Event-ID", header[0])
	}
	if err := r.Write(conn); err != nil {
		s.t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), r)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer
}

// streamed reads n of a stream, without the first one, which has no event.
func streamed(t *testing.T, from io.Reader, n int) (all []string) {
	t.Helper()
	lines := bufio.NewReader(from)
	var message string
	for len(all) <= n {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("%d of %d messages, then %v", len(all), n, err)
		}
		if message += line; line == "\n" {
			all = append(all, strings.TrimSuffix(message, "\n\n"))
			message = ""
		}
	}
	return all[1:]
}

// ids returns the ids of messages, and of those that tell of missed ones all of it.
func ids(messages []string) (ids []string) {
	for _, m := range messages {
		id, rest, _ := strings.Cut(strings.TrimPrefix(m, "id: "), "\n")
		if strings.HasPrefix(rest, "event: ") {
			id += " " + strings.ReplaceAll(rest, "\n", " ")
		}
		ids = append(ids, id)
	}
	return ids
}

func TestEventsFrom(t *testing.T) {
	s := serveEvents(t)
	s.add(maxEvents + 10)
	last := maxEvents + 10
	missed := func(id, count int, other bool) string {
		return fmt.Sprintf("%d event: missed data: {\"count\":%d,\"other_server\":%t}", id, count, other)
	}
	for name, test := range map[string]struct {
		query, header string
		first         []string
	}{
		"all that is kept":      {"", "", []string{"11", "12"}},
		"an id":                 {"?since=100", "", []string{"101", "102"}},
		"a header":              {"", "100", []string{"101"}},
		"both":                  {"?since=50", "100", []string{"101"}},
		"one that is gone":      {"?since=3", "", []string{missed(10, 7, false), "11"}},
		"before the first":      {"?since=0", "", []string{missed(10, 10, false), "11"}},
		"the last but one":      {fmt.Sprintf("?since=%d", last-1), "", []string{fmt.Sprint(last)}},
		"an id to come":         {"?since=1000000", "", []string{missed(10, 10, true), "11"}},
		"the greatest possible": {"?since=18446744073709551615", "", []string{missed(10, 10, true), "11"}},
	} {
		t.Run(name, func(t *testing.T) {
			var header []string
			if test.header != "" {
				header = append(header, test.header)
			}
			answer := s.get("GET", test.query, header...)
			if answer.StatusCode != http.StatusOK || answer.Header.Get("Content-Type") != "text/event-stream" {
				t.Fatalf("%s, %v", answer.Status, answer.Header)
			}
			if got := ids(streamed(t, answer.Body, len(test.first))); fmt.Sprint(got) != fmt.Sprint(test.first) {
				t.Errorf("it begins with %q, want %q", got, test.first)
			}
		})
	}
	body, err := io.ReadAll(s.get("GET", "?follow=false").Body)
	if got := strings.Count(string(body), "\ndata: "); got != maxEvents || err != nil {
		t.Errorf("without following: %d events (%v), want %d", got, err, maxEvents)
	}
}

func TestEventsBadRequests(t *testing.T) {
	s := serveEvents(t)
	for name, test := range map[string]struct {
		method, query, header string
		want                  int
	}{
		"no number":       {"GET", "?since=x", "", 400},
		"negative":        {"GET", "?since=-1", "", 400},
		"too large":       {"GET", "?since=18446744073709551616", "", 400},
		"empty":           {"GET", "?since=", "", 400},
		"neither":         {"GET", "?follow=maybe", "", 400},
		"unknown":         {"GET", "?sinse=1", "", 400},
		"broken query":    {"GET", "?since=%zz", "", 400},
		"a bad header":    {"GET", "", "last", 400},
		"another method":  {"POST", "", "", 405},
		"a path below it": {"GET", "/1", "", 404},
	} {
		t.Run(name, func(t *testing.T) {
			var header []string
			if test.header != "" {
				header = append(header, test.header)
			}
			if got := s.get(test.method, test.query, header...); got.StatusCode != test.want {
				t.Errorf("%s, want %d", got.Status, test.want)
			}
		})
	}
	if s.events.readers != 0 {
		t.Errorf("%d readers are left", s.events.readers)
	}
}

// Events come as they happen, to everybody, and a client that reads nothing holds up
// neither who reads nor what happens; when the session ends, those who read have all.
func TestEventsFollowed(t *testing.T) {
	s := serveEvents(t)
	silent := s.get("GET", "")
	reader, other := bufio.NewReader(s.get("GET", "").Body), bufio.NewReader(s.get("GET", "").Body)
	for round := range 100 {
		s.add(100)
		want := fmt.Sprintf("id: %d\n", 100*(round+1))
		for _, from := range []*bufio.Reader{reader, other} {
			for text := ""; text != want; {
				var err error
				if text, err = from.ReadString('\n'); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	s.add(1)
	s.session.end()
	rest, err := io.ReadAll(reader)
	if want := "id: 10001\n"; !strings.Contains(string(rest), want) || err != nil {
		t.Errorf("at the end %q, %v; want %q", rest, err, want)
	}
	_ = silent.Body.Close()
}

// A crowd of readers costs a bounded number of goroutines, and keeps nobody from asking;
// who leaves makes room.
func TestCrowdOfEventReaders(t *testing.T) {
	s := serveEvents(t)
	s.add(1)
	var following []*http.Response
	busy := 0
	for range 1000 {
		switch answer := s.get("GET", ""); answer.StatusCode {
		case http.StatusOK:
			following = append(following, answer)
		case http.StatusServiceUnavailable:
			busy++
		default:
			t.Fatal(answer.Status)
		}
	}
	if len(following) != maxEventReaders || busy != 1000-maxEventReaders {
		t.Errorf("%d follow, %d are told that there are too many", len(following), busy)
	}
	s.add(1)
	for _, answer := range following {
		if got := fmt.Sprint(ids(streamed(t, answer.Body, 2))); got != "[1 2]" {
			t.Fatalf("it has %s", got)
		}
	}
}
