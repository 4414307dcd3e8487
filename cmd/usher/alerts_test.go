package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// Each alert of docs/alerts.yml fires when its fault is made, at a server of its own, and no
// other does there; at servers that are well, one of lines that is reloaded and upgraded, and one
// of HTTP and TLS, none does. Each query of docs/grafana.json is understood, and has an answer.
//
// Time goes sixty times as fast as for those who use the rules: each minute in them, of a
// window and of how long something must last, is made a second, and Prometheus scrapes each
// 250 ms instead of each 15 s. Nothing else in the rules changes.
func TestAlertsFire(t *testing.T) {
	t.Parallel()
	rules := quickened(t)
	p := startPrometheus(t, 250*time.Millisecond, rules)
	faults := newFaults(t)
	want := make(map[string]string) // an alert, by the server that has its fault
	for _, f := range faults {
		want[f.alert] = f.alert
	}
	for _, match := range regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(rules, -1) {
		if name := match[1]; name != absentAlert && want[name] == "" {
			t.Errorf("no fault is made for %s", name)
		}
	}
	p.fire(map[string]string{"": absentAlert}, func(string) {}) // there is no server yet

	for i := range faults {
		faults[i].server = launchWatched(t, self(), faults[i].args...)
	}
	file := install(t)
	well := launchWatched(t, file.path, "--workers", "2", "--", self(), "worker-own")
	web := launchWatched(t, self(), secured(t)...)
	for _, f := range faults {
		p.watchServer(f.alert, f.server)
	}
	p.watchServer("well", well)
	p.watchServer("well web", web)
	p.allScraped()
	for _, f := range faults {
		f.make(f.server)
	}
	stop := visitOften(well, web)
	well.reload()
	file.replace()
	well.succeeds("upgrade")
	p.fire(want, func(missed string) {
		for _, f := range faults {
			if f.alert == missed && f.again {
				f.make(f.server)
			}
		}
	})
	p.answersDashboard()
	stop()
	p.firedOnly(faults)
	well.stop()
}

// absentAlert is of no server.
const absentAlert = "UsherAbsent"

// quickened returns the alert rules with seconds for minutes.
func quickened(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	return regexp.MustCompile(`(for: |\[)(\d+)m\b`).ReplaceAllString(string(text), "${1}${2}s")
}

// fault is one that an alert is for.
type fault struct {
	alert string
	args  []string        // of the server
	make  func(s *server) // makes it; if that takes more than once, it begins to
	again bool            // a single event, which a Prometheus that has no time may miss
	also  []string        // other alerts that it is right to have, or may be

	server *server
}

// launchWatched starts a server that Prometheus can scrape, and does not wait for it.
func launchWatched(t *testing.T, path string, args ...string) *server {
	t.Helper()
	cmd, mark := command()
	cmd.Path = path
	return launch(t, cmd, mark, append([]string{"--admin", "127.0.0.1:0"}, args...)...)
}

// watchServer waits for a server, and has it scraped.
func (p *prometheus) watchServer(instance string, s *server) {
	p.t.Helper()
	s.awaitStart()
	p.watch(instance, s.adminAddress())
}

// firing returns the names of the alerts that fire now, by instance.
func (p *prometheus) firing() (map[string][]string, error) {
	var data struct {
		Alerts []struct {
			Labels map[string]string
			State  string
		}
	}
	err := p.get("/api/v1/alerts", &data)
	firing := make(map[string][]string)
	for _, alert := range data.Alerts {
		if instance := alert.Labels["instance"]; alert.State == "firing" {
			firing[instance] = append(firing[instance], alert.Labels["alertname"])
		}
	}
	return firing, err
}

