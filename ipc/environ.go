package ipc

import (
	"fmt"
	"strconv"
	"strings"
)

// Seat is what a worker is told by its environment.
type Seat struct {
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

// SeatVariables are the names a worker removes from its environment once it
// has read them, so that its own children do not take themselves for workers.
var SeatVariables = [...]string{environProtocol, environSlot, environGeneration}

// Environ returns base with seat added and every other USHER_… variable but
// USHER_DEBUG removed: the master's own settings are no business of a worker. base
// is not changed.
func Environ(base []string, seat Seat) []string {
	environ := make([]string, 0, len(base)+len(SeatVariables))
	for _, variable := range base {
		if !strings.HasPrefix(variable, environPrefix) || strings.HasPrefix(variable, environDebug+"=") {
			environ = append(environ, variable)
		}
	}
	return append(environ,
		environProtocol+"="+strconv.Itoa(seat.Protocol),
		environSlot+"="+strconv.Itoa(seat.Slot),
		environGeneration+"="+strconv.Itoa(seat.Generation))
}

// SeatFromEnviron reads the seat. ok is false when none of its variables is
// there: the process was not started by a master. An error names the variable
// that is missing or not a number. Of a variable that is there twice the first
// counts, as for getenv(3).
func SeatFromEnviron(environ []string) (seat Seat, ok bool, err error) {
	fields := map[string]*int{
		environProtocol:   &seat.Protocol,
		environSlot:       &seat.Slot,
		environGeneration: &seat.Generation,
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
			return Seat{}, true, fmt.Errorf("ipc: %s=%q is not a number", name, value)
		}
	}
	for _, name := range SeatVariables {
		if fields[name] != nil && ok {
			return Seat{}, true, fmt.Errorf("ipc: %s is not set", name)
		}
	}
	return seat, ok, nil
}
