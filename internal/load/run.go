package load

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
)

// Run carries out a plan, which has passed Check, and blocks until it is done. It
// runs in this process, or in as many as the plan says: then each is part, which is
// a program that calls Part, for a share of it.
//
// When ctx is done the plan ends early, with what there is. progress may be nil; it
// is called from one goroutine at a time.
func Run(ctx context.Context, plan *Plan, part []string, progress func(Progress)) (*Report, error) {
	t, err := execute(ctx, plan, part, progress)
	if err != nil {
		return nil, err
	}
	return t.report(plan), nil
}

func execute(ctx context.Context, plan *Plan, part []string, progress func(Progress)) (*tally, error) {
	if plan.Processes == 1 {
		whole := plan.part(0)
		return run(ctx, &whole, progress)
	}
	var (
		all    sync.WaitGroup
		mu     sync.Mutex
		total  = newTally()
		latest = make([]Progress, plan.Processes)
		failed []error
	)
	for n := range plan.Processes {
		all.Go(func() {
			share := plan.part(n)
			t, err := runPart(ctx, &share, part, func(p Progress) {
				mu.Lock()
				defer mu.Unlock()
				latest[n] = p
				if progress != nil && n == 0 {
					progress(sum(latest))
				}
			})
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = append(failed, fmt.Errorf("process %d: %w", n, err))
				return
			}
			total.beside(t)
		})
	}
	all.Wait()
	return total, errors.Join(failed...)
}

func sum(all []Progress) (total Progress) {
	for _, p := range all {
		total.Elapsed = max(total.Elapsed, p.Elapsed)
		total.Connections += p.Connections
		total.Answers += p.Answers
		total.Errors += p.Errors
	}
	return total
}

// message is what a part says: one JSON object a line, the last a tally or an error.
type message struct {
	Progress *Progress `json:"progress,omitempty"`
	Tally    *tally    `json:"tally,omitempty"`
	Error    string    `json:"error,omitempty"`
}

// runPart has another process carry out a plan. That one ends, with what there is,
// when its standard input does: so it does not outlive this process.
func runPart(ctx context.Context, plan *Plan, part []string, progress func(Progress)) (*tally, error) {
	cmd := exec.Command(part[0], part[1:]...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { _ = in.Close() })() // it may be closed already
	t, err := converse(in, out, plan, progress)
	_ = in.Close() // likewise
	return t, errors.Join(err, cmd.Wait())
}

// converse tells a part its plan, and listens to it.
func converse(in io.Writer, out io.Reader, plan *Plan, progress func(Progress)) (*tally, error) {
	if err := json.NewEncoder(in).Encode(plan); err != nil {
		return nil, err
	}
	messages := json.NewDecoder(bufio.NewReader(out))
	for {
		var m message
		if err := messages.Decode(&m); err != nil {
			return nil, fmt.Errorf("no result: %w", err)
		}
		switch {
		case m.Error != "":
			return nil, errors.New(m.Error)
		case m.Tally != nil:
			return m.Tally, nil
		case m.Progress != nil:
			progress(*m.Progress)
		}
	}
}

// Part is one of Run's processes: it reads its plan from in, and writes what
// becomes of it to out. It ends early when in does.
func Part(in io.Reader, out io.Writer) error {
	reader := bufio.NewReader(in)
	line, err := reader.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("read the plan: %w", err)
	}
	var plan Plan
	if err := json.Unmarshal(line, &plan); err != nil {
		return fmt.Errorf("read the plan: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, reader) // whatever ends it
		cancel()
	}()
	messages := json.NewEncoder(out)
	t, err := run(ctx, &plan, func(p Progress) { _ = messages.Encode(message{Progress: &p}) }) // nobody may listen any more
	if err != nil {
		return messages.Encode(message{Error: err.Error()})
	}
	return messages.Encode(message{Tally: t})
}
