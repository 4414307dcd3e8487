/* The reference for speed: an echo server of WORKERS processes, each with a
 * listening socket of its own in one SO_REUSEPORT group, so that the kernel
 * spreads connections and nothing is passed.
 *
 * reuseport PORT WORKERS */
#include "echo.h"

static int port;

static void accept_all(int epoll, int listener)
{
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0)
			return; /* EAGAIN; what else there is comes again with the next event */
		watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN);
	}
}

static void work(int number, int unused)
{
	struct epoll_event events[EVENTS];
	int listener = listen_at(port, 1), epoll = epoll_create1(EPOLL_CLOEXEC);
	(void)number;
	(void)unused;
	if (epoll < 0)
		die("epoll_create1");
	watch(epoll, EPOLL_CTL_ADD, listener, EPOLLIN);
	for (;;) {
		int n = epoll_wait(epoll, events, EVENTS, -1);
		if (n < 0 && errno != EINTR)
			die("epoll_wait");
		for (int i = 0; i < n; i++)
			if (events[i].data.fd == listener)
				accept_all(epoll, listener);
			else
				serve(epoll, &events[i]);
	}
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: reuseport PORT WORKERS\n");
		return 2;
	}
	port = atoi(argv[1]);
	signal(SIGPIPE, SIG_IGN);
	raise_limit();
	in_children(atoi(argv[2]), work, NULL);
	pause();
	return 0;
}
