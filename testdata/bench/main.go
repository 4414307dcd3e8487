// Command bench measures usher beside a C epoll server and others, on this
// machine, and writes the tables of docs/performance.md. scripts/bench runs it.
//
// What counts is the ratio to the reference in the same round: rounds are
// interleaved, one slice of each server after another, so that what disturbs the
// machine disturbs all. CPU per answer is what the server's processes used, all
// their threads, by /proc, divided by the answers that the client has verified.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// part is a part of the matrix, which can be run alone.
type part struct {
	name string
	doc  string
	run  func(b *bench) error
}

var parts = []part{
	{"echo", "steady echo, CPU per answer, one core", (*bench).echo},
	{"latency", "a round trip, and the latencies of 50 connections on two cores", (*bench).latency},
	{"churn", "connect, exchange, close", (*bench).churn},
	{"idle", "memory of idle connections", (*bench).idle},
	{"rest", "what 10,000 idle connections cost", (*bench).rest},
	{"http", "net/http over worker.Streams, and others", (*bench).http},
	{"dispatch", "from connect to the first answer, one at a time", (*bench).dispatch},
	{"balance", "how evenly connections are spread", (*bench).balance},
	{"reload", "throughput while reloading", (*bench).reload},
	{"profile", "where a worker's time goes under steady echo; draws it", (*bench).profile},
	{"paths", "the Go benchmarks of the hot paths", (*bench).paths},
	{"migrate", "moving connections by one reload", (*bench).migrate},
	{"acceptors", "what one accept goroutine, and several, can do", (*bench).acceptors},
	{"scale", "how cost grows with workers, connections, listeners and policies; draws plots", (*bench).scale},
	{"tls-echo", "steady echo over TLS, CPU per answer, one core", (*bench).tlsEcho},
	{"tls-handshakes", "handshakes, full and resumed", (*bench).tlsHandshakes},
	{"tls-memory", "memory of idle TLS connections after a collection", (*bench).tlsMemory},
	{"tls-moves", "a reload of 16,000 idle TLS connections, to plain ones, and to their connecting anew", (*bench).tlsMoves},
	{"tls-plain", "plain echo and churn, to the build of --also", (*bench).plain},
	{"web-hello", "a small answer over HTTP: on the loop, on goroutines, nginx, net/http", (*bench).webHello},
	{"web-files", "files of three sizes, to nginx's sendfile", (*bench).webFiles},
	{"web-idle", "memory of idle keep-alive connections, plain and TLS", (*bench).webIdle},
	{"web-rate", "latencies of hello at 20,000 requests a second", (*bench).webRate},
	{"web-deploy", "idle keep-alive connections and requests through 20 reloads", (*bench).webDeploy},
	{"seen-cost", "traffic while metrics are scraped, events read and the state shown, to while nobody looks", (*bench).seenCost},
	{"seen-crowd", "what is asked about 100,000 connections", (*bench).seenCrowd},
	{"web-plain", "plain echo and churn, to the build of --also", (*bench).plain},
}

// chapter is what docs/performance.md has a table of: parts whose names begin with
// prefix, or with no other chapter's.
type chapter struct {
	prefix, mark string
	reference    string // what ratios are to
}

var chapters = []chapter{
	{"", "scripts/bench", "the C reference"},
	{"tls-", "scripts/bench tls", "the C reference"},
	{"web-", "scripts/bench web", "nginx"},
	{"seen-", "scripts/bench seen", "itself"},
}

func (c chapter) has(p part) bool {
	if c.prefix != "" {
		return strings.HasPrefix(p.name, c.prefix)
	}
	return !slices.ContainsFunc(chapters[1:], func(other chapter) bool { return other.has(p) })
}

// bench is one run.
type bench struct {
	source  string // this module
	scratch string // for programs and sockets
	quick   bool
	peers   bool // others than the references too
	rounds  int
	slice   time.Duration

	also *server // another build of usher; nil: none
	tables
}

