package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// visitors are clients of a server that logs what it serves: each request has a path of its
// own, by which its line is known.
type visitors struct {
	t       *testing.T
	address string
	agent   string // User-Agent
	paths   atomic.Int64

	mu       sync.Mutex
	answered map[string]bool
	unknown  map[string]bool // they may have been served
}

func newVisitors(t *testing.T, address string) *visitors {
	return &visitors{t: t, address: address, agent: "visitor", answered: make(map[string]bool), unknown: make(map[string]bool)}
}

// visit makes requests by one connection, one after another, as long as again says so. It
// returns an error if one was not answered.
func (v *visitors) visit(again func() bool) error {
	conn, err := net.Dial("tcp", v.address)
	if err != nil {
		return err
	}
	defer conn.Close()
	answers := bufio.NewReader(conn)
	for again() {
		path := fmt.Sprintf("/visit/%d", v.paths.Add(1))
		_ = conn.SetDeadline(time.Now().Add(limit)) // a socket has deadlines
		_, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: example.org\r\nUser-Agent: %s\r\n\r\n", path, v.agent)
		var answer *http.Response
		if err == nil {
			answer, err = http.ReadResponse(answers, nil)
		}
		if err == nil {
			_, err = io.Copy(io.Discard, answer.Body)
		}
		v.mu.Lock()
		if err == nil {
			v.answered[path] = true
		} else {
			v.unknown[path] = true
		}
		v.mu.Unlock()
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if answer.StatusCode != 200 || answer.Close {
			return fmt.Errorf("%s: %s, closing: %t", path, answer.Status, answer.Close)
		}
	}
	return nil
}

// times makes so many requests by one connection.
func (v *visitors) times(n int) {
	v.t.Helper()
	if err := v.visit(func() bool { n--; return n >= 0 }); err != nil {
		v.t.Error(err)
	}
}

// come has so many visitors make requests, until stop is called, which waits for that.
func (v *visitors) come(n int) (stop func()) {
	var over atomic.Bool
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			if err := v.visit(func() bool { return !over.Load() }); err != nil {
				v.t.Error(err)
			}
		})
	}
	stop = sync.OnceFunc(func() { over.Store(true); all.Wait() })
	v.t.Cleanup(stop)
	return stop
}

// logged returns how often each path is in files of an access log, whose lines must be
// whole.
func (v *visitors) logged(files ...string) map[string]int {
	v.t.Helper()
	paths := make(map[string]int)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			v.t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			path, whole := v.pathIn(line)
			if !whole {
				v.t.Errorf("%s: %q is not one whole line", file, line)
			}
			paths[path]++
		}
	}
	return paths
}

// pathIn returns the path in a line, and whether that is whole.
func (v *visitors) pathIn(line string) (path string, whole bool) {
	before, rest, found := strings.Cut(line, `"GET `)
	path, rest, ends := strings.Cut(rest, ` HTTP/1.1" 200 `)
	return path, found && ends && strings.HasPrefix(before, "127.0.0.1 - - [") && strings.HasSuffix(rest, ` "-" "`+v.agent+"\"\n") &&
		strings.Count(line, "HTTP/1.1") == 1
}

// check fails the test unless each request that was answered is logged once, and no other.
func (v *visitors) check(logged map[string]int) {
	v.t.Helper()
	if len(v.answered) == 0 {
		v.t.Error("nobody was answered")
	}
	missing := 0
	for path := range v.answered {
		if logged[path] != 1 {
			if missing++; missing <= 3 {
				v.t.Errorf("%s is logged %d times", path, logged[path])
			}
		}
	}
	if missing > 0 {
		v.t.Errorf("%d of %d are not logged once", missing, len(v.answered))
	}
	for path := range logged {
		if !v.answered[path] && !v.unknown[path] {
			v.t.Errorf("%s was not asked for", path)
		}
	}
}

// awaitAccessLog waits until workers have the file of the access log, which comes when they
// are ready.
func (s *server) awaitAccessLog(workers []int) {
	s.t.Helper()
	for _, pid := range workers {
		until(s.t, "a worker has the access log", func() (bool, string) {
			links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
			for _, link := range links {
				if to, err := os.Readlink(link); err == nil && to == s.accessLog {
					return true, ""
				}
			}
			return s.accessLog == "", fmt.Sprintf("worker %d has %d descriptors, %v", pid, len(links), err)
		})
	}
}
