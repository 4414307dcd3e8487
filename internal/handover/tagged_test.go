//go:build !testdoors

package handover

import (
	"os/exec"
	"runtime/debug"
	"slices"
	"testing"

	_ "github.com/usher-go/usher/master" // what is tested: a result of before is not used again
	_ "github.com/usher-go/usher/worker" // likewise
)

// TestHandOver runs the test of this name in a build with the tag testdoors, and
// with the race detector if this one has it.
func TestHandOver(t *testing.T) {
	args := []string{"test", "-tags=testdoors", "-count=1", "-v", "-run=^TestHandOver$"}
	if raceDetector() {
		args = append(args, "-race")
	}
	out, err := exec.CommandContext(t.Context(), "go", append(args, ".")...).CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
}

// raceDetector says whether this test was built with the race detector.
func raceDetector() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}
