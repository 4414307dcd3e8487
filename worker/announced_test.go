package worker

import (
	"testing"
	"time"

	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/internal/credentials"
	"github.com/usher-go/usher/ipc"
)

// Keys of tickets that come where TLS has gone, and only its number is known still, are
// nobody's.
func TestTicketKeysWhereTLSHasGone(t *testing.T) {
	var transports transports
	must(t, transports.learn(ipc.Hello{Transports: []ipc.Transport{{Number: 1, TLS: true}}}, -1, nil))
	keys := credentials.EncodeTicketKeys(credentials.NewTicketKeys(time.Now()))
	memfd, err := fdpass.Seal("keys", keys)
	must(t, err)
	must(t, transports.renewTicketKeys(memfd)) // which takes ownership of it
}
