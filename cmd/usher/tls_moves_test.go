package main

import (
	"crypto/tls"
	"fmt"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/usher-go/usher/internal/certtest"
	"github.com/usher-go/usher/master"
)

// Clients of many kinds stay for long, over TLS, with state at the server, while workers
// are replaced, come and go, and the master becomes its own new program. None notices: all
// bytes come in order, nobody connects again, or shakes hands again.
func TestTLSMoves(t *testing.T) {
	clients, reloads, upgrades, each := sized(50, 500), sized(3, 30), sized(1, 5), sized(1, 2)
	rest := sized(40*time.Millisecond, 200*time.Millisecond)
	ca, flags := secureFlags(t)
	p := install(t)
	s := p.serve(append(flags, "--workers", "2", "--max-workers", "6", "--", self(), "worker-answering")...)
	address := s.until("all are ready", ready(2)).Listeners[1].Address // the first is plain

	programs := speak(t, address, ca, each, rest)
	curls := startCurls(t, address, ca)
	left := clients - programs.n - len(curls)
	var all []*gophers
	for i, suite := range []uint16{tls.TLS_AES_128_GCM_SHA256, tls.TLS_AES_256_GCM_SHA384, tls.TLS_CHACHA20_POLY1305_SHA256} {
		share := left / (3 - i)
		left -= share
		all = append(all, gatherGophers(t, address, ca, suite, share, rest))
	}
	goOn := func() {
		t.Helper()
		for _, g := range all {
			g.goOn(t)
		}
		programs.goOn(t)
		for _, c := range curls {
			c.goOn(t)
		}
	}
	goOn()
	ask := func(args ...string) {
		t.Helper()
		if got := usherWithin(t, patience, append(args, "--control", s.control)...); got.code != 0 {
			t.Fatalf("usher %v: %+v", args, got)
		}
	}
	start := time.Now()
	for n := range reloads {
		ask("reload")
		goOn()
		switch n % 3 {
		case 0:
			ask("scale", "4")
			goOn()
		case 1:
			ask("scale", "2")
		}
		if n%(reloads/upgrades) == 1 {
			p.replace()
			ask("upgrade")
			s.runs(p)
			goOn()
		}
	}
	if got := s.ask("scale", "2"); got.code != 0 {
		t.Errorf("scale: %+v", got)
	}
	took := time.Since(start)
	for _, c := range curls {
		c.finish(t)
	}
	lines := programs.disperse()
	for _, g := range all {
		lines += g.disperse(t)
	}
	status := s.until("all have left", func(status master.Status) bool { return status.Connections.Active == 0 })
	c := status.Connections
	t.Logf("%d clients, of them %d programs and %d curls; %d reloads, %d upgrades in %v; %d lines; %+v, %v",
		clients, programs.n, len(curls), reloads, upgrades, took.Round(time.Millisecond), lines, c, status.Counters)
	want := master.Counts{Accepted: uint64(clients), Closed: uint64(clients), Moved: c.Moved}
	if c != want || status.Counters["handshakes"] != uint64(clients) || status.Counters["resumed"]+status.Counters["handshakes_refused"] != 0 {
		t.Errorf("%+v, want %+v; %v, want as many handshakes as clients", c, want, status.Counters)
	}
	if c.Moved < uint64(reloads*clients) {
		t.Errorf("%d moves of %d clients in %d reloads", c.Moved, clients, reloads)
	}
	s.stop()
}

// secureFlags returns the path of an authority, and the flags for a listener with TLS that
// has an ECDSA and an RSA certificate.
func secureFlags(t *testing.T) (ca string, flags []string) {
	t.Helper()
	dir := t.TempDir()
	authority := certtest.NewCA(t, "test CA")
	ca, _ = authority.Write(t, dir, "ca")
	flags = []string{"--listen", "tls://127.0.0.1:0"}
	for _, want := range []certtest.Want{
		{Names: []string{"ecdsa.example", "both.example", "127.0.0.1"}},
		{Names: []string{"rsa.example", "both.example"}, Key: certtest.RSA(t)},
	} {
		cert, key := authority.Issue(t, want).Write(t, dir, want.Names[0])
		flags = append(flags, "--tls-cert", cert, "--tls-key", key)
	}
	return ca, flags
}

// chorus is the clients that are programs.
type chorus struct {
	n     int
	stop  sync.Once
	done  chan struct{}
	wait  sync.WaitGroup
	lines []atomic.Uint64 // of each
}

// speak starts some clients of each kind that there is.
func speak(t *testing.T, address, ca string, each int, rest time.Duration) *chorus {
	t.Helper()
	var kinds []programVoice
	missing := make(map[string]bool)
	for _, kind := range slices.Repeat(programVoices(), each) {
		if _, err := exec.LookPath(kind.args[0]); err != nil {
			missing[kind.args[0]] = true
			continue
		}
		kinds = append(kinds, kind)
	}
	for program := range missing {
		t.Logf("without clients of %s: it is not here", program)
	}
	c := &chorus{n: len(kinds), done: make(chan struct{}), lines: make([]atomic.Uint64, len(kinds))}
	voices := make([]*voice, c.n)
	for i, kind := range kinds {
		var err error
		if voices[i], err = kind.start(t, address, ca, rest); err != nil {
			t.Fatalf("%s: %v", kind.name, err)
		}
	}
	t.Cleanup(func() { c.disperse() }) // if the story did not: who fails after the end of a test ends all others
	for i, v := range voices {
		c.wait.Go(func() {
			if err := v.converse(c.done, uint64(i), &c.lines[i]); err != nil {
				t.Errorf("%s: %v", kinds[i].name, err)
			}
		})
	}
	return c
}

// goOn returns when each has exchanged another line since.
func (c *chorus) goOn(t *testing.T) {
	t.Helper()
	before := c.counts()
	until(t, "every program goes on", func() (bool, string) {
		now := c.counts()
		for i := range now {
			if now[i] == before[i] && !t.Failed() {
				return false, fmt.Sprintf("program %d has exchanged %d lines", i, now[i])
			}
		}
		return true, ""
	})
}

func (c *chorus) counts() (lines []uint64) {
	for i := range c.lines {
		lines = append(lines, c.lines[i].Load())
	}
	return lines
}

// disperse has them leave, and returns how many lines they have exchanged.
func (c *chorus) disperse() (lines int) {
	c.stop.Do(func() { close(c.done) })
	c.wait.Wait()
	for _, n := range c.counts() {
		lines += int(n)
	}
	return lines
}
