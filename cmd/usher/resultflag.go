package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// resultFlag is what every command has that prints what it did.
type resultFlag struct {
	JSON bool `name:"json" env:"" help:"Print one JSON object instead of lines."`
}

// print prints an answer: text, or the answer itself as JSON.
func (f resultFlag) print(answer any, text string) error {
	if !f.JSON {
		_, err := fmt.Print(printableLines(text))
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(answer)
}

// failed returns an error for which there is nothing to print, having told it as an object
// where an object was asked for; one about the command line is for people alone.
func (f resultFlag) failed(err error) error {
	if _, usage := errors.AsType[usageError](err); !f.JSON || usage {
		return err
	}
	return errors.Join(err, f.print(struct {
		Error string `json:"error"`
	}{err.Error()}, ""))
}

// printBy prints an answer by a function, or the answer itself as JSON.
func (f resultFlag) printBy(answer any, lines func(w io.Writer) error) error {
	if f.JSON {
		return f.print(answer, "")
	}
	w := bufio.NewWriter(os.Stdout)
	return errors.Join(lines(printableWriter{w}), w.Flush())
}
