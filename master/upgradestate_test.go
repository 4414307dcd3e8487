package master

import (
	"reflect"
	"testing"

	"github.com/usher-go/usher/internal/fieldtest"
	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/master/internal/dispatch"
	"github.com/usher-go/usher/master/internal/listen"
	"golang.org/x/sys/unix"
)

// What a new field of these means for an upgrade in place is to be thought of:
// it is carried in an upgradeState, or here is why it need not be.
func TestUpgradeStateKnowsEveryField(t *testing.T) {
	const (
		carried = "carried"
		made    = "made anew, from the configuration or by the constructor"
		moment  = "of this moment: found out again"
		calm    = "empty: an upgrade waits for that"
	)
	for _, test := range []struct {
		of     any
		fields map[string]string
	}{
		{slot{}, map[string]string{
			"number": carried, "generation": carried, "config": made, "life": carried, "why": carried, "until": carried,
			"restarts": carried, "incarnation": carried, "process": carried, "queueOpen": carried, "board": carried, "further": carried, "own": carried, "ready": carried, "order": "an upgrade waits for it, unless it is abandoned",
			"killed": carried, "readyAt": carried, "hang": moment, "recycleAt": carried,
			"keysDue": carried, "accessDue": carried, "accessAsked": carried, "rate": moment, "lastExit": carried, "endedBy": moment, "deaths": carried, "accidents": carried, "alarm": carried,
		}},
		{listen.Listener{}, map[string]string{
			"From": carried, "Name": carried, "Address": carried, "Bound": carried, "FD": carried, "More": carried, "file": carried,
		}},
		{recycleLimits{}, map[string]string{"conns": carried, "age": carried, "rss": carried}},
		{supervisor{}, map[string]string{
			"config": made, "log": made, "listeners": carried, "numbers": carried, "sockets": "as many as there are", "dispatch": made, "processes": made, "secrets": "those of the configuration in force are carried, in a memory of their own", "access": "that of the configuration in force is carried, and the last id; who waits is a client of control, which an upgrade waits for", "levels": "those that were asked for are carried", "notifier": made, "sampling": moment,
			"events": carried, "restarts": calm, "lastReload": carried, "reloads": carried, "statusSaid": moment, "inbox": calm, "wake": made, "done": made, "slots": carried, "programs": "that of the generation that serves is carried: older ones start nothing", "generation": carried, "target": carried,
			"booted": "true", "bootError": calm, "stopping": calm, "stopBy": calm, "failure": calm, "reload": calm, "again": carried, "waiting": calm,
			"reading": "is given up: what is read late is of no use", "scalings": calm, "accounts": calm, "started": carried, "restartsBy": carried, "workersCPU": carried, "shownCPU": carried, "own": carried, "moves": calm, "lastMove": carried,
			"hupFilter": moment, "reopening": calm, "rebindControl": made, "upgrader": made, "upgrade": made, "clients": carried,
		}},
	} {
		fieldtest.Known(t, test.of, test.fields, "what becomes of it in an upgrade?")
	}
}

func filled() *upgradeState {
	e := new(upgradeState)
	fieldtest.Fill(e)
	e.Format = upgradeFormat
	e.Accept.PerIP, e.Events = nil, nil // they are written to memories of their own
	e.Own = nil
	for i, kind := range []string{ipc.SeriesGauge, ipc.SeriesHistogram} {
		series := ipc.Series{Name: "own_" + kind, Kind: kind, Help: "own", Labels: map[string]string{"a": "b"}}
		if kind == ipc.SeriesHistogram {
			series.Bounds = []float64{1, 2}
		}
		total := ownTotalState{series, make([]uint64, series.Numbers())}
		fieldtest.Fill(&total.Numbers[0])
		e.Own = append(e.Own, total)
		e.Slots[i].Own = ownState{ipc.Place{Offset: 8, Length: 80}, []ipc.Series{series}, total.Numbers}
	}
	for i := range e.Transports.Rows {
		e.Transports.Rows[i].Number = uint8(i + 1)
	}
	for i := range e.Slots {
		e.Slots[i].Life = lifeServing
		e.Accept.Queues[i].Slot, e.Accept.Queues[i].Phase = e.Slots[i].Number, dispatch.QueueClosed
	}
	return e
}

// Whatever is written is read.
func TestUpgradeState(t *testing.T) {
	e := filled()
	fd, err := e.write()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	got, err := readUpgradeState(fd)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(e, got) {
		t.Errorf("got %+v, want %+v", got, e)
	}
}

func TestUpgradeStateRefused(t *testing.T) {
	for name, spoil := range map[string]func(*upgradeState){
		"another format":         func(e *upgradeState) { e.Format++ },
		"a slot twice":           func(e *upgradeState) { e.Slots[1].Number = e.Slots[0].Number },
		"no such life":           func(e *upgradeState) { e.Slots[0].Life = lifeRemoved },
		"a worker that is gone":  func(e *upgradeState) { e.Slots[0].Life = lifeGone },
		"no worker":              func(e *upgradeState) { e.Slots[0].Process = nil },
		"a queue of no slot":     func(e *upgradeState) { e.Accept.Queues[0].Slot = -1 },
		"no such phase":          func(e *upgradeState) { e.Accept.Queues[0].Phase = 9 },
		"a number twice":         func(e *upgradeState) { e.Transports.Rows[1].Number = 1 },
		"no generation":          func(e *upgradeState) { e.Generation = 0 },
		"no workers":             func(e *upgradeState) { e.Target = 0 },
		"a metric without total": func(e *upgradeState) { e.Own = e.Own[:1] },
		"another total":          func(e *upgradeState) { e.Own[0].Series.Help = "other" },
		"a metric that is none":  func(e *upgradeState) { e.Own[1].Series.Name = "a b" },
		"a metric twice": func(e *upgradeState) {
			s := &e.Slots[0].Own
			s.Series = append(s.Series, s.Series...)
			s.Read = append(s.Read, s.Read...)
		},
		"a short total":   func(e *upgradeState) { e.Own[1].Numbers = e.Own[1].Numbers[1:] },
		"too little read": func(e *upgradeState) { e.Slots[1].Own.Read = nil },
	} {
		e := filled()
		spoil(e)
		fd, err := e.write()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := readUpgradeState(fd); err == nil {
			t.Errorf("%s: taken for good", name)
		}
		_ = unix.Close(fd)
	}
	unsealed, err := unix.MemfdCreate("state", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(unsealed)
	if _, err := readUpgradeState(unsealed); err == nil {
		t.Error("memory that is not sealed was read")
	}
	if _, err := readUpgradeState(-1); err == nil {
		t.Error("no memory was read")
	}
	for name, memory := range map[string]int{"closed": 1 << 20, "not sealed": unsealed} {
		if (&upgradeState{Accept: dispatch.State{PerIPMemory: memory}}).readPerIP() == nil {
			t.Errorf("connections of each address were read from memory that is %s", name)
		}
	}
}

// A slot comes back as it was.
func TestUpgradeStateOfSlot(t *testing.T) {
	var e slotState
	fieldtest.Fill(&e)
	e.Process, e.Further, e.Own, e.Board, e.QueueOpen, e.Alarm, e.AlarmIn, e.Age, e.HasUntil, e.UntilIn = nil, ipc.Place{}, ownState{}, -1, false, 0, 0, -1, false, 0
	if got := e.slot(nil).state(); !reflect.DeepEqual(got, e) {
		t.Errorf("got %+v, want %+v", got, e)
	}
}
