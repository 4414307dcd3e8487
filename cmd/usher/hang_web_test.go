package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/usher-go/usher/master"
	"github.com/usher-go/usher/worker"
	"github.com/usher-go/usher/worker/web"
	"golang.org/x/sys/unix"
)

func init() {
	helpers["worker-web-hanging"] = func() { worker.Main(web.Handler(webHanging{})) }
}

// webHanging says its pid from a goroutine, but of two paths it answers neither, on the loop.
type webHanging struct{}

func (webHanging) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	_, _ = io.WriteString(w, strconv.Itoa(os.Getpid())) // who has gone needs none
}

func (webHanging) ServeInline(_ http.ResponseWriter, r *http.Request) bool {
	switch r.URL.Path {
	case "/block":
		fmt.Fprintln(os.Stderr, "this will take for ever")
		hangForEver()
	case "/spin":
		fmt.Fprintln(os.Stderr, "this will take for ever")
		spinForEver()
	}
	return false
}

//go:noinline
func spinForEver() { // the log must name it
	for spinning := 0; ; spinning++ {
		spins(spinning)
	}
}

//go:noinline
func spins(int) {}

// A loop that has served requests on goroutines is locked to its thread no more, so that
// the master knows no thread of it. If it hangs then, in a handler that blocks or one that
// computes, the log still has the stack that says where.
func TestHangOfWebWorker(t *testing.T) {
	t.Parallel()
	for path, stack := range map[string]string{"/block": "hangForEver", "/spin": "spinForEver"} {
		t.Run(path[1:], func(t *testing.T) {
			t.Parallel()
			s := serve(t, "--workers", "1", "--hang-timeout", hangTimeout.String(), "--", self(), "worker-web-hanging")
			// A connection each: with one that is kept, net/http would ask once more.
			client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
			get := func(path string) (string, error) {
				answer, err := client.Get("http://" + s.address + path)
				if err != nil {
					return "", err
				}
				defer answer.Body.Close()
				body, err := io.ReadAll(answer.Body)
				return string(body), err
			}
			pid, err := get("/")
			if err != nil {
				t.Fatal(err)
			}
			if answer, err := get(path); err == nil {
				t.Errorf("%s: answered %q", path, answer)
			}
			s.log.await(t, 1, "[ERROR]", "worker hangs, aborting it", "pid="+pid+" ")
			s.log.await(t, 1, "worker output", "SIGABRT")
			s.log.await(t, 1, "worker output", "."+stack+"(")
			s.log.await(t, 1, "worker died", "pid="+pid+" ")
			s.until("it is replaced", func(status master.Status) bool {
				return ready(1)(status) && strconv.Itoa(pids(status)[0]) != pid
			})
			if answer, err := get("/"); err != nil || answer == pid {
				t.Errorf("the next one: %q, %v", answer, err)
			}
			s.signal(unix.SIGTERM)
			s.ends(0)
		})
	}
}
