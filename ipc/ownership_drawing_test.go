package ipc

import (
	"fmt"
	"strings"
	"testing"

	"github.com/usher-go/usher/internal/pagetest"
)

// docs/architecture.md shows the table of a connection's stages, and who owns it.
func TestJourneyDrawn(t *testing.T) {
	var steps []pagetest.Step
	var table strings.Builder
	table.WriteString("\n| stage | owner |\n|---|---|\n")
	owners := map[Owner]string{OwnerNone: "nobody", OwnerMaster: "the master", OwnerKernel: "the kernel", OwnerWorker: "the worker"}
	for s := range stages {
		fmt.Fprintf(&table, "| %v | %s |\n", s, owners[s.Owner()])
		for e := range events {
			if next, ok := s.Next(e); ok && next != s {
				steps = append(steps, pagetest.Step{From: s.String(), Event: e.String(), To: next.String()})
			}
		}
	}
	pagetest.Part(t, "../docs/architecture.md", "journey", pagetest.States(steps)+table.String(), *update)
}
