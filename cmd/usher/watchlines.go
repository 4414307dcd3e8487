package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/usher-go/usher/master"
)

// lineView has a line for each status: for a file, or a program that reads lines.
type lineView struct{ to io.Writer }

func (v lineView) show(a answer, r rates) error {
	return v.print(a.at, strings.Join(summary(a.status, r), "; "))
}

func (v lineView) silence(elapsed time.Duration, why error) error {
	return v.print(time.Now(), silenceLine(elapsed, why))
}

func (v lineView) print(at time.Time, text string) error {
	_, err := fmt.Fprintf(v.to, "%s %s\n", at.Format(time.TimeOnly), printable(text))
	return err
}

func (lineView) redraw() error  { return nil }
func (lineView) suspend() error { return nil }

func (v lineView) end(farewell string) error {
	if farewell == "" {
		return nil
	}
	return v.print(time.Now(), farewell)
}

// silenceLine says that no answer has come for some time; why may be nil.
func silenceLine(elapsed time.Duration, why error) string {
	text := fmt.Sprintf("no answer for %v", elapsed.Round(time.Second))
	if why != nil {
		text += ": " + why.Error()
	}
	return text
}

// summary is a server in a few words, the first of each line being what matters most.
func summary(s master.Status, r rates) []string {
	c := s.Connections
	parts := []string{
		fmt.Sprintf("generation %d", s.Generation),
		fmt.Sprintf("workers %s", workerStates(s.Workers)),
		fmt.Sprintf("%d active, %d queued, %d moved, %d refused, %d lost, %d cut", c.Active, c.Queued, c.Moved, c.Refused, c.Lost, c.Cut),
		fmt.Sprintf("%v accepts/s", r.accepts),
		fmt.Sprintf("%s/s in, %s/s out", r.bytesIn.bytes(), r.bytesOut.bytes()),
	}
	if reload := s.Reload; reload != nil {
		parts = append(parts, fmt.Sprintf("reload %s at %s", reload.Result, reload.At.Local().Format(time.TimeOnly)))
	}
	return parts
}

// watchLines is what a terminal shows of a server, where it is wide and high enough.
func watchLines(s master.Status, r rates) []string {
	var b strings.Builder
	fmt.Fprintf(&b, "usher %s, master pid %d\n", s.Version, s.PID)
	printListeners(&b, s.Listeners)
	parts := summary(s, r)
	if s.Reload != nil {
		parts = parts[:len(parts)-1] // it is told in full
	}
	b.WriteString(strings.Join(parts, "\n") + "\n")
	printReload(&b, s.Reload)
	b.WriteByte('\n')
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "slot\tstate\tactive\tqueued\tnew/s\tin/s\tout/s\tcpu\tmemory\tstaying\trestarts\tgeneration\tpid\t")
	for _, w := range s.Workers {
		own := r.workers[w.Slot]
		fmt.Fprintf(table, "%d\t%s\t%d\t%d\t%v\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t%d\t\n", w.Slot, w.State, w.Connections, w.Queued,
			own.received, own.bytesIn.bytes(), own.bytesOut.bytes(), own.cpu.percent(), memoryOf(w), w.Staying, w.Restarts, w.Generation, w.PID)
	}
	_ = table.Flush() // a Builder takes all
	return strings.Split(strings.TrimRight(b.String(), "\n"), "\n")
}

func memoryOf(w master.WorkerStatus) string {
	if w.RSSBytes == nil {
		return "-"
	}
	return bytesText(*w.RSSBytes)
}
