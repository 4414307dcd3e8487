package poller

import "sync/atomic"

// Waker ends another goroutine's Wait. The contract says who may call what.
type Waker struct {
	bell bell
	rung atomic.Bool // it has rung since the last Clear: it need not ring again
}

// NewWithWaker returns a set with a waker in it under tag, as every loop has that others
// send something. The caller closes both.
func NewWithWaker(tag uint64) (*Set, *Waker, error) {
	set, err := New()
	if err != nil {
		return nil, nil, err
	}
	waker, err := NewWaker(set, tag)
	if err != nil {
		_ = set.Close() // the first error is the one to report
		return nil, nil, err
	}
	return set, waker, nil
}

// NewWaker adds a waker to set under tag. The caller closes it after the last
// possible Wake.
func NewWaker(set *Set, tag uint64) (*Waker, error) {
	bell, err := newBell()
	if err != nil {
		return nil, err
	}
	if err := set.Add(bell.fd(), In, tag); err != nil {
		_ = bell.close() // the error of Add is the one to report
		return nil, err
	}
	return &Waker{bell: bell}, nil
}

// Wake makes the next Wait, or the present one, return the waker's tag. It may
// be called from any goroutine, and does not block.
func (w *Waker) Wake() {
	if w.rung.Swap(true) {
		return
	}
	w.bell.ring()
}

// Mute has Wake do nothing until Unmute, and returns true; or false, if the waker has rung
// and there is nothing to mute. The loop calls both, while it does not wait: what was
// published meanwhile is seen after Unmute.
func (w *Waker) Mute() bool { return !w.rung.Swap(true) }

// Unmute undoes a Mute that has returned true. A Wake from here on rings.
func (w *Waker) Unmute() { w.rung.Swap(false) }

// Clear consumes the event. The loop calls it before it looks at what it was
// woken for, so that a Wake in between is not lost.
func (w *Waker) Clear() {
	w.bell.clear()
	// Swap, not Store: reading what Wake wrote is what orders the two (the Go
	// memory model). A Wake from here on rings again.
	w.rung.Swap(false)
}

// Close closes the bell, which leaves the set by that, since nobody else has its
// descriptor. The set's loop calls it, or anybody once the loop has ended.
func (w *Waker) Close() error { return w.bell.close() }
