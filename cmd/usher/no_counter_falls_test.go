package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

// Prometheus scrapes a server each second, while workers are killed, added and removed, and
// reloads and upgrades replace them and the master's program, under clients that come and go
// and such that stay. No scrape is refused or breaks off, no counter goes down or is gone for a moment, and at
// the end they say what status says. Beside it Prometheus scrapes a target that does all of
// that wrong, and what is looked for is found there.
func TestNoCounterFalls(t *testing.T) {
	t.Parallel()
	scrapes := sized(6, 60)
	p := startPrometheus(t, scrapePace, "")
	file := install(t)
	s := file.serve("--workers", "2", "--max-workers", "6", "--admin", "127.0.0.1:0", "--", self(), "worker-own")
	p.watch("server", s.adminAddress())
	p.watch("wrong", wrongTarget(t))
	p.allScraped()

	var visits, failed atomic.Int64
	var stops []func()
	for range 4 {
		stops = append(stops, meanwhile(t, func() bool {
			visits.Add(1)
			if shortVisit(s.address) != nil { // a worker was killed
				failed.Add(1)
			}
			<-time.After(5 * time.Millisecond) // the load is to leave time for the acts
			return true
		}))
		stops = append(stops, staysAndAsks(t, s.address))
	}
	all := s.disturbances()
	rounds, upgrades := 0, 0
	for ; upgrades == 0 || min(p.scrapes("server"), p.scrapes("wrong")) < scrapes; rounds++ {
		for _, disturb := range all {
			disturb()
		}
		// What it forgets is not made up for before the next scrape.
		if p.scrapes("server") >= 3*upgrades+2 {
			file.replace()
			s.succeeds("upgrade")
			upgrades++
		}
	}
	for _, stop := range stops {
		stop()
	}
	status := s.until("at rest", func(status master.Status) bool {
		return ready(2)(status) && status.Connections.Active+status.Connections.Queued == 0
	})
	p.agrees("server", status)

	counters := p.counters("server")
	if wrong := p.faults("server", counters); len(wrong) > 0 {
		t.Errorf("%d faults: %s", len(wrong), strings.Join(wrong, "\n"))
	}
	want := []string{"a scrape failed", "wrong_falls_total{} fell", "wrong_falls_total{} was reset", "wrong_goes_total{} was gone"}
	if got := p.faults("wrong", p.counters("wrong")); !slices.Equal(got, want) {
		t.Errorf("of the target that does wrong it found %q, want %q", got, want)
	}
	if len(counters) < 30 {
		t.Errorf("only %d metrics count: %q", len(counters), counters)
	}
	t.Logf("%d scrapes of %d metrics that count, %d disturbances and %d upgrades, %d visits, %d failed; %+v",
		p.scrapes("server"), len(counters), rounds*len(all), upgrades, visits.Load(), failed.Load(), status.Connections)
	s.stop()
}

// scrapePace is how often Prometheus scrapes, and how long it waits for an answer.
const scrapePace = time.Second

// disturbances are what operators and accidents do to workers. Each returns when it is over.
func (s *server) disturbances() []func() {
	replacing := func(disturb func(victim int)) func() {
		return func() {
			s.t.Helper()
			victim := s.until("both are ready", ready(2)).Workers[0].PID
			disturb(victim)
			s.until("it is replaced", func(status master.Status) bool {
				return ready(2)(status) && !slices.Contains(pids(status), victim)
			})
		}
	}
	scaling := func(by string, workers int) func() {
		return func() {
			s.t.Helper()
			s.succeeds("scale", by)
			s.until("scaled", ready(workers))
		}
	}
	killed := replacing(func(victim int) { kill(s.t, victim, unix.SIGKILL) })
	return []func(){
		killed, replacing(func(int) { s.succeeds("reload") }), killed, scaling("+2", 4), scaling("-2", 2),
	}
}

// succeeds runs a command for the server.
func (s *server) succeeds(args ...string) {
	s.t.Helper()
	if got := s.ask(args...); got.code != 0 {
		s.t.Fatalf("usher %v: %+v", args, got)
	}
}

// staysAndAsks has a client stay, and ask again and again, until its worker is killed with
// it; then another takes its place.
func staysAndAsks(t *testing.T, address string) (stop func()) {
	var c *client
	leave := func() {
		if c != nil {
			_ = c.conn.Close() // what it has to say is said
			c = nil
		}
	}
	quit := meanwhile(t, func() (again bool) {
		var err error
		if c == nil {
			c, err = connect(address)
		}
		if err == nil {
			_, err = c.exchange("still here")
		}
		if err != nil {
			leave()
		}
		<-time.After(5 * time.Millisecond) // as above
		return true
	})
	return func() { quit(); leave() }
}

// adminAddress is where Prometheus is answered.
func (s *server) adminAddress() string {
	s.t.Helper()
	_, address, _ := strings.Cut(s.log.await(s.t, 1, "serving metrics: address="), "address=")
	return address
}

// wrongTarget answers as no server must: the third scrape fails, at the fourth one counter has
// fallen and another is gone, which the fifth has again.
func wrongTarget(t *testing.T) (address string) {
	var scrapes atomic.Int64
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n := scrapes.Add(1)
		falls := 10 + n
		switch n {
		case 3:
			http.Error(w, "not now", http.StatusServiceUnavailable)
			return
		case 4:
			falls = 1
		default:
			_, _ = io.WriteString(w, "# TYPE wrong_goes_total counter\nwrong_goes_total 7\n") // Prometheus reads on
		}
		fmt.Fprintf(w, "# TYPE wrong_falls_total counter\nwrong_falls_total %d\n# TYPE wrong_gauge gauge\nwrong_gauge %d\n", falls, -n)
	}))
	t.Cleanup(target.Close)
	return target.Listener.Addr().String()
}

