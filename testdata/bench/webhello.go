package main

import "time"

// webHello compares what a small answer costs: nginx's return, a handler on the loop and
// one on goroutines, and net/http.
func (b *bench) webHello() error {
	if why := wrkMissing(); why != "" {
		b.figure("hello: %s", why)
		return nil
	}
	instances, err := b.runAll(helloServers, webWorkers, nil)
	defer func() { endAll(instances) }()
	if err != nil {
		return err
	}
	all, err := b.inTurn(instances, b.rounds, func(i *instance) (sample, error) {
		return b.wrk(i, wrkSlice{path: helloPath, conns: 100})
	})
	if err != nil {
		return err
	}
	const what = "hello, 100 keep-alive connections, two workers: CPU per request"
	of := func(s *server) []sample {
		for n, i := range instances {
			if i.server == s {
				return all[n]
			}
		}
		return nil
	}
	b.compare(instances, all, "CPU per request, hello", perAnswer, func(name string, s spread) {
		if name == webInline.name {
			b.reached(what+", on the loop, to nginx's return 200", "≤ 1.10", s.String())
		}
	})
	if ours, theirs := of(webInline), of(webBare); ours != nil && theirs != nil {
		b.reached(what+", on the loop, to a bare loop with http.ReadRequest", "none", ratios(ours, theirs, perAnswer).String())
	}
	if ours, theirs := of(webRunning), of(webHTTP); ours != nil && theirs != nil {
		b.reached(what+", on goroutines, to net/http's", "≤ 0.80", ratios(ours, theirs, perAnswer).String())
	}
	for n, i := range instances {
		b.figure("hello, %s: %v of CPU per request, %.0f requests a second", i.server.name,
			time.Duration(median(all[n], perAnswer)).Round(10*time.Nanosecond), median(all[n], perSecond))
	}
	return nil
}
