/* A disk that forgets what was not synced, for a process under test: loaded before its libc (LD_PRELOAD).
 *
 * Files and folders under DISK_ROOT are watched. What a power cut would leave of them stands in DISK_MIRROR, by inode:
 * `f<inode>` is a file's bytes as of its last fsync or fdatasync, `d<inode>` a folder's entries as of its last fsync, a
 * line each: inode, `f` or `d`, name. The test puts a tree together from these (tests/it/serve/disk.rs). Nothing else is kept: not a
 * name that was renamed and whose folder was not synced, and no byte that was written after the last sync.
 *
 * DISK_SYNC_FAILS=FROM:TO: syncs with these numbers, counted from 0, fail with EIO; all from FROM where TO is not given.
 * DISK_FULL=FROM:TO: watched writes with these numbers, counted from 0, fail with ENOSPC.
 */
#define _GNU_SOURCE
#define _LARGEFILE64_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define FDS 65536
#define INODES 65536

static int (*real_open)(const char *, int, ...);
static int (*real_openat)(int, const char *, int, ...);
static int (*real_close)(int);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off64_t);
static ssize_t (*real_writev)(int, const struct iovec *, int);
static int (*real_ftruncate)(int, off64_t);
static int (*real_fsync)(int);

static const char *root, *mirror;
static size_t root_length;
static long sync_fails = LONG_MAX, sync_works = LONG_MAX, full_from = -1, full_to = -1;
static long syncs, writes;
static unsigned char watched[FDS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Which bytes of a file were written after its last sync: an open hash table. */
static struct { ino64_t inode; off64_t from, to; } dirty[INODES];

__attribute__((constructor)) static void begin(void) {
    if (real_fsync) return;
    real_open = dlsym(RTLD_NEXT, "open64");
    real_openat = dlsym(RTLD_NEXT, "openat64");
    real_close = dlsym(RTLD_NEXT, "close");
    real_write = dlsym(RTLD_NEXT, "write");
    real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
    real_writev = dlsym(RTLD_NEXT, "writev");
    real_ftruncate = dlsym(RTLD_NEXT, "ftruncate64");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    const char *fails = getenv("DISK_SYNC_FAILS"), *full = getenv("DISK_FULL");
    if (fails) sscanf(fails, "%ld:%ld", &sync_fails, &sync_works);
    if (full) sscanf(full, "%ld:%ld", &full_from, &full_to);
    mirror = getenv("DISK_MIRROR");
    root = getenv("DISK_ROOT");
    root_length = root ? strlen(root) : 0;
}

static void give_up(const char *what) {
    dprintf(2, "forgets.c: %s: %s\n", what, strerror(errno));
    abort();
}

static size_t slot(ino64_t inode) {
    for (size_t i = inode % INODES, n = 0; n < INODES; i = (i + 1) % INODES, n++)
        if (dirty[i].inode == inode || dirty[i].inode == 0) return i;
    give_up("more files than it can watch");
    return 0;
}

static void touch(int fd, off64_t from, off64_t to) {
    struct stat64 is;
    if (fstat64(fd, &is)) give_up("fstat");
    size_t at = slot(is.st_ino);
    if (dirty[at].inode == 0 || dirty[at].to <= dirty[at].from) {
        dirty[at].inode = is.st_ino, dirty[at].from = from, dirty[at].to = to;
        return;
    }
    if (from < dirty[at].from) dirty[at].from = from;
    if (to > dirty[at].to) dirty[at].to = to;
}

static void path_of(char *out, size_t size, char kind, ino64_t inode, const char *more) {
    snprintf(out, size, "%s/%c%llu%s", mirror, kind, (unsigned long long)inode, more);
}

/* Whether what was just opened is watched; `made` says that it was not there before, `before` how long it was. */
static void opened(int fd, int made, off64_t before, int flags) {
    char link[64], path[4096];
    if (fd < 0 || fd >= FDS || !root) return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return;
    path[length] = 0;
    watched[fd] = !strncmp(path, root, root_length) && (path[root_length] == '/' || !path[root_length]);
    if (!watched[fd]) return;
    pthread_mutex_lock(&lock);
    struct stat64 is;
    if (fstat64(fd, &is)) give_up("fstat");
    if (made) {
        /* The number may have been that of a file that is gone. */
        path_of(path, sizeof path, 'f', is.st_ino, "");
        unlink(path);
        size_t at = slot(is.st_ino);
        dirty[at].inode = is.st_ino, dirty[at].from = dirty[at].to = 0;
    } else if (flags & O_TRUNC && before > 0) {
        touch(fd, 0, before);
    }
    pthread_mutex_unlock(&lock);
}

static int open_with(int at, const char *path, int flags, mode_t mode) {
    begin();
    struct stat64 is;
    int made = (flags & O_CREAT) && fstatat64(at, path, &is, 0) != 0;
    int fd = at == AT_FDCWD ? real_open(path, flags, mode) : real_openat(at, path, flags, mode);
    int error = errno;
    opened(fd, made, made ? 0 : (flags & O_TRUNC) ? is.st_size : 0, (flags & O_CREAT) ? flags : flags & ~O_TRUNC);
    errno = error;
    return fd;
}

#define MODE(flags, mode) \
    mode_t mode = 0; \
    if (flags & (O_CREAT | __O_TMPFILE)) { va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); }

