/* op.h: what an op of a program is. All have a head; what an op of one kind needs besides is in
 * a struct of the union. A kind is a struct of functions: exec.c and pass.c ask it what they
 * want to know, and know no kind themselves.
 *
 * Ops run in phases. What one op of a phase writes, no other of it touches. An op is cut into
 * tasks that may run in any order and side by side with those of the phase's other ops; a task
 * sees what aios__run holds, writes what is its own, and takes no memory. A phase may run in
 * several rounds (what is streamed comes unit by unit); beside such an op nothing runs. */
#ifndef AIOS__OP_H
#define AIOS__OP_H

/* The forms of a value: f32, A32, A256. */
typedef struct aios__acts {
    char *p[AIOSK_N_ACTS];         /* column 0 of each form; NULL = nobody needs it */
    uint64_t stride[AIOSK_N_ACTS]; /* bytes from one token to the next */
    int32_t n;                     /* values of one token */
} aios__acts;

/* The tokens that go through the program together. */
typedef struct aios__pass {
    int32_t n, n_out, n_blocks;
    int32_t n_runs[2]; /* most runs of keys that a block sees: in all positions, in a window */
    int32_t *id, *seq, *pos; /* [n_batch] */
    int32_t *cell, *turn;    /* [n_batch] cell of the cache; position that rope turns for */
    int32_t *out;            /* [n_outputs] which of the tokens get logits */
    int32_t *block; /* [n_batch + 1] first token of each attention block (one sequence, one tile) */
} aios__pass;

/* What an op can see. */
typedef struct aios__run {
    const aiosk_isa *k;
    const aios__hp *hp;
    const aios__kv *kv;
    const aios__pass *pass;
    aios_counters *count;
    int32_t n_threads;
    int32_t round; /* how often the phase has run before */
    char *work;    /* [n_threads][work_bytes] */
    uint64_t work_bytes;
    uint64_t *kv_read; /* [n_threads][8] bytes of cache read, a line each */
    aios__stream *stream;
    const void *streamed;             /* the unit of this round */
    aios__rows *rows;                 /* of tables that are not resident */
    aios__moe *moe;                   /* lists of the layer that is at work */
    aios__expert_cache *expert_cache; /* of experts that are not resident; NULL = they are */
} aios__run;

struct aios__op;
typedef struct aios__op_kind {
    const char *name;
    /* what a task does; how many tasks there are now */
    void (*run)(const struct aios__op *o, const aios__run *r, int32_t task, int32_t worker);
    int32_t (*tasks)(const struct aios__op *o, const aios__run *r);
    /* counts weights that a pass has read; NULL: the op's w_bytes once, if the pass has rows */
    void (*read)(const struct aios__op *o, const aios__run *r, aios_counters *c);
    /* the rows that it wrote; NULL: none that one can look at */
    void (*wrote)(const struct aios__op *o, aios__acts *rows);
    int32_t alone; /* nothing runs beside it */
    /* The rest is asked of the first op of a phase; AIOS__PLAIN: there is nothing to ask. */
    int32_t (*rounds)(const struct aios__op *o, const aios__run *r); /* NULL: 1 */
    void (*enter)(const struct aios__op *o, aios__run *r);           /* a round begins */
    /* is what the round reads there? 1, 0 = not yet, AIOS_ERR_* = it cannot be read. How many
     * tasks there are may be known only then */
    int32_t (*ready)(const struct aios__op *o, aios__run *r, uint64_t timeout_ns);
    void (*leave)(const struct aios__op *o, aios__run *r); /* a round is through */
    void (*skip)(const struct aios__op *o, aios__run *r);  /* in this pass there is nothing to do */
    /* after the last round: how many ops to go back and run again; 0 */
    int32_t (*again)(const struct aios__op *o, aios__run *r);
} aios__op_kind;
#define AIOS__PLAIN NULL, NULL, NULL, NULL, NULL, NULL

