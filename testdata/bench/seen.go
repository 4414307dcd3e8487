package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// watched is usher while everybody looks: see watch.
var watched = &server{name: "**usher**, watched", argv: usher.argv}

// seenCost compares traffic while everybody looks with traffic while nobody does.
func (b *bench) seenCost() error {
	for _, c := range []struct {
		echoCase
		workers int
		on      cores
	}{
		{echoCase{"echo, 64 B, 50 connections, one worker on one core", "≤ 1.02", []string{"--conns=50"}}, 1, oneCore},
		{echoCase{"connect, echo, close, one worker on one core", "≤ 1.02", []string{"--conns=100", "--churn"}}, 1, oneCore},
		{echoCase{"connect, echo, close, two workers on two cores", "≤ 1.02", []string{"--conns=100", "--churn"}}, 2, nil},
	} {
		if err := b.seenCostOf(c.echoCase, c.workers, c.on); err != nil {
			return err
		}
	}
	return nil
}

// seenCostOf takes three times as many slices as elsewhere: two percent are to be told.
func (b *bench) seenCostOf(c echoCase, workers int, on cores) error {
	instances, err := b.runAll([]*server{usher, watched}, workers, on)
	defer func() { endAll(instances) }()
	if err != nil {
		return err
	}
	end, err := b.watch(instances[1])
	defer end()
	if err != nil {
		return err
	}
	var masters [2][]float64 // the master's CPU for an answer
	all, err := b.inTurn(instances, 3*b.rounds, func(i *instance) (sample, error) {
		master := []int{i.cmd.Process.Pid}
		before := cpu(master)
		s, err := b.one(i, on, append(c.args, "--duration", b.slice.String())...)
		n := 0
		if i.server == watched {
			n = 1
		}
		masters[n] = append(masters[n], float64(cpu(master)-before)/float64(max(s.Answers, 1)))
		return s, err
	})
	if err != nil {
		return err
	}
	b.reached(c.name+": CPU of all processes, watched to not", c.aim, ratios(all[1], all[0], perAnswer).String())
	for n, name := range []string{"not watched", "watched"} {
		master := spreadOf(masters[n]).median
		b.figure("%s, %s: %v of CPU each time in the workers, %v in the master", c.name, name,
			time.Duration(median(all[n], perAnswer)-master).Round(10*time.Nanosecond), time.Duration(master).Round(10*time.Nanosecond))
	}
	return nil
}

// watch has everybody look at a server: its metrics are scraped each second, ten programs
// read its events, and one shows its state. They use other processors than the server, if
// there are any.
func (b *bench) watch(i *instance) (end func(), err error) {
	var all []*process
	ctx, cancel := context.WithCancel(context.Background())
	end = func() {
		cancel()
		for _, p := range all {
			p.end()
		}
	}
	lookers := [][]string{{"status", "--watch"}}
	for range 10 {
		lookers = append(lookers, []string{"events", "--json"})
	}
	for _, args := range lookers {
		p, err := start("usher "+args[0], nil, io.Discard, append([]string{b.program("usher")}, append(args, "--control", i.control(b))...)...)
		if err != nil {
			return end, err
		}
		all = append(all, p)
	}
	client := i.controlClient(b)
	go func() {
		each := time.NewTicker(time.Second)
		defer each.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-each.C:
			}
			if _, err := get(ctx, client, "/metrics"); err != nil && ctx.Err() == nil {
				b.say("a scrape failed: %v", err)
			}
		}
	}()
	return end, nil
}

// control is the control socket of an usher.
func (i *instance) control(b *bench) string {
	_, port, _ := net.SplitHostPort(i.address)
	return filepath.Join(b.scratch, port+".sock")
}

// controlClient asks an usher.
func (i *instance) controlClient(b *bench) *http.Client {
	path := i.control(b)
	return &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		},
	}}
}

// get asks one question.
func get(ctx context.Context, c *http.Client, path string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://usher"+path, nil)
	if err != nil {
		return "", err
	}
	response, err := c.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = errors.New(path + ": " + response.Status)
	}
	return string(text), err
}

// seenCrowd asks about 100,000 connections, by HTTP and by the commands.
func (b *bench) seenCrowd() error {
	count, processes, times := 100_000, 8, 30
	if b.quick {
		count, processes, times = 10_000, 1, 5
	}
	i, err := b.runArgv(usher, nil, func(port int) []string {
		return b.usher(port, "--workers", strconv.Itoa(processes))
	})
	if err != nil {
		return err
	}
	defer i.end()
	c, err := b.hold(i, count, processes)
	if err != nil {
		return err
	}
	defer c.end()
	client := i.controlClient(b)
	name := fmt.Sprintf("%d connections over %d workers", count, processes)
	turn, err := longestTurn(client)
	if err != nil {
		return err
	}
	for round, ask := range []func(what string, do func() error) error{
		func(what string, do func() error) error { return b.timed(name+": "+what, times, do) },
		func(_ string, do func() error) error { return repeat(times, do) },
	} {
		before := memory([]int{i.cmd.Process.Pid})
		if err := b.askAll(i, client, ask); err != nil {
			return err
		}
		b.figure("%s: what %d of each question, round %d, left behind in the master: %d KiB", name, times, round+1,
			(memory([]int{i.cmd.Process.Pid})-before)>>10)
	}
	after, err := longestTurn(client)
	if err != nil {
		return err
	}
	b.reached(name+": the longest turn of a worker's loop, from its start to behind the questions", "≤ 5 ms", after.String())
	b.figure("%s: the longest turn before the questions, while they were accepted: %v", name, turn)
	return nil
}

// askAll asks each question by ask.
func (b *bench) askAll(i *instance, client *http.Client, ask func(what string, do func() error) error) error {
	for _, q := range []struct{ what, path, command string }{
		{"connections --limit 10", "/v1/connections?limit=10", "connections --limit 10"},
		{"status", "/v1/status", "status"},
		{"/metrics", "/metrics", ""},
	} {
		err := ask(q.what+", by HTTP", func() error {
			_, err := get(context.Background(), client, q.path)
			return err
		})
		if err == nil && q.command != "" {
			argv := append(append([]string{b.program("usher")}, strings.Fields(q.command)...), "--control", i.control(b))
			err = ask("usher "+q.what+", the whole command", func() error { return b.make("", argv...) })
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func repeat(times int, do func() error) error {
	for range times {
		if err := do(); err != nil {
			return err
		}
	}
	return nil
}

// longestTurn is that of all workers since they began.
func longestTurn(c *http.Client) (longest time.Duration, err error) {
	text, err := get(context.Background(), c, "/metrics")
	if err != nil {
		return 0, err
	}
	const name = "usher_worker_longest_turn_seconds{"
	found := false
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, name) {
			seconds, err := strconv.ParseFloat(strings.Fields(line)[1], 64)
			if err != nil {
				return 0, err
			}
			longest, found = max(longest, time.Duration(seconds*float64(time.Second))), true
		}
	}
	if !found {
		return 0, errors.New("/metrics has no " + name)
	}
	return longest, nil
}

// timed gives how long something takes: the median, and the longest.
func (b *bench) timed(what string, times int, do func() error) error {
	var took []float64
	for range times {
		began := time.Now()
		if err := do(); err != nil {
			return err
		}
		took = append(took, float64(time.Since(began)))
	}
	s := spreadOf(took)
	b.reached(what+": the median, and the longest of "+strconv.Itoa(times), "< 100 ms",
		fmt.Sprintf("%v, %v", time.Duration(s.median).Round(100*time.Microsecond), time.Duration(s.high).Round(100*time.Microsecond)))
	return nil
}
