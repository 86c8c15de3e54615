/* synth.c: writes GGUF v3 models of real shapes with random weights, for measuring speed.
 *
 *     cc -std=c99 -O2 tools/synth.c -o synth
 *     ./synth llama-1b Q4_0 /tmp/llama-1b-q4_0.gguf
 *
 * Speed depends on shapes and block types, not on what the weights say, so no download is needed.
 * The files load in every engine that reads GGUF: tensor names, keys and tokenizer are the usual ones,
 * and the text that comes out is nonsense with finite logits. Depends on libc only, on nothing of this
 * library: it must not share a mistake with the reader that it tests. The same arguments give the
 * same bytes on every machine.
 *
 * How the weights are made: a block is random bytes, since every bit pattern is a legal code; then its scale
 * fields are overwritten so that a decoded row has standard deviation 1/sqrt(n_in). A product with a
 * normalised activation is then again of size 1, attention scores too, and nothing overflows at any depth.
 *
 * Order of the file: tables (block types, mixtures, architectures, shapes), random blocks, header, main. */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- block types ---------------------------------------------------------------------------------- */

enum { /* index into types[] below, in the same order */
    F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, IQ4_NL, MXFP4, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, IQ1_S,
    IQ1_M, IQ2_XXS, IQ2_XS, IQ2_S, IQ3_XXS, IQ3_S, IQ4_XS, TQ1_0, TQ2_0, N_TYPES
};

enum { /* how the scale of a block is stored */
    S_FLOAT, /* not a block: the number itself                                        */
    S_HALF,  /* f16 at d_off; if m_off >= 0 a second one, m_ratio times the first     */
    S_E8M0,  /* one exponent byte                                                     */
    S_SPLIT  /* IQ1_M: an f16 whose four nibbles sit on top of four 16-bit scales     */
};

/* rms: root mean square of a decoded block of random codes when d is 1 and the minimum is m_ratio. m_ratio
 * is chosen so that the mean is 0: a common mean would add up along the row. Where the codes have a mean
 * of their own and no minimum (Q4_0: -0.5), `sign` lets d be negative in half of the blocks, as in
 * real files. The rms of Q and TQ types follow from uniform codes; those of the IQ grids were measured. */
typedef struct type_row {
    const char *name;
    uint32_t id, file_type;  /* ggml type; general.file_type of a file of it               */
    int32_t n, bytes, store; /* weights and bytes in a block; S_*                          */
    int32_t d_off, m_off;    /* byte positions of scale and minimum; -1 = none             */
    double m_ratio, rms;
    int32_t sign, fallback;  /* fallback: type for rows that n does not divide, as llama-quantize has it */
} type_row;

