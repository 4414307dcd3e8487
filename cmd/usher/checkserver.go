package main

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/usher-go/usher/master"
)

// checkLimit is how long usher check waits for a server, whose answer is worth a warning.
const checkLimit = 2 * time.Second

// changesFixed returns a warning for each setting that a reload of the server on the
// configuration's own control socket would be refused for, since that is as it was at the
// start. Without such a server there is none.
func changesFixed(config *master.Config) (warnings []string) {
	if config.Control == "" {
		return nil
	}
	body, err := getWithin(checkLimit, config.Control, "/v1/config")
	var inForce master.InForce
	if err != nil || json.Unmarshal(body, &inForce) != nil {
		return nil // nobody answers, a stranger, or a version that does not say
	}
	running := make(map[string]string)
	for _, set := range inForce.Settings {
		running[set.Key] = literal(set.Value)
	}
	for _, set := range config.Settings {
		row, now := lookUp(set.Key), literal(set.Value)
		if before, known := running[set.Key]; row.fixed && known && before != now {
			warnings = append(warnings, fmt.Sprintf("%s is %s, and %s at the server that answers on %s: its reload would be refused, and an upgrade leaves it; stop that server and start it again",
				set.Key, now, before, config.Control))
		}
	}
	return warnings
}
