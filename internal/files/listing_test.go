package files

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// The page of a folder has what can be asked for, in order, and nothing of a name is HTML.
func TestListing(t *testing.T) {
	s := newSite(t, Options{List: true})
	s.write("b.txt", "12345")
	s.write(`<script>"&.txt`, "x")
	s.write("a:b", "")
	s.write("100%?#.txt", "")
	s.write(".hidden", "")
	s.write(".well-known/x", "")
	s.write("sub/deep.txt", "")
	must(t, unix.Mkfifo(filepath.Join(s.dir, "fifo"), 0o644))
	must(t, os.Symlink("/etc/passwd", filepath.Join(s.dir, "out")))
	must(t, os.Symlink("sub", filepath.Join(s.dir, "link")))
	answer, body, inline := s.ask(request("GET", "/"))
	if answer.StatusCode != 200 || inline || answer.Header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("%d, inline %v, %v", answer.StatusCode, inline, answer.Header)
	}
	want := []string{
		`<a href="./.well-known/">.well-known/</a>`,
		`<a href="./100%25%3F%23.txt">100%?#.txt</a></td><td align="right">0</td>`,
		`<a href="./%3Cscript%3E%22&.txt">&lt;script&gt;&#34;&amp;.txt</a></td><td align="right">1</td>`,
		`<a href="./a:b">a:b</a>`,
		`<a href="./b.txt">b.txt</a></td><td align="right">5</td>`,
		`<a href="./link/">link/</a>`,
		`<a href="./sub/">sub/</a>`,
	}
	rest := body
	for _, line := range want {
		_, after, found := strings.Cut(rest, line)
		if !found {
			t.Fatalf("no %s in its place in:\n%s", line, body)
		}
		rest = after
	}
	if n := strings.Count(body, "<a "); n != len(want) {
		t.Errorf("%d links, want %d:\n%s", n, len(want), body)
	}
	if head, text, _ := s.ask(request("HEAD", "/")); head.ContentLength != int64(len(body)) || text != "" {
		t.Errorf("HEAD: %v, %q", head.Header, text)
	}
	if _, body, _ := s.ask(request("GET", "/sub/")); !strings.Contains(body, `<a href="../">../</a>`) || !strings.Contains(body, "deep.txt") {
		t.Errorf("below:\n%s", body)
	}
}
