package main

import (
	"testing"
	"time"

	"github.com/usher-go/usher/master"
)

// What workers of a tree before this one do not count is absent, and not 0: of those that
// its master has started, and of those that this one has. Workers of this tree count it, and
// then there is a total.
func upgradedCounting(t *testing.T, old string) {
	const clients = 20
	began := time.Now()
	a := serveBefore(t, old, "worker-summing", "--workers", "2")
	c := gather(t, a.address, clients)
	a.until("all are there", complete(2, clients))
	a.upgrade(nil)
	absent := func(when string) {
		t.Helper()
		status := a.until("all are there", complete(2, clients))
		if n, there := status.Counters["bytes_received"]; there {
			t.Errorf("%s: %d bytes in all", when, n)
		}
		if _, there := status.Counters["handshakes"]; !there {
			t.Errorf("%s: without handshakes, which they count: %v", when, status.Counters)
		}
		for _, worker := range status.Workers {
			if _, there := worker.Counters["turns"]; there || worker.BytesIn != nil || worker.CPUSeconds == nil || worker.RSSBytes == nil {
				t.Errorf("%s: %+v", when, worker)
			}
		}
		if s := status.Started; s.Before(began.Add(-time.Minute)) || s.After(time.Now()) {
			t.Errorf("%s: started %v, the test at %v", when, s, began)
		}
	}
	absent("after the upgrade")
	if got := a.ask("reload"); got.code != 0 { // the program is the old one still
		t.Errorf("reload: %+v", got)
	}
	absent("started by this master")
	a.renew("worker-summing")
	a.until("they count", func(status master.Status) bool {
		return complete(2, clients)(status) && status.Counters["bytes_received"] > 0 && status.Workers[0].BytesIn != nil && status.Workers[1].BytesIn != nil
	})
	a.leaveAll(c, clients)
	a.finish(2)
}