// scrapes returns how many Prometheus has made of an instance.
func (p *prometheus) scrapes(instance string) int {
	p.t.Helper()
	return len(p.ask(fmt.Sprintf("up{instance=%q}[10m]", instance))[0].Values)
}

// counters returns the names of an instance's metrics that only go up, as samples have them.
func (p *prometheus) counters(instance string) (names []string) {
	p.t.Helper()
	var metadata []struct{ Metric, Type string }
	if err := p.get("/api/v1/targets/metadata?match_target="+fmt.Sprintf("{instance=%q}", instance), &metadata); err != nil {
		p.t.Fatal(err)
	}
	for _, m := range metadata {
		switch m.Type {
		case "counter":
			names = append(names, strings.TrimSuffix(m.Metric, "_total")+"_total") // OpenMetrics has it with samples alone
		case "histogram":
			names = append(names, m.Metric+"_bucket", m.Metric+"_count", m.Metric+"_sum")
		}
	}
	slices.Sort(names)
	return names
}

// faults returns what has gone wrong with scrapes and counters of an instance, by all samples
// that Prometheus has, and by its own resets().
func (p *prometheus) faults(instance string, counters []string) (wrong []string) {
	p.t.Helper()
	of := fmt.Sprintf("{instance=%q}[10m]", instance)
	var answered []float64 // when it was scraped
	for _, up := range p.ask("up" + of)[0].Values {
		if up.value == 1 {
			answered = append(answered, up.at)
		} else if p.tookTooLong(instance, up.at) {
			p.t.Logf("a scrape of %q took longer than %v: the processors were busy", instance, scrapePace)
		} else {
			wrong = append(wrong, "a scrape failed")
		}
	}
	for _, name := range counters {
		all := p.ask(name + of)
		if len(all) == 0 {
			wrong = append(wrong, name+" has no value")
		}
		for _, s := range all {
			if s.fell() {
				wrong = append(wrong, s.String()+" fell")
			}
			if s.wasGone(answered) {
				wrong = append(wrong, s.String()+" was gone")
			}
		}
		for _, s := range p.ask("resets(" + name + of + ") > 0") {
			wrong = append(wrong, name+s.String()+" was reset")
		}
	}
	slices.Sort(wrong)
	return wrong
}

// tookTooLong reports whether a scrape of that time had no answer when Prometheus gave it up.
func (p *prometheus) tookTooLong(instance string, at float64) bool {
	p.t.Helper()
	took := p.ask(fmt.Sprintf("scrape_duration_seconds{instance=%q}[10m]", instance))[0].Values
	return slices.ContainsFunc(took, func(v scraped) bool { return v.at == at && v.value >= scrapePace.Seconds() })
}

// fell reports whether a value is less than the one before.
func (s *series) fell() bool {
	for i := range s.Values[1:] {
		if s.Values[i+1].value < s.Values[i].value {
			return true
		}
	}
	return false
}

// wasGone reports whether there is no value of one of the scrapes since the first that had one.
func (s *series) wasGone(scrapes []float64) bool {
	for _, at := range scrapes {
		if at >= s.Values[0].at && !slices.ContainsFunc(s.Values, func(v scraped) bool { return v.at == at }) {
			return true
		}
	}
	return false
}

// agrees waits until Prometheus has, as the last values of an instance, what a status says.
func (p *prometheus) agrees(instance string, status master.Status) {
	p.t.Helper()
	c := status.Connections
	want := map[string]float64{
		"sum(usher_connections_accepted_total{$})": float64(c.Accepted), "usher_connections_closed_total{$}": float64(c.Closed),
		"usher_connections_lost_total{$}": float64(c.Lost), "usher_connections_moved_total{$}": float64(c.Moved),
		"sum(usher_connections_refused_total{$})": float64(c.Refused), "usher_connections_cut_total{$}": float64(c.Cut),
		"sum(usher_connections_active{$})": 0, "sum(usher_queue_connections{$})": 0,
		"usher_generation{$}": float64(status.Generation), "usher_workers_wanted{$}": float64(status.Wanted),
		"usher_start_time_seconds{$}": float64(status.Started.UnixMilli()) / 1000,
	}
	for _, name := range []string{"bytes_received", "bytes_sent", "reads"} {
		want["usher_worker_"+name+"_total{$}"] = float64(status.Counters[name])
	}
	for reason, n := range status.RestartsBy {
		want[fmt.Sprintf("usher_worker_restarts_total{$,reason=%q}", reason)] = float64(n)
	}
	for _, own := range status.Own {
		if own.Histogram == nil {
			want[own.Name+"{$}"] = own.Value
		}
	}
	for expr, value := range want {
		expr = strings.ReplaceAll(expr, "$", fmt.Sprintf("instance=%q", instance))
		until(p.t, expr+" agrees with status", func() (bool, string) {
			got, err := p.query(expr)
			return err == nil && len(got) == 1 && got[0].Value.value == value, fmt.Sprintf("%v, %v, want %v", got, err, value)
		})
	}
}
