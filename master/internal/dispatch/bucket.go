package dispatch

import "time"

// bucket holds accepting to a rate: it fills at rate tokens a second, holds one
// second's worth, and each connection takes one. The zero value is no limit.
type bucket struct {
	rate   int // tokens a second; 0: no limit
	tokens float64
	asOf   time.Time
}

func newBucket(rate int, now time.Time) bucket {
	return bucket{rate: rate, tokens: float64(rate), asOf: now}
}

// room returns how many connections may be accepted now.
func (b *bucket) room(now time.Time) int {
	if b.tokens = min(b.tokens+float64(b.rate)*now.Sub(b.asOf).Seconds(), float64(b.rate)); b.tokens < 0 {
		b.tokens = 0
	}
	b.asOf = now
	return int(b.tokens + rounding)
}

// rounding is more than what a sum of many small parts of tokens lacks of a whole
// one by the floating point's fault, and less than anyone waits for.
const rounding = 1e-9

// take takes n tokens, which room has granted.
func (b *bucket) take(n int) { b.tokens -= float64(n) }

// wait returns how long it is until room grants one.
func (b *bucket) wait() time.Duration {
	if b.tokens >= 1 {
		return 0
	}
	return time.Duration((1 - b.tokens) / float64(b.rate) * float64(time.Second))
}
