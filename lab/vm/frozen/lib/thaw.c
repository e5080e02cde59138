/* Becoming a machine that was written down: see frozen.c. From replace on nothing
 * may be called that is not in this file: the C library's state is being
 * exchanged below it. */
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/rseq.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "frozen.h"

enum { PAGE = 4096, IMAGE_FD = 900, FILE_FD = 901, RSEQ_SIGNATURE = 0x53053053 };

extern const ptrdiff_t __rseq_offset __attribute__((weak));

static void __attribute__((noreturn)) refuse(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	dprintf(2, "frozen: ");
	vdprintf(2, format, args);
	dprintf(2, "\n");
	va_end(args);
	_exit(97);
}

/* Where a file of the template is now: files has a line "name=path" for those
 * that are each machine's own. */
static const char *moved(const char *path, const char *files)
{
	static char to[4096];
	const char *name = strrchr(path, '/');
	name = name ? name + 1 : path;
	size_t n = strlen(name);
	for (const char *at = files; *at;) {
		size_t len = strcspn(at, "\n");
		if (len > n && !strncmp(at, name, n) && at[n] == '=' && len - n < sizeof to) {
			memcpy(to, at + n + 1, len - n - 1);
			to[len - n - 1] = 0;
			return to;
		}
		at += len + (at[len] == '\n');
	}
	return path;
}

/* ---- does it fit? ---- */

static int lies(const char *maps, uint64_t start, const char *name)
{
	for (const char *at = maps; at && *at; at = strchr(at, '\n'), at = at ? at + 1 : NULL)
		if (strtoull(at, NULL, 16) == start) {
			const char *end = strchr(at, '\n'), *found = strstr(at, name);
			return !name[0] || (found && end && found < end);
		}
	return 0;
}

static void check(const char *path, const char *files)
{
	static char maps[256 << 10];
	if (g8->magic != G8_MAGIC || g8->layout != G8_LAYOUT || g8->size != sizeof *g8)
		refuse("%s: not an image of this version", path);
	g8_read_all("/proc/self/maps", maps, sizeof maps);
	for (uint32_t i = 0; i < g8->regions; i++) {
		const struct g8_region *r = &g8->region[i];
		const char *was = g8->text + r->path, *now = moved(was, files);
		struct stat st;
		if (r->kind == G8_KERNEL && r->start < (1ull << 47) && !lies(maps, r->start, "[v"))
			refuse("the kernel has something of its own elsewhere than the template had");
		if (!r->code)
			continue;
		/* This library itself may be a copy. */
		if (stat(now, &st) || (uint64_t)st.st_size != r->size ||
		    (now == was && st.st_mtim.tv_sec * 1000000000ull + st.st_mtim.tv_nsec != r->mtime))
			refuse("%s is another one than the template had", now);
	}
	if ((uint64_t)syscall(SYS_brk, 0L) > g8->brk_end)
		refuse("the heap lies elsewhere than the template's");
}

/* ---- descriptors ---- */

static void put(const struct g8_fd *f, int fd, const char *what)
{
	if (fd < 0 || (fd != f->fd && dup2(fd, f->fd) < 0))
		refuse("%s: %s", what, strerror(errno));
	if (fd != f->fd)
		close(fd);
	fcntl(f->fd, F_SETFL, f->status);
	fcntl(f->fd, F_SETFD, f->flags);
}

static int listener(const char *path)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (strlen(path) >= sizeof name.sun_path) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(name.sun_path, path);
	return fd < 0 || bind(fd, (struct sockaddr *)&name, sizeof name) || listen(fd, 1) ? -1 : fd;
}

static void open_one(const struct g8_fd *f, const char *files)
{
	const char *path = moved(g8->text + f->path, files);
	uint64_t mask = f->value;
	switch (f->kind) {
	case G8_EVENTFD:
		put(f, eventfd((unsigned)f->value, 0), "eventfd");
		break;
	case G8_SIGNALFD:
		put(f, (int)syscall(SYS_signalfd4, -1, &mask, 8L, 0), "signalfd");
		break;
	case G8_EPOLL:
		put(f, epoll_create1(0), "epoll");
		break;
	case G8_LISTEN:
		put(f, listener(path), path);
		break;
	case G8_OPEN:
		put(f, open(path, f->status | (f->status & O_APPEND ? O_CREAT : 0), 0644), path); /* a log begins */
		if (f->value && !(f->status & O_APPEND))
			lseek(f->fd, (off_t)f->value, SEEK_SET);
	}
}

