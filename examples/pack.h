/* pack.h: `aios pack MODEL OUT` writes the artifact of a model, `aios pack OUT` checks one, with --json shows its manifest; --artifact FILE
 * runs from it. Included by aios.c, below its helpers. */
#ifndef PACK_H
#define PACK_H

typedef struct packing { FILE *f; uint64_t at, most; } packing;     /* most: the end of the file */

static int pack_seek(FILE *f, uint64_t off) {
#ifdef _WIN32
    return _fseeki64(f, (long long)off, SEEK_SET);
#else
    return fseeko(f, (off_t)off, SEEK_SET);
#endif
}
static int32_t pack_write(void *user, uint64_t off, const void *data, uint64_t n) {
    packing *p = (packing *)user;
    if (p->at != off && pack_seek(p->f, off)) return 1;
    p->at = off + n;
    if (p->at > p->most) p->most = p->at;
    return fwrite(data, 1, (size_t)n, p->f) != n;
}
static int64_t pack_read(void *user, uint64_t off, void *dst, uint64_t n) {
    FILE *f = (FILE *)user;
    size_t got;
    if (pack_seek(f, off)) return -1;
    got = fread(dst, 1, (size_t)n, f);
    return got ? (int64_t)got : ferror(f) ? -1 : 0;
}
static int32_t pack_progress(void *user, uint64_t done, uint64_t total) {
    bar((const char *)user, done, total);
    return 0;
}
/* The header, which has been checked, says at 64 where the manifest is, and at 72 how long. */
static void pack_manifest(FILE *f, const char *path) {
    uint64_t at[2];
    char part[4096];
    if (pack_read(f, 64, at, sizeof at) != sizeof at) die("'%s' cannot be read", path);
    while (at[1]) {
        const int64_t n = pack_read(f, at[0], part, at[1] < sizeof part ? at[1] : sizeof part);
        if (n <= 0) die("'%s' cannot be read", path);
        fwrite(part, 1, (size_t)n, stdout);
        at[0] += (uint64_t)n;
        at[1] -= (uint64_t)n;
    }
}
static int pack_check(const char *path, int32_t json) {
    static char what[] = "checking";
    aios_io io;
    aios_error err = { 0 };
    FILE *f = fopen(path, "rb");
    void *work = xmalloc(1 << 20);
    long long n = -1;
    if (!f) die("'%s': %s", path, strerror(errno));
#ifdef _WIN32
    if (_fseeki64(f, 0, SEEK_END) == 0) n = _ftelli64(f);
#else
    if (fseeko(f, 0, SEEK_END) == 0) n = (long long)ftello(f);
#endif
    if (n < 0) die("'%s': %s", path, strerror(errno));
    aios_io_init(&io);
    io.n_bytes = (uint64_t)n; io.read = pack_read; io.user = f;
    aios_artifact_check(&io, work, 1 << 20, pack_progress, what, &err);
    bar("", 0, 0);
    if (err.code) die("'%s': %s", path, err.text);
    if (json) pack_manifest(f, path);
    else printf("%s: %lld bytes, every block is sound\n", path, n);
    free(work);
    fclose(f);
    return 0;
}
static int pack(const options *o) {
    static char what[] = "packing";
    options in = *o;
    session s;
    packing p;
    aios_error err = { 0 };
    uint64_t n, t0 = wall_ns();
    void *work;
    if (o->n_words == 1) return pack_check(o->words[0], o->json);
    if (o->n_words != 2) die_usage("give two words, MODEL OUT, or one, OUT, to check it");
    in.model = o->words[0];
    open_model(&s, &in, 0);
    n = aios_artifact_work_bytes(s.model, 0);
    work = xmalloc((size_t)n);
    p.at = p.most = 0;
    p.f = new_file(o->words[1]);
    aios_artifact_write(s.model, 0, pack_write, &p, work, n, pack_progress, what, &err);
    bar("", 0, 0);
    if (err.code) die("'%s': %s", o->words[1], err.text);
    n = p.most;
    new_file_done(p.f, o->words[1]);
    if (!quiet) printf("%s: %llu bytes, %.1f s\n", o->words[1], (unsigned long long)n, (double)(wall_ns() - t0) * 1e-9);
    free(work);
    close_session(&s);
    return 0;
}
#endif
