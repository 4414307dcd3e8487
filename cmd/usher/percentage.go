package main

import (
	"fmt"
	"strconv"
	"strings"
)

// percentage is a share, in percent, that is written with its sign. None at all is -1,
// as master.Config has it, where 0 stands for the default.
type percentage float64

// UnmarshalText reads 1% or 0.5%.
func (p *percentage) UnmarshalText(text []byte) error {
	digits, found := strings.CutSuffix(string(text), "%")
	n, err := strconv.ParseFloat(digits, 64)
	if !found || err != nil || !(n >= 0 && n <= 100) {
		return fmt.Errorf("expected a share from 0%% to 100%% but got %q", text)
	}
	if n == 0 {
		n = -1
	}
	*p = percentage(n)
	return nil
}
