/* A worker of usher in C: Linux, and nothing but the C library.
 *
 *     gcc -O2 -o lines testdata/workers/lines.c
 *     usher serve --listen :9000 -- ./lines
 *
 * It answers each line with "<pid> <client ip> <client port> <line>"; the line
 * quit ends. It counts in the scoreboard, which costs no system call.
 * ipc/PROTOCOL.md says what all of this is about. For little-endian machines: the
 * numbers on the queue are.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
	QUEUE = 3,
	CONTROL = 4,
	SCOREBOARD = 5,

	MAX_PACKET = 16384,
	MAX_CONNS = 64,
	MAX_IDS = 512,
	ENVELOPE = 64,          /* the fixed part */
	LONGEST_LINE = 64 << 10,
	HIGH_WATER = 256 << 10, /* output that is not taken: no more input till then */
	RESERVED_FDS = 64,      /* descriptors that are not for connections */
	LINGER = 1000,          /* milliseconds that a peer has, after the deadline, to take what it is owed */
};

/* Our entry of the scoreboard. */
struct entry {
	_Atomic uint64_t received, closed, sequence, thread;
	char apart[96]; /* the master writes what follows */
	_Atomic uint32_t want_bell;
	char rest[124];
};
_Static_assert(sizeof(struct entry) == 256, "an entry is 256 bytes");

struct conn {
	int fd;
	bool ending; /* write what is owed, then FIN, then throw away input */
	bool shut;   /* FIN is sent */
	uint64_t id;
	struct conn *next, *previous;
	size_t prefix_size, in_size, out_size, out_room;
	char *out;
	char prefix[80];
	char in[LONGEST_LINE + 2]; /* with its ending */
};

static struct entry *entry;
static struct conn *conns;     /* all that are open */
static int set, signals;       /* epoll and signalfd */
static int queue = QUEUE, control = CONTROL; /* for epoll: told from connections by their addresses */
static bool draining, late;    /* late: the deadline has come */
static bool by_id;             /* the master wants to know which are closed */
static int64_t deadline;       /* milliseconds of CLOCK_MONOTONIC; 0: none */
static uint64_t ids[MAX_IDS];  /* closed, and not yet told */
static size_t id_count;

