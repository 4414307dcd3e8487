package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

// listOnce asks for connections, by the command.
func (s *server) listOnce(args ...string) (all master.Connections) {
	s.t.Helper()
	got := s.ask(append([]string{"connections", "--json"}, args...)...)
	if err := json.Unmarshal([]byte(got.stdout), &all); err != nil || got.code != 0 || got.stderr != "" {
		s.t.Fatalf("usher connections %v: %+v", args, got)
	}
	return all
}

// listed is listOnce, until no worker is late: on a busy machine 50 ms may be too short.
func (s *server) listed(args ...string) (all master.Connections) {
	s.t.Helper()
	until(s.t, "workers list their connections in time", func() (bool, string) {
		all = s.listOnce(args...)
		late := slices.ContainsFunc(all.Unanswered, func(u master.UnlistedWorker) bool { return strings.Contains(u.Error, "no answer within") })
		return !late, fmt.Sprintf("%+v", all.Unanswered)
	})
	return all
}

// An operator sees each connection once, as what it is, and in pages.
func TestConnectionsCommand(t *testing.T) {
	t.Parallel()
	s := serve(t, "--app", "lines", "--workers", "2", "--listen", "second=127.0.0.1:0")
	status, err := s.status()
	if err != nil {
		t.Fatal(err)
	}
	second := status.Listeners[1].Address
	here := make(map[string]bool)
	for i := range 30 {
		address := s.address
		if i%3 == 0 {
			address = second
		}
		c := dial(t, address)
		c.ask(t, "hello")
		here[c.conn.LocalAddr().String()] = true
	}
	all := s.listed("--limit", "0")
	ids := make(map[uint64]bool)
	for _, c := range all.Connections {
		ids[c.ID] = true
		if !here[c.Remote.String()] || c.Phase != "open" || !c.Movable || c.TLS || c.AgeMS == nil || c.IdleMS == nil || c.Worker > 1 {
			t.Errorf("%+v", c)
		}
	}
	if len(ids) != 30 || len(all.Connections) != 30 || len(all.Unanswered) != 0 {
		t.Errorf("%d connections of 30, unanswered: %v", len(ids), all.Unanswered)
	}
	if n := len(s.listed("--listener", "second").Connections); n != 10 {
		t.Errorf("%d of the second listener, want 10", n)
	}
	if n := len(s.listed("--worker", "0").Connections) + len(s.listed("--worker", "1").Connections); n != 30 {
		t.Errorf("%d of both workers, want 30", n)
	}
	seen := make(map[uint64]bool)
	for page, cursor := s.listed("--limit", "7"), "first"; cursor != ""; cursor = page.Cursor {
		if cursor != "first" {
			page = s.listed("--limit", "7", "--cursor", cursor)
		}
		for _, c := range page.Connections {
			seen[c.ID] = true
		}
	}
	if len(seen) != 30 {
		t.Errorf("%d in pages of 7, want 30", len(seen))
	}
	until(t, "two, and where there are more", func() (bool, string) {
		got := s.ask("connections", "--limit", "2")
		return got.code == 0 && strings.Count(got.stdout, "\n") == 4 && strings.Contains(got.stdout, "there are more: --cursor 0."), fmt.Sprintf("%+v", got)
	})
	for wrong, says := range map[string]string{"--worker=9": "no worker in slot 9", "--worker=-1": "is no slot", "--cursor=x": "is no cursor"} {
		checkComplaint(t, s.ask("connections", wrong), exitFailed, says)
	}
	for wrong, says := range map[string]string{"--limit=-1": "want 0 or more", "--limit=many": "many", "--worker=first": "first"} {
		checkComplaint(t, s.ask("connections", wrong), exitUsage, says)
	}
}

