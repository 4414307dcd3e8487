package master

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/usher-go/usher/ipc"
)

// lister is a worker's process that lists connections, or something else.
type lister struct {
	process // of which nothing else is used
	list    func(ctx context.Context, q ipc.List) (ipc.Listed, error)
}

func (l lister) Ask(ctx context.Context, q ipc.Question) (m ipc.Message, memory *os.File, bytes int64, err error) {
	m, err = l.list(ctx, q.(ipc.List))
	return m, nil, 0, err
}

// has is a worker that has so many connections, and lists perPage of them in a message. Of two
// more it says nothing.
func has(count, perPage int) lister {
	return lister{list: func(_ context.Context, q ipc.List) (listed ipc.Listed, _ error) {
		listed.Unlisted = 2
		for at := q.Cursor; at < uint64(count); at++ {
			if len(listed.Connections) == min(perPage, q.Limit) {
				listed.Cursor = at
				break
			}
			listed.Connections = append(listed.Connections, ipc.ListedConn{Position: at, ID: at})
		}
		return listed, nil
	}}
}

// hangs is a worker that never answers.
func hangs() lister {
	return lister{list: func(ctx context.Context, _ ipc.List) (listed ipc.Listed, err error) {
		<-ctx.Done()
		return listed, ctx.Err()
	}}
}

// goesOn is one whose list has no end, and nothing in it.
func goesOn() lister {
	return lister{list: func(_ context.Context, q ipc.List) (listed ipc.Listed, err error) {
		time.Sleep(10 * time.Millisecond)
		listed.Cursor = q.Cursor + 1
		return listed, nil
	}}
}

func workersOf(processes ...lister) (workers []askable) {
	for i, p := range processes {
		workers = append(workers, askable{slot: 2 * i, ready: true, connections: 5, asks: []string{ipc.AskList}, process: p})
	}
	return workers
}

// from returns the workers that a cursor leaves.
func from(workers []askable, q listQuery) (left []askable) {
	for _, w := range workers {
		if w.slot >= q.slot {
			left = append(left, w)
		}
	}
	return left
}

// Pages have each connection once, whatever their length, and however workers list.
func TestConnectionsInPages(t *testing.T) {
	var crowd []lister
	for i := range 3 * listedTogether {
		crowd = append(crowd, has(i%3, 1))
	}
	for _, test := range []struct {
		name      string
		processes []lister
		total     int
	}{
		{"none", nil, 0},
		{"workers without any", []lister{has(0, 1), has(0, 1)}, 0},
		{"a few", []lister{has(3, 50), has(0, 50), has(5, 2), has(1, 1)}, 9},
		{"many workers", crowd, 3 * listedTogether},
	} {
		for _, limit := range []int{1, 2, 3, 4, 9, 100} {
			seen, unlisted := make(map[string]bool), 0
			parameters := url.Values{"limit": {fmt.Sprint(limit)}}
			for pages := 0; ; pages++ {
				q, err := parseListQuery(parameters)
				if err != nil {
					t.Fatal(err)
				}
				all := q.ask(t.Context(), from(workersOf(test.processes...), q))
				unlisted += all.Unlisted
				for _, c := range all.Connections {
					seen[fmt.Sprintf("%d of %d", c.ID, c.Worker)] = true
				}
				if len(all.Connections) > limit || len(all.Unanswered) > 0 || pages > test.total+1 {
					t.Fatalf("%s by %d: %+v", test.name, limit, all)
				}
				if all.Cursor == "" {
					break
				}
				parameters.Set("cursor", all.Cursor)
			}
			if len(seen) != test.total || unlisted != 2*len(test.processes) {
				t.Errorf("%s by %d: %d of %d, and %d unlisted", test.name, limit, len(seen), test.total, unlisted)
			}
		}
	}
}

// Workers that do not answer are named, in bounded time, and the others are listed.
func TestConnectionsOfTheSilent(t *testing.T) {
	refuses := lister{list: func(context.Context, ipc.List) (listed ipc.Listed, err error) {
		return listed, errors.New("out of order")
	}}
	synctest.Test(t, func(t *testing.T) {
		workers := workersOf(has(2, 50), hangs(), goesOn(), refuses, has(1, 50), has(3, 50), has(3, 50))
		workers[5].asks, workers[6].ready = nil, false
		q := listQuery{worker: -1, limit: 100}
		begun := time.Now()
		all := q.ask(t.Context(), workers)
		if took := time.Since(begun); took > 2*listingLimit { // on the fake clock
			t.Errorf("it took %v", took)
		}
		var why []string
		for _, u := range all.Unanswered {
			why = append(why, fmt.Sprintf("%d: %s", u.Worker, u.Error))
			if u.Connections != 5 {
				t.Errorf("worker %d: %d connections", u.Worker, u.Connections)
			}
		}
		want := []string{"2: no answer within 50ms", "4: its list has no end within 1s", "6: out of order",
			"10: " + errNotAsked.Error(), "12: " + errNotReady.Error()}
		if !reflect.DeepEqual(why, want) || len(all.Connections) != 3 || all.Cursor != "" {
			t.Errorf("%q, %d connections, cursor %q; want %q", why, len(all.Connections), all.Cursor, want)
		}
	})
}

