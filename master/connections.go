package master

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/usher-go/usher/ipc"
)

// Connections is the answer of GET /v1/connections. The master keeps no list: each worker
// says what it has while it is asked, so a connection that moves meanwhile may be missing,
// or there twice.
type Connections struct {
	Connections []Connection `json:"connections"` // by their workers' slots
	// Unlisted are how many connections besides the workers whose lists begin here have of
	// which they can say nothing: those of net.Listener's in Go.
	Unlisted int `json:"unlisted,omitempty"`
	// Unanswered are the workers that did not answer in time, or cannot. Theirs are missing.
	Unanswered []UnlistedWorker `json:"unanswered,omitempty"`
	// Cursor is what to ask with for more; empty: there are no more.
	Cursor string `json:"cursor,omitempty"`
}

// UnlistedWorker is a worker whose connections are missing, or some of them.
type UnlistedWorker struct {
	Unanswered
	// Cursor is where to go on, asking this worker alone, if its list broke off; empty: nothing
	// of it was listed.
	Cursor string `json:"cursor,omitempty"`
}

// Connection is one of them, as its worker says. What that does not know is absent.
type Connection struct {
	ID       uint64         `json:"id"`
	Worker   int            `json:"worker"` // its slot
	Listener string         `json:"listener"`
	Remote   netip.AddrPort `json:"remote,omitzero"` // absent: a Unix socket
	Local    netip.AddrPort `json:"local,omitzero"`
	AgeMS    *int64         `json:"age_ms,omitempty"`  // since it was accepted
	IdleMS   *int64         `json:"idle_ms,omitempty"` // since a byte last came or went
	Held     int64          `json:"held_bytes"`        // of memory that is buffered for it
	Phase    string         `json:"phase"`             // handshaking, open, closing or lingering
	TLS      bool           `json:"tls"`
	Movable  bool           `json:"movable"`         // it can go to another worker
	About    string         `json:"about,omitempty"` // what its session says of itself
}

const (
	// defaultListed is how many connections are listed if nobody says.
	defaultListed = 100
	// listLimit is how long a worker has for a message of a list, and listingLimit for all
	// of its part: without the second, one could go on with messages of nothing.
	listLimit    = 50 * time.Millisecond
	listingLimit = time.Second
	// listedTogether is how many workers are asked at a time, and maxLists how many lists
	// are made.
	listedTogether = 8
	maxLists       = 4
)

// listQuery is what is asked for.
type listQuery struct {
	worker   int // its slot; -1: all
	listener string
	limit    int
	slot     int // the cursor: where to begin, and at which of its positions
	position uint64
}

// parseListQuery reads the parameters of a URL.
func parseListQuery(parameters url.Values) (q listQuery, err error) {
	q = listQuery{worker: -1, limit: defaultListed}
	for key, values := range parameters {
		value := values[0]
		switch key {
		case "worker":
			q.worker, err = parseSlot(value)
		case "listener":
			q.listener = value
		case "limit":
			q.limit, err = strconv.Atoi(value)
			if err != nil || q.limit < 1 || q.limit > ipc.MaxListed {
				err = fmt.Errorf("%w: a limit of %q, want 1 to %d", errRequest, value, ipc.MaxListed)
			}
		case "cursor":
			slot, position, _ := strings.Cut(value, ".")
			var wrong error
			q.slot, err = strconv.Atoi(slot)
			if q.position, wrong = strconv.ParseUint(position, 10, 64); errors.Join(err, wrong) != nil || q.slot < 0 {
				err = fmt.Errorf("%w: %q is no cursor", errRequest, value)
			}
		default:
			err = fmt.Errorf("%w: %q, want worker, listener, limit or cursor", errRequest, key)
		}
		if err != nil {
			return listQuery{}, err
		}
		if len(values) > 1 {
			return listQuery{}, fmt.Errorf("%w: %s is there twice", errRequest, key)
		}
	}
	return q, nil
}

