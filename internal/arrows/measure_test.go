package main

import (
	"bytes"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write what is printed into the files of testdata")

func TestPrint(t *testing.T) {
	tests := []struct {
		name, files string
		names       bool
	}{
		{"packages", "", true},
		{"files", "kitchen", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var out bytes.Buffer
			if err := run(&out, []string{"testdata/house"}, test.names, test.files); err != nil {
				t.Fatal(err)
			}
			golden := "testdata/" + test.name + ".txt"
			if *update {
				if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), out.String()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	if err := run(new(bytes.Buffer), []string{"testdata/house"}, false, "attic"); err == nil || !strings.Contains(err.Error(), "attic") {
		t.Errorf("a package that is not there: %v", err)
	}
}

// The order found is as good as the best of all.
func TestOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := newGraph(make([]string, rapid.IntRange(1, 6).Draw(t, "nodes")))
		for i := range g.uses {
			for j := range g.uses {
				g.uses[i][j] = i != j && rapid.Bool().Draw(t, "arrow")
			}
		}
		fewest := g.arrows()
		permute(len(g.nodes), func(order []int) { fewest = min(fewest, len(g.back(order))) })
		order := g.order()
		if got := len(g.back(order)); got != fewest {
			t.Errorf("%d arrows run back in %v, there is an order with %d", got, order, fewest)
		}
		slices.Sort(order)
		for i, node := range order {
			if i != node {
				t.Fatalf("not an order of all nodes: %v", order)
			}
		}
		if circle := g.circle(); (circle == 0) != (fewest == 0) || circle == 1 || circle > len(g.nodes) {
			t.Errorf("a circle of %d, where %d arrows run back", circle, fewest)
		}
	})
}

// permute calls f with each order of n nodes.
func permute(n int, f func([]int)) {
	var rest func(order []int)
	rest = func(order []int) {
		if len(order) == n {
			f(order)
		}
		for node := range n {
			if !slices.Contains(order, node) {
				rest(append(slices.Clone(order), node))
			}
		}
	}
	rest(nil)
}

func TestCircle(t *testing.T) {
	tests := []struct {
		name   string
		arrows [][2]int
		want   int
	}{
		{"a path", [][2]int{{0, 1}, {1, 2}, {2, 3}}, 0},
		{"two of two", [][2]int{{0, 1}, {1, 0}, {1, 2}, {2, 3}, {3, 2}}, 2},
		{"all by way of others", [][2]int{{0, 2}, {2, 1}, {1, 3}, {3, 0}}, 4},
	}
	for _, test := range tests {
		g := newGraph(make([]string, 4))
		for _, a := range test.arrows {
			g.uses[a[0]][a[1]] = true
		}
		if got := g.circle(); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
	}
}
