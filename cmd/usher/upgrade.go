package main

import "fmt"

type upgradeCommand struct {
	controlFlag `embed:""`
}

func (c *upgradeCommand) Run() error {
	var answer struct{ Version string }
	if err := postShowing(c.Control, "upgrade", "/v1/upgrade", nil, &answer); err != nil {
		return err
	}
	_, err := fmt.Printf("version: %s\n", printable(answer.Version))
	return err
}
