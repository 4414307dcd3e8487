package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

// chaosActs are what is done, each so often in a deck that is dealt again and
// again.
var chaosActs = []struct {
	name string
	each int
	do   func(c *chaos, e *era)
}{
	{"kill", 4, (*chaos).killWorker},
	{"freeze", 3, (*chaos).freezeWorker},
	{"term", 2, (*chaos).endWorker},
	{"term-all", 1, (*chaos).endWorkers},
	{"hup", 2, tellMaster(unix.SIGHUP)},
	{"usr1", 2, tellMaster(unix.SIGUSR1)},
	{"ttou", 2, tellMaster(unix.SIGTTOU)},
	{"usr2", 2, tellMaster(unix.SIGUSR2)},
	{"move", 4, (*chaos).move},
	{"scale", 2, (*chaos).scale},
	{"deploy-missing", 1, breakProgram("#!/there/is/no/such/interpreter\n")},
	{"deploy-exits", 1, breakProgram(fmt.Sprintf("#!/bin/sh\nexit %d\n", exitsStatus))},
	{"deploy-forgets", 1, deployProgram(programForgets)},
	{"deploy-crashes", 1, deployProgram(programCrashes)},
	{"deploy-retires", 1, deployProgram(programRetires)},
	{"program-replaced", 2, (*chaos).replaceProgram},
	{"config-empty", 1, (*chaos).emptyConfig},
	{"config-cut", 1, (*chaos).cutConfig},
	{"log-rotate", 1, (*chaos).rotateLog},
	{"sockets-removed", 1, (*chaos).removeSockets},
	{"bad", 3, (*chaos).badWorker},
	{"restart-in-peace", 1, (*chaos).restartInPeace},
	{"restart", 1, (*chaos).restart},
}

// The exit statuses of programs that end by themselves.
const (
	exitsStatus = 7
	crashStatus = 8
	badStatus   = 9
)

// mostBroken is after how many acts at most a good program follows on a broken
// one. More than three generations that linger are cut short, as promised.
const mostBroken = 3

// play acts at random for so long.
func (c *chaos) play(d time.Duration) {
	c.t.Helper()
	var deck []int
	for end := monotonic() + d; monotonic() < end && !c.t.Failed(); {
		e := c.eras[len(c.eras)-1]
		switch {
		case c.broken > 0 && c.random.IntN(mostBroken) < c.broken:
			c.repair(e)
		default:
			if len(deck) == 0 {
				if deck = c.shuffled(); len(deck) == 0 {
					c.t.Fatal("CHAOS_ACTS leaves none")
				}
			}
			if c.broken > 0 {
				c.broken++
			}
			chaosActs[deck[0]].do(c, e)
			deck = deck[1:]
		}
		<-time.After(time.Duration(c.random.IntN(500)) * time.Millisecond) // the story's own time
	}
}

// shuffled returns the acts that there are to be, in any order.
func (c *chaos) shuffled() (deck []int) {
	for i, act := range chaosActs {
		if chosen(act.name, os.Getenv("CHAOS_ACTS")) {
			deck = append(deck, slices.Repeat([]int{i}, act.each)...)
		}
	}
	c.random.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
	return deck
}

// chosen reports whether an act is among names, or else not among those that are
// left out.
func chosen(name, names string) bool {
	if names == "" {
		return true
	}
	list := strings.Split(names, ",")
	if strings.HasPrefix(names, "-") {
		return !slices.Contains(list, "-"+name)
	}
	return slices.Contains(list, name)
}

// workers returns those that there are now.
func (c *chaos) workers(e *era) (found []master.WorkerStatus) {
	status, err := e.status()
	if err != nil {
		c.problem("status: %v", err)
	}
	for _, w := range status.Workers {
		if w.PID != 0 {
			found = append(found, w)
		}
	}
	return found
}

// worker returns one of them, or ok is false.
func (c *chaos) worker(e *era) (w master.WorkerStatus, ok bool) {
	choice := c.random.Float64()
	workers := c.workers(e)
	if len(workers) == 0 {
		return w, false
	}
	return workers[int(choice*float64(len(workers)))], true
}

func (c *chaos) killWorker(e *era) {
	if w, ok := c.worker(e); ok {
		c.kill(e, w, unix.SIGKILL)
	}
}

// kill sends a signal that a worker may die of. Of TERM it is not to, if it is
// ready: then it is no reason for a connection to end.
func (c *chaos) kill(e *era, w master.WorkerStatus, sig unix.Signal) {
	at := monotonic()
	err := unix.Kill(w.PID, sig)
	c.note("%s to worker %d in slot %d, %s: %v", unix.SignalName(sig), w.PID, w.Slot, w.State, err)
	if _, dead := e.deaths[w.PID]; err == nil && !dead && sig == unix.SIGKILL {
		e.deaths[w.PID] = death{at, "killed by the story"}
	}
}