func main() {
	b := new(bench)
	write := flag.Bool("write", false, "write the tables into docs/performance.md, and the plots into testdata/bench/plots; needs all parts, or all of tls, of web or of seen")
	flag.BoolVar(&b.quick, "quick", false, "fewer and shorter slices, for a look")
	flag.BoolVar(&b.peers, "peers", true, "measure others than the references in C too")
	also := flag.String("also", "", "another build of usher, to measure beside this one")
	flag.IntVar(&b.rounds, "rounds", 7, "rounds of slices")
	flag.DurationVar(&b.slice, "slice", time.Second, "how long a slice is")
	flag.StringVar(&b.source, "source", ".", "where this module is")
	flag.Usage = usage
	flag.Parse()
	if *also != "" {
		b.also = another(*also)
		echoServers = append(echoServers, b.also)
	}
	if b.quick {
		b.rounds, b.slice = min(b.rounds, 3), min(b.slice, 300*time.Millisecond)
	}
	if err := b.main(flag.Args(), *write); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: bench [flags] [PART...]\n\nparts, all of them by default; tls, web and seen are all that begin with it:")
	for _, p := range parts {
		fmt.Fprintf(os.Stderr, "  %-14s %s\n", p.name, p.doc)
	}
	fmt.Fprintln(os.Stderr, "\nflags:")
	flag.PrintDefaults()
}

func (b *bench) main(names []string, write bool) (err error) {
	chosen, err := choose(names)
	if err != nil {
		return err
	}
	if write && (!whole(chosen) || b.quick || !b.peers) {
		return errors.New("--write needs all parts of a table, not quick and with the peers: it is of one run")
	}
	if b.source, err = filepath.Abs(b.source); err != nil {
		return err
	}
	if b.scratch, err = os.MkdirTemp("", "bench"); err != nil {
		return err
	}
	cleanUp := func() {
		running.endAll()
		_ = os.RemoveAll(b.scratch) // in the temporary directory in any case
	}
	defer cleanUp()
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, unix.SIGINT, unix.SIGTERM)
	go func() {
		<-interrupted
		cleanUp()
		os.Exit(130)
	}()
	began := time.Now()
	b.say("%s", b.machine())
	if err := b.build(); err != nil {
		return err
	}
	for _, c := range chapters {
		if err := b.runChapter(c, chosen, write); err != nil {
			return err
		}
	}
	fmt.Printf("%v in all\n", time.Since(began).Round(time.Second))
	return nil
}

// runChapter runs those of the chosen parts that the chapter has.
func (b *bench) runChapter(c chapter, chosen []part, write bool) error {
	b.tables = tables{grid: newGrid()}
	some := false
	for _, p := range chosen {
		if !c.has(p) {
			continue
		}
		some = true
		b.say("\n== %s: %s", p.name, p.doc)
		if err := p.run(b); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	if !some {
		return nil
	}
	text := b.markdown(c.reference)
	fmt.Printf("\n%s\n", text)
	if write {
		return writePage(filepath.Join(b.source, "..", "..", "docs", "performance.md"), c.mark, text)
	}
	return nil
}

// whole reports whether the parts are all of one chapter, or of each.
func whole(chosen []part) bool {
	for _, c := range chapters {
		n, all := 0, 0
		for _, p := range parts {
			if c.has(p) {
				all++
			}
		}
		for _, p := range chosen {
			if c.has(p) {
				n++
			}
		}
		if n != 0 && n != all {
			return false
		}
	}
	return true
}

func choose(names []string) ([]part, error) {
	if len(names) == 0 {
		return parts, nil
	}
	var chosen []part
	for _, name := range names {
		before := len(chosen)
		for _, p := range parts {
			if p.name == name || strings.HasPrefix(p.name, name+"-") {
				chosen = append(chosen, p)
			}
		}
		if len(chosen) == before {
			return nil, fmt.Errorf("there is no part %s; see --help", name)
		}
	}
	return chosen, nil
}

func (b *bench) say(format string, args ...any) { fmt.Printf(format+"\n", args...) }

// machine describes what it runs on.
func (b *bench) machine() string {
	var name unix.Utsname
	_ = unix.Uname(&name) // it cannot fail
	model := "an unknown processor"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	return fmt.Sprintf("%d cores of %s, Linux %s, %s, commit %s", runtime.NumCPU(), model,
		unix.ByteSliceToString(name.Release[:]), runtime.Version(), b.commit())
}
