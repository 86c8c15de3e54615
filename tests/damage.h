/* damage.h: a small sound llama model in memory, and a table of ways to damage it, each with
 * what must be said about it. Included by tests after aios.h; C99 and C++11; depends on nothing
 * of the library but the AIOS_ERR_* codes, since it must not share a mistake with the reader
 * that it tests.
 *
 *     n = damage_valid(buf, cap);                              the sound file: 2 layers, embedding 32, 288 tokens, f32
 *     n = damage_valid_experts(buf, cap);                      the same, but the second layer has 2 experts, each with tensors of its own
 *     for (i = 0; i < damage_count(); i++) {
 *         damage d;
 *         n = damage_make(i, buf, cap, &d);                    d.stage: who must notice, the parser or the model
 *         CHECK(damage_matches(&d, status, &err));             code, offset, a word of the text; prints what differs
 *     }
 *
 * A row names an edit (to the entry before it is written, so that all else stays consistent, or
 * to bytes of the finished file) and the place that the error's offset must have.
 * DAMAGE_MAX_BYTES is enough for any of them. */
#ifndef AIOS_TEST_DAMAGE_H
#define AIOS_TEST_DAMAGE_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define DAMAGE_MAX_BYTES (256u * 1024u)
#if defined(__GNUC__) || defined(__clang__)
#define DAMAGE_FN static __attribute__((unused))
#else
#define DAMAGE_FN static
#endif

enum { DAMAGE_GGUF, DAMAGE_MODEL }; /* stage: parser alone; aios_model_open as a whole */
/* offset: == lo; lo <= . < hi; UINT64_MAX; whatever */
enum { DAMAGE_AT, DAMAGE_IN, DAMAGE_NO_PLACE, DAMAGE_ANY };

typedef struct damage {
    const char *name;
    const char *word; /* must be in the text; "" = any */
    int stage, place;
    int32_t code; /* AIOS_ERR_*; 0 = any failure */
    uint64_t lo, hi, n_bytes;
} damage;

/* ---- the sound file ---- */
/* clang-format off */
enum { DU8, DI8, DU16, DI16, DU32, DI32, DF32, DBOOL, DSTR, DARR, DU64, DI64, DF64 };   /* GGUF value types */
enum { DAMAGE__TOKENS = 288, DAMAGE__EMBD = 32, DAMAGE__FF = 64 };

/* A key: u holds the value's bits (of a float too); arrays have n items whose values follow from the name. */
typedef struct damage__key { const char *name; uint32_t type, item; uint64_t n, u; const char *s; } damage__key;
#define DK(name, type, u)       { name, type, 0, 1, u, "" }
#define DKS(name, s)            { name, DSTR, 0, 1, 0, s }
#define DKA(name, item, n)      { name, DARR, item, n, 0, "" }
static const damage__key damage__keys[] = {
    DKS("general.architecture", "llama"),
    DKS("general.name", "damage"),
    DK ("general.alignment", DU32, 32),
    DK ("llama.context_length", DU32, 128),
    DK ("llama.embedding_length", DU32, DAMAGE__EMBD),
    DK ("llama.block_count", DU32, 2),
    DK ("llama.feed_forward_length", DU32, DAMAGE__FF),
    DK ("llama.attention.head_count", DU32, 4),
    DK ("llama.attention.head_count_kv", DU32, 2),
    DK ("llama.rope.dimension_count", DU32, 8),
    DK ("llama.rope.freq_base", DF32, 0x461C4000u),                         /* 10000 */
    DK ("llama.attention.layer_norm_rms_epsilon", DF32, 0x3727C5ACu),       /* 1e-5  */
    DK ("llama.vocab_size", DU32, DAMAGE__TOKENS),
    DKS("tokenizer.ggml.model", "llama"),
    DKS("tokenizer.ggml.pre", "default"),
    DKA("tokenizer.ggml.tokens", DSTR, DAMAGE__TOKENS),
    DKA("tokenizer.ggml.scores", DF32, DAMAGE__TOKENS),
    DKA("tokenizer.ggml.token_type", DI32, DAMAGE__TOKENS),
    DK ("tokenizer.ggml.bos_token_id", DU32, 1),
    DK ("tokenizer.ggml.eos_token_id", DU32, 2),
    DK ("tokenizer.ggml.unknown_token_id", DU32, 0),
    DK ("tokenizer.ggml.add_bos_token", DBOOL, 1),
    DK ("tokenizer.ggml.add_eos_token", DBOOL, 0),
    /* no one asks for these: one of each kind of value, behind everything else so that a file cut there is long enough
     * for the counts in its header */
    DK ("test.u8", DU8, 200), DK("test.i8", DI8, 0x80), DK("test.u16", DU16, 65535), DK("test.i16", DI16, 0x8000),
    DK ("test.i32", DI32, 0x80000000u), DK("test.u64", DU64, UINT64_MAX), DK("test.i64", DI64, (uint64_t)1 << 63),
    DK ("test.f64", DF64, 0x3FF8000000000000u),                             /* 1.5 */
    DKA("test.bools", DBOOL, 3), DKA("test.shorts", DI16, 5), DKA("test.none", DSTR, 0), DKS("test.empty", ""),
    DKS("test.last", "the end"),
    DK ("test.flag", DBOOL, 1),
    DK ("llama.expert_count", DU32, 2), DK ("llama.expert_used_count", DU32, 1)
};

typedef struct damage__tensor { const char *name; uint32_t n_dims, type; uint64_t n[4]; } damage__tensor;
#define DT1(name, a)    { name, 1, 0, { a, 1, 1, 1 } }
#define DT2(name, a, b) { name, 2, 0, { a, b, 1, 1 } }
#define DTL(p) DT1(p "attn_norm.weight", 32), DT2(p "attn_q.weight", 32, 32), DT2(p "attn_k.weight", 32, 16),       \
    DT2(p "attn_v.weight", 32, 16), DT2(p "attn_output.weight", 32, 32), DT1(p "ffn_norm.weight", 32),              \
    DT2(p "ffn_gate.weight", 32, 64), DT2(p "ffn_up.weight", 32, 64), DT2(p "ffn_down.weight", 64, 32)
static const damage__tensor damage__tensors[] = {
    DT2("token_embd.weight", 32, DAMAGE__TOKENS), DTL("blk.0."), DTL("blk.1."),
    DT1("output_norm.weight", 32), DT2("output.weight", 32, DAMAGE__TOKENS),
    /* the file with experts has these instead of the last layer's feed-forward, and these keys */
    DT2("blk.1.ffn_gate_inp.weight", 32, 2), DT2("blk.1.ffn_gate.0.weight", 32, 64), DT2("blk.1.ffn_up.0.weight", 32, 64), DT2("blk.1.ffn_down.0.weight", 64, 32),
    DT2("blk.1.ffn_gate.1.weight", 32, 64), DT2("blk.1.ffn_up.1.weight", 32, 64), DT2("blk.1.ffn_down.1.weight", 64, 32)
};
enum { DAMAGE__ALL_KEYS = (int)(sizeof damage__keys / sizeof *damage__keys), DAMAGE__ALL_TENSORS = (int)(sizeof damage__tensors / sizeof *damage__tensors),
       DAMAGE__N_KEYS = DAMAGE__ALL_KEYS - 2, DAMAGE__N_TENSORS = DAMAGE__ALL_TENSORS - 7, DAMAGE__FFN_1 = 1 + 9 + 6 };      /* of the file without experts */

