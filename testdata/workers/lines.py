#!/usr/bin/env python3
"""A worker of usher in Python: asyncio, and the standard library alone.

    usher serve --listen :9000 -- python3 testdata/workers/lines.py

It answers each line with "<pid> <client ip> <client port> <line>"; the line quit
ends. It counts what it closes by message. ipc/PROTOCOL.md says what all of this
is about. Python 3.9 or later.
"""

import asyncio
import json
import mmap
import os
import resource
import signal
import socket
import struct
import sys
from typing import NamedTuple, Optional

QUEUE, CONTROL, SCOREBOARD = 3, 4, 5
MAX_PACKET = 16384
MAX_CONNS = 64
MAX_IDS = 512
LONGEST_LINE = 64 << 10
RESERVED_FDS = 64  # descriptors that are not for connections
LINGER = 1  # seconds that a peer has, after the deadline, to take what it is owed

HEADER = struct.Struct("<BBHI")
ENVELOPE = struct.Struct("<I4BQqHHI16s16s")


class Envelope(NamedTuple):
    """What came beside one connection. An address is None on a Unix socket."""

    id: int
    accepted: int  # nanoseconds of CLOCK_MONOTONIC
    remote: Optional[tuple]  # host, port
    local: Optional[tuple]
    listener: str
    state: bytes
    transport: int  # 0: this worker says neither tls nor proxy, and gets no others


def envelopes(packet):
    """Returns the envelopes in a packet, as many as it brings descriptors."""
    version, kind, count, length = HEADER.unpack_from(packet)
    if (version, kind, length) != (1, 1, len(packet)):
        raise ValueError(f"a packet of version {version}, kind {kind}, {len(packet)} bytes")
    found, start = [], HEADER.size
    for _ in range(count):
        (size, name_size, remote_family, local_family, transport, conn_id, accepted,
         remote_port, local_port, scope, remote, local) = ENVELOPE.unpack_from(packet, start)
        name = start + ENVELOPE.size
        state = name + name_size
        found.append(Envelope(
            conn_id, accepted,
            address(remote_family, remote, remote_port, scope),
            address(local_family, local, local_port, 0),
            packet[name:state].decode(), packet[state:start + size], transport))
        start += size
    return found


def address(family, raw, port, scope):
    if family == 0:
        return None
    if family == 4:
        return socket.inet_ntop(socket.AF_INET, raw[:4]), port
    host = socket.inet_ntop(socket.AF_INET6, raw)
    return (f"{host}%{scope}" if scope else host), port


