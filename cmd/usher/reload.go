package main

import (
	"errors"
	"fmt"
)

type reloadCommand struct {
	controlFlag `embed:""`
	resultFlag  `embed:""`
}

func (c *reloadCommand) Run() error {
	var answer struct {
		Generation int `json:"generation"`
		drainReport
	}
	if err := postShowing(c.Control, "reload", "/v1/reload", nil, &answer); err != nil {
		return c.failed(err)
	}
	err := c.print(answer, fmt.Sprintf("generation: %d\n", answer.Generation)+answer.lines())
	return errors.Join(err, answer.failure())
}