// freezeWorker has a worker stand still for a while, in which the story goes on.
func (c *chaos) freezeWorker(e *era) {
	d := 200*time.Millisecond + time.Duration(c.random.IntN(1300))*time.Millisecond
	w, ok := c.worker(e)
	if !ok || unix.Kill(w.PID, unix.SIGSTOP) != nil { // it has just ended
		return
	}
	c.note("SIGSTOP to worker %d in slot %d, %s, for %v", w.PID, w.Slot, w.State, d)
	e.frozen[w.PID] = monotonic()
	c.pending.Go(func() {
		<-time.After(d)
		_ = unix.Kill(w.PID, unix.SIGCONT) // it may have ended
	})
}

func (c *chaos) endWorker(e *era) {
	if w, ok := c.worker(e); ok {
		c.kill(e, w, unix.SIGTERM)
	}
}

func (c *chaos) endWorkers(e *era) {
	for _, w := range c.workers(e) {
		c.kill(e, w, unix.SIGTERM)
	}
}

func tellMaster(sig unix.Signal) func(c *chaos, e *era) {
	return func(c *chaos, e *era) {
		c.note("%s to the master", unix.SignalName(sig))
		e.signal(sig)
	}
}

// move moves some or all from one worker to another, or to whoever has least. It
// may be refused: they may be leaving by now.
func (c *chaos) move(e *era) {
	choice, count, named := c.random.Uint64(), c.random.IntN(60), c.random.IntN(2) == 0
	workers := c.workers(e)
	if len(workers) < 2 {
		return
	}
	rand.New(rand.NewPCG(choice, 0)).Shuffle(len(workers), func(i, j int) { workers[i], workers[j] = workers[j], workers[i] })
	args := []string{"move", "--from", strconv.Itoa(workers[0].Slot)}
	if named {
		args = append(args, "--to", strconv.Itoa(workers[1].Slot))
	}
	if count > 0 {
		args = append(args, "--count", strconv.Itoa(count))
	}
	c.usher(e, args...)
}

func (c *chaos) scale(e *era) {
	c.usher(e, "scale", strconv.Itoa(1+c.random.IntN(mostWorkers)))
}

// commandLimit is how long a command may take.
const commandLimit = 2 * limit

// usher runs a command, which is to come to an end whatever it is.
func (c *chaos) usher(e *era, args ...string) result {
	cmd, mark := command(args...)
	defer killMarked(mark)
	cmd.Env = append(cmd.Env, "USHER_CONTROL="+e.control)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	begun := len(c.notes)
	c.note("usher %s", strings.Join(args, " "))
	timer := time.AfterFunc(commandLimit, func() { killMarked(mark) })
	_ = cmd.Run() // the exit status says it
	got := result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
	if !timer.Stop() {
		c.problem("usher %s does not end in %v", strings.Join(args, " "), commandLimit)
		c.t.FailNow() // whatever comes next waits for the same
	}
	if len(c.notes) > begun {
		c.notes[begun].text += fmt.Sprintf(" => %d in %v: %s", got.code, monotonic()-c.notes[begun].at, strings.TrimSpace(got.stderr))
	}
	return got
}

// restartInPeace has the server stop while all are served, perhaps in the middle
// of a reload: they are served until they leave, so nobody fails.
func (c *chaos) restartInPeace(e *era) {
	if c.random.IntN(2) == 0 {
		tellMaster(unix.SIGHUP)(c, e)
	}
	c.stop(e)
	<-time.After(time.Duration(c.random.IntN(300)) * time.Millisecond) // the story's own time
	c.leave(e)
	c.note("all have left")
	e.ends(0)
	c.begin()
}

// restart has the server stop, and cut whoever is there: at once, or, at full
// size, now and then only when the drain timeout is over.
func (c *chaos) restart(e *era) {
	patient := c.random.IntN(3) == 0 && *size == "full"
	d := time.Duration(c.random.IntN(1000)) * time.Millisecond
	c.stop(e)
	if e.cut = e.told + drainTimeout; !patient {
		<-time.After(d) // the story's own time
		e.cut = monotonic()
		c.note("SIGQUIT to the master: %v", unix.Kill(e.pid, unix.SIGQUIT)) // it has ended if nobody was there
	}
	e.ends(0)
	c.leave(e)
	c.begin()
}

// stop has the master stop.
func (c *chaos) stop(e *era) {
	c.close()
	e.told = monotonic()
	tellMaster(unix.SIGTERM)(c, e)
}
