package master

import "testing"

// The end of a worker is said in one sentence: how it ended, or why the master killed it,
// and what it said last.
func TestDeathSays(t *testing.T) {
	for name, test := range map[string]struct {
		d    death
		want string
	}{
		"it exited": {death{1, 4711, "exit status 1", "", "no database"},
			"worker 1 (pid 4711) ended with exit status 1; its last words:\nno database"},
		"in silence": {death{1, 4711, "exit status 1", "", ""},
			"worker 1 (pid 4711) ended with exit status 1; it wrote nothing to standard error"},
		"it was killed": {death{1, 4711, "signal SIGKILL", "not ready within 1s (boot-timeout)", ""},
			"worker 1 (pid 4711) was killed: not ready within 1s (boot-timeout); it wrote nothing to standard error"},
	} {
		if got := test.d.Error(); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}
