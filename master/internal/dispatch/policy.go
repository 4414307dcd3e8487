package dispatch

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Policy is a way to choose a worker for each new connection: a row of policies, which
// is all that there is of one.
type Policy struct {
	Name string // as an operator gives it
	Help string // what it does, after its name and a colon
	// NeedsCloses: it works only with workers that say when they close connections.
	NeedsCloses bool
	// PerWorker is the most connections of a worker, if the operator sets no limit; 0:
	// there is none.
	PerWorker int

	// ByAddress: it looks at the client's address, before any byte has come.
	ByAddress bool

	choose chooser
}

// chooser chooses who gets a connection from peer: the index of a candidate with room,
// or -1 if none has any. turn is where the search starts, one beyond the last choice.
// It is pure. peer is the zero value but for policies by address, and for clients of
// Unix sockets.
type chooser func(candidates []candidate, peer netip.Addr, turn int) int

// candidate is a worker as a policy sees it.
type candidate struct {
	slot  int
	load  int  // connections it has, queued ones included
	room  int  // connections it can take now
	moves bool // it can thaw connections
}

// policies is the one list of them.
var policies = []Policy{
	{Name: "least", Help: "the one with the fewest", choose: least},
	{Name: "round-robin", Help: "each in turn", choose: roundRobin},
	{Name: "hash", Help: "by the client's address", ByAddress: true, choose: rendezvous},
	{Name: "queue", Help: "whoever is free, the rest waits", NeedsCloses: true, PerWorker: 1, choose: roundRobin},
}

// DefaultPolicy is the name of the policy that is used if none is named.
const DefaultPolicy = "least"

// LookupPolicy returns the policy of a name; the empty one is DefaultPolicy's. ok is
// false if there is none.
func LookupPolicy(name string) (p Policy, ok bool) {
	if name == "" {
		name = DefaultPolicy
	}
	i := slices.IndexFunc(policies, func(p Policy) bool { return p.Name == name })
	if i < 0 {
		return Policy{}, false
	}
	return policies[i], true
}

// Policies returns the names of all, sorted.
func Policies() (names []string) {
	for _, p := range policies {
		names = append(names, p.Name)
	}
	slices.Sort(names)
	return names
}

// PolicyHelp says in one sentence what each does.
func PolicyHelp() string {
	var parts []string
	for _, p := range policies {
		parts = append(parts, fmt.Sprintf("`%s`: %s", p.Name, p.Help))
	}
	return strings.Join(parts, "; ") + "."
}

// PerWorkerHelp says which limit of each worker a policy brings, beside the usual one.
func PerWorkerHelp() string {
	var parts []string
	for _, p := range policies {
		if p.PerWorker > 0 {
			parts = append(parts, fmt.Sprintf("but %d under --dispatch %s", p.PerWorker, p.Name))
		}
	}
	return strings.Join(parts, ", ")
}
