package main

import (
	"os"
	"os/exec"
	"runtime"
)

const autogroup = "/proc/sys/kernel/sched_autogroup_enabled"

// idlers keep each core awake with a process of the policy SCHED_IDLE, which gives
// way to all others; with automatic groups it would not. end undoes it.
func (b *bench) idlers() (end func(), err error) {
	before, _ := os.ReadFile(autogroup) // there may be none
	_ = os.WriteFile(autogroup, []byte("0"), 0o644)
	var all []*process
	end = func() {
		for _, p := range all {
			p.end()
		}
		if len(before) > 0 {
			_ = os.WriteFile(autogroup, before, 0o644) // as before
		}
	}
	if _, err := exec.LookPath("chrt"); err != nil {
		b.say("without chrt the processors halt between two answers")
		return end, nil
	}
	for core := range runtime.NumCPU() {
		p, err := start("idler", cores{core}, nil, "chrt", "--idle", "0", "sh", "-c", "while :; do :; done")
		if err != nil {
			return end, err
		}
		all = append(all, p)
	}
	return end, nil
}
