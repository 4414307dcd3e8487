package main

import (
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/usher-go/usher/master"
)

// account is a status, with what only newer masters keep.
type account struct {
	master.Status
	Connections struct {
		master.Counts
		Cut uint64 `json:"cut"` // of those closed, at a drain's deadline
	} `json:"connections"`
}

// audit looks at the books all the time.
func (c *chaos) audit() {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	var before account
	var last *era
	for {
		e := c.awaitEra()
		if e == nil {
			return
		}
		if e != last {
			last, before = e, account{}
		}
		c.files.RLock()
		before = c.look(e, before)
		c.files.RUnlock()
		e.visits.Done()
		<-ticker.C
	}
}

// look is one look at the books, which may be in vain when the master was told
// to stop.
func (c *chaos) look(e *era, before account) account {
	var now account
	body, err := get(e.control, "/v1/status")
	if err == nil {
		err = json.Unmarshal(body, &now)
	}
	if err != nil {
		if !c.closed(e) {
			c.problem("status: %v", err)
		}
		return before
	}
	for _, odd := range now.oddities(before) {
		c.problem("books: %s", odd)
	}
	return now
}

// closed reports whether the era is over for new clients.
func (c *chaos) closed(e *era) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.era != e
}

// oddities returns what is wrong with the books, those of a moment before in
// hand. Only moved may go down: what a worker that stands still has in its queue is
// taken back.
func (a account) oddities(before account) (odd []string) {
	n, old := a.Connections, before.Connections
	check := func(ok bool, what string) {
		if !ok {
			odd = append(odd, fmt.Sprintf("%s: %+v, before %+v", what, n, old))
		}
	}
	check(n.Accepted == n.Queued+n.Active+n.Closed+n.Refused+n.Lost, "accepted is not queued + active + closed + refused + lost")
	check(max(n.Queued, n.Active, n.Closed, n.Refused, n.Lost) <= n.Accepted, "more than were accepted")
	check(n.Cut <= n.Closed, "more cut than closed")
	check(n.Cut == 0, "some cut, and the master was not told to stop")
	check(n.Accepted >= old.Accepted, "accepted went down")
	check(n.Closed >= old.Closed, "closed went down")
	check(n.Refused >= old.Refused, "refused went down")
	check(n.Lost >= old.Lost, "lost went down")
	check(a.Generation >= before.Generation, "the generation went down")
	check(len(a.Workers) <= mostSlots, "too many slots")
	slots := make(map[int]bool)
	for _, w := range a.Workers {
		if what := oddity(w, a, slots[w.Slot]); what != "" {
			odd = append(odd, fmt.Sprintf("%s: %+v; generation %d, %+v", what, w, a.Generation, n))
		}
		slots[w.Slot] = true
	}
	return odd
}

// oddity returns what is wrong with the books of a slot.
func oddity(w master.WorkerStatus, a account, again bool) string {
	switch {
	case again:
		return "a slot twice"
	case w.Slot < 0 || w.Slot >= mostSlots:
		return "no such slot"
	case !slices.Contains([]string{"starting", "ready", "draining", "gone"}, w.State):
		return "no such state"
	case (w.PID > 0) != (w.State != "gone"):
		return "a process or none"
	case w.Generation < 1 || w.Generation > a.Generation+1:
		return "no such generation"
	case min(w.Connections, w.Movable, w.Staying, w.Queued, w.Restarts) < 0:
		return "a number below 0"
	case w.Movable+w.Staying != w.Connections:
		return "its connections are not those movable and those staying"
	case uint64(w.Connections+w.Queued) > a.Connections.Accepted:
		return "more than were accepted"
	}
	return ""
}

// settle looks at the books when all clients have left: no address may have more
// there than it has.
func (c *chaos) settle(e *era) {
	c.t.Helper()
	status := e.until("every connection has ended", func(status master.Status) bool {
		return status.Connections.Active+status.Connections.Queued == 0
	})
	e.books = &status.Connections
	got := c.usher(e, "status", "--json")
	var told master.Status
	if err := json.Unmarshal([]byte(got.stdout), &told); got.code != 0 || err != nil || told.Connections != status.Connections {
		c.problem("status --json: %+v, %v; want %+v", got, err, status.Connections)
	}
	if !c.limited {
		return
	}
	var guests []*visit
	for n := range perIP {
		guests = append(guests, c.guest(e, n))
	}
	if v, err := c.call(e, "one too many", greedyAddress); err == nil {
		if err := v.exchange(); err == nil {
			c.problem("one connection more than %d of an address was served", perIP)
		}
		_ = v.socket.Close() // it was refused
	}
	for _, v := range guests {
		if v.socket != nil {
			_ = v.end() // it was answered, or that is noted
			_ = v.socket.Close()
		}
	}
}

// guest is one of those who are let in.
func (c *chaos) guest(e *era, n int) *visit {
	v, err := c.call(e, fmt.Sprintf("guest %d", n), greedyAddress)
	if err == nil {
		err = v.exchange()
	}
	if err != nil {
		c.problem("with none in the books, number %d of %d of an address was not served: %v", n+1, perIP, err)
	}
	return v
}

var greedyAddress = net.IPv4(127, 0, 4, 1)
