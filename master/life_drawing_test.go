package master

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/usher-go/usher/internal/pagetest"
)

// anywhere are the turns that can come at any time: a table has them, and not the
// drawing, which they would cover.
var anywhere = []turn{turnEnd, turnFailed, turnExited}

// docs/architecture.md shows the table of a slot's life.
func TestLifeDrawn(t *testing.T) {
	var steps []pagetest.Step
	var table strings.Builder
	fmt.Fprintf(&table, "\n| life | as status shows it | %v | %v | %v |\n|---|---|---|---|---|\n", anywhere[0], anywhere[1], anywhere[2])
	for l := lifeGone; l <= lifeRemoved; l++ {
		fmt.Fprintf(&table, "| %v | %v |", l, l.state())
		for turn := turnStarted; turn <= turnExited; turn++ {
			next, ok := l.next(turn)
			if slices.Contains(anywhere, turn) {
				if ok {
					fmt.Fprintf(&table, " %v", next)
				}
				table.WriteString(" |")
			} else if ok {
				steps = append(steps, pagetest.Step{From: l.String(), Event: turn.String(), To: next.String()})
			}
		}
		table.WriteByte('\n')
	}
	pagetest.Part(t, "../docs/architecture.md", "life", pagetest.States(steps)+table.String(), *update)
}
