package main

import "testing"

func TestByteSize(t *testing.T) {
	tests := []struct {
		text string
		want byteSize // -1: wrong
	}{
		{"0", 0}, {"7", 7}, {"7B", 7}, {"2K", 2048}, {"2KiB", 2048}, {"3M", 3 << 20}, {"3MiB", 3 << 20},
		{"4G", 4 << 30}, {"4GiB", 4 << 30}, {"5TiB", 5 << 40}, {"8388607TiB", 8388607 << 40},
		{"8388608TiB", -1}, {"", -1}, {"MiB", -1}, {"1.5G", -1}, {"7X", -1}, {"7 MiB", -1}, {"7MB", -1},
	}
	for _, test := range tests {
		got := byteSize(-1)
		if err := got.UnmarshalText([]byte(test.text)); got != test.want || (err != nil) != (test.want == -1) {
			t.Errorf("%q: %d, %v; want %d", test.text, got, err, test.want)
		}
	}
}
