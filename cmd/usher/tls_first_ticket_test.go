package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

// A ticket that the worker of slot 0 gave in generation 1 is good at every worker of
// generation 3, after an upgrade, and at the one that follows when such a worker dies. Those
// who keep it are clients of crypto/tls and of openssl, with both versions.
func TestFirstTicket(t *testing.T) {
	t.Parallel()
	ca, flags := secureFlags(t)
	p := install(t)
	s := p.serve(append(flags, "--workers", "2", "--app", "lines")...)
	first := s.until("all are ready", ready(2))
	keepers := ticketKeepers(t, first.Listeners[1].Address, ca) // the first is plain
	for _, k := range keepers {
		for worker := 0; worker != first.Workers[0].PID; {
			var resumed bool
			if worker, resumed = k.come(t); resumed {
				t.Fatalf("%s: the first visit resumes something", k.name)
			}
		}
	}
	for _, command := range []string{"reload", "upgrade", "reload"} {
		if command == "upgrade" {
			p.replace()
		}
		if got := s.ask(command); got.code != 0 {
			t.Fatalf("%s: %+v", command, got)
		}
	}
	s.runs(p)
	third := s.until("the third generation alone", func(status master.Status) bool { return ready(2)(status) && status.Generation == 3 })
	resume := func(when string, workers []int) {
		t.Helper()
		for _, k := range keepers {
			met := make(map[int]bool)
			for n := 0; len(met) < len(workers) && n < 20; n++ { // two in turn, unless one has not closed yet
				worker, resumed := k.back(t)
				if !resumed || !slices.Contains(workers, worker) {
					t.Fatalf("%s: %s: resumed %t at worker %d, want it at each of %v", when, k.name, resumed, worker, workers)
				}
				met[worker] = true
			}
			if len(met) < len(workers) {
				t.Errorf("%s: %s: resumed at %v alone, of %v", when, k.name, met, workers)
			}
		}
	}
	resume("in generation 3", pids(third))
	victim := third.Workers[1].PID
	kill(t, victim, unix.SIGKILL)
	resume("after a crash", pids(s.until("a successor", func(status master.Status) bool {
		return ready(2)(status) && !slices.Contains(pids(status), victim)
	})))
	s.stop()
}

// ticketKeeper is a client that comes until it has the ticket that it wants to keep, and
// then comes back with that again and again. Both return the worker that it met, and
// whether a session was resumed.
type ticketKeeper struct {
	name       string
	come, back func(t *testing.T) (worker int, resumed bool)
}

func ticketKeepers(t *testing.T, address, ca string) (all []ticketKeeper) {
	t.Helper()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		v := &visitor{address: address, config: trust(t, ca)}
		v.config.MinVersion, v.config.MaxVersion = version, version
		come := func(t *testing.T) (int, bool) {
			v.config.ClientSessionCache = new(firstSession)
			return v.visit(t)
		}
		all = append(all, ticketKeeper{"crypto/tls, " + tls.VersionName(version), come, v.visit})
	}
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Log("without openssl: it is not here")
		return all
	}
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		session := filepath.Join(t.TempDir(), "session")
		args := []string{"s_client", "-connect", address, "-CAfile", ca, "-verify_return_error", "-ign_eof", version}
		all = append(all, ticketKeeper{"openssl " + version,
			func(t *testing.T) (int, bool) { return visitBy(t, openssl, append(args, "-sess_out", session)) },
			func(t *testing.T) (int, bool) { return visitBy(t, openssl, append(args, "-sess_in", session)) }})
	}
	return all
}

// firstSession keeps the first session that it is given.
type firstSession struct {
	mu      sync.Mutex
	session *tls.ClientSessionState
}

func (f *firstSession) Get(string) (*tls.ClientSessionState, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.session, f.session != nil
}

func (f *firstSession) Put(_ string, session *tls.ClientSessionState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.session == nil {
		f.session = session
	}
}

var linesAnswer = regexp.MustCompile(`(?m)^(\d+) 127\.0\.0\.1 \d+ who$`)

// visitBy asks the app lines who is there, by s_client.
func visitBy(t *testing.T, openssl string, args []string) (worker int, resumed bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, openssl, args...)
	cmd.Stdin = strings.NewReader("who\nquit\n")
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	err := cmd.Run()
	match := linesAnswer.FindSubmatch(said.Bytes())
	if match == nil {
		t.Fatal(fmt.Errorf("openssl %v: no answer: %w\n%s", args, err, &said))
	}
	worker, _ = strconv.Atoi(string(match[1])) // it is a number
	return worker, bytes.Contains(said.Bytes(), []byte("\nReused, TLSv1."))
}
