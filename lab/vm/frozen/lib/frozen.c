/*
 * frozen.so is loaded into QEMU (LD_PRELOAD), and writes the whole of a machine
 * that stands still into a file, threads, descriptors and translated code; or
 * becomes that machine again, out of the file, in another process.
 *
 *   template:  G8FROZEN_TO=FILE    signal 40 ──▶ forget what was translated so far
 *                                  SIGUSR2 ──▶ park threads ─▶ FILE ─▶ go on
 *   clone:     G8FROZEN_FROM=FILE  before main: map FILE ─▶ threads ─▶ go on
 *
 * Under translation (TCG) three quarters of what a guest costs until it works is
 * the translation of its code, which a migration throws away. Here every clone
 * has what its template has translated, and shares the memory it lies in.
 *
 * It promises: what it cannot write down it says (FILE.err), and the machine
 * goes on; a file that does not fit this process (another QEMU, another library,
 * another kernel) is refused with exit status 97 before anything was changed;
 * two clones share no descriptor, and what one writes no other sees.
 *
 * It is not for machines with disks or network cards: those are plugged in
 * later. Nor for KVM, whose state is in the kernel. The C library is glibc on
 * x86-64.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "frozen.h"

__asm__(
	".text\n.globl g8_save\n.type g8_save,@function\ng8_save:\n"
	"	movq %rbx,0(%rdi)\n	movq %rbp,8(%rdi)\n	movq %r12,16(%rdi)\n	movq %r13,24(%rdi)\n"
	"	movq %r14,32(%rdi)\n	movq %r15,40(%rdi)\n	leaq 8(%rsp),%rdx\n	movq %rdx,48(%rdi)\n"
	"	movq (%rsp),%rdx\n	movq %rdx,56(%rdi)\n	xorl %eax,%eax\n	ret\n"
	".globl g8_resume\n.type g8_resume,@function\ng8_resume:\n"
	"	movq 0(%rdi),%rbx\n	movq 8(%rdi),%rbp\n	movq 16(%rdi),%r12\n	movq 24(%rdi),%r13\n"
	"	movq 32(%rdi),%r14\n	movq 40(%rdi),%r15\n	movq 48(%rdi),%rsp\n	movl $1,%eax\n	jmpq *56(%rdi)\n"
	".globl g8_on\n.type g8_on,@function\ng8_on:\n"
	"	movq %rdi,%rsp\n	xorl %ebp,%ebp\n	callq *%rsi\n	hlt\n");

static char freeze_to[4096];
static volatile sig_atomic_t wanted, forgetting;

static void want(int sig)
{
	if (sig == SIGUSR2)
		wanted = 1;
	else
		forgetting = 1;
}

/* Has QEMU begin anew with an empty buffer, as it does when the buffer is full. */
static void forget(void)
{
	void *(*cpu)(int) = (void *(*)(int))dlsym(RTLD_DEFAULT, "qemu_get_cpu");
	void (*flush)(void *) = (void (*)(void *))dlsym(RTLD_DEFAULT, "tb_flush");
	if (cpu && flush && cpu(0))
		flush(cpu(0));
}

/* The main loop of QEMU waits here, with no lock of its own held. That the time
 * is over is an answer it always has to expect. */
int ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
	if (forgetting && getpid() == (pid_t)syscall(SYS_gettid)) {
		forgetting = 0;
		forget();
	}
	if (wanted && freeze_to[0] && getpid() == (pid_t)syscall(SYS_gettid)) {
		char path[sizeof freeze_to];
		wanted = 0;
		strcpy(path, freeze_to);
		freeze_to[0] = 0; /* once, and never in a clone */
		if (g8_freeze(path))
			strcpy(freeze_to, path); /* it may be asked for again */
		return 0;
	}
	struct timespec left;
	if (timeout)
		left = *timeout;
	return (int)syscall(SYS_ppoll, fds, n, timeout ? &left : NULL, mask, 8L);
}

/* Rings are in the kernel: QEMU does without, as where there are none. */
int io_uring_queue_init(unsigned entries, void *ring, unsigned flags)
{
	(void)entries, (void)ring, (void)flags;
	return -ENOSYS;
}

void g8_scratch(void)
{
	void *at = mmap((void *)G8_SCRATCH, G8_SCRATCH_SIZE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	_Static_assert(sizeof(struct g8_image) <= G8_SCRATCH_SIZE, "the scratch is too small");
	if (at != (void *)G8_SCRATCH) {
		dprintf(2, "frozen: no scratch: %s\n", strerror(errno));
		_exit(97);
	}
}

/* Whole small files, without the allocator. Returns bytes, or less than 0. */
long g8_read_all(const char *path, char *to, long size)
{
	long fd = G8_CALL(SYS_open, path, 02000000 /* O_CLOEXEC */, 0), got = 0, n = 0;
	if (fd < 0)
		return fd;
	while (got < size - 1 && (n = G8_CALL(SYS_read, fd, to + got, size - 1 - got)) > 0)
		got += n;
	to[got] = 0;
	G8_CALL(SYS_close, fd, 0, 0);
	return n < 0 ? n : got;
}

/* Every process has its code and data at the same addresses then. */
static void fix_addresses(char **argv, char **envp)
{
	char self[4096] = "";
	int now = personality(0xffffffff);
	if (now & ADDR_NO_RANDOMIZE)
		return;
	if (personality(now | ADDR_NO_RANDOMIZE) < 0 || readlink("/proc/self/exe", self, sizeof self - 1) < 0 || execve(self, argv, envp))
		dprintf(2, "frozen: %s: %s\n", self, strerror(errno));
	_exit(97);
}

__attribute__((constructor)) static void begin(int argc, char **argv, char **envp)
{
	(void)argc;
	fix_addresses(argv, envp);
	const char *from = getenv("G8FROZEN_FROM"), *files = getenv("G8FROZEN_FILES"), *to = getenv("G8FROZEN_TO");
	if (from) {
		g8_scratch();
		g8_thaw(from, files ? files : "");
	}
	unsetenv("LD_PRELOAD"); /* not for what QEMU starts */
	if (!to || strlen(to) >= sizeof freeze_to)
		return;
	strcpy(freeze_to, to);
	struct sigaction act = { .sa_handler = want };
	sigaction(SIGUSR2, &act, NULL);
	sigaction(G8_FORGET, &act, NULL);
}
