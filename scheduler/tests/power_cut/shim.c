/* Records what a process does to the files under AURORA_SHIM_DIR, in order and with contents, into
 * AURORA_SHIM_LOG: loaded by LD_PRELOAD, read by journal.rs, which has the format.
 *
 * AURORA_SHIM_DEAF=fdatasync  records as if the process had never called it (a planted bug).
 * AURORA_SHIM_FAIL=call:n:errno  makes the n-th such call fail, and only that one.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { WRITE = 1, TRUNCATE, RENAME, REMOVE, MKDIR, SYNC, CREATE, OUTPUT };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = -1;
static char dir[PATH_MAX];
static size_t dir_len;
static int deaf;
static char fail_call[32];
static long fail_at;
static int fail_errno;

__attribute__((constructor)) static void start(void) {
    const char *path = getenv("AURORA_SHIM_DIR"), *log = getenv("AURORA_SHIM_LOG");
    const char *deaf_to = getenv("AURORA_SHIM_DEAF"), *fail = getenv("AURORA_SHIM_FAIL");
    if (!path || !log) return;
    snprintf(dir, sizeof dir, "%s", path);
    dir_len = strlen(dir);
    log_fd = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    deaf = deaf_to && !strcmp(deaf_to, "fdatasync");
    if (fail) sscanf(fail, "%31[^:]:%ld:%d", fail_call, &fail_at, &fail_errno);
}

#define NEXT(name) \
    static __typeof__(&name) next; \
    if (!next) next = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static int is_ours(const char *path) {
    return log_fd >= 0 && !strncmp(path, dir, dir_len) &&
           (path[dir_len] == '/' || path[dir_len] == 0);
}

static int fd_path(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, PATH_MAX - 1);
    if (n < 0) return 0;
    path[n] = 0;
    return is_ours(path);
}

static int at_path(int at, const char *name, char *path) {
    char base[PATH_MAX];
    if (name[0] == '/' || at == AT_FDCWD) snprintf(path, PATH_MAX, "%s", name);
    else if (fd_path(at, base)) snprintf(path, PATH_MAX, "%.2000s/%.2000s", base, name);
    else return 0;
    return is_ours(path);
}

static void put(const void *bytes, size_t n) {
    const char *at = bytes;
    while (n) {
        ssize_t done = syscall(SYS_write, log_fd, at, n);
        if (done <= 0) abort();
        at += done;
        n -= done;
    }
}

static void put_log(uint8_t op, const char *a, const char *b, uint64_t off, const void *data,
                    uint64_t n) {
    uint32_t a_len = strlen(a), b_len = strlen(b);
    put(&op, 1);
    put(&a_len, 4);
    put(a, a_len);
    put(&b_len, 4);
    put(b, b_len);
    put(&off, 8);
    put(&n, 8);
    put(data, n);
}

/* Called with the lock held, for files of ours. */
static int must_fail(const char *call) {
    if (fail_at <= 0 || strcmp(call, fail_call) || --fail_at) return 0;
    errno = fail_errno;
    return 1;
}

/* Real call and record are one step, so that the order recorded is the order that happened. */
#define RECORDED(call, ours, real, record) \
    do { \
        pthread_mutex_lock(&lock); \
        __auto_type result = (ours) && must_fail(call) ? -1 : (real); \
        int saved = errno; \
        if ((ours) && result >= 0) { record; } \
        errno = saved; \
        pthread_mutex_unlock(&lock); \
        return result; \
    } while (0)

ssize_t write(int fd, const void *buf, size_t n) {
    NEXT(write);
    char path[PATH_MAX];
    if (fd == STDOUT_FILENO && log_fd >= 0)
        RECORDED("output", 1, next(fd, buf, n), put_log(OUTPUT, "", "", 0, buf, result));
    if (fd == log_fd || !fd_path(fd, path)) return next(fd, buf, n);
    off_t at = lseek(fd, 0, SEEK_CUR);
    if (fcntl(fd, F_GETFL) & O_APPEND) at = lseek(fd, 0, SEEK_END);
    RECORDED("write", 1, next(fd, buf, n), put_log(WRITE, path, "", at, buf, result));
}

ssize_t pwrite64(int fd, const void *buf, size_t n, off64_t at) {
    NEXT(pwrite64);
    char path[PATH_MAX];
    int ours = fd_path(fd, path);
    RECORDED("pwrite", ours, next(fd, buf, n, at), put_log(WRITE, path, "", at, buf, result));
}

int ftruncate64(int fd, off64_t length) {
    NEXT(ftruncate64);
    char path[PATH_MAX];
    int ours = fd_path(fd, path);
    RECORDED("ftruncate", ours, next(fd, length), put_log(TRUNCATE, path, "", length, "", 0));
}

int rename(const char *from, const char *to) {
    NEXT(rename);
    int ours = is_ours(from);
    RECORDED("rename", ours, next(from, to), put_log(RENAME, from, to, 0, "", 0));
}

int unlink(const char *name) {
    NEXT(unlink);
    int ours = is_ours(name);
    RECORDED("unlink", ours, next(name), put_log(REMOVE, name, "", 0, "", 0));
}

int rmdir(const char *name) {
    NEXT(rmdir);
    int ours = is_ours(name);
    RECORDED("rmdir", ours, next(name), put_log(REMOVE, name, "", 0, "", 0));
}

int unlinkat(int at, const char *name, int flags) {
    NEXT(unlinkat);
    char path[PATH_MAX];
    int ours = at_path(at, name, path);
    RECORDED("unlink", ours, next(at, name, flags), put_log(REMOVE, path, "", 0, "", 0));
}

int mkdir(const char *name, mode_t mode) {
    NEXT(mkdir);
    int ours = is_ours(name);
    RECORDED("mkdir", ours, next(name, mode), put_log(MKDIR, name, "", 0, "", 0));
}

int fsync(int fd) {
    NEXT(fsync);
    char path[PATH_MAX];
    int ours = fd_path(fd, path);
    RECORDED("fsync", ours, next(fd), put_log(SYNC, path, "", 0, "", 0));
}

int fdatasync(int fd) {
    NEXT(fdatasync);
    char path[PATH_MAX];
    int ours = fd_path(fd, path);
    RECORDED("fdatasync", ours, next(fd), if (!deaf) put_log(SYNC, path, "", 0, "", 0));
}

static void record_open(const char *path, int existed, int flags) {
    if (!existed) put_log(CREATE, path, "", 0, "", 0);
    else if (flags & O_TRUNC) put_log(TRUNCATE, path, "", 0, "", 0);
}

int open64(const char *name, int flags, ...) {
    NEXT(open64);
    va_list more;
    va_start(more, flags);
    mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0;
    va_end(more);
    int ours = is_ours(name) && flags & (O_CREAT | O_TRUNC);
    int existed = access(name, F_OK) == 0;
    RECORDED("open", ours, next(name, flags, mode), record_open(name, existed, flags));
}