int open64(const char *path, int flags, ...) { MODE(flags, mode) return open_with(AT_FDCWD, path, flags, mode); }
int open(const char *path, int flags, ...) { MODE(flags, mode) return open_with(AT_FDCWD, path, flags | O_LARGEFILE, mode); }
int openat64(int at, const char *path, int flags, ...) { MODE(flags, mode) return open_with(at, path, flags, mode); }
int openat(int at, const char *path, int flags, ...) { MODE(flags, mode) return open_with(at, path, flags | O_LARGEFILE, mode); }

int close(int fd) {
    begin();
    if (fd >= 0 && fd < FDS) watched[fd] = 0;
    return real_close(fd);
}

static int is_watched(int fd) { return fd >= 0 && fd < FDS && watched[fd]; }

/* With the lock: whether this write finds the disk full. */
static int is_full(void) {
    long number = writes++;
    return number >= full_from && number < full_to;
}

#define WRITE(call, from) \
    pthread_mutex_lock(&lock); \
    ssize_t done = -1; \
    if (is_full()) { \
        errno = ENOSPC; \
    } else { \
        done = (call); \
        int error = errno; \
        if (done > 0) { off64_t begins = (from); touch(fd, begins, begins + done); } \
        errno = error; \
    } \
    pthread_mutex_unlock(&lock); \
    return done;

ssize_t write(int fd, const void *bytes, size_t count) {
    begin();
    if (!is_watched(fd)) return real_write(fd, bytes, count);
    WRITE(real_write(fd, bytes, count), lseek64(fd, 0, SEEK_CUR) - done)
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    begin();
    if (!is_watched(fd)) return real_writev(fd, parts, count);
    WRITE(real_writev(fd, parts, count), lseek64(fd, 0, SEEK_CUR) - done)
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) {
    begin();
    if (!is_watched(fd)) return real_pwrite(fd, bytes, count, at);
    WRITE(real_pwrite(fd, bytes, count, at), at)
}

int ftruncate64(int fd, off64_t length) {
    begin();
    if (!is_watched(fd)) return real_ftruncate(fd, length);
    pthread_mutex_lock(&lock);
    struct stat64 was;
    if (fstat64(fd, &was)) give_up("fstat");
    int done = real_ftruncate(fd, length), error = errno;
    if (!done && length < was.st_size) touch(fd, length, was.st_size);
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}

static void keep_file(int fd, const struct stat64 *is) {
    char path[4096];
    static char bytes[1 << 16];
    path_of(path, sizeof path, 'f', is->st_ino, "");
    int copy = real_open(path, O_WRONLY | O_CREAT | O_LARGEFILE, 0600);
    if (copy < 0) give_up(path);
    size_t slot_of = slot(is->st_ino);
    off64_t at = dirty[slot_of].from, to = dirty[slot_of].to < is->st_size ? dirty[slot_of].to : is->st_size;
    if (dirty[slot_of].inode == 0) at = to = 0;
    /* The descriptor may only write. */
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int from = at < to ? real_open(path, O_RDONLY | O_LARGEFILE) : -1;
    if (at < to && from < 0) give_up(path);
    while (at < to) {
        size_t want = to - at < (off64_t)sizeof bytes ? (size_t)(to - at) : sizeof bytes;
        ssize_t got = pread64(from, bytes, want, at);
        if (got <= 0 || real_pwrite(copy, bytes, got, at) != got) give_up("copying");
        at += got;
    }
    if (from >= 0) real_close(from);
    if (real_ftruncate(copy, is->st_size)) give_up("ftruncate");
    real_close(copy);
    dirty[slot_of].inode = is->st_ino, dirty[slot_of].from = dirty[slot_of].to = 0;
}

static void keep_folder(int fd, ino64_t inode) {
    char path[4096], done[4096], entry_path[8192];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    DIR *folder = opendir(path);
    if (!folder) give_up("opendir");
    path_of(done, sizeof done, 'd', inode, ".new");
    int list = real_open(done, O_WRONLY | O_CREAT | O_TRUNC | O_LARGEFILE, 0600);
    if (list < 0) give_up(done);
    struct dirent64 *entry;
    while ((entry = readdir64(folder))) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        struct stat64 is;
        snprintf(entry_path, sizeof entry_path, "%s/%s", path, entry->d_name);
        /* Gone since it was listed. */
        if (lstat64(entry_path, &is)) continue;
        int length = snprintf(entry_path, sizeof entry_path, "%llu %c %s\n", (unsigned long long)is.st_ino,
                              S_ISDIR(is.st_mode) ? 'd' : 'f', entry->d_name);
        if (real_write(list, entry_path, length) != length) give_up("listing");
    }
    closedir(folder);
    real_close(list);
    path_of(path, sizeof path, 'd', inode, "");
    if (rename(done, path)) give_up("rename");
}

static int keep(int fd) {
    struct stat64 is;
    pthread_mutex_lock(&lock);
    long number = syncs++;
    int fails = number >= sync_fails && number < sync_works;
    if (!fails) {
        if (fstat64(fd, &is)) give_up("fstat");
        if (S_ISDIR(is.st_mode)) keep_folder(fd, is.st_ino);
        else keep_file(fd, &is);
    }
    pthread_mutex_unlock(&lock);
    if (fails) errno = EIO;
    return fails ? -1 : 0;
}

int fsync(int fd) {
    begin();
    return is_watched(fd) ? keep(fd) : real_fsync(fd);
}

int fdatasync(int fd) { return fsync(fd); }
