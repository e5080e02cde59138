/* What the two halves of frozen.so share: see frozen.c. */
#ifndef G8_FROZEN_H
#define G8_FROZEN_H

#include <linux/prctl.h>
#include <stdint.h>

#define G8_MAGIC 0x6e657a6f72663867ull /* "g8frozen" */
#define G8_LAYOUT 1

/* The scratch of a process: at one address in all of them, where neither Linux
 * nor QEMU puts anything by itself, and in no image but as its head. */
#define G8_SCRATCH 0x200000000000ull
#define G8_SCRATCH_SIZE (2ull << 20)

/* The signal to forget: one that QEMU has no use for. */
#define G8_FORGET 40

enum { G8_REGIONS = 3000, G8_FDS = 700, G8_THREADS = 16, G8_TEXT = 128 << 10, G8_STACK = 32 << 10 };

enum g8_region_kind {
	G8_ZERO,  /* nothing in it */
	G8_DATA,  /* its bytes are in the image, at off */
	G8_FILE,  /* of a file at off, privately */
	G8_STACK_OF_MAIN, /* its bytes are in the image; the kernel has made it */
	G8_KERNEL, /* vdso and the like: has to be there already */
};

struct g8_region {
	uint64_t start, end, off;
	uint64_t size, mtime; /* of a file with code */
	uint32_t prot, kind;
	uint32_t path; /* in text; 0: none */
	uint32_t code; /* 1: a file that must be the same one */
};

enum g8_fd_kind { G8_EVENTFD, G8_SIGNALFD, G8_EPOLL, G8_EPOLL_ENTRY, G8_LISTEN, G8_OPEN };

struct g8_fd {
	int32_t fd, kind;
	int32_t status, flags; /* F_GETFL, F_GETFD */
	uint64_t value; /* count, mask, data, position */
	uint32_t path, events;
	int32_t of, pad; /* epoll that an entry belongs to */
};

/* What a call keeps (System V ABI, AMD64, 3.2.1), and where it goes on. */
struct g8_context { uint64_t rbx, rbp, r12, r13, r14, r15, rsp, rip; };

struct g8_thread {
	struct g8_context at;
	uint64_t fs, robust, robust_size;
	int32_t tid, parked;
	char name[16];
};

struct g8_action { uint64_t handler, flags, restorer, mask; };

/* The head of an image, and the scratch of a process. */
struct g8_image {
	uint64_t magic, layout, size; /* of this structure */
	uint64_t brk_end, mask;
	uint32_t regions, fds, threads, text_used;
	uint32_t tid_at; /* from a thread's fs on: where the C library has its id */
	uint32_t rseq_size;
	int64_t rseq_at; /* from a thread's fs on */
	struct g8_thread main;
	struct g8_thread thread[G8_THREADS];
	struct g8_action action[65];
	struct g8_region region[G8_REGIONS];
	struct g8_fd fd[G8_FDS];
	char text[G8_TEXT];
	/* not read back */
	struct prctl_mm_map mm; /* so that ps(1) shows this process's own command line */
	char cmdline[64 << 10];
	char buffer[64 << 10];
	unsigned char stack[G8_THREADS + 1][G8_STACK] __attribute__((aligned(64)));
};

#define g8 ((struct g8_image *)G8_SCRATCH)

int g8_save(struct g8_context *) __attribute__((returns_twice));
void g8_resume(const struct g8_context *) __attribute__((noreturn));
void g8_on(void *stack_end, void (*)(void)) __attribute__((noreturn));

/* System calls without the C library, whose state is not always there. */
static inline long g8_call(long n, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
	long ret;
	__asm__ volatile("syscall" : "=a"(ret) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
	return ret;
}
#define G8_CALL(n, a, b, c) g8_call(n, (long)(a), (long)(b), (long)(c), 0, 0, 0)

/* Writing down; less than 0 is a failure that g8_fail has noted. */
int g8_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
uint32_t g8_keep(const char *text);
int g8_numbers(const char *path, int (*each)(int));
int g8_keep_descriptors(int image);
int g8_keep_memory(int image);

int g8_freeze(const char *path);
void g8_thaw(const char *path, const char *files) __attribute__((noreturn));
long g8_read_all(const char *path, char *to, long size);
void g8_scratch(void);

#endif
