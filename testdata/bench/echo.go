package main

import (
	"fmt"
	"time"
)

// oneCore has server and client on one core: there are no wake-ups of a halted
// processor in the figures, and batches are full.
var oneCore = cores{0}

// echoCase is one kind of steady traffic.
type echoCase struct {
	name, aim string
	args      []string
}

var echoCases = []echoCase{
	{"64 B, 50 connections", "≤ 1.03", []string{"--conns=50"}},
	{"64 B, 1000 connections", "≤ 1.05", []string{"--conns=1000"}},
	{"16 KiB, 50 connections", "≤ 1.05", []string{"--conns=50", "--size=16KiB"}},
	{"64 B, 50 connections, 16 pipelined", "≤ 1.05", []string{"--conns=50", "--pipeline=16"}},
}

// echo compares the CPU that servers use for an answer.
func (b *bench) echo() error {
	instances, err := b.runAll(echoServers, 1, oneCore)
	defer func() { endAll(instances) }()
	if err != nil {
		return err
	}
	for _, c := range echoCases {
		all, err := b.interleave(instances, oneCore, c.args...)
		if err != nil {
			return err
		}
		b.compare(instances, all, "CPU/echo, "+c.name, perAnswer, func(name string, s spread) {
			if name == usher.name {
				b.reached("CPU per echo, one core, "+c.name, c.aim, s.String())
			}
		})
		b.figure("CPU per echo of the reference, %s: %v", c.name, time.Duration(median(all[0], perAnswer)).Round(10*time.Nanosecond))
	}
	return nil
}

// compare puts the ratios to the first into the grid, and gives each to what.
func (b *bench) compare(instances []*instance, all [][]sample, column string, figure func(sample) float64, what func(name string, s spread)) {
	for n, i := range instances {
		s := ratios(all[n], all[0], figure)
		b.say("  %-40s %s", i.server.name, s)
		b.grid.set(i.server.name, column, fmt.Sprintf("%.2f", s.median))
		what(i.server.name, s)
	}
}

// latency compares a single connection's round trip on one core, and the
// latencies of 50 connections with server and client on a core each. A halted
// virtual processor can take milliseconds to wake: idlers keep both awake.
func (b *bench) latency() error {
	if err := b.roundTrip(); err != nil {
		return err
	}
	idle, err := b.idlers()
	defer idle()
	if err != nil {
		return err
	}
	instances, err := b.runAll([]*server{reference, usher, passing, gnet, goNet, node}, 1, cores{0})
	defer func() { endAll(instances) }()
	if err != nil {
		return err
	}
	all, err := b.interleave(instances, cores{1}, "--conns=50")
	if err != nil {
		return err
	}
	b.compare(instances, all, "p99, 50 connections, two cores", p99, func(name string, s spread) {
		if name == usher.name {
			b.reached("p99 of an echo, 64 B, 50 connections, server and client on a core each", "≤ 1.10", s.String())
		}
	})
	return nil
}

func (b *bench) roundTrip() error {
	instances, err := b.runAll([]*server{reference, usher}, 1, oneCore)
	defer func() { endAll(instances) }()
	if err != nil {
		return err
	}
	all, err := b.interleave(instances, oneCore, "--conns=1")
	if err != nil {
		return err
	}
	roundTrip := func(s sample) float64 { return 1 / s.PerSecond }
	b.reached("round trip of 1 connection, 64 B, one core", "≤ 1.03", ratios(all[1], all[0], roundTrip).String())
	return nil
}

// dispatch compares the time from connect to the first answer, at a rate that
// leaves time between two.
func (b *bench) dispatch() error {
	idle, err := b.idlers()
	defer idle()
	if err != nil {
		return err
	}
	instances, err := b.runAll([]*server{reference, usher, passing}, 1, nil)
	defer func() { endAll(instances) }()
	if err != nil {
		return err
	}
	all, err := b.interleave(instances, nil, "--churn", "--rate=1000", "--conns=10")
	if err != nil {
		return err
	}
	for n, i := range instances {
		var medians, tails []float64
		for _, s := range all[n] {
			medians = append(medians, float64(s.Connect.P50+s.Latency.P50))
			tails = append(tails, float64(s.Connect.P99+s.Latency.P99))
		}
		b.figure("from connect to the first answer, 1,000 a second, two cores, %s: p50 %v, p99 %v", i.server.name,
			time.Duration(spreadOf(medians).median).Round(time.Microsecond), time.Duration(spreadOf(tails).median).Round(time.Microsecond))
	}
	return nil
}