/* A row of a table for each token. */
typedef struct aios__op_table {
    const void *w; /* the resident rows */
    float *y;
    uint64_t y_stride, row_bytes;
    int32_t n, layout, which; /* which: table of rows.c, and what it is indexed by */
    float scale;
    int32_t add, last; /* last: of those that take rows from storage */
} aios__op_table;
typedef struct aios__op_angles {
    const double *freq; /* [n] */
    float *y;
    int32_t n;
    float mult;
} aios__op_angles;
typedef struct aios__op_norm {
    const float *w, *b, *x;
    float *add; /* NULL, or the residual that the result goes into, in place of out */
    int32_t n, kind;
    float eps;
    aios__acts out;
} aios__op_norm;
/* Rows of a matrix that are resident, or a streamed matrix's rows, unit after unit. */
typedef struct aios__op_matrix {
    const void *w;
    const float *bias;
    aiosk_matmul_fn mm; /* NULL: the reference */
    const char *x;      /* in the form of w's family */
    float *y;
    uint64_t x_stride, y_stride; /* bytes; floats */
    int32_t n_in, n_out, rows_per_task, cols_per_task;
    int32_t unit_rows, add;
} aios__op_matrix;
typedef struct aios__op_heads {
    float *x;
    uint64_t x_stride;
    const float *cs; /* [n_batch][n_rot] */
    const float *q_norm, *k_norm;
    int32_t q_norm_n, k_norm_n; /* channels that are normed together */
    float eps;
} aios__op_heads;
typedef struct aios__op_attend {
    const float *x;
    float *y;
    uint64_t x_stride;
    int32_t window, n_batch, n_partials; /* n_partials: tokens' runs that `partial` has room for */
    const double *freq;                  /* of its rope; NULL = none */
    float *state;                        /* [2][n_batch][n_head] maximum and sum of what y holds */
    float *partial; /* [n_partials][n_head][hp_v], then maximum and sum: [2][n_partials][n_head] */
    /* [n_batch][n_head][seq_tiles][2] or NULL: the sum of each tile, and the maximum it is
     * relative to */
    float *mass;
    aios__acts out; /* ATTEND_END */
} aios__op_attend;
typedef struct aios__op_act {
    float *x;
    const float *up; /* NULL = none */
    uint64_t x_stride;
    int32_t n, act, pairs;
    aios__acts out;
} aios__op_act;
typedef struct aios__op_scale { /* SCALE, CAP, ADD */
    float *x, *y;
    int32_t n;
    float scale;
} aios__op_scale;
typedef struct aios__op_gather {
    aios__acts in, out;
} aios__op_gather;
typedef struct aios__op_moe { /* ROUTE, COMBINE */
    float *logit;
    uint64_t logit_stride;
    const float *x, *shared;
    float *y;
    int32_t n, gate;
    float scale;
} aios__op_moe;
typedef struct aios__op_experts {
    const void *w;            /* of all experts, one after the other; */
    const aios__expert *each; /* or each of its own */
    aiosk_matmul_fn mm;
    const char *x, *alone; /* columns of pairs; NULL, or the one column of a pass of one token */
    float *y;
    uint64_t x_stride, y_stride, expert_bytes;
    int32_t n_in, n_out, rows_per_task, which, back; /* back: to the first op of its experts */
} aios__op_experts;

typedef struct aios__op {
    const aios__op_kind *kind;
    const char *name;
    int32_t layer, phase; /* layer -1 = none */
    int32_t type, tier;   /* of a matrix or table: AIOSK_*, AIOS_TIER_*; else -1 */
    int32_t n_units;      /* streamed: rounds */
    uint8_t rows;         /* AIOS__OF_*: which rows it writes */
    /* runs again and again: what it wrote is whole when the last such op is through; gone: and
     * has been written over then */
    uint8_t later, gone;
    uint64_t w_bytes;   /* weights read by one run; TABLE, EXPERTS: for one token */
    uint64_t act_bytes; /* activations read and written per row */
    union {
        aios__op_table table;
        aios__op_angles angles;
        aios__op_norm norm;
        aios__op_matrix matrix;
        aios__op_heads heads;
        aios__op_attend attend;
        aios__op_act act;
        aios__op_scale scale;
        aios__op_gather gather;
        aios__op_moe moe;
        aios__op_experts experts;
    } u;
} aios__op;

static inline int32_t aios__op_rows(const aios__op *o, const aios__run *r) {
    return o->rows == AIOS__OF_OUTPUTS ? r->pass->n_out : r->pass->n;
}
static inline char *aios__form(const aios__acts *a, int32_t kind, int32_t token) {
    return a->p[kind] + (uint64_t)token * a->stride[kind];
}
/* Writes x [n] in the forms that are asked for; the f32 form may be x itself. */
static void aios__forms(const aios__run *r, const aios__acts *a, int32_t token, const float *x) {
    int32_t k;
    for (k = 0; k < AIOSK_N_ACTS; k++)
        if (a->p[k] && (const char *)x != aios__form(a, k, token))
            r->k->quantize[k](x, a->n, aios__form(a, k, token));
}
static inline char *aios__work(const aios__run *r, int32_t worker) {
    return r->work + (uint64_t)worker * r->work_bytes;
}
static inline float *aios__work_f32(const aios__run *r, int32_t worker) {
    return (float *)(void *)aios__work(r, worker);
}
/* What an op wrote, as f32. */
static void aios__wrote_f32(aios__acts *a, const float *p, uint64_t floats, int32_t n) {
    a->p[AIOSK_FLT] = (char *)(uintptr_t)p;
    a->stride[AIOSK_FLT] = floats * 4;
    a->n = n;
}
static void aios__count_read(aios_counters *c, int32_t tier, uint64_t bytes) {
    c->weight_bytes += bytes;
    c->tier_bytes[tier] += bytes;
}

#endif
