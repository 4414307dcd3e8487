package main

import (
	"errors"
	"fmt"
	"strconv"
)

// slotNumber is a worker's slot, as it is typed.
type slotNumber uint32

// UnmarshalText reads a slot.
func (s *slotNumber) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 10, 32)
	if err != nil {
		return fmt.Errorf("expected a worker's slot, a number that usher status lists, but got %q", text)
	}
	*s = slotNumber(n)
	return nil
}

type restartCommand struct {
	controlFlag `embed:""`
	resultFlag  `embed:""`

	Slot slotNumber `arg:"" env:"" placeholder:"SLOT" help:"Slot of the worker; see usher status."`
}

// Help is what usher restart --help adds.
func (restartCommand) Help() string {
	return `A successor starts, in another slot, and serves; then the worker's connections move to the others, and it ends. If the successor does not start, the worker stays.

  usher restart 0`
}

func (c *restartCommand) Run() error {
	var answer struct {
		Slot int `json:"slot"`
		PID  int `json:"pid"`
		drainReport
	}
	if err := postShowing(c.Control, "restart", fmt.Sprintf("/v1/workers/%d/restart", c.Slot), nil, &answer); err != nil {
		return c.failed(err)
	}
	return errors.Join(c.print(answer, answer.lines()), answer.failure())
}

type drainCommand struct {
	controlFlag `embed:""`
	resultFlag  `embed:""`

	Slot slotNumber `arg:"" env:"" placeholder:"SLOT" help:"Slot of the worker; see usher status."`
}

// Help is what usher drain --help adds.
func (drainCommand) Help() string {
	return `As usher scale -1, but of that slot: its worker's connections move to the others, or finish, and it ends.

  usher drain 2`
}

func (c *drainCommand) Run() error {
	var answer struct {
		Slot    int `json:"slot"`
		Workers int `json:"workers"`
		drainReport
	}
	if err := postShowing(c.Control, "drain", fmt.Sprintf("/v1/workers/%d/drain", c.Slot), nil, &answer); err != nil {
		return c.failed(err)
	}
	err := c.print(answer, fmt.Sprintf("workers: %d\n", answer.Workers)+answer.lines())
	return errors.Join(err, answer.failure())
}
