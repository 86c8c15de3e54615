/* context.h: a context: a model that runs, with its cache, its sequences and the pass that is under
 * way. What is done to it stands in the files below. */
#ifndef AIOS__CONTEXT_H
#define AIOS__CONTEXT_H

typedef struct aios__sequence {
    int32_t *token;        /* [n_ctx] */
    uint8_t *want;         /* [n_ctx] 1 = keep the logits after this token */
    uint64_t used;         /* number of the last pass that it was in */
    int32_t pinned, held;  /* its pages are not spilled: at all, during this call */
    int32_t its_turn;      /* to have a part in the next pass */
    int32_t n_fed, n_done; /* tokens given, and those in the cache */
} aios__sequence;

struct aios_context {
    aios_allocator mem;
    aios_mem_req req[AIOS_N_MEM]; /* by kind; WEIGHTS: room for what is streamed */
    void *block[AIOS_N_MEM];
    aios_model *model;
    aios_plan plan;
    aios_context_desc desc;
    aios_spill spill; /* zeros: none */
    int32_t rescued;  /* by spill.c, when all wait for room: sequence + 1 */
    /* no idle sequence has a page of this pool to give: stays so until the next verb or pass */
    uint8_t no_idle[AIOS__N_GROUPS][AIOS__N_FORMS];
    const aiosk_isa *k;
    aios__kv kv;
    aios__sequence *seq; /* [n_seq] */
    void *sample_work;
    aios__program prog;
    aios__pass pass;
    aios_counters count;
    int32_t running;     /* a pass is under way */
    uint64_t n_passed;   /* passes finished since opening */
    int32_t next_turn;   /* sequence that is first to have a part, when not all can */
    int32_t n_out_ready; /* rows of the last finished pass */
    aios__exec exec;     /* where the run of the pass stands */
};

/* Is the running pass at work on tokens of the sequence from n on? */
static int32_t aios__in_pass(const aios_context *c, int32_t seq, int32_t n) {
    int32_t i;
    for (i = 0; c->running && i < c->pass.n; i++)
        if (c->pass.seq[i] == seq && c->pass.pos[i] >= n) return 1;
    return 0;
}

#endif
