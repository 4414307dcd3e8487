package master

import (
	"time"

	"github.com/usher-go/usher/internal/credentials"
)

// loadedTLS is what the files hold that a configuration names for TLS. It does not change.
type loadedTLS struct {
	credentials *credentials.Credentials // nil: no certificate is named
	ticketKeys  *credentials.TicketKeys  // of a file; nil: the master makes its own
	warnings    []string
}

// loadTLS reads the files, and checks that they do for the listeners. It may block as
// long as a file system does. A program that takes over has them from the one before.
func (c *Config) loadTLS(time.Time) error {
	c.tls = &loadedTLS{}
	return nil
}