/* ---- edits -------------------------------------------------------------------------------------------------------- */
enum {
    /* to an entry, before it is written */
    D_DROP,           /* leave the key or tensor out                                              */
    D_SET,            /* key: type a, value u                                                     */
    D_TEXT,           /* key: the string s                                                        */
    D_ITEMS,          /* array key: u items of type a                                             */
    D_ADD,            /* one more key at the end: named target, type a, value u (DSTR: s)         */
    D_ADD_ITEMS,      /* the same for an array of u items of type a                               */
    D_DIM,            /* tensor: dimension a is u (all offsets follow)                            */
    D_DIMS,           /* tensor: u dimensions                                                     */
    D_TYPE,           /* tensor: type u                                                           */
    D_NAME,           /* key or tensor: named s                                                   */
    /* to bytes of the finished file, at field a of target, d bytes further on; target "" = the file */
    D_PUT1, D_PUT2, D_PUT4, D_PUT8,
    D_CUT,            /* the file ends there                                                      */
    D_EXPERTS = 64    /* with one of these: of the file with experts                              */
};
/* Fields. Of a key: entry, name, type, [item type, item count,] value, end; of a tensor: entry, name, number of
 * dimensions, dimensions, type, offset, end; of "": byte 0 (F_BYTE) and the end of file (F_EOF). */
enum { F_ENTRY, F_NAME, F_TYPE, F_ITEM, F_COUNT, F_VALUE, F_END, F_N,
       T_ENTRY = F_ENTRY, T_NAME = F_NAME, T_NDIMS = F_TYPE, T_DIMS = F_ITEM, T_TYPE = F_COUNT, T_OFFSET = F_VALUE, T_END = F_END,
       F_BYTE = F_ENTRY, F_EOF = F_END };

typedef struct damage__row {
    const char *name;
    int stage, op;
    const char *target; uint32_t a; int d; uint64_t u; const char *s;       /* the edit                         */
    int32_t code; int place; const char *at; int field; int at_d;           /* what must be said, and of where  */
    const char *word;
} damage__row;

/* G: the parser must say it, offset exact.  M: aios_model_open must, offset inside the entry of `at`.  N: of no place. */
#define G(name, op, target, a, d, u, code, at, field, at_d, word) \
    { name, DAMAGE_GGUF, op, target, a, d, u, "", code, DAMAGE_AT, at, field, at_d, word }
#define GS(name, op, target, a, s, code, at, field, at_d, word) \
    { name, DAMAGE_GGUF, op, target, a, 0, 0, s, code, DAMAGE_AT, at, field, at_d, word }
#define M(name, op, target, a, u, s, code, at, word) \
    { name, DAMAGE_MODEL, op, target, a, 0, u, s, code, DAMAGE_IN, at, 0, 0, word }
#define N(name, op, target, a, u, s, code, word) \
    { name, DAMAGE_MODEL, op, target, a, 0, u, s, code, DAMAGE_NO_PLACE, "", 0, 0, word }
#define FORMAT AIOS_ERR_FORMAT
#define UNSUPP AIOS_ERR_UNSUPPORTED
#define MODEL  AIOS_ERR_MODEL
#define NAN32  0x7FC00000u
#define ALL64  UINT64_MAX

#define LL "llama."
#define TG "tokenizer.ggml."
#define EMB "token_embd.weight"
#define OUTW "output.weight"

