package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// logged is a line of the master's log.
type logged struct {
	Message    string        `json:"@message"`
	Time       string        `json:"@timestamp"`
	PID        int           `json:"pid"`
	Reason     string        `json:"reason"`
	Generation int           `json:"generation"`
	at         time.Duration // CLOCK_MONOTONIC
	text       string
}

// readLog is for when the master has ended.
func readLog(path string) (found []logged, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	offset := time.Duration(time.Now().UnixNano()) - monotonic() // of the clock that the log goes by
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		l := logged{text: lines.Text()}
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			l.Message = l.text // of Go's runtime, which knows no format
		}
		if at, err := time.Parse(time.RFC3339Nano, l.Time); err == nil {
			l.at = time.Duration(at.UnixNano()) - offset
		}
		found = append(found, l)
	}
	return found, lines.Err()
}

// judge looks into journal and log of an era that is over, and returns what is
// wrong. why counts the explanations of those that failed.
func (c *chaos) judge(e *era, why map[string]int) (wrong []string) {
	journal, err := readJournal(e.journalPath)
	if err != nil {
		wrong = append(wrong, err.Error())
	}
	var log []logged
	for _, path := range append(e.logsBefore, e.logPath) {
		lines, err := readLog(path)
		if err != nil {
			return append(wrong, err.Error())
		}
		log = append(log, lines...)
	}
	evidence := &evidence{journal: journal, deaths: e.deaths, told: e.told, cut: e.cut, limited: c.limited,
		liars: make(map[int]bool), reloaded: 1, later: make(map[int]bool)}
	for pid, d := range journal.exits {
		evidence.deaths[pid] = death{d.at, "died of restoring, as the broken program does"}
	}
	for _, l := range log {
		if text := c.judgeLine(e, evidence, l); text != "" {
			wrong = append(wrong, text)
		}
	}
	wrong = append(wrong, journal.strays()...)
	return append(wrong, c.explainAll(e, evidence, why)...)
}

// judgeLine returns what is wrong with a line, and takes note of deaths that it
// explains.
func (c *chaos) judgeLine(e *era, v *evidence, l logged) (wrong string) {
	ok := true
	switch {
	case strings.Contains(l.text, "DATA RACE"), strings.Contains(l.text, "panic"), strings.Contains(l.text, "fatal error:"):
		ok = false
	case l.Message == "killing a worker":
		if at, frozen := e.frozen[l.PID]; frozen && l.at >= at && v.deaths[l.PID].how == "" {
			v.deaths[l.PID] = death{l.at, "killed by the master, having stood still"}
		}
	case l.Message == "reloaded":
		v.reloaded = l.Generation
	case l.Message == "worker started":
		v.later[l.PID] = l.Generation <= v.reloaded
	case l.Message == "cannot start a worker":
		ok = c.script || l.Generation > v.reloaded
	case l.Message == "worker died":
		ok = e.told != 0 && l.at >= e.told
		ok = c.judgeDeath(v, l) || ok
	case l.Message == "connections lost: they could not be restored":
		ok = slices.Contains(chaosLies, v.wrong[l.PID].reason) || v.refuses(l.PID)
	case l.Message == "connections lost with their worker":
	case strings.HasPrefix(l.Message, "connections lost"):
		ok = e.cut != 0 && l.at >= e.cut
	}
	if ok {
		return ""
	}
	return fmt.Sprintf("%v in the log: %s", c.since(l.at), l.text)
}

// judgeDeath reports whether a worker may have died, and takes note of it if it went
// wrong. That of an executable does not exit as the broken program does once its
// generation serves: its file is held.
func (c *chaos) judgeDeath(v *evidence, l logged) bool {
	before, known := v.deaths[l.PID]
	if d, bad := v.wrong[l.PID]; bad {
		v.liars[l.PID] = slices.Contains(chaosLies, d.reason)
		if !known || d.at < before.at { // what was done to it later may have been done in vain
			v.deaths[l.PID] = death{d.at, "went wrong: " + d.reason}
		}
		return true
	}
	if strings.HasPrefix(l.Reason, fmt.Sprintf("exit status %d", exitsStatus)) {
		return c.script || !v.later[l.PID]
	}
	return known || strings.HasPrefix(l.Reason, "signal SIGTERM") || // before it was ready
		strings.HasSuffix(l.Reason, "it wants to end before it has served") // so it had no connection
}

// refuses reports whether a worker is of the program that restores nothing.
func (j *journal) refuses(pid int) bool {
	for _, deeds := range j.conns {
		for _, d := range deeds {
			if d.pid == pid {
				return d.program == programForgets
			}
		}
	}
	return false
}

// mostShown is how many connections are shown whose failure is not explained.
const mostShown = 5

func (c *chaos) explainAll(e *era, v *evidence, why map[string]int) (wrong []string) {
	unexplained, booked := 0, 0
	for _, f := range e.failures {
		reason, ok := v.explain(f)
		if !v.lied(f) {
			booked++
		}
		if ok {
			why[reason]++
			continue
		}
		if unexplained++; unexplained <= mostShown {
			wrong = append(wrong, c.history(v, f, reason))
		}
	}
	if b := e.books; b != nil && uint64(booked) > b.Lost+b.Refused {
		wrong = append(wrong, fmt.Sprintf("%d connections failed, more than are booked as lost or refused: %+v", booked, *b))
	}
	if unexplained > mostShown {
		wrong = append(wrong, fmt.Sprintf("and %d more failed like that", unexplained-mostShown))
	}
	return wrong
}

// history tells all of a connection.
func (c *chaos) history(v *evidence, f failure, reason string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v %s failed, unexplained: %v; %s\n", c.since(f.at), f.name, f.err, reason)
	fmt.Fprintf(&b, "\tconnection %d from %v, begun at %v", f.conn, f.peer, c.since(f.begun))
	if f.answered != 0 {
		fmt.Fprintf(&b, ", last answer at %v", c.since(f.answered))
	}
	if f.asked != 0 {
		fmt.Fprintf(&b, ", asked at %v", c.since(f.asked))
	}
	fmt.Fprintf(&b, "\n\tanswered by: %s\n", strings.Join(f.holders, "; "))
	deeds := v.journal.deeds(f)
	pids := make(map[int]bool)
	for _, d := range deeds[max(0, len(deeds)-2*keptHolders):] {
		fmt.Fprintf(&b, "\t%v %v\n", c.since(d.at), d)
		pids[d.pid] = true
	}
	for pid := range pids {
		if d, dead := v.deaths[pid]; dead {
			fmt.Fprintf(&b, "\tworker %d at %v: %s\n", pid, c.since(d.at), d.how)
		}
	}
	return b.String()
}

// report ends the story: it says what was wrong, and what was done before.
func (c *chaos) report() {
	c.t.Helper()
	why := make(map[string]int)
	var wrong []string
	for _, e := range c.eras {
		if e.server != nil && c.over { // else the story has failed already
			wrong = append(wrong, c.judge(e, why)...)
		}
	}
	wrong = append(wrong, c.problems...)
	for _, text := range wrong {
		c.t.Error(text)
	}
	failed := 0
	for _, n := range why {
		failed += n
	}
	c.t.Logf("seed %d: %d acts, %d masters, %d connections, %d failed and are explained: %v", c.seed, len(c.notes), len(c.eras), c.visits, failed, why)
	if c.t.Failed() {
		var acts strings.Builder
		for _, n := range c.notes {
			fmt.Fprintf(&acts, "%v %s\n", c.since(n.at), n.text)
		}
		c.t.Logf("CHAOS_SEED=%d, the acts:\n%s", c.seed, acts.String())
	}
}
