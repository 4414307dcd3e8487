package main

import (
	"fmt"
	"runtime"
	"strconv"

	"github.com/usher-go/usher/master"
)

// settings are all that an operator can set for usher serve and usher check, in the
// order of --help.
var settings = []*setting{
	{
		key: "config", field: func(v *values) any { return &v.configFile },
		placeholder: "PATH", beforeFile: true,
		help: `Configuration file, in TOML: every flag is a key (drain-timeout = "30s"), and so is program. Flags and the environment win over it. It is read again by a reload.`,
		more: "A pipe serves, and cannot be reloaded.",
	},
	{
		key: "directory", field: func(v *values) any { return &v.directory },
		placeholder: "PATH", beforeFile: true,
		help: "Folder that workers are started in, and that relative paths count from, by flag or environment only; a symlink in it is followed anew by each reload. Without it: the folder that this is started in.",
		more: "That folder is known as `$PWD` has it, if that is where this is; a symlink is followed anew only if it is in that name.",
	},
	{
		key: "listen", field: func(v *values) any { return &v.Listen },
		byDefault: "127.0.0.1:8888", placeholder: "[NAME=]ADDRESS", kept: true,
		help: "Address to serve: HOST:PORT (also after tcp://, tcp4://, tcp6://, tls://), unix:///PATH?mode=0660, or systemd://[NAME]; after a ? at any of them tls=on, cert=NAME, proxy=on, trust=CIDR, with & between. Repeatable. Port 0 picks a free one.",
		more: "`tls://` and `?tls=on` are TLS, see [tls.md](tls.md); `cert` names the certificate for clients that ask for none. `?proxy=on` has a PROXY header, v1 or v2, come first, from the networks that `trust` lists (by default `127.0.0.0/8,::1/128`; whoever may connect to a Unix socket is trusted). `:9000` takes IPv4 and IPv6, `localhost` is both; of another name the first IPv4 address counts. `unix://@name` is a socket without a file. `systemd://NAME` is what a `.socket` unit passes by `FileDescriptorName=`, `systemd://` all that it passes.",
	},
	{
		key: "workers", field: func(v *values) any { return &v.Workers },
		byDefault: "the number of CPUs", computed: func() string { return strconv.Itoa(runtime.NumCPU()) },
		unit: "workers", wants: "at least 1",
		help: "How many workers to start.",
	},
	{
		key: "max-workers", field: func(v *values) any { return &v.MaxWorkers },
		byDefault: strconv.Itoa(master.DefaultMaxWorkers), unit: "workers", wants: "at least workers", fixed: true,
		help: "How many workers there may be after scaling up.",
		more: "There are slots for twice as many: the old ones and the new ones of a reload.",
	},
	{
		key: "app", field: func(v *values) any { return &v.App },
		byDefault: "echo", choices: appNames(),
		help: "Built-in worker to run when no program is given.",
		more: "`echo` sends the bytes back, `lines` answers each line after the worker's pid and the client's address. `files` serves the files of the folder `root` by HTTP, `hello` answers every request with a short text, for measuring.",
	},
	{
		key: "root", field: func(v *values) any { return &v.root },
		placeholder: "PATH", kept: true,
		help: "Folder that --app files serves: nothing outside of it, and nothing that begins with a dot, but for /.well-known.",
		more: "A symlink is followed at the start and by each reload; those within the folder are if they are relative and stay in it. A change of a file shows within a second. `index.html` is the page of its folder. What lies beside a file with `.zst`, `.br` or `.gz` added to its name is sent in its place to clients that take it, whichever of the two is newer, as with nginx's `gzip_static`. ETags are strong: of size, time in nanoseconds and coding.",
	},
	{
		key: "list", field: func(v *values) any { return &v.list },
		help: "Have --app files answer with a page of what is in a folder that has no index.html; without it the answer is 403.",
	},
	{
		key: "dispatch", field: func(v *values) any { return &v.Dispatch },
		byDefault: master.DefaultPolicy, choices: master.Policies(),
		help: "How a worker is chosen for a connection.",
		more: master.PolicyHelp(),
	},
	{
		key: "max-conns", field: func(v *values) any { return &v.MaxConns },
		byDefault: "0", unit: "connections", wants: "0 or more",
		help: "Most connections at a time; 0: no limit.",
		more: "Clients beyond wait in the kernel, unless `overload` says otherwise.",
	},
	{
		key: "max-conns-per-ip", field: func(v *values) any { return &v.MaxConnsPerIP },
		byDefault: "0", unit: "connections", wants: "0 or more",
		help: "Most connections at a time from one address (IPv6: from one network of 64 bits), further ones are closed; 0: no limit.",
		more: "Those closed are counted as refused.",
	},
	{
		key: "max-conns-per-worker", field: func(v *values) any { return &v.MaxConnsPerWorker },
		byDefault: "0", unit: "connections", wants: "0 or more",
		help: "Most connections of a worker at a time; 0: as many as it has descriptors for, " + master.PerWorkerHelp() + ".",
	},
	{
		key: "accept-rate", field: func(v *values) any { return &v.AcceptRate },
		byDefault: "0", unit: "connections a second", wants: "0 or more",
		help: "Most connections to accept in a second; 0: no limit.",
		more: "They may come in bursts of a second's worth.",
	},
	{
		key: "overload", field: func(v *values) any { return &v.Overload },
		byDefault: master.OverloadWait, choices: []string{master.OverloadWait, master.OverloadClose},
		help: "What becomes of clients beyond --max-conns, --accept-rate or the workers' room.",
		more: "`wait`: they wait in the kernel; `close`: they are accepted, closed and counted as refused.",
	},
	{
		key: "queue-timeout", field: func(v *values) any { return &v.QueueTimeout },
		byDefault: "0s", wants: "0 or more",
		help: "How long after it was accepted a connection is still worth serving; a worker closes it then; 0: for ever.",
	},
	{
		key: "acceptors", field: func(v *values) any { return &v.Acceptors },
		byDefault: "1", unit: "goroutines", wants: fmt.Sprintf("1 to %d", master.MaxAcceptors), fixed: true,
		help: "Goroutines that accept, each from a TCP socket of its own; one serves some 100,000 connections a second.",
	},
	{
		key: "backlog", field: func(v *values) any { return &v.Backlog },
		byDefault: "0", unit: "clients", wants: "0 or more",
		help: "Most clients that wait in the kernel for each listener; 0: as many as it allows (somaxconn).",
	},
	{
		key: "idle-timeout", field: func(v *values) any { return &v.IdleTimeout },
		byDefault: "0s", wants: "0 or more",
		help: "After how long without a byte a connection is closed; 0: never.",
		more: "Work of `Conn.Go` counts as a byte does. Workers that serve by `worker.Streams` have timeouts of their own.",
	},
	{
		key: "drain-timeout", field: func(v *values) any { return &v.DrainTimeout },
		byDefault: "30s", wants: "0 or more",
		help: "How long connections may go on when their worker leaves.",
		more: "It is for those that cannot move to another worker.",
	},
	{
		key: "boot-timeout", field: func(v *values) any { return &v.BootTimeout },
		byDefault: master.DefaultBootTimeout.String(), wants: "more than 0",
		help: "How long a worker may take to get ready.",
		more: "The server serves once each of the first workers is ready or has failed.",
	},
	{
		key: "hang-timeout", field: func(v *values) any { return &v.HangTimeout },
		byDefault: "30s", wants: fmt.Sprintf("0 or at least %v", master.MinHangTimeout),
		help: "How long a worker's loop may stand still in one handler before the worker is aborted; 0: for ever. A handler on a goroutine of its own, as those of web.Handler and Streams, holds up no loop.",
		more: "After a rest a hang is found up to a quarter later, at most 15 s.",
	},
	{
		key: "recycle-conns", field: func(v *values) any { return &v.RecycleConns },
		byDefault: "0", unit: "connections", wants: "0 or more",
		help: "After how many connections a worker is replaced, give or take a tenth; 0: never.",
		more: "Its successor is started first.",
	},
	{
		key: "recycle-age", field: func(v *values) any { return &v.RecycleAge },
		byDefault: "0s", wants: "0 or more",
		help: "At what age a worker is replaced, give or take a tenth; 0: never.",
		more: "Its successor is started first.",
	},
	{
		key: "recycle-rss", field: func(v *values) any { return (*byteSize)(&v.RecycleRSS) },
		byDefault: "0", wants: "0 or more", placeholder: "SIZE",
		help: "With how much resident memory a worker is replaced, such as 512MiB, give or take a tenth; 0: never.",
		more: "Its successor is started first.",
	},
	{
		key: "worker-memory", field: func(v *values) any { return (*byteSize)(&v.WorkerMemory) },
		byDefault: "0", wants: fmt.Sprintf("0 or at least %d", master.MinWorkerMemory), placeholder: "SIZE",
		help: "How much memory the connections of a worker may buffer, all together, such as 256MiB: above it those that are owed most are no longer read from, above twice that the largest are closed; 0: an eighth of the memory there is, divided by --workers or the number of CPUs, whichever is more.",
		more: "The memory there is: the machine's, or the control group's where that is less.",
	},
	{
		key: "rebalance", field: func(v *values) any { return &v.Rebalance },
		help: "Move live connections from the fullest workers to the emptiest, until all have as many.",
		more: "As many means within one.",
	},
	{
		key: "move-failures", field: func(v *values) any { return (*percentage)(&v.MoveFailures) },
		byDefault: fmt.Sprintf("%v%%", master.DefaultMoveFailures), wants: "at most 100%", placeholder: "SHARE",
		help: "Which share of the connections that a reload moves may be lost, because the new program cannot restore them, before the others stay with the old workers.",
		more: "The share counts once 100 have been tried, or three have failed. `usher reload` then says why.",
	},
	{
		key: "tls-cert", field: func(v *values) any { return &v.TLSCerts },
		placeholder: "FILE",
		help:        "Certificates for TLS, PEM files, each with those of its issuers after it. Repeatable. A client gets the one with the name that it asks for, else the first.",
		more:        "Each needs its key at the same place of `tls-key`. This and all other files of TLS are read at the start and at each reload, by the master alone; a reload that finds one bad is refused. Several may have one name: a client gets the first that it can use, of ECDSA or of RSA.",
	},
	{
		key: "tls-key", field: func(v *values) any { return &v.TLSKeys },
		placeholder: "FILE",
		help:        "Private keys, PEM files without a passphrase: of the certificates at the same places. Repeatable.",
		more:        "ECDSA (P-256, P-384, P-521), RSA or Ed25519, in PKCS #8, PKCS #1 or SEC 1.",
	},
	{
		key: "tls-client-ca", field: func(v *values) any { return &v.TLSClientCA },
		placeholder: "FILE", kept: true,
		help: "CAs of which TLS clients must show a certificate, a PEM file. Without it they need none.",
		more: "A reload that changes it verifies the connections that move anew, and closes those that fail.",
	},
	{
		key: "tls-min", field: func(v *values) any { return &v.TLSMin },
		byDefault: "1.2", choices: []string{"1.2", "1.3"},
		help: "Least version of TLS.",
	},
	{
		key: "tls-handshake-timeout", field: func(v *values) any { return &v.TLSHandshakeTimeout },
		byDefault: master.DefaultTLSHandshakeTimeout.String(), wants: "more than 0",
		help: "How long a TLS handshake may take.",
	},
	{
		key: "tls-ocsp", field: func(v *values) any { return &v.TLSOCSP },
		placeholder: "FILE",
		help:        "OCSP answers to pass on with certificates, DER files. Repeatable.",
		more:        "Each finds its certificate itself. One that is about none, not its CA's, or not good is refused; one that has expired is left out, with a warning at a start or reload.",
	},
	{
		key: "tls-ticket-keys", field: func(v *values) any { return &v.TLSTicketKeys },
		placeholder: "FILE",
		help:        "Keys of session tickets, for several machines that share them: a line each, as openssl rand -base64 32 prints it; the first seals, all open. Without it the server makes its own, daily.",
		more:        "At most seven.",
	},
	{
		key: "control", field: func(v *values) any { return (*madePath)(&v.Control) },
		byDefault: "`$XDG_RUNTIME_DIR/usher.sock`, else `/run/usher.sock` for root, else `usher-UID/usher.sock` in the temporary folder",
		computed:  func() string { return defaultControl().path }, placeholder: "PATH", fixed: true,
		help: "Control socket, for usher status and the like.",
		more: "Its mode is 0600. The folder `usher-UID` is made with mode 0700, or checked to be this user's alone.",
	},
	{
		key: "admin", field: func(v *values) any { return &v.Admin },
		placeholder: "HOST:PORT", fixed: true,
		help: "Address at which Prometheus and health checks are answered by HTTP: /metrics, /livez and /readyz, to whoever can connect. Without it: only the control socket answers.",
		more: "The host has to be given: `127.0.0.1` for this machine alone. Nothing can be changed by it. Requests are to name the server by an IP address, `localhost` or that host, so that pages of other sites cannot read it through somebody's browser.",
	},
	{
		key: "pid-file", field: func(v *values) any { return (*madePath)(&v.PIDFile) },
		placeholder: "PATH", fixed: true,
		help: "File to write the master's pid to.",
		more: "A symlink is followed, a device written to.",
	},
	{
		key: "log-file", field: func(v *values) any { return &v.logFile },
		placeholder: "PATH", fixed: true,
		help: "File to log to instead of standard error; after it was renamed a reload, or usher logs reopen, opens it anew.",
		more: "What nobody reads is dropped beyond 1 MiB, and counted in the log.",
	},
	{
		key: "log-level", field: func(v *values) any { return &v.logLevel },
		byDefault: "info", choices: []string{"trace", "debug", "info", "warn", "error"},
		help: "Least serious messages to log.",
	},
	{
		key: "log-format", field: func(v *values) any { return &v.logFormat },
		byDefault: "text", choices: []string{"text", "json"}, fixed: true,
		help: "Log lines for people or for programs.",
	},
	{
		key: "access-log", field: func(v *values) any { return (*outputPath)(&v.AccessLog) },
		placeholder: "FILE",
		help:        "File in which workers log each request that they serve, or - for standard output; opened anew as the log file is. Without it there is none.",
		more:        "Workers of any program write it that serve by `worker/web`, or log by `worker.AccessLog`; others do not. What nobody reads is dropped beyond 1 MiB a worker, and counted in the log.",
	},
	{
		key: "access-log-format", field: func(v *values) any { return &v.AccessLogFormat },
		byDefault: master.AccessCombined, choices: []string{master.AccessCombined, master.AccessJSON},
		help: "Lines of the access log: as nginx and Apache write them, or JSON objects.",
	},
	{
		key: "program", field: func(v *values) any { return &v.Program },
		argument: true, kept: true,
		help: "After --: the worker program and its arguments.",
		more: "Without one the built-in worker runs that `app` names; an empty list in the file says that this is meant.",
	},
}
