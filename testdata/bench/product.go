package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// paths runs the Go benchmarks of the product's hot paths.
func (b *bench) paths() error {
	time := "1s"
	if b.quick {
		time = "100ms"
	}
	cmd := exec.Command("go", "test", "-run", "^$", "-bench", "Accept|Pass|Echo|Dispatch|Envelope|Send|Receive|Wait|Packet|Scan|Intake|Timer|Frozen",
		"-benchmem", "-benchtime", time, "./fdpass", "./ipc", "./master/...", "./worker", "./internal/...", "./cmd/usher")
	cmd.Dir = filepath.Join(b.source, "..", "..")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	line := regexp.MustCompile(`^(Benchmark\S+?)(-\d+)?\s+\d+\s+([\d.]+) ns/op.*?(\d+) allocs/op`)
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		if m := line.FindStringSubmatch(lines.Text()); m != nil {
			b.say("  %-50s %10s ns  %s allocations", m[1], m[3], m[4])
		}
	}
	return nil
}

// migrate runs the story of moving connections, which is the command's own.
func (b *bench) migrate() error {
	args := []string{"test", "-count=1", "-timeout=10m", "-v", "-run=^TestMigrate$", "./cmd/usher"}
	if !b.quick {
		args = append(args, "-size=full")
	}
	cmd := exec.Command("go", args...)
	cmd.Dir = filepath.Join(b.source, "..", "..")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		if _, text, ok := strings.Cut(lines.Text(), "migrate_test.go:"); ok {
			_, text, _ = strings.Cut(text, ": ")
			b.figure("one reload: %s", text)
		}
	}
	return nil
}
