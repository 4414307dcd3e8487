package ipc

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// describeInPython has the example worker's parser describe packets, one for
// each argument, as their golden files do.
const describeInPython = `
import json, sys
sys.path.insert(0, "../testdata/workers")
import lines
def text(address):
    if address is None:
        return ""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
for path in sys.argv[1:]:
    with open(path) as file:
        found = lines.envelopes(bytes.fromhex(file.read()))
    print(json.dumps({"descriptors": len(found), "envelopes": [{
        "id": str(e.id), "accepted_ns": e.accepted, "remote": text(e.remote), "local": text(e.local),
        "listener": e.listener, "state": e.state.hex(), "transport": e.transport} for e in found]}))
`

// The golden packets tell a worker in another language that it reads them right.
func TestGoldenPacketsInPython(t *testing.T) {
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("there is no python3 here")
	}
	if err := exec.Command("python3", "-c", "import asyncio, resource, socket; socket.recv_fds").Run(); err != nil {
		t.Skipf("python3 is too old, or broken: %v", err)
	}
	paths, err := filepath.Glob(filepath.Join(goldenFolder, "packet-*.hex"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("%d golden packets, %v", len(paths), err)
	}
	python := exec.Command("python3", append([]string{"-B", "-c", describeInPython}, paths...)...)
	python.Stderr = os.Stderr
	output, err := python.Output()
	if err != nil {
		t.Fatal(err)
	}
	found := json.NewDecoder(strings.NewReader(string(output)))
	for _, path := range paths {
		text, err := os.ReadFile(strings.TrimSuffix(path, "hex") + "json")
		if err != nil {
			t.Fatal(err)
		}
		var got, want described
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatal(err)
		}
		if err := found.Decode(&got); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-described +read in Python):\n%s", path, diff)
		}
	}
}