class Worker:
    def __init__(self):
        self.loop = asyncio.get_running_loop()
        self.queue = socket.socket(fileno=QUEUE)
        self.control = socket.socket(fileno=CONTROL)
        for fd in QUEUE, CONTROL, SCOREBOARD:
            os.set_inheritable(fd, False)
        self.board = memoryview(mmap.mmap(SCOREBOARD, 0))
        self.tasks = set()  # one for each connection
        self.going = set()  # those that do not end yet
        self.closed = []  # ids that the master is not yet told of
        self.further = None  # counters in the scoreboard: kept, bytes received and sent
        self.by_id = False  # it wants to know which
        self.draining = False
        self.done = self.loop.create_future()

    def start(self):
        self.loop.add_reader(QUEUE, self.receive)
        self.loop.add_reader(CONTROL, self.obey)
        self.loop.add_signal_handler(signal.SIGTERM, self.terminate)
        for ignored in signal.SIGHUP, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2:
            signal.signal(ignored, signal.SIG_IGN)  # they are meant for the master
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.say(type="ready", protocol=1, capacity=max(1, limit - RESERVED_FDS), closes=True)

    def say(self, **message):
        self.control.send(json.dumps(message).encode())

    def receive(self):
        """Takes one packet of connections. The loop calls again if there are more."""
        try:
            packet, fds, flags, _ = socket.recv_fds(self.queue, MAX_PACKET, MAX_CONNS)
        except BlockingIOError:
            return  # the master, too, reads this end
        if not packet:
            os._exit(1)  # the master is gone
        conns = [socket.socket(fileno=fd) for fd in fds]
        if flags & socket.MSG_CTRUNC:
            sys.exit("connections were lost at the limit of descriptors")
        for conn, envelope in zip(conns, envelopes(packet)):
            conn.set_inheritable(False)
            task = self.loop.create_task(self.serve(conn, envelope))
            self.tasks.add(task)
            self.going.add(task)
            task.add_done_callback(lambda task, conn_id=envelope.id: self.count(task, conn_id))

    def obey(self):
        try:
            packet = self.control.recv(MAX_PACKET)
        except BlockingIOError:
            return
        if not packet:
            os._exit(1)  # the master is gone
        message = json.loads(packet)
        if message["type"] == "hello":
            self.by_id = message.get("report") == "ids"
            self.keep(message.get("further", {}))
        elif message["type"] == "drain":
            deadline = message.get("deadline_ms", 0)
            if deadline > 0:
                self.loop.call_later(deadline / 1000, self.cut_short)
            self.drain()
        elif message["type"] == "stop":
            os._exit(0)

    def keep(self, further):
        """Counts bytes for people, if the master has room for that."""
        if further.get("length", 0) >= 24:
            self.further = self.board[further["offset"]:][:24].cast("Q")
            self.further[0] = 24

    def count_bytes(self, received, sent):
        if self.further:
            self.further[1] += received
            self.further[2] += sent

    def terminate(self):
        self.say(type="draining")
        self.drain()

    def drain(self):
        if not self.draining:
            self.draining = True
            self.loop.remove_reader(QUEUE)  # what is left there goes to others
            self.leave()

    def cut_short(self):
        for task in self.going:
            task.cancel()
        self.loop.call_later(LINGER, self.cut_off)

    def cut_off(self):
        for task in self.tasks:
            task.cancel()

    def leave(self):
        if self.draining and not self.tasks and not self.closed and not self.done.done():
            self.done.set_result(None)

    def count(self, task, conn_id):
        """Is called after a connection is closed."""
        self.tasks.discard(task)
        self.going.discard(task)
        if not self.closed:
            self.loop.call_soon(self.report)  # once for all that end in this turn
        self.closed.append(conn_id)
        if not task.cancelled() and task.exception():
            self.loop.call_exception_handler({"message": "connection", "exception": task.exception()})

    def report(self):
        while self.closed:
            some = self.closed[:MAX_IDS]
            try:
                if self.by_id:
                    self.say(type="closed", ids=some)
                else:
                    self.say(type="closed", count=len(some))
            except BlockingIOError:
                self.loop.call_later(0.01, self.report)
                return
            del self.closed[:len(some)]
        self.leave()

    async def serve(self, conn, envelope):
        """Serves one connection until its end."""
        host, port = envelope.remote or ("-", "-")
        prefix = f"{os.getpid()} {host} {port} ".encode()
        # One more for the CR of a line's ending.
        reader, writer = await asyncio.open_connection(sock=conn, limit=LONGEST_LINE + 1)
        try:
            try:
                await answer(reader, writer, prefix, self.count_bytes)
            except asyncio.CancelledError:
                pass  # the deadline: it gets what it is owed
            self.going.discard(asyncio.current_task())
            # Closing with input unread would send a reset, which can destroy answers.
            writer.write_eof()
            while await reader.read(MAX_PACKET):
                pass
        except OSError:
            pass  # the peer has reset the connection, or is gone
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            writer.close()
            try:
                await writer.wait_closed()
            except OSError:
                pass  # as above


async def answer(reader, writer, prefix, count):
    while True:
        try:
            line = await reader.readline()
        except ValueError:
            return  # it is too long
        if not line:
            return
        writer.write(prefix + line)
        count(len(line), len(prefix) + len(line))
        await writer.drain()  # a peer that does not read is not read from
        if line in (b"quit\n", b"quit\r\n"):
            return


async def main():
    worker = Worker()
    worker.start()
    await worker.done


if __name__ == "__main__":
    seat = [os.environ.pop("USHER_" + name, None) for name in ("PROTOCOL", "SLOT", "GENERATION")]
    os.environ.pop("USHER_METRICS", None)
    if None in seat:
        print("a worker of usher: usher serve -- python3", sys.argv[0], file=sys.stderr)
        sys.exit(2)
    if seat[0] != "1":
        sys.exit(f"the master speaks protocol {seat[0]}, this program 1")
    asyncio.run(main())