static const damage__row damage__rows[] = {
    /* ---- the header */
    G("empty file",            D_CUT,  "", F_BYTE, 0, 0, FORMAT, "", F_BYTE, 0, "magic"),
    G("three bytes",           D_CUT,  "", F_BYTE, 3, 0, FORMAT, "", F_BYTE, 0, "magic"),
    G("magic in lower case",   D_PUT1, "", F_BYTE, 0, 'g', FORMAT, "", F_BYTE, 0, "GGUF"),
    G("a zip file",            D_PUT4, "", F_BYTE, 0, 0x04034B50u, FORMAT, "", F_BYTE, 0, "GGUF"),
    G("old ggml magic",        D_PUT4, "", F_BYTE, 0, 0x67676A74u, FORMAT, "", F_BYTE, 0, "GGUF"),
    G("cut in version",        D_CUT,  "", F_BYTE, 6, 0, FORMAT, "", F_BYTE, 4, "version"),
    G("version 0",             D_PUT4, "", F_BYTE, 4, 0, UNSUPP, "", F_BYTE, 4, "version"),
    G("version 1",             D_PUT4, "", F_BYTE, 4, 1, UNSUPP, "", F_BYTE, 4, "version 1"),
    G("version 4",             D_PUT4, "", F_BYTE, 4, 4, UNSUPP, "", F_BYTE, 4, "version"),
    G("version 2^32-1",        D_PUT4, "", F_BYTE, 4, 0xFFFFFFFFu, UNSUPP, "", F_BYTE, 4, "version"),
    G("big-endian",            D_PUT4, "", F_BYTE, 4, 0x03000000u, UNSUPP, "", F_BYTE, 4, "big-endian"),
    G("cut in tensor count",   D_CUT,  "", F_BYTE, 12, 0, FORMAT, "", F_BYTE, 8, "tensor count"),
    G("cut in key count",      D_CUT,  "", F_BYTE, 23, 0, FORMAT, "", F_BYTE, 16, "key count"),
    G("nothing but a header",  D_CUT,  "", F_BYTE, 24, 0, FORMAT, "", F_BYTE, 8, "tensors"),
    G("2^64-1 tensors",        D_PUT8, "", F_BYTE, 8, ALL64, FORMAT, "", F_BYTE, 8, "tensors"),
    G("2^32+20 tensors",       D_PUT8, "", F_BYTE, 8, 0x100000014u, FORMAT, "", F_BYTE, 8, "tensors"),
    G("10^6 tensors",          D_PUT8, "", F_BYTE, 8, 1000000, FORMAT, "", F_BYTE, 8, "tensors"),
    G("2^64-1 keys",           D_PUT8, "", F_BYTE, 16, ALL64, FORMAT, "", F_BYTE, 16, "keys"),
    G("2^63 keys",             D_PUT8, "", F_BYTE, 16, (uint64_t)1 << 63, FORMAT, "", F_BYTE, 16, "keys"),
    G("2^32 keys",             D_PUT8, "", F_BYTE, 16, (uint64_t)1 << 32, FORMAT, "", F_BYTE, 16, "keys"),
    G("one key too many",      D_PUT8, "", F_BYTE, 16, DAMAGE__N_KEYS + 1, FORMAT, EMB, T_DIMS, 2, "name"),
    G("one key too few",       D_PUT8, "", F_BYTE, 16, DAMAGE__N_KEYS - 1, FORMAT, "test.flag", F_TYPE, 0, "dimensions"),

    /* ---- keys */
    G("empty key name",        D_PUT8, "general.name", F_ENTRY, 0, 0, FORMAT, "general.name", F_ENTRY, 0, "empty"),
    G("key name of 2^64-1",    D_PUT8, "general.name", F_ENTRY, 0, ALL64, FORMAT, "general.name", F_ENTRY, 0, "too long"),
    G("key name of 65536",     D_PUT8, "general.name", F_ENTRY, 0, 65536, FORMAT, "general.name", F_ENTRY, 0, "too long"),
    G("zero byte in key name", D_PUT1, "general.name", F_NAME, 4, 0, FORMAT, "general.name", F_NAME, 0, "zero byte"),
    G("value type 13",         D_PUT4, LL "block_count", F_TYPE, 0, 13, FORMAT, LL "block_count", F_TYPE, 0, "'llama.block_count'"),
    G("value type 2^32-1",     D_PUT4, "test.u8", F_TYPE, 0, 0xFFFFFFFFu, FORMAT, "test.u8", F_TYPE, 0, "value type"),
    G("item type 13",          D_PUT4, TG "scores", F_ITEM, 0, 13, FORMAT, TG "scores", F_ITEM, 0, "item type"),
    G("item type 2^31",        D_PUT4, TG "scores", F_ITEM, 0, 0x80000000u, FORMAT, TG "scores", F_ITEM, 0, "item type"),
    G("strings as arrays",     D_PUT4, TG "tokens", F_ITEM, 0, DARR, FORMAT, TG "tokens", F_COUNT, 12, "more items"),
    G("2^64-1 strings",        D_PUT8, TG "tokens", F_COUNT, 0, ALL64, FORMAT, TG "tokens", F_COUNT, 0, "items"),
    G("2^61 strings (* 8 = 0)", D_PUT8, TG "tokens", F_COUNT, 0, (uint64_t)1 << 61, FORMAT, TG "tokens", F_COUNT, 0, "items"),
    G("2^62 floats (* 4 = 0)", D_PUT8, TG "scores", F_COUNT, 0, (uint64_t)1 << 62, FORMAT, TG "scores", F_COUNT, 0, "items"),
    G("2^62 + 288 floats",     D_PUT8, TG "scores", F_COUNT, 0, ((uint64_t)1 << 62) + 288, FORMAT, TG "scores", F_COUNT, 0, "items"),
    G("2^63 bools",            D_PUT8, "test.bools", F_COUNT, 0, (uint64_t)1 << 63, FORMAT, "test.bools", F_COUNT, 0, "items"),
    G("string of 2^64-1",      D_PUT8, "general.name", F_VALUE, 0, ALL64, FORMAT, "general.name", F_VALUE, 0, "string"),
    G("string of 2^64-16",     D_PUT8, "test.last", F_VALUE, 0, ALL64 - 15, FORMAT, "test.last", F_VALUE, 0, "'test.last'"),
    G("string of 1 MiB",       D_PUT8, "test.last", F_VALUE, 0, 1 << 20, FORMAT, "test.last", F_VALUE, 0, "string"),
    G("token of 2^64-8",       D_PUT8, TG "tokens", F_VALUE, 36, ALL64 - 7, FORMAT, TG "tokens", F_VALUE, 36, "tokens"),
    G("token of 2^63",         D_PUT8, TG "tokens", F_VALUE, 0, (uint64_t)1 << 63, FORMAT, TG "tokens", F_VALUE, 0, "tokens"),
    G("bool 2",                D_PUT1, TG "add_bos_token", F_VALUE, 0, 2, FORMAT, TG "add_bos_token", F_VALUE, 0, "bool"),
    G("bool 255",              D_PUT1, "test.flag", F_VALUE, 0, 255, FORMAT, "test.flag", F_VALUE, 0, "bool"),
    G("bool 128 in an array",  D_PUT1, "test.bools", F_VALUE, 2, 128, FORMAT, "test.bools", F_VALUE, 2, "bool"),
    G("cut in name length",    D_CUT,  "test.u16", F_ENTRY, 7, 0, FORMAT, "test.u16", F_ENTRY, 0, "name length"),
    G("cut in name",           D_CUT,  "test.u16", F_NAME, 1, 0, FORMAT, "test.u16", F_NAME, 0, "name"),
    G("cut in value type",     D_CUT,  "test.u16", F_TYPE, 3, 0, FORMAT, "test.u16", F_TYPE, 0, "'test.u16'"),
    G("cut before u8",         D_CUT,  "test.u8", F_VALUE, 0, 0, FORMAT, "test.u8", F_VALUE, 0, "'test.u8'"),
    G("cut in i16",            D_CUT,  "test.i16", F_VALUE, 1, 0, FORMAT, "test.i16", F_VALUE, 0, "'test.i16'"),
    G("cut in i32",            D_CUT,  "test.i32", F_VALUE, 3, 0, FORMAT, "test.i32", F_VALUE, 0, "'test.i32'"),
    G("cut in u64",            D_CUT,  "test.u64", F_VALUE, 5, 0, FORMAT, "test.u64", F_VALUE, 0, "'test.u64'"),
    G("cut in f64",            D_CUT,  "test.f64", F_VALUE, 7, 0, FORMAT, "test.f64", F_VALUE, 0, "'test.f64'"),
    G("cut before a bool",     D_CUT,  "test.flag", F_VALUE, 0, 0, FORMAT, "test.flag", F_VALUE, 0, "'test.flag'"),
    G("cut in item type",      D_CUT,  "test.bools", F_ITEM, 1, 0, FORMAT, "test.bools", F_ITEM, 0, "item type"),
    G("cut in item count",     D_CUT,  "test.bools", F_COUNT, 4, 0, FORMAT, "test.bools", F_COUNT, 0, "item count"),
    G("cut in an array",       D_CUT,  "test.shorts", F_VALUE, 9, 0, FORMAT, "test.shorts", F_COUNT, 0, "items"),
    G("cut in scores",         D_CUT,  TG "scores", F_VALUE, 1000, 0, FORMAT, TG "scores", F_COUNT, 0, "items"),
    G("cut in string length",  D_CUT,  "test.last", F_VALUE, 7, 0, FORMAT, "test.last", F_VALUE, 0, "string length"),
    G("cut in a string",       D_CUT,  "test.last", F_VALUE, 9, 0, FORMAT, "test.last", F_VALUE, 0, "string"),
    G("cut after the keys",    D_CUT,  "test.flag", F_END, 0, 0, FORMAT, EMB, T_ENTRY, 0, "tensor 0"),
    G("key twice",             D_ADD,  "general.name", DU32, 0, 1, FORMAT, "added", F_ENTRY, 0, "twice"),
    G("hyper-parameter twice", D_ADD,  LL "block_count", DU32, 0, 2, FORMAT, "added", F_ENTRY, 0, "twice"),
    G("alignment twice",       D_ADD,  "general.alignment", DU32, 0, 32, FORMAT, "added", F_VALUE, 0, "twice"),
    GS("two keys made one",    D_NAME, "test.i64", 0, "test.u64", FORMAT, "test.i64", F_ENTRY, 0, "twice"),
    G("alignment 0",           D_SET,  "general.alignment", DU32, 0, 0, FORMAT, "general.alignment", F_VALUE, 0, "power of two"),
    G("alignment 3",           D_SET,  "general.alignment", DU32, 0, 3, FORMAT, "general.alignment", F_VALUE, 0, "power of two"),
    G("alignment 2 MiB",       D_SET,  "general.alignment", DU32, 0, 1 << 21, FORMAT, "general.alignment", F_VALUE, 0, "1 MiB"),
    G("alignment 2^31",        D_SET,  "general.alignment", DU32, 0, 0x80000000u, FORMAT, "general.alignment", F_VALUE, 0, "1 MiB"),
    G("alignment as u64",      D_SET,  "general.alignment", DU64, 0, 32, FORMAT, "general.alignment", F_VALUE, 0, "u32"),
    G("alignment as array",    D_ITEMS, "general.alignment", DU32, 0, 1, FORMAT, "general.alignment", F_VALUE, 0, "u32"),
    GS("alignment as text",    D_TEXT, "general.alignment", 0, "32", FORMAT, "general.alignment", F_VALUE, 0, "u32"),
    G("alignment 4096, data at 32", D_PUT4, "general.alignment", F_VALUE, 0, 4096, FORMAT, "blk.0.attn_q.weight", T_OFFSET, 0, "multiple"),
    G("one of 3 files",        D_ADD,  "split.count", DU16, 0, 3, FORMAT, "added", F_VALUE, 0, "split.count"),
    G("one of 2^63 files",     D_ADD,  "split.count", DU64, 0, (uint64_t)1 << 63, FORMAT, "added", F_VALUE, 0, "split.count"),
    G("split.count -1",        D_ADD,  "split.count", DI32, 0, 0xFFFFFFFFu, FORMAT, "added", F_VALUE, 0, "negative"),
    G("split.count as f32",    D_ADD,  "split.count", DF32, 0, 0x3F800000u, FORMAT, "added", F_VALUE, 0, "integer"),
    G("split.no as array",     D_ADD_ITEMS, "split.no", DU16, 0, 1, FORMAT, "added", F_VALUE, 0, "integer"),
    G("split.tensors.count 7", D_ADD,  "split.tensors.count", DI32, 0, 7, FORMAT, "added", F_VALUE, 0, "split.tensors.count"),

    /* ---- the directory */
    G("empty tensor name",     D_PUT8, EMB, T_ENTRY, 0, 0, FORMAT, EMB, T_ENTRY, 0, "empty"),
    G("tensor name of 64",     D_PUT8, EMB, T_ENTRY, 0, 64, FORMAT, EMB, T_ENTRY, 0, "too long"),
    G("tensor name of 2^63",   D_PUT8, OUTW, T_ENTRY, 0, (uint64_t)1 << 63, FORMAT, OUTW, T_ENTRY, 0, "too long"),
    G("zero byte in tensor name", D_PUT1, OUTW, T_NAME, 12, 0, FORMAT, OUTW, T_NAME, 0, "zero byte"),
    G("no dimensions",         D_PUT4, EMB, T_NDIMS, 0, 0, FORMAT, EMB, T_NDIMS, 0, "dimensions"),
    G("5 dimensions",          D_PUT4, EMB, T_NDIMS, 0, 5, FORMAT, EMB, T_NDIMS, 0, "'token_embd.weight'"),
    G("2^32-1 dimensions",     D_PUT4, OUTW, T_NDIMS, 0, 0xFFFFFFFFu, FORMAT, OUTW, T_NDIMS, 0, "dimensions"),
    G("row of 0",              D_PUT8, EMB, T_DIMS, 0, 0, FORMAT, EMB, T_DIMS, 0, "zero"),
    G("0 rows",                D_PUT8, EMB, T_DIMS, 8, 0, FORMAT, EMB, T_DIMS, 8, "zero"),
    G("32 * 2^59 weights",     D_PUT8, EMB, T_DIMS, 8, (uint64_t)1 << 59, FORMAT, EMB, T_DIMS, 8, "overflow"),
    G("2^64-1 rows",           D_PUT8, OUTW, T_DIMS, 8, ALL64, FORMAT, OUTW, T_DIMS, 8, "overflow"),
    G("row of 2^62 f32",       D_PUT8, "output_norm.weight", T_DIMS, 0, (uint64_t)1 << 62, FORMAT, "output_norm.weight", T_DIMS, 0, "overflow"),
    G("rows of 2^57 f32",      D_PUT8, EMB, T_DIMS, 8, (uint64_t)1 << 57, FORMAT, EMB, T_DIMS, 0, "overflow"),
    G("row of 2^61 f32",       D_PUT8, "output_norm.weight", T_DIMS, 0, (uint64_t)1 << 61, FORMAT, "output_norm.weight", T_OFFSET, 0, "outside"),
    G("2^32 rows",             D_PUT8, OUTW, T_DIMS, 8, (uint64_t)1 << 32, FORMAT, OUTW, T_OFFSET, 0, "outside"),
    G("one row too many",      D_PUT8, OUTW, T_DIMS, 8, DAMAGE__TOKENS + 1, FORMAT, OUTW, T_OFFSET, 0, "outside"),
    G("tensor type 4, long gone", D_PUT4, EMB, T_TYPE, 0, 4, UNSUPP, EMB, T_TYPE, 0, "type"),
    G("tensor type 43",        D_PUT4, EMB, T_TYPE, 0, 43, UNSUPP, EMB, T_TYPE, 0, "type"),
    G("tensor type 2^31",      D_PUT4, EMB, T_TYPE, 0, 0x80000000u, UNSUPP, EMB, T_TYPE, 0, "type"),
    G("tensor type 2^32-1",    D_PUT4, OUTW, T_TYPE, 0, 0xFFFFFFFFu, UNSUPP, OUTW, T_TYPE, 0, "type"),
    G("row of 32 in Q4_K",     D_PUT4, EMB, T_TYPE, 0, 12, FORMAT, EMB, T_DIMS, 0, "q4_k"),
    G("row of 32 in Q1_0",     D_PUT4, OUTW, T_TYPE, 0, 41, FORMAT, OUTW, T_DIMS, 0, "q1_0"),
    G("offset + 1",            D_PUT1, "blk.0.attn_q.weight", T_OFFSET, 0, 1, FORMAT, "blk.0.attn_q.weight", T_OFFSET, 0, "multiple"),
    G("offset + 16",           D_PUT1, OUTW, T_OFFSET, 0, 0x10, FORMAT, OUTW, T_OFFSET, 0, "multiple"),
    G("offset 2^40",           D_PUT8, EMB, T_OFFSET, 0, (uint64_t)1 << 40, FORMAT, EMB, T_OFFSET, 0, "outside"),
    G("offset 2^64-32",        D_PUT8, EMB, T_OFFSET, 0, ALL64 - 31, FORMAT, EMB, T_OFFSET, 0, "outside"),
    G("offset near 2^64, end below it", D_PUT8, "output_norm.weight", T_OFFSET, 0, ALL64 - 255, FORMAT, "output_norm.weight", T_OFFSET, 0, "outside"),
    G("output over token_embd", D_PUT8, OUTW, T_OFFSET, 0, 32, FORMAT, OUTW, T_OFFSET, 0, "overlaps"),
    G("two tensors in one place", D_PUT8, "blk.0.attn_norm.weight", T_OFFSET, 0, 0, FORMAT, "blk.0.attn_norm.weight", T_OFFSET, 0, "overlaps"),
    G("tensor twice",          D_PUT1, "blk.1.attn_q.weight", T_NAME, 4, '0', FORMAT, "blk.1.attn_q.weight", T_ENTRY, 0, "twice"),
    G("cut in tensor name length", D_CUT, OUTW, T_ENTRY, 1, 0, FORMAT, OUTW, T_ENTRY, 0, "name length"),
    G("cut in tensor name",    D_CUT,  OUTW, T_NAME, 12, 0, FORMAT, OUTW, T_NAME, 0, "name"),
    G("cut in n_dims",         D_CUT,  OUTW, T_NDIMS, 2, 0, FORMAT, OUTW, T_NDIMS, 0, "number of dimensions"),
    G("cut in dimensions",     D_CUT,  OUTW, T_DIMS, 12, 0, FORMAT, OUTW, T_DIMS, 8, "dimensions"),
    G("cut in tensor type",    D_CUT,  OUTW, T_TYPE, 1, 0, FORMAT, OUTW, T_TYPE, 0, "type"),
    G("cut in tensor offset",  D_CUT,  OUTW, T_OFFSET, 7, 0, FORMAT, OUTW, T_OFFSET, 0, "offset"),
    G("no data",               D_CUT,  OUTW, T_END, 0, 0, FORMAT, OUTW, T_OFFSET, 0, "outside"),
    G("half the data",         D_CUT,  "", F_EOF, -60000, 0, FORMAT, OUTW, T_OFFSET, 0, "outside"),
    G("last byte missing",     D_CUT,  "", F_EOF, -1, 0, FORMAT, OUTW, T_OFFSET, 0, "outside"),

    /* ---- what only the model can know: keys */
    N("no architecture",       D_DROP, "general.architecture", 0, 0, "", MODEL, "general.architecture"),
    M("unknown architecture",  D_TEXT, "general.architecture", 0, 0, "lama", UNSUPP, "general.architecture", "lama"),
    M("empty architecture",    D_TEXT, "general.architecture", 0, 0, "", UNSUPP, "general.architecture", ""),
    M("architecture as u32",   D_SET,  "general.architecture", DU32, 1, "", MODEL, "general.architecture", "general.architecture"),
    M("architecture as array", D_ITEMS, "general.architecture", DSTR, 1, "", MODEL, "general.architecture", "general.architecture"),
    N("no block_count",        D_DROP, LL "block_count", 0, 0, "", MODEL, "llama.block_count"),
    M("0 layers",              D_SET,  LL "block_count", DU32, 0, "", MODEL, LL "block_count", "block_count"),
    M("2^31 layers",           D_SET,  LL "block_count", DU32, 0x80000000u, "", MODEL, LL "block_count", "block_count"),
    M("2^64-1 layers",         D_SET,  LL "block_count", DU64, ALL64, "", MODEL, LL "block_count", "block_count"),
    M("-2 layers",             D_SET,  LL "block_count", DI32, 0xFFFFFFFEu, "", MODEL, LL "block_count", "block_count"),
    M("100 layers of 21 tensors", D_SET, LL "block_count", DU32, 100, "", MODEL, LL "block_count", ""),
    N("3 layers, tensors for 2", D_SET, LL "block_count", DU32, 3, "", MODEL, "blk.2."),
    M("layers as text",        D_TEXT, LL "block_count", 0, 0, "2", MODEL, LL "block_count", "block_count"),
    M("layers as f32",         D_SET,  LL "block_count", DF32, 0x40000000u, "", MODEL, LL "block_count", "block_count"),
    M("layers as bool",        D_SET,  LL "block_count", DBOOL, 1, "", MODEL, LL "block_count", "block_count"),
    N("no embedding_length",   D_DROP, LL "embedding_length", 0, 0, "", MODEL, "llama.embedding_length"),
    M("embedding 0",           D_SET,  LL "embedding_length", DU32, 0, "", MODEL, LL "embedding_length", "embedding_length"),
    M("embedding 2^31",        D_SET,  LL "embedding_length", DU32, 0x80000000u, "", MODEL, LL "embedding_length", "embedding_length"),
    M("embedding 64, tensors 32", D_SET, LL "embedding_length", DU32, 64, "", MODEL, EMB, "token_embd.weight"),
    N("no head_count",         D_DROP, LL "attention.head_count", 0, 0, "", MODEL, "llama.attention.head_count"),
    M("0 heads",               D_SET,  LL "attention.head_count", DU32, 0, "", MODEL, LL "attention.head_count", "head_count"),
    M("2^32-1 heads",          D_SET,  LL "attention.head_count", DU32, 0xFFFFFFFFu, "", MODEL, LL "attention.head_count", "head_count"),
    M("heads as array of f32", D_ITEMS, LL "attention.head_count", DF32, 2, "", MODEL, LL "attention.head_count", "head_count"),
    M("heads as empty array",  D_ITEMS, LL "attention.head_count", DU32, 0, "", MODEL, LL "attention.head_count", "head_count"),
    M("3 kv heads for 4",      D_SET,  LL "attention.head_count_kv", DU32, 3, "", MODEL, LL "attention.head_count_kv", "heads"),
    M("0 kv heads",            D_SET,  LL "attention.head_count_kv", DU32, 0, "", MODEL, LL "attention.head_count_kv", "head_count_kv"),
    M("8 kv heads for 4",      D_SET,  LL "attention.head_count_kv", DU32, 8, "", MODEL, LL "attention.head_count_kv", "heads"),
    M("4 kv heads, tensors 2", D_SET,  LL "attention.head_count_kv", DU32, 4, "", MODEL, "blk.0.attn_k.weight", "attn_k"),
    N("no feed_forward_length", D_DROP, LL "feed_forward_length", 0, 0, "", MODEL, "llama.feed_forward_length"),
    M("feed-forward 0",        D_SET,  LL "feed_forward_length", DU32, 0, "", MODEL, LL "feed_forward_length", "feed_forward_length"),
    M("feed-forward 48, tensors 64", D_SET, LL "feed_forward_length", DU32, 48, "", MODEL, "blk.0.ffn_gate.weight", "ffn_gate"),
    N("no context_length",     D_DROP, LL "context_length", 0, 0, "", MODEL, "llama.context_length"),
    M("context 0",             D_SET,  LL "context_length", DU32, 0, "", MODEL, LL "context_length", "context_length"),
    M("context 2^63",          D_SET,  LL "context_length", DU64, (uint64_t)1 << 63, "", MODEL, LL "context_length", "context_length"),
    M("rope of 16 in heads of 8", D_SET, LL "rope.dimension_count", DU32, 16, "", MODEL, LL "rope.dimension_count", "dimension_count"),
    M("rope of 7",             D_SET,  LL "rope.dimension_count", DU32, 7, "", MODEL, LL "rope.dimension_count", "dimension_count"),
    M("rope base 0",           D_SET,  LL "rope.freq_base", DF32, 0, "", MODEL, LL "rope.freq_base", "freq_base"),
    M("rope base NaN",         D_SET,  LL "rope.freq_base", DF32, NAN32, "", MODEL, LL "rope.freq_base", "freq_base"),
    M("rope base -10000",      D_SET,  LL "rope.freq_base", DF32, 0xC61C4000u, "", MODEL, LL "rope.freq_base", "freq_base"),
    M("rope base infinite",    D_SET,  LL "rope.freq_base", DF32, 0x7F800000u, "", MODEL, LL "rope.freq_base", "freq_base"),
    M("rope base as text",     D_TEXT, LL "rope.freq_base", 0, 0, "10000", MODEL, LL "rope.freq_base", "freq_base"),
    M("unknown rope scaling",  D_ADD,  LL "rope.scaling.type", DSTR, 0, "spiral", UNSUPP, "added", "spiral"),
    M("rope factor 0",         D_ADD,  LL "rope.scaling.factor", DF32, 0, "", MODEL, "added", "factor"),
    N("no epsilon",            D_DROP, LL "attention.layer_norm_rms_epsilon", 0, 0, "", MODEL, "epsilon"),
    M("epsilon 0",             D_SET,  LL "attention.layer_norm_rms_epsilon", DF32, 0, "", MODEL, LL "attention.layer_norm_rms_epsilon", "epsilon"),
    M("epsilon NaN",           D_SET,  LL "attention.layer_norm_rms_epsilon", DF32, NAN32, "", MODEL, LL "attention.layer_norm_rms_epsilon", "epsilon"),
    M("epsilon -1e-5",         D_SET,  LL "attention.layer_norm_rms_epsilon", DF32, 0xB727C5ACu, "", MODEL, LL "attention.layer_norm_rms_epsilon", "epsilon"),
    M("epsilon infinite",      D_SET,  LL "attention.layer_norm_rms_epsilon", DF32, 0x7F800000u, "", MODEL, LL "attention.layer_norm_rms_epsilon", "epsilon"),
    M("epsilon as text",       D_TEXT, LL "attention.layer_norm_rms_epsilon", 0, 0, "1e-5", MODEL, LL "attention.layer_norm_rms_epsilon", "epsilon"),
    M("key_length 0",          D_ADD,  LL "attention.key_length", DU32, 0, "", MODEL, "added", "key_length"),
    M("key_length 2^20",       D_ADD,  LL "attention.key_length", DU32, 1 << 20, "", MODEL, "added", "key_length"),

    /* ---- tensors */
    N("no token_embd",         D_DROP, EMB, 0, 0, "", MODEL, "token_embd"),
    N("no output_norm",        D_DROP, "output_norm.weight", 0, 0, "", MODEL, "output_norm"),
    N("no attn_norm",          D_DROP, "blk.0.attn_norm.weight", 0, 0, "", MODEL, "blk.0.attn_norm"),
    N("no attn_q",             D_DROP, "blk.1.attn_q.weight", 0, 0, "", MODEL, "blk.1.attn_q"),
    N("no attn_output",        D_DROP, "blk.1.attn_output.weight", 0, 0, "", MODEL, "blk.1.attn_output"),
    N("no ffn_down",           D_DROP, "blk.0.ffn_down.weight", 0, 0, "", MODEL, "blk.0.ffn_down"),
    M("attn_q of 31 rows",     D_DIM,  "blk.0.attn_q.weight", 1, 31, "", MODEL, "blk.0.attn_q.weight", "blk.0.attn_q"),
    M("attn_q rows of 16",     D_DIM,  "blk.1.attn_q.weight", 0, 16, "", MODEL, "blk.1.attn_q.weight", "blk.1.attn_q"),
    M("attn_v of 32 rows",     D_DIM,  "blk.1.attn_v.weight", 1, 32, "", MODEL, "blk.1.attn_v.weight", "blk.1.attn_v"),
    M("ffn_down turned",       D_DIM,  "blk.1.ffn_down.weight", 0, 32, "", MODEL, "blk.1.ffn_down.weight", "blk.1.ffn_down"),
    M("attn_norm of 31",       D_DIM,  "blk.0.attn_norm.weight", 0, 31, "", MODEL, "blk.0.attn_norm.weight", "blk.0.attn_norm"),
    M("token_embd of 287 rows", D_DIM, EMB, 1, 287, "", MODEL, EMB, "token_embd"),
    M("output of 289 rows",    D_DIM,  OUTW, 1, 289, "", MODEL, OUTW, "output.weight"),
    M("token_embd a vector",   D_DIMS, EMB, 0, 1, "", MODEL, EMB, "token_embd"),
    M("attn_q of 3 dimensions", D_DIM, "blk.0.attn_q.weight", 2, 2, "", MODEL, "blk.0.attn_q.weight", "blk.0.attn_q"),
    M("attn_q of integers",    D_TYPE, "blk.0.attn_q.weight", 0, 26, "", UNSUPP, "blk.0.attn_q.weight", "blk.0.attn_q"),
    M("norm in Q8_0",          D_TYPE, "output_norm.weight", 0, 8, "", UNSUPP, "output_norm.weight", "output_norm"),
    M("a tensor without a role", D_NAME, OUTW, 0, 0, "blk.1.outpost.weight", UNSUPP, OUTW, "outpost"),
    M("a bias without its weight", D_NAME, "blk.1.ffn_gate.weight", 0, 0, "blk.1.ffn_gate.bias", MODEL, "blk.1.ffn_gate.weight", "ffn_gate.bias"),

    /* ---- experts that are tensors of their own */
    N("no expert 1 of up",     D_DROP | D_EXPERTS, "blk.1.ffn_up.1.weight", 0, 0, "", MODEL, "tensor blk.1.ffn_up.1.weight is missing"),
    N("no expert 0 of gate",   D_DROP | D_EXPERTS, "blk.1.ffn_gate.0.weight", 0, 0, "", MODEL, "tensor blk.1.ffn_gate.0.weight is missing"),
    N("expert 01",             D_NAME | D_EXPERTS, "blk.1.ffn_down.1.weight", 0, 0, "blk.1.ffn_down.01.weight", MODEL, "tensor blk.1.ffn_down.1.weight is missing"),
    N("three experts are said", D_SET | D_EXPERTS, LL "expert_count", DU32, 3, "", MODEL, "tensor blk.1.ffn_gate.2.weight is missing"),
    N("4096 experts are said", D_SET | D_EXPERTS, LL "expert_count", DU32, 4096, "", MODEL, "tensor blk.1.ffn_gate.2.weight is missing"),
    M("one expert is said",    D_SET | D_EXPERTS, LL "expert_count", DU32, 1, "", MODEL, "blk.1.ffn_gate_inp.weight", "ffn_gate_inp"),
    N("no experts are said",   D_SET | D_EXPERTS, LL "expert_count", DU32, 0, "", MODEL, "blk.1.ffn_up.weight is missing"),
    M("two used of two, as text", D_TEXT | D_EXPERTS, LL "expert_used_count", 0, 0, "2", MODEL, LL "expert_used_count", "expert_used_count"),
    M("an expert too many",    D_NAME | D_EXPERTS, OUTW, 0, 0, "blk.1.ffn_up.2.weight", UNSUPP, OUTW, "blk.1.ffn_up.2.weight"),
    M("an expert in a layer without", D_NAME | D_EXPERTS, OUTW, 0, 0, "blk.0.ffn_up.0.weight", UNSUPP, OUTW, "blk.0.ffn_up.0.weight"),
    M("an expert's bias",      D_NAME | D_EXPERTS, OUTW, 0, 0, "blk.1.ffn_up.1.bias", UNSUPP, OUTW, "blk.1.ffn_up.1.bias"),
    M("an expert of 31 rows",  D_DIM | D_EXPERTS, "blk.1.ffn_down.1.weight", 1, 31, "", MODEL, "blk.1.ffn_down.1.weight", "blk.1.ffn_down.1"),
    M("an expert turned",      D_DIM | D_EXPERTS, "blk.1.ffn_gate.1.weight", 0, 64, "", MODEL, "blk.1.ffn_gate.1.weight", "blk.1.ffn_gate.1"),
    M("an expert of 3 dimensions", D_DIM | D_EXPERTS, "blk.1.ffn_up.0.weight", 2, 2, "", MODEL, "blk.1.ffn_up.0.weight", "blk.1.ffn_up.0"),
    M("an expert of another type", D_TYPE | D_EXPERTS, "blk.1.ffn_up.1.weight", 0, 8, "", UNSUPP, "blk.1.ffn_up.1.weight", "blk.1.ffn_up.1.weight is not of type f32"),
    M("an expert of integers", D_TYPE | D_EXPERTS, "blk.1.ffn_up.1.weight", 0, 26, "", UNSUPP, "blk.1.ffn_up.1.weight", "blk.1.ffn_up.1"),
    M("an expert without a layer that has some", D_NAME, OUTW, 0, 0, "blk.1.ffn_up.0.weight", UNSUPP, OUTW, "blk.1.ffn_up.0.weight"),

    /* ---- the vocabulary */
    M("tokens as numbers",     D_ITEMS, TG "tokens", DU32, 288, "", MODEL, TG "tokens", "tokens"),
    M("tokens no array",       D_TEXT, TG "tokens", 0, 0, "<unk>", MODEL, TG "tokens", "tokens"),
    M("no tokens at all",      D_ITEMS, TG "tokens", DSTR, 0, "", MODEL, TG "tokens", "tokens"),
    M("287 scores",            D_ITEMS, TG "scores", DF32, 287, "", MODEL, TG "scores", "scores"),
    M("scores as text",        D_ITEMS, TG "scores", DSTR, 288, "", MODEL, TG "scores", "scores"),
    M("scores as integers",    D_ITEMS, TG "scores", DI32, 288, "", MODEL, TG "scores", "scores"),
    M("289 token types",       D_ITEMS, TG "token_type", DI32, 289, "", MODEL, TG "token_type", "token_type"),
    M("token types as f32",    D_ITEMS, TG "token_type", DF32, 288, "", MODEL, TG "token_type", "token_type"),
    M("bos as text",           D_TEXT, TG "bos_token_id", 0, 0, "<s>", MODEL, TG "bos_token_id", "bos_token_id"),
    N("no tokens",             D_DROP, TG "tokens", 0, 0, "", MODEL, "tokens"),
    M("tokenizer model as u32", D_SET, TG "model", DU32, 1, "", MODEL, TG "model", "tokenizer.ggml.model")
};
/* clang-format on */
#undef DK
#undef DKS
#undef DKA
#undef DT1
#undef DT2
#undef DTL
#undef G
#undef GS
#undef M
#undef N
#undef FORMAT
#undef UNSUPP
#undef MODEL
#undef NAN32
#undef ALL64
#undef LL
#undef TG
#undef EMB
#undef OUTW

