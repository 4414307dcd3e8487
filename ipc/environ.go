package ipc

import (
	"fmt"
	"strconv"
	"strings"
)

// Identity is who a worker is, as its environment tells it.
type Identity struct {
	Protocol   int // the master's Version
	Slot       int // its number, from 0: also its entry in the scoreboard
	Generation int // from 1
}

const (
	environPrefix     = "USHER_"
	environProtocol   = environPrefix + "PROTOCOL"
	environSlot       = environPrefix + "SLOT"
	environGeneration = environPrefix + "GENERATION"
	environDebug      = environPrefix + "DEBUG"
)

// IdentityVariables are the names a worker removes from its environment once it
// has read them, so that its own children do not take themselves for workers. The last is
// that of MetricsEnviron, which an older master does not set.
var IdentityVariables = [...]string{environProtocol, environSlot, environGeneration, environMetrics}

// Environ returns base with the identity added and every other USHER_… variable but
// USHER_DEBUG removed: the master's own settings are no business of a worker. base
// is not changed.
func Environ(base []string, identity Identity) []string {
	environ := make([]string, 0, len(base)+len(IdentityVariables))
	for _, variable := range base {
		if !strings.HasPrefix(variable, environPrefix) || strings.HasPrefix(variable, environDebug+"=") {
			environ = append(environ, variable)
		}
	}
	return append(environ,
		environProtocol+"="+strconv.Itoa(identity.Protocol),
		environSlot+"="+strconv.Itoa(identity.Slot),
		environGeneration+"="+strconv.Itoa(identity.Generation))
}

// IdentityFromEnviron reads the identity. ok is false when none of its variables is
// there: the process was not started by a master. An error names the variable
// that is missing or not a number. Of a variable that is there twice the first
// counts, as for getenv(3).
func IdentityFromEnviron(environ []string) (identity Identity, ok bool, err error) {
	fields := map[string]*int{
		environProtocol:   &identity.Protocol,
		environSlot:       &identity.Slot,
		environGeneration: &identity.Generation,
	}
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		field := fields[name]
		if field == nil {
			continue
		}
		ok = true
		delete(fields, name)
		if *field, err = strconv.Atoi(value); err != nil || *field < 0 {
			return Identity{}, true, fmt.Errorf("ipc: %s=%q is not a number", name, value)
		}
	}
	for _, name := range IdentityVariables {
		if fields[name] != nil && ok {
			return Identity{}, true, fmt.Errorf("ipc: %s is not set", name)
		}
	}
	return identity, ok, nil
}
