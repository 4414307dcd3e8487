package leaktest

import (
	"os"
	"testing"
)

// recorder is a test that is told to fail and does not.
type recorder struct {
	testing.TB
	cleanups []func()
	failed   bool
}

func (r *recorder) Helper()               {}
func (r *recorder) Cleanup(f func())      { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Errorf(string, ...any) { r.failed = true }

func TestDescriptors(t *testing.T) {
	tests := []struct {
		name string
		run  func(t *testing.T) // between start and end
		want bool
	}{
		{"nothing opened", func(*testing.T) {}, false},
		{"opened and closed", func(t *testing.T) { openNull(t).Close() }, false},
		{"left open", func(t *testing.T) { f := openNull(t); t.Cleanup(func() { f.Close() }) }, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := &recorder{TB: t}
			Descriptors(r)
			test.run(t)
			for _, f := range r.cleanups {
				f()
			}
			if r.failed != test.want {
				t.Errorf("failed: %v, want %v", r.failed, test.want)
			}
		})
	}
}

func openNull(t *testing.T) *os.File {
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	return f
}
