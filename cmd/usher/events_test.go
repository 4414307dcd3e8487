package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"
)

// eventJSON is a line of usher events --json.
type eventJSON struct {
	ID     uint64
	Name   string
	Fields map[string]any
	Missed *struct{ Count uint64 }
}

// parseEvents reads the lines, whose ids must follow one another from first.
func parseEvents(t *testing.T, lines []string, first uint64) (events []eventJSON) {
	t.Helper()
	for n, line := range lines {
		var e eventJSON
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.ID != first+uint64(n) {
			t.Fatalf("line %d: %q (%v), want id %d", n, line, err, first+uint64(n))
		}
		events = append(events, e)
	}
	return events
}

// follow runs usher events, and returns what it prints and its end.
func (s *server) follow(args ...string) (*transcript, func() int) {
	s.t.Helper()
	cmd, mark := command(append([]string{"events", "--control", s.control}, args...)...)
	s.t.Cleanup(func() { killMarked(mark) })
	write, said := newTranscript(s.t)
	cmd.Stdout = write
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	_ = write.Close() // the process has it
	return said, func() int {
		_ = cmd.Wait() // its exit status is what counts
		return cmd.ProcessState.ExitCode()
	}
}

// Whoever follows the events has each of them once, in order, through a reload, the death
// of a worker and an upgrade, to the end of the server, beside readers that read nothing;
// and each is what the log says.
func TestEventsFollowedThroughUpgrade(t *testing.T) {
	t.Parallel()
	p := install(t)
	s := p.serve("--workers", "2", "--log-level", "error")
	for range 20 {
		s.askBadly("GET /v1/events HTTP/1.1\r\nHost: usher\r\n\r\n")
	}
	said, end := s.follow("--json")
	said.await(t, 2, `"name":"worker ready"`)
	if got := s.ask("reload"); got.code != 0 {
		t.Errorf("%+v", got)
	}
	s.until("the old workers are gone", ready(2))
	if got := s.ask("upgrade"); got.code != 0 {
		t.Errorf("%+v", got)
	}
	if err := unix.Kill(s.now().Workers[0].PID, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	said.await(t, 5, `"name":"worker ready"`)
	late, lateEnd := s.follow("--json", "--since", "12")
	late.await(t, 1, `"name":"worker died"`)
	s.until("its successor is ready", ready(2))
	s.signal(unix.SIGTERM)
	s.ends(0)
	for name, end := range map[string]func() int{"the first": end, "the second": lateEnd} {
		if code := end(); code != 0 {
			t.Errorf("%s ends with %d", name, code)
		}
	}
	said.waitEnd(limit)
	late.waitEnd(limit)
	events := parseEvents(t, said.all(), 1)
	if got := parseEvents(t, late.all(), 13); len(got) != len(events)-12 {
		t.Errorf("who came late has %d events, of %d", len(got), len(events))
	}
	var names []string
	for _, e := range events {
		if e.Name == "waiting for workers to be ready" {
			continue // on a busy machine
		}
		if e.Name != "slot" && e.Name != "worker started" && !strings.HasPrefix(e.Name, "worker keeps") {
			names = append(names, e.Name)
		}
	}
	want := []string{"worker ready", "worker ready", "reloading", "worker ready", "worker ready", "worker draining", "worker draining", "the new generation serves",
		"reloaded", "worker gone", "worker gone", "upgrading", "upgraded", "worker died", "worker ready", "signal", "stopping", "worker draining", "worker draining", "worker gone", "worker gone"}
	if !slices.Equal(names, want) {
		t.Errorf("events %q, want %q", names, want)
	}
	died := events[slices.IndexFunc(events, func(e eventJSON) bool { return e.Name == "worker died" })]
	if reason := died.Fields["reason"]; reason != "signal SIGKILL" || died.Fields["generation"] != 2.0 {
		t.Errorf("it died with %v", died.Fields)
	}
	if lines := s.log.all(); len(lines) > 0 {
		t.Errorf("the log has %q", lines)
	}
}

// For people an event is a line as the log has it.
func TestEventsCommand(t *testing.T) {
	t.Parallel()
	s := serve(t, "--workers", "1")
	got := s.ask("events", "--no-follow")
	if got.code != 0 || !strings.Contains(got.stdout, fmt.Sprintf("[INFO]  worker ready: slot=0 generation=1 pid=%d\n", s.now().Workers[0].PID)) || !strings.HasPrefix(got.stdout, "1 20") {
		t.Errorf("%+v", got)
	}
	if got := s.ask("events", "--no-follow", "--since", "1000000"); got.code != 0 || !strings.HasPrefix(got.stdout, "0 [MISSED] 1000000 is no id of this server's: events may be missing\n1 ") {
		t.Errorf("%+v", got)
	}
	for _, wrong := range [][]string{{"--since", "x"}, {"--since", "-1"}, {"--since"}, {"now"}} {
		checkComplaint(t, s.ask(append([]string{"events"}, wrong...)...), exitUsage, "usher events --help")
	}
	s.stop()
}

func TestEventLine(t *testing.T) {
	for name, test := range map[string]struct{ kind, data, want string }{
		"plain":           {"", `{"id":7,"time":"T","level":"warn","name":"a b","fields":{"b":1,"a":"x"}}`, "7 T [WARN]  a b: b=1 a=x"},
		"no fields":       {"", `{"id":7,"time":"T","level":"error","name":"a","fields":{}}`, "7 T [ERROR] a"},
		"large":           {"", `{"time":"T","level":"info","name":"a","fields":{"n":18446744073709551615,"on":true}}`, "7 T [INFO]  a: n=18446744073709551615 on=true"},
		"odd values":      {"", `{"time":"T","level":"info","name":"a","fields":{"x":"a\nb","y":"","z":"a=\"b\""}}`, `7 T [INFO]  a: x="a\nb" y="" z="a=\"b\""`},
		"missed":          {"missed", `{"count":3,"other_server":false}`, "7 [MISSED] 3 events are kept no more"},
		"not JSON":        {"", `nonsense`, ""},
		"not an object":   {"", `{"fields":[1]}`, ""},
		"another message": {"missed", `[]`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := eventLine(eventMessage{"7", test.kind, test.data}, "")
			if got != test.want && err == nil || (err != nil) != (test.want == "") {
				t.Errorf("got %q, %v; want %q", got, err, test.want)
			}
		})
	}
}

