package main

import (
	"bytes"
	"fmt"
	"strconv"
	"time"
)

// crowd is a client that holds idle connections.
type crowd struct{ *process }

// hold opens connections and returns when the server has them all. more is what else
// usher bench is told.
func (b *bench) hold(i *instance, count, processes int, more ...string) (*crowd, error) {
	before := descriptors(i.tree())
	var out bytes.Buffer
	argv := append([]string{b.program("usher"), "bench"}, b.speak(i)...)
	argv = append(argv, "--idle", strconv.Itoa(count), "--duration", "1h", "--timeout", "1m", "--processes", strconv.Itoa(processes))
	p, err := start("idle clients", nil, &out, append(argv, more...)...)
	if err != nil {
		return nil, err
	}
	err = until(fmt.Sprintf("%s has %d connections", i.server.name, count), 5*time.Minute, func() bool {
		return descriptors(i.tree())-before >= count*99/100 // its own may come and go, and were counted before
	})
	if err == nil && i.server.tls {
		err = until("all hands are shaken", time.Minute, func() bool { return rests(append(i.tree(), p.tree()...)) })
	}
	if err != nil {
		p.end()
		return nil, fmt.Errorf("%w: %s%s", err, p.log, &out)
	}
	return &crowd{p}, nil
}

// leave ends a crowd of so many, and returns when the server has noticed.
func (c *crowd) leave(i *instance, count int) error {
	many := descriptors(i.tree())
	c.end()
	return until("they are gone", 20*time.Second, func() bool { return descriptors(i.tree()) < many-count/2 })
}

// footprint is the memory of an idle connection.
func (b *bench) footprint(i *instance, count, processes int) (bytes int64, err error) {
	warm, err := b.hold(i, min(count, 500), 1) // what is allocated once
	if err != nil {
		return 0, err
	}
	if err := warm.leave(i, min(count, 500)); err != nil {
		return 0, err
	}
	before := memory(i.tree())
	c, err := b.hold(i, count, processes)
	if err != nil {
		return 0, err
	}
	defer c.end()
	return (memory(i.tree()) - before) / int64(count), nil
}

// idle compares the memory that idle connections take.
func (b *bench) idle() error {
	count, processes := 100_000, 8
	if b.quick {
		count, processes = 10_000, 1
	}
	ours, err := b.runArgv(usher, nil, func(port int) []string {
		return b.usher(port, "--workers", strconv.Itoa(processes), "--idle-timeout", "1h")
	})
	if err != nil {
		return err
	}
	each, err := b.footprint(ours, count, processes)
	ours.end()
	if err != nil {
		return err
	}
	b.reached(fmt.Sprintf("memory of an idle connection with an idle timeout, %d over %d workers (bytes, master included)", count, processes), "≤ 160", strconv.FormatInt(each, 10))
	for _, s := range echoServers {
		if s.missing != "" {
			continue
		}
		i, err := b.run(s, 1, nil)
		if err != nil {
			return err
		}
		each, err := b.footprint(i, 10_000, 1)
		i.end()
		if err != nil {
			return err
		}
		b.say("  %-40s %d", s.name, each)
		b.grid.set(s.name, "bytes per idle connection", strconv.FormatInt(each, 10))
	}
	return nil
}

// rest is what connections cost on which nothing happens.
func (b *bench) rest() error {
	length := 60 * time.Second
	if b.quick {
		length = 10 * time.Second
	}
	i, err := b.run(usher, 2, nil)
	if err != nil {
		return err
	}
	defer i.end()
	c, err := b.hold(i, 10_000, 1)
	if err != nil {
		return err
	}
	defer c.end()
	time.Sleep(2 * time.Second) // what follows a connection's beginning is over
	pids := i.tree()
	busy, switched := cpu(pids), make(map[int]int64)
	for _, pid := range pids {
		switched[pid] = switches([]int{pid})
	}
	time.Sleep(length) // this is what is measured
	most := 0.0
	for _, pid := range pids {
		most = max(most, float64(switches([]int{pid})-switched[pid])/length.Seconds())
	}
	b.reached("10,000 idle connections, two workers: CPU of all processes", "0.0 %", fmt.Sprintf("%.3f %%", 100*(cpu(pids)-busy).Seconds()/length.Seconds()))
	b.reached("and context switches per second, of the process with the most", "< 1", fmt.Sprintf("%.2f", most))
	return nil
}
