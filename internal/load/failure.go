package load

import (
	"errors"
	"fmt"
	"io"

	"github.com/usher-go/usher/worker"
	"golang.org/x/sys/unix"
)

// This file tells what goes wrong apart.

// What the end of a connection means to a request of HTTP that was under way. Those wrap
// what has ended it.
var (
	errCutShort   = errors.New("an answer was cut short")
	errUnanswered = errors.New("no byte of an answer")
	errStale      = errors.New("no byte of an answer, on a connection that had answered before")
)

// broken returns what it means that the server has ended the connection, by err: nil if
// nobody is the worse for it, since no request was under way. That is told of HTTP alone,
// whose servers may end a connection between two requests.
func (p *place) broken(err error) error {
	ended := errors.Is(err, io.EOF) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE)
	switch {
	case p.engine.plan.Mode != HTTP || !ended || p.sent == 0:
		return err
	case p.settled():
		if p.leaving {
			return err // by a reset, which may cost a client its answer
		}
		p.engine.tally.IdleClosed++
		return nil
	case p.begun:
		return fmt.Errorf("%w: %w", errCutShort, err)
	case p.answered > 0:
		return fmt.Errorf("%w: %w", errStale, err)
	}
	return fmt.Errorf("%w: %w", errUnanswered, err)
}

// errLingers: the server has not ended a connection.
var errLingers = fmt.Errorf("%w: the server has not ended a connection whose request says Connection: close", errTimeout)

// kind tells errors apart, and says what to do about those of this side.
func kind(err error) (name, advice string) {
	switch {
	case errors.Is(err, errLingers):
		return KindTimeout, err.Error()
	case errors.Is(err, errCutShort):
		return KindCut, tlsAdvice(err)
	case errors.Is(err, errUnanswered):
		return KindUnanswered, tlsAdvice(err)
	case errors.Is(err, errStale):
		return KindStale, tlsAdvice(err)
	case errors.Is(err, errStatus):
		return KindStatus, err.Error()
	case errors.Is(err, errTimeout), errors.Is(err, worker.ErrDialTimeout), errors.Is(err, unix.ETIMEDOUT), errors.Is(err, worker.ErrWriteTimeout):
		return KindTimeout, ""
	case errors.Is(err, errWrong), errors.Is(err, errUnasked), errors.Is(err, worker.ErrInputFull):
		return KindWrong, err.Error()
	case errors.As(err, new(tlsError)):
		return KindTLS, explainTLS(err)
	case errors.Is(err, errNoHandshake), errors.Is(err, errCut):
		return KindClosed, err.Error()
	case errors.Is(err, io.EOF):
		return KindClosed, ""
	case errors.Is(err, unix.ECONNREFUSED):
		return KindRefused, ""
	case errors.Is(err, unix.ECONNRESET), errors.Is(err, unix.EPIPE):
		return KindReset, ""
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
		return KindDescriptors, "out of descriptors: raise the limit (ulimit -n), or use more --processes"
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return KindPorts, "out of ports: those of a closed connection are free again after a while (TIME_WAIT); give more addresses to dial from with --source, or fewer connections"
	}
	return KindOther, err.Error()
}

// tlsAdvice says how TLS has ended, where that is worth a word.
func tlsAdvice(err error) string {
	if errors.Is(err, errCut) {
		return errCut.Error()
	}
	return ""
}
