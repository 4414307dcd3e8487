package master

import (
	"fmt"
	"os"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// notifier tells the service manager how the master is (sd_notify(3)). Without
// one, as told by the environment, it does nothing.
type notifier struct {
	watchdog time.Duration // how often it wants to hear that we are alive; 0: it does not
}

func newNotifier() notifier {
	interval, _ := daemon.SdWatchdogEnabled(false) // 0 with an error: what nobody understands nobody asked for
	return notifier{watchdog: interval}
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

func (n notifier) stopping() { n.say(daemon.SdNotifyStopping) }

// alive is to be called regularly by the goroutine whose health matters.
func (n notifier) alive() {
	if n.watchdog > 0 {
		n.say(daemon.SdNotifyWatchdog)
	}
}

func (n notifier) say(state string) {
	_, _ = daemon.SdNotify(false, state) // a manager that does not listen is no reason not to serve
}
