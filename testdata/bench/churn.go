package main

import "time"

// churn compares what a connection costs that is opened for one exchange.
func (b *bench) churn() error {
	instances, err := b.runAll(echoServers, 1, oneCore)
	if err == nil {
		err = b.churnOf(instances, oneCore, "CPU/connection, one core", "connect, echo, close: CPU per connection, one core", "≤ 1.00")
	}
	endAll(instances)
	if err != nil {
		return err
	}
	instances, err = b.runAll(echoServers, 2, nil)
	defer func() { endAll(instances) }()
	if err != nil {
		return err
	}
	return b.churnOf(instances, nil, "CPU/connection, two workers", "the same, two workers on two cores", "≤ 1.20")
}

func (b *bench) churnOf(instances []*instance, on cores, column, what, aim string) error {
	all, err := b.interleave(instances, on, "--churn", "--conns=100")
	if err != nil {
		return err
	}
	var ours, theirs []sample
	b.compare(instances, all, column, perAnswer, func(name string, s spread) {
		if name == usher.name {
			b.reached(what, aim, s.String())
		}
	})
	for n, i := range instances {
		switch i.server {
		case usher:
			ours = all[n]
		case node:
			theirs = all[n]
		}
	}
	b.figure("CPU per connection of the reference, %s: %v", column, time.Duration(median(all[0], perAnswer)).Round(10*time.Nanosecond))
	if on == nil && theirs != nil {
		b.reached("connections per second to those of Node's cluster, two workers", "≥ 8", ratios(ours, theirs, perSecond).String())
	}
	return nil
}
