package main

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Over four workers there is room for these: 4,000 in each, and in clients of a process's
// 20,000 descriptors.
const (
	tlsIdle    = 16_000
	tlsWorkers = 4
)

func (b *bench) tlsCount() int {
	if b.quick {
		return tlsIdle / 8
	}
	return tlsIdle
}

// tlsMemory compares the memory that idle TLS connections take after a collection, for
// which Go programs are asked by a signal: a worker of the product's own collects when it
// allocates, or by the runtime's clock, and gives memory back over minutes.
func (b *bench) tlsMemory() error {
	count := b.tlsCount()
	for _, s := range []*server{tlsCollecting, tlsHTTP, tlsNginx, tlsReference} {
		if s.missing != "" {
			b.say("  %-40s %s", s.name, s.missing)
			continue
		}
		asIs, collected, err := b.idleEach(s, count)
		if err != nil {
			return err
		}
		if s == tlsCollecting {
			b.reached(fmt.Sprintf("private memory of an idle TLS connection with an idle timeout, %d over %d workers, after a collection (bytes, master included)", count, tlsWorkers),
				"≤ 600", fmt.Sprint(collected))
		}
		b.grid.set(s.name, "bytes per idle TLS connection, after a collection where there is one", fmt.Sprint(collected))
		b.figure("memory of an idle TLS connection, %d, %s: %d bytes after a collection, %d before", count, s.name, collected, asIs)
	}
	return nil
}

// idleEach returns by how much a server that was just started grows for each of so many
// idle connections, before and after a collection. A Go program grows by what its runtime
// needs for the first garbage of that much, too, which comes once.
func (b *bench) idleEach(s *server, count int) (asIs, collected int64, err error) {
	i, err := b.run(s, tlsWorkers, nil)
	if err != nil {
		return 0, 0, err
	}
	defer i.end()
	const few = 500 // for what is allocated once
	warm, err := b.hold(i, few, 1)
	if err != nil {
		return 0, 0, err
	}
	if err := warm.leave(i, few); err != nil {
		return 0, 0, err
	}
	for range 3 { // the first collections themselves take memory, which stays
		if err := collect(i); err != nil {
			return 0, 0, err
		}
	}
	before := memory(i.tree())
	c, err := b.hold(i, count, 1)
	if err != nil {
		return 0, 0, err
	}
	defer c.end()
	asIs = (memory(i.tree()) - before) / int64(count)
	time.Sleep(afterwards)
	err = collect(i)
	return asIs, (memory(i.tree()) - before) / int64(count), err
}

// afterwards is when what is kept for a connection that was busy just now is dropped:
// ciphers, for two seconds at most.
const afterwards = 3 * time.Second

// collect has the processes of a server collect their garbage that know how to.
func collect(i *instance) error {
	pids := i.tree()
	switch i.server {
	case tlsCollecting, tlsWeb, webRunning:
		pids = pids[1:] // its workers
	case tlsHTTP, webHTTP:
	default:
		return nil
	}
	for range 2 { // what has a finalizer goes with the second
		for _, pid := range pids {
			if err := unix.Kill(pid, unix.SIGUSR2); err != nil {
				return fmt.Errorf("kill: %w", err)
			}
		}
		time.Sleep(100 * time.Millisecond) // the signal is on its way
		if err := until("they rest", time.Minute, func() bool { return rests(pids) }); err != nil {
			return err
		}
	}
	return nil
}
