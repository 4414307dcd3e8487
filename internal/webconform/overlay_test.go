package webconform

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// patches turn net/http/httptest's server.go into one that has something else serve, if
// it is told to, where it does not speak HTTP/2. Each place is there once.
var patches = [][2]string{
	{"// A Server is an HTTP server listening", `// Serve, if it is not nil, serves in the place of Config.Serve.
var Serve func(config *http.Server, l net.Listener) Serving

// Serving is a server that runs.
type Serving interface {
	Close()                  // returns when all requests are answered
	CloseClientConnections() // cuts them
}

// A Server is an HTTP server listening`},
	{"	client *http.Client\n}", "	client *http.Client\n\n	serving Serving\n}"},
	{"func (s *Server) wrap() {\n", `func (s *Server) wrap() {
	if Serve != nil && !s.EnableHTTP2 {
		s.serving = Serve(s.Config, s.Listener)
		return
	}
`},
	{"func (s *Server) goServe() {\n", `func (s *Server) goServe() {
	if s.serving != nil {
		return
	}
`},
	{"	s.wg.Wait()\n", `	if s.serving != nil {
		s.serving.Close()
	}
	s.wg.Wait()
`},
	{"func (s *Server) CloseClientConnections() {\n", `func (s *Server) CloseClientConnections() {
	if s.serving != nil {
		s.serving.CloseClientConnections()
		return
	}
`},
}

// hook is a package that is added to this module: it can import what is internal, and
// whatever is tested can import it.
const hook = `package webhook

import (
	"net"
	"net/http"
	"net/http/httptest"

	"` + module + `/internal/webconform"
)

func init() {
	httptest.Serve = func(config *http.Server, l net.Listener) httptest.Serving { return webconform.Serve(config, l) }
}
`

const module = "github.com/usher-go/usher"

// overlay is a folder of files that go builds with in the place of others.
type overlay struct {
	dir  string // with overlay.json
	root string // this module
}

func newOverlay(t *testing.T) *overlay {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	o := &overlay{t.TempDir(), root}
	path := filepath.Join(goroot(t), "src/net/http/httptest/server.go")
	source, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, patch := range patches {
		if n := bytes.Count(source, []byte(patch[0])); n != 1 {
			t.Fatalf("%q is %d times in %s, want once: httptest has changed, and so must the patches", patch[0], n, path)
		}
		source = bytes.Replace(source, []byte(patch[0]), []byte(patch[1]), 1)
	}
	put(t, filepath.Join(o.dir, "server.go"), source)
	put(t, filepath.Join(o.dir, "hook.go"), []byte(hook))
	text, err := json.Marshal(map[string]any{"Replace": map[string]string{
		path:                                   filepath.Join(o.dir, "server.go"),
		filepath.Join(root, "webhook/hook.go"): filepath.Join(o.dir, "hook.go"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(o.dir, "overlay.json"), text)
	return o
}

// goroot is where go's own source is.
func goroot(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func put(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

// module makes a folder a module that has this one beside it, and what it needs.
func (o *overlay) module(t *testing.T, dir, name string) {
	t.Helper()
	mod, err := os.ReadFile(filepath.Join(o.root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	sum, err := os.ReadFile(filepath.Join(o.root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(mod), "module "+module+"\n", "module "+name+"\n", 1) +
		"\nrequire " + module + " v0.0.0\n\nreplace " + module + " => " + o.root + "\n"
	put(t, filepath.Join(dir, "go.mod"), []byte(text))
	put(t, filepath.Join(dir, "go.sum"), sum)
}

// hook has the tests of a package served by web.
func (o *overlay) hook(t *testing.T, dir, name string) {
	t.Helper()
	put(t, filepath.Join(dir, "webhook_test.go"), []byte("package "+name+"\n\nimport _ \""+module+"/webhook\"\n"))
}

// event is one of test2json's.
type event struct{ Action, Package, Test, Output string }

// served is what package web was given by a test.
type served struct{ requests, connections int }

// outcome is what became of the tests of some packages.
type outcome struct {
	results map[string]string // by "package Test": pass, fail, skip
	served  map[string]served
	output  map[string]string
}

// run runs tests of a module, built with the overlay.
func (o *overlay) run(t *testing.T, dir string, args ...string) *outcome {
	t.Helper()
	args = append([]string{"test", "-json", "-vet=off", "-count=1", "-timeout=3m", "-mod=mod", "-overlay", filepath.Join(o.dir, "overlay.json")}, args...)
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output() // a test that fails is an error, too
	got := &outcome{make(map[string]string), make(map[string]served), make(map[string]string)}
	for line := range bytes.Lines(out) {
		var e event
		if json.Unmarshal(line, &e) != nil {
			continue // of the build
		}
		got.add(e)
	}
	if len(got.results) < 2 {
		t.Fatalf("go %s: %v\n%s%s", strings.Join(args, " "), err, &stderr, out)
	}
	return got
}

func (o *outcome) add(e event) {
	name, _, _ := strings.Cut(e.Test, "/")
	name = e.Package + " " + name
	switch e.Action {
	case "output":
		o.output[name] += e.Output
		var more served
		if n, _ := fmt.Sscanf(e.Output, "served: %d requests on %d connections", &more.requests, &more.connections); n == 2 {
			o.served[name] = served{o.served[name].requests + more.requests, o.served[name].connections + more.connections}
		}
	case "run":
		o.results[name] = "unfinished"
	case "pass", "fail", "skip":
		if e.Test == "" || !strings.Contains(e.Test, "/") {
			o.results[name] = e.Action
		}
	}
}