static void die(const char *what)
{
	fprintf(stderr, "lines: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void say(const char *message, size_t size)
{
	if (send(CONTROL, message, size, MSG_NOSIGNAL) < 0 && errno != EPIPE) /* or the master is gone: control says so */
		die("control");
}

static void say_text(const char *format, ...)
{
	char message[128];
	va_list arguments;
	va_start(arguments, format);
	int size = vsnprintf(message, sizeof message, format, arguments);
	va_end(arguments);
	say(message, (size_t)size);
}

static void tell_ids(void)
{
	char message[MAX_PACKET];
	int size = sprintf(message, "{\"type\":\"closed\",\"ids\":[");
	for (size_t i = 0; i < id_count; i++)
		size += sprintf(message + size, "%s%" PRIu64, i ? "," : "", ids[i]);
	size += sprintf(message + size, "]}");
	if (id_count > 0)
		say(message, (size_t)size);
	id_count = 0;
}

static void watch(int operation, int fd, uint32_t events, void *whose)
{
	struct epoll_event event = {.events = events, .data.ptr = whose};
	if (epoll_ctl(set, operation, fd, &event) < 0)
		die("epoll_ctl");
}

static void close_conn(struct conn *c)
{
	/* First: the master may still have its copy, and then close alone leaves
	 * the connection in the set (epoll(7)). */
	watch(EPOLL_CTL_DEL, c->fd, 0, NULL);
	close(c->fd);
	atomic_fetch_add(&entry->closed, 1);
	if (atomic_load(&entry->want_bell) && atomic_exchange(&entry->want_bell, 0))
		say_text("{\"type\":\"closed\"}");
	if (by_id) {
		ids[id_count++] = c->id;
		if (id_count == MAX_IDS)
			tell_ids();
	}
	if (c->next)
		c->next->previous = c->previous;
	*(c->previous ? &c->previous->next : &conns) = c->next;
	free(c->out);
	free(c);
}

static void arm(struct conn *c)
{
	uint32_t events = c->out_size ? EPOLLOUT : 0;
	if (c->out_size < HIGH_WATER && !(c->ending && c->out_size))
		events |= EPOLLIN;
	watch(EPOLL_CTL_MOD, c->fd, events, c);
}

/* Appends to what c is owed. */
static void owe(struct conn *c, const char *bytes, size_t size)
{
	if (c->out_size + size > c->out_room) {
		c->out_room = 2 * (c->out_size + size);
		c->out = realloc(c->out, c->out_room);
		if (!c->out)
			die("realloc");
	}
	memcpy(c->out + c->out_size, bytes, size);
	c->out_size += size;
}

/* Answers the whole lines in the input, and at its end the last one. */
static void answer(struct conn *c, bool at_end)
{
	size_t start = 0, size;
	for (; start < c->in_size && !c->ending; start += size) {
		char *line = c->in + start, *end = memchr(line, '\n', c->in_size - start);
		if (!end && !at_end)
			break;
		size = end ? (size_t)(end - line) + 1 : c->in_size - start;
		owe(c, c->prefix, c->prefix_size);
		owe(c, line, size);
		c->ending = (size == 5 && !memcmp(line, "quit\n", 5)) || (size == 6 && !memcmp(line, "quit\r\n", 6));
	}
	c->in_size -= start;
	memmove(c->in, c->in + start, c->in_size);
	if (c->in_size == sizeof c->in)
		c->ending = true; /* the line is too long */
}

/* Writes what is owed, as far as the peer takes it. False: c is closed. */
static bool flush(struct conn *c)
{
	while (c->out_size) {
		ssize_t n = send(c->fd, c->out, c->out_size, MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN)
			return true;
		if (n < 0) {
			close_conn(c);
			return false;
		}
		c->out_size -= (size_t)n;
		memmove(c->out, c->out + n, c->out_size);
	}
	if (c->ending && !c->shut) {
		c->shut = true;
		shutdown(c->fd, SHUT_WR);
	}
	return true;
}

static void serve(struct conn *c, uint32_t events)
{
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
		size_t used = c->ending ? 0 : c->in_size;
		ssize_t n = recv(c->fd, c->in + used, sizeof c->in - used, 0);
		if (n < 0 && errno != EAGAIN) {
			close_conn(c);
			return;
		}
		if (!c->ending && n >= 0) {
			c->in_size += (size_t)n;
			answer(c, n == 0);
		}
		if (n == 0) { /* the peer has finished */
			c->ending = true;
			if (flush(c) && !c->out_size)
				close_conn(c);
			else if (c->out_size)
				arm(c);
			return;
		}
	}
	if (flush(c))
		arm(c);
}

/* Returns 2, 4 or 8 bytes of an envelope as a number. */
static uint64_t number(const unsigned char *from, size_t size)
{
	uint64_t value = 0;
	memcpy(&value, from, size);
	return value;
}

static void adopt(int fd, const unsigned char *envelope)
{
	struct conn *c = calloc(1, sizeof *c);
	if (!c)
		die("calloc");
	char host[INET6_ADDRSTRLEN] = "-", port[8] = "-", scope[16] = "";
	int family = envelope[5];
	if (family != 0) {
		inet_ntop(family == 4 ? AF_INET : AF_INET6, envelope + 32, host, sizeof host);
		sprintf(port, "%u", (unsigned)number(envelope + 24, 2));
		if (number(envelope + 28, 4) != 0)
			sprintf(scope, "%%%u", (unsigned)number(envelope + 28, 4));
	}
	c->prefix_size = (size_t)snprintf(c->prefix, sizeof c->prefix, "%d %s%s %s ", getpid(), host, scope, port);
	c->fd = fd;
	c->id = number(envelope + 8, 8);
	c->next = conns;
	if (conns)
		conns->previous = c;
	conns = c;
	watch(EPOLL_CTL_ADD, fd, EPOLLIN, c);
}

/* Takes one packet of connections. Epoll reports the queue again if there are more. */
static void receive(void)
{
	static unsigned char packet[MAX_PACKET];
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(MAX_CONNS * sizeof(int))];
	} rights;
	struct iovec vector = {.iov_base = packet, .iov_len = sizeof packet};
	struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1,
		.msg_control = &rights, .msg_controllen = sizeof rights};
	ssize_t size = recvmsg(QUEUE, &message, MSG_CMSG_CLOEXEC);
	if (size < 0 && errno == EAGAIN)
		return; /* the master, too, reads this end */
	if (size < 0)
		die("queue");
	if (size == 0)
		exit(1); /* the master is gone */
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	size_t count = number(packet + 2, 2);
	if (message.msg_flags & MSG_CTRUNC || packet[0] != 1 || packet[1] != 1 || !header ||
	    header->cmsg_len != CMSG_LEN(count * sizeof(int))) {
		fprintf(stderr, "lines: a packet that is cut short, or of another version\n");
		exit(1);
	}
	int fds[MAX_CONNS];
	memcpy(fds, CMSG_DATA(header), count * sizeof(int));
	atomic_fetch_add(&entry->received, count);
	const unsigned char *envelope = packet + 8;
	for (size_t i = 0; i < count; i++) {
		adopt(fds[i], envelope);
		envelope += number(envelope, 4);
	}
}

static void drain(void)
{
	if (!draining)
		watch(EPOLL_CTL_DEL, QUEUE, 0, NULL); /* what is left there goes to others */
	draining = true;
}

/* Finds a value in a message: a flat object, all of whose quotes within strings
 * are escaped. Another program would rather use a library. */