// A list that breaks off says where: what was not listed can be asked for.
func TestConnectionsBrokenOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		whole, broken := has(5, 2), true
		breaks := lister{list: func(ctx context.Context, q ipc.List) (listed ipc.Listed, err error) {
			if broken && q.Cursor == 4 {
				<-ctx.Done()
				return listed, ctx.Err()
			}
			return whole.list(ctx, q)
		}}
		workers := workersOf(has(1, 1), breaks, has(1, 1))
		q := listQuery{worker: -1, limit: 100}
		all := q.ask(t.Context(), workers)
		if len(all.Connections) != 6 || all.Cursor != "" || len(all.Unanswered) != 1 || all.Unanswered[0].Cursor != "2.4" {
			t.Fatalf("%+v, want 4 of worker 2, one of each other, and where to go on", all)
		}
		q, err := parseListQuery(url.Values{"cursor": {all.Unanswered[0].Cursor}, "worker": {"2"}})
		if err != nil {
			t.Fatal(err)
		}
		for _, heals := range []bool{false, true} {
			broken = !heals
			rest := q.ask(t.Context(), workers[1:2])
			if heals && (len(rest.Connections) != 1 || rest.Connections[0].ID != 4 || len(rest.Unanswered) != 0) {
				t.Errorf("%+v, want the last one", rest)
			}
			if !heals && (len(rest.Unanswered) != 1 || rest.Unanswered[0].Cursor != "2.4") {
				t.Errorf("%+v, want the same cursor", rest)
			}
		}
	})
}

// Two hundred workers that hang cost a client a second or two, and nobody else.
func TestConnectionsOfManySilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all []lister
		for range 200 {
			all = append(all, hangs())
		}
		q := listQuery{worker: -1, limit: 100}
		begun := time.Now()
		if got := q.ask(t.Context(), workersOf(all...)); len(got.Unanswered) != 200 {
			t.Errorf("%d are unanswered", len(got.Unanswered))
		}
		if took := time.Since(begun); took != 200/listedTogether*listLimit {
			t.Errorf("it took %v", took)
		}
	})
}

// A client that goes is served no longer.
func TestConnectionsWithoutClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		begun := time.Now()
		time.AfterFunc(time.Millisecond, cancel)
		q := listQuery{worker: -1, limit: 100}
		q.ask(ctx, workersOf(hangs(), hangs(), hangs(), hangs(), hangs(), hangs(), hangs(), hangs(), hangs()))
		if took := time.Since(begun); took != time.Millisecond {
			t.Errorf("it went on for %v", took)
		}
	})
}

// Workers whose connections are not needed are not asked.
func TestConnectionsAskFewWorkers(t *testing.T) {
	var asked atomic.Int32
	crowded := lister{list: func(context.Context, ipc.List) (listed ipc.Listed, _ error) {
		asked.Add(1)
		listed.Connections = make([]ipc.ListedConn, 5)
		return listed, nil
	}}
	workers := workersOf(crowded, crowded, crowded, crowded, crowded) // each has 5
	for _, test := range []struct {
		q    listQuery
		want int32
	}{
		{listQuery{worker: -1, limit: 1}, 1},
		{listQuery{worker: -1, limit: 5}, 1},
		{listQuery{worker: -1, limit: 6}, 2},
		{listQuery{worker: -1, limit: 100}, 5},
		{listQuery{worker: -1, limit: 1, listener: "web"}, 5},
	} {
		asked.Store(0)
		if test.q.ask(t.Context(), workers); asked.Load() != test.want {
			t.Errorf("%+v: %d were asked, want %d", test.q, asked.Load(), test.want)
		}
	}
}

func TestParseListQuery(t *testing.T) {
	tests := []struct {
		query string
		want  listQuery
		err   string // empty: it is one
	}{
		{"", listQuery{worker: -1, limit: 100}, ""},
		{"worker=3&listener=web&limit=1000&cursor=4.1024", listQuery{3, "web", 1000, 4, 1024}, ""},
		{"limit=0", listQuery{}, `"0", want 1 to 1000`},
		{"limit=-1", listQuery{}, `"-1", want 1 to 1000`},
		{"limit=1001", listQuery{}, "want 1 to 1000"},
		{"limit=NaN", listQuery{}, "want 1 to 1000"},
		{"limit=1e3", listQuery{}, "want 1 to 1000"},
		{"limit=", listQuery{}, "want 1 to 1000"},
		{"limit=1&limit=2", listQuery{}, "limit is there twice"},
		{"worker=-1", listQuery{}, `"-1" is no slot`},
		{"worker=master", listQuery{}, `"master" is no slot`},
		{"cursor=1", listQuery{}, "is no cursor"},
		{"cursor=1.-1", listQuery{}, "is no cursor"},
		{"cursor=-1.1", listQuery{}, "is no cursor"},
		{"cursor=1.2.3", listQuery{}, "is no cursor"},
		{"cursor=x.y", listQuery{}, "is no cursor"},
		{"cursor=1.99999999999999999999", listQuery{}, "is no cursor"},
		{"slot=1", listQuery{}, `"slot", want worker, listener, limit or cursor`},
	}
	for _, test := range tests {
		parameters, err := url.ParseQuery(test.query)
		if err != nil {
			t.Fatal(err)
		}
		got, err := parseListQuery(parameters)
		if test.err == "" && err != nil || test.err != "" && (!errors.Is(err, errRequest) || !strings.Contains(err.Error(), test.err)) || got != test.want {
			t.Errorf("%s: %+v, %v; want %+v, %s", test.query, got, err, test.want, test.err)
		}
	}
}
