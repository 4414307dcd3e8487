package files

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Who asks when a file has been replaced, rewritten, cut, removed, or has got another
// beside it.
func TestChangesAreSeen(t *testing.T) {
	tests := []struct {
		name   string
		change func(s *site)
		body   string // afterwards; empty: 404
	}{
		{"replaced", func(s *site) {
			s.write("new", "other text")
			must(s.t, os.Rename(filepath.Join(s.dir, "new"), filepath.Join(s.dir, "a.txt")))
		}, "other text"},
		{"removed", func(s *site) { must(s.t, os.Remove(filepath.Join(s.dir, "a.txt"))) }, ""},
		{"now a folder", func(s *site) {
			must(s.t, os.Remove(filepath.Join(s.dir, "a.txt")))
			must(s.t, os.Mkdir(filepath.Join(s.dir, "a.txt"), 0o755))
		}, "moved"},
		{"compressed beside it", func(s *site) { s.write("a.txt.gz", "gz") }, "gz"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newSite(t, Options{})
			s.write("a.txt", "first text")
			get := func() *http.Request { return request("GET", "/a.txt", "Accept-Encoding: gzip") }
			if _, body, inline := s.ask(get()); body != "first text" || inline {
				t.Fatalf("at first: %q, inline %v", body, inline)
			}
			test.change(s)
			s.now += freshAge - 1
			if _, body, inline := s.ask(get()); body != "first text" || !inline {
				t.Fatalf("while it is fresh: %q, inline %v", body, inline)
			}
			s.now++
			if s.ServeInline(httptest.NewRecorder(), get()) {
				t.Fatal("the first who asks then is not sent to look")
			}
			if w := httptest.NewRecorder(); !s.ServeInline(w, get()) || w.Body.String() != "first text" {
				t.Fatal("the second waits for the first")
			}
			s.now += maxAge - freshAge
			answer, body, inline := s.ask(get())
			switch {
			case inline:
				t.Error("nobody looked")
			case test.body == "" && answer.StatusCode == 404, test.body == "moved" && answer.StatusCode == 301:
			case body != test.body:
				t.Errorf("%d, %q, want %q", answer.StatusCode, body, test.body)
			}
		})
	}
}

// Who is the first to ask when a file is no longer fresh looks, while the others have what
// there was; from then on all have the new one, at once.
func TestTheFirstLooks(t *testing.T) {
	s := newSite(t, Options{})
	s.write("a.txt", "first text")
	s.ask(request("GET", "/a.txt"))
	must(t, os.Remove(filepath.Join(s.dir, "a.txt")))
	s.write("a.txt", "other text")
	s.now += freshAge
	for _, ask := range []struct {
		who    string
		inline bool
	}{{"the first", false}, {"the second", true}} {
		if _, body, inline := s.ask(request("GET", "/a.txt")); body != "other text" || inline != ask.inline {
			t.Errorf("%s: %q, inline %v", ask.who, body, inline)
		}
	}
}

// A small file that is rewritten in its place is seen at once: it is no longer as long.
func TestRewrittenInPlace(t *testing.T) {
	for _, text := range []string{"short", "much longer than it was", ""} {
		s := newSite(t, Options{})
		s.write("a.txt", "first text")
		s.ask(request("GET", "/a.txt"))
		s.write("a.txt", text)
		if answer, body, inline := s.ask(request("GET", "/a.txt")); body != text || answer.ContentLength != int64(len(text)) || inline {
			t.Errorf("%q of %d, inline %v, want %q", body, answer.ContentLength, inline, text)
		}
		if _, body, inline := s.ask(request("GET", "/a.txt")); body != text || !inline {
			t.Errorf("again: %q, inline %v, want %q", body, inline, text)
		}
	}
}

// A file that has not changed is found to be so, and goes on.
func TestUnchangedStaysOpen(t *testing.T) {
	s := newSite(t, Options{})
	s.write("a.txt", "text")
	s.ask(request("GET", "/a.txt"))
	before := s.cache.get("a.txt", 0)
	defer before.release()
	s.now += time.Hour
	if _, _, inline := s.ask(request("GET", "/a.txt")); inline {
		t.Error("after an hour nobody looks")
	}
	after := s.cache.get("a.txt", 0)
	defer after.release()
	if before != after {
		t.Error("it was opened anew")
	}
	if _, _, inline := s.ask(request("GET", "/a.txt")); !inline {
		t.Error("it is looked after twice")
	}
}

