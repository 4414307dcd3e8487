package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

// perIP is max-conns-per-ip where the story has it.
const perIP = 16

// Workers are killed, stopped, told to leave and replaced, by good programs and
// broken ones, and go wrong themselves; the server is scaled, reloaded, upgraded,
// and now and then ended and started anew; its files are emptied, cut, renamed and
// removed: all at random, while clients check every byte. Whoever of
// them fails had a connection that a process held which died of what was done to
// it; the journal says which, and when. The books balance at every moment, and in
// the end nothing is left.
//
// CHAOS_SEED repeats the choices of a run, if not their moments. CHAOS_ACTS
// restricts them to those named, or, with a - before the name, to all others: see
// chaosActs. go test -artifacts keeps the journals and logs.
func TestChaos(t *testing.T) {
	for _, c := range []struct {
		acceptors                int
		limit, rebalance, script bool
	}{
		{1, false, false, true}, {1, true, true, false}, {3, false, true, false}, {3, true, false, true},
	} {
		name := fmt.Sprintf("acceptors=%d", c.acceptors)
		settings := []string{fmt.Sprintf("acceptors = %d", c.acceptors), fmt.Sprintf("rebalance = %v", c.rebalance)}
		if c.limit {
			name += ",per-ip"
			settings = append(settings, fmt.Sprintf("max-conns-per-ip = %d", perIP))
		}
		if c.script {
			name += ",script"
		}
		t.Run(name, func(t *testing.T) {
			story := newChaos(t, settings, c.limit, c.script)
			defer story.report()
			story.begin()
			story.gather()
			story.play(sized(7*time.Second, 150*time.Second))
			story.finish()
		})
	}
}

// chaos is the story under way. Its methods are for the test's goroutine, but for
// those of clients.
type chaos struct {
	t        *testing.T
	settings []string // of the configuration file, but for those that are the same in each story
	limited  bool     // connections from one address are
	script   bool     // the program is one: the master cannot hold its file
	seed     uint64
	random   *rand.Rand
	start    time.Duration
	dir      string    // of journals, logs and configurations
	program  string    // the file that is deployed
	copies   [2]string // of the executable that is, in turn; none for a script
	broken   int       // acts since it was broken, or the configuration, which is one; 0: both are good
	eras     []*era
	notes    []note
	pending  sync.WaitGroup // workers that stand still, and clients of bad ones
	clients  sync.WaitGroup
	files    sync.RWMutex // held while the control socket's file is gone; else held for reading by who needs it

	mu       sync.Mutex
	changed  sync.Cond // era, or over
	era      *era      // nil: there is no server, or not for new clients
	over     bool
	visits   int
	resting  map[*visit]struct{}
	problems []string // but for those whose connections failed
}

// era is the life of a master.
type era struct {
	*server
	number      int
	controlPath string // server.control, which is known before there is a server
	journalPath string
	configPath  string
	badPath     string // the Unix socket whose clients have workers go wrong
	logPath     string
	logsBefore  []string       // to which the log was renamed, in order
	visits      sync.WaitGroup // those under way
	deaths      map[int]death  // of what the story has done, by pid
	frozen      map[int]time.Duration
	told        time.Duration  // when the master was told to stop, 0: it was not
	cut         time.Duration  // from when on it ends connections, 0: it does not
	books       *master.Counts // when all have left in peace; nil: they have not

	leaving  bool // chaos.mu's, as are those below
	failures []failure
}

// death is the end of a process, of which its connections die.
type death struct {
	at  time.Duration // it was alive before
	how string
}

// note is an act, and what came of it.
type note struct {
	at   time.Duration
	text string
}

