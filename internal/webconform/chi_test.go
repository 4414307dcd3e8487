package webconform

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// chi is the router whose tests judge package web too, and the version of it.
const chi, chiVersion = "github.com/go-chi/chi/v5", "v5.2.5"

// chiLeftOut are tests of chi's that are left out, with the reason.
var chiLeftOut = map[string]string{}

// The tests of a router that many use, as they are, with package web below their servers.
func TestChi(t *testing.T) {
	t.Parallel() // it waits, as a rule
	download := exec.Command("go", "mod", "download", "-json", chi+"@"+chiVersion)
	download.Env = append(os.Environ(), "GOFLAGS=-mod=mod")
	out, err := download.Output()
	var module struct{ Dir, Error string }
	if parseErr := json.Unmarshal(out, &module); err != nil || parseErr != nil {
		t.Skipf("%s %s cannot be had here: %v %s", chi, chiVersion, err, module.Error)
	}
	o := newOverlay(t)
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(module.Dir)); err != nil { // that of the cache is not to be added to
		t.Fatal(err)
	}
	o.module(t, dir, chi)
	o.hook(t, dir, "chi")
	o.hook(t, filepath.Join(dir, "middleware"), "middleware")
	got := o.run(t, dir, ".", "./middleware")
	var all served
	passed := 0
	for name, result := range got.results {
		_, test, _ := strings.Cut(name, " ")
		switch {
		case test == "" || chiLeftOut[test] != "":
		case result == "pass":
			passed++
			all.add(got.served[name])
		default:
			t.Errorf("%s: %s\n%s", name, result, got.output[name])
		}
	}
	t.Logf("%d tests of chi %s pass, with %d requests that were served by web, on %d connections", passed, chiVersion, all.requests, all.connections)
	if all.requests == 0 {
		t.Error("no request was served")
	}
}