static const type_row types[N_TYPES] = {
    /* name    id  ft   n  bytes store   d_off m_off ratio  rms    sign fallback */
    {"F32",     0,  0,   1,   4, S_FLOAT,   0,  -1,   0.0,    1.0,   0, F32},
    {"F16",     1,  1,   1,   2, S_FLOAT,   0,  -1,   0.0,    1.0,   0, F16},
    {"BF16",   30, 32,   1,   2, S_FLOAT,   0,  -1,   0.0,    1.0,   0, BF16},
    {"Q4_0",    2,  2,  32,  18, S_HALF,    0,  -1,   0.0,    4.64,  1, F16},
    {"Q4_1",    3,  3,  32,  20, S_HALF,    0,   2,  -7.5,    4.61,  0, F16},
    {"Q5_0",    6,  8,  32,  22, S_HALF,    0,  -1,   0.0,    9.25,  1, F16},
    {"Q5_1",    7,  9,  32,  24, S_HALF,    0,   2, -15.5,    9.23,  0, F16},
    {"Q8_0",    8,  7,  32,  34, S_HALF,    0,  -1,   0.0,   73.5,   0, F16},
    {"IQ4_NL", 20, 25,  32,  18, S_HALF,    0,  -1,   0.0,   67.4,   1, F16},
    {"MXFP4",  39, 38,  32,  17, S_E8M0,    0,  -1,   0.0,    5.85,  0, F16},
    {"Q2_K",   10, 10, 256,  84, S_HALF,   80,  82,   1.5,   13.9,   0, Q4_0},
    {"Q3_K",   11, 11, 256, 110, S_HALF,  108,  -1,   0.0,   43.3,   1, Q4_0},
    {"Q4_K",   12, 14, 256, 144, S_HALF,    0,   2,   7.5,  258.3,   0, Q5_0},
    {"Q5_K",   13, 16, 256, 176, S_HALF,    0,   2,  15.5,  526.9,   0, Q5_1},
    {"Q6_K",   14, 18, 256, 210, S_HALF,  208,  -1,   0.0, 1366.0,   1, Q8_0},
    {"IQ1_S",  19, 24, 256,  50, S_HALF,    0,  -1,   0.0,    7.18,  0, IQ4_NL},
    {"IQ1_M",  29, 31, 256,  56, S_SPLIT,  48,  -1,   0.0,    7.20,  0, IQ4_NL},
    {"IQ2_XXS",16, 19, 256,  66, S_HALF,    0,  -1,   0.0,   53.3,   0, IQ4_NL},
    {"IQ2_XS", 17, 20, 256,  74, S_HALF,    0,  -1,   0.0,   55.9,   0, IQ4_NL},
    {"IQ2_S",  22, 28, 256,  82, S_HALF,    0,  -1,   0.0,   56.4,   0, IQ4_NL},
    {"IQ3_XXS",18, 23, 256,  98, S_HALF,    0,  -1,   0.0,  142.3,   0, IQ4_NL},
    {"IQ3_S",  21, 26, 256, 110, S_HALF,    0,  -1,   0.0,  140.1,   0, IQ4_NL},
    {"IQ4_XS", 23, 30, 256, 136, S_HALF,    0,  -1,   0.0, 1246.0,   1, IQ4_NL},
    {"TQ1_0",  34, 36, 256,  54, S_HALF,   52,  -1,   0.0,    0.816, 0, Q4_0},
    {"TQ2_0",  35, 37, 256,  66, S_HALF,   64,  -1,   0.0,    0.707, 0, Q4_0},
};

/* What llama-quantize calls Q4_K_M is a mixture: `more` goes to the output matrix (or the embedding that serves
 * as one), and to attn_v (a fused attn_qkv counts as one) and ffn_down of the layers that use_more_bits()
 * picks; falcon's ffn_down has a rule of its own. Tensor by tensor the choice of llama.cpp 0.5.0. */
typedef struct mix_row {
    const char *name;
    uint32_t file_type;
    int32_t base, more, falcon_down; /* falcon_down: for picked ffn_down past the first 16th of its layers */
} mix_row;

static const mix_row mixes[] = {
    {"Q4_K_M", 15, Q4_K, Q6_K, Q5_K},
    {"Q5_K_M", 17, Q5_K, Q6_K, Q6_K},
};

/* ---- architectures and shapes --------------------------------------------------------------------- */

enum { D_ONE, D_EMBD, D_FF, D_VOCAB, D_Q, D_KV, D_QKV, D_HEAD, D_EXPERTS, D_FF_EXP, N_DIMS };      /* a side of a tensor */
enum { R_WEIGHT, R_EMBD, R_OUT, R_V, R_DOWN, R_ONES, R_BIAS, R_ROUTER, R_EXPERTS };     /* what it is for; EXPERTS: a matrix for each */

typedef struct tensor_row {
    const char *name;                  /* without ".weight" or ".bias"; per layer: without "blk.N."  */
    int32_t per_layer, role, in, out;  /* out == D_ONE: a vector                                     */
} tensor_row;