static void open_all(const char *files)
{
	for (int fd = 3; fd < 1024; fd++)
		if (fd != IMAGE_FD)
			close(fd);
	for (uint32_t i = 0; i < g8->fds; i++)
		open_one(&g8->fd[i], files);
	for (uint32_t i = 0; i < g8->fds; i++) {
		const struct g8_fd *f = &g8->fd[i];
		struct epoll_event e = { .events = f->events, .data.u64 = f->value };
		if (f->kind == G8_EPOLL_ENTRY && epoll_ctl(f->of, EPOLL_CTL_ADD, f->fd, &e))
			refuse("epoll: %s", strerror(errno));
	}
}

/* ---- memory and threads ---- */

static void __attribute__((noreturn)) broken(const char *what, long err)
{
	long n = 0;
	while (what[n])
		n++;
	G8_CALL(SYS_write, 2, "frozen: half way: ", 18);
	G8_CALL(SYS_write, 2, what, n);
	G8_CALL(SYS_write, 2, "\n", 1);
	G8_CALL(SYS_exit_group, 98, err, 0);
	__builtin_unreachable();
}

static void map(const struct g8_region *r)
{
	long fd = -1, flags = MAP_PRIVATE | MAP_FIXED, at = r->start;
	if (r->kind == G8_KERNEL)
		return;
	if (r->kind == G8_STACK_OF_MAIN) {
		for (uint64_t page = r->end - PAGE; page >= r->start; page -= PAGE) /* it grows downwards */
			*(volatile char *)page = *(volatile char *)page;
		for (uint64_t done = 0; done < r->end - r->start;) {
			long n = g8_call(SYS_pread64, IMAGE_FD, r->start + done, r->end - r->start - done, r->off + done, 0, 0);
			if (n <= 0)
				broken("the stack", n);
			done += n;
		}
		return;
	}
	if (r->kind == G8_ZERO)
		flags |= MAP_ANONYMOUS | MAP_NORESERVE;
	else if (r->kind == G8_DATA)
		fd = IMAGE_FD;
	else if ((fd = G8_CALL(SYS_open, g8->text + r->path, O_RDONLY | O_CLOEXEC, 0)) < 0)
		broken(g8->text + r->path, fd);
	at = g8_call(SYS_mmap, r->start, r->end - r->start, r->prot, flags, fd, r->kind == G8_ZERO ? 0 : r->off);
	if (at != (long)r->start)
		broken("memory", at);
	if (r->kind == G8_FILE)
		G8_CALL(SYS_close, fd, 0, 0);
}

/* What the kernel knows of a thread beside its registers. */
static void enlist(struct g8_thread *t)
{
	G8_CALL(SYS_set_robust_list, t->robust, t->robust_size, 0);
	G8_CALL(SYS_prctl, PR_SET_NAME, t->name, 0);
	if (!g8->rseq_size)
		return;
	struct rseq *area = (void *)(t->fs + g8->rseq_at);
	area->rseq_cs = 0;
	area->cpu_id_start = 0;
	area->cpu_id = RSEQ_CPU_ID_UNINITIALIZED;
	if (g8_call(SYS_rseq, (long)area, g8->rseq_size, 0, RSEQ_SIGNATURE, 0, 0))
		area->cpu_id = RSEQ_CPU_ID_REGISTRATION_FAILED;
}

static void __attribute__((noreturn)) become(struct g8_thread *t)
{
	enlist(t);
	g8_resume(&t->at); /* returns from the signal, which restores the rest */
}

/* clone(2) returns twice, the second time on another stack: so not in C. */
static long start(struct g8_thread *t, unsigned char *stack_end)
{
	long flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS |
		CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID, ret;
	register long tid __asm__("r10") = t->fs + g8->tid_at, tls __asm__("r8") = t->fs;
	__asm__ volatile(
		"syscall\n	testq %%rax,%%rax\n	jnz 1f\n"
		"	xorl %%ebp,%%ebp\n	movq %[t],%%rdi\n	callq *%[become]\n	hlt\n1:"
		: "=a"(ret)
		: "a"(SYS_clone), "D"(flags), "S"(stack_end), "d"(t->fs + g8->tid_at), "r"(tid), "r"(tls),
		  [t] "b"(t), [become] "r"((void (*)(struct g8_thread *))become)
		: "rcx", "r11", "memory");
	return ret;
}

