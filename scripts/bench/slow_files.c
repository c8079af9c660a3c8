/* Delays every open, stat and read of files under one folder, as a network file system would.
 *
 *     cc -O2 -shared -fPIC slow_files.c -o slow_files.so -ldl
 *     SLOW_FOLDER=/tmp/coco118k SLOW_US=1000 LD_PRELOAD=./slow_files.so python -m sanitizer scan /tmp/coco118k
 *
 * Each call waits by itself, so any number may wait at a time. Listings, closing and seeking are not delayed.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { MOST_FILES = 1 << 16 };

static const char *folder;
static size_t folder_length;
static long delay_us;
static char is_slow[MOST_FILES]; /* by file descriptor */

__attribute__((constructor)) static void start(void) {
    const char *us = getenv("SLOW_US");
    folder = getenv("SLOW_FOLDER");
    folder_length = folder ? strlen(folder) : 0;
    delay_us = us ? atol(us) : 0;
}

static int knows(int file) { return file >= 0 && file < MOST_FILES && is_slow[file]; }

static int lies_in_folder(int at, const char *path) {
    if (path[0] != '/') return knows(at);
    return folder_length && !strncmp(path, folder, folder_length) && path[folder_length] == '/';
}

static void wait_if(int slow) {
    struct timespec time = {delay_us / 1000000, delay_us % 1000000 * 1000};
    if (slow && delay_us) nanosleep(&time, NULL);
}

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

#define OPEN(name, declared, at, given) \
    int name declared { \
        REAL(name); \
        va_list rest; \
        va_start(rest, flags); \
        int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, int) : 0; \
        va_end(rest); \
        int slow = lies_in_folder(at, path); \
        wait_if(slow); \
        int file = real given; \
        if (file >= 0 && file < MOST_FILES) is_slow[file] = slow; \
        return file; \
    }

OPEN(open, (const char *path, int flags, ...), AT_FDCWD, (path, flags, mode))
OPEN(open64, (const char *path, int flags, ...), AT_FDCWD, (path, flags, mode))
OPEN(openat, (int at, const char *path, int flags, ...), at, (at, path, flags, mode))
OPEN(openat64, (int at, const char *path, int flags, ...), at, (at, path, flags, mode))

#define DELAYED(result, name, declared, slow, given) \
    result name declared { \
        REAL(name); \
        wait_if(slow); \
        return real given; \
    }

DELAYED(int, stat, (const char *path, struct stat *to), lies_in_folder(AT_FDCWD, path), (path, to))
DELAYED(int, lstat, (const char *path, struct stat *to), lies_in_folder(AT_FDCWD, path), (path, to))
DELAYED(int, stat64, (const char *path, struct stat64 *to), lies_in_folder(AT_FDCWD, path), (path, to))
DELAYED(int, lstat64, (const char *path, struct stat64 *to), lies_in_folder(AT_FDCWD, path), (path, to))
DELAYED(int, fstatat, (int at, const char *path, struct stat *to, int flags), lies_in_folder(at, path),
        (at, path, to, flags))
DELAYED(int, fstatat64, (int at, const char *path, struct stat64 *to, int flags), lies_in_folder(at, path),
        (at, path, to, flags))
DELAYED(int, statx, (int at, const char *path, int flags, unsigned mask, struct statx *to), lies_in_folder(at, path),
        (at, path, flags, mask, to))
DELAYED(ssize_t, read, (int file, void *to, size_t size), knows(file), (file, to, size))
DELAYED(ssize_t, pread, (int file, void *to, size_t size, off_t at), knows(file), (file, to, size, at))
DELAYED(ssize_t, pread64, (int file, void *to, size_t size, off64_t at), knows(file), (file, to, size, at))

int close(int file) {
    REAL(close);
    if (file >= 0 && file < MOST_FILES) is_slow[file] = 0;
    return real(file);
}