static const tensor_row llama_tensors[] = {
    {"token_embd",  0, R_EMBD,   D_EMBD, D_VOCAB},
    {"attn_norm",   1, R_ONES,   D_EMBD, D_ONE},
    {"attn_q",      1, R_WEIGHT, D_EMBD, D_Q},
    {"attn_k",      1, R_WEIGHT, D_EMBD, D_KV},
    {"attn_v",      1, R_V,      D_EMBD, D_KV},
    {"attn_q",      1, R_BIAS,   D_Q,    D_ONE}, /* biases only where the architecture has them */
    {"attn_k",      1, R_BIAS,   D_KV,   D_ONE},
    {"attn_v",      1, R_BIAS,   D_KV,   D_ONE},
    {"attn_output", 1, R_WEIGHT, D_Q,    D_EMBD},
    {"ffn_norm",    1, R_ONES,   D_EMBD, D_ONE},
    {"ffn_gate",    1, R_WEIGHT, D_EMBD, D_FF},
    {"ffn_up",      1, R_WEIGHT, D_EMBD, D_FF},
    {"ffn_down",    1, R_DOWN,   D_FF,   D_EMBD},
    {"output_norm", 0, R_ONES,   D_EMBD, D_ONE},
    {"output",      0, R_OUT,    D_EMBD, D_VOCAB},
    {NULL, 0, 0, 0, 0}};

static const tensor_row falcon_tensors[] = {
    {"token_embd",  0, R_EMBD,   D_EMBD, D_VOCAB},
    {"attn_norm",   1, R_ONES,   D_EMBD, D_ONE}, /* one norm for both halves: they run in parallel */
    {"attn_norm",   1, R_BIAS,   D_EMBD, D_ONE},
    {"attn_qkv",    1, R_V,      D_EMBD, D_QKV},
    {"attn_output", 1, R_WEIGHT, D_Q,    D_EMBD},
    {"ffn_up",      1, R_WEIGHT, D_EMBD, D_FF},
    {"ffn_down",    1, R_DOWN,   D_FF,   D_EMBD},
    {"output_norm", 0, R_ONES,   D_EMBD, D_ONE},
    {"output_norm", 0, R_BIAS,   D_EMBD, D_ONE},
    {"output",      0, R_OUT,    D_EMBD, D_VOCAB},
    {NULL, 0, 0, 0, 0}};

static const tensor_row qwen3moe_tensors[] = {
    {"token_embd",  0, R_EMBD,   D_EMBD, D_VOCAB},
    {"attn_norm",   1, R_ONES,   D_EMBD, D_ONE},
    {"attn_q",      1, R_WEIGHT, D_EMBD, D_Q},
    {"attn_k",      1, R_WEIGHT, D_EMBD, D_KV},
    {"attn_v",      1, R_V,      D_EMBD, D_KV},
    {"attn_q_norm", 1, R_ONES,   D_HEAD, D_ONE},
    {"attn_k_norm", 1, R_ONES,   D_HEAD, D_ONE},
    {"attn_output", 1, R_WEIGHT, D_Q,    D_EMBD},
    {"ffn_norm",    1, R_ONES,   D_EMBD, D_ONE},
    {"ffn_gate_inp", 1, R_ROUTER, D_EMBD, D_EXPERTS},
    {"ffn_gate_exps", 1, R_EXPERTS, D_EMBD, D_FF_EXP},
    {"ffn_up_exps", 1, R_EXPERTS, D_EMBD, D_FF_EXP},
    {"ffn_down_exps", 1, R_EXPERTS, D_FF_EXP, D_EMBD},
    {"output_norm", 0, R_ONES,   D_EMBD, D_ONE},
    {"output",      0, R_OUT,    D_EMBD, D_VOCAB},
    {NULL, 0, 0, 0, 0}};

enum { LLAMA, QWEN2, FALCON, QWEN3MOE };

typedef struct arch_row {
    const char *name, *pre, *eps_key; /* pre: tokenizer.ggml.pre */
    const tensor_row *tensors;
    int32_t has_bias;
} arch_row;

static const arch_row archs[] = {
    {"llama",  "llama-bpe", "attention.layer_norm_rms_epsilon", llama_tensors,  0},
    {"qwen2",  "qwen2",     "attention.layer_norm_rms_epsilon", llama_tensors,  1},
    {"falcon", "falcon",    "attention.layer_norm_epsilon",     falcon_tensors, 1},
    {"qwen3moe", "qwen2",   "attention.layer_norm_rms_epsilon", qwen3moe_tensors, 0},
};

typedef struct shape_row {
    const char *name;
    int32_t arch, n_embd, n_layer, n_ff, n_head, n_head_kv, head_dim, n_vocab, n_ctx, tied;
    float rope_base, eps;
    int32_t n_expert, n_used, n_ff_exp;
} shape_row;

