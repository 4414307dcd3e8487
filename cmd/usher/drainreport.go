package main

import (
	"errors"
	"fmt"
	"strings"
)

// drainReport is what became of the connections of workers that left, as the master
// answers.
type drainReport struct {
	Moved   uint64 `json:"moved"`
	Drained uint64 `json:"drained"` // finished by themselves
	Staying uint64 `json:"staying"` // finish where they are
	Lost    uint64 `json:"lost"`

	Incomplete string `json:"incomplete,omitempty"` // what the figures leave out, and why
}

// lines is how a command prints it.
func (d drainReport) lines() string {
	return fmt.Sprintf("moved: %d\ndrained: %d\nstaying: %d\nlost: %d\n", d.Moved, d.Drained, d.Staying, d.Lost)
}

// failure returns why a command fails although it was carried out: nil if it does not.
func (d drainReport) failure() error {
	var wrong []string
	if d.Lost > 0 {
		wrong = append(wrong, fmt.Sprintf("%d of the connections were lost meanwhile; the log says how", d.Lost))
	}
	if d.Incomplete != "" {
		wrong = append(wrong, d.Incomplete)
	}
	if wrong == nil {
		return nil
	}
	return errors.New(strings.Join(wrong, "; "))
}
