package worker_test

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/internal/certtest"
	"github.com/usher-go/usher/internal/credentials"
	"github.com/usher-go/usher/ipc"
	"golang.org/x/sys/unix"
)

// sealing has the connections of each rig have TLS, and so the clients; nil: they have not.
// Tests with rigs do not run in parallel.
var sealing *sealed

// sealed is what a test's workers and clients need for TLS.
type sealed struct {
	secrets []byte // what comes with hello
	client  *tls.Config
	// transports are what hello announces; the first is that of new connections.
	transports []ipc.Transport
}

// seal has all rigs of a test use TLS, until its end.
func seal(t *testing.T, version uint16) *sealed {
	sealing = newSealed(t, version)
	t.Cleanup(func() { sealing = nil })
	return sealing
}

// testCA makes what the certificates of all tests are signed with: once, for it takes time.
var testCA = sync.OnceValue(func() *certtest.CA { return certtest.NewCA(&once{}, "test CA") })

// once is a testing.TB that outlives a test.
type once struct{ testing.TB }

func (once) Helper()               {}
func (once) Fatal(args ...any)     { panic(args) }
func (once) Cleanup(func())        {}
func (once) Fatalf(string, ...any) { panic("the CA cannot be made") }

var testPair = sync.OnceValue(func() *certtest.Pair {
	return testCA().Issue(&once{}, certtest.Want{Names: []string{"server.test"}})
})

// testTicketKeys are those of all workers.
var testTicketKeys = sync.OnceValue(func() *credentials.TicketKeys { return credentials.NewTicketKeys(time.Now()) })

func newSealed(t testing.TB, version uint16) *sealed {
	return &sealed{
		secrets: credentials.Encode(testCredentials(t, ""), testTicketKeys()),
		client: &tls.Config{
			RootCAs: testCA().Pool(), ServerName: "server.test", MinVersion: version, MaxVersion: version,
		},
		transports: []ipc.Transport{{Number: 1, TLS: true}},
	}
}

// testCredentials are those of testPair; clientCA is a file, or empty.
func testCredentials(t testing.TB, clientCA string) *credentials.Credentials {
	cert, key := testPair().Write(t, t.TempDir(), "server")
	c, _, err := credentials.Load(credentials.Files{Certs: []string{cert}, Keys: []string{key}, ClientCA: clientCA}, time.Now())
	check(t, err)
	return c
}

// announce has hello say so, and returns the transport number of new connections.
func (s *sealed) announce(hello *ipc.Hello) uint8 {
	hello.Transports, hello.TLS = s.transports, s.secrets != nil
	return s.transports[0].Number
}

// sayWithMemory sends a control message with a memfd.
func (s *rig) sayWithMemory(m ipc.Message, content []byte) {
	s.t.Helper()
	b, err := ipc.EncodeMessage(m)
	check(s.t, err)
	memfd, err := fdpass.Seal("secrets", content)
	check(s.t, err)
	defer fdpass.CloseAll([]int{memfd})
	raw, err := s.control.SyscallConn()
	check(s.t, err)
	check(s.t, raw.Write(func(fd uintptr) bool {
		err = unix.Sendmsg(int(fd), b, unix.UnixRights(memfd), nil, unix.MSG_NOSIGNAL)
		return err != unix.EAGAIN
	}))
	check(s.t, err)
}

// sealedClient is a client's end of a connection with TLS, as the tests use one.
type sealedClient struct {
	*tls.Conn
	socket *net.TCPConn
	abrupt bool
}

func newSealedClient(conn net.Conn, config *tls.Config) *sealedClient {
	socket, _ := conn.(*net.TCPConn) // nil: a Unix socket
	return &sealedClient{Conn: tls.Client(conn, config), socket: socket}
}

// CloseWrite says the end, and finishes the socket too.
func (c *sealedClient) CloseWrite() error {
	if err := c.Conn.CloseWrite(); err != nil {
		return err
	}
	return c.NetConn().(interface{ CloseWrite() error }).CloseWrite()
}

func (c *sealedClient) SetLinger(seconds int) error {
	c.abrupt = true
	return c.socket.SetLinger(seconds)
}

// Close says the end, unless it is to reset the connection.
func (c *sealedClient) Close() error {
	if c.abrupt {
		return c.socket.Close()
	}
	_ = c.Conn.Close() // the peer may be gone, and not want to hear of the end
	if err := c.NetConn().Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}