// A file that is evicted while somebody has it is closed when that is over.
func TestEvictedWhileHeld(t *testing.T) {
	s := newSite(t, Options{MaxOpen: 2})
	for i := range 3 {
		s.write(fmt.Sprint(i), "text")
	}
	s.ask(request("GET", "/0"))
	held := s.cache.get("0", 0)
	s.ask(request("GET", "/1"))
	s.ask(request("GET", "/2"))
	if r := s.cache.get("0", 0); r != nil {
		t.Fatal("three are open, of two")
	}
	if s.cache.files != 2 || s.cache.recent.Len() != 2 || len(s.cache.byName) != 2 {
		t.Errorf("%d files, %d recent, %d names", s.cache.files, s.cache.recent.Len(), len(s.cache.byName))
	}
	if text, err := io.ReadAll(io.NewSectionReader(held.plain, 0, 4)); string(text) != "text" || err != nil {
		t.Errorf("held: %q, %v", text, err)
	}
	held.release()
	awaitClosed(t, held)
}

func awaitClosed(t *testing.T, r *resource) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if _, err := r.plain.Stat(); err != nil {
			return
		}
	}
	t.Error("it stays open")
}

// What nobody asks for is closed.
func TestSweep(t *testing.T) {
	s := newSite(t, Options{})
	s.write("old", "text")
	s.write("new", "text")
	s.ask(request("GET", "/old"))
	old := s.cache.get("old", 0)
	old.release()
	s.now = restAge
	s.ask(request("GET", "/new"))
	s.cache.sweep()
	awaitClosed(t, old)
	if r := s.cache.get("new", s.now); r == nil {
		t.Error("the new one is gone, too")
	} else {
		r.release()
	}
}

// Readers of whole files while those are replaced, evicted and dropped: each answer is all
// of one version. For the race detector.
func TestTogether(t *testing.T) {
	s := newSite(t, Options{MaxOpen: 2})
	start := time.Now()
	s.clock = func() time.Duration { return 100 * time.Since(start) }
	version := func(i int) string { return strings.Repeat(fmt.Sprint(i%10), 20_000) }
	for i := range 4 {
		s.write(fmt.Sprint(i), version(i))
	}
	var group sync.WaitGroup
	for g := range 4 {
		group.Go(func() {
			for i := range 100 {
				w := httptest.NewRecorder()
				r := request("GET", fmt.Sprintf("/%d", (g+i)%4))
				if !s.ServeInline(w, r) {
					s.ServeHTTP(w, r)
				}
				if body := w.Body.String(); len(body) != 20_000 || strings.Trim(body, body[:1]) != "" {
					t.Errorf("%d, %d bytes of several versions", w.Code, len(body))
				}
			}
		})
	}
	for i := range 50 {
		must(t, os.WriteFile(filepath.Join(s.dir, "next"), []byte(version(i)), 0o644))
		must(t, os.Rename(filepath.Join(s.dir, "next"), filepath.Join(s.dir, fmt.Sprint(i%4))))
	}
	group.Wait()
}

// Files that are sent, that stay open and that are looked for have one bound together. Who
// comes beyond it is told to come again, and served once there is room.
func TestMaxDescriptors(t *testing.T) {
	s := newSite(t, Options{MaxOpen: 1, MaxDescriptors: perOpening + 2})
	for _, name := range []string{"0", "1", "2", "3"} {
		s.write(name, "text")
	}
	var sent []*resource
	for _, name := range []string{"0", "1", "2"} { // for the last one there is just room
		if answer, _, _ := s.ask(request("GET", "/"+name)); answer.StatusCode != 200 {
			t.Fatalf("with room: %s", answer.Status)
		}
		sent = append(sent, s.cache.get(name, 0))
	}
	if answer, _, _ := s.ask(request("GET", "/3")); answer.StatusCode != 503 || answer.Header.Get("Retry-After") == "" {
		t.Errorf("without room: %s, %v", answer.Status, answer.Header)
	}
	for _, r := range sent {
		r.release()
	}
	for deadline := time.Now().Add(10 * time.Second); s.taken.Load() > 0 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond) // files are closed on other goroutines
	}
	if answer, _, _ := s.ask(request("GET", "/3")); answer.StatusCode != 200 {
		t.Errorf("with room again: %s", answer.Status)
	}
}