static const shape_row shapes[] = {
    /* name          arch   embd layer   ff  head kv  dim  vocab    ctx tied  rope     eps   experts used ff */
    {"tiny",        LLAMA,   256,  2,   512,   4,  2,  64,    512,   2048, 0,   10000.0f, 1e-5f,  0, 0,   0},
    {"llama-1b",    LLAMA,  2048, 16,  8192,  32,  8,  64, 128256, 131072, 1,  500000.0f, 1e-5f,  0, 0,   0},
    {"llama-7b",    LLAMA,  4096, 32, 11008,  32, 32, 128,  32000,   4096, 0,   10000.0f, 1e-5f,  0, 0,   0},
    {"llama-8b",    LLAMA,  4096, 32, 14336,  32,  8, 128, 128256,   8192, 0,  500000.0f, 1e-5f,  0, 0,   0},
    {"falcon-7b",   FALCON, 4544, 32, 18176,  71,  1,  64,  65024,   2048, 0,   10000.0f, 1e-5f,  0, 0,   0},
    {"qwen2-0.5b",  QWEN2,   896, 24,  4864,  14,  2,  64, 151936,  32768, 1, 1000000.0f, 1e-6f,  0, 0,   0},
    {"tiny-moe",    QWEN3MOE, 256, 3,   512,   4,  2,  64,    512,   2048, 0, 1000000.0f, 1e-6f,  8, 2, 256},
    {"moe-2b",      QWEN3MOE, 1024, 16, 2048, 16,  4,  64,  32000,  32768, 0, 1000000.0f, 1e-6f, 64, 8, 768},
};

#define COUNT(a) ((int32_t)(sizeof(a) / sizeof((a)[0])))

/* ---- bytes out ------------------------------------------------------------------------------------ */

/* Everything is written through this. With file NULL it only counts, which is how sizes and the number of keys
 * are known before the first byte is written: the same code runs twice. */
typedef struct sink {
    FILE *file;
    uint64_t n_bytes, n_keys;
} sink;

static void die(const char *what, const char *which)
{
    fprintf(stderr, "synth: %s %s\n", what, which);
    exit(1);
}

static void put(sink *o, const void *p, size_t n)
{
    if (o->file && n && fwrite(p, 1, n, o->file) != n) die("cannot write", "the output file");
    o->n_bytes += n;
}

static void store_le(uint8_t *p, uint64_t v, int n)
{
    for (int i = 0; i < n; i++) p[i] = (uint8_t)(v >> (8 * i));
}

static void put_le(sink *o, uint64_t v, int n)
{
    uint8_t b[8];
    store_le(b, v, n);
    put(o, b, (size_t)n);
}

static void put_pad(sink *o) /* 32 = general.alignment */
{
    while (o->n_bytes % 32) put_le(o, 0, 1);
}

/* ---- random blocks -------------------------------------------------------------------------------- */

static uint64_t next64(uint64_t *s) /* xorshift64*; period 2^64 - 1, *s never 0 */
{
    *s ^= *s >> 12;
    *s ^= *s << 25;
    *s ^= *s >> 27;
    return *s * 0x2545F4914F6CDD1DULL;
}

static uint32_t float_bits(float x)
{
    uint32_t u;
    memcpy(&u, &x, 4);
    return u;
}

/* To f16. The product moves the exponent bias from 127 to 15; float denormals become f16 ones. |x| < 65504. */
static uint16_t half_bits(float x)
{
    uint32_t u = float_bits(x * 0x1p-112f);
    return (uint16_t)((u >> 16 & 0x8000) | (((u & 0x7fffffff) + 0x1000) >> 13));
}

static double root(double x) /* Newton; spares users the -lm */
{
    double r = x > 1 ? x : 1;
    for (int i = 0; i < 64; i++) r = 0.5 * (r + x / r);
    return r;
}

/* The 64 scales (and minima) that the blocks of one tensor draw from: within a quarter of the mean, so that
 * a kernel that takes a neighbour's scale gives another result. */
typedef struct scale_set {
    uint16_t d[64], m[64]; /* bits as stored: f16, or an exponent */
    float max;             /* S_FLOAT: uniform in [-max, max]     */
} scale_set;