/* ---- writing ---- */
typedef struct damage__mark {
    const char *name;
    uint64_t at[F_N];
} damage__mark;
typedef struct damage__file {
    uint8_t *p;
    uint64_t n, cap; /* n may pass cap: then the file did not fit */
    damage__mark mark[DAMAGE__ALL_KEYS + DAMAGE__ALL_TENSORS + 2];
    int n_marks;
} damage__file;

static inline void damage__put(damage__file *f, const void *p, uint64_t n) {
    if (f->n + n <= f->cap) memcpy(f->p + f->n, p, (size_t)n);
    f->n += n;
}
static inline void damage__le(damage__file *f, uint64_t v, uint32_t n) {
    uint32_t i;
    for (i = 0; i < n; i++) {
        uint8_t b = (uint8_t)(v >> (8 * i));
        damage__put(f, &b, 1);
    }
}
static inline void damage__str(damage__file *f, const char *s) {
    damage__le(f, strlen(s), 8);
    damage__put(f, s, strlen(s));
}
/* Token i, as in shared/fixtures/zoo. */
static inline void damage__token(damage__file *f, uint64_t i) {
    char t[24];
    if (i < 3)
        strcpy(t, i == 0 ? "<unk>" : i == 1 ? "<s>" : "</s>");
    else if (i < 259)
        sprintf(t, "<0x%02X>", (unsigned)(i - 3));
    else
        sprintf(t, "\xE2\x96\x81t%u", (unsigned)(i - 259));
    damage__str(f, t);
}
static inline uint32_t damage__type_bytes(uint32_t type) {
    static const uint8_t bytes[13] = { 1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8 };
    return bytes[type];
}
static inline void damage__write_key(damage__file *f, const char *mark, const damage__key *k) {
    damage__mark *m = &f->mark[f->n_marks++];
    uint64_t i;
    m->name = mark;
    m->at[F_ENTRY] = f->n;
    damage__le(f, strlen(k->name), 8);
    m->at[F_NAME] = f->n;
    damage__put(f, k->name, strlen(k->name));
    m->at[F_TYPE] = f->n;
    damage__le(f, k->type, 4);
    m->at[F_ITEM] = m->at[F_COUNT] = f->n;
    if (k->type == DARR) {
        damage__le(f, k->item, 4);
        m->at[F_COUNT] = f->n;
        damage__le(f, k->n, 8);
    }
    m->at[F_VALUE] = f->n;
    if (k->type == DSTR)
        damage__str(f, k->s);
    else if (k->type != DARR)
        damage__le(f, k->u, damage__type_bytes(k->type));
    else
        for (i = 0; i < k->n; i++) {
            if (k->item == DSTR)
                damage__token(f, i);
            else if (k->item == DF32) {
                float score = i < 259 ? 0.0f : -(float)(i - 259);
                uint32_t u;
                memcpy(&u, &score, 4);
                damage__le(f, u, 4);
            } else if (strstr(k->name, "token_type"))
                damage__le(f,
                           i == 0    ? 2
                           : i < 3   ? 3
                           : i < 259 ? 6
                                     : 1,
                           damage__type_bytes(k->item));
            else
                damage__le(f, i & 1, damage__type_bytes(k->item));
        }
    m->at[F_END] = f->n;
}
static inline uint64_t
damage__tensor_bytes(const damage__tensor *t) { /* only the types that rows use */
    uint64_t n = t->n[0] * t->n[1] * t->n[2] * t->n[3];
    return t->type == 8 ? n / 32 * 34 : n * 4;
}

