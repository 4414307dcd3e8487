package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

// A ticket of any worker resumes at any other: of another slot, after a reload, after an
// upgrade in place, and after a crash. The upgrade reads no file: what is in force stays,
// though the files are gone.
func TestTicketsOutliveWorkers(t *testing.T) {
	t.Parallel()
	cert, key := certify(t)
	p := install(t)
	s := p.serve("--listen", "tls://127.0.0.1:0", "--tls-cert", cert, "--tls-key", key, "--workers", "2", "--app", "lines")
	listeners := s.until("all are ready", ready(2)).Listeners // the first is plain
	visitors := make(map[uint16]*visitor)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		v := &visitor{address: listeners[1].Address, config: trust(t, cert)}
		v.config.MinVersion, v.config.MaxVersion, v.config.ClientSessionCache = version, version, tls.NewLRUClientSessionCache(1)
		if _, resumed := v.visit(t); resumed {
			t.Error("the first visit resumes something")
		}
		visitors[version] = v
	}
	resumeAt := func(when string, workers []int) {
		t.Helper()
		for version, v := range visitors {
			met := make(map[int]bool)
			for range 20 { // two in turn, unless one has not closed yet
				worker, resumed := v.visit(t)
				if !resumed || !slices.Contains(workers, worker) {
					t.Fatalf("%s: %s: resumed %t at worker %d, want it at one of %v", when, tls.VersionName(version), resumed, worker, workers)
				}
				if met[worker] = true; len(met) == len(workers) {
					break
				}
			}
			if len(met) != len(workers) {
				t.Errorf("%s: %s: resumed at %v alone, of %v", when, tls.VersionName(version), met, workers)
			}
		}
	}
	ask := func(command string) {
		t.Helper()
		if got := usher(t, command, "--control", s.control); got.code != 0 {
			t.Fatalf("%s: %+v", command, got)
		}
	}
	resumeAt("at the start", pids(s.until("all are ready", ready(2))))
	ask("reload")
	resumeAt("after a reload", pids(s.until("the new ones are ready", ready(2))))

	takeAway(t, cert, key)
	p.replace()
	ask("upgrade")
	s.runs(p)
	workers := pids(s.until("all are ready", ready(2)))
	resumeAt("after an upgrade", workers)
	if err := unix.Kill(workers[0], unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	after := s.until("another worker is there", func(status master.Status) bool {
		return ready(2)(status) && !slices.Contains(pids(status), workers[0])
	})
	resumeAt("after a crash", pids(after))
	if got := usher(t, "reload", "--control", s.control); got.code == 0 || !strings.Contains(got.stderr, cert) {
		t.Errorf("a reload without the files: %+v", got)
	}
	bringBack(t, cert, key)
	ask("reload")
	resumeAt("after another reload", pids(s.until("the new ones are ready", ready(2))))

	status := s.until("nobody is there", func(status master.Status) bool { return status.Connections.Active == 0 })
	done, resumed := status.Counters["handshakes"], status.Counters["resumed"]
	if done != status.Connections.Accepted || resumed != done-2 || status.Counters["handshakes_refused"] != 0 {
		t.Errorf("of %d connections %d did a handshake, %d resumed, want all, and all but 2", status.Connections.Accepted, done, resumed)
	}
	s.stop()
}

// Servers that share a file of ticket keys resume each other's sessions, also while the
// keys are changed, as docs/tls has it; a ticket of a key that is gone does not resume.
func TestTicketsOfSeveralServers(t *testing.T) {
	t.Parallel()
	cert, key := certify(t)
	file := filepath.Join(t.TempDir(), "ticket-keys")
	write := func(lines ...string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const first, second = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=", "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXphYmNkZWY="
	write(first)
	var servers [2]*server
	var visitors [2]*visitor
	config := trust(t, cert)
	config.ServerName, config.ClientSessionCache = "127.0.0.1", tls.NewLRUClientSessionCache(1)
	for i := range servers {
		servers[i] = serve(t, "--listen", "tls://127.0.0.1:0", "--tls-cert", cert, "--tls-key", key, "--tls-ticket-keys", file, "--workers", "1", "--app", "lines")
		visitors[i] = &visitor{address: servers[i].until("it is ready", ready(1)).Listeners[1].Address, config: config}
	}
	reload := func(i int) {
		t.Helper()
		if got := usher(t, "reload", "--control", servers[i].control); got.code != 0 {
			t.Fatalf("%+v", got)
		}
	}
	visit := func(i int, when string, want bool) {
		t.Helper()
		if _, resumed := visitors[i].visit(t); resumed != want {
			t.Errorf("%s: resumed %t at server %d, want %t", when, resumed, i, want)
		}
	}
	visit(0, "first", false)
	visit(1, "the other", true)
	for _, lines := range [][]string{{first, second}, {second, first}, {second}} {
		write(lines...)
		for i := range servers {
			reload(i)
			visit(i, "reloaded", true)
			visit(1-i, "one of them is reloaded", true)
		}
	}
	write(first)
	reload(0)
	visit(0, "another key alone", false)
	for _, s := range servers {
		s.stop()
	}
}

// takeAway takes files away, and bringBack brings them back.
func takeAway(t *testing.T, files ...string)  { rename(t, files, "", ".hidden") }
func bringBack(t *testing.T, files ...string) { rename(t, files, ".hidden", "") }

func rename(t *testing.T, files []string, from, to string) {
	t.Helper()
	for _, file := range files {
		if err := os.Rename(file+from, file+to); err != nil {
			t.Fatal(err)
		}
	}
}

// visitor is a client of the app lines that comes again and again.
type visitor struct {
	address string
	config  *tls.Config
}

// visit asks who is there, and reports which worker it was and whether the session of the
// visit before was resumed.
func (v *visitor) visit(t *testing.T) (worker int, resumed bool) {
	t.Helper()
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: limit}, "tcp", v.address, v.config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(limit)) // it is open
	if _, err := io.WriteString(conn, "who\n"); err != nil {
		t.Fatal(err)
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	pid, _, _ := strings.Cut(answer, " ")
	if err == nil {
		worker, err = strconv.Atoi(pid)
	}
	if err != nil {
		t.Fatal(fmt.Errorf("answer %q: %w", answer, err))
	}
	return worker, conn.ConnectionState().DidResume
}
