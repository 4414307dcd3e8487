package main

import "sync"

// running are the processes to be ended when this one is interrupted.
var running registry

type registry struct {
	mu  sync.Mutex
	all map[*process]bool
}

func (r *registry) add(p *process) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all == nil {
		r.all = make(map[*process]bool)
	}
	r.all[p] = true
}

func (r *registry) remove(p *process) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.all, p)
}

// endAll ends what still runs.
func (r *registry) endAll() {
	r.mu.Lock()
	var left []*process
	for p := range r.all {
		left = append(left, p)
	}
	r.mu.Unlock()
	for _, p := range left {
		p.end()
	}
}