// fire waits until of each instance its alert has fired. Some do so for a while only. missed
// is called for those that have not yet, each time that what has been is forgotten.
func (p *prometheus) fire(want map[string]string, missed func(instance string)) {
	p.t.Helper()
	forgotten := time.NewTicker(15 * time.Second) // the longest window is of 10
	defer forgotten.Stop()
	const enough = 2 * time.Minute // ten times what the slowest one takes, which has to last
	waiting := maps.Clone(want)
	pace := time.NewTicker(50 * time.Millisecond)
	defer pace.Stop()
	for deadline := time.Now().Add(enough); len(waiting) > 0; <-pace.C {
		firing, err := p.firing()
		maps.DeleteFunc(waiting, func(instance, alert string) bool { return slices.Contains(firing[instance], alert) })
		select {
		case <-forgotten.C:
			for instance := range waiting {
				missed(instance)
			}
		default:
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("within %v there fired no %v; %v fire, %v", enough, waiting, firing, err)
		}
	}
}

// firedOnly checks that by each fault its alert has fired, and no other; without a fault none.
func (p *prometheus) firedOnly(faults []fault) {
	p.t.Helper()
	fired := make(map[string][]string)
	for _, s := range p.ask(`last_over_time(ALERTS{alertstate="firing"}[10m])`) {
		fired[s.Metric["instance"]] = append(fired[s.Metric["instance"]], s.Metric["alertname"])
	}
	check := func(instance string, want, also []string) {
		p.t.Helper()
		got := slices.DeleteFunc(fired[instance], func(alert string) bool {
			return slices.Contains(also, alert) || !slices.Contains(want, alert) && p.wasBusy(alert, instance)
		})
		if !slices.Equal(got, want) {
			p.t.Errorf("of %q there fired %q, want %q", instance, got, want)
		}
	}
	check("", []string{absentAlert}, nil)
	check("well", nil, nil)
	check("well web", nil, nil)
	for _, f := range faults {
		check(f.alert, []string{f.alert}, f.also)
	}
}

// ofBusyMachine has alerts that a machine may have that has no processor to spare, whatever server they
// are of; and what Prometheus has of an instance if they were right.
var ofBusyMachine = map[string]string{
	"UsherDown":       `min_over_time(up{$}[10m]) == 0`, // an answer took longer than 250 ms
	"UsherQueueWaits": `usher_queue_wait_seconds_count{$} > ignoring (le) usher_queue_wait_seconds_bucket{$,le="0.25"}`,
	"UsherLoopLags":   `usher_loop_lag_seconds_count{$} > ignoring (le) usher_loop_lag_seconds_bucket{$,le="0.1"}`,
	"UsherMovesPause": `usher_move_pause_seconds_count{$} > ignoring (le) usher_move_pause_seconds_bucket{$,le="0.5"}`,
}

// wasBusy reports whether an alert that no fault was made for was right.
func (p *prometheus) wasBusy(alert, instance string) bool {
	p.t.Helper()
	expr := ofBusyMachine[alert]
	if expr == "" || len(p.ask(strings.ReplaceAll(expr, "$", fmt.Sprintf("instance=%q", instance)))) == 0 {
		return false
	}
	p.t.Logf("%s was right of %q: the processors were busy", alert, instance)
	return true
}

// quiet is what the dashboard shows of servers to which none of it happens, as 0.
const quiet = "usher_worker_buffered_bytes rate(usher_tls_resumed_total rate(usher_proxy_refused_total"

// answersDashboard asks for all that the dashboard shows of the servers: there must be
// something to show, once all faults were made.
func (p *prometheus) answersDashboard() {
	p.t.Helper()
	text, err := os.ReadFile("../../docs/grafana.json")
	if err != nil {
		p.t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		p.t.Fatal(err)
	}
	asked := 0
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			asked++
			expr := strings.NewReplacer("$__rate_interval", "1m", "$instance", ".*").Replace(target.Expr)
			name, _, _ := strings.Cut(target.Expr, "{")
			until(p.t, panel.Title+" is shown", func() (bool, string) { // a scrape that fails hides it for a moment
				shown := p.ask(expr)
				some := slices.ContainsFunc(shown, func(s series) bool { return s.Value.value > 0 }) // NaN is not
				return some || len(shown) > 0 && strings.Contains(quiet, name), fmt.Sprintf("%s: %v", expr, shown)
			})
		}
	}
	if asked < 30 {
		p.t.Errorf("the dashboard asks for %d things only", asked)
	}
}
