package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/usher-go/usher/internal/plot"
)

// axis is one thing that grows.
type axis struct {
	file, title, label, cost string
	values                   []int
	run                      func(b *bench, value int) (time.Duration, error) // CPU for an answer
}

var axes = []axis{
	{"workers", "CPU per echo by workers: 128 connections", "workers", "CPU per echo",
		[]int{1, 2, 4, 8, 16, 32, 64}, func(b *bench, n int) (time.Duration, error) {
			return b.costOf([]string{"--workers", strconv.Itoa(n)}, 0, "--conns=128")
		}},
	{"connections", "CPU per echo by idle connections beside: 8 workers, 64 busy ones", "idle connections", "CPU per echo",
		[]int{1000, 3000, 10_000, 30_000, 100_000}, func(b *bench, n int) (time.Duration, error) {
			return b.costOf([]string{"--workers", "8"}, n, "--conns=64")
		}},
	{"listeners", "CPU per connection by listeners: 2 workers, connections to one of them", "listeners", "CPU per connection",
		[]int{1, 4, 16, 64}, func(b *bench, n int) (time.Duration, error) {
			flags := []string{"--workers", "2"}
			for range n - 1 {
				flags = append(flags, "--listen", "127.0.0.1:0")
			}
			return b.costOf(flags, 0, "--churn", "--conns=50")
		}},
}

// scale draws how cost grows.
func (b *bench) scale() error {
	for _, a := range axes {
		if b.quick {
			a.values = a.values[:2]
		}
		var points []plot.Point
		for _, n := range a.values {
			cost, err := a.run(b, n)
			if err != nil {
				return err
			}
			b.say("  %-12s %7d %v", a.label, n, cost)
			points = append(points, plot.Point{X: float64(n), Y: float64(cost)})
		}
		if err := b.draw(a, points); err != nil {
			return err
		}
		b.figure("%s from %d to %d: %s from %v to %v ([plot](../testdata/bench/plots/%s.svg))", a.label, a.values[0], a.values[len(a.values)-1], a.cost,
			time.Duration(points[0].Y), time.Duration(points[len(points)-1].Y), a.file)
	}
	return b.policies()
}

// policies shows what a choice costs.
func (b *bench) policies() error {
	text := "CPU per connection by --dispatch, 16 workers:"
	var points []plot.Point
	names := []string{"least", "round-robin", "hash", "queue"}
	for n, policy := range names {
		cost, err := b.costOf([]string{"--workers", "16", "--dispatch", policy}, 0, "--churn", "--conns=50")
		if err != nil {
			return err
		}
		points = append(points, plot.Point{X: float64(n + 1), Y: float64(cost)})
		text += fmt.Sprintf(" %s %v,", policy, cost)
	}
	b.figure("%s [plot](../testdata/bench/plots/policies.svg)", text)
	return b.draw(axis{file: "policies", title: "CPU per connection by --dispatch: 16 workers", label: fmt.Sprint(names), cost: "CPU per connection"}, points)
}

// costOf is the median CPU of an answer of a server with those flags, beside so
// many idle connections.
func (b *bench) costOf(flags []string, idle int, args ...string) (time.Duration, error) {
	i, err := b.runArgv(usher, nil, func(port int) []string { return b.usher(port, flags...) })
	if err != nil {
		return 0, err
	}
	defer i.end()
	if idle > 0 {
		c, err := b.hold(i, idle, 1+idle/12_500)
		if err != nil {
			return 0, err
		}
		defer c.end()
	}
	all, err := b.interleave([]*instance{i}, nil, args...)
	if err != nil {
		return 0, err
	}
	return time.Duration(median(all[0], perAnswer)).Round(10 * time.Nanosecond), nil
}

// plotFile is where a drawing goes.
func (b *bench) plotFile(name string) (string, error) {
	directory := filepath.Join(b.source, "plots")
	return filepath.Join(directory, name+".svg"), os.MkdirAll(directory, 0o755)
}

func (b *bench) draw(a axis, points []plot.Point) error {
	if b.quick {
		return nil // those of a full run are kept
	}
	path, err := b.plotFile(a.file)
	if err != nil {
		return err
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	return plot.Write(file, plot.Chart{
		Title: a.title, X: plot.Axis{Label: a.label, Log: len(a.values) > 0}, Y: plot.Axis{Label: a.cost, Text: func(ns float64) string { return time.Duration(ns).String() }},
		Series: []plot.Series{{Name: a.cost, Points: points}},
	})
}
