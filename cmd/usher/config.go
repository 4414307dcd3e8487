package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/usher-go/usher/master"
)

type configCommand struct {
	controlFlag `embed:""`
	resultFlag  `embed:""`
}

func (*configCommand) Help() string {
	return `Examples:

  usher config
  usher config --json | jq -r '.settings[] | select(.source != "default") | .key'`
}

func (c *configCommand) Run() error {
	var inForce master.InForce
	if err := getInto(c.Control, "/v1/config", &inForce); err != nil {
		return c.failed(err)
	}
	return c.printBy(inForce, func(w io.Writer) error { return printInForce(w, inForce) })
}

// printInForce prints the settings as a configuration file has them, nearly.
func printInForce(w io.Writer, inForce master.InForce) error {
	fmt.Fprintf(w, "generation %d\n\n", inForce.Generation)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "setting\tvalue\tfrom")
	for _, set := range inForce.Settings {
		from := set.Source
		switch {
		case set.Where != "":
			from += " " + set.Where
		case set.Configured != nil:
			from += ", configured: " + literal(set.Configured)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", set.Key, literal(set.Value), from)
	}
	return table.Flush()
}

// literal returns a value as a configuration file has it.
func literal(value any) string {
	b, err := json.Marshal(value) // which TOML reads as well
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(b)
}
