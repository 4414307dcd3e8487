package main

import "testing"

func TestPercentage(t *testing.T) {
	for _, test := range []struct {
		text string
		want float64 // as in master.Config; 7777: wrong
	}{
		{"1%", 1}, {"0.5%", 0.5}, {"100%", 100}, {"0%", -1},
		{"101%", 7777}, {"-1%", 7777}, {"1", 7777}, {"", 7777}, {"%", 7777}, {"NaN%", 7777}, {"one%", 7777},
	} {
		var p percentage
		err := p.UnmarshalText([]byte(test.text))
		if (err != nil) != (test.want == 7777) || err == nil && float64(p) != test.want {
			t.Errorf("%q: %v, %v; want %v", test.text, p, err, test.want)
		}
	}
}
