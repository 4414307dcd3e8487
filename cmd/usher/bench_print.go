package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/usher-go/usher/internal/load"
)

// printReport returns a report as text for people.
func printReport(r *load.Report) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s: %d connections", r.Mode, r.Address, r.Conns)
	if r.Size > 0 {
		fmt.Fprintf(&b, ", %d bytes", r.Size)
	}
	if r.Pipeline > 1 {
		fmt.Fprintf(&b, ", %d at a time", r.Pipeline)
	}
	fmt.Fprintf(&b, "\n%d answers in %.2f s: %.0f a second; %d connections made; %s sent, %s received; %.2f s of CPU here\n",
		r.Requests, r.Seconds, r.PerSecond, r.Connections, bytesText(r.BytesSent), bytesText(r.BytesReceived), r.CPUSeconds)
	printHandshakes(&b, r.TLS)
	printAnswers(&b, r.HTTP)
	b.WriteByte('\n')
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\tmin\tmean\tp50\tp90\tp99\tp99.9\tmax\t")
	printSummary(table, "latency", r.Latency)
	printSummary(table, "connect", r.Connect)
	if r.TLS != nil {
		printSummary(table, "handshake", r.TLS.Latency)
	}
	printSummary(table, "connect, exchange, close", r.Cycle)
	if r.Idle != nil {
		printSummary(table, "probe of idle", r.Idle.Probe)
	}
	_ = table.Flush() // a Builder takes all
	if r.Idle != nil {
		fmt.Fprintf(&b, "\nidle connections: %d opened, %d answered at the end\n", r.Idle.Opened, r.Idle.Answered)
	}
	printErrors(&b, r)
	return b.String()
}

// printHandshakes tells what TLS has come to; nil: there was none.
func printHandshakes(b *strings.Builder, h *load.Handshakes) {
	if h == nil {
		return
	}
	fmt.Fprintf(b, "%d handshakes, %.0f a second while measuring; %d of all resumed a session (%.1f %%)\n",
		h.Handshakes, h.PerSecond, h.Resumed, 100*float64(h.Resumed)/float64(max(h.Handshakes, 1)))
	for _, session := range slices.Sorted(maps.Keys(h.Sessions)) {
		fmt.Fprintf(b, "  %s: %d\n", session, h.Sessions[session])
	}
}

// printAnswers tells what HTTP has come to; nil: it was not HTTP.
func printAnswers(b *strings.Builder, a *load.Answers) {
	if a == nil {
		return
	}
	if len(a.Statuses) > 0 {
		b.WriteString("answers by status:")
		for _, status := range slices.Sorted(maps.Keys(a.Statuses)) {
			fmt.Fprintf(b, " %d of %s", a.Statuses[status], status)
		}
		b.WriteByte('\n')
	}
	if a.IdleClosed > 0 {
		fmt.Fprintf(b, "%d connections were ended by the server between requests\n", a.IdleClosed)
	}
}

func printErrors(b *strings.Builder, r *load.Report) {
	if len(r.Errors) == 0 {
		if !r.OK {
			b.WriteString("\nerrors: there was no answer\n")
		}
		return
	}
	b.WriteString("\nerrors:")
	for _, kind := range slices.Sorted(maps.Keys(r.Errors)) {
		fmt.Fprintf(b, " %d %s", r.Errors[kind], kind)
	}
	b.WriteByte('\n')
	for _, advice := range r.Advice {
		fmt.Fprintf(b, "  %s\n", advice)
	}
}

func printSummary(table *tabwriter.Writer, name string, s *load.Summary) {
	if s == nil {
		return
	}
	fmt.Fprintf(table, "%s\t", name)
	for _, ns := range []int64{s.Min, s.Mean, s.P50, s.P90, s.P99, s.P999, s.Max} {
		fmt.Fprintf(table, "%s\t", shortTime(time.Duration(ns)))
	}
	fmt.Fprintln(table)
}

// shortTime returns a time with some three digits.
func shortTime(d time.Duration) string {
	switch {
	case d < 100*time.Microsecond:
		return d.Round(100 * time.Nanosecond).String()
	case d < 100*time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(time.Millisecond).String()
}

// printComparison returns a comparison as text for people.
func printComparison(c *load.Comparison) string {
	var b strings.Builder
	b.WriteString(printReport(c.First))
	b.WriteByte('\n')
	b.WriteString(printReport(c.Second))
	fmt.Fprintf(&b, "\n%s to %s, of %d interleaved slices, the median (and the range):\n\n", c.First.Address, c.Second.Address, c.Ratio.Slices)
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, row := range []struct {
		name string
		s    load.Spread
	}{{"answers a second", c.Ratio.PerSecond}, {"latency p50", c.Ratio.P50}, {"latency p99", c.Ratio.P99}} {
		fmt.Fprintf(table, "%s\t%.3f\t(%.3f to %.3f)\t\n", row.name, row.s.Median, row.s.Low, row.s.High)
	}
	_ = table.Flush() // a Builder takes all
	return b.String()
}

// bytesText returns a number of bytes with a unit: 1.5 MiB.
func bytesText(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}
	v := float64(n)
	for v >= 1024 && len(units) > 1 {
		v, units = v/1024, units[1:]
	}
	return fmt.Sprintf("%.4g %s", v, units[0])
}
