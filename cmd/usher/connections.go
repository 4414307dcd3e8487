package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/master"
)

type connectionsCommand struct {
	controlFlag `embed:""`
	resultFlag  `embed:""`

	Worker   *int   `placeholder:"SLOT" env:"" help:"Those of the worker in this slot alone."`
	Listener string `placeholder:"NAME" env:"" help:"Those of the listener with this name alone."`
	Limit    int    `default:"100" env:"" help:"The most to list; 0: all."`
	Cursor   string `placeholder:"CURSOR" env:"" help:"Where to go on: what an earlier list says at its end."`
}

func (*connectionsCommand) Help() string {
	return `The workers are asked: those that do not answer within 50 ms, or whose program cannot say, are named at the end. A connection that moves meanwhile may be missing, or there twice.

Examples:

  usher connections --limit 10
  usher connections --worker 2 --listener web
  usher connections --limit 0 --json | jq '.connections[] | select(.idle_ms > 60000) | .remote'`
}

func (c *connectionsCommand) Run() error {
	if c.Limit < 0 {
		return usageError{fmt.Errorf("--limit=%d: want 0 or more", c.Limit)}
	}
	all, err := c.list()
	if err != nil && len(all.Connections) == 0 {
		return c.failed(err)
	}
	answer := struct {
		master.Connections
		Error string `json:"error,omitempty"` // why the list broke off at its cursor
	}{Connections: all}
	if err != nil {
		answer.Error = err.Error()
	}
	return errors.Join(c.printBy(answer, func(w io.Writer) error { return printConnections(w, all) }), err)
}

// list asks for one page after another. With an error it returns those before, and where to
// go on.
func (c *connectionsCommand) list() (all master.Connections, err error) {
	all = master.Connections{Connections: []master.Connection{}, Cursor: c.Cursor}
	for {
		limit := ipc.MaxListed
		if c.Limit > 0 {
			limit = min(limit, c.Limit-len(all.Connections))
		}
		parameters := url.Values{"limit": {strconv.Itoa(limit)}}
		if c.Worker != nil {
			parameters.Set("worker", strconv.Itoa(*c.Worker))
		}
		if c.Listener != "" {
			parameters.Set("listener", c.Listener)
		}
		if all.Cursor != "" {
			parameters.Set("cursor", all.Cursor)
		}
		var page master.Connections
		if err := getInto(c.Control, "/v1/connections?"+parameters.Encode(), &page); err != nil {
			return all, err
		}
		all.Connections = append(all.Connections, page.Connections...)
		all.Unlisted += page.Unlisted
		all.Unanswered = append(all.Unanswered, page.Unanswered...)
		all.Cursor = page.Cursor
		if all.Cursor == "" || c.Limit > 0 && len(all.Connections) >= c.Limit {
			return all, nil
		}
	}
}

func printConnections(w io.Writer, all master.Connections) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "id\tworker\tlistener\tremote\tlocal\tage\tidle\theld\tphase\ttls\tmoves\tabout")
	for _, c := range all.Connections {
		fmt.Fprintf(table, "%d\t%d\t%s\t%s\t%s\t%s\t%s\t%v\t%s\t%s\t%s\t%s\n", c.ID, c.Worker, orDash(c.Listener), address(c.Remote), address(c.Local),
			ago(c.AgeMS), ago(c.IdleMS), byteSize(c.Held), orDash(c.Phase), yes(c.TLS), yes(c.Movable), printable(c.About))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if all.Unlisted > 0 {
		fmt.Fprintf(w, "not listed: %d connections of which their workers say nothing\n", all.Unlisted)
	}
	for _, worker := range all.Unanswered {
		fmt.Fprintf(w, "not listed: worker %d (pid %d, %d connections): %s\n", worker.Worker, worker.PID, worker.Connections, printable(worker.Error))
		if worker.Cursor != "" {
			fmt.Fprintf(w, "a part of them is listed; the rest: --worker %d --cursor %s\n", worker.Worker, printable(worker.Cursor))
		}
	}
	if all.Cursor != "" {
		fmt.Fprintf(w, "there are more: --cursor %s\n", all.Cursor)
	}
	return nil
}

func yes(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return printable(text)
}

func address(a netip.AddrPort) string {
	if !a.IsValid() {
		return "-"
	}
	return a.String()
}

// ago prints milliseconds; nil: nobody knows.
func ago(millis *int64) string {
	if millis == nil {
		return "-"
	}
	d := time.Duration(*millis) * time.Millisecond
	if d > time.Minute {
		return d.Round(time.Second).String()
	}
	return d.Round(100 * time.Millisecond).String()
}