func newChaos(t *testing.T, settings []string, limited, script bool) *chaos {
	c := &chaos{t: t, settings: settings, limited: limited, script: script, seed: rand.Uint64(), dir: t.ArtifactDir(), resting: make(map[*visit]struct{}), start: monotonic()}
	if text := os.Getenv("CHAOS_SEED"); text != "" {
		var err error
		if c.seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	c.random = rand.New(rand.NewPCG(c.seed, 0))
	c.changed.L = &c.mu
	c.program = filepath.Join(shortDir(t), "worker")
	if !script {
		c.copies = [2]string{install(t).path, install(t).path}
	}
	t.Cleanup(c.dismiss)
	return c
}

// since is how times are shown: from the beginning of the story.
func (c *chaos) since(at time.Duration) time.Duration { return (at - c.start).Round(time.Millisecond) }

// note takes note of an act, for the report.
func (c *chaos) note(format string, args ...any) {
	c.notes = append(c.notes, note{monotonic(), fmt.Sprintf(format, args...)})
}

// problem is for any goroutine.
func (c *chaos) problem(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.problems = append(c.problems, fmt.Sprintf("%v ", c.since(monotonic()))+fmt.Sprintf(format, args...))
}

// drainTimeout is longer than any move takes: no connection is to be cut but when
// the master ends.
const drainTimeout = 10 * time.Second

const wantedWorkers, mostWorkers = 3, 6

// mostSlots is how many slots there may be: for two generations, and for three and
// one more that keep connections, since some deploy could not take them.
const mostSlots = (2 + 3 + 1) * mostWorkers

// begin starts a server, and has clients come.
func (c *chaos) begin() {
	n := len(c.eras)
	e := &era{number: n, deaths: make(map[int]death), frozen: make(map[int]time.Duration),
		journalPath: filepath.Join(c.dir, fmt.Sprintf("journal-%d", n)), logPath: filepath.Join(c.dir, fmt.Sprintf("log-%d", n)),
		configPath: filepath.Join(c.dir, fmt.Sprintf("config-%d", n))}
	c.eras = append(c.eras, e)
	sockets := shortDir(c.t)
	e.controlPath, e.badPath = filepath.Join(sockets, "c"), filepath.Join(sockets, "bad")
	c.deploy(e, programGood)
	cmd, mark := command("serve", "--config", e.configPath, "--workers", strconv.Itoa(wantedWorkers)) // scaling keeps those
	e.server = launchAs(c.t, cmd, mark, e.controlPath)
	e.awaitStart()
	c.note("master %d serves", e.pid)
	c.mu.Lock()
	c.era = e
	c.mu.Unlock()
	c.changed.Broadcast()
}

// gather starts the clients, which stay until the story is over, and who looks at
// the books.
func (c *chaos) gather() {
	for n := range sized(60, 240) {
		c.clients.Go(func() { c.long(n) })
		c.clients.Go(func() { c.idle(n) })
	}
	for n := range sized(8, 16) {
		c.clients.Go(func() { c.short(n) })
	}
	if c.limited {
		c.clients.Go(c.greedy)
	}
	c.clients.Go(c.audit)
}

// awaitEra returns the era of now, with a visit begun in it; or nil when the story
// is over.
func (c *chaos) awaitEra() *era {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.era == nil && !c.over {
		c.changed.Wait()
	}
	if c.over {
		return nil
	}
	c.era.visits.Add(1)
	return c.era
}

// close has no client come any more.
func (c *chaos) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.era = nil
}

// leave has the clients who are here ask once more and go, and returns when they
// have.
func (c *chaos) leave(e *era) {
	c.mu.Lock()
	e.leaving = true
	for v := range c.resting {
		_ = v.socket.SetReadDeadline(time.Unix(1, 0)) // a socket has deadlines
	}
	c.mu.Unlock()
	e.visits.Wait()
}

func (c *chaos) leaving(e *era) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return e.leaving
}

// beginRest gives a client that much silence, or returns false if there is no
// time for it.
func (c *chaos) beginRest(v *visit, d time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if v.era.leaving {
		return false
	}
	c.resting[v] = struct{}{}
	return v.socket.SetReadDeadline(time.Now().Add(d)) == nil
}

func (c *chaos) endRest(v *visit) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.resting, v)
}

// count counts a visit that has ended, with an error if not in order.
func (c *chaos) count(v *visit, err error) {
	v.at, v.err = monotonic(), err
	c.mu.Lock()
	defer c.mu.Unlock()
	c.visits++
	if err != nil {
		v.era.failures = append(v.era.failures, v.failure)
	}
}

// finish ends the story in peace: the good program serves with as many workers as
// at the start, everyone is answered once more, and nothing is left.
func (c *chaos) finish() {
	c.t.Helper()
	e := c.eras[len(c.eras)-1]
	c.pending.Wait()
	c.deploy(e, programGood)
	over := time.Now().Add(limit)
	for _, args := range [][]string{{"scale", strconv.Itoa(wantedWorkers)}, {"reload"}} {
		got := c.usher(e, args...)
		for strings.Contains(got.stderr, "wants to end although it has just begun") && time.Now().Before(over) {
			got = c.usher(e, args...) // a worker of a program before, which an act has deployed
		}
		lost := strings.Contains(got.stderr, "were lost meanwhile") // by an act before: each is to be explained
		if got.code != 0 && !lost {
			c.problem("in the end, %s: %+v", strings.Join(args, " "), got)
		}
	}
	e.until("the last generation alone", func(status master.Status) bool {
		return ready(wantedWorkers)(status) && lingering(status) == 0
	})
	if !c.callBad(e, "") {
		c.problem("in the end, nobody listens at %s", e.badPath)
	}
	c.close()
	c.leave(e)
	c.settle(e)
	e.atRest()
	e.told = monotonic()
	e.signal(unix.SIGTERM)
	e.ends(0)
	c.dismiss()
}

// dismiss ends all goroutines.
func (c *chaos) dismiss() {
	c.mu.Lock()
	c.over = true
	c.mu.Unlock()
	c.changed.Broadcast()
	c.pending.Wait()
	for _, e := range c.eras {
		if e.server != nil {
			c.leave(e)
		}
	}
	c.clients.Wait()
}
