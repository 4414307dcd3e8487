package dispatch

import "errors"

// The errors of Pause.
var (
	ErrHolding = errors.New("connections wait for a worker that can take them")
	ErrStopped = errors.New("the accept goroutine has ended")
)

// paused is the answer to a pause: what the accept goroutine has, or why it goes on.
type paused struct {
	accept State
	err    error
}

// Pause stops the accept goroutine between two turns, with nothing in the batch, until
// Resume, and returns what it has. With an error it goes on: ErrHolding, if moved
// connections are in the batch that no worker has room for, and BatchEmpty follows when
// it is empty; or ErrStopped. One goroutine calls Pause and Resume.
func (a *Acceptor) Pause() (State, error) {
	r := pauseRequest{make(chan paused, 1), make(chan struct{})}
	a.post(r)
	select {
	case p := <-r.paused:
		if p.err == nil {
			a.resumed = r.resumed
		}
		return p.accept, p.err
	case <-a.stopped:
		return State{}, ErrStopped
	}
}

// Resume has the accept goroutine go on, after Pause without an error.
func (a *Acceptor) Resume() {
	close(a.resumed)
	a.resumed = nil
}

// pause is Pause, and returns when Resume is called.
func (g *acceptGoroutine) pause(r pauseRequest) {
	d := &g.dispatcher
	g.stopSubacceptors()
	defer g.startSubacceptors()
	g.takeAllPending() // those for whom there is no room are handed over: it may be long until there is
	if d.held() > 0 {
		g.awaited.pausing = true
		r.paused <- paused{err: ErrHolding}
		return
	}
	r.paused <- paused{accept: g.state()}
	<-r.resumed
}