static void scales_make(scale_set *s, const type_row *t, double std)
{
    s->max = (float)(std * 1.7320508); /* sqrt(3): uniform has std max / sqrt(3) */
    for (int i = 0; i < 64; i++) {
        double d = std / t->rms * (0.75 + (i / 2 + 0.5) / 64.0);
        s->d[i] = half_bits((float)(t->sign && i % 2 ? -d : d));
        s->m[i] = half_bits((float)(d * t->m_ratio));
    }
    if (t->store == S_E8M0) { /* only powers of two: mix the two nearest so that the mean square is right */
        int e = 0;
        double d = std / t->rms, p = 1;
        while (p > d) p /= 2, e--;
        double share = ((d / p) * (d / p) - 1) / 3; /* of blocks with 2p */
        for (int i = 0; i < 64; i++) s->d[i] = (uint16_t)(128 + e + (i < share * 64)); /* table is doubled: 128 */
    }
}

/* Fills buf with n_blocks random blocks. Codes that no quantizer writes are mended: -128 in Q8_0 (kernels
 * may negate it), the fourth state of a ternary code. */
static void blocks_make(uint8_t *buf, size_t n_blocks, int32_t type, const scale_set *s, uint64_t *seed)
{
    const type_row *t = &types[type];
    size_t n = n_blocks * (size_t)t->bytes;
    for (size_t i = 0; i < n; i += 8) store_le(buf + i, next64(seed), 8); /* buf has 8 bytes to spare */

    for (size_t b = 0; b < n_blocks; b++) {
        uint8_t *p = buf + b * (size_t)t->bytes;
        if (t->store == S_FLOAT) {
            uint32_t r = (uint32_t)next64(seed);
            float x = ((float)(r >> 8) * 0x1p-23f - 1.0f) * s->max;
            if (type == F32) store_le(p, float_bits(x), 4);
            else if (type == F16) store_le(p, half_bits(x), 2);
            else store_le(p, float_bits(x) >> 16, 2);
            continue;
        }
        uint64_t i = next64(seed) >> 58;
        if (t->store == S_HALF) {
            store_le(p + t->d_off, s->d[i], 2);
            if (t->m_off >= 0) store_le(p + t->m_off, s->m[i], 2);
        } else if (t->store == S_E8M0) {
            p[t->d_off] = (uint8_t)s->d[i];
        } else {
            for (int k = 0; k < 4; k++) { /* lowest nibble first, each in the top of a 16-bit word */
                uint8_t *top = p + t->d_off + 2 * k + 1;
                *top = (uint8_t)((*top & 15) | (s->d[i] >> (4 * k) & 15) << 4);
            }
        }
        if (type == Q8_0)
            for (int k = 2; k < 34; k++) p[k] = p[k] == 0x80 ? 0 : p[k];
        if (type == TQ2_0)
            for (int k = 0; k < 64; k++) p[k] = (uint8_t)(p[k] & ~(p[k] << 1 & p[k] & 0xAA));
    }
}

/* ---- header --------------------------------------------------------------------------------------- */

enum { K_U32 = 4, K_I32 = 5, K_F32 = 6, K_BOOL = 7, K_STR = 8, K_ARR = 9 };

static void put_str(sink *o, const char *s)
{
    put_le(o, strlen(s), 8);
    put(o, s, strlen(s));
}

/* A key that starts with '.' belongs to the architecture. */
static void key(sink *o, const char *arch, const char *name, uint32_t kind)
{
    char full[96];
    snprintf(full, sizeof full, "%s%s", name[0] == '.' ? arch : "", name);
    put_str(o, full);
    put_le(o, kind, 4);
    o->n_keys++;
}

static void key_u32(sink *o, const char *arch, const char *name, uint32_t v)
{
    key(o, arch, name, K_U32);
    put_le(o, v, 4);
}

static void key_f32(sink *o, const char *arch, const char *name, float v)
{
    key(o, arch, name, K_F32);
    put_le(o, float_bits(v), 4);
}

static void key_str(sink *o, const char *name, const char *v)
{
    key(o, "", name, K_STR);
    put_str(o, v);
}

