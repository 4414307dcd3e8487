package main

import (
	"net"
	"net/http"
	"path/filepath"
	"testing"
)

// standIn answers at a control socket in the place of a master, until the test ends.
func standIn(t *testing.T, api http.Handler) (control string) {
	t.Helper()
	control = filepath.Join(shortDir(t), "c")
	listener, err := net.Listen("unix", control)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: api}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() { _, _ = server.Close(), <-served }) // it serves no more
	return control
}
