package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/usher-go/usher/master"
)

type statusCommand struct {
	controlFlag `embed:""`

	JSON     bool          `env:"" help:"Print one JSON object; with --watch one a line."`
	Watch    bool          `short:"w" env:"-" help:"Show it again and again, with what happens in a second, until Ctrl-C or the end of the server."`
	Interval time.Duration `env:"-" default:"1s" help:"How often, with --watch: 100ms or more."`
}

// Help is what usher status --help adds.
func (statusCommand) Help() string {
	return `On a terminal --watch draws it in place, and cuts what there is no room for; elsewhere each time is one line. It goes on through reloads and upgrades. A rate is - where it is not known: at first, of a process that has just started, or of a worker that does not count.

Examples:

  usher status
  usher status --watch --interval 5s
  usher status --json | jq '.workers[] | select(.state != "ready")'
  usher status --watch --json | jq --unbuffered .connections.active`
}

func (c *statusCommand) Run() error {
	if c.Watch {
		return c.watch()
	}
	body, err := get(c.Control, "/v1/status")
	if err != nil {
		return resultFlag{c.JSON}.failed(err)
	}
	if c.JSON {
		_, err := os.Stdout.Write(body)
		return err
	}
	var status master.Status
	if err := json.Unmarshal(body, &status); err != nil {
		return fmt.Errorf("the master's answer: %w", err)
	}
	return printStatus(printableWriter{os.Stdout}, status)
}

func printStatus(w io.Writer, s master.Status) error {
	fmt.Fprintf(w, "usher %s, master pid %d, generation %d\n", s.Version, s.PID, s.Generation)
	printListeners(w, s.Listeners)
	printCertificates(w, s.Certificates)
	c := s.Connections
	fmt.Fprintf(w, "connections: %d active, %d queued, %d accepted, %d closed, %d refused, %d moved, %d lost, %d cut\n",
		c.Active, c.Queued, c.Accepted, c.Closed, c.Refused, c.Moved, c.Lost, c.Cut)
	printPassages(w, s)
	printReload(w, s.Reload)
	fmt.Fprintln(w)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "slot\tpid\tgeneration\tstate\tconnections\tstaying\tqueued\treceived\trestarts\t")
	for _, worker := range s.Workers {
		fmt.Fprintf(table, "%d\t%d\t%d\t%s\t%d\t%d\t%d\t%d\t%d\t\n", worker.Slot, worker.PID, worker.Generation,
			worker.State, worker.Connections, worker.Staying, worker.Queued, worker.Received, worker.Restarts)
	}
	return table.Flush()
}

func printListeners(w io.Writer, listeners []master.ListenerStatus) {
	for _, l := range listeners {
		fmt.Fprintf(w, "listening on %s", l.URL())
		if l.Name != "" {
			fmt.Fprintf(w, " (%s)", l.Name)
		}
		fmt.Fprintln(w, transportOf(l))
	}
}

// printReload tells what came of the last reload; nil: there was none.
func printReload(w io.Writer, r *master.ReloadStatus) {
	if r == nil {
		return
	}
	fmt.Fprintf(w, "last reload: %s at %s, ", r.Result, r.At.Format(time.RFC3339))
	switch r.Result {
	case "refused":
		fmt.Fprintln(w, "all stays as it is:")
	case "failed":
		fmt.Fprintln(w, "the old workers keep serving:")
	default:
		fmt.Fprintf(w, "generation %d, %d moved, %d drained, %d lost, longest pause %v\n",
			r.Generation, r.Moved, r.Drained, r.Lost, time.Duration(r.LongestPauseMS*float64(time.Millisecond)))
	}
	if r.Error != "" {
		fmt.Fprintf(w, "  %s\n", strings.ReplaceAll(r.Error, "\n", "\n  "))
	}
}
