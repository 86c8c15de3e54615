/* io.c: bytes of a model file, from the host's callbacks, from memory, or from the built-in file
 * reader. First in the flow. Checks every range against the stated size and every count against
 * what was asked for; takes no memory and leaves errno (GetLastError) as it found it. */

AIOS__SMALL_BEGIN
/* Reads exactly n bytes at off into dst. A callback may deliver them in pieces; none, an error,
 * or more than was asked for is AIOS_ERR_IO, with the offset of the piece, the bytes asked for
 * and the bytes (or negative code) that came. */
static inline aios_status aios__io_read(const aios_io *io, uint64_t off, void *dst, uint64_t n,
                                        aios_error *err) {
    uint64_t done = 0, end;
    if (!aios__add(off, n, &end) || end > io->n_bytes)
        return aios__fail2(err, AIOS_ERR_IO, off, n, off < io->n_bytes ? io->n_bytes - off : 0,
                           "% bytes to read, but the file ends at byte %", aios__u(n),
                           aios__u(io->n_bytes));
    while (done < n) {
        int64_t got = io->read ? io->read(io->user, off + done, (char *)dst + done, n - done) : -1;
        if (got <= 0)
            return aios__fail2(err, AIOS_ERR_IO, off + done, n - done, (uint64_t)got,
                               got < 0 ? "reading % bytes failed: the reader returned %"
                                       : "% bytes to read, but the reader returned %",
                               aios__u(n - done), aios__i(got));
        if ((uint64_t)got > n - done)
            return aios__fail2(
                err, AIOS_ERR_IO, off + done, n - done, (uint64_t)got,
                "% bytes to read, but the reader returned %: more than there is room for",
                aios__u(n - done), aios__i(got));
        done += (uint64_t)got;
    }
    return AIOS_OK;
}

/* A pointer to n bytes at off where the host can give one, else NULL: then they have to be read. */
static inline const void *aios__io_map(const aios_io *io, uint64_t off, uint64_t n) {
    uint64_t end;
    if (!io->map || !aios__add(off, n, &end) || end > io->n_bytes) return NULL;
    return io->map(io->user, off, n);
}

/* ---- memory ---- */
AIOS_API int64_t aios_io_memory_read(void *user, uint64_t off, void *dst, uint64_t n) {
    n = aios__min_u64(n, (uint64_t)INT64_MAX);
    memcpy(dst, (const char *)user + off, (size_t)n);
    return (int64_t)n;
}
AIOS_API const void *aios_io_memory_map(void *user, uint64_t off, uint64_t n) {
    (void)n; /* the caller, aios__io_map, has compared it with n_bytes */
    return (const char *)user + off;
}
AIOS_API void aios_io_memory_sized(aios_io *io, uint32_t io_bytes, const void *data,
                                   uint64_t n_bytes) {
    aios_io x;
    if (!io || io_bytes < offsetof(aios_io, submit)) return;
    aios_io_init(&x);
    x.struct_size = io_bytes;
    x.flags = AIOS_IO_ANY_OFFSET;
    x.n_bytes = data ? n_bytes : 0;
    x.read = aios_io_memory_read;
    x.map = aios_io_memory_map;
    x.user = (void *)(uintptr_t)data;
    memset(io, 0, io_bytes);
    memcpy(io, &x, (size_t)aios__min_u64(io_bytes, sizeof x));
}
AIOS_API void(aios_io_memory)(aios_io *io, const void *data, uint64_t n_bytes) {
    aios_io_memory(io, data, n_bytes);
}

AIOS__SMALL_END
/* ---- files ----
 * aios__file_open fills io for a regular file; aios__file_close takes it back. The handle lives
 * in io->user, so nothing is allocated. Reads are positional: contexts of one model may read
 * side by side through one handle. */
#if !defined(AIOS_NO_FILES) && !defined(_WIN32) && !defined(__unix__) && \
    !(defined(__APPLE__) && defined(__MACH__)) && !defined(__HAIKU__) && !defined(__wasi__)
#define AIOS_NO_FILES /* no system that we know how to ask: the host brings an aios_io */
#endif

#if defined(AIOS_NO_FILES)

static inline aios_status aios__file_open(const char *path, aios_io *io, aios_error *err) {
    (void)io;
    return aios__fail1(err, AIOS_ERR_UNSUPPORTED, AIOS__NO_OFF,
                       "'%': built without a file reader (AIOS_NO_FILES); give desc.io",
                       aios__z(path));
}
static inline void aios__file_close(aios_io *io) { (void)io; }

#elif defined(_WIN32)

static int64_t aios__file_read(void *user, uint64_t off, void *dst, uint64_t n) {
    DWORD got = 0, before = GetLastError(), e = 0;
    OVERLAPPED at;
    memset(&at, 0, sizeof at);
    at.Offset = (DWORD)(off & 0xFFFFFFFFu);
    at.OffsetHigh = (DWORD)(off >> 32);
    if (!ReadFile((HANDLE)user, dst, (DWORD)aios__min_u64(n, 1u << 30), &got, &at))
        e = GetLastError();
    SetLastError(before);
    return e == 0 ? (int64_t)got : e == ERROR_HANDLE_EOF ? 0 : -(int64_t)e;
}
static inline aios_status aios__file_open(const char *path, aios_io *io, aios_error *err) {
    wchar_t wide[1024];
    DWORD before = GetLastError(), e;
    LARGE_INTEGER size;
    HANDLE h = INVALID_HANDLE_VALUE;
    const char *what = "cannot be opened";
    if (MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, wide,
                            (int)(sizeof wide / sizeof *wide)) <= 0)
        what = "is no UTF-8 path, or one that is too long";
    else
        h = CreateFileW(wide, GENERIC_READ, FILE_SHARE_READ, NULL, OPEN_EXISTING,
                        FILE_ATTRIBUTE_NORMAL, NULL);
    if (h != INVALID_HANDLE_VALUE) {
        what = "is not a regular file";
        if (GetFileType(h) == FILE_TYPE_DISK && GetFileSizeEx(h, &size)) {
            aios_io_init(io);
            io->flags = AIOS_IO_ANY_OFFSET;
            io->n_bytes = (uint64_t)size.QuadPart;
            io->read = aios__file_read;
            io->user = (void *)h;
            SetLastError(before);
            return AIOS_OK;
        }
    }
    e = GetLastError();
    if (h != INVALID_HANDLE_VALUE) CloseHandle(h);
    SetLastError(before);
    aios__fail2(err, AIOS_ERR_IO, AIOS__NO_OFF, 0, e, "'%' %", aios__z(path), aios__z(what));
    return AIOS_ERR_IO;
}
static inline void aios__file_close(aios_io *io) {
    if (io->read != aios__file_read) return;
    CloseHandle((HANDLE)io->user);
    memset(io, 0, sizeof *io);
}

