package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

// A worker is replaced, and one is drained, under clients that never leave: nobody
// notices.
func TestRestartAndDrainCommands(t *testing.T) {
	t.Parallel()
	const clients = 50
	s := serve(t, "--workers", "3", "--", self(), "worker-summing")
	c := gather(t, s.address, clients)
	before := s.until("all are there", func(status master.Status) bool { return int(status.Connections.Active) == clients })
	victim := before.Workers[1]
	if got, want := s.ask("restart", "1"), fmt.Sprintf("moved: %d\ndrained: 0\nstaying: 0\nlost: 0\n", victim.Connections); got.code != 0 || got.stdout != want || got.stderr != "" {
		t.Errorf("%+v, want %q", got, want)
	}
	after := s.until("three workers", ready(3))
	if slices.Contains(pids(after), victim.PID) || !slices.Contains(pids(after), before.Workers[0].PID) || !slices.Contains(pids(after), before.Workers[2].PID) || after.Generation != 1 {
		t.Errorf("workers %v of generation %d, were %v", pids(after), after.Generation, pids(before))
	}
	leaver := after.Workers[0]
	got := s.ask("drain", strconv.Itoa(leaver.Slot), "--json")
	var answer struct{ Slot, Workers, Moved, Lost, Staying int }
	if err := json.Unmarshal([]byte(got.stdout), &answer); err != nil || got.code != 0 || answer.Slot != leaver.Slot || answer.Workers != 2 || answer.Moved != leaver.Connections {
		t.Errorf("%+v (%v), want %d to have moved", got, err, leaver.Connections)
	}
	if status := s.until("two workers", ready(2)); slices.Contains(pids(status), leaver.PID) || status.Connections.Lost != 0 || status.Wanted != 2 {
		t.Errorf("%+v", status)
	}
	c.disperse()
	if n := c.failed.Load(); n > 0 {
		t.Errorf("%d clients failed", n)
	}
	s.signal(unix.SIGTERM)
	s.ends(0)
}

// What cannot be done is said, and changes nothing.
func TestSlotCommandsRefused(t *testing.T) {
	t.Parallel()
	s := serve(t, "--workers", "1")
	for _, command := range []string{"restart", "drain"} {
		checkComplaint(t, s.ask(command, "7"), exitFailed, "there is no slot 7", "usher status")
		for _, wrong := range []string{"-1", "x", "", "4294967296", "1.5"} {
			checkComplaint(t, s.ask(command, wrong), exitUsage, "usher "+command+" --help")
		}
		checkComplaint(t, s.ask(command), exitUsage, "slot")
	}
	checkComplaint(t, s.ask("drain", "0"), exitFailed, "slot 0 has the last worker", "usher restart 0", "usher stop")
	s.until("one worker", ready(1))
	s.stop()
}

// A restart whose successor does not start says why, and the worker serves on.
func TestRestartOfBrokenProgram(t *testing.T) {
	t.Parallel()
	program := shortDir(t) + "/w"
	script(t, program, fmt.Sprintf("#!/bin/sh\nexec %s worker lines\n", self()))
	s := serve(t, "--workers", "1", "--", program)
	before := s.now().Workers
	c := dial(t, s.address)
	c.ask(t, "before")
	script(t, program, "#!/bin/sh\necho no database >&2\nexit 3\n")
	if got := s.ask("restart", "0"); got.code != exitFailed || !strings.Contains(got.stderr, "exit status 3") || !strings.HasSuffix(got.stderr, "\nno database\n") {
		t.Errorf("%+v", got)
	}
	status := s.until("the same worker", func(status master.Status) bool { return ready(1)(status) && status.Workers[0].PID == before[0].PID })
	c.ask(t, "after")
	if status.Wanted != 1 {
		t.Errorf("%+v", status)
	}
	c.leave(t)
	s.stop()
}

// Answers that are none: each is JSON, with the reason.
func TestControlBadRequests(t *testing.T) {
	t.Parallel()
	s := serve(t, "--workers", "1")
	for _, test := range []struct {
		request, body string
		code          int
		want          string
	}{
		{"GET /", "", 404, "no such endpoint: /"},
		{"GET /v2/status", "", 404, "no such endpoint: /v2/status"},
		{"POST /v1/workers/0", "", 404, "no such endpoint"},
		{"POST /v1/workers/0/sing", "", 404, "no such endpoint"},
		{"POST /v1/status", "", 405, "it takes GET"},
		{"DELETE /v1/reload", "", 405, "it takes POST"},
		{"GET /v1/workers/0/restart", "", 405, "it takes POST"},
		{"PUT /v1/events", "", 405, "it takes GET"},
		{"GET /v1/events?since=x", "", 400, "since"},
		{"POST /v1/workers/x/restart", "", 400, `"x" is no slot`},
		{"POST /v1/workers/-1/drain", "", 400, `"-1" is no slot`},
		{"POST /v1/workers/99999999999/drain", "", 400, "is no slot"},
		{"POST /v1/workers/9/drain", "", 409, "there is no slot 9"},
		{"POST /v1/workers/0/drain", `{"now":true}`, 400, "now"},
		{"POST /v1/workers/0/restart", `[`, 400, "bad request"},
		{"POST /v1/scale", `{"by":1,"to":2}`, 400, "want by or to"},
		{"POST /v1/scale", `{"by":"one"}`, 400, "bad request"},
		{"POST /v1/scale", `{"to":1e99}`, 400, "bad request"},
		{"POST /v1/scale", `{"to":1}{"to":2}`, 400, "something follows"},
		{"POST /v1/scale", `{"to":1} 2`, 400, "something follows"},
		{"POST /v1/stop", `{} now`, 400, "something follows"},
		{"POST /v1/reload", `{"now":true}`, 400, "now"},
		{"POST /v1/logs", `reopen`, 400, "bad request"},
		{"POST /v1/upgrade", `{"to":"2"}`, 400, "to"},
		{"POST /v1/move", `{"from":0,"to":-1}`, 400, "want from"},
		{"GET /v1/connections?limit=%zz", "", 400, "bad request"},
		{"GET /v1/connections?limit=1;worker=0", "", 400, "bad request"},
		{"GET /v1/events?since=%zz", "", 400, "bad request"},
		{"GET /v1/master/profile?kind=heap&%zz", "", 400, "bad request"},
	} {
		t.Run(test.request+" "+test.body, func(t *testing.T) {
			method, path, _ := strings.Cut(test.request, " ")
			code, body := s.request(method, path, test.body)
			var answer struct{ Error string }
			if err := json.Unmarshal([]byte(body), &answer); err != nil || code != test.code || !strings.Contains(answer.Error, test.want) {
				t.Errorf("%d, %s (%v); want %d, %q", code, body, err, test.code, test.want)
			}
		})
	}
	s.stop()
}

// request asks the control socket as any program may.
func (s *server) request(method, path, body string) (code int, answer string) {
	s.t.Helper()
	conn := s.askBadly(fmt.Sprintf("%s %s HTTP/1.1\r\nHost: usher\r\nContent-Length: %d\r\n\r\n%s", method, path, len(body), body))
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(limit)) // a socket has deadlines
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return response.StatusCode, string(text)
}
