package kitchen

import "example.org/house/cellar"

// heat uses a field that the other file declares.
func (c *Cook) heat() { c.stove += len(knives) }

// pair uses an instance of the same type again.
func pair(r *cellar.Rack[int]) int { return r.Best() }
