package master

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// notifier tells the service manager how the master is (sd_notify(3)). If the environment
// names no manager, it does nothing. Any goroutine may call its methods, which, but for
// flush, do not block: what the manager is slow to read waits here.
type notifier struct {
	watchdog time.Duration // within which it wants to hear that we are alive; 0: it does not
	listens  bool          // there is a manager
	*messages
}

// messages are what the service manager is told, in order. A goroutine sends
// them, which is there only while there are some.
type messages struct {
	send func(string)

	mu    sync.Mutex
	queue []string
	idle  chan struct{} // closed when the goroutine ends; nil: there is none
}

// maxMessages bounds what waits for a manager that does not read. Beyond, the
// oldest go: what it needs is the latest state.
const maxMessages = 64

// sayLimit is how long the end of a master waits for a manager that does not read.
const sayLimit = time.Second

func newNotifier() notifier {
	interval, _ := daemon.SdWatchdogEnabled(false) // 0 with an error: the variable makes no sense, and is passed over
	send := func(state string) {
		_, _ = daemon.SdNotify(false, state) // a manager that does not listen is no reason not to serve
	}
	return notifier{watchdog: interval, listens: os.Getenv("NOTIFY_SOCKET") != "", messages: &messages{send: send}}
}

// managerVariables are the service manager's words for this process alone: no
// worker is to take them for its own.
var managerVariables = []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}

func (n notifier) ready() {
	n.say(daemon.SdNotifyReady + "\nMAINPID=" + fmt.Sprint(os.Getpid()))
}

func (n notifier) reloading(monotonic time.Duration) {
	n.say(daemon.SdNotifyReloading + fmt.Sprintf("\nMONOTONIC_USEC=%d", monotonic.Microseconds()))
}

// status says how the server is, in one line for people.
func (n notifier) status(line string) { n.say(statusPrefix + line) }

const statusPrefix = "STATUS="

func (n notifier) stopping() { n.say(daemon.SdNotifyStopping) }

// every is how often alive is to be called at least; 0: not at all. It is half the
// time that the manager waits, as sd_watchdog_enabled(3) has it.
func (n notifier) every() time.Duration { return n.watchdog / 2 }

// alive says that the master is alive. The supervisor asks for that, and the accept
// goroutine calls it, so that neither can stand still unnoticed.
func (n notifier) alive() {
	if n.watchdog > 0 {
		n.say(daemon.SdNotifyWatchdog)
	}
}

// say queues a message: a sign of life not twice in a row, for it adds nothing, and of
// two states for people the later one.
func (m *messages) say(state string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := len(m.queue); n > 0 && state == daemon.SdNotifyWatchdog && m.queue[n-1] == state {
		return
	}
	if n := len(m.queue); n > 0 && strings.HasPrefix(state, statusPrefix) && strings.HasPrefix(m.queue[n-1], statusPrefix) {
		m.queue[n-1] = state
		return
	}
	if len(m.queue) == maxMessages {
		m.queue = append(m.queue[:0], m.queue[1:]...)
	}
	m.queue = append(m.queue, state)
	if m.idle == nil {
		m.idle = make(chan struct{})
		go m.run()
	}
}

// run is the goroutine. It ends when nothing is left to send.
func (m *messages) run() {
	for {
		m.mu.Lock()
		if len(m.queue) == 0 {
			m.queue = nil
			close(m.idle)
			m.idle = nil
			m.mu.Unlock()
			return
		}
		next := m.queue[0]
		m.queue = append(m.queue[:0], m.queue[1:]...)
		m.mu.Unlock()
		m.send(next)
	}
}

// flush returns when the manager has everything, or after the limit.
func (m *messages) flush(limit time.Duration) {
	m.mu.Lock()
	idle := m.idle
	m.mu.Unlock()
	if idle == nil {
		return
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-idle:
	case <-timer.C:
	}
}