static void key_array(sink *o, const char *name, uint32_t kind, int32_t n)
{
    key(o, "", name, K_ARR);
    put_le(o, kind, 4);
    put_le(o, (uint64_t)n, 8);
}

/* Byte-level BPE: 256 tokens for the bytes, then aa ab .. zz aaa .. and so on, each reached by one merge of the
 * word without its last letter and that letter; last the two control tokens. Enough words for every vocabulary
 * here: 26^2 + 26^3 + 26^4. */
static void token_text(int32_t id, int32_t n_vocab, char out[8])
{
    if (id >= n_vocab - 2) {
        strcpy(out, id == n_vocab - 2 ? "<s>" : "</s>");
    } else if (id < 256) { /* printable bytes stand for themselves, the others for U+0100 and on, in order */
        int32_t c = id, shift = 0;
        for (int32_t k = 0; k <= id; k++) {
            int printable = (k > 32 && k < 127) || (k > 160 && k != 173);
            if (k == id) c = printable ? id : 256 + shift;
            shift += !printable;
        }
        if (c < 128) { out[0] = (char)c, out[1] = 0; }
        else { out[0] = (char)(0xC0 | c >> 6), out[1] = (char)(0x80 | (c & 63)), out[2] = 0; }
    } else {
        int32_t n = 2, k = id - 256, span = 26 * 26;
        while (k >= span) k -= span, span *= 26, n++;
        out[n] = 0;
        while (n--) out[n] = (char)('a' + k % 26), k /= 26;
    }
}

static void put_vocab(sink *o, const char *pre, int32_t n_vocab)
{
    char s[8];
    key_str(o, "tokenizer.ggml.model", "gpt2");
    key_str(o, "tokenizer.ggml.pre", pre);
    key_array(o, "tokenizer.ggml.tokens", K_STR, n_vocab);
    for (int32_t i = 0; i < n_vocab; i++) token_text(i, n_vocab, s), put_str(o, s);
    key_array(o, "tokenizer.ggml.token_type", K_I32, n_vocab);
    for (int32_t i = 0; i < n_vocab; i++) put_le(o, i < n_vocab - 2 ? 1 : 3, 4); /* normal, control */
    key_array(o, "tokenizer.ggml.merges", K_STR, n_vocab - 258);
    for (int32_t i = 256; i < n_vocab - 2; i++) {
        char merge[10];
        token_text(i, n_vocab, s);
        int n = (int)strlen(s) - 1;
        snprintf(merge, sizeof merge, "%.*s %c", n, s, s[n]);
        put_str(o, merge);
    }
    key_u32(o, "", "tokenizer.ggml.bos_token_id", (uint32_t)n_vocab - 2);
    key_u32(o, "", "tokenizer.ggml.eos_token_id", (uint32_t)n_vocab - 1);
    key(o, "", "tokenizer.ggml.add_bos_token", K_BOOL);
    put_le(o, 1, 1);
}

static void put_keys(sink *o, const shape_row *s, uint32_t file_type)
{
    const char *a = archs[s->arch].name;
    char eps_key[64];
    snprintf(eps_key, sizeof eps_key, ".%s", archs[s->arch].eps_key);
    key_str(o, "general.architecture", a);
    key_str(o, "general.name", s->name);
    key_u32(o, a, "general.file_type", file_type);
    key_u32(o, a, "general.quantization_version", 2);
    key_u32(o, a, "general.alignment", 32);
    key_u32(o, a, ".context_length", (uint32_t)s->n_ctx);
    key_u32(o, a, ".embedding_length", (uint32_t)s->n_embd);
    key_u32(o, a, ".block_count", (uint32_t)s->n_layer);
    key_u32(o, a, ".feed_forward_length", (uint32_t)s->n_ff);
    key_u32(o, a, ".attention.head_count", (uint32_t)s->n_head);
    key_u32(o, a, ".attention.head_count_kv", (uint32_t)s->n_head_kv);
    key_u32(o, a, ".rope.dimension_count", (uint32_t)s->head_dim);
    key_u32(o, a, ".vocab_size", (uint32_t)s->n_vocab);
    if (s->n_expert) {
        key_u32(o, a, ".expert_count", (uint32_t)s->n_expert);
        key_u32(o, a, ".expert_used_count", (uint32_t)s->n_used);
        key_u32(o, a, ".expert_feed_forward_length", (uint32_t)s->n_ff_exp);
    }
    key_f32(o, a, ".rope.freq_base", s->rope_base);
    key_f32(o, a, eps_key, s->eps);
    put_vocab(o, archs[s->arch].pre, s->n_vocab);
}