// connections asks the workers in the order of their slots, a few at a time, until there
// are as many connections as are to be listed.
func (a api) connections(r *http.Request) (any, error) {
	values, err := parameters(r)
	if err != nil {
		return nil, err
	}
	q, err := parseListQuery(values)
	if err != nil {
		return nil, err
	}
	workers, err := a.workers(r)
	if err != nil {
		return nil, err
	}
	if q.worker >= 0 {
		w, err := findWorker(workers, q.worker)
		if err != nil {
			return nil, err
		}
		workers = []askable{*w}
	}
	workers = slices.DeleteFunc(workers, func(w askable) bool { return w.slot < q.slot })
	select {
	case a.lists <- struct{}{}:
		defer func() { <-a.lists }()
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	return q.ask(r.Context(), workers), r.Context().Err()
}

// ask lists connections of the workers.
func (q *listQuery) ask(ctx context.Context, workers []askable) *Connections {
	all := &Connections{Connections: []Connection{}}
	for len(workers) > 0 && ctx.Err() == nil {
		now := workers[:q.together(workers, q.limit-len(all.Connections))]
		answers := make([]listing, len(now))
		var asked sync.WaitGroup
		for i := range now {
			asked.Go(func() { answers[i] = q.list(ctx, &now[i], q.limit-len(all.Connections)) })
		}
		asked.Wait()
		for i := range now {
			if len(all.Connections) == q.limit {
				all.Cursor = fmt.Sprintf("%d.0", now[i].slot)
				return all
			}
			if all.add(&now[i], &answers[i], q.limit) {
				return all
			}
		}
		workers = workers[len(now):]
		if len(all.Connections) == q.limit && len(workers) > 0 {
			all.Cursor = fmt.Sprintf("%d.0", workers[0].slot)
			return all
		}
	}
	return all
}

// together returns how many of the workers are to be asked at a time: no more than are likely
// to be needed for so many connections.
func (q *listQuery) together(workers []askable, wanted int) (n int) {
	for n < min(listedTogether, len(workers)) && (wanted > 0 || q.listener != "") {
		wanted -= workers[n].connections
		n++
	}
	return n
}

// add adds what a worker has said, and reports whether it has more.
func (all *Connections) add(w *askable, l *listing, limit int) (more bool) {
	room := min(limit-len(all.Connections), len(l.conns))
	for _, c := range l.conns[:room] {
		all.Connections = append(all.Connections, Connection{
			ID: c.ID, Worker: w.slot, Listener: c.Listener, Remote: c.Remote, Local: c.Local, AgeMS: c.AgeMS, IdleMS: c.IdleMS,
			Held: c.Held, Phase: c.Phase, TLS: c.TLS, Movable: c.Movable, About: c.About,
		})
	}
	all.Unlisted += l.unlisted
	cursor := l.cursor
	if room < len(l.conns) {
		cursor = l.conns[room].Position
	}
	if cursor != 0 {
		all.Cursor = w.cursor(cursor)
		return true
	}
	if l.err != nil {
		silent := UnlistedWorker{Unanswered: w.unanswered(l.err)}
		if l.broken != 0 {
			silent.Cursor = w.cursor(l.broken)
		}
		all.Unanswered = append(all.Unanswered, silent)
	}
	return false
}

// cursor is what to ask with for what a worker has from a position on.
func (w *askable) cursor(position uint64) string { return fmt.Sprintf("%d.%d", w.slot, position) }

// listing is what one worker has listed.
type listing struct {
	conns    []ipc.ListedConn
	unlisted int
	cursor   uint64 // where there are more; 0: there are not
	err      error  // why it is not whole
	broken   uint64 // with an error: where the list broke off; 0: at its beginning
}

// list asks one worker for as many as limit connections.
func (q *listQuery) list(ctx context.Context, w *askable, limit int) (l listing) {
	question := ipc.List{Limit: limit, Listener: q.listener}
	if w.slot == q.slot {
		question.Cursor = q.position
	}
	first := question.Cursor == 0 // else the page before has told what is not listed
	for begun := time.Now(); ; {
		m, _, _, err := w.ask(ctx, question, listLimit)
		if err != nil {
			l.err, l.broken = err, question.Cursor
			return l
		}
		listed := m.(ipc.Listed) // it is checked
		l.conns = append(l.conns, listed.Connections...)
		if first {
			l.unlisted = listed.Unlisted
		}
		question.Limit -= len(listed.Connections)
		question.Cursor = listed.Cursor
		switch {
		case listed.Cursor == 0:
			return l
		case question.Limit == 0:
			l.cursor = listed.Cursor
			return l
		case time.Since(begun) > listingLimit:
			l.err, l.broken = fmt.Errorf("its list has no end within %v", listingLimit), question.Cursor
			return l
		}
	}
}
