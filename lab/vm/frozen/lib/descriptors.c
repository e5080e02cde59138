/* What is open in a machine that is written down: see frozen.c. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "frozen.h"

static unsigned char inherited[1024]; /* descriptors that were there before main */
static int not_ours;

__attribute__((constructor)) static void look_at_what_is_open(void)
{
	for (int fd = 0; fd < (int)sizeof inherited; fd++)
		inherited[fd] = fcntl(fd, F_GETFD) >= 0;
}

static uint64_t info(int fd, const char *key, int base)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
	if (g8_read_all(path, g8->buffer, sizeof g8->buffer) < 0)
		return 0;
	const char *at = strstr(g8->buffer, key);
	return at ? strtoull(at + strlen(key), NULL, base) : 0;
}

static struct g8_fd *another(int fd, int kind)
{
	if (g8->fds == G8_FDS)
		return NULL;
	struct g8_fd *f = &g8->fd[g8->fds++];
	*f = (struct g8_fd){ .fd = fd, .kind = kind, .status = fcntl(fd, F_GETFL), .flags = fcntl(fd, F_GETFD) };
	return f;
}

static int keep_epoll(int fd)
{
	if (!another(fd, G8_EPOLL))
		return -1;
	info(fd, "", 10); /* into the buffer */
	for (const char *at = g8->buffer; (at = strstr(at, "tfd:")); at++) {
		int target;
		unsigned events;
		unsigned long data;
		struct g8_fd *f;
		if (sscanf(at, "tfd: %d events: %x data: %lx", &target, &events, &data) != 3 || !(f = another(target, G8_EPOLL_ENTRY)))
			return -1;
		f->of = fd, f->events = events, f->value = data;
	}
	return 0;
}

static int keep_socket(int fd, struct g8_fd **f)
{
	struct sockaddr_un name;
	socklen_t size = sizeof name, one = sizeof(int);
	int listens = 0;
	memset(&name, 0, sizeof name);
	if (getsockname(fd, (struct sockaddr *)&name, &size) || name.sun_family != AF_UNIX || !name.sun_path[0] ||
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &one) || !listens)
		return -1;
	*f = another(fd, G8_LISTEN);
	return *f && ((*f)->path = g8_keep(name.sun_path)) ? 0 : -1;
}

static int keep_fd(int fd)
{
	char path[64], is[4096] = "";
	struct g8_fd *f = NULL;
	int err = 0;
	if (fd == not_ours || (fd < (int)sizeof inherited && inherited[fd]))
		return 0;
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	if (readlink(path, is, sizeof is - 1) < 0)
		return 0; /* gone again */
	if (!strcmp(is, "anon_inode:[eventfd]")) {
		if ((f = another(fd, G8_EVENTFD)))
			f->value = info(fd, "eventfd-count:", 16);
	} else if (!strcmp(is, "anon_inode:[signalfd]")) {
		if ((f = another(fd, G8_SIGNALFD)))
			f->value = info(fd, "sigmask:", 16);
	} else if (!strcmp(is, "anon_inode:[eventpoll]")) {
		err = keep_epoll(fd);
		f = g8->fd;
	} else if (!strncmp(is, "socket:", 7)) {
		err = keep_socket(fd, &f);
	} else if (is[0] == '/' && !strstr(is, " (deleted)")) {
		if ((f = another(fd, G8_OPEN))) {
			f->value = lseek(fd, 0, SEEK_CUR);
			f->path = g8_keep(is);
		}
	}
	return err || !f ? g8_fail("descriptor %d (%s) cannot be kept", fd, is) : 0;
}

/* All that is open but image, and what was before there was a machine. */
int g8_keep_descriptors(int image)
{
	not_ours = image;
	return g8_numbers("/proc/self/fd", keep_fd);
}
