/* A disk that fails on command: preloaded, it makes chosen writes and syncs of chosen files fail with a chosen errno.

   The test holds the other end of a page of shared memory (see faulty.py for its layout): how many calls of which kind
   still succeed, how many then fail, with what. Everything else goes to the C library untouched. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

enum { WRITE = 1, SYNC = 2 };

struct control {
    int kinds;   /* which calls are counted: WRITE | SYNC */
    int succeed; /* so many of them go through first */
    int fail;    /* so many then fail; negative: all that follow */
    int number;  /* with this errno */
    int seen;    /* counted so far */
    int failed;  /* made to fail so far */
    char name[64]; /* only files whose path contains this */
};

static struct control *control;

__attribute__((constructor)) static void attach(void) {
    const char *path = getenv("FAULTY_DISK");
    if (!path) return;
    int fd = open(path, O_RDWR);
    if (fd < 0) return;
    control = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (control == MAP_FAILED) control = NULL;
    close(fd);
}

static int fails(int fd, int kind) {
    if (!control || !(control->kinds & kind)) return 0;
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    if (!strstr(path, control->name)) return 0;
    __sync_fetch_and_add(&control->seen, 1);
    if (control->succeed > 0) {
        __sync_fetch_and_sub(&control->succeed, 1);
        return 0;
    }
    if (control->fail == 0) return 0;
    if (control->fail > 0) __sync_fetch_and_sub(&control->fail, 1);
    __sync_fetch_and_add(&control->failed, 1);
    errno = control->number;
    return 1;
}

#define NEXT(name) ((typeof(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void *data, size_t size) { return fails(fd, WRITE) ? -1 : NEXT(write)(fd, data, size); }
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    return fails(fd, WRITE) ? -1 : NEXT(pwrite)(fd, data, size, at);
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    return fails(fd, WRITE) ? -1 : NEXT(pwrite64)(fd, data, size, at);
}
int ftruncate(int fd, off_t size) { return fails(fd, WRITE) ? -1 : NEXT(ftruncate)(fd, size); }
int ftruncate64(int fd, off64_t size) { return fails(fd, WRITE) ? -1 : NEXT(ftruncate64)(fd, size); }
int fsync(int fd) { return fails(fd, SYNC) ? -1 : NEXT(fsync)(fd); }
int fdatasync(int fd) { return fails(fd, SYNC) ? -1 : NEXT(fdatasync)(fd); }
int posix_fallocate(int fd, off_t at, off_t size) {
    return fails(fd, WRITE) ? control->number : NEXT(posix_fallocate)(fd, at, size);
}
int posix_fallocate64(int fd, off64_t at, off64_t size) {
    return fails(fd, WRITE) ? control->number : NEXT(posix_fallocate64)(fd, at, size);
}
