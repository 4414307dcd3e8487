package main

import (
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/usher-go/usher/internal/load"
)

// benchHTTP are the flags of usher bench http.
type benchHTTP struct {
	benchFlags `embed:""`

	Path    string     `env:"" default:"/" help:"What to ask for."`
	Method  string     `env:"" short:"X" placeholder:"NAME" help:"What to ask to be done; GET, or POST with --body."`
	Header  []string   `env:"" short:"H" sep:"none" placeholder:"NAME: VALUE" help:"A header of each request; Host in place of the server's address."`
	Body    *benchBody `env:"" placeholder:"N|@FILE" help:"Body of each request: so many bytes (64KiB), which begin with the request's number, or those of a file."`
	Chunked bool       `env:"" help:"Send the body in chunks of 16 KiB."`
	Expect  *benchBody `env:"" placeholder:"N|@FILE|sent" help:"What the body of each answer has to be: so many bytes, those of a file, or those that were sent."`
	Status  int        `env:"" default:"0" help:"The status that answers have to have; 0: any from 200 to 399."`
	Close   bool       `env:"" help:"A connection for each request, as --churn, which the server is told to close, and has to."`
}

// plan returns the load that the flags describe.
func (c *benchHTTP) plan() *load.Plan {
	p := c.benchFlags.plan(load.HTTP)
	p.Path, p.Method, p.Headers, p.Chunked, p.Status = c.Path, c.Method, c.Header, c.Chunked, c.Status
	p.Body, p.Expect = (*load.Content)(c.Body), (*load.Content)(c.Expect)
	p.Close = c.Close
	p.Churn = p.Churn || p.Close
	return p
}

func (c *benchHTTP) Run() error {
	for _, address := range []string{c.Address, c.Against} {
		if err := notURL(address); err != nil {
			return usageError{err}
		}
	}
	return c.benchFlags.run(c.plan())
}

// notURL returns how to write what a URL says; nil if the address is none.
func notURL(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil
	}
	host, port, flags := u.Host, "80", ""
	if u.Scheme == "https" {
		port, flags = "443", " --tls"
	}
	if u.Port() == "" {
		host = net.JoinHostPort(u.Hostname(), port)
	}
	if path := u.RequestURI(); path != "/" {
		flags += " --path '" + strings.ReplaceAll(path, "'", "%27") + "'"
	}
	return fmt.Errorf("%s is a URL: write HOST:PORT, and its path by --path: usher bench http %s%s", address, host, flags)
}

// Help is what usher bench http --help says in the end.
func (c *benchHTTP) Help() string {
	return `Each answer has to be whole: as long as it says, each chunk too. Errors are told apart
by what the client has seen when its connection ended or stood still:

  refused     nobody listens
  unanswered  no byte of an answer, on a new connection
  stale       no byte of an answer, on one that had answered before: the
              server ended it when the request was sent, or was on its way
  cut         a part of an answer
  status      all of it, with a status that is not wanted
  wrong       something else than HTTP, or than --expect
  timeout     nothing for --timeout

A connection that the server ends between two requests is no error, and is counted
(http.idle_closed); one of --idle that ends so does not answer at the end.

Examples:

  usher bench http 127.0.0.1:8080 --path / --rate 5000
  usher bench http 127.0.0.1:8080 --path /upload --body 64KiB -H 'Content-Type: text/plain'
  usher bench http 127.0.0.1:8080 --path /echo --body 1MiB --chunked --expect sent
  usher bench http 127.0.0.1:8080 --path /logo.png --expect @logo.png --status 200
  usher bench http 127.0.0.1:8080 --close --requests 10000
  usher bench http www.example:443 --tls --idle 200 --conns 10 --duration 30s`
}

// benchBody is a body, of a request or an answer.
type benchBody load.Content

// UnmarshalText reads 64KiB, @FILE or sent.
func (b *benchBody) UnmarshalText(text []byte) error {
	if file, found := strings.CutPrefix(string(text), "@"); found {
		if file == "" {
			return fmt.Errorf("expected a file's name after @")
		}
		*b = benchBody{File: file}
		return nil
	}
	if string(text) == "sent" {
		*b = benchBody{Sent: true}
		return nil
	}
	var size byteSize
	if err := size.UnmarshalText(text); err != nil {
		return fmt.Errorf("expected a size such as 64KiB or @FILE but got %q", text)
	}
	*b = benchBody{Size: int(size)}
	return nil
}
