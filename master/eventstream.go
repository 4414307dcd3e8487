package master

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// errBusy is what errors about a request wrap that can be tried again later.
var errBusy = errors.New("too many clients")

// eventRequest is what a client asks for by GET /v1/events.
type eventRequest struct {
	since  uint64 // the last id that it has
	begins bool   // it has none: it is given all that is kept
	follow bool   // it waits for what comes
}

// parseEventRequest reads the query and the header Last-Event-ID, by which a browser's
// EventSource resumes (HTML Living Standard, 9.2.4); the header wins, for the query is the
// one with which that began.
func parseEventRequest(r *http.Request) (q eventRequest, err error) {
	query, err := parameters(r)
	if err != nil {
		return q, err
	}
	q = eventRequest{begins: true, follow: true}
	for name, values := range query {
		switch name {
		case "since":
			q.begins = false
			q.since, err = strconv.ParseUint(values[len(values)-1], 10, 64)
		case "follow":
			q.follow, err = strconv.ParseBool(values[len(values)-1])
		default:
			err = errors.New("want since, an id, and follow, true or false")
		}
		if err != nil {
			return q, fmt.Errorf("%w: %s: %w", errRequest, name, err)
		}
	}
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		q.begins = false
		if q.since, err = strconv.ParseUint(id, 10, 64); err != nil {
			return q, fmt.Errorf("%w: Last-Event-ID: %w", errRequest, err)
		}
	}
	return q, nil
}

// events answers GET /v1/events with server-sent events, for as long as the client
// stays, or until its session ends: by an upgrade, after which the client resumes by the
// last id that it has, or with the server. It has no place among the clients of the
// session, so it keeps no other from asking.
func (a api) events(w http.ResponseWriter, r *http.Request) {
	q, err := parseEventRequest(r)
	if err == nil && !a.supervisor.events.enter() {
		err = fmt.Errorf("%w: %d follow the events", errBusy, maxEventReaders)
	}
	if err != nil {
		write(w, nil, err)
		return
	}
	defer a.supervisor.events.leave()
	client := r.Context().Value(clientKey{}).(*controlClient)
	client.session.leavePlace(client.conn)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	s := eventStream{log: a.supervisor.events, to: w, control: http.NewResponseController(w)}
	s.run(q, client.session.ending, r.Context().Done())
}

// eventStream is one client that reads events. One goroutine, which is that of its
// request, runs it.
type eventStream struct {
	log     *eventLog
	to      http.ResponseWriter
	control *http.ResponseController
	id      uint64 // the last that was written
}

// maxEventWrite is about how many bytes of events are written at a time.
const maxEventWrite = 32 << 10

// run writes events until the client is gone, or does not read for readingLimit; until
// there are no more, if it does not follow; or until ending is closed.
func (s *eventStream) run(q eventRequest, ending, gone <-chan struct{}) {
	before, last := s.log.bounds()
	s.id = q.since
	var hello []byte
	switch {
	case q.begins:
		s.id = before
	case q.since > last: // which is an id of another server's
		s.id = before
		hello = missedEvents(before, before, true)
	}
	if !s.write(append([]byte("retry: 1000\n\n"), hello...)) {
		return
	}
	for ended := false; ; {
		events, missed, changed := s.log.after(s.id, maxEventWrite)
		if len(events) > 0 {
			if !s.writeEvents(events, missed) {
				return
			}
			continue
		}
		if !q.follow || ended {
			return
		}
		select {
		case <-changed:
		case <-ending:
			ended = true // after what came at the end
		case <-gone:
			return
		}
	}
}

func (s *eventStream) writeEvents(events []event, missed uint64) bool {
	var text []byte
	if missed > 0 {
		text = missedEvents(missed, events[0].id-1, false)
	}
	for _, e := range events {
		text = fmt.Appendf(text, "id: %d\ndata: %s\n\n", e.id, e.text)
		s.id = e.id
	}
	return s.write(text)
}

// missedEvents says how many events up to an id are kept no more. other: the client's id
// is another server's, so some of that may have been missed too.
func missedEvents(count, upTo uint64, other bool) []byte {
	var text bytes.Buffer
	fmt.Fprintf(&text, "id: %d\nevent: missed\ndata: {\"count\":%d,\"other_server\":%t}\n\n", upTo, count, other)
	return text.Bytes()
}

// write reports whether the client has taken the text, or its socket has room for it.
func (s *eventStream) write(text []byte) bool {
	_ = s.control.SetWriteDeadline(time.Now().Add(readingLimit)) // a socket has deadlines
	if _, err := s.to.Write(text); err != nil {
		return false
	}
	return s.control.Flush() == nil
}