static const char *value(const char *message, const char *key)
{
	const char *found = strstr(message, key);
	return found ? found + strlen(key) + strspn(found + strlen(key), ": ") : "";
}

static bool is(const char *text, const char *word) { return !strncmp(text, word, strlen(word)); }

static void obey(void)
{
	char message[MAX_PACKET + 1];
	ssize_t size = recv(CONTROL, message, MAX_PACKET, 0);
	if (size < 0 && errno == EAGAIN)
		return;
	if (size <= 0)
		exit(1); /* the master is gone */
	message[size] = 0;
	const char *type = value(message, "\"type\"");
	if (is(type, "\"hello\""))
		by_id = is(value(message, "\"report\""), "\"ids\"");
	else if (is(type, "\"stop\""))
		exit(0);
	else if (is(type, "\"drain\"")) {
		long long wait = atoll(value(message, "\"deadline_ms\""));
		if (wait > 0)
			deadline = now() + wait;
		drain();
	}
}

static void terminate(void)
{
	struct signalfd_siginfo info;
	if (read(signals, &info, sizeof info) == sizeof info) {
		say_text("{\"type\":\"draining\"}");
		drain();
	}
}

/* The deadline has come: everyone gets what is owed and FIN, and after LINGER it
 * is over. To close with input unread would send a reset, which can destroy answers. */
static void cut_short(void)
{
	for (struct conn *next, *c = conns; c; c = next) {
		next = c->next;
		c->ending = true;
		if (late)
			close_conn(c);
		else if (flush(c))
			arm(c);
	}
	late = true;
	deadline = now() + LINGER;
}

static void start(void)
{
	const char *protocol = getenv("USHER_PROTOCOL"), *slot = getenv("USHER_SLOT");
	if (!protocol || !slot) {
		fprintf(stderr, "a worker of usher: usher serve -- lines\n");
		exit(2);
	}
	if (strcmp(protocol, "1")) {
		fprintf(stderr, "lines: the master speaks protocol %s, this program 1\n", protocol);
		exit(1);
	}
	size_t offset = (size_t)atol(slot) * sizeof *entry;
	char *board = mmap(NULL, offset + sizeof *entry, PROT_READ | PROT_WRITE, MAP_SHARED, SCOREBOARD, 0);
	if (board == MAP_FAILED)
		die("scoreboard");
	entry = (struct entry *)(board + offset);
	for (int fd = QUEUE; fd <= SCOREBOARD; fd++)
		fcntl(fd, F_SETFD, FD_CLOEXEC);
	unsetenv("USHER_PROTOCOL");
	unsetenv("USHER_SLOT");
	unsetenv("USHER_GENERATION");
	unsetenv("USHER_METRICS");

	static const int ignored[] = {SIGHUP, SIGINT, SIGUSR1, SIGUSR2};
	for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
		signal(ignored[i], SIG_IGN); /* they are meant for the master */
	sigset_t mask;
	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	signals = signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC);
	set = epoll_create1(EPOLL_CLOEXEC);
	if (signals < 0 || set < 0)
		die("start");
	watch(EPOLL_CTL_ADD, QUEUE, EPOLLIN, &queue);
	watch(EPOLL_CTL_ADD, CONTROL, EPOLLIN, &control);
	watch(EPOLL_CTL_ADD, signals, EPOLLIN, &signals);

	struct rlimit limit;
	getrlimit(RLIMIT_NOFILE, &limit);
	long long capacity = limit.rlim_cur > INT_MAX ? INT_MAX : (long long)limit.rlim_cur;
	capacity = capacity > 2 * RESERVED_FDS ? capacity - RESERVED_FDS : capacity / 2;
	atomic_store(&entry->thread, (uint64_t)syscall(SYS_gettid));
	atomic_store(&entry->sequence, 1); /* from here on, this worker keeps its entry */
	say_text("{\"type\":\"ready\",\"protocol\":1,\"capacity\":%lld,\"closes\":true}", capacity);
}

static void run(void)
{
	struct epoll_event events[64];
	while (!draining || conns) {
		int64_t left = deadline ? deadline - now() : -1;
		if (deadline && left <= 0) {
			cut_short();
			continue;
		}
		tell_ids();
		atomic_fetch_add(&entry->sequence, 1); /* even: waiting */
		int count = epoll_wait(set, events, 64, left > INT_MAX ? INT_MAX : (int)left);
		atomic_fetch_add(&entry->sequence, 1); /* odd: at work */
		if (count < 0 && errno != EINTR)
			die("epoll_wait");
		/* A connection is closed at its own event, or between two waits: none
		 * of these is of one that is gone. */
		for (int i = 0; i < count; i++) {
			void *whose = events[i].data.ptr;
			if (whose == &queue) {
				if (!draining)
					receive();
			} else if (whose == &control)
				obey();
			else if (whose == &signals)
				terminate();
			else
				serve(whose, events[i].events);
		}
	}
	tell_ids();
}

int main(void)
{
	start();
	run();
	return 0;
}
