package tlshandshake

// A goroutine does one handshake after another, as long as some are under way: so its
// stack, which crypto/tls has made large, is not grown anew for each. When a handshake has
// ended, its goroutine goes on with the one that has its place now, if that one has no
// goroutine yet; or waits for one to begin. With the last handshake all that wait end.

// maxIdle is how many goroutines wait for a handshake to begin. Each has a stack of some
// 16 KiB.
const maxIdle = 16

// idle is the goroutines that wait for a handshake: last in, first out.
type idle struct {
	waiting []chan *Handshake
	live    int // handshakes that have begun and not ended
}

// goOn has the handshake's goroutine begin or go on. Who has moved it to computing or
// leaving calls it, once, without the lock.
func (h *Handshake) goOn() {
	if h.started {
		h.resume <- struct{}{}
		return
	}
	h.start()
	p := h.pool
	p.mu.Lock()
	g := p.idle.popLocked()
	p.mu.Unlock()
	if g != nil {
		g <- h
		return
	}
	go p.work(h)
}

// start is before the handshake's goroutine begins with it.
func (h *Handshake) start() {
	h.started = true
	h.resume = make(chan struct{}, 1)
}

// work is a goroutine: it begins with h.
func (p *Pool) work(h *Handshake) {
	g := make(chan *Handshake, 1)
	for h != nil {
		if h = h.run(); h == nil {
			h = p.rest(g)
		}
	}
}

// rest waits for a handshake to begin, by g. nil: the goroutine ends.
func (p *Pool) rest(g chan *Handshake) *Handshake {
	p.mu.Lock()
	stays := p.idle.live > 0 && len(p.idle.waiting) < maxIdle
	if stays {
		p.idle.waiting = append(p.idle.waiting, g)
	}
	p.mu.Unlock()
	if !stays {
		return nil
	}
	return <-g
}

// popLocked returns who has waited least, or nil.
func (i *idle) popLocked() chan *Handshake {
	n := len(i.waiting) - 1
	if n < 0 {
		return nil
	}
	g := i.waiting[n]
	i.waiting[n] = nil
	i.waiting = i.waiting[:n]
	return g
}

// endedLocked counts a handshake that has ended. With the last one all who wait end.
func (i *idle) endedLocked() {
	i.live--
	if i.live > 0 {
		return
	}
	for g := i.popLocked(); g != nil; g = i.popLocked() {
		g <- nil // there is room for one
	}
}
