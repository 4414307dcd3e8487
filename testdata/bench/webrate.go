package main

import "time"

// webRate compares the latencies of requests at a rate that is kept whatever the answers
// do: they count from when each was due. Idlers keep the processors awake.
func (b *bench) webRate() error {
	idle, err := b.idlers()
	defer idle()
	if err != nil {
		return err
	}
	instances, err := b.runAll([]*server{webNginx, webInline, webRunning, webHTTP}, webWorkers, nil)
	defer func() { endAll(instances) }()
	if err != nil {
		return err
	}
	all, err := b.interleave(instances, nil, "--path", helloPath, "--conns=100", "--rate=20000", "--warmup=200ms")
	if err != nil {
		return err
	}
	b.compare(instances, all, "p99 of hello at 20,000 a second", p99, func(name string, s spread) {
		if name == webInline.name {
			b.reached("p99 of hello at 20,000 a second, open loop, 100 connections, two workers, on the loop", "≤ 1.10", s.String())
		}
	})
	for n, i := range instances {
		b.figure("hello at 20,000 a second, %s: p50 %v, p99 %v; %v of CPU per request", i.server.name,
			time.Duration(median(all[n], p50)).Round(time.Microsecond), time.Duration(median(all[n], p99)).Round(time.Microsecond),
			time.Duration(median(all[n], perAnswer)).Round(10*time.Nanosecond))
	}
	return nil
}

func p50(s sample) float64 { return float64(s.Latency.P50) }
