package main

import (
	"errors"

	"github.com/usher-go/usher/internal/load"
)

// benchTLS are the flags for TLS, which all kinds of load have.
type benchTLS struct {
	TLS        bool   `env:"" name:"tls" help:"Encrypt each connection; count handshakes, and those that resume a session."`
	CA         string `env:"" name:"ca" type:"path" placeholder:"FILE" help:"Authorities to verify the server by (PEM), in place of the system's."`
	Insecure   bool   `env:"" help:"Do not verify the server."`
	ServerName string `env:"" placeholder:"NAME" help:"The name to ask for and to verify, in place of the host that is dialled."`
	Resume     bool   `env:"" default:"true" negatable:"" help:"Resume the server's latest session; without, each handshake is a full one."`
	TLSVersion string `env:"" name:"tls-version" placeholder:"1.2|1.3" help:"The only version to offer; both by default."`
	TLSSuite   string `env:"" name:"tls-suite" placeholder:"NAME" help:"The only cipher suite (TLS_AES_128_GCM_SHA256). Of TLS 1.3's all are offered, and a server that chooses another is an error."`
	Cert       string `env:"" type:"path" placeholder:"FILE" help:"Certificate of this client (PEM)."`
	Key        string `env:"" type:"path" placeholder:"FILE" help:"Its key (PEM)."`
}

// plan returns what the flags describe; nil: no TLS.
func (c *benchTLS) plan() *load.TLS {
	if !c.TLS {
		return nil
	}
	return &load.TLS{
		CA: c.CA, Insecure: c.Insecure, ServerName: c.ServerName, NoResume: !c.Resume,
		Version: c.TLSVersion, Suite: c.TLSSuite, Cert: c.Cert, Key: c.Key,
	}
}

// check returns what is wrong with the flags together.
func (c *benchTLS) check() error {
	switch {
	case !c.TLS && *c != benchTLS{Resume: true}:
		return errors.New("ca, insecure, server-name, no-resume, tls-version, tls-suite, cert and key are for connections with --tls")
	case c.CA != "" && c.Insecure:
		return errors.New("ca and insecure exclude one another: is the server to be verified?")
	}
	return nil
}
