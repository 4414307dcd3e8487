package master

import (
	"strings"
	"testing"

	"github.com/usher-go/usher/master/internal/dispatch"
)

// A configuration has the needs and the limit of its policy's row, and no others.
func TestConfigFollowsThePolicy(t *testing.T) {
	for _, name := range Policies() {
		row, _ := dispatch.LookupPolicy(name)
		c := Config{Listen: []string{"127.0.0.1:0"}, Program: []string{"worker"}, Workers: 1, Dispatch: name}
		if _, err := c.check(); err != nil {
			t.Fatal(err)
		}
		flag := ""
		if row.NeedsCloses {
			flag = "dispatch " + name
		}
		if got := c.needsCloses(); got != flag || c.MaxConnsPerWorker != row.PerWorker {
			t.Errorf("%s: needed by %q, %d for each worker; want %q, %d", name, got, c.MaxConnsPerWorker, flag, row.PerWorker)
		}
		c = Config{Listen: c.Listen, Program: c.Program, Workers: 1, Dispatch: name, MaxConnsPerWorker: 7}
		if _, err := c.check(); err != nil || c.MaxConnsPerWorker != 7 {
			t.Errorf("%s: the operator's limit became %d, %v", name, c.MaxConnsPerWorker, err)
		}
	}
	c := Config{Listen: []string{"127.0.0.1:0"}, Program: []string{"worker"}, Workers: 1, Dispatch: "random"}
	if _, err := c.check(); err == nil || !strings.Contains(err.Error(), `dispatch is "random", want one of hash, least, queue, round-robin`) {
		t.Errorf("a policy that there is not: %v", err)
	}
}
