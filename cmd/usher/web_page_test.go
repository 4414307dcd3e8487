package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What docs/web.md tells its reader to write and to type does work: the programs are
// built, and serve; the commands run.
func TestWebPage(t *testing.T) {
	t.Parallel()
	blocks := webPage(t)
	dir := t.TempDir()
	serveBlock := strings.SplitAfter(blocks["sh Quick start"][0], "\n")
	hello := goProgram(t, dir, "hello", blocks["go Quick start"][0], serveBlock[0])

	flags := strings.Fields(strings.TrimPrefix(serveBlock[1], "usher serve "))
	cmd, mark := command("check")
	cmd.Dir = filepath.Dir(hello)
	t.Cleanup(func() { killMarked(mark) })
	cmd.Args = append(cmd.Args, flags...)
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%q: %v\n%s", cmd.Args, err, output)
	}
	s := serve(t, "--workers", "2", "--", hello)
	ask := func() {
		t.Helper()
		if got := webAnswer(t, http.DefaultClient, "GET", "http://"+s.address+"/hello/world", nil); got != "Hello, world!\n" {
			t.Errorf("it says %q", got)
		}
	}
	ask()
	s.reload()
	ask()
	measure := strings.Fields(strings.ReplaceAll(blocks["sh Measuring"][0], "127.0.0.1:8080", s.address+" --path /hello/world"))
	if got := usher(t, measure[1:]...); got.code != 0 {
		t.Errorf("%q: %+v", measure, got)
	}
	http.DefaultClient.CloseIdleConnections()
	s.stop()

	ca, secure := secureFlags(t)
	s = serve(t, append(secure, "--workers", "1", "--", goProgram(t, dir, "streams", blocks["go HTTP/2"][0], "go build -o streams .\n"))...)
	transport := &http.Transport{TLSClientConfig: trust(t, ca), ForceAttemptHTTP2: true}
	address := s.until("all are ready", ready(1)).Listeners[1].Address
	if got := webAnswer(t, &http.Client{Transport: transport, Timeout: limit}, "GET", "https://"+address+"/", nil); got != "Hello by HTTP/2.0\n" {
		t.Errorf("it says %q", got)
	}
	transport.CloseIdleConnections()
	s.stop()
}

// webPage returns the blocks of docs/web.md by kind and heading.
func webPage(t *testing.T) map[string][]string {
	t.Helper()
	return pageBlocks(t, "docs/web.md")
}

// goProgram builds a program as its reader does, in a folder of its own, and returns its
// path.
func goProgram(t *testing.T, dir, name, source, build string) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	sum, err := os.ReadFile("../../go.sum")
	if err != nil {
		t.Fatal(err)
	}
	const module = "github.com/usher-go/usher"
	dir = filepath.Join(dir, name)
	text := strings.Replace(string(mod), "module "+module, "module example.org/"+name, 1) + fmt.Sprintf("\nrequire %s v0.0.0\n\nreplace %s => %s\n", module, module, root)
	for file, content := range map[string]string{"go.mod": text, "go.sum": string(sum), "main.go": source} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, file), content)
	}
	cmd := exec.Command("sh", "-eu", "-c", build)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOFLAGS=-mod=mod")
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", build, err, output)
	}
	return filepath.Join(dir, name)
}
