package main

import "github.com/usher-go/usher/worker"

// echo is the built-in app that sends every byte back.
func echo(c *worker.Conn, in []byte) (int, error) { return c.Write(in) }
