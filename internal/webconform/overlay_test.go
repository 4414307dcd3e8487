package webconform

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// patches turn files of net/http into some that have something else serve. Each place is
// there once.
var patches = map[string][][2]string{
	"net/http/server.go": {
		{"// A Server defines parameters", `// ServeInstead, if it is not nil, serves in the place of a Server; if it returns nil, the
// Server serves.
var ServeInstead func(s *Server, original, l net.Listener, base context.Context) Serving

// Serving is what serves on one listener.
type Serving interface {
	Accept() error // waits until nothing is accepted any more
	Shutdown(ctx context.Context) error
	Close()
}

// A Server defines parameters`},
		{"	onShutdown []func()\n", "	onShutdown []func()\n	serving    []Serving\n"},
		{"	var tempDelay time.Duration // how long to sleep", `	if ServeInstead != nil {
		if i := ServeInstead(s, origListener, l, baseCtx); i != nil {
			s.mu.Lock()
			s.serving = append(s.serving, i)
			s.mu.Unlock()
			err := i.Accept()
			if s.shuttingDown() {
				return ErrServerClosed
			}
			return err
		}
	}
	var tempDelay time.Duration // how long to sleep`},
		{"	for c := range s.activeConn {\n		c.rwc.Close()", `	for _, i := range s.serving {
		i.Close()
	}
	for c := range s.activeConn {
		c.rwc.Close()`},
		{"	s.listenerGroup.Wait()\n\n	pollIntervalBase", `	s.listenerGroup.Wait()
	for _, i := range s.serving {
		if err := i.Shutdown(ctx); err != nil {
			return err
		}
	}

	pollIntervalBase`},
	},
	// Where ConnState tells this one which connections there are, it need not know.
	"net/http/httptest/server.go": {
		{"func (s *Server) wrap() {\n", `func (s *Server) wrap() {
	if http.ServeInstead != nil && !s.EnableHTTP2 {
		return
	}
`},
		{"	s.wg.Wait()\n", `	if http.ServeInstead != nil && !s.EnableHTTP2 {
		s.Config.Shutdown(context.Background())
	}
	s.wg.Wait()
`},
	},
}

// hook is a package that is added to this module: it can import what is internal, and
// whatever is tested can import it.
const hook = `package webhook

import (
	"context"
	"net"
	"net/http"

	"` + module + `/internal/webconform"
)

func init() {
	http.ServeInstead = func(s *http.Server, original, l net.Listener, base context.Context) http.Serving {
		if serving := webconform.Serve(s, original, l, base); serving != nil {
			return serving
		}
		return nil
	}
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
	put(t, filepath.Join(o.dir, "hook.go"), []byte(hook))
	replace := map[string]string{filepath.Join(root, "webhook/hook.go"): filepath.Join(o.dir, "hook.go")}
	for name, patches := range patches {
		path := filepath.Join(goroot(t), "src", name)
		replace[path] = filepath.Join(o.dir, name)
		put(t, replace[path], patched(t, path, patches))
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(o.dir, "overlay.json"), text)
	return o
}

// patched returns a file with patches.
func patched(t *testing.T, path string, patches [][2]string) []byte {
	t.Helper()
	source, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, patch := range patches {
		if n := bytes.Count(source, []byte(patch[0])); n != 1 {
			t.Fatalf("%q is %d times in %s, want once: it has changed, and so must the patches", patch[0], n, path)
		}
		source = bytes.Replace(source, []byte(patch[0]), []byte(patch[1]), 1)
	}
	return source
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
type served struct{ requests, connections, byTLS int }

func (s *served) add(more served) {
	s.requests += more.requests
	s.connections += more.connections
	s.byTLS += more.byTLS
}

// outcome is what became of the tests of some packages.
type outcome struct {
	results map[string]string // by "package Test": pass, fail, skip
	served  map[string]served
	output  map[string]string
}

// run runs tests of a module, built with the overlay.
func (o *overlay) run(t *testing.T, dir string, args ...string) *outcome {
	t.Helper()
	args = append([]string{"test", "-json", "-vet=off", "-count=1", "-timeout=3m", "-parallel=1", "-mod=mod", "-overlay", filepath.Join(o.dir, "overlay.json")}, args...)
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
		served := o.served[name]
		switch strings.TrimSpace(e.Output) {
		case requestServed:
			served.requests++
		case connectionOpened:
			served.connections++
		case connectionByTLS:
			served.connections++
			served.byTLS++
		}
		o.served[name] = served
	case "run":
		o.results[name] = "unfinished"
	case "pass", "fail", "skip":
		if e.Test == "" || !strings.Contains(e.Test, "/") {
			o.results[name] = e.Action
		}
	}
}
