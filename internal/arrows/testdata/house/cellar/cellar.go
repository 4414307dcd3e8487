// Package cellar is used by package kitchen.
package cellar

// Wine is one type with a member that is used, and one that is not.
type Wine struct {
	Year int
	Left float64
}

// Rack is generic: what an instance has was declared once.
type Rack[T any] struct{ Bottles []T }

// Best returns a bottle.
func (r *Rack[T]) Best() T { return r.Bottles[0] }
