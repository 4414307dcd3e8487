package main

import (
	"fmt"
	"strconv"
	"strings"
)

// percentage is a share, in percent, that is written with its sign.
type percentage float64

// UnmarshalText reads 1% or 0.5%.
func (p *percentage) UnmarshalText(text []byte) error {
	digits, found := strings.CutSuffix(string(text), "%")
	n, err := strconv.ParseFloat(digits, 64)
	if !found || err != nil || !(n >= 0 && n <= 100) {
		return fmt.Errorf("expected a share from 0%% to 100%% but got %q", text)
	}
	*p = percentage(n)
	return nil
}

// config returns what master.Config takes, where 0 is the default.
func (p percentage) config() float64 {
	if p == 0 {
		return -1
	}
	return float64(p)
}
