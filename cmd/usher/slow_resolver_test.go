package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

// slowResolver in the environment of a server has no name server answer it: what
// asks one waits for ever, whatever limit it was given.
const slowResolver = "SLOW_RESOLVER"

const askedForName = "a name server is asked"

func init() {
	if os.Getenv(asUsher) == "" || os.Getenv(slowResolver) == "" {
		return
	}
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		fmt.Fprintln(os.Stderr, askedForName)
		select {}
	}}
}

// serveWithoutNames is serveConfigured for a server that no name server answers.
func serveWithoutNames(t *testing.T, lines ...string) *configured {
	t.Helper()
	return serveConfiguredIn(t, []string{slowResolver + "=1"}, lines...)
}

// A reload that adds a name which no name server tells is refused, and says why;
// the old workers serve on, and the next reload is as any.
func TestSlowResolverAtReload(t *testing.T) {
	t.Parallel()
	s := serveWithoutNames(t, `app = "lines"`, `workers = 1`)
	s.write(`app = "lines"`, `workers = 1`, `listen = ["127.0.0.1:0", "web.example.org:0"]`)
	s.refusesReload("listen on web.example.org:0", "no answer within 10s", "resolv.conf")
	if err := shortVisit(s.address); err != nil {
		t.Error(err)
	}
	s.write(`app = "lines"`, `workers = 1`)
	s.reload()
	s.stop()
}

// While a reload waits for a name server, commands are answered, clients served,
// dead workers replaced, and the server stops when it is told to.
func TestSlowResolverHoldsUpNobody(t *testing.T) {
	t.Parallel()
	s := serveWithoutNames(t, `app = "lines"`, `workers = 1`)
	s.write(`app = "lines"`, `workers = 1`, `listen = ["127.0.0.1:0", "web.example.org:0"]`)
	s.signal(unix.SIGHUP)
	s.log.await(t, 1, askedForName)
	victim := pids(s.until("the status is told", ready(1)))[0]
	if err := shortVisit(s.address); err != nil {
		t.Error(err)
	}
	kill(t, victim, unix.SIGKILL)
	s.until("the dead worker is replaced", func(status master.Status) bool { return ready(1)(status) && pids(status)[0] != victim })
	if refused := s.log.with("no answer within"); len(refused) > 0 {
		t.Error("nothing was done before the name server was given up")
	}
	s.signal(unix.SIGTERM)
	s.ends(0)
}

// So it is at the start, which ends.
func TestSlowResolverAtStart(t *testing.T) {
	t.Parallel()
	cmd, mark := command("serve", "--control", filepath.Join(shortDir(t), "c"), "--listen", "web.example.org:0")
	cmd.Env = append(cmd.Env, slowResolver+"=1")
	s := launchAs(t, cmd, mark, "")
	s.log.await(t, 1, "usher: listen on web.example.org:0", "no answer within 10s")
	s.waitExit()
	if got := s.state.ExitCode(); got != exitFailed {
		t.Errorf("%v, want exit status %d", s.state, exitFailed)
	}
}
