package load

import (
	"context"
	"slices"
	"time"
)

// Comparison is two servers under one plan, in turn.
type Comparison struct {
	First  *Report `json:"first"`
	Second *Report `json:"second"`
	Ratio  Ratio   `json:"ratio"` // of the first to the second
	OK     bool    `json:"ok"`
}

// Ratio compares slices that were run one after the other.
type Ratio struct {
	PerSecond Spread `json:"per_second"`
	P50       Spread `json:"p50"`
	P99       Spread `json:"p99"`
	Slices    int    `json:"slices"`
}

// Spread is what several measurements come to.
type Spread struct {
	Median float64 `json:"median"`
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
}

// Compare carries out a plan for its own address and for another, in so many
// slices of each, interleaved: what disturbs the machine then disturbs both. The
// plan's duration, or number of requests, is that of each server over all slices;
// the warm-up comes before every slice. Otherwise it is as Run.
func Compare(ctx context.Context, plan *Plan, against string, count int, part []string, progress func(Progress)) (*Comparison, error) {
	slice := *plan
	slice.Duration /= time.Duration(count)
	slice.Requests = (slice.Requests + int64(count) - 1) / int64(count)
	totals := [2]*tally{newTally(), newTally()}
	addresses := [2]string{plan.Address, against}
	var rates, p50s, p99s []float64
	for n := range count {
		if ctx.Err() != nil {
			break
		}
		var pair [2]*tally
		for i := range pair {
			which := (i + n) % 2 // so that neither is always the first
			slice.Address = addresses[which]
			t, err := execute(ctx, &slice, part, progress)
			if err != nil {
				return nil, err
			}
			pair[which] = t
			totals[which].then(t)
		}
		a, b := pair[0].report(&slice), pair[1].report(&slice)
		if a.Latency != nil && b.Latency != nil {
			rates = append(rates, a.PerSecond/b.PerSecond)
			p50s = append(p50s, float64(a.Latency.P50)/float64(b.Latency.P50))
			p99s = append(p99s, float64(a.Latency.P99)/float64(b.Latency.P99))
		}
	}
	var reports [2]*Report
	for i := range reports {
		whole := *plan
		whole.Address = addresses[i]
		reports[i] = totals[i].report(&whole)
	}
	return &Comparison{
		First: reports[0], Second: reports[1], OK: reports[0].OK && reports[1].OK,
		Ratio: Ratio{PerSecond: spreadOf(rates), P50: spreadOf(p50s), P99: spreadOf(p99s), Slices: len(rates)},
	}, nil
}

// spreadOf returns zeros for nothing. It sorts values.
func spreadOf(values []float64) Spread {
	if len(values) == 0 {
		return Spread{}
	}
	slices.Sort(values)
	middle := values[len(values)/2]
	if len(values)%2 == 0 {
		middle = (middle + values[len(values)/2-1]) / 2
	}
	return Spread{Median: middle, Low: values[0], High: values[len(values)-1]}
}
