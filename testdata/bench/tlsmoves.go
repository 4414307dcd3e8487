package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"time"
)

// mover is a server whose connections move, with the crowd that holds them.
type mover struct {
	*instance
	crowd        *crowd
	control, log string
}

// newMover starts a server, without connections.
func (b *bench) newMover(s *server) (*mover, error) {
	m := new(mover)
	i, err := b.runArgv(s, nil, func(port int) []string {
		m.control, m.log = b.control(port), b.program(fmt.Sprintf("%d.log", port))
		return append(s.argv(b, port, tlsWorkers), "--idle-timeout", "1h", "--log-file", m.log)
	})
	m.instance = i
	return m, err
}

// moved is what one reload has come to.
type moved struct {
	after   time.Duration // from the switch to the new generation until all have moved
	command time.Duration // usher reload, the start of the new workers included
	server  time.Duration // CPU of all its processes, those that have ended included
	clients time.Duration // likewise
}

// reload has a server reload, which has so many connections.
func (b *bench) reloadOnce(m *mover, count int) (r moved, err error) {
	server, clients := lifetimeCPU(m.process), time.Duration(0)
	if m.crowd != nil {
		clients = cpu(m.crowd.tree())
	}
	began := time.Now()
	out, err := exec.Command(b.program("usher"), "reload", "--json", "--control", m.control).Output()
	if err != nil {
		return r, fmt.Errorf("usher reload: %w: %s", err, m.process.log)
	}
	r.command = time.Since(began)
	var answer struct{ Moved, Lost int }
	if err := json.Unmarshal(out, &answer); err != nil || answer.Moved != count || answer.Lost > 0 {
		return r, fmt.Errorf("%d connections: usher reload: %s (%v)", count, out, err)
	}
	if r.after, err = m.afterSwitch(); err != nil {
		return r, err
	}
	if err := until("they rest", time.Minute, func() bool { return rests(m.tree()) }); err != nil {
		return r, err
	}
	r.server = lifetimeCPU(m.process) - server
	if m.crowd != nil {
		r.clients = cpu(m.crowd.tree()) - clients
	}
	return r, nil
}

var elapsed = regexp.MustCompile(`(the new generation serves|reloaded):.* elapsed=(\S+)`)

// afterSwitch is what the log says of the latest reload.
func (m *mover) afterSwitch() (time.Duration, error) {
	text, err := os.ReadFile(m.log)
	if err != nil {
		return 0, err
	}
	lines := elapsed.FindAllSubmatch(text, -1)
	if len(lines) < 2 {
		return 0, fmt.Errorf("no reload in the log: %s", text)
	}
	var times [2]time.Duration
	for n, line := range lines[len(lines)-2:] {
		if times[n], err = time.ParseDuration(string(bytes.Trim(line[2], `"`))); err != nil {
			return 0, err
		}
	}
	return times[1] - times[0], nil
}

// tlsMoves compares a deploy of idle TLS clients that move with one of plain ones, and
// with one after which all TLS clients connect anew.
func (b *bench) tlsMoves() error {
	count := b.tlsCount()
	var movers []*mover
	defer func() {
		for _, m := range movers {
			if m.crowd != nil {
				m.crowd.end()
			}
			m.end()
		}
	}()
	for _, s := range []*server{usher, tlsUsher} {
		m, err := b.newMover(s)
		if err != nil {
			return err
		}
		movers = append(movers, m)
		if m.crowd, err = b.hold(m.instance, count, 1); err != nil {
			return err
		}
	}
	var all [2][]moved
	for round := range b.rounds + 1 {
		for n := range movers {
			n = (n + round) % 2
			r, err := b.reloadOnce(movers[n], count)
			if err != nil {
				return err
			}
			if round > 0 {
				all[n] = append(all[n], r)
			}
		}
	}
	b.compareMoves(count, all[0], all[1])
	return b.anew(movers[1], count, all[1])
}

// compareMoves tells of reloads of plain connections, and of ones with TLS.
func (b *bench) compareMoves(count int, plain, sealed []moved) {
	ratio := func(figure func(moved) time.Duration) spread {
		var values []float64
		for n := range sealed {
			values = append(values, float64(figure(sealed[n]))/float64(figure(plain[n])))
		}
		return spreadOf(values)
	}
	after := func(m moved) time.Duration { return m.after }
	command := func(m moved) time.Duration { return m.command }
	b.reached(fmt.Sprintf("moving %d idle TLS connections by one reload, 4 workers: time after the switch to that of plain ones", count), "≤ 1.5", ratio(after).String())
	b.figure("one reload of %d idle connections, 4 workers: plain ones %v after the switch (%v in all), with TLS %v (%v); in all %s times as long", count,
		medianOf(plain, after), medianOf(plain, command), medianOf(sealed, after), medianOf(sealed, command), ratio(command))
}

// anew compares what moved clients have cost the server, and themselves, with what it
// costs that all connect anew: with full handshakes, and resuming. The new workers are in
// both; that the server closes the old connections is left out.
func (b *bench) anew(m *mover, count int, all []moved) error {
	if err := m.crowd.leave(m.instance, count); err != nil {
		return err
	}
	m.crowd = nil
	var empty []moved
	for range b.rounds {
		r, err := b.reloadOnce(m, 0)
		if err != nil {
			return err
		}
		empty = append(empty, r)
	}
	ofServer := func(m moved) time.Duration { return m.server }
	ofClients := func(m moved) time.Duration { return m.clients }
	workers := medianOf(empty, ofServer)
	text := fmt.Sprintf("CPU of a deploy of %d idle TLS clients, 4 workers, server and clients: moved %v and %v (the new workers alone: %v)",
		count, medianOf(all, ofServer), medianOf(all, ofClients), workers)
	for _, kind := range []struct {
		name, aim string
		args      []string
	}{{"full handshakes", "≤ 0.07", []string{"--no-resume"}}, {"resuming", "", nil}} {
		var crowds []moved
		var ratios []float64
		for n := range b.rounds {
			r, err := b.gather(m, count, kind.args)
			if err != nil {
				return err
			}
			crowds = append(crowds, r)
			ratios = append(ratios, float64(all[n].server)/float64(r.server+workers))
		}
		text += fmt.Sprintf("; all connect anew, %s, %v and %v", kind.name, medianOf(crowds, ofServer)+workers, medianOf(crowds, ofClients))
		if s := spreadOf(ratios); kind.aim != "" {
			b.reached(fmt.Sprintf("CPU of the server to deploy %d TLS clients: moved, to all connecting anew, %s", count, kind.name), kind.aim,
				fmt.Sprintf("%.3f (%.3f to %.3f)", s.median, s.low, s.high))
		}
	}
	b.figure("%s", text)
	return nil
}

// gather is what it costs that so many clients connect.
func (b *bench) gather(m *mover, count int, args []string) (r moved, err error) {
	before := cpu(m.tree())
	c, err := b.hold(m.instance, count, 1, args...)
	if err != nil {
		return r, err
	}
	r.server, r.clients = cpu(m.tree())-before, cpu(c.tree())
	return r, c.leave(m.instance, count)
}

func medianOf(all []moved, figure func(moved) time.Duration) time.Duration {
	var values []float64
	for _, m := range all {
		values = append(values, float64(figure(m)))
	}
	return time.Duration(spreadOf(values).median).Round(time.Millisecond)
}
