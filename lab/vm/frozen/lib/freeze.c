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
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "frozen.h"

extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned int __rseq_size __attribute__((weak));

static volatile int go_on = 1; /* 0: threads are to stand still */
static char why[512];

int g8_fail(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(why, sizeof why, format, args);
	va_end(args);
	return -1;
}

uint32_t g8_keep(const char *text)
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
int g8_numbers(const char *path, int (*each)(int))
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err = 0;
	if (fd < 0)
		return g8_fail("%s: %s", path, strerror(errno));
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
	return syscall(SYS_tgkill, getpid(), tid, SIGILL) == 0 ? 0 : g8_fail("thread %d: %s", tid, strerror(errno));
}

static int park_all(void)
{
	struct sigaction act = { .sa_handler = park }, old;
	sigfillset(&act.sa_mask);
	sigaction(SIGILL, &act, &old);
	others = 0;
	int err = g8_numbers("/proc/self/task", call_to_park);
	if (err == 0 && others > G8_THREADS)
		err = g8_fail("%d threads, at most %d can be kept", others, G8_THREADS);
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
	return err ? err : g8_fail("a thread does not take a signal");
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
	return g8_fail("this C library keeps a thread's id somewhere else");
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
	if (find_tid() || g8_keep_descriptors(image) || g8_keep_memory(image))
		return -1;
	g8->magic = G8_MAGIC, g8->layout = G8_LAYOUT, g8->size = sizeof *g8;
	return pwrite(image, g8, offsetof(struct g8_image, mm), 0) == offsetof(struct g8_image, mm) ? 0 : g8_fail("write: %s", strerror(errno));
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
	int err = image < 0 ? g8_fail("%s: %s", aside, strerror(errno)) : park_all();
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
		err = g8_fail("%s: %s", path, strerror(errno));
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
