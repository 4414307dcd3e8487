package main

import (
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// curl goes on with a download where it was broken off, asks again for what it has, and
// takes what is compressed.
func TestFilesForCurl(t *testing.T) {
	t.Parallel()
	path, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("curl is not here")
	}
	root, mine := t.TempDir(), t.TempDir()
	patterned(t, filepath.Join(root, "large.bin"), 4<<20, 'a')
	content, err := os.ReadFile(filepath.Join(root, "large.bin"))
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(root, "a.css"), "p { color: red }\n")
	zipped, err := exec.Command("gzip", "-kf", filepath.Join(root, "a.css")).CombinedOutput()
	if err != nil {
		t.Skipf("gzip: %v, %s", err, zipped)
	}
	s := serveFiles(t, root)
	curl := func(args ...string) string {
		t.Helper()
		cmd := exec.Command(path, append([]string{"--no-progress-meter", "--fail", "--noproxy", "*"}, args...)...)
		var stderr bytes.Buffer
		cmd.Stderr, cmd.Dir = &stderr, mine
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("curl %q: %v, %s", args, err, stderr.String())
		}
		return string(out)
	}
	base := "http://" + s.address
	if err := os.WriteFile(filepath.Join(mine, "large.bin"), content[:1<<20+1], 0o644); err != nil {
		t.Fatal(err)
	}
	curl("--continue-at", "-", "--output", "large.bin", base+"/large.bin")
	if got, err := os.ReadFile(filepath.Join(mine, "large.bin")); !bytes.Equal(got, content) {
		t.Errorf("gone on with: %d bytes, %v", len(got), err)
	}
	const code = "%{http_code} %{size_download}"
	if got := curl("--etag-save", "tag", "--output", "a", "--write-out", code, base+"/a.css"); got != "200 17" {
		t.Errorf("at first: %s", got)
	}
	if got := curl("--etag-compare", "tag", "--output", "b", "--write-out", code, base+"/a.css"); got != "304 0" {
		t.Errorf("with its entity tag: %s", got)
	}
	if got := curl("--time-cond", "a", "--remote-time", "--output", "b", "--write-out", code, base+"/a.css"); got != "304 0" {
		t.Errorf("if newer than what it has: %s", got)
	}
	if got := curl("--compressed", base+"/a.css"); got != "p { color: red }\n" {
		t.Errorf("compressed: %q", got)
	}
	if got := curl("--head", "--header", "Accept-Encoding: gzip", base+"/a.css"); !strings.Contains(got, "Content-Encoding: gzip\r\n") || !strings.Contains(got, "Content-Type: text/css; charset=utf-8\r\n") || !strings.Contains(got, "Vary: Accept-Encoding\r\n") {
		t.Errorf("compressed: %s", got)
	}
	s.endFiles()
}

// Go's client keeps one connection for all kinds of answers. When it has gone, and what it
// asked for is no longer wanted by anybody, the worker has as many descriptors as at first.
func TestFilesForGo(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(root, "sub", "a&b.txt"), "text")
	patterned(t, filepath.Join(root, "large"), 4<<20, 'a')
	s := serveFiles(t, root, "--list")
	transport := &http.Transport{}
	client := &http.Client{Transport: transport, Timeout: limit}
	for _, test := range []struct {
		path, want string
		status     int
	}{{"/", `<a href="./sub/">sub/</a>`, 200}, {"/sub?x", `<a href="./a&b.txt">a&amp;b.txt</a>`, 200}, {"/sub/a&b.txt", "text", 200}, {"/large", "a\x00\x00\x00", 200}, {"/none", "Not Found", 404}, {"/sub/a&b.txt", "text", 200}} {
		answer, err := client.Get("http://" + s.address + test.path)
		if err != nil {
			t.Fatal(err)
		}
		var body bytes.Buffer
		_, err = body.ReadFrom(answer.Body)
		_ = answer.Body.Close() // it is read
		if err != nil || answer.StatusCode != test.status || !strings.Contains(body.String(), test.want) {
			t.Errorf("%s: %d, %.300q, %v", test.path, answer.StatusCode, body.String(), err)
		}
	}
	transport.CloseIdleConnections()
	if status, err := s.status(); err != nil || status.Connections.Accepted != 1 {
		t.Errorf("%+v, %v; want one connection", status.Connections, err)
	}
	s.stop()
}
