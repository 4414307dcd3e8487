// Package kitchen has two files that use each other, and one that uses neither.
package kitchen

import "example.org/house/cellar"

// Cook has a method in each of two files.
type Cook struct {
	stove int
	Wines cellar.Rack[cellar.Wine]
}

// Dinner uses heat, of the other file.
func (c *Cook) Dinner() (year int) {
	c.heat()
	return c.Wines.Best().Year
}
