// The shape of the repository is tested: which package may import which. Master
// and worker meet in ipc, and nowhere else.
package main

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/usher-go/usher"

// rule says what a package may reach, by any number of imports, beside the
// standard library. A pattern that ends in ... stands for all that begins so.
type rule struct {
	from    string
	within  []string // packages of this module
	without []string // packages of other modules
}

var (
	sys      = []string{"golang.org/x/sys/unix"}
	chacha   = []string{"golang.org/x/crypto/...", "golang.org/x/sys/cpu"} // and what it is made of
	anything = []string{"..."}
)

// rules: the first that fits a package counts.
var rules = []rule{
	{"fdpass", nil, sys},
	{"ipc", []string{"fdpass"}, sys},
	{"internal/load", []string{"worker", "ipc", "fdpass", "internal/..."}, anything}, // a part of the command
	{"internal/tlsrecord", nil, chacha},
	{"internal/tlshandshake", []string{"internal/tlsrecord"}, chacha},
	{"internal/poller/pollertest", []string{"internal/poller", "internal/leaktest"}, sys},
	{"internal/timerwheel", nil, nil},
	{"internal/buffers", nil, nil},
	{"internal/mailbox", nil, nil},
	{"internal/proxyheader", nil, []string{"github.com/pires/go-proxyproto"}},
	{"internal/credentials", nil, append(slices.Clone(sys), "golang.org/x/crypto/ocsp")},
	{"internal/webconform", []string{"worker...", "ipc", "fdpass", "internal/..."}, anything}, // of tests alone
	{"internal/...", nil, sys},
	{"master/internal/fileid", nil, sys},
	{"master/internal/descriptor", nil, sys},
	{"master/internal/sigmask", nil, sys},
	{"master/internal/backoff", nil, nil},
	// A room of the master knows the floor below, and neither another one nor the house.
	{"master/internal/...", []string{"ipc", "fdpass", "internal/...", "master/internal/fileid", "master/internal/descriptor", "master/internal/sigmask", "master/internal/backoff"}, anything},
	{"master...", []string{"master...", "ipc", "fdpass", "internal/..."}, anything},
	{"worker...", []string{"worker...", "ipc", "fdpass", "internal/..."}, anything},
	{"...", anything, anything}, // programs
}

// node is one package, as go list prints it.
type node struct {
	ImportPath string
	Standard   bool
	Deps       []string // all that it reaches
}

// wrong returns every arrow that breaks a rule, as "from -> to".
func wrong(graph []node, rules []rule) []string {
	standard := make(map[string]bool)
	for _, n := range graph {
		standard[n.ImportPath] = n.Standard
	}
	var arrows []string
	for _, n := range graph {
		from, ours := strings.CutPrefix(n.ImportPath, module+"/")
		if !ours {
			continue
		}
		rule := rules[slices.IndexFunc(rules, func(r rule) bool { return matches(r.from, from) })]
		for _, dep := range n.Deps {
			if standard[dep] {
				continue
			}
			allowed := rule.without
			to, ours := strings.CutPrefix(dep, module+"/")
			if ours {
				allowed = rule.within
			}
			if !slices.ContainsFunc(allowed, func(pattern string) bool { return matches(pattern, to) }) {
				arrows = append(arrows, from+" -> "+to)
			}
		}
	}
	slices.Sort(arrows)
	return arrows
}

func matches(pattern, path string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "..."); ok {
		return strings.HasPrefix(path, prefix)
	}
	return pattern == path
}

func TestArrows(t *testing.T) {
	list := exec.Command("go", "list", "-deps", "-json=ImportPath,Standard,Deps", module+"/...")
	list.Stderr = os.Stderr
	output, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	var graph []node
	decoder := json.NewDecoder(strings.NewReader(string(output)))
	for {
		var n node
		if err := decoder.Decode(&n); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		graph = append(graph, n)
	}
	if !slices.ContainsFunc(graph, func(n node) bool { return n.ImportPath == module+"/ipc" }) {
		t.Fatalf("%d packages, but no ipc", len(graph))
	}
	for _, arrow := range wrong(graph, rules) {
		t.Errorf("wrong arrow: %s", arrow)
	}
}

func TestWrongArrowsAreFound(t *testing.T) {
	const hclog = "github.com/hashicorp/go-hclog"
	tests := []struct {
		from string
		to   []string
		want []string
	}{
		{"fdpass", []string{"errors", "golang.org/x/sys/unix"}, nil},
		{"fdpass", []string{hclog}, []string{"fdpass -> " + hclog}},
		{"fdpass", []string{module + "/ipc"}, []string{"fdpass -> ipc"}},
		{"ipc", []string{module + "/fdpass", "golang.org/x/sys/unix"}, nil},
		{"ipc", []string{module + "/internal/poller"}, []string{"ipc -> internal/poller"}},
		{"ipc", []string{hclog}, []string{"ipc -> " + hclog}},
		{"internal/poller", []string{module + "/fdpass"}, []string{"internal/poller -> fdpass"}},
		{"internal/poller", []string{module + "/internal/mailbox"}, []string{"internal/poller -> internal/mailbox"}},
		{"internal/mailbox", []string{"sync", "golang.org/x/sys/unix"}, []string{"internal/mailbox -> golang.org/x/sys/unix"}},
		{"master", []string{module + "/ipc", module + "/fdpass", module + "/internal/poller", hclog}, nil},
		{"master", []string{module + "/worker"}, []string{"master -> worker"}},
		{"master/internal/listen", []string{module + "/ipc", module + "/master/internal/fileid", hclog}, nil},
		{"master/internal/child", []string{module + "/master/internal/listen"}, []string{"master/internal/child -> master/internal/listen"}},
		{"master/internal/listen", []string{module + "/master"}, []string{"master/internal/listen -> master"}},
		{"master/api", []string{module + "/worker/stream"}, []string{"master/api -> worker/stream"}},
		{"master", []string{module + "/master/internal/dispatch", module + "/master/internal/child"}, nil},
		{"master/internal/dispatch", []string{module + "/ipc", module + "/fdpass", module + "/internal/poller", module + "/master/internal/fileid", hclog}, nil},
		{"master/internal/dispatch", []string{module + "/master/internal/child"}, []string{"master/internal/dispatch -> master/internal/child"}},
		{"master/internal/listen", []string{module + "/master"}, []string{"master/internal/listen -> master"}},
		{"master/internal/fileid", []string{module + "/ipc"}, []string{"master/internal/fileid -> ipc"}},
		{"worker", []string{module + "/ipc", module + "/internal/poller"}, nil},
		{"worker", []string{module + "/master", module + "/master/api"}, []string{"worker -> master", "worker -> master/api"}},
		{"worker", []string{module + "/cmd/usher"}, []string{"worker -> cmd/usher"}},
		{"worker/framing", []string{module + "/worker", module + "/ipc", hclog}, nil},
		{"worker/framing", []string{module + "/master"}, []string{"worker/framing -> master"}},
		{"cmd/usher", []string{module + "/master", module + "/worker", module + "/ipc", hclog}, nil},
	}
	for _, test := range tests {
		graph := []node{{ImportPath: "errors", Standard: true}, {ImportPath: "sync", Standard: true}, {ImportPath: module + "/" + test.from, Deps: test.to}}
		if got := wrong(graph, rules); !slices.Equal(got, test.want) {
			t.Errorf("%s -> %q: found %q, want %q", test.from, test.to, got, test.want)
		}
	}
}
