package fdpass

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// interruptible runs wait, which ends early when ctx is done: then the deadline
// is set to the past, and taken back after. A wait that succeeds all the same is
// a success, since it may have brought a descriptor.
func interruptible(ctx context.Context, setDeadline func(time.Time) error, wait func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(interrupted)
		_ = setDeadline(time.Unix(1, 0)) // fails on a closed socket, where nothing waits
	})
	err := wait()
	if stop() {
		return err
	}
	<-interrupted
	_ = setDeadline(time.Time{}) // as above
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return ctx.Err()
	}
	return err
}

// retry calls try until it succeeds, fails with an error that is none of again,
// or ctx is done. It is for the conditions that the kernel offers no wait for.
func retry(ctx context.Context, try func() error, again ...error) error {
	const shortest, longest = time.Millisecond, 100 * time.Millisecond
	for pause := shortest; ; pause = min(2*pause, longest) {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := try()
		if !slices.ContainsFunc(again, func(target error) bool { return errors.Is(err, target) }) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", err, ctx.Err()) // what it was waiting for is worth knowing
		case <-time.After(pause):
		}
	}
}