// A crowd that reads nothing costs the master a bounded number of descriptors, and
// commands are answered meanwhile.
func TestCrowdOfSilentEventReaders(t *testing.T) {
	t.Parallel()
	s := serve(t, "--workers", "1")
	const most = 2 * 128 // that follow, and that ask
	for range sized(500, 1000) {
		s.askBadly("GET /v1/events HTTP/1.1\r\nHost: usher\r\n\r\n")
		if n := descriptors(s.pid); n > s.masterFDs+most+8 {
			t.Fatalf("the master has %d descriptors, had %d", n, s.masterFDs)
		}
	}
	for _, command := range []string{"status", "reload"} {
		if got := s.ask(command); got.code != 0 {
			t.Errorf("%s: %+v", command, got)
		}
	}
	checkComplaint(t, s.ask("events"), exitFailed, "128 follow the events")
	s.signal(unix.SIGTERM)
	s.ends(0)
}

// A stream that breaks off in the middle is no end.
func TestEventsOfBrokenMaster(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"broken":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n100\r\nid: 1\n",
		"refused": "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
		"nothing": "",
	} {
		t.Run(name, func(t *testing.T) {
			got := usher(t, "events", "--control", answers(t, nil, answer))
			if got.code != exitFailed || got.stderr == "" {
				t.Errorf("%+v", got)
			}
		})
	}
}

