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

// Packages that only the standard library can import: those that a copy has instead, in
// folders of these names, and those whose use makes a test unusable.
var (
	copied   = map[string]string{"internal/testenv": "testenv", "net/http/internal/testcert": "testcert"}
	unusable = map[string]bool{
		"internal/synctest": true, "net/http/internal": true,
		"testing/synctest": true, // its clock is not the kernel's
	}
)

// Reasons why a test of net/http's is left out though it compiles.
const (
	connContext = "it gives connections contexts by ConnContext"
	connState   = "it looks at connections by ConnState"
	keepAlives  = "it turns keep-alives off by SetKeepAlivesEnabled"
	readAhead   = "it looks at how much was read of its connection, which is no socket"
)

// leftOut are those, with the reason.
var leftOut = map[string]string{
	"TestConnContextNotModifyingAllContexts":    connContext,
	"TestServerUnreadRequestBodyLittle":         readAhead,
	"TestServerUnreadRequestBodyLarge":          readAhead,
	"TestHandlerFinishSkipBigContentLengthRead": readAhead,
	"TestAcceptMaxFds":                          "what Accept returns is the listener's own affair: usher's master accepts",
	"TestServerConnStateNew":                    connState,
	"TestServerConnState":                       connState,
	"TestHijackAfterCloseNotifier":              "it wants Hijack to return a *net.TCPConn",
	"TestLinuxSendfile":                         "it wants sendfile(2) for 1 KiB, which is sooner copied",
	"TestNewClientServerTest":                   "it tests what is given here",
	"TestServerAllowsBlockingRemoteAddr":        "its connections are no sockets, and block when they are asked for their address",
	"TestTLSServerWithoutTLSConn":               "its connection says that it has TLS, and has none",
	"TestTLSHandshakeTimeout":                   "handshakes are the worker's, before web: --tls-handshake-timeout",
	"TestTLSServerRejectHTTPRequests":           "handshakes are the worker's, before web",
	"TestServerContexts":                        connContext,
	"TestServerKeepAlivesEnabledResultClose":    keepAlives,
}

// Tests of net/http's own, as they are in GOROOT, judge package web: all that compile
// without what is net/http's alone, but those of leftOut. They are copied into a module
// for as long as this takes.
func TestNetHTTP(t *testing.T) {
	t.Parallel() // it waits, as a rule
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
	for to, from := range map[string]string{
		"testdata": filepath.Join(source, "testdata"), "testcert": filepath.Join(source, "internal/testcert"), "testenv": "testdata/nethttp/testenv",
	} {
		if err := os.CopyFS(filepath.Join(dir, to), os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
	}
	got := o.run(t, dir, ".")

	var all served
	judges := 0
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
			all.add(got.served[name])
		}
	}
	t.Logf("%d tests of net/http's pass, with %d requests that were served by web, on %d connections, %d of them by TLS",
		judges, all.requests, all.connections, all.byTLS)
	if all.requests == 0 || all.byTLS == 0 {
		t.Error("no request was served, or none by TLS")
	}
	t.Logf("pass, but have nothing served: %s", strings.Join(silent, ", "))
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
