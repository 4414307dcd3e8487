package master

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/usher-go/usher/ipc"
	"golang.org/x/sys/unix"
)

const plain, proxied = "127.0.0.1:0", "127.0.0.1:0?proxy=on"

// startAt starts a supervisor with a listener, whose workers read PROXY headers, or not.
func startAt(listen string, proxy bool) *fakeMaster {
	fm := &fakeMaster{moves: true, proxy: proxy, workers: 2}
	fm.start(4, func(c *Config) { c.Listen = []string{listen} })
	synctest.Wait()
	return fm
}

// isRefusal reports whether an error says what the fake workers lack, and what to do.
func isRefusal(err error) bool {
	return err != nil && strings.Contains(err.Error(), `it did not say "proxy" when it was ready, which --listen 127.0.0.1:0?proxy=on needs`) &&
		strings.Contains(err.Error(), "(worker cannot read PROXY headers: start a program that can, or take that off the listener)")
}

// A server does not start with workers that cannot do what its listener needs.
func TestStartWithoutPROXY(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fm := startAt(proxied, false)
		select {
		case err := <-fm.ended:
			if !errors.Is(err, ErrWorkersWouldNotStart) || !isRefusal(err) {
				t.Errorf("ended with %v", err)
			}
		case <-time.After(time.Minute): // of the bubble's time
			t.Error("it serves")
			fm.abandon()
		}
	})
}

// A reload to a listener, or to a program, that do not go together is refused: the old
// workers and their listener stay as they are.
func TestReloadWithoutPROXY(t *testing.T) {
	for name, listen := range map[string]string{"another listener": plain, "another program": proxied} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fm := startAt(listen, listen == proxied)
				done := make(chan outcome, 1)
				fm.look(func() {
					fm.rewrite, fm.proxy = func(c *Config) { c.Listen = []string{proxied} }, false
					fm.askReload(done)
				})
				if result := <-done; !isRefusal(result.err) {
					t.Errorf("got %v", result.err)
				}
				synctest.Wait()
				fm.look(func() {
					if fm.generation != 1 || len(fm.queues) != 2 || len(fm.queuesClosed) != 0 || fm.listening != nil {
						t.Errorf("generation %d serves by %d queues, %d of them closed; listeners %+v", fm.generation, len(fm.queues), len(fm.queuesClosed), fm.listening)
					}
				})
				fm.abandon()
			})
		})
	}
}

// Nor is it scaled up with such workers: who asked is told why.
func TestScaleWithoutPROXY(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fm := startAt(proxied, true)
		fm.look(func() { fm.proxy = false; fm.askToScale() })
		if result := <-fm.answers[0]; !isRefusal(result.err) {
			t.Errorf("got %v", result.err)
		}
		fm.look(func() {
			if len(fm.queues) != 2 {
				t.Errorf("%d workers serve, want the 2 of before", len(fm.queues))
			}
		})
		fm.abandon()
	})
}

// A successor that cannot do what its predecessor did is not given connections.
func TestRespawnWithoutPROXY(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fm := startAt(proxied, true)
		fm.look(func() {
			fm.proxy = false
			fm.exit(fm.slots[0].pid(), unix.WaitStatus(unix.SIGKILL))
		})
		synctest.Wait()
		fm.look(func() {
			if len(fm.queues) != 1 || fm.slots[0].deaths < 2 {
				t.Errorf("%d workers serve, want 1; its successor died %d times", len(fm.queues), fm.slots[0].deaths-1)
			}
		})
		fm.abandon()
	})
}

// What a worker lacks is told by what it says when it is ready, and by the listener, as it
// was written.
func TestLacks(t *testing.T) {
	const both = "a=127.0.0.1:1?tls=on&proxy=on"
	closes := ipc.Ready{Closes: true}
	for name, test := range map[string]struct {
		config Config
		ready  ipc.Ready
		want   string // in the reason; empty: nothing is lacking
	}{
		"nothing is needed":      {Config{Listen: []string{":1"}}, ipc.Ready{}, ""},
		"more than is needed":    {Config{Listen: []string{":1"}}, ipc.Ready{TLS: true, Proxy: true}, ""},
		"closes":                 {Config{Listen: []string{":1"}, MaxConns: 1}, ipc.Ready{TLS: true}, "does not say when it closes connections, which --max-conns needs"},
		"closes are said":        {Config{Listen: []string{":1"}, MaxConns: 1}, closes, ""},
		"TLS":                    {Config{Listen: []string{":1", "tls://:2"}}, ipc.Ready{Proxy: true}, `did not say "tls" when it was ready, which --listen tls://:2 needs (./chat cannot do TLS: `},
		"TLS is done":            {Config{Listen: []string{":1", "tls://:2"}}, ipc.Ready{TLS: true}, ""},
		"PROXY of a Unix socket": {Config{Listen: []string{"unix:///a?proxy=on"}}, ipc.Ready{TLS: true}, `did not say "proxy" when it was ready, which --listen unix:///a?proxy=on needs (./chat cannot read PROXY headers: `},
		"both, neither is done":  {Config{Listen: []string{both}}, closes, `"tls" when it was ready, which --listen ` + both},
		"both, one is done":      {Config{Listen: []string{both}}, ipc.Ready{TLS: true}, `"proxy" when it was ready, which --listen ` + both},
		"both":                   {Config{Listen: []string{both}}, ipc.Ready{TLS: true, Proxy: true}, ""},
	} {
		test.config.Program = []string{"./chat", "-v"}
		if got := test.config.lacks(test.ready); !strings.Contains(got, test.want) || (got == "") != (test.want == "") {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

// A program is named with its script.
func TestProgramName(t *testing.T) {
	for want, program := range map[string][]string{"./chat": {"./chat", "-v", "x"}, "python3 a.py": {"python3", "a.py", "secret"}, "chat": {"chat"}} {
		if got := (&Config{Program: program}).programName(); got != want {
			t.Errorf("%q is called %q, want %q", program, got, want)
		}
	}
}
