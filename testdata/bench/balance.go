package main

import (
	"fmt"
	"slices"
	"strconv"
	"time"
)

// balance shows how many connections the fullest of four workers has, to their
// mean.
func (b *bench) balance() error {
	const workers, count = 4, 4000
	for _, s := range []*server{reference, usher, passing, node} {
		if s.missing != "" {
			continue
		}
		i, err := b.run(s, workers, nil)
		if err != nil {
			return err
		}
		err = until("all workers run", 10*time.Second, func() bool { return len(i.tree()) > workers })
		if err != nil {
			i.end()
			return fmt.Errorf("%s: %w", s.name, err)
		}
		before := make(map[int]int)
		for _, pid := range i.tree() {
			before[pid] = sockets(pid)
		}
		c, err := b.hold(i, count, 1)
		if err != nil {
			i.end()
			return err
		}
		counts := func() (counts []int) {
			for pid, n := range before {
				if pid != i.cmd.Process.Pid {
					counts = append(counts, sockets(pid)-n)
				}
			}
			return counts
		}
		// All but a few: a program's own sockets, which come and go, were counted before.
		err = until("the workers have them", time.Minute, func() bool { return sum(counts()) >= count*99/100 })
		spread := counts()
		c.end()
		i.end()
		if err != nil {
			return fmt.Errorf("%s: %w: %v", s.name, err, spread)
		}
		b.grid.set(s.name, "balance of 4 workers: most to mean", fmt.Sprintf("%.2f", float64(slices.Max(spread))*workers/count))
		b.say("  %-40s %v", s.name, spread)
	}
	return nil
}

func sum(values []int) (total int) {
	for _, v := range values {
		total += v
	}
	return total
}

// reload compares the throughput of slices in which a reload takes place with
// those in which none does.
func (b *bench) reload() error {
	i, err := b.run(usher, 2, nil)
	if err != nil {
		return err
	}
	defer i.end()
	var values []float64
	for range b.rounds {
		var rates [2]float64
		for n := range rates {
			if n == 1 {
				go func() {
					_ = b.make(b.scratch, b.program("usher"), "reload", "--control", b.program(i.address[len("127.0.0.1:"):]+".sock"))
				}() // the slice shows it
			}
			r, err := b.ask(nil, "echo", i.address, "--conns=100", "--duration", (2 * b.slice).String())
			if err != nil {
				return err // an answer was lost
			}
			rates[n] = r.PerSecond
		}
		values = append(values, rates[1]/rates[0])
	}
	b.figure("throughput of 100 connections over %v with a reload in it, to without; no answer lost: %s", 2*b.slice, spreadOf(values))
	return nil
}

// acceptors shows what accepting costs, and how many goroutines share it.
func (b *bench) acceptors() error {
	counts := []int{1}
	if b.has("--acceptors") {
		counts = []int{1, 2, 4}
	}
	var instances []*instance
	defer func() { endAll(instances) }()
	for _, n := range counts {
		i, err := b.runArgv(&server{name: fmt.Sprintf("%d acceptors", n)}, nil, func(port int) []string {
			argv := b.usher(port, "--workers", "2")
			if n > 1 {
				argv = append(argv, "--acceptors", strconv.Itoa(n))
			}
			return argv
		})
		if err != nil {
			return err
		}
		instances = append(instances, i)
	}
	costs, serial, rates := make([][]float64, len(instances)), make([][]float64, len(instances)), make([][]float64, len(instances))
	for round := range b.rounds + 1 {
		for n, i := range instances {
			master := i.cmd.Process.Pid
			before, each := cpu([]int{master}), threads(master)
			s, err := b.one(i, nil, "--churn", "--conns=200", "--duration", b.slice.String())
			if err != nil {
				return err
			}
			if round > 0 {
				costs[n] = append(costs[n], float64(cpu([]int{master})-before)/float64(s.Connections))
				serial[n] = append(serial[n], float64(busiest(master, each))/float64(s.Connections))
				rates[n] = append(rates[n], s.PerSecond)
			}
		}
	}
	for n, i := range instances {
		cost, part := spreadOf(costs[n]), spreadOf(serial[n])
		b.figure("%s: %.0f connections a second, with clients and workers on the same cores; %.2f µs (%.2f to %.2f) of the master's CPU each, %.2f (%.2f to %.2f) of them on its busiest thread, which is full at %.0f a second",
			i.server.name, spreadOf(rates[n]).median, cost.median/1000, cost.low/1000, cost.high/1000, part.median/1000, part.low/1000, part.high/1000, float64(time.Second)/part.median)
	}
	return nil
}
