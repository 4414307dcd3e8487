package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// answerTimeout is how long a live master may take to say what it knows.
const answerTimeout = 10 * time.Second

// get asks the master behind a control socket what it knows.
func get(control, path string) ([]byte, error) {
	return getWithin(answerTimeout, control, path)
}

// getWithin is get for what takes its time.
func getWithin(timeout time.Duration, control, path string) ([]byte, error) {
	conn, err := dialMaster(control)
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(timeout)) // a socket has deadlines
	return exchange(conn, http.MethodGet, path, nil)
}

// getInto is get for an answer in JSON.
func getInto(control, path string, answer any) error {
	body, err := get(control, path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, answer); err != nil {
		return fmt.Errorf("the master's answer: %w", err)
	}
	return nil
}

// post asks the master behind a control socket to do something, and fills
// answer when it is done, which may take any time.
func post(control, path string, request, answer any) error {
	conn, err := dialMaster(control)
	if err != nil {
		return err
	}
	return postOver(conn, path, request, answer)
}

// postOver is post over a connection, of which it takes ownership.
func postOver(conn net.Conn, path string, request, answer any) error {
	body, err := exchange(conn, http.MethodPost, path, request)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, answer); err != nil {
		return fmt.Errorf("the master's answer: %w", err)
	}
	return nil
}

// exchange sends one request and returns the answer to it. It takes ownership
// of conn.
func exchange(conn net.Conn, method, path string, request any) ([]byte, error) {
	defer conn.Close()
	response, err := ask(conn, method, path, request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = refusal(response.Status, body)
	}
	return body, err
}

// ask sends one request, and returns when the answer begins, whose body the caller reads
// and closes. It borrows conn.
func ask(conn net.Conn, method, path string, request any) (*http.Response, error) {
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return conn, nil },
	}}
	var content bytes.Buffer
	if request != nil {
		if err := json.NewEncoder(&content).Encode(request); err != nil {
			return nil, err
		}
	}
	r, err := http.NewRequest(method, "http://usher"+path, &content)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("no answer from the master: %w", errors.Unwrap(err)) // without method and URL
	}
	return response, nil
}

// refusal returns the error that the master answers.
func refusal(status string, body []byte) error {
	var answer struct{ Error string }
	if json.Unmarshal(body, &answer) != nil || answer.Error == "" {
		return fmt.Errorf("the master answers: %s", status) // another version does not know the request
	}
	return errors.New(answer.Error)
}
