package main

import (
	"go/ast"
	"go/types"
	"math/rand/v2"
	"slices"
)

// graph is the arrows between the files of a package, or between anything.
type graph struct {
	nodes []string
	uses  [][]bool // uses[i][j]: node i uses what j declares
}

func newGraph(nodes []string) *graph {
	g := &graph{nodes: nodes, uses: make([][]bool, len(nodes))}
	for i := range g.uses {
		g.uses[i] = make([]bool, len(nodes))
	}
	return g
}

// fileGraph draws the arrows between a package's files. Only what a package
// declares for all its files is used in another one: its names, and the fields and
// methods of its types.
func fileGraph(u *unit) *graph {
	var nodes []string
	for _, file := range u.files {
		nodes = append(nodes, u.file(file.Pos()))
	}
	g := newGraph(nodes)
	u.used(func(at *ast.Ident, what types.Object) {
		if what.Pkg() != u.types {
			return
		}
		from, to := slices.Index(nodes, u.file(at.Pos())), slices.Index(nodes, u.file(what.Pos()))
		if from != to {
			g.uses[from][to] = true
		}
	})
	return g
}

func (g *graph) arrows() (n int) {
	for _, row := range g.uses {
		for _, arrow := range row {
			if arrow {
				n++
			}
		}
	}
	return n
}

// back returns the arrows that run from a later node to an earlier one.
func (g *graph) back(order []int) (arrows [][2]int) {
	for later, from := range order {
		for _, to := range order[:later] {
			if g.uses[from][to] {
				arrows = append(arrows, [2]int{from, to})
			}
		}
	}
	return arrows
}

// orderings is how many orders are begun from. To find the best of all orders is
// hard; more of these than a few hundred found no better one here.
const orderings = 300

// order returns an order of the nodes in which few arrows run back: the best that
// was found by moving one node at a time, from many beginnings. It is the same
// each time.
func (g *graph) order() []int {
	random := rand.New(rand.NewPCG(1, 2))
	var best []int
	fewest := 0
	for range orderings {
		order := random.Perm(len(g.nodes))
		for g.improve(order) {
		}
		if n := len(g.back(order)); best == nil || n < fewest {
			best, fewest = order, n
		}
	}
	return best
}

// improve moves each node to where the fewest arrows run back, and says whether
// any has moved.
func (g *graph) improve(order []int) (better bool) {
	for node := range g.nodes {
		at := slices.Index(order, node)
		best, gain := at, 0
		// What the order wins as node moves up over others, and then down.
		for _, step := range []int{-1, 1} {
			won := 0
			for to := at + step; to >= 0 && to < len(order); to += step {
				if won += step * g.pull(order[to], node); won > gain {
					best, gain = to, won
				}
			}
		}
		if best != at {
			copy(order[at:], order[at+1:])
			order = order[:len(order)-1]
			order = slices.Insert(order, best, node)
			better = true
		}
	}
	return better
}

// pull is how many arrows fewer run back with a before b than with b before a.
func (g *graph) pull(a, b int) (n int) {
	if g.uses[a][b] {
		n++
	}
	if g.uses[b][a] {
		n--
	}
	return n
}

// circle returns the size of the largest set of nodes each of which reaches each,
// or 0 if none reaches itself.
func (g *graph) circle() (largest int) {
	reaches := make([][]bool, len(g.nodes))
	for i, row := range g.uses {
		reaches[i] = slices.Clone(row)
	}
	for via := range reaches {
		for from := range reaches {
			for to := range reaches {
				if reaches[from][via] && reaches[via][to] {
					reaches[from][to] = true
				}
			}
		}
	}
	for from := range reaches {
		n := 0
		for to := range reaches {
			if reaches[from][to] && reaches[to][from] {
				n++
			}
		}
		largest = max(largest, n)
	}
	return largest
}
