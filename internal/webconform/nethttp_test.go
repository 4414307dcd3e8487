package webconform

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// copyPath is the package that a copy of net/http's tests is in.
const copyPath = "example.com/nethttp"

// Packages of the standard library that only it can import.
var unusable = map[string]bool{
	"internal/synctest": true, "internal/testenv": true, "net/http/internal": true, "net/http/internal/testcert": true,
	"testing/synctest": true, // its clock is not the kernel's
}

// Reasons why a test of net/http's is left out though it compiles.
const (
	connContext = "it gives connections contexts by ConnContext"
	connState   = "it looks at connections by ConnState"
	keepAlives  = "it turns keep-alives off by SetKeepAlivesEnabled"
)

// leftOut are those, with the reason.
var leftOut = map[string]string{
	"TestConnContextNotModifyingAllContexts": connContext,
	"TestServerConnState":                    connState,
	"TestHijackAfterCloseNotifier":           "it wants Hijack to return a *net.TCPConn",
	"TestNewClientServerTest":                "it tests what is given here",
	"TestServerAllowsBlockingRemoteAddr":     "its connections are no sockets, and block when they are asked for their address",
	"TestTLSHandshakeTimeout":                "handshakes are the worker's, before web: --tls-handshake-timeout",
	"TestTLSServerRejectHTTPRequests":        "handshakes are the worker's, before web",
	"TestServerContexts":                     connContext,
	"TestServerKeepAlivesEnabledResultClose": keepAlives,
}

// Tests of net/http's own, as they are in GOROOT, judge package web: all that compile
// without what is net/http's alone, but those of leftOut. They are copied into a module
// for as long as this takes.
func TestNetHTTP(t *testing.T) {
	given, err := os.ReadFile("testdata/nethttp/given_test.go")
	if err != nil {
		t.Fatal(err)
	}
	source := filepath.Join(goroot(t), "src/net/http")
	s, err := check(source, given, unusable)
	if err != nil {
		t.Fatal(err)
	}
	good, bad := s.tests("serve_test.go", "clientserver_test.go", "responsecontroller_test.go", "fs_test.go")
	chosen := slices.DeleteFunc(slices.Clone(good), func(d *declaration) bool { return leftOut[d.name] != "" })
	texts, err := s.source(chosen)
	if err != nil {
		t.Fatal(err)
	}
	o := newOverlay(t)
	dir := t.TempDir()
	for name, text := range texts {
		put(t, filepath.Join(dir, name), text)
	}
	put(t, filepath.Join(dir, "given_test.go"), given)
	put(t, filepath.Join(dir, "package.go"), []byte("package http\n"))
	o.module(t, dir, copyPath)
	o.hook(t, dir, "http_test")
	if err := os.CopyFS(filepath.Join(dir, "testdata"), os.DirFS(filepath.Join(source, "testdata"))); err != nil {
		t.Fatal(err)
	}
	got := o.run(t, dir, ".")

	var requests, judges int
	var silent []string
	for _, d := range chosen {
		name := copyPath + " " + d.name
		switch result := got.results[name]; {
		case result == "skip":
			t.Logf("%s skips: %s", d.name, got.output[name])
		case result != "pass":
			t.Errorf("%s: %s\n%s", d.name, result, got.output[name])
		case got.served[name].connections == 0:
			silent = append(silent, d.name)
		default:
			judges++
			requests += got.served[name].requests
		}
	}
	t.Logf("%d tests of net/http's pass, with %d requests that were served by web", judges, requests)
	if requests == 0 {
		t.Error("no request was served")
	}
	t.Logf("pass, but connect to no httptest.Server: %s", strings.Join(silent, ", "))
	for _, name := range slices.Sorted(maps.Keys(leftOut)) {
		if !slices.ContainsFunc(good, func(d *declaration) bool { return d.name == name }) {
			t.Errorf("%s is left out, but there is no such test", name)
		}
	}
	maps.Copy(bad, leftOut)
	var lines strings.Builder
	for _, name := range slices.Sorted(maps.Keys(bad)) {
		fmt.Fprintf(&lines, "\n%s: %s", name, bad[name])
	}
	t.Logf("left out:%s", &lines)
}
