package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// eventMessage is a server-sent event (HTML Living Standard, 9.2.6).
type eventMessage struct {
	id   string
	kind string // of the line that begins with event; empty: there is none
	data string
}

// readEvents asks the master behind a control socket for /v1/events, and calls take with
// each message, until that returns an error, or the stream ends. nil: it has ended as it
// should. It blocks.
func readEvents(control, query string, take func(eventMessage) error) error {
	conn, err := dialMaster(control)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(answerTimeout)) // a socket has deadlines
	response, err := ask(conn, http.MethodGet, "/v1/events"+query, nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		body, err := io.ReadAll(response.Body)
		if err == nil {
			err = refusal(response.Status, body)
		}
		return err
	}
	_ = conn.SetReadDeadline(time.Time{}) // likewise; nothing may happen for days
	for lines := bufio.NewReader(response.Body); ; {
		message, err := readMessage(lines)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("the master's events: %w", err)
		}
		if message.data == "" {
			continue
		}
		if err := take(message); err != nil {
			return err
		}
	}
}

// readMessage returns the next message. At the end of the stream the error is io.EOF, and
// what is not whole is dropped.
func readMessage(lines *bufio.Reader) (m eventMessage, err error) {
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return m, err
		}
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			return m, nil
		}
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "id":
			m.id = value
		case "event":
			m.kind = value
		case "data":
			m.data += value
		}
	}
}
