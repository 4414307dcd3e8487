package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"time"

	"github.com/usher-go/usher/internal/load"
	"golang.org/x/sys/unix"
)

// benchCommand is usher bench, which this process runs as a client, without a master.
type benchCommand struct {
	Echo  benchEcho  `cmd:"" help:"Send bytes; the same must come back."`
	Lines benchLines `cmd:"" help:"Send lines; each answer must be a line that ends with the one sent."`
	HTTP  benchHTTP  `cmd:"" name:"http" help:"Send requests of HTTP; each answer must be whole, and what is expected."`
}

// benchBytes are the flags of echo and lines.
type benchBytes struct {
	benchFlags `embed:""`

	Size byteSize `env:"" default:"64" help:"Bytes of a request."`
}

type (
	benchEcho struct {
		benchBytes `embed:""`
	}
	benchLines struct {
		benchBytes `embed:""`
	}
)

// benchFlags are those that all kinds of load have.
type benchFlags struct {
	Address string `arg:"" env:"" placeholder:"HOST:PORT|unix:///PATH" help:"The server."`

	Conns     *int          `env:"" help:"Connections that are busy at a time; 50 (no more than --requests), or none with --idle."`
	Pipeline  int           `env:"" default:"1" help:"Requests that may be under way on a connection."`
	Duration  time.Duration `env:"" default:"0" help:"How long to measure; 10s unless --requests is given."`
	Requests  int64         `env:"" default:"0" help:"How many answers to measure, in place of --duration."`
	Warmup    time.Duration `env:"" default:"0" help:"How long to send before --duration begins."`
	Rate      float64       `env:"" default:"0" help:"Requests a second in all, whether or not the answers keep up; latency counts from when each was due. 0: the next when an answer has come."`
	Churn     bool          `env:"" help:"A new connection for each request: connect, exchange, close."`
	Idle      int           `env:"" default:"0" help:"Connections to open and hold, and to send one request each at the end."`
	Timeout   time.Duration `env:"" default:"5s" help:"For connecting, and for progress when an answer is due."`
	Processes int           `env:"" default:"1" help:"Processes to share the work."`
	Source    []netip.Addr  `env:"" help:"Local addresses to dial from, in turn. For a server on 127.0.0.0/8 as many of those as are needed."`
	Against   string        `env:"" placeholder:"HOST:PORT" help:"Another server, to compare with in interleaved slices."`
	Slices    int           `env:"" default:"5" help:"Slices of each server, with --against; they share --duration or --requests."`
	JSON      bool          `env:"" help:"Print one JSON object."`
	Plot      string        `env:"" type:"path" placeholder:"FILE.svg" help:"Draw latencies and throughput."`

	Encryption benchTLS `embed:"" group:"TLS"`
}

func (c *benchBytes) run(mode string) error {
	plan := c.plan(mode)
	plan.Size = int(min(c.Size, 1<<40))
	return c.benchFlags.run(plan)
}

func (c *benchEcho) Run() error  { return c.run(load.Echo) }
func (c *benchLines) Run() error { return c.run(load.Lines) }

// plan returns the load that the flags describe.
func (c *benchFlags) plan(mode string) *load.Plan {
	p := &load.Plan{
		Mode: mode, Address: c.Address, Pipeline: c.Pipeline, Duration: c.Duration, Requests: c.Requests,
		Warmup: c.Warmup, Rate: c.Rate, Churn: c.Churn, Idle: c.Idle, Timeout: c.Timeout, Sources: c.Source, Processes: c.Processes,
		TLS: c.Encryption.plan(),
	}
	if p.Duration == 0 && p.Requests == 0 {
		p.Duration = benchDuration
	}
	switch {
	case c.Conns != nil:
		p.Conns = *c.Conns
	case c.Idle == 0:
		p.Conns = benchConns
		if p.Requests > 0 {
			p.Conns = int(min(benchConns, max(p.Requests, int64(p.Processes)))) // others would have nothing to send
		}
	}
	return p
}

// The defaults that depend on other flags.
const (
	benchDuration = 10 * time.Second
	benchConns    = 50
)

// errBench makes a run with errors exit 1. Its report has told which they were.
var errBench = errors.New("the run had errors")

func (c *benchFlags) run(plan *load.Plan) error {
	if err := c.check(plan); err != nil {
		return usageError{err}
	}
	ctx, done := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer done()
	part := []string{"/proc/self/exe", "bench-part"}
	line := newProgressLine()
	if c.Against != "" {
		comparison, err := load.Compare(ctx, plan, c.Against, c.Slices, part, line.show)
		line.clear()
		if err != nil {
			return err
		}
		return c.tell(comparison, comparison.OK, printComparison(comparison), comparison.First, comparison.Second)
	}
	report, err := load.Run(ctx, plan, part, line.show)
	line.clear()
	if err != nil {
		return err
	}
	return c.tell(report, report.OK, printReport(report), report)
}

// check returns what is wrong with the flags.
func (c *benchFlags) check(plan *load.Plan) error {
	if err := c.Encryption.check(); err != nil {
		return err
	}
	if err := plan.Check(); err != nil {
		return err
	}
	if c.Against == "" {
		return nil
	}
	if plan.Idle > 0 {
		return errors.New("idle connections are held, not compared: leave out idle or against")
	}
	if c.Slices < 1 || c.Slices > 1000 {
		return errors.New("slices are from 1 to 1000")
	}
	other := *plan
	other.Address = c.Against
	return other.Check()
}

// tell prints the outcome of a run, and draws its plot if one is asked for.
func (c *benchFlags) tell(object any, ok bool, table string, reports ...*load.Report) error {
	if c.Plot != "" {
		if err := plotFile(c.Plot, reports); err != nil {
			return err
		}
	}
	if c.JSON {
		encoded, err := json.Marshal(object)
		if err != nil {
			return err
		}
		table = string(encoded) + "\n"
	}
	if _, err := os.Stdout.WriteString(table); err != nil {
		return err
	}
	if !ok {
		return errBench
	}
	return nil
}

func plotFile(path string, reports []*load.Report) (err error) {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return load.Plot(file, reports...)
}

// benchPart is usher bench-part, one of the processes of usher bench: it takes its part
// of the plan from standard input, and writes its report to standard output.
type benchPart struct{}

func (*benchPart) Run() error {
	signal.Ignore(unix.SIGINT) // Ctrl-C goes to all of a terminal's processes; the first of them ends this one
	return load.Part(os.Stdin, os.Stdout)
}

// progressLine is the line at a terminal that is overwritten while a run goes on. The
// zero value prints nothing.
type progressLine struct{ on, shown bool }

func newProgressLine() *progressLine {
	_, err := unix.IoctlGetTermios(int(os.Stderr.Fd()), unix.TCGETS)
	return &progressLine{on: err == nil}
}

func (l *progressLine) show(p load.Progress) {
	if l.on {
		l.shown = true
		fmt.Fprintf(os.Stderr, "\r\x1b[K%4.0fs  %d connections, %d answers, %d errors", p.Elapsed.Seconds(), p.Connections, p.Answers, p.Errors)
	}
}

func (l *progressLine) clear() {
	if l.shown {
		fmt.Fprint(os.Stderr, "\r\x1b[K")
	}
}