// Of a stream that was cut off the rest is asked for, unless there is nobody left to ask.
func TestEventsGoOn(t *testing.T) {
	t.Parallel()
	stream := func(id int) string {
		message := fmt.Sprintf("id: %d\ndata: {\"id\":%d,\"level\":\"info\",\"name\":\"it\",\"fields\":{}}\n\n", id, id)
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", len(message), message)
	}
	const end = "0\r\n\r\n"
	for _, test := range []struct {
		name    string
		args    []string
		answers []string // the last one is given to all that come after it
		code    int
		want    string // the ids that are printed
		asked   string // the ids that were asked after
	}{
		{"cut once", []string{"--no-follow"}, []string{stream(7), stream(8) + end}, 0, "7 8", " 7"},
		{"cut twice", []string{"--no-follow", "--since", "6"}, []string{stream(7), stream(8), stream(9) + end}, 0, "7 8 9", "6 7 8"},
		{"nothing new", nil, []string{stream(7)}, exitFailed, "7 7", " 7"},
		{"and then refused", nil, []string{stream(7), "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"}, exitFailed, "7", " 7"},
	} {
		t.Run(test.name, func(t *testing.T) {
			requests := make(chan string, len(test.answers)+1)
			args := append([]string{"events", "--control", answers(t, requests, test.answers...)}, test.args...)
			got := usher(t, args...)
			var printed, asked []string
			for line := range strings.Lines(got.stdout) {
				id, _, _ := strings.Cut(line, " ")
				printed = append(printed, id)
			}
			for len(requests) > 0 {
				_, since, _ := strings.Cut(<-requests, "since=")
				id, _, _ := strings.Cut(since, " ")
				asked = append(asked, id)
			}
			if ids := strings.Join(printed, " "); got.code != test.code || ids != test.want {
				t.Errorf("%+v, want status %d and events %s", got, test.code, test.want)
			}
			if after := strings.Join(asked, " "); after != test.asked {
				t.Errorf("asked for what follows %q, want %q", after, test.asked)
			}
		})
	}
}

// answers listens as a master that gives each client the next answer, or the last one, and
// hangs up. requests, if not nil, is sent the beginning of each request.
func answers(t *testing.T, requests chan<- string, texts ...string) (path string) {
	t.Helper()
	path = shortDir(t) + "/c"
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() }) // nobody connects any more
	go func() {
		for n := 0; ; n++ {
			conn, err := listener.Accept()
			if err != nil {
				return // it is closed
			}
			request := make([]byte, 4096)
			size, _ := conn.Read(request) // of one that is gone nothing
			if requests != nil {
				requests <- string(request[:size])
			}
			_, _ = io.WriteString(conn, texts[min(n, len(texts)-1)]) // the client may be gone
			_ = conn.Close()                                         // all is said
		}
	}()
	return path
}

// With a level what is less serious is left out, and what is missing is not.
func TestEventsOfLevel(t *testing.T) {
	messages := []eventMessage{
		{id: "4", kind: "missed", data: `{"count":3}`},
		{id: "4", data: `{"id":4,"level":"trace","name":"slot","fields":{}}`},
		{id: "5", data: `{"id":5,"level":"info","name":"reloading","fields":{}}`},
		{id: "6", data: `{"id":6,"level":"error","name":"reload refused","fields":{}}`},
		{id: "7", data: `{"id":7,"level":"debug","name":"signal","fields":{}}`},
	}
	for level, want := range map[string]string{"trace": "4 4 5 6 7", "debug": "4 5 6 7", "info": "4 5 6", "warn": "4 6", "error": "4 6"} {
		var out strings.Builder
		p := eventPrinter{to: &out, level: hclog.LevelFromString(level)}
		for _, m := range messages {
			if err := p.print(m); err != nil {
				t.Errorf("%s: %v", level, err)
			}
		}
		var ids []string
		for line := range strings.Lines(out.String()) {
			id, _, _ := strings.Cut(line, " ")
			ids = append(ids, id)
		}
		if got := strings.Join(ids, " "); got != want {
			t.Errorf("%s: printed %s, want %s", level, got, want)
		}
		if p.last != "7" {
			t.Errorf("%s: it would go on after %s", level, p.last)
		}
	}
}