static inline int damage__has_key(int experts, const damage__row *r, int op, int k) {
    return (experts || k < DAMAGE__N_KEYS) &&
           !(r && op == D_DROP && !strcmp(r->target, damage__keys[k].name));
}
static inline int damage__has_tensor(int experts, const damage__row *r, int op, int k) {
    int of_experts = k >= DAMAGE__N_TENSORS,
        of_others = k >= DAMAGE__FFN_1 && k < DAMAGE__FFN_1 + 3;
    return (experts ? !of_others : !of_experts) &&
           !(r && op == D_DROP && !strcmp(r->target, damage__tensors[k].name));
}
static inline uint64_t damage__build(int experts, const damage__row *r, uint8_t *buf, uint64_t cap,
                                     damage *out) {
    damage__file f;
    damage__tensor t[DAMAGE__ALL_TENSORS];
    uint64_t offset = 0, rng = 88172645463325252u, data, at = 0, i, n_keys = 0, n_tensors = 0;
    int k, n_written = 0, wide, op = r ? r->op & ~D_EXPERTS : 0;

    memset(&f, 0, sizeof f);
    f.p = buf;
    f.cap = cap;
    damage__put(&f, "GGUF", 4);
    damage__le(&f, 3, 4);
    for (k = 0; k < DAMAGE__ALL_TENSORS; k++)
        n_tensors += (uint64_t)damage__has_tensor(experts, r, op, k);
    for (k = 0; k < DAMAGE__ALL_KEYS; k++) n_keys += (uint64_t)damage__has_key(experts, r, op, k);
    n_keys += r && (op == D_ADD || op == D_ADD_ITEMS);
    damage__le(&f, n_tensors, 8);
    damage__le(&f, n_keys, 8);

    for (k = 0; k < DAMAGE__ALL_KEYS; k++) {
        damage__key key = damage__keys[k];
        if (!damage__has_key(experts, r, op, k)) continue;
        if (r && !strcmp(r->target, key.name)) switch (op) {
            case D_SET:
                key.type = r->a;
                key.u = r->u;
                break;
            case D_TEXT:
                key.type = DSTR;
                key.s = r->s;
                break;
            case D_ITEMS:
                key.type = DARR;
                key.item = r->a;
                key.n = r->u;
                break;
            case D_NAME: key.name = r->s; break;
            default: break;
            }
        damage__write_key(&f, damage__keys[k].name, &key);
    }
    if (r && (op == D_ADD || op == D_ADD_ITEMS)) {
        damage__key key;
        key.name = r->target;
        key.type = r->a;
        key.item = 0;
        key.n = 1;
        key.u = r->u;
        key.s = r->s;
        if (op == D_ADD_ITEMS) {
            key.type = DARR;
            key.item = r->a;
            key.n = r->u;
        }
        damage__write_key(&f, "added", &key);
    }
    for (k = 0; k < DAMAGE__ALL_TENSORS; k++) {
        damage__tensor *x = &t[n_written];
        damage__mark *m;
        uint32_t d;
        *x = damage__tensors[k];
        if (!damage__has_tensor(experts, r, op, k)) continue;
        if (r && !strcmp(r->target, x->name)) switch (op) {
            case D_DIM:
                x->n[r->a] = r->u;
                if (x->n_dims < r->a + 1) x->n_dims = r->a + 1;
                break;
            case D_DIMS:
                x->n_dims = (uint32_t)r->u;
                for (d = x->n_dims; d < 4; d++) x->n[d] = 1;
                break;
            case D_TYPE: x->type = (uint32_t)r->u; break;
            case D_NAME: x->name = r->s; break;
            default: break;
            }
        m = &f.mark[f.n_marks++];
        m->name = damage__tensors[k].name;
        m->at[T_ENTRY] = f.n;
        damage__le(&f, strlen(x->name), 8);
        m->at[T_NAME] = f.n;
        damage__put(&f, x->name, strlen(x->name));
        m->at[T_NDIMS] = f.n;
        damage__le(&f, x->n_dims, 4);
        m->at[T_DIMS] = f.n;
        for (d = 0; d < x->n_dims; d++) damage__le(&f, x->n[d], 8);
        m->at[T_TYPE] = f.n;
        damage__le(&f, x->type, 4);
        m->at[T_OFFSET] = f.n;
        damage__le(&f, offset, 8);
        m->at[T_END] = f.n;
        offset += (damage__tensor_bytes(x) + 31) / 32 * 32;
        n_written++;
    }
    while (f.n % 32) damage__le(&f, 0, 1);
    data = f.n;
    for (k = 0; k < n_written; k++) { /* weights: uniform with variance 1/n_in, norms near 1 */
        uint64_t n = (damage__tensor_bytes(&t[k]) + 3) / 4;
        for (i = 0; i < n; i++) {
            float x;
            uint32_t u;
            rng ^= rng << 13;
            rng ^= rng >> 7;
            rng ^= rng << 17;
            x = (float)(int32_t)(rng >> 32) * (1.0f / 2147483648.0f);
            x = t[k].n_dims == 1 ? 1.0f + 0.1f * x : x * (t[k].n[0] > 32 ? 0.2165f : 0.3062f);
            memcpy(&u, &x, 4);
            if (t[k].type) u = 0;
            damage__le(&f, u, 4);
        }
        while ((f.n - data) % 32) damage__le(&f, 0, 1);
    }
    if (f.n > cap) return 0;
    f.mark[f.n_marks].name = "";
    f.mark[f.n_marks].at[F_BYTE] = 0;
    f.mark[f.n_marks++].at[F_EOF] = f.n;
    if (!r) return f.n;

    memset(out, 0, sizeof *out);
    out->name = r->name;
    out->word = r->word;
    out->stage = r->stage;
    out->place = r->place;
    out->code = r->code;
    for (k = 0; k < f.n_marks; k++) {
        if (op >= D_PUT1 && !strcmp(f.mark[k].name, r->target))
            at = f.mark[k].at[r->a] + (uint64_t)(int64_t)r->d;
        if (!strcmp(f.mark[k].name, r->at)) {
            out->lo = f.mark[k].at[r->field] + (uint64_t)(int64_t)r->at_d;
            out->hi =
                f.mark[k].at[F_END] +
                (f.mark[k].at[F_END] == f.mark[k].at[F_VALUE]); /* an empty value has a place too */
        }
    }
    if (op == D_CUT) f.n = at;
    wide = op == D_PUT1 ? 1 : op == D_PUT2 ? 2 : op == D_PUT4 ? 4 : op == D_PUT8 ? 8 : 0;
    for (k = 0; k < wide; k++) buf[at + (uint64_t)k] = (uint8_t)(r->u >> (8 * k));
    return out->n_bytes = f.n;
}

