/* Writing a machine down: see frozen.c. Nothing here may allocate: a thread may
 * have been parked with the allocator's lock. */
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "frozen.h"

enum { PAGE = 4096 };

extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned int __rseq_size __attribute__((weak));

static unsigned char inherited[1024]; /* descriptors that were there before main */
static volatile int go_on = 1; /* 0: threads are to stand still */
static char why[512];

__attribute__((constructor)) static void look_at_what_is_open(void)
{
	for (int fd = 0; fd < (int)sizeof inherited; fd++)
		inherited[fd] = fcntl(fd, F_GETFD) >= 0;
}

static int fail(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(why, sizeof why, format, args);
	va_end(args);
	return -1;
}

static uint32_t keep(const char *text)
{
	size_t n = strlen(text) + 1;
	if (g8->text_used + n > G8_TEXT)
		return 0;
	memcpy(g8->text + g8->text_used, text, n);
	g8->text_used += n;
	return g8->text_used - n;
}

/* ---- threads ---- */

static void note(struct g8_thread *t)
{
	t->tid = (int)syscall(SYS_gettid);
	syscall(SYS_arch_prctl, ARCH_GET_FS, &t->fs);
	syscall(SYS_get_robust_list, 0, &t->robust, &t->robust_size);
	prctl(PR_GET_NAME, t->name);
}

/* A parked thread waits in a signal's handler, so that the kernel has put all
 * its registers on its stack. In a clone it only returns. */
static void park(int sig)
{
	(void)sig;
	if (go_on) /* one that comes too late */
		return;
	int saved = errno;
	uint32_t n = __atomic_fetch_add(&g8->threads, 1, __ATOMIC_SEQ_CST);
	if (n < G8_THREADS) {
		struct g8_thread *t = &g8->thread[n];
		note(t);
		if (g8_save(&t->at) == 0) {
			__atomic_store_n(&t->parked, 1, __ATOMIC_SEQ_CST);
			while (!__atomic_load_n(&go_on, __ATOMIC_SEQ_CST))
				syscall(SYS_futex, &go_on, FUTEX_WAIT, 0, NULL, NULL, 0);
		}
	}
	errno = saved;
}

/* Numbers of a folder of /proc that has nothing else in it. */
static int numbers(const char *path, int (*each)(int))
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err = 0;
	if (fd < 0)
		return fail("%s: %s", path, strerror(errno));
	long n;
	while (err == 0 && (n = syscall(SYS_getdents64, fd, g8->buffer, sizeof g8->buffer)) > 0) {
		static char copy[sizeof g8->buffer]; /* each may use the buffer */
		memcpy(copy, g8->buffer, n);
		for (long at = 0; at < n && err == 0;) {
			struct { uint64_t ino; int64_t off; uint16_t len; uint8_t type; char name[]; } *e = (void *)(copy + at);
			if (e->name[0] != '.' && atoi(e->name) != fd)
				err = each(atoi(e->name));
			at += e->len;
		}
	}
	close(fd);
	return err;
}

static int others;

static int call_to_park(int tid)
{
	if (tid == getpid())
		return 0;
	others++;
	return syscall(SYS_tgkill, getpid(), tid, SIGILL) == 0 ? 0 : fail("thread %d: %s", tid, strerror(errno));
}

static int park_all(void)
{
	struct sigaction act = { .sa_handler = park }, old;
	sigfillset(&act.sa_mask);
	sigaction(SIGILL, &act, &old);
	others = 0;
	int err = numbers("/proc/self/task", call_to_park);
	if (err == 0 && others > G8_THREADS)
		err = fail("%d threads, at most %d can be kept", others, G8_THREADS);
	struct timespec tick = { 0, 1000 * 1000 };
	for (int i = 0; err == 0 && i < 3000; i++) {
		int parked = 0;
		for (int t = 0; t < others; t++)
			parked += __atomic_load_n(&g8->thread[t].parked, __ATOMIC_SEQ_CST);
		if (parked == others) {
			sigaction(SIGILL, &old, NULL);
			return 0;
		}
		nanosleep(&tick, NULL);
	}
	/* The handler stays: a signal may still be on its way. */
	return err ? err : fail("a thread does not take a signal");
}

/* Where the C library has a thread's id (pthread_kill and join read it). */
static int find_tid(void)
{
	for (uint32_t at = 0; at < 0x800; at += 4) {
		int is = *(int *)(g8->main.fs + at) == g8->main.tid;
		for (uint32_t t = 0; is && t < g8->threads; t++)
			is = *(int *)(g8->thread[t].fs + at) == g8->thread[t].tid;
		if (is) {
			g8->tid_at = at;
			return 0;
		}
	}
	return fail("this C library keeps a thread's id somewhere else");
}

/* ---- descriptors ---- */

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
	return *f && ((*f)->path = keep(name.sun_path)) ? 0 : -1;
}

static int keep_fd(int fd)
{
	char path[64], is[4096] = "";
	struct g8_fd *f = NULL;
	int err = 0;
	if (fd < (int)sizeof inherited && inherited[fd])
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
			f->path = keep(is);
		}
	}
	return err || !f ? fail("descriptor %d (%s) cannot be kept", fd, is) : 0;
}

/* ---- memory ---- */

static int blank(const unsigned char *page)
{
	const uint64_t *w = (const void *)page;
	for (int i = 0; i < PAGE / 8; i++)
		if (w[i])
			return 0;
	return 1;
}