/* ---- the model: a walk over its tensors ----------------------------------------------------------- */

static int use_more_bits(int32_t i, int32_t n)
{
    return i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2;
}

static int32_t tensor_type(const shape_row *s, int32_t base, const mix_row *mix, int32_t role, int32_t layer, int32_t n_in)
{
    int32_t type = base;
    if (role == R_ONES || role == R_BIAS || role == R_ROUTER) return F32;
    if (mix) {
        int more = use_more_bits(layer, s->n_layer);
        type = mix->base;
        if (role == R_OUT || (role == R_EMBD && s->tied) || (role == R_V && more)) type = mix->more;
        if (role == R_DOWN && more)
            type = s->arch == FALCON && layer >= s->n_layer / 16 ? mix->falcon_down : mix->more;
    }
    while (n_in % types[type].n) type = types[type].fallback;
    return type;
}

/* Writes the directory (data == 0) or the data itself (data == 1), in the same walk so that they cannot
 * disagree. Returns the number of tensors. `at` is where the tensor starts in the data section. */
static int32_t put_tensors(sink *o, int data, const shape_row *s, int32_t base, const mix_row *mix, uint64_t seed)
{
    static uint8_t buf[(1 << 20) + 8];
    const int32_t kv = s->n_head_kv * s->head_dim, q = s->n_head * s->head_dim;
    const int32_t dims[N_DIMS] = {1, s->n_embd, s->n_ff, s->n_vocab, q, kv, q + 2 * kv, s->head_dim, s->n_expert, s->n_ff_exp};
    int32_t n_tensors = 0;
    uint64_t at = 0;

    for (int32_t layer = -1; layer <= s->n_layer; layer++) { /* -1: what precedes the layers; n_layer: follows */
        int32_t seen = 0;
        for (const tensor_row *r = archs[s->arch].tensors; r->name; r++) {
            seen |= r->per_layer;
            if (r->per_layer ? layer < 0 || layer == s->n_layer : layer != (seen ? s->n_layer : -1)) continue;
            if (r->role == R_OUT && s->tied) continue;
            if (r->role == R_BIAS && !archs[s->arch].has_bias) continue;

            const int32_t n_in = dims[r->in], n_out = dims[r->out], n = r->role == R_EXPERTS ? s->n_expert : 1;
            const int32_t type = tensor_type(s, base, mix, r->role, layer, n_in);
            const type_row *t = &types[type];
            uint64_t n_blocks = (uint64_t)n_in * (uint64_t)n_out / (uint64_t)t->n * (uint64_t)n;
            n_tensors++;
            if (!data) {
                char name[64], blk[24] = "";
                if (r->per_layer) snprintf(blk, sizeof blk, "blk.%d.", (int)layer);
                snprintf(name, sizeof name, "%s%s%s", blk, r->name, r->role == R_BIAS ? ".bias" : ".weight");
                put_str(o, name);
                put_le(o, n_out == 1 ? 1 : n == 1 ? 2 : 3, 4);
                put_le(o, (uint64_t)n_in, 8);
                if (n_out != 1) put_le(o, (uint64_t)n_out, 8);
                if (n != 1) put_le(o, (uint64_t)n, 8);
                put_le(o, t->id, 4);
                put_le(o, at, 8);
                at += (n_blocks * (uint64_t)t->bytes + 31) / 32 * 32;
                continue;
            }
            scale_set scales;
            uint64_t state = (seed + (uint64_t)n_tensors) * 0x9E3779B97F4A7C15ULL | 1; /* a stream per tensor */
            for (int i = 0; i < 8; i++) next64(&state);
            /* with experts, embeddings outweigh what layers add: tokens take routes of their own, where routes of a
             * model without that say little of a cache */
            scales_make(&scales, t, r->role == R_BIAS ? 0.05 : r->role == R_EMBD && s->n_expert ? 4 : 1 / root(n_in));
            while (n_blocks) {
                uint64_t k = (sizeof buf - 8) / (uint64_t)t->bytes;
                k = k < n_blocks ? k : n_blocks;
                blocks_make(buf, (size_t)k, type, &scales, &state);
                for (uint64_t i = 0; r->role == R_ONES && i < k; i++) store_le(buf + 4 * i, float_bits(1.0f), 4);
                put(o, buf, (size_t)k * (size_t)t->bytes);
                n_blocks -= k;
            }
            put_pad(o);
        }
    }
    return n_tensors;
}

