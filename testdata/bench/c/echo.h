/* What both references have in common: an epoll loop that echoes. It does what a
 * careful C programmer would: non-blocking, level-triggered, one read for an
 * event, write at once, EPOLLOUT only for what the kernel did not take. */
#ifndef ECHO_H
#define ECHO_H

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 256, BUFFER = 64 * 1024, BACKLOG = 4096 };

/* Output that the kernel did not take. The connection's descriptor is its index. */
struct pending {
	char *bytes;
	size_t length, written;
};

static struct pending *pending_of;
static char buffer[BUFFER];

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void raise_limit(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit))
		die("getrlimit");
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit))
		die("setrlimit");
	pending_of = calloc(limit.rlim_max, sizeof *pending_of);
	if (!pending_of)
		die("calloc");
}

static int listen_at(int port, int shared)
{
	int one = 1;
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		die("socket");
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (setsockopt(fd, SOL_SOCKET, shared ? SO_REUSEPORT : SO_REUSEADDR, &one, sizeof one) ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one))
		die("setsockopt");
	if (bind(fd, (struct sockaddr *)&address, sizeof address))
		die("bind");
	if (listen(fd, BACKLOG))
		die("listen");
	return fd;
}

static void watch(int epoll, int op, int fd, unsigned events)
{
	struct epoll_event event = {.events = events, .data.fd = fd};
	if (epoll_ctl(epoll, op, fd, &event))
		die("epoll_ctl");
}

static void hang_up(int epoll, int fd)
{
	struct pending *out = &pending_of[fd];
	free(out->bytes);
	memset(out, 0, sizeof *out);
	epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL); /* it may have come from another process */
	close(fd);
}

/* Keeps what was not written, and stops reading until it is. */
static int keep(int epoll, int fd, const char *bytes, size_t length)
{
	struct pending *out = &pending_of[fd];
	out->bytes = malloc(length);
	if (!out->bytes)
		return -1;
	memcpy(out->bytes, bytes, length);
	out->length = length;
	out->written = 0;
	watch(epoll, EPOLL_CTL_MOD, fd, EPOLLOUT);
	return 0;
}

static void writable(int epoll, int fd)
{
	struct pending *out = &pending_of[fd];
	ssize_t n = write(fd, out->bytes + out->written, out->length - out->written);
	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			hang_up(epoll, fd);
		return;
	}
	out->written += n;
	if (out->written < out->length)
		return;
	free(out->bytes);
	memset(out, 0, sizeof *out);
	watch(epoll, EPOLL_CTL_MOD, fd, EPOLLIN);
}

static void readable(int epoll, int fd)
{
	ssize_t written, n = read(fd, buffer, sizeof buffer);
	if (n <= 0) {
		if (n == 0 || (errno != EAGAIN && errno != EINTR))
			hang_up(epoll, fd);
		return;
	}
	written = write(fd, buffer, n);
	if (written == n)
		return;
	if (written < 0) {
		if (errno != EAGAIN && errno != EINTR) {
			hang_up(epoll, fd);
			return;
		}
		written = 0;
	}
	if (keep(epoll, fd, buffer + written, n - written))
		hang_up(epoll, fd);
}

static void serve(int epoll, const struct epoll_event *event)
{
	if (event->events & EPOLLOUT)
		writable(epoll, event->data.fd);
	else
		readable(epoll, event->data.fd); /* an error is found by reading */
}

/* Runs work in so many children, and waits for a signal to end them all. */
static void in_children(int workers, void (*work)(int number, int fd), const int *fds)
{
	for (int i = 0; i < workers; i++) {
		pid_t pid = fork();
		if (pid < 0)
			die("fork");
		if (pid == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			work(i, fds ? fds[i] : -1);
			exit(0);
		}
	}
}

#endif
