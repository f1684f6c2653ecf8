/* A disk that fails on command: preloaded, it makes chosen writes and syncs of chosen files fail with a chosen errno.

   The test holds the other end of a page of shared memory (see faulty.py for its layout): how many calls of which kind
   still succeed, how many then fail, with what. Everything else goes to the C library untouched. What was written and
   synced, and what failed, goes to a trace: from it platter.py tells what a power cut would have left. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITE = 1, SYNC = 2, TRUNCATE = 4 };

struct control {
    int kinds;   /* which calls are counted: WRITE | SYNC */
    int succeed; /* so many of them go through first */
    int fail;    /* so many then fail; negative: all that follow */
    int number;  /* with this errno */
    int seen;    /* counted so far */
    int failed;  /* made to fail so far */
    char name[64]; /* only files whose path contains this */
};

struct entry { /* of the trace; `size` bytes follow a write, `name` ends with what the file is called */
    int kind; /* WRITE, SYNC, TRUNCATE */
    int failed;
    long long at, size;
    char name[64];
};

static struct control *control;
static int trace = -1;

__attribute__((constructor)) static void attach(void) {
    const char *path = getenv("FAULTY_DISK");
    if (!path) return;
    int fd = open(path, O_RDWR);
    if (fd < 0) return;
    control = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (control == MAP_FAILED) control = NULL;
    close(fd);
    trace = open(getenv("FAULTY_TRACE"), O_WRONLY | O_APPEND | O_CLOEXEC);
}

static int counted_out(int kind) {
    if (!(control->kinds & kind)) return 0;
    __sync_fetch_and_add(&control->seen, 1);
    if (control->succeed > 0) {
        __sync_fetch_and_sub(&control->succeed, 1);
        return 0;
    }
    if (control->fail == 0) return 0;
    if (control->fail > 0) __sync_fetch_and_sub(&control->fail, 1);
    __sync_fetch_and_add(&control->failed, 1);
    return 1;
}

static int fails(int fd, int kind, const void *data, long long at, long long size) {
    if (!control || !control->name[0]) return 0;
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    if (!strstr(path, control->name)) return 0;
    struct entry entry = {kind, counted_out(kind == TRUNCATE ? WRITE : kind), at, size, ""};
    const char *slash = strrchr(path, '/');
    snprintf(entry.name, sizeof entry.name, "%s", slash ? slash + 1 : path);
    struct iovec parts[] = {{&entry, sizeof entry}, {(void *)data, data ? (size_t)size : 0}};
    if (trace >= 0 && writev(trace, parts, 2) < 0) abort();
    errno = control->number;
    return entry.failed;
}

#define NEXT(name) ((typeof(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void *data, size_t size) {
    off_t at = lseek(fd, 0, SEEK_CUR);
    return fails(fd, WRITE, data, at, size) ? -1 : NEXT(write)(fd, data, size);
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    return fails(fd, WRITE, data, at, size) ? -1 : NEXT(pwrite)(fd, data, size, at);
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    return fails(fd, WRITE, data, at, size) ? -1 : NEXT(pwrite64)(fd, data, size, at);
}
int ftruncate(int fd, off_t size) { return fails(fd, TRUNCATE, NULL, 0, size) ? -1 : NEXT(ftruncate)(fd, size); }
int ftruncate64(int fd, off64_t size) { return fails(fd, TRUNCATE, NULL, 0, size) ? -1 : NEXT(ftruncate64)(fd, size); }
int fsync(int fd) { return fails(fd, SYNC, NULL, 0, 0) ? -1 : NEXT(fsync)(fd); }
int fdatasync(int fd) { return fails(fd, SYNC, NULL, 0, 0) ? -1 : NEXT(fdatasync)(fd); }
int posix_fallocate(int fd, off_t at, off_t size) {
    return fails(fd, TRUNCATE, NULL, 0, at + size) ? control->number : NEXT(posix_fallocate)(fd, at, size);
}
int posix_fallocate64(int fd, off64_t at, off64_t size) {
    return fails(fd, TRUNCATE, NULL, 0, at + size) ? control->number : NEXT(posix_fallocate64)(fd, at, size);
}
