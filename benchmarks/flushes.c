/* Counts flushes, and makes each as slow as an SD card's. LD_PRELOAD it; flushes.py reads and sets both numbers. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>

volatile long flush_count;
volatile long flush_delay_micros;

static int slowly(const char *name, int file)
{
	int (*real)(int) = (int (*)(int)) dlsym(RTLD_NEXT, name);
	__atomic_add_fetch(&flush_count, 1, __ATOMIC_SEQ_CST);
	if (flush_delay_micros > 0) {
		struct timespec delay = { flush_delay_micros / 1000000, flush_delay_micros % 1000000 * 1000 };
		nanosleep(&delay, 0);
	}
	return real(file);
}

int fsync(int file) { return slowly("fsync", file); }
int fdatasync(int file) { return slowly("fdatasync", file); }
