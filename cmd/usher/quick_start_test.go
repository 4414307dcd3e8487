package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A server with nothing but its defaults: what it says of itself.
func TestQuickStart(t *testing.T) {
	t.Parallel()
	s := serve(t)
	status, err := s.status()
	if err != nil {
		t.Fatal(err)
	}
	if status.PID != s.pid || status.Generation != 1 {
		t.Errorf("status: pid %d, generation %d; want %d, 1", status.PID, status.Generation, s.pid)
	}

	t.Run("start line", func(t *testing.T) {
		want := fmt.Sprintf("usher: serving on %s (master pid %d, %d workers)", s.address, s.pid, len(status.Workers))
		if s.started != want {
			t.Errorf("got %q, want %q", s.started, want)
		}
	})
	t.Run("status as a table", func(t *testing.T) {
		got := usher(t, "status", "--control", s.control)
		if got.code != 0 || got.stderr != "" {
			t.Fatalf("exit status %d, standard error %q", got.code, got.stderr)
		}
		want := []string{fmt.Sprintf("master pid %d, generation 1", s.pid), "listening on " + s.address, "0 active", "0 lost"}
		for _, part := range want {
			if !strings.Contains(got.stdout, part) {
				t.Errorf("no %q in:\n%s", part, got.stdout)
			}
		}
		for _, w := range status.Workers {
			if row := regexp.MustCompile(fmt.Sprintf(`(?m)^ *%d +%d +1 +ready +0 +0 +0 +0 +0$`, w.Slot, w.PID)); !row.MatchString(got.stdout) {
				t.Errorf("no row of worker %d in:\n%s", w.Slot, got.stdout)
			}
		}
	})
	t.Run("status as JSON", func(t *testing.T) { testJSONFields(t, s) })
	t.Run("version", func(t *testing.T) {
		got := usher(t, "version")
		if got.code != 0 || !strings.HasPrefix(got.stdout, "usher ") || strings.Count(got.stdout, "\n") != 1 {
			t.Errorf("got %+v, want one line", got)
		}
		if !strings.HasPrefix(got.stdout, "usher "+status.Version+" ") {
			t.Errorf("got %q, the status says %q", got.stdout, status.Version)
		}
		for _, args := range [][]string{{"--version"}, {"-v"}, {"serve", "--version"}} {
			if other := usher(t, args...); other != got {
				t.Errorf("usher %s: %+v, want %+v", strings.Join(args, " "), other, got)
			}
		}
	})
	t.Run("echo", func(t *testing.T) {
		conn, err := net.Dial("tcp", s.address)
		if err != nil {
			t.Fatal(err)
		}
		checkEcho(t, conn, "hello\n")
	})
	s.stop()
}

// testJSONFields checks the names that other programs rely on.
func testJSONFields(t *testing.T, s *server) {
	result := usher(t, "status", "--json", "--control", s.control)
	if result.code != 0 || result.stderr != "" {
		t.Fatalf("exit status %d, standard error %q", result.code, result.stderr)
	}
	var got struct {
		whole, connections map[string]any
		listener, worker   map[string]any
	}
	if err := json.Unmarshal([]byte(result.stdout), &got.whole); err != nil {
		t.Fatal(err)
	}
	got.connections, _ = got.whole["connections"].(map[string]any) // a wrong type shows as no fields
	if list, _ := got.whole["listeners"].([]any); len(list) > 0 {
		got.listener, _ = list[0].(map[string]any)
	}
	if list, _ := got.whole["workers"].([]any); len(list) > 0 {
		got.worker, _ = list[0].(map[string]any)
	}
	tests := []struct {
		name string
		got  map[string]any
		want string
	}{
		{"whole", got.whole, "accepted_by connections counters cpu_s generation listeners pid restarts_by rss_bytes started uptime_s version wanted workers"},
		{"connections", got.connections, "accepted active closed cut lost moved queued refused"},
		{"listener", got.listener, "address name proxy tls"},
		{"worker", got.worker, "accepts_per_s bytes_in bytes_out connections counters cpu_s generation movable moved_in moved_out pid queued received restarts rss_bytes slot state staying uptime_s"},
	}
	for _, test := range tests {
		if diff := cmp.Diff(strings.Fields(test.want), slices.Sorted(maps.Keys(test.got))); diff != "" {
			t.Errorf("fields of %s, -want +got:\n%s", test.name, diff)
		}
	}
}

// checkEcho takes ownership of conn.
func checkEcho(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	defer conn.Close()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(conn); string(got) != text || err != nil {
		t.Errorf("got %q, %v; want %q", got, err, text)
	}
}
