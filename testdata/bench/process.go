package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// process is one that this program has started, with all that it starts.
type process struct {
	name string
	cmd  *exec.Cmd
	log  *bytes.Buffer
}

// cores are those that a process may use; nil: all.
type cores []int

// start starts a program on some cores. It ends with this one.
func start(name string, on cores, out io.Writer, argv ...string) (*process, error) {
	p := &process{name: name, cmd: exec.Command(argv[0], argv[1:]...), log: new(bytes.Buffer)}
	p.cmd.Stdout, p.cmd.Stderr = out, p.log
	p.cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread's cores are the child's only
		if err := on.bind(); err != nil {
			started <- err
			return
		}
		started <- p.cmd.Start()
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	running.add(p)
	return p, nil
}

// bind has this thread run on the cores only.
func (on cores) bind() error {
	if on == nil {
		return nil
	}
	var set unix.CPUSet
	for _, core := range on {
		set.Set(core)
	}
	return os.NewSyscallError("sched_setaffinity", unix.SchedSetaffinity(0, &set))
}

// end ends a process and its group, and waits for it.
func (p *process) end() {
	_ = unix.Kill(p.cmd.Process.Pid, unix.SIGTERM) // it may have ended
	done := make(chan struct{})
	go func() {
		_ = p.cmd.Wait() // by a signal
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
	}
	_ = unix.Kill(-p.cmd.Process.Pid, unix.SIGKILL) // likewise, and its children with it
	<-done
	running.remove(p)
}

// tree returns the process and all below it.
func (p *process) tree() []int {
	parents := make(map[int][]int)
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is fine
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		end := bytes.LastIndexByte(text, ')')
		fields := strings.Fields(string(text[end+1:]))
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		parent, _ := strconv.Atoi(fields[1])
		parents[parent] = append(parents[parent], pid)
	}
	pids := []int{p.cmd.Process.Pid}
	for i := 0; i < len(pids); i++ {
		pids = append(pids, parents[pids[i]]...)
	}
	return pids
}

// cpu is what processes have used so far (sched-stats in the kernel's
// documentation: nanoseconds on a processor).
func cpu(pids []int) (total time.Duration) {
	for _, pid := range pids {
		paths, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
		for _, path := range paths {
			total += readCPU(path)
		}
	}
	return total
}

// rests reports whether processes use next to nothing, for a moment in which it looks.
func rests(pids []int) bool {
	before := cpu(pids)
	time.Sleep(100 * time.Millisecond) // this is what is measured
	return cpu(pids)-before < time.Millisecond
}

// lifetimeCPU is what a process and all that it has started have used so far, those that
// have ended included, to within a tick for each (proc_pid_stat(5)).
func lifetimeCPU(p *process) (total time.Duration) {
	const tick = 10 * time.Millisecond // USER_HZ is 100 everywhere
	for _, pid := range p.tree() {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue // it has ended
		}
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		for _, ticks := range fields[13:15] { // cutime and cstime: of those that have ended
			n, _ := strconv.ParseInt(ticks, 10, 64)
			total += time.Duration(n) * tick
		}
	}
	return total + cpu(p.tree())
}

// threads is what each thread of a process has used so far.
func threads(pid int) map[string]time.Duration {
	used := make(map[string]time.Duration)
	paths, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	for _, path := range paths {
		used[path] = readCPU(path)
	}
	return used
}

// busiest is what the thread has used that has used most, since before.
func busiest(pid int, before map[string]time.Duration) (most time.Duration) {
	for path, used := range threads(pid) {
		most = max(most, used-before[path])
	}
	return most
}

func readCPU(path string) time.Duration {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0 // the thread has ended
	}
	var ns int64
	_, _ = fmt.Sscan(string(text), &ns) // it is a number
	return time.Duration(ns)
}

// switches counts context switches so far.
func switches(pids []int) (total int64) {
	for _, pid := range pids {
		paths, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
		for _, path := range paths {
			total += field(path, "voluntary_ctxt_switches:") + field(path, "nonvoluntary_ctxt_switches:")
		}
	}
	return total
}

// memory is the anonymous memory of processes, shared parts in proportion (proc(5)).
func memory(pids []int) (bytes int64) {
	for _, pid := range pids {
		bytes += field(fmt.Sprintf("/proc/%d/smaps_rollup", pid), "Pss_Anon:") << 10
	}
	return bytes
}

func field(path, name string) (value int64) {
	file, err := os.Open(path)
	if err != nil {
		return 0 // it has ended
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); len(fields) >= 2 && fields[0] == name {
			value, _ = strconv.ParseInt(fields[1], 10, 64)
		}
	}
	return value
}

// sockets counts the descriptors of each process that are sockets.
func sockets(pid int) (n int) {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return 0 // it has ended
	}
	for _, entry := range entries {
		if target, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, entry.Name())); err == nil && strings.HasPrefix(target, "socket:") {
			n++
		}
	}
	return n
}

// descriptors counts those of all processes together, which is quicker.
func descriptors(pids []int) (n int) {
	for _, pid := range pids {
		entries, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid)) // it may have ended
		n += len(entries)
	}
	return n
}

// until waits for what /proc alone tells.
func until(what string, limit time.Duration, ok func() bool) error {
	for deadline := time.Now().Add(limit); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			return errors.New("not in time: " + what)
		}
	}
	return nil
}
