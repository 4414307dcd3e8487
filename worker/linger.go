package worker

import "time"

// lingerers is the connections that linger, in order of their deadlines: all of
// them have the same time, so that a queue does what a heap of timers would.
type lingerers struct {
	queue []lingerer
	first int
}

type lingerer struct {
	conn     *Conn
	deadline time.Duration // on the loop's clock
}

func (q *lingerers) add(c *Conn, deadline time.Duration) {
	if q.first > len(q.queue)/2 {
		n := copy(q.queue, q.queue[q.first:])
		clear(q.queue[n:])
		q.queue, q.first = q.queue[:n], 0
	}
	q.queue = append(q.queue, lingerer{c, deadline})
}

// next returns the earliest deadline. Those whose peers were quicker are
// skipped here, and held no longer.
func (q *lingerers) next() (time.Duration, bool) {
	for ; q.first < len(q.queue); q.first++ {
		if head := &q.queue[q.first]; !head.conn.state.has(stateDead) {
			return head.deadline, true
		}
		q.queue[q.first] = lingerer{}
	}
	q.queue, q.first = q.queue[:0], 0
	return 0, false
}

// expire finishes the connections whose deadline is past.
func (q *lingerers) expire(now time.Duration) {
	for deadline, ok := q.next(); ok && deadline <= now; deadline, ok = q.next() {
		q.queue[q.first].conn.finish()
	}
}
