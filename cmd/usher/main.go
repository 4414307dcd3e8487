// Command usher serves TCP connections with worker processes, and talks to a
// running server.
//
//	usher serve                              an echo on 127.0.0.1:8888, to try it
//	usher serve --listen :9000 -- ./worker   with processes of that program
//	usher serve --app files --root DIR       the files of a folder, by HTTP
//	usher check …                            as serve, without starting: what is wrong
//
// Everything after -- is the worker's program and its arguments; package worker is for
// writing one. The other commands talk to a server that runs, by its control socket
// (--control), and end when what they asked for is done:
//
//	usher status                             workers, connections, certificates
//	usher reload                             replace the workers; connections go on
//	usher scale +1                           one more worker
//	usher upgrade                            the master becomes the program on disk
//	usher stop                               let connections finish, then end
//
// usher --help lists them all, usher help TOPIC explains one of signals, reload, workers
// and others, usher help SETTING a setting, and usher man prints a page for man(1).
//
// The exit status is 0 after what was asked for, 1 if it failed, 2 for bad flags or a bad
// configuration, and 3 if the workers would not start. docs/operations.md is for whoever
// runs a server, docs/configuration.md has the settings.
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"

	"github.com/alecthomas/kong"
	"github.com/usher-go/usher/internal/earlysignals"
	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

// The exit statuses, as docs/operations.md lists them.
const (
	exitFailed  = 1 // failed while running
	exitUsage   = 2 // bad flags or configuration
	exitWorkers = 3 // the workers would not start
)

// cli is the command line, as kong parses it. The commands that are tagged with settings
// take these besides: see takeSettings.
type cli struct {
	Serve   serveCommand   `cmd:"" settings:"" help:"Accept connections and hand them to worker processes."`
	Check   checkCommand   `cmd:"" settings:"" help:"Check a configuration without starting anything."`
	Status  statusCommand  `cmd:"" help:"Show a running server's workers and connections."`
	Scale   scaleCommand   `cmd:"" help:"Start or end workers of a running server."`
	Reload  reloadCommand  `cmd:"" help:"Have a running server read its configuration again and replace its workers."`
	Upgrade upgradeCommand `cmd:"" help:"Have a running server become the program that is on disk now, in place."`
	Move    moveCommand    `cmd:"" help:"Move live connections of a running server from one worker to others."`
	Restart restartCommand `cmd:"" help:"Replace one worker of a running server; its connections move."`
	Drain   drainCommand   `cmd:"" help:"End one worker of a running server; its connections move."`
	Wait    waitCommand    `cmd:"" help:"Wait until a server is ready."`
	Stop    stopCommand    `cmd:"" help:"Let a running server's connections finish, and end it."`
	Events  eventsCommand  `cmd:"" help:"Show what has happened to a running server, and what happens."`
	TLS     tlsCommands    `cmd:"" name:"tls" help:"Make certificates for trying."`
	Logs    logsCommands   `cmd:"" help:"What a running server is to do with its log file."`

	Connections connectionsCommand `cmd:"" help:"List a running server's connections."`
	Config      configCommand      `cmd:"" help:"Show the settings that are in force, and where each is from."`
	LogLevel    logLevelCommand    `cmd:"" help:"Show or change how much a running server and its workers log."`
	Stacks      stacksCommand      `cmd:"" help:"Print what the goroutines of a worker, or of the master, are doing."`
	Profile     profileCommand     `cmd:"" help:"Make a profile of a worker, or of the master."`

	Version    versionCommand    `cmd:"" help:"Print the version."`
	Help       helpCommand       `cmd:"" help:"Explain a topic, such as signals or reload, or a setting."`
	Man        manCommand        `cmd:"" help:"Print a manual page: usher man | man -l -"`
	Completion completionCommand `cmd:"" help:"Print a script by which a shell completes usher's commands and flags."`

	Bench  benchCommand  `cmd:"" help:"Put load on a server, usher's or another, and measure it."`
	Part   benchPart     `cmd:"" name:"bench-part" hidden:"" help:"Be one of the processes of bench; started by it."`
	Worker workerCommand `cmd:"" hidden:"" help:"Be a worker that runs a built-in app; started by serve."`

	ShowVersion kong.VersionFlag `name:"version" short:"v" env:"-" help:"Print the version."`
}

func main() {
	// A closed pipe at standard output or error must not end a server: with a
	// receiver for SIGPIPE the write fails instead.
	signal.Notify(make(chan os.Signal, 1), unix.SIGPIPE)
	beWorker(os.Args[1:])
	os.Exit(run(os.Args[1:]))
}

// run returns the exit status.
func run(args []string) int {
	if len(args) > 0 && args[0] == "serve" {
		earlysignals.Catch()
	}
	outputs := newOutputs()
	defer outputs.end()
	sources := newSources(args)
	read, err := sources.read()
	switch {
	case err == nil:
		err = read.context.Run(sources, read, outputs)
	case !errors.Is(err, master.ErrConfig):
		err = usageError{err}
	}
	if err != nil {
		master.TurnBack(err)
	}
	if err != nil && !nobodyReads(err) {
		fmt.Fprintf(outputs.stderr, "usher: %s\n", printableLines(err.Error())) // after the log
	}
	return exitStatus(err)
}

// nobodyReads reports whether an error is that nobody reads standard output any more, as
// behind usher events | head: who does that has what he wants.
func nobodyReads(err error) bool {
	failed, ok := errors.AsType[*fs.PathError](err)
	return ok && failed.Path == os.Stdout.Name() && errors.Is(failed, unix.EPIPE)
}

// usageError is an error in what the user typed.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func (e usageError) Error() string {
	command := "usher"
	var parse *kong.ParseError
	if errors.As(e.error, &parse) && parse.Context != nil && parse.Context.Selected() != nil {
		command = parse.Context.Selected().FullPath()
	}
	return e.error.Error() + "; see " + command + " --help"
}

func exitStatus(err error) int {
	var usage usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage), errors.Is(err, master.ErrConfig):
		return exitUsage
	case errors.Is(err, master.ErrWorkersWouldNotStart):
		return exitWorkers
	}
	return exitFailed
}
