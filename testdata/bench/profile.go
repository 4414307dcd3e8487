package main

import (
	"bufio"
	"bytes"
	"encoding/xml"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// profile draws where a worker spends its time under steady echo, and says how
// much of it is not the kernel's.
func (b *bench) profile() error {
	if _, err := exec.LookPath("perf"); err != nil {
		b.say("perf is not installed")
		return nil
	}
	i, err := b.run(usher, 1, oneCore)
	if err != nil {
		return err
	}
	defer i.end()
	client, err := start("usher bench", oneCore, nil, b.program("usher"), "bench", "echo", i.address, "--duration", "1h")
	if err != nil {
		return err
	}
	defer client.end()
	workers := i.tree()[1:]
	data := filepath.Join(b.scratch, "perf.data")
	seconds := "5"
	if b.quick {
		seconds = "1"
	}
	if err := b.make(b.scratch, "perf", "record", "-q", "-F", "2000", "-g", "-o", data, "-p", strconv.Itoa(workers[0]), "sleep", seconds); err != nil {
		return err
	}
	cmd := exec.Command("perf", "script", "-i", data, "-F", "ip,sym,dso")
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("perf script: %w", err)
	}
	root, outside := fold(out)
	if root.count == 0 {
		b.say("perf has taken no samples here")
		return nil
	}
	b.reached("steady echo of 64 B, 50 connections: the worker's time outside of the kernel", "< 12 %",
		fmt.Sprintf("%.1f %% of %d samples ([picture](../testdata/bench/plots/profile.svg))", 100*float64(outside)/float64(root.count), root.count))
	if b.quick {
		return nil
	}
	path, err := b.plotFile("profile")
	if err != nil {
		return err
	}
	return os.WriteFile(path, flames(root), 0o644)
}

// frame is a function, with what it calls.
type frame struct {
	name   string
	kernel bool
	count  int // samples in it, or in what it calls
	calls  map[string]*frame
}

// fold joins stacks as perf script prints them: innermost first, with an empty
// line behind each. outside counts those that end in the program.
func fold(script []byte) (root *frame, outside int) {
	root = &frame{name: "all", calls: make(map[string]*frame)}
	var stack []frame
	end := func() {
		if len(stack) == 0 {
			return
		}
		root.count++
		if !stack[0].kernel {
			outside++
		}
		at := root
		for _, f := range slices.Backward(stack) {
			next := at.calls[f.name]
			if next == nil {
				next = &frame{name: f.name, kernel: f.kernel, calls: make(map[string]*frame)}
				at.calls[f.name] = next
			}
			next.count++
			at = next
		}
		stack = stack[:0]
	}
	for lines := bufio.NewScanner(bytes.NewReader(script)); lines.Scan(); {
		_, text, ok := strings.Cut(strings.TrimSpace(lines.Text()), " ") // behind the address
		if !ok {
			end()
			continue
		}
		name, file, _ := strings.Cut(text, " (")
		name = strings.TrimPrefix(name, "github.com/usher-go/usher/")
		stack = append(stack, frame{name: name, kernel: strings.Contains(file, "kernel") || strings.HasSuffix(file, ".ko)")})
	}
	end()
	return root, outside
}

// The measures of a flame graph, in pixels.
const (
	flameWidth = 1200.0
	flameRow   = 16
)

// flames draws stacks: what is called stands on what calls it, as wide as its
// share. The kernel is blue.
func flames(root *frame) []byte {
	var b bytes.Buffer
	depth := root.depth()
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %d" font-family="sans-serif" font-size="10">`+"\n", flameWidth, depth*flameRow)
	root.draw(&b, 0, depth-1, flameWidth/float64(root.count))
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// narrowest is the narrowest frame that is drawn, in pixels.
const narrowest = 1

func (f *frame) depth() int {
	deepest := 0
	for _, called := range f.calls {
		deepest = max(deepest, called.depth())
	}
	return 1 + deepest
}

func (f *frame) draw(b *bytes.Buffer, x float64, row int, scale float64) {
	width := float64(f.count) * scale
	if width < narrowest {
		return
	}
	colour := "#f4b183"
	if f.kernel {
		colour = "#9dc3e6"
	}
	fmt.Fprintf(b, `<g><rect x="%.1f" y="%d" width="%.1f" height="%d" fill="%s" stroke="white"/>`, x, row*flameRow, width, flameRow, colour)
	fmt.Fprintf(b, `<title>%s, %.2f %%</title>`, escaped(f.name), 100*width/flameWidth)
	if letters := int(width / 6); letters > 3 {
		fmt.Fprintf(b, `<text x="%.1f" y="%d">%s</text>`, x+2, row*flameRow+12, escaped(f.name[:min(len(f.name), letters)]))
	}
	b.WriteString("</g>\n")
	var names []string
	for name := range f.calls {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		called := f.calls[name]
		called.draw(b, x, row-1, scale)
		x += float64(called.count) * scale
	}
}

func escaped(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder takes all
	return b.String()
}
