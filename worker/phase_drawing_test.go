package worker

import (
	"flag"
	"testing"

	"github.com/usher-go/usher/internal/pagetest"
)

var update = flag.Bool("update", false, "write the drawing in docs/architecture.md")

// docs/architecture.md shows the table of a connection's phases.
func TestPhaseDrawn(t *testing.T) {
	names := [phaseEvents]string{
		eventReached: "reached", eventReady: "ready", eventClose: "close", eventFail: "fail", eventFlushed: "flushed",
		eventRelease: "release", eventReport: "report", eventLeave: "leave",
	}
	var steps []pagetest.Step
	for p := range phases {
		for e := range phaseEvents {
			if next := phaseRules[p].then[e]; next != impossible && next != p {
				steps = append(steps, pagetest.Step{From: p.String(), Event: names[e], To: next.String()})
			}
		}
	}
	pagetest.Part(t, "../docs/architecture.md", "phase", pagetest.States(steps), *update)
}
