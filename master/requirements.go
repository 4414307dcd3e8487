package master

import (
	"fmt"
	"strings"

	"github.com/usher-go/usher/ipc"
)

// lacks returns why a worker cannot serve by the configuration: by what it said when it was
// ready, it cannot do what a limit or a listener needs. Empty: it can.
func (c *Config) lacks(ready ipc.Ready) string {
	if flag := c.needsCloses(); flag != "" && !ready.Closes {
		return "it does not say when it closes connections, which --" + flag + " needs"
	}
	for i, t := range c.transports() {
		switch {
		case t.TLS && !ready.TLS:
			return c.lacksFor(i, "tls", "do TLS")
		case t.Proxy && !ready.Proxy:
			return c.lacksFor(i, "proxy", "read PROXY headers")
		}
	}
	return ""
}

// lacksFor says so of a listener, by its place in the configuration.
func (c *Config) lacksFor(listener int, word, what string) string {
	return fmt.Sprintf("it did not say %q when it was ready, which --listen %s needs (%s cannot %s: start a program that can, or take that off the listener)",
		word, c.Listen[listener], c.programName(), what)
}

// programName is how the worker's program is called where its other arguments do not
// matter: with the first one, if that may be a script.
func (c *Config) programName() string {
	name := c.Program[0]
	if len(c.Program) > 1 && !strings.HasPrefix(c.Program[1], "-") {
		name += " " + c.Program[1]
	}
	return name
}
