/* The memory of a machine that is written down: see frozen.c. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "frozen.h"

enum { PAGE = 4096 };

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
		return g8_fail("maps: %.100s", line);
	if (start == G8_SCRATCH)
		return 0;
	if (g8->regions == G8_REGIONS)
		return g8_fail("more than %d regions of memory", G8_REGIONS);
	*r = (struct g8_region){ .start = start, .end = end, .off = off, .kind = kind_of(perms, path) };
	r->prot = (perms[0] == 'r' ? PROT_READ : 0) | (perms[1] == 'w' ? PROT_WRITE : 0) | (perms[2] == 'x' ? PROT_EXEC : 0);
	if (r->kind == G8_FILE) {
		struct stat st;
		if (stat(path, &st) || !(r->path = g8_keep(path)))
			return g8_fail("%s: cannot be kept", path);
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
		return g8_fail("/proc/self/maps: too much of it");
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
			return g8_fail("write: %s", strerror(errno));
		if (some == 0 && r->kind == G8_DATA)
			r->kind = G8_ZERO;
		else
			off += r->end - r->start;
	}
	return ftruncate(image, off) ? g8_fail("write: %s", strerror(errno)) : 0;
}

int g8_keep_memory(int image)
{
	return keep_maps() || write_memory(image) ? -1 : 0;
}