#else

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

/* With -std=c99 and no feature macros (a header cannot set them: the including file may have
 * included system headers already) glibc hides pread and pread64, though both are there. pread64
 * has one meaning whatever _FILE_OFFSET_BITS says. */
#if defined(__GLIBC__)
#ifndef __USE_LARGEFILE64
#ifdef __cplusplus
extern "C"
#else
extern
#endif
    ssize_t
    pread64(int fd, void *dst, size_t n, __off64_t off);
#endif
#define AIOS__PREAD pread64
typedef __off64_t aios__off;
#elif defined(__ANDROID__)
#define AIOS__PREAD pread64
typedef off64_t aios__off;
#else
#define AIOS__PREAD pread
typedef off_t aios__off;
#endif

/* The hint of posix_fadvise, by the same way. Its number is 3 on every Linux. */
#if defined(__GLIBC__) && defined(__linux__)
#if !defined(__USE_LARGEFILE64) || !defined(__USE_XOPEN2K)
#ifdef __cplusplus
extern "C"
#else
extern
#endif
    int
    posix_fadvise64(int fd, __off64_t off, __off64_t n, int advice);
#endif
#define AIOS__WILL_NEED(fd, off, n) ((void)posix_fadvise64(fd, off, n, 3))
#elif defined(POSIX_FADV_WILLNEED) && !defined(__ANDROID__)
#define AIOS__WILL_NEED(fd, off, n) ((void)posix_fadvise(fd, off, n, POSIX_FADV_WILLNEED))
#endif

AIOS__SMALL_BEGIN
#if defined(AIOS__WILL_NEED)
static void aios__file_soon(void *user, uint64_t off, uint64_t n) { /* gives an error, sets none */
    /* Linux cuts a hint to what it reads ahead, and does not tell */
    const uint64_t most = 128 << 10;
    for (; n; off += most, n -= aios__min_u64(n, most))
        AIOS__WILL_NEED((int)(intptr_t)user, (aios__off)off, (aios__off)aios__min_u64(n, most));
}
#endif
static int64_t aios__file_read(void *user, uint64_t off, void *dst, uint64_t n) {
    int before = errno;
    int64_t got;
    aios__off at = (aios__off)off;
    if (at < 0 || (uint64_t)at != off) return -EOVERFLOW;
    do got = (int64_t)AIOS__PREAD((int)(intptr_t)user, dst, (size_t)aios__min_u64(n, 1u << 30), at);
    while (got < 0 && errno == EINTR);
    if (got < 0) got = -(int64_t)errno;
    errno = before;
    return got;
}
/* A file above 2 GiB on a 32-bit glibc without _FILE_OFFSET_BITS=64 is refused by open
 * (EOVERFLOW), not misread. O_NONBLOCK: a pipe must not hold us up before we see that it is one;
 * it changes nothing for a regular file. */
static inline aios_status aios__file_open(const char *path, aios_io *io, aios_error *err) {
    int before = errno, fd, e;
    int flags = O_RDONLY | O_NONBLOCK | O_NOCTTY;
    const char *what = "cannot be opened";
    struct stat st;
#if defined(O_CLOEXEC)
    flags |= O_CLOEXEC;
#elif defined(__O_CLOEXEC) /* glibc, strict */
    flags |= __O_CLOEXEC;
#endif
    do fd = open(path, flags);
    while (fd < 0 && errno == EINTR);
    if (fd >= 0) {
#if !defined(O_CLOEXEC) && !defined(__O_CLOEXEC)
        (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
#endif
        errno = 0;
        what = "is not a regular file";
        if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size >= 0) {
            aios_io_init(io);
            io->flags = AIOS_IO_ANY_OFFSET;
            io->n_bytes = (uint64_t)st.st_size;
            io->read = aios__file_read;
#if defined(AIOS__WILL_NEED)
            io->soon = aios__file_soon;
#endif
            io->user = (void *)(intptr_t)fd;
            errno = before;
            return AIOS_OK;
        }
    }
    e = errno;
    if (fd >= 0) (void)close(fd);
    errno = before;
    if (e == ENOENT) what = "does not exist";
    if (e == EACCES) what = "may not be read";
    aios__fail2(err, AIOS_ERR_IO, AIOS__NO_OFF, 0, (uint64_t)e, "'%' %", aios__z(path),
                aios__z(what));
    return AIOS_ERR_IO;
}
static inline void aios__file_close(aios_io *io) {
    int before = errno;
    if (io->read != aios__file_read) return;
    /* not again after EINTR: the descriptor is gone on Linux */
    (void)close((int)(intptr_t)io->user);
    errno = before;
    memset(io, 0, sizeof *io);
}
AIOS__SMALL_END

#endif
