package main

import "fmt"

type upgradeCommand struct {
	controlFlag `embed:""`
}

func (c *upgradeCommand) Run() error {
	var answer struct{ Version string }
	if err := post(c.Control, "/v1/upgrade", nil, &answer); err != nil {
		return err
	}
	_, err := fmt.Printf("version: %s\n", answer.Version)
	return err
}
