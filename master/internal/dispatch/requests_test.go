package dispatch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/internal/leaktest"
	"github.com/usher-go/usher/ipc"
)

// Every request that can be made is acted on: the switch of act has a case for it.
func TestEveryRequestHasACase(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "requests.go", nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	cases, requests := make(map[string]bool), 0
	ast.Inspect(file, func(n ast.Node) bool {
		if clause, ok := n.(*ast.CaseClause); ok {
			for _, e := range clause.List {
				if name, ok := e.(*ast.Ident); ok {
					cases[name.Name] = true
				}
			}
		}
		return true
	})
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.TypeSpec); ok && strings.HasSuffix(spec.Name.Name, "Request") {
			if requests++; !cases[spec.Name.Name] {
				t.Errorf("act has no case for %s", spec.Name.Name)
			}
		}
		return true
	})
	if requests < 10 || len(cases) != requests {
		t.Errorf("%d requests, %d cases", requests, len(cases))
	}
}

// What others may ask is answered while the accept goroutine runs, and after its end,
// when whoever asks acts on it: nobody waits for ever.
func TestAskedBeforeAndAfterTheEnd(t *testing.T) {
	leaktest.Descriptors(t)
	events := make(chan Event, 10)
	a, err := New(Setup{Logger: hclog.NewNullLogger(), Acceptors: 2, DescriptorLimit: 100, Report: func(e Event) { events <- e }})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- a.Run() }()
	ask := func() {
		a.Open(nil)
		a.CloseQueue(0)
		a.Reaped(0)
		a.ConnsClosed(0, ipc.Closed{Count: 1})
		a.Guard(2, 0.5)
		a.AwaitLanding(0)
		a.BeginMove(0, 1, Nobody, 1)
		a.AnswerMove(0, 1, 1)
		a.ForgetMove(0, 1)
		a.Configure(Settings{MaxConns: 1}, nil)
		a.CloseListeners()
		totals, workers := a.Snapshot()
		if n := len(a.Loads()) + len(workers) + a.MovedSoFar(0, 1); n != 0 || totals.Accepted != 0 || a.AnyStuck() {
			t.Errorf("of nothing there is %d, %+v", n, totals)
		}
	}
	ask()
	if _, err := a.Pause(); err != nil {
		t.Error(err)
	}
	a.Resume()
	a.AwaitArrival()
	a.Ping()
	arrived, alive := false, false
	for !arrived || !alive {
		switch e := (<-events).(type) {
		case Arrived:
			arrived = true
		case Alive:
			alive = true
		default:
			t.Errorf("%#v", e)
		}
	}
	a.Interrupt(nil)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	ask()
	if _, err := a.Pause(); err != ErrStopped {
		t.Errorf("paused after the end: %v", err)
	}
}
