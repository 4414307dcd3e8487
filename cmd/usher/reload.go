package main

import "fmt"

type reloadCommand struct {
	controlFlag `embed:""`
}

func (c *reloadCommand) Run() error {
	var answer struct{ Generation int }
	if err := post(c.Control, "/v1/reload", nil, &answer); err != nil {
		return err
	}
	_, err := fmt.Printf("generation: %d\n", answer.Generation)
	return err
}