/* Writes the pages that have something in them. Returns how many. */
static long write_pages(int image, const struct g8_region *r)
{
	long some = 0;
	for (uint64_t at = r->start; at < r->end;) {
		uint64_t end = at;
		while (end < r->end && !blank((void *)end))
			end += PAGE;
		if (end > at) {
			for (uint64_t done = at; done < end;) {
				ssize_t n = pwrite(image, (void *)done, end - done, r->off + (done - r->start));
				if (n <= 0)
					return -1;
				done += n;
			}
			some += (end - at) / PAGE;
			at = end;
		} else {
			at += PAGE;
		}
	}
	return some;
}

/* What a line of /proc/PID/maps comes to. */
static int kind_of(const char *perms, const char *path)
{
	if (!strncmp(path, "[v", 2) || !strncmp(path, "[uprobes", 8))
		return G8_KERNEL;
	if (!strcmp(path, "[stack]"))
		return G8_STACK_OF_MAIN;
	if (path[0] == '/' && !strstr(path, " (deleted)") && (perms[3] == 's' || (perms[1] != 'w' && perms[2] == 'x')))
		return G8_FILE;
	if (perms[0] != 'r')
		return G8_ZERO;
	return G8_DATA;
}

static int keep_region(const char *line)
{
	struct g8_region *r = &g8->region[g8->regions];
	char perms[8], path[4096] = "";
	unsigned long start, end, off;
	if (sscanf(line, "%lx-%lx %7s %lx %*s %*s %4095[^\n]", &start, &end, perms, &off, path) < 4)
		return fail("maps: %.100s", line);
	if (start == G8_SCRATCH)
		return 0;
	if (g8->regions == G8_REGIONS)
		return fail("more than %d regions of memory", G8_REGIONS);
	*r = (struct g8_region){ .start = start, .end = end, .off = off, .kind = kind_of(perms, path) };
	r->prot = (perms[0] == 'r' ? PROT_READ : 0) | (perms[1] == 'w' ? PROT_WRITE : 0) | (perms[2] == 'x' ? PROT_EXEC : 0);
	if (r->kind == G8_FILE) {
		struct stat st;
		if (stat(path, &st) || !(r->path = keep(path)))
			return fail("%s: cannot be kept", path);
		if ((r->code = perms[3] == 'p'))
			r->size = st.st_size, r->mtime = st.st_mtim.tv_sec * 1000000000ull + st.st_mtim.tv_nsec;
	}
	g8->regions++;
	return 0;
}

static int keep_maps(void)
{
	static char maps[256 << 10];
	long n = g8_read_all("/proc/self/maps", maps, sizeof maps);
	if (n < 0 || n >= (long)sizeof maps - 1)
		return fail("/proc/self/maps: too much of it");
	for (char *line = maps, *next; *line; line = next) {
		next = strchr(line, '\n');
		if (!next)
			break;
		*next++ = 0;
		if (keep_region(line))
			return -1;
	}
	return 0;
}

static int write_memory(int image)
{
	uint64_t off = (sizeof *g8 + PAGE - 1) & ~(uint64_t)(PAGE - 1);
	for (uint32_t i = 0; i < g8->regions; i++) {
		struct g8_region *r = &g8->region[i];
		if (r->kind != G8_DATA && r->kind != G8_STACK_OF_MAIN)
			continue;
		r->off = off;
		long some = write_pages(image, r);
		if (some < 0)
			return fail("write: %s", strerror(errno));
		if (some == 0 && r->kind == G8_DATA)
			r->kind = G8_ZERO;
		else
			off += r->end - r->start;
	}
	return ftruncate(image, off) ? fail("write: %s", strerror(errno)) : 0;
}

/* ---- all of it ---- */

static void keep_signals(void)
{
	for (int s = 1; s <= 64; s++)
		syscall(SYS_rt_sigaction, s, NULL, &g8->action[s], 8L);
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, NULL, &g8->mask, 8L);
}

static int write_image(int image)
{
	note(&g8->main);
	if (&__rseq_offset && &__rseq_size && __rseq_size) {
		g8->rseq_at = __rseq_offset;
		g8->rseq_size = 32; /* what is registered, whatever of it is in use */
	}
	g8->brk_end = syscall(SYS_brk, 0L);
	keep_signals();
	if (find_tid() || numbers("/proc/self/fd", keep_fd) || keep_maps() || write_memory(image))
		return -1;
	g8->magic = G8_MAGIC, g8->layout = G8_LAYOUT, g8->size = sizeof *g8;
	return pwrite(image, g8, offsetof(struct g8_image, mm), 0) == offsetof(struct g8_image, mm) ? 0 : fail("write: %s", strerror(errno));
}

int g8_freeze(const char *path)
{
	char aside[4200];
	g8_scratch();
	memset(g8, 0, sizeof *g8);
	g8->text_used = 1;
	__atomic_store_n(&go_on, 0, __ATOMIC_SEQ_CST);
	snprintf(aside, sizeof aside, "%s.new", path);
	int image = open(aside, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int err = image < 0 ? fail("%s: %s", aside, strerror(errno)) : park_all();
	if (image >= 0 && image < (int)sizeof inherited)
		inherited[image] = 1; /* not part of the machine */
	if (err == 0) {
		if (g8_save(&g8->main.at))
			return 0; /* in a clone */
		err = write_image(image);
	}
	__atomic_store_n(&go_on, 1, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, &go_on, FUTEX_WAKE, 1 << 20, NULL, NULL, 0);
	if (image >= 0)
		close(image);
	if (err == 0 && rename(aside, path))
		err = fail("%s: %s", path, strerror(errno));
	if (err) {
		unlink(aside);
		snprintf(aside, sizeof aside, "%s.err", path);
		int f = open(aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		if (f >= 0)
			dprintf(f, "%s\n", why), close(f);
	}
	munmap(g8, G8_SCRATCH_SIZE);
	return err;
}
