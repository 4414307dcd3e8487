package load

import (
	"errors"
	"fmt"
	"os"
)

// Content is what a body is: a request's, or as an answer's is to be. One of the three
// is set; of an answer's Size the length alone counts.
type Content struct {
	Size int    `json:"size"` // bytes: of a request the number of the request, as far as there is room, and a pattern
	File string `json:"file"` // that has them
	Sent bool   `json:"sent"` // of an answer: as its request's
}

// maxBody bounds a body: it is held in memory, once for each process.
const maxBody = 1 << 30

// check says what is wrong.
func (c *Content) check() error {
	if c == nil {
		return nil
	}
	if c.Size < 0 || c.Size > maxBody {
		return fmt.Errorf("a body has from 0 to %d bytes", maxBody)
	}
	if c.File == "" {
		return nil
	}
	info, err := os.Stat(c.File)
	switch {
	case err != nil:
		return fmt.Errorf("body: %w", err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("body: %s is not a file", c.File)
	case info.Size() > maxBody:
		return fmt.Errorf("body: %s has more than %d bytes", c.File, maxBody)
	}
	return nil
}

// read returns the bytes. It reads the file.
func (c *Content) read() ([]byte, error) {
	if c.File == "" {
		return pattern(c.Size), nil
	}
	b, err := os.ReadFile(c.File)
	if err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	return b, nil
}

// checkContents says what is wrong with the bodies of a plan.
func (p *Plan) checkContents() error {
	if p.Body != nil && p.Body.Sent {
		return errors.New("body: sent is what an answer has")
	}
	if p.Expect != nil && p.Expect.Sent && p.Body == nil {
		return errors.New("expect: no body is sent that could come back")
	}
	return errors.Join(p.Body.check(), p.Expect.check())
}
