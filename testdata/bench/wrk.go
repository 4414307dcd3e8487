package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/usher-go/usher/internal/load"
)

// wrkSlice is how wrk loads a server: with so many connections, which ask for one path.
type wrkSlice struct {
	path  string
	conns int
	size  int64 // of an answer; if not 0 answers are counted by their bytes, so that those count that the end cuts
}

// wrkReport is what wrk/report.lua prints.
type wrkReport struct {
	Micros   int64 // of measuring
	Requests int64
	Bytes    int64
	Failed   int64 // connections
	Refused  int64 // requests, by a status of 400 or more
	P50, P99 int64 // microseconds
}

// wrkMissing says why wrk cannot be run; empty: it can.
func wrkMissing() string {
	if _, err := exec.LookPath("wrk"); err != nil {
		return "wrk is not installed"
	}
	return ""
}

// wrk takes one slice of a server with wrk, which knows no part of a second.
func (b *bench) wrk(i *instance, s wrkSlice) (sample, error) {
	seconds := max(int((b.slice+time.Second-1)/time.Second), 1)
	var out bytes.Buffer
	pids := i.tree()
	before := cpu(pids)
	p, err := start("wrk", nil, &out, "wrk", "--threads", "1", "--connections", strconv.Itoa(s.conns), "--duration", fmt.Sprintf("%ds", seconds),
		"--script", filepath.Join(b.source, "wrk", "report.lua"), "http://"+i.address+s.path)
	if err != nil {
		return sample{}, err
	}
	err = p.cmd.Wait()
	used := cpu(pids) - before
	running.remove(p)
	var r wrkReport
	text := bytes.TrimSpace(out.Bytes())
	if wrong := json.Unmarshal(text[bytes.LastIndexByte(text, '\n')+1:], &r); wrong != nil {
		return sample{}, fmt.Errorf("%s: wrk: %v: %s%s", i.server.name, err, &out, p.log)
	}
	if r.Failed > 0 || r.Refused > 0 || r.Requests == 0 {
		return sample{}, fmt.Errorf("%s: wrk: %+v", i.server.name, r)
	}
	answers := r.Requests
	if s.size > 0 {
		answers = r.Bytes / s.size
	}
	elapsed := float64(r.Micros) / 1e6
	return newSample(&load.Report{
		Seconds: elapsed, Requests: answers, Answers: answers, PerSecond: float64(answers) / elapsed, BytesReceived: r.Bytes,
		Latency: &load.Summary{P50: r.P50 * 1000, P99: r.P99 * 1000}, OK: true,
	}, used), nil
}
