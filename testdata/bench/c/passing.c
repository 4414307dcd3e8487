/* The reference for the design: one master accepts and passes each connection's
 * descriptor to one of WORKERS processes in turn, up to 64 in a message.
 *
 * passing PORT WORKERS */
#include "echo.h"

enum { BATCH = 64, MOST = 64 };

static void take_in(int epoll, int queue)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(BATCH * sizeof(int))];
	} control;
	char byte;
	struct iovec iov = {&byte, 1};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
	ssize_t n = recvmsg(queue, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	struct cmsghdr *c;
	if (n < 0)
		return;
	if (n == 0)
		exit(0); /* the master is gone */
	if (message.msg_flags & MSG_CTRUNC)
		fprintf(stderr, "out of descriptors\n");
	for (c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
		int *fds = (int *)CMSG_DATA(c), count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (int i = 0; i < count; i++)
			watch(epoll, EPOLL_CTL_ADD, fds[i], EPOLLIN);
	}
}

static void work(int number, int queue)
{
	struct epoll_event events[EVENTS];
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	(void)number;
	if (epoll < 0)
		die("epoll_create1");
	watch(epoll, EPOLL_CTL_ADD, queue, EPOLLIN);
	for (;;) {
		int n = epoll_wait(epoll, events, EVENTS, -1);
		if (n < 0 && errno != EINTR)
			die("epoll_wait");
		for (int i = 0; i < n; i++)
			if (events[i].data.fd == queue)
				take_in(epoll, queue);
			else
				serve(epoll, &events[i]);
	}
}

static void pass(int queue, const int *fds, int count)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(BATCH * sizeof(int))];
	} control;
	char byte = 0;
	struct iovec iov = {&byte, 1};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_SPACE(count * sizeof(int))};
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(c), fds, count * sizeof(int));
	if (sendmsg(queue, &message, MSG_NOSIGNAL) < 0)
		die("sendmsg");
	for (int i = 0; i < count; i++)
		close(fds[i]);
}

/* Accepts all there is into the workers' hands, a full one is passed at once. */
static void accept_all(int listener, int workers, const int *queues)
{
	static int hands[MOST][BATCH], held[MOST], turn;
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), to = turn;
		if (fd < 0)
			break;
		turn = (turn + 1) % workers;
		hands[to][held[to]++] = fd;
		if (held[to] == BATCH) {
			pass(queues[to], hands[to], held[to]);
			held[to] = 0;
		}
	}
	for (int i = 0; i < workers; i++)
		if (held[i] > 0) {
			pass(queues[i], hands[i], held[i]);
			held[i] = 0;
		}
}

int main(int argc, char **argv)
{
	struct epoll_event events[EVENTS];
	int masters[MOST], theirs[MOST], listener, epoll, workers;
	if (argc != 3 || atoi(argv[2]) > MOST) {
		fprintf(stderr, "usage: passing PORT WORKERS, at most %d\n", MOST);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	raise_limit();
	workers = atoi(argv[2]);
	for (int i = 0; i < workers; i++) {
		int pair[2];
		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
			die("socketpair");
		masters[i] = pair[0];
		theirs[i] = pair[1];
	}
	in_children(workers, work, theirs);
	listener = listen_at(atoi(argv[1]), 0);
	epoll = epoll_create1(EPOLL_CLOEXEC);
	watch(epoll, EPOLL_CTL_ADD, listener, EPOLLIN);
	for (;;) {
		int n = epoll_wait(epoll, events, EVENTS, -1);
		if (n < 0 && errno != EINTR)
			die("epoll_wait");
		if (n > 0)
			accept_all(listener, workers, masters);
	}
}
