package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
)

// departures are what became of the connections of workers that left, as the
// master answers.
type departures struct {
	Moved   uint64 `json:"moved"`
	Drained uint64 `json:"drained"` // finished by themselves
	Staying uint64 `json:"staying"` // finish where they are
	Lost    uint64 `json:"lost"`

	Incomplete string `json:"incomplete,omitempty"` // what the figures leave out, and why
}

// lines are how a command prints them.
func (d departures) lines() string {
	return fmt.Sprintf("moved: %d\ndrained: %d\nstaying: %d\nlost: %d\n", d.Moved, d.Drained, d.Staying, d.Lost)
}

// failure returns what makes a command fail that was carried out.
func (d departures) failure() error {
	var wrong []string
	if d.Lost > 0 {
		wrong = append(wrong, fmt.Sprintf("%d connections were lost meanwhile; the log says how", d.Lost))
	}
	if d.Incomplete != "" {
		wrong = append(wrong, d.Incomplete)
	}
	if wrong == nil {
		return nil
	}
	return errors.New(strings.Join(wrong, "; "))
}

// resultFlag is what every command has that prints what it did.
type resultFlag struct {
	JSON bool `name:"json" env:"" help:"Print one JSON object instead of lines."`
}

// print prints an answer, as text or as JSON.
func (f resultFlag) print(answer any, text string) error {
	if !f.JSON {
		_, err := fmt.Print(text)
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(answer)
}
