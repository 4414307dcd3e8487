package main

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

type scaleCommand struct {
	controlFlag `embed:""`
	resultFlag  `embed:""`

	Workers scaleTarget `arg:"" placeholder:"+N|-N|N" help:"+N: so many more workers, -N: so many fewer, N: so many."`
}

func (c *scaleCommand) Run() error {
	var answer struct {
		Workers int `json:"workers"`
		drainReport
	}
	if err := postShowing(c.Control, "scale", "/v1/scale", c.Workers, &answer); err != nil {
		return c.failed(err)
	}
	text := fmt.Sprintf("workers: %d\n", answer.Workers)
	if answer.drainReport != (drainReport{}) { // else nobody left
		text += answer.lines()
	}
	return errors.Join(c.print(answer, text), answer.failure())
}

// scaleTarget is how many workers there are to be: By more than now, or To in all.
// One of them is set.
type scaleTarget struct {
	By *int `json:"by,omitempty"`
	To *int `json:"to,omitempty"`
}

// UnmarshalText reads +N, -N or N.
func (s *scaleTarget) UnmarshalText(text []byte) error {
	n, err := strconv.ParseInt(string(text), 10, 32)
	if err != nil {
		return fmt.Errorf("expected +N, -N or N but got %q", text)
	}
	count := int(n)
	if strings.ContainsAny(string(text), "+-") {
		*s = scaleTarget{By: &count}
	} else {
		*s = scaleTarget{To: &count}
	}
	return nil
}

var negative = regexp.MustCompile(`^-[0-9]+$`)

// numbersLast moves the -1 of usher scale -1 behind a --: kong takes it for a flag
// otherwise, and no flag is a number.
func numbersLast(args []string) []string {
	if len(args) == 0 || args[0] != "scale" || slices.Contains(args, "--") {
		return args
	}
	var first, last []string
	for _, arg := range args {
		if negative.MatchString(arg) {
			last = append(last, arg)
		} else {
			first = append(first, arg)
		}
	}
	return slices.Concat(first, []string{"--"}, last)
}
