package dispatch

import "github.com/hashicorp/go-hclog"

// Settings are what an operator set, and may change while serving.
type Settings struct {
	Policy         string // the name of one of Policies; empty: DefaultPolicy
	MaxConns       int    // at a time; 0: no limit
	MaxConnsPerIP  int    // at a time from one IPv4 address, or IPv6 network of 64 bits; 0: no limit
	AcceptRate     int    // accepted in a second; 0: no limit
	CloseOverLimit bool   // clients beyond a limit are closed, and do not wait in the kernel
}

// Setup is what New makes an accept goroutine of.
type Setup struct {
	Settings
	Logger          hclog.Logger
	Listeners       []Listener
	Acceptors       int         // how many goroutines accept, this one included; at least 1
	DescriptorLimit int         // of this process
	Report          func(Event) // is called on the accept goroutine, and must not block
}
