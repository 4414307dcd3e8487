package master

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/usher-go/usher/internal/pagetest"
)

// anywhere are the events that can come at any time: a table has them, and not the
// drawing, which they would cover.
var anywhere = []lifeEvent{eventEnd, eventFailed, eventExited}

// docs/architecture.md shows the table of a slot's life.
func TestLifeDrawn(t *testing.T) {
	var steps []pagetest.Step
	var table strings.Builder
	fmt.Fprintf(&table, "\n| life | as status shows it | %v | %v | %v |\n|---|---|---|---|---|\n", anywhere[0], anywhere[1], anywhere[2])
	for l := lifeGone; l <= lifeRemoved; l++ {
		fmt.Fprintf(&table, "| %v | %v |", l, l.state())
		for event := eventStarted; event <= eventExited; event++ {
			next, ok := l.next(event)
			if slices.Contains(anywhere, event) {
				if ok {
					fmt.Fprintf(&table, " %v", next)
				}
				table.WriteString(" |")
			} else if ok {
				steps = append(steps, pagetest.Step{From: l.String(), Event: event.String(), To: next.String()})
			}
		}
		table.WriteByte('\n')
	}
	pagetest.Part(t, "../docs/architecture.md", "life", pagetest.States(steps)+table.String(), *update)
}