/* ---- what tests call ---- */
DAMAGE_FN int damage_count(void) { return (int)(sizeof damage__rows / sizeof *damage__rows); }
/* The sound file; its size, or 0 when cap is too small. */
DAMAGE_FN uint64_t damage_valid(uint8_t *buf, uint64_t cap) {
    return damage__build(0, NULL, buf, cap, NULL);
}
DAMAGE_FN uint64_t damage_valid_experts(uint8_t *buf, uint64_t cap) {
    return damage__build(1, NULL, buf, cap, NULL);
}
/* Damage i. The size may well be 0: cap is then DAMAGE_MAX_BYTES all the same. */
DAMAGE_FN uint64_t damage_make(int i, uint8_t *buf, uint64_t cap, damage *out) {
    return damage__build(damage__rows[i].op & D_EXPERTS, &damage__rows[i], buf, cap, out);
}

/* Was the right thing said? Prints the row and what came instead when not. */
DAMAGE_FN int damage_matches(const damage *d, int32_t status, const aios_error *err) {
    int ok = status < 0 && status == err->code && (d->code == 0 || d->code == status) &&
             strstr(err->text, d->word) != NULL && strlen(err->text) < sizeof err->text;
    if (d->place == DAMAGE_AT) ok = ok && err->offset == d->lo;
    if (d->place == DAMAGE_IN) ok = ok && err->offset >= d->lo && err->offset < d->hi;
    if (d->place == DAMAGE_NO_PLACE) ok = ok && err->offset == UINT64_MAX;
    if (!ok)
        printf(
            "damage '%s': wanted code %d, offset %s%lld..%lld, '%s'; got %d (record: %d, offset %lld) '%s'\n",
            d->name, (int)d->code,
            d->place == DAMAGE_AT         ? "="
            : d->place == DAMAGE_IN       ? "in "
            : d->place == DAMAGE_NO_PLACE ? "none "
                                          : "any ",
            (long long)d->lo, (long long)d->hi, d->word, (int)status, (int)(status ? err->code : 0),
            (long long)(status ? err->offset : 0), status ? err->text : "");
    return ok;
}

#endif
