package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/usher-go/usher/internal/load"
)

// sample is one slice of one server.
type sample struct {
	*load.Report
	used time.Duration // of the server's CPU
	cpu  time.Duration // likewise, for an answer
}

// newSample is a slice in which a server has used so much CPU.
func newSample(r *load.Report, used time.Duration) sample {
	return sample{r, used, used / time.Duration(max(r.Answers, 1))}
}

// ask runs usher bench on some cores. A lost or wrong answer is an error.
func (b *bench) ask(on cores, args ...string) (*load.Report, error) {
	r, err := b.askAnyhow(on, args...)
	if err == nil && !r.OK {
		return nil, fmt.Errorf("usher bench %s: %v %v", strings.Join(args, " "), r.Errors, r.Advice)
	}
	return r, err
}

// askAnyhow is ask where answers may be lost.
func (b *bench) askAnyhow(on cores, args ...string) (*load.Report, error) {
	var out bytes.Buffer
	p, err := start("usher bench", on, &out, append([]string{b.program("usher"), "bench"}, append(args, "--json")...)...)
	if err != nil {
		return nil, err
	}
	err = p.cmd.Wait()
	running.remove(p)
	var r load.Report
	if wrong := json.Unmarshal(out.Bytes(), &r); wrong != nil {
		return nil, fmt.Errorf("usher bench %s: %v: %s", strings.Join(args, " "), err, p.log)
	}
	return &r, nil
}

// speak is what usher bench is told to talk to a server.
func (b *bench) speak(i *instance) []string {
	args := []string{"echo", i.address}
	if i.server.http {
		args[0] = "http"
		if i.server == webNginx {
			args = append(args, "--path", helloPath) // it has files elsewhere
		}
	}
	if i.server.tls {
		args = append(args, "--tls", "--ca", b.certFile())
	}
	return args
}

// one takes one slice of a server.
func (b *bench) one(i *instance, on cores, args ...string) (sample, error) {
	pids := i.tree()
	before := cpu(pids)
	r, err := b.ask(on, append(b.speak(i), args...)...)
	if err != nil {
		return sample{}, fmt.Errorf("%s: %w", i.server.name, err)
	}
	return newSample(r, cpu(pids)-before), nil
}

// interleave takes slices of all servers in turn. The first is of what is not measured:
// programs warm up.
func (b *bench) interleave(instances []*instance, on cores, args ...string) (all [][]sample, err error) {
	return b.inTurn(instances, b.rounds, func(i *instance) (sample, error) {
		return b.one(i, on, append(args, "--duration", b.slice.String())...)
	})
}

// inTurn is interleave for slices of any kind.
func (b *bench) inTurn(instances []*instance, rounds int, take func(i *instance) (sample, error)) (all [][]sample, err error) {
	all = make([][]sample, len(instances))
	for round := range rounds + 1 {
		for n := range instances {
			n = (n + round) % len(instances) // so that none is always the first
			s, err := take(instances[n])
			if err != nil {
				return nil, err
			}
			if round > 0 {
				all[n] = append(all[n], s)
			}
		}
	}
	return all, nil
}

// runAll starts those servers that can be run.
func (b *bench) runAll(servers []*server, workers int, on cores) (instances []*instance, err error) {
	for _, s := range servers {
		if s.missing != "" {
			continue
		}
		i, err := b.run(s, workers, on)
		if err != nil {
			return instances, err
		}
		instances = append(instances, i)
	}
	return instances, nil
}

func endAll(instances []*instance) {
	for _, i := range instances {
		i.end()
	}
}

// spread is what several ratios come to.
type spread struct{ median, low, high float64 }

func (s spread) String() string { return fmt.Sprintf("%.2f (%.2f to %.2f)", s.median, s.low, s.high) }

// ratios compares a figure of two servers, round by round.
func ratios(of, to []sample, figure func(sample) float64) spread {
	var values []float64
	for n := range of {
		values = append(values, figure(of[n])/figure(to[n]))
	}
	return spreadOf(values)
}

func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{}
	}
	slices.Sort(values)
	middle := (values[(len(values)-1)/2] + values[len(values)/2]) / 2
	return spread{middle, values[0], values[len(values)-1]}
}

func perAnswer(s sample) float64 { return float64(s.cpu) }
func perSecond(s sample) float64 { return s.PerSecond }
func p99(s sample) float64       { return float64(s.Latency.P99) }

// average is the median of a figure.
func median(all []sample, figure func(sample) float64) float64 {
	var values []float64
	for _, s := range all {
		values = append(values, figure(s))
	}
	return spreadOf(values).median
}

// has reports whether usher serve knows a flag.
func (b *bench) has(flag string) bool {
	out, _ := exec.Command(b.program("usher"), "serve", "--help").Output() // what it says is all that counts
	return bytes.Contains(out, []byte(flag))
}
