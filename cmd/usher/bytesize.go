package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// byteSize is a number of bytes that is written with a unit.
type byteSize int64

// byteUnits are the powers of 1024, the longer names first.
var byteUnits = []struct {
	suffix string
	shift  int
}{
	{"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"TiB", 40},
	{"K", 10}, {"M", 20}, {"G", 30}, {"T", 40},
	{"B", 0}, {"", 0},
}

// UnmarshalText reads 512MiB, 512M or 536870912.
func (b *byteSize) UnmarshalText(text []byte) error {
	for _, unit := range byteUnits {
		digits, found := strings.CutSuffix(string(text), unit.suffix)
		if !found {
			continue
		}
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || n > math.MaxInt64>>unit.shift || n < math.MinInt64>>unit.shift {
			break
		}
		*b = byteSize(n << unit.shift)
		return nil
	}
	return fmt.Errorf("expected a size such as 512MiB but got %q", text)
}

// String writes it with the largest unit that leaves a whole number.
func (b byteSize) String() string {
	for shift := 40; shift > 0; shift -= 10 {
		if n := int64(b) >> shift; n != 0 && n<<shift == int64(b) {
			return fmt.Sprintf("%d%ciB", n, " KMGT"[shift/10])
		}
	}
	return strconv.FormatInt(int64(b), 10)
}
