/* moe.c: mixtures of experts: which experts a token goes to, and which tokens an expert
 * gets. Knows numbers and lists, no program; where experts lie is the business of experts.c.
 *
 * A pair is a token and one of its experts. The pairs of a layer are ordered by expert, and by
 * token within one, so that the columns of an expert lie side by side: column c of the pair
 * buffers is pair c of that order. An expert's columns are cut into blocks, which tasks take:
 * the program's ops work on blocks, and what a pair gives depends on no other pair. A token's
 * results are summed in the order in which it chose its experts, so that company changes no bit. */

/* columns col .. col+n-1 are the expert's */
typedef struct aios__cols {
    int32_t expert, col, n;
} aios__cols;

/* Of one layer at a time, but for n_read. */
typedef struct aios__moe {
    int32_t n_expert, n_used, block_cols; /* block_cols: of a block at the most */
    int32_t n_blocks, n_active; /* of this pass and layer; active: experts with a column */
    int32_t block0, block1;     /* the blocks that are due: all, or those whose experts are there */
    float *weight;              /* [n_batch][n_used] */
    int32_t *chosen, *col;      /* [n_batch][n_used] experts of a token; columns of its pairs */
    int32_t *token;             /* [n_batch * n_used] of each column */
    int32_t *first;             /* [n_expert + 1] first column of each expert */
    int32_t *order;             /* [n_expert] the active ones as their columns lie */
    aios__cols *block;          /* [aios__moe_blocks] */
    int32_t *n_read; /* [n_layer] how often weights of an expert were read in this pass */
} aios__moe;

AIOS__SMALL_BEGIN
/* Most blocks that n tokens can make. */
static uint64_t aios__moe_blocks(const aios__moe *m, uint64_t n_tokens) {
    uint64_t pairs = n_tokens * (uint64_t)m->n_used, n_expert = (uint64_t)m->n_expert;
    return aios__min_u64(pairs, n_expert + pairs / (uint64_t)m->block_cols);
}
static void aios__moe_layout(aios__moe *m, aios__bump *b, uint64_t n_tokens, uint64_t n_layer) {
    uint64_t pairs = n_tokens * (uint64_t)m->n_used, n_expert = (uint64_t)m->n_expert;
    m->weight = (float *)aios__take(b, pairs * 4, 64);
    m->chosen = (int32_t *)aios__take(b, pairs * 4, 64);
    m->col = (int32_t *)aios__take(b, pairs * 4, 64);
    m->token = (int32_t *)aios__take(b, pairs * 4, 64);
    m->first = (int32_t *)aios__take(b, (n_expert + 1) * 4, 64);
    m->order = (int32_t *)aios__take(b, n_expert * 4, 64);
    m->block = (aios__cols *)aios__take(b, aios__moe_blocks(m, n_tokens) * sizeof *m->block, 64);
    m->n_read = (int32_t *)aios__take(b, n_layer * 4, 64);
}

AIOS__SMALL_END

/* The experts of one token: the n_used largest logits, the lowest index first among equals.
 * Their weights are the softmax over all experts, or (norm) over these alone, times scale. Sums
 * go up from the first. */
AIOSK__STRICT static void aios__moe_choose(const aiosk_isa *k, float *logit, int32_t n_expert,
                                           int32_t n_used, int32_t norm, float scale,
                                           int32_t *chosen, float *weight) {
    float sum = 0;
    int32_t c;
    for (int32_t j = 0; j < n_used; j++) {
        int32_t best = -1;
        for (int32_t i = 0; i < n_expert; i++) {
            if (best >= 0 && !(logit[i] > logit[best])) continue;
            for (c = 0; c < j && chosen[c] != i; c++) {}
            if (c == j) best = i;
        }
        chosen[j] = best;
    }
    float top = logit[chosen[0]];
    for (int32_t i = 0; i < n_expert; i++) logit[i] -= top;
    k->exp(logit, n_expert, logit);
    if (norm)
        for (int32_t j = 0; j < n_used; j++) sum += logit[chosen[j]];
    else
        for (int32_t i = 0; i < n_expert; i++) sum += logit[i];
    for (int32_t j = 0; j < n_used; j++) weight[j] = logit[chosen[j]] / sum * scale;
}
/* How many columns each expert gets, in first. Gives how many get some. */
static int32_t aios__moe_count(aios__moe *m, int32_t n) {
    int32_t e;
    memset(m->first, 0, ((size_t)m->n_expert + 1) * 4);
    for (int32_t i = 0; i < n * m->n_used; i++) m->first[m->chosen[i]]++;
    for (e = 0, m->n_active = 0; e < m->n_expert; e++)
        if (m->first[e]) m->order[m->n_active++] = e;
    return m->n_active;
}
/* Orders the pairs of n tokens by expert, as m->order has these, and by token. All blocks are
 * due. */
static void aios__moe_place(aios__moe *m, int32_t n, int32_t layer) {
    int32_t at = 0;
    m->n_blocks = m->block0 = 0;
    for (int32_t i = 0; i < m->n_active; i++) {
        int32_t e = m->order[i], count = m->first[e], c;
        m->first[e] = at;
        for (c = 0; c < count; c += m->block_cols, m->n_blocks++) {
            aios__cols *b = &m->block[m->n_blocks];
            b->expert = e;
            b->col = at + c;
            b->n = count - c < m->block_cols ? count - c : m->block_cols;
        }
        at += count;
    }
    for (int32_t i = 0; i < n * m->n_used;
         i++) { /* first runs ahead to the first column of the next */
        int32_t c = m->first[m->chosen[i]]++;
        m->col[i] = c;
        m->token[c] = i / m->n_used;
    }
    m->block1 = m->n_blocks;
    m->n_read[layer] = m->n_blocks;
}
/* The columns of the blocks that are due. */
static int32_t aios__moe_col0(const aios__moe *m) { return m->block[m->block0].col; }
static int32_t aios__moe_cols(const aios__moe *m) {
    return m->block1 > m->block0
               ? m->block[m->block1 - 1].col + m->block[m->block1 - 1].n - aios__moe_col0(m)
               : 0;
}