/* ---- main ----------------------------------------------------------------------------------------- */

static int usage(void)
{
    printf("synth: writes a GGUF model of a real shape with random weights\n"
           "usage: synth SHAPE TYPE OUT.gguf [--seed N] [--layers N] [--vocab N] [--tied|--untied]\n\nshapes:");
    for (int32_t i = 0; i < COUNT(shapes); i++) printf(" %s", shapes[i].name);
    printf("\ntypes: ");
    for (int32_t i = 0; i < N_TYPES; i++) printf("%s%s", i == 12 ? "\n        " : " ", types[i].name);
    for (int32_t i = 0; i < COUNT(mixes); i++) printf(" %s", mixes[i].name);
    printf("\n\nA plain type is used for every matrix; a mixture as llama-quantize mixes. Where a row does not fill a\n"
           "block, the next type that llama-quantize would take is used.\n");
    return 2;
}

static int32_t number(const char *text, int32_t lo, int32_t hi)
{
    char *end;
    long v = text ? strtol(text, &end, 10) : 0;
    if (!text || !*text || *end || v < lo || v > hi) die("not a number in range:", text ? text : "(nothing)");
    return (int32_t)v;
}

int main(int argc, char **argv)
{
    if (argc < 4) return usage();

    shape_row s = {0};
    const mix_row *mix = NULL;
    int32_t base = -1, seed = 1;
    for (int32_t i = 0; i < COUNT(shapes); i++)
        if (!strcmp(argv[1], shapes[i].name)) s = shapes[i];
    for (int32_t i = 0; i < N_TYPES; i++)
        if (!strcmp(argv[2], types[i].name)) base = i;
    for (int32_t i = 0; i < COUNT(mixes); i++)
        if (!strcmp(argv[2], mixes[i].name)) mix = &mixes[i], base = mixes[i].base;
    if (!s.name) die("no shape", argv[1]);
    if (base < 0) die("no type", argv[2]);
    for (int i = 4; i < argc; i++) {
        if (!strcmp(argv[i], "--tied")) s.tied = 1;
        else if (!strcmp(argv[i], "--untied")) s.tied = 0;
        else if (!strcmp(argv[i], "--seed")) seed = number(argv[++i], 0, INT32_MAX);
        else if (!strcmp(argv[i], "--layers")) s.n_layer = number(argv[++i], 1, 1000);
        else if (!strcmp(argv[i], "--vocab")) s.n_vocab = number(argv[++i], 260, 400000);
        else die("no option", argv[i]);
    }

    uint32_t file_type = mix ? mix->file_type : types[base].file_type;
    sink count = {NULL, 0, 0}, out = {NULL, 0, 0};
    put_keys(&count, &s, file_type);
    int32_t n_tensors = put_tensors(&count, 0, &s, base, mix, 0);

    out.file = fopen(argv[3], "wb");
    if (!out.file) die("cannot open", argv[3]);
    put(&out, "GGUF", 4);
    put_le(&out, 3, 4);
    put_le(&out, (uint64_t)n_tensors, 8);
    put_le(&out, count.n_keys, 8);
    put_keys(&out, &s, file_type);
    put_tensors(&out, 0, &s, base, mix, 0);
    put_pad(&out);
    put_tensors(&out, 1, &s, base, mix, (uint64_t)(uint32_t)seed << 32);
    if (fclose(out.file)) die("cannot write", argv[3]);
    printf("%s: %s %s, %d tensors, %.1f MB\n", argv[3], s.name, argv[2], (int)n_tensors, (double)out.n_bytes / 1e6);
    return 0;
}