static void replace(void)
{
	for (uint32_t i = 0; i < g8->regions; i++)
		map(&g8->region[i]);
	G8_CALL(SYS_close, IMAGE_FD, 0, 0);
	struct g8_thread *m = &g8->main;
	G8_CALL(SYS_arch_prctl, ARCH_SET_FS, m->fs, 0);
	int *tid = (int *)(m->fs + g8->tid_at);
	*tid = (int)G8_CALL(SYS_set_tid_address, tid, 0, 0);
	for (int s = 1; s <= 64; s++)
		g8_call(SYS_rt_sigaction, s, (long)&g8->action[s], 0, 8, 0, 0);
	g8_call(SYS_prctl, PR_SET_MM, PR_SET_MM_MAP, (long)&g8->mm, sizeof g8->mm, 0, 0);
	for (uint32_t t = 0; t < g8->threads; t++)
		if (start(&g8->thread[t], g8->stack[t] + G8_STACK) < 0)
			broken("a thread", 0);
	enlist(m);
	g8_call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&g8->mask, 0, 8, 0, 0);
	g8_resume(&m->at);
}

/* The strings that the kernel shows lie on a stack that becomes the template's. */
static void show_cmdline(void)
{
	static char text[4096];
	unsigned long long v[52] = { 0 };
	long n = g8_read_all("/proc/self/cmdline", g8->cmdline, sizeof g8->cmdline);
	if (n <= 0 || g8_read_all("/proc/self/stat", text, sizeof text) <= 0)
		return;
	char *at = strrchr(text, ')');
	for (int i = 3; i < 52 && at && (at = strchr(at, ' ')); i++) /* numbered as in proc_pid_stat(5) */
		v[i] = strtoull(++at, NULL, 10);
	g8->mm = (struct prctl_mm_map){
		.start_code = v[26], .end_code = v[27], .start_stack = v[28], .start_data = v[45], .end_data = v[46],
		.start_brk = v[47], .brk = g8->brk_end, .arg_start = (uint64_t)g8->cmdline, .arg_end = (uint64_t)g8->cmdline + n,
		.env_start = v[50], .env_end = v[51], .exe_fd = (uint32_t)-1,
	};
}

void g8_thaw(const char *path, const char *files)
{
	static char own[64 << 10];
	if (strlen(files) >= sizeof own)
		refuse("G8FROZEN_FILES is too long");
	strcpy(own, files);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || dup2(fd, IMAGE_FD) < 0)
		refuse("%s: %s", path, strerror(errno));
	close(fd);
	if (pread(IMAGE_FD, g8, offsetof(struct g8_image, mm), 0) != offsetof(struct g8_image, mm))
		refuse("%s: too short", path);
	check(path, own);
	for (uint32_t i = 0; i < g8->regions; i++) { /* their files, while there is a C library */
		struct g8_region *r = &g8->region[i];
		const char *to = r->kind == G8_FILE ? moved(g8->text + r->path, own) : NULL;
		size_t n = to ? strlen(to) + 1 : 0;
		if (!to || to == g8->text + r->path)
			continue;
		if (g8->text_used + n > G8_TEXT)
			refuse("paths are too long");
		memcpy(g8->text + g8->text_used, to, n);
		r->path = g8->text_used;
		g8->text_used += n;
	}
	show_cmdline();
	open_all(own);
	uint64_t none = ~0ull, fs = 0;
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, 8L);
	syscall(SYS_arch_prctl, ARCH_GET_FS, &fs);
	if (g8->rseq_size && syscall(SYS_rseq, fs + __rseq_offset, (long)g8->rseq_size, RSEQ_FLAG_UNREGISTER, (long)RSEQ_SIGNATURE))
		refuse("this C library has restartable sequences of another size: %s", strerror(errno));
	syscall(SYS_brk, g8->brk_end);
	g8_on(g8->stack[G8_THREADS] + G8_STACK, replace);
}
