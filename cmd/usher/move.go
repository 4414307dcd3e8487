package main

import "errors"

type moveCommand struct {
	controlFlag `embed:""`
	resultFlag  `embed:""`

	From  int  `required:"" placeholder:"SLOT" env:"" help:"Slot of the worker that gives connections up; see usher status."`
	To    *int `placeholder:"SLOT" env:"" help:"Slot of the worker that gets them; whoever has fewest without."`
	Count *int `placeholder:"N" env:"" help:"How many; all that can move without."`
}

func (c *moveCommand) Run() error {
	request := struct {
		From  int  `json:"from"`
		To    *int `json:"to,omitempty"`
		Count *int `json:"count,omitempty"`
	}{c.From, c.To, c.Count}
	var answer drainReport
	if err := postShowing(c.Control, "move", "/v1/move", request, &answer); err != nil {
		return c.failed(err)
	}
	return errors.Join(c.print(answer, answer.lines()), answer.failure())
}