// A worker that stands still is named, the others are listed; and it says where it stands, if
// that is in a handler.
func TestAsksOfTheStuck(t *testing.T) {
	t.Parallel()
	s := serve(t, "--workers", "2", "--hang-timeout", "0", "--", self(), "worker-hanging")
	first, second := dial(t, s.address), dial(t, s.address)
	hung, free := first.ask(t, "hello"), second.ask(t, "hello")
	status, err := s.status()
	if err != nil {
		t.Fatal(err)
	}
	slotOf := func(pid int) int {
		return slices.IndexFunc(status.Workers, func(w master.WorkerStatus) bool { return w.PID == pid })
	}
	if err := first.send("hang\n"); err != nil {
		t.Fatal(err)
	}
	s.log.await(t, 1, "worker output", "this will take for ever")
	expect := func(err string) {
		t.Helper()
		until(t, "the other one is listed", func() (bool, string) {
			all := s.listOnce()
			return len(all.Connections) == 1 && all.Connections[0].Worker == slotOf(free) && len(all.Unanswered) == 1 &&
				all.Unanswered[0].Worker == slotOf(hung) && all.Unanswered[0].PID == hung && all.Unanswered[0].Connections == 1 &&
				strings.Contains(all.Unanswered[0].Error, err), fmt.Sprintf("%+v", all)
		})
	}
	expect("no answer within 50ms")
	slot := fmt.Sprint(slotOf(hung))
	if got := s.ask("stacks", slot); got.code != 0 || !strings.Contains(got.stdout, "hangForEver") {
		t.Errorf("its stacks: %+v", got)
	}
	until(t, "its level is another", func() (bool, string) {
		got := s.ask("log-level", "debug", "--worker", slot)
		return strings.Contains(got.stdout, fmt.Sprintf("worker %s  debug", slot)), fmt.Sprintf("%+v", got)
	})
	// One that is stopped answers nothing at all, and is not killed for it, however often it is asked.
	if err := unix.Kill(hung, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	checkComplaint(t, s.ask("stacks", slot), exitFailed, "worker "+slot, "no answer within 5s")
	for range 20 {
		s.listOnce()
	}
	expect("not answered 16 earlier questions")
	if n := len(s.log.all()); n > 0 && strings.Contains(strings.Join(s.log.all(), "\n"), "killing") {
		t.Error("it was killed")
	}
	if err := unix.Kill(hung, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.until("another worker", func(status master.Status) bool { return !slices.Contains(pids(status), hung) && ready(2)(status) })
	if all := s.listed(); len(all.Unanswered) != 0 {
		t.Errorf("its successor: %+v", all.Unanswered)
	}
}

// Workers in other languages are not asked what they do not know.
func TestAsksInOtherLanguages(t *testing.T) {
	inOtherLanguages(t, func(t *testing.T, s *server) {
		c := dial(t, s.address)
		c.ask(t, "hello")
		all := s.listed()
		if len(all.Connections) != 0 || len(all.Unanswered) != 1 || all.Unanswered[0].Connections != 1 {
			t.Errorf("%+v, want that one connection is not listed", all)
		}
		const reason = "its program does not answer that"
		if got := s.ask("connections"); !strings.Contains(got.stdout, "1 connections): "+reason) {
			t.Errorf("%+v", got)
		}
		if got := s.ask("log-level", "debug"); got.code != 0 || !strings.Contains(got.stdout, "master    debug") || !strings.Contains(got.stdout, "worker 0  not known: "+reason) {
			t.Errorf("%+v", got)
		}
		checkComplaint(t, s.ask("stacks", "0"), exitFailed, reason)
		checkComplaint(t, s.ask("profile", "heap", "0"), exitFailed, reason)
		c.ask(t, "still there?")
	}, "--workers", "1")
}

// What comes is what the tools of Go read, of a worker as of the master.
func TestProfileCommand(t *testing.T) {
	t.Parallel()
	s := serve(t, "--workers", "1")
	folder := t.TempDir()
	for _, of := range []string{"0", "master"} {
		for kind, prefix := range map[string]string{"cpu": "\x1f\x8b", "heap": "\x1f\x8b", "trace": "go 1."} {
			path := filepath.Join(folder, kind+of)
			args := []string{"profile", kind, of, "-o", path}
			if kind != "heap" {
				args = append(args, "--seconds", "1")
			}
			if got := s.ask(args...); got != (result{}) {
				t.Errorf("%v: %+v", args, got)
			}
			if made, err := os.ReadFile(path); err != nil || !strings.HasPrefix(string(made), prefix) {
				t.Errorf("%v: %.20q, %v", args, made, err)
			}
		}
		if got := s.ask("stacks", of); got.code != 0 || !strings.Contains(got.stdout, "goroutine 1 [") {
			t.Errorf("stacks of %s: %.200s", of, got.stdout)
		}
		if got := s.ask("profile", "heap", of); !strings.HasPrefix(got.stdout, "\x1f\x8b") {
			t.Errorf("to standard output: %+v", got)
		}
	}
	for _, test := range []struct {
		code int
		args []string
		says string
	}{
		{exitFailed, []string{"profile", "cpu", "7"}, "there is no worker in slot 7"},
		{exitFailed, []string{"profile", "cpu", "0", "--seconds", "61"}, "want 1 to 60"},
		{exitFailed, []string{"profile", "cpu", "0", "--seconds=-1"}, "want 1 to 60"},
		{exitFailed, []string{"profile", "heap", "0", "--seconds", "1"}, "takes no seconds"},
		{exitFailed, []string{"profile", "cpu", "7", "-o", "/nowhere/cpu.pprof"}, "write /nowhere/cpu.pprof: no such file or directory"}, // before it asks
		{exitFailed, []string{"profile", "cpu", "7", "-o", "/"}, "write /: is a directory"},
		{exitUsage, []string{"profile", "sleep", "0"}, "sleep"},
		{exitUsage, []string{"profile", "cpu", "all"}, "slot or master"},
		{exitUsage, []string{"profile", "cpu", "-1"}, "-1"},
		{exitUsage, []string{"stacks"}, "slot"},
		{exitFailed, []string{"stacks", "7"}, "there is no worker in slot 7"},
	} {
		checkComplaint(t, s.ask(test.args...), test.code, test.says)
	}
	s.stop()
}

// A client that goes takes its profile with it: the next one can have its own.
func TestProfileWithoutClient(t *testing.T) {
	t.Parallel()
	s := serve(t, "--workers", "1")
	var client *exec.Cmd
	var ended chan struct{}
	begin := func() {
		cmd, mark := command("profile", "cpu", "0", "--seconds", "60", "--control", s.control)
		t.Cleanup(func() { killMarked(mark) })
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		over := make(chan struct{})
		go func() {
			defer close(over)
			_ = cmd.Wait() // it is killed, or was refused
		}()
		client, ended = cmd, over
	}
	begin()
	until(t, "a profile is under way", func() (bool, string) {
		select {
		case <-ended: // refused, for the question below came first
			begin()
		default:
		}
		got := s.ask("profile", "heap", "0")
		return strings.Contains(got.stderr, "under way already"), got.stderr
	})
	_ = client.Process.Kill() // it has a minute to go
	<-ended
	until(t, "another profile", func() (bool, string) {
		got := s.ask("profile", "cpu", "0", "--seconds", "1")
		return got.code == 0, got.stderr
	})
	s.stop()
}

// Requests that make no sense are answered so, and change nothing.
func TestAskBadly(t *testing.T) {
	t.Parallel()
	s := serve(t, "--workers", "1")
	for _, test := range []struct {
		method, path string
		code         int
		says         string
	}{
		{"GET", "/v1/workers/first/stacks", 400, "is no slot"},
		{"GET", "/v1/workers/-1/stacks", 400, "is no slot"},
		{"GET", "/v1/workers/99999999999999999999/stacks", 400, "is no slot"},
		{"GET", "/v1/workers/1/stacks", 409, "there is no worker in slot 1"},
		{"POST", "/v1/workers/0/stacks", 405, ""},
		{"GET", "/v1/workers/0/profile?kind=sleep", 400, "want one of cpu, heap, trace"},
		{"GET", "/v1/workers/0/profile?seconds=NaN", 400, "want 1 to 60"},
		{"GET", "/v1/workers/0/profile?seconds=-1", 400, "want 1 to 60"},
		{"GET", "/v1/workers/0/profile?seconds=1&seconds=2", 400, "twice"},
		{"GET", "/v1/workers/0/profile?minutes=1", 400, "want kind or seconds"},
		{"GET", "/v1/master/profile?kind=", 400, "want one of"},
		{"GET", "/v1/connections?limit=1001", 400, "want 1 to 1000"},
		{"GET", "/v1/connections?worker=3", 409, "there is no worker in slot 3"},
		{"GET", "/v1/log-level?level=debug", 200, `"level":"info"`}, // what is got changes nothing
		{"GET", "/v2/config", 404, ""},
	} {
		code, body := s.http(test.method, test.path)
		if code != test.code || !strings.Contains(body, test.says) {
			t.Errorf("%s %s: %d %s, want %d %s", test.method, test.path, code, body, test.code, test.says)
		}
	}
	s.stop()
}

// http asks the control socket, and returns the status and the answer.
func (s *server) http(method, path string) (code int, body string) {
	s.t.Helper()
	conn, err := dialMaster(s.control)
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil },
	}}
	request, err := http.NewRequest(method, "http://usher"+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	var text strings.Builder
	if err := response.Write(&text); err != nil {
		s.t.Fatal(err)
	}
	return response.StatusCode, text.String()
}
