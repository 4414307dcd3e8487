/* The reference for TLS: an echo server of WORKERS processes on epoll, with
 * OpenSSL. It does what a careful C programmer would: non-blocking,
 * level-triggered, read ahead (so one read(2) takes what there is), one
 * SSL_write for what one event brought, buffers of idle connections released,
 * tickets for resumption.
 *
 * tlsepoll PORT WORKERS CERT KEY [SUITE]
 *
 * SUITE is one of TLS 1.3; without it OpenSSL's own preference holds. */
#include "echo.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

static int port;
static SSL_CTX *context;

/* A connection, whose descriptor is its index: output that OpenSSL has not taken
 * is in pending_of, which is kept as it was for the next SSL_write. */
static SSL **ssl_of;

static void fail(const char *what)
{
	fprintf(stderr, "%s\n", what);
	ERR_print_errors_fp(stderr);
	exit(1);
}

static void make_context(const char *cert, const char *key, const char *suite)
{
	context = SSL_CTX_new(TLS_server_method());
	if (!context || SSL_CTX_use_certificate_chain_file(context, cert) != 1 ||
	    SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1)
		fail("certificate");
	if (suite && SSL_CTX_set_ciphersuites(context, suite) != 1)
		fail("suite");
	SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
	SSL_CTX_set_read_ahead(context, 1);
	SSL_CTX_set_default_read_buffer_len(context, BUFFER);
	SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
}

static void end(int epoll, int fd)
{
	SSL_free(ssl_of[fd]);
	ssl_of[fd] = NULL;
	hang_up(epoll, fd);
}

/* What becomes of a connection whose call did not succeed, for this reason: it waits,
 * or it is over, and in order it is told so. Returns whether it goes on. */
static int goes_on(int epoll, int fd, int reason, int wants_write)
{
	switch (reason) {
	case SSL_ERROR_WANT_READ:
		if (wants_write)
			watch(epoll, EPOLL_CTL_MOD, fd, EPOLLIN);
		return 1;
	case SSL_ERROR_WANT_WRITE:
		watch(epoll, EPOLL_CTL_MOD, fd, EPOLLOUT);
		return 1;
	case SSL_ERROR_ZERO_RETURN:
		SSL_shutdown(ssl_of[fd]);
		break;
	}
	ERR_clear_error();
	end(epoll, fd);
	return 0;
}

/* Sends what is pending. Returns whether all went. */
static int flush(int epoll, int fd)
{
	struct pending *out = &pending_of[fd];
	while (out->written < out->length) {
		int n = SSL_write(ssl_of[fd], out->bytes + out->written, out->length - out->written);
		if (n <= 0) {
			goes_on(epoll, fd, SSL_get_error(ssl_of[fd], n), 1);
			return 0;
		}
		out->written += n;
	}
	free(out->bytes);
	memset(out, 0, sizeof *out);
	watch(epoll, EPOLL_CTL_MOD, fd, EPOLLIN);
	return 1;
}

/* Echoes bytes, and keeps what is not taken. Returns whether the connection may be
 * read again. */
static int answer(int epoll, int fd, int length)
{
	int written = 0;
	while (written < length) {
		int n = SSL_write(ssl_of[fd], buffer + written, length - written);
		if (n > 0) {
			written += n;
			continue;
		}
		if (!goes_on(epoll, fd, SSL_get_error(ssl_of[fd], n), 0))
			return 0;
		if (keep(epoll, fd, buffer + written, length - written))
			end(epoll, fd);
		return 0;
	}
	return 1;
}

/* Reads what one read(2) brings, and answers: all that came in one go. */
static void read_tls(int epoll, int fd)
{
	SSL *ssl = ssl_of[fd];
	int have = 0;
	do {
		int n = SSL_read(ssl, buffer + have, BUFFER - have);
		if (n <= 0) {
			int reason = SSL_get_error(ssl, n);
			if (have == 0 || answer(epoll, fd, have))
				goes_on(epoll, fd, reason, 0);
			return;
		}
		have += n;
		if (have == BUFFER) {
			if (!answer(epoll, fd, have))
				return;
			have = 0;
		}
	} while (SSL_has_pending(ssl));
	if (have > 0)
		answer(epoll, fd, have);
}

static void serve_tls(int epoll, const struct epoll_event *event)
{
	int fd = event->data.fd, n;
	if (!SSL_is_init_finished(ssl_of[fd])) {
		n = SSL_accept(ssl_of[fd]);
		if (n <= 0) {
			goes_on(epoll, fd, SSL_get_error(ssl_of[fd], n), (event->events & EPOLLOUT) != 0);
			return;
		}
		if (event->events & EPOLLOUT)
			watch(epoll, EPOLL_CTL_MOD, fd, EPOLLIN);
		if (!SSL_has_pending(ssl_of[fd]))
			return;
	}
	if (event->events & EPOLLOUT) {
		if (!flush(epoll, fd) || !SSL_has_pending(ssl_of[fd]))
			return;
	}
	read_tls(epoll, fd);
}

static void accept_all(int epoll, int listener)
{
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0)
			return; /* EAGAIN; what else there is comes again with the next event */
		ssl_of[fd] = SSL_new(context);
		if (!ssl_of[fd] || SSL_set_fd(ssl_of[fd], fd) != 1)
			fail("connection");
		SSL_set_accept_state(ssl_of[fd]);
		watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN);
	}
}

static void work(int number, int unused)
{
	struct epoll_event events[EVENTS];
	int listener = listen_at(port, 1), epoll = epoll_create1(EPOLL_CLOEXEC);
	(void)number;
	(void)unused;
	(void)serve; /* the plain one, of echo.h */
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
				serve_tls(epoll, &events[i]);
	}
}

int main(int argc, char **argv)
{
	struct rlimit limit;
	if (argc < 5) {
		fprintf(stderr, "usage: tlsepoll PORT WORKERS CERT KEY [SUITE]\n");
		return 2;
	}
	port = atoi(argv[1]);
	signal(SIGPIPE, SIG_IGN);
	raise_limit();
	if (getrlimit(RLIMIT_NOFILE, &limit))
		die("getrlimit");
	ssl_of = calloc(limit.rlim_max, sizeof *ssl_of);
	if (!ssl_of)
		die("calloc");
	make_context(argv[3], argv[4], argc > 5 ? argv[5] : NULL);
	in_children(atoi(argv[2]), work, NULL);
	pause();
	return 0;
}
