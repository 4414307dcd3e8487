package main

import (
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// transcript is the lines that processes write to a pipe.
type transcript struct {
	mu      sync.Mutex
	lines   []string
	begun   string        // the line that has no end yet
	changed chan struct{} // closed when more is there, or at the end
	ended   bool
}

// newTranscript returns the end to write to, and what is written. It is read
// until every process has closed that end.
func newTranscript(t *testing.T) (write *os.File, r *transcript) {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r = &transcript{changed: make(chan struct{})}
	go r.read(read)
	return write, r
}

// read takes ownership of from.
func (r *transcript) read(from *os.File) {
	defer from.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		r.mu.Lock()
		lines := strings.Split(r.begun+string(buffer[:n]), "\n")
		r.begun = lines[len(lines)-1]
		r.lines = append(r.lines, lines[:len(lines)-1]...)
		if r.ended = err != nil; r.ended && r.begun != "" {
			r.lines = append(r.lines, r.begun)
		}
		close(r.changed)
		r.changed = make(chan struct{})
		r.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// awaitBegun waits until the line that has no end yet contains part.
func (r *transcript) awaitBegun(t *testing.T, part string) {
	t.Helper()
	timeout := time.After(limit)
	for {
		r.mu.Lock()
		changed, ended, begun := r.changed, r.ended, r.begun
		r.mu.Unlock()
		switch {
		case strings.Contains(begun, part):
			return
		case ended:
			t.Fatalf("ended with %q, without %q", begun, part)
		}
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("%q has no %q within %v", begun, part, limit)
		}
	}
}

func (r *transcript) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.lines)
}

// with returns the lines that contain every one of parts.
func (r *transcript) with(parts ...string) (found []string) {
	for _, line := range r.all() {
		if !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(line, part) }) {
			found = append(found, line)
		}
	}
	return found
}

// await waits until n lines contain every one of parts, and returns the n-th.
func (r *transcript) await(t *testing.T, n int, parts ...string) string {
	t.Helper()
	return r.awaitWithin(t, limit, n, parts...)
}

func (r *transcript) awaitWithin(t *testing.T, limit time.Duration, n int, parts ...string) string {
	t.Helper()
	timeout := time.After(limit)
	for {
		r.mu.Lock()
		changed, ended := r.changed, r.ended
		r.mu.Unlock()
		if found := r.with(parts...); len(found) >= n {
			return found[n-1]
		}
		if ended {
			t.Fatalf("ended without line %d with %q", n, parts)
		}
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("no line %d with %q within %v", n, parts, limit)
		}
	}
}

// waitEnd waits until no process can write any more, and reports whether that
// came in time.
func (r *transcript) waitEnd(limit time.Duration) bool {
	timeout := time.After(limit)
	for {
		r.mu.Lock()
		changed, ended := r.changed, r.ended
		r.mu.Unlock()
		if ended {
			return true
		}
		select {
		case <-changed:
		case <-timeout:
			return false
		}
	}
}
