/* program.c: model + plan -> a flat array of ops (ops.c). Each op holds its pointers, kernels,
 * shapes and byte counts; running is a loop over it (exec.c) that looks up no name, chooses no
 * path and takes no memory. The same function counts and builds, so that the plan knows the
 * program's size to the byte.
 *
 * Ops run in phases: an op with AIOS__JOIN runs side by side with the one before it, any other
 * starts a new phase and sees everything that the phases before it wrote. An op is cut into
 * tasks that may run in any order. */

/* ---- rope frequencies ---- */
/* Each pair i turns by pos * freq[i]: every scaling method comes down to another table. Returns
 * what cos and sin are multiplied with in *mult_out. From: linear (Chen 2023), YaRN (Peng 2023),
 * LongRoPE (Ding 2024), as GGUF writes their parameters. */
AIOSK__STRICT static aios_status aios__rope_freqs(const aios_model *m, int32_t n_ctx, double *freq,
                                                  float *mult_out, aios_error *err) {
    const aios__hp *p = &m->hp;
    int32_t i, n = p->n_rot / 2, r = AIOS__T_ROPE_FREQS;
    double log_base = aios__log(p->rope_base), mult = p->rope_attn_factor, low = 0, high = 0;
    const float *div;
    if (p->rope_scaling == AIOS__SCALE_YARN) {
        double d = (double)p->n_rot / (2 * log_base), two_pi = 6.283185307179586;
        low = aios__floor(d * aios__log((double)p->rope_orig_ctx / (p->yarn_beta_fast * two_pi)));
        high =
            -aios__floor(-d * aios__log((double)p->rope_orig_ctx / (p->yarn_beta_slow * two_pi)));
        if (low < 0) low = 0;
        if (high > p->n_rot - 1) high = p->n_rot - 1;
        if (high - low < 0.001) high = low + 0.001;
        if (p->yarn_ext != 0) mult *= 1 + 0.1 * aios__log(p->rope_factor);
    }
    if (m->role[AIOS__T_ROPE_LONG].w >= 0 && m->role[AIOS__T_ROPE_SHORT].w >= 0)
        r = n_ctx > p->rope_orig_ctx ? AIOS__T_ROPE_LONG : AIOS__T_ROPE_SHORT;
    div = m->role[r].w >= 0 ? (const float *)m->place[m->role[r].w].p : NULL;
    for (i = 0; i < n; i++) {
        double f = aios__exp(-(double)(2 * i) / (double)p->n_rot * log_base);
        if (div) {
            if (!(div[i] >= 1e-6f && div[i] <= 1e6f))
                return aios__fail2(err, AIOS_ERR_MODEL,
                                   m->gguf.tensor[m->role[r].w].off + (uint64_t)i * 4, 0,
                                   (uint64_t)i, "factor % of tensor % makes no sense", aios__i(i),
                                   aios__s(m->gguf.tensor[m->role[r].w].name));
            f /= (double)div[i];
        }
        if (p->rope_scaling == AIOS__SCALE_LINEAR) f /= p->rope_factor;
        if (p->rope_scaling == AIOS__SCALE_YARN) {
            double ramp = ((double)i - low) / (high - low), keep;
            ramp = ramp < 0 ? 0 : ramp > 1 ? 1 : ramp;
            /* 1 = the fast pairs turn as trained, 0 = slowed down */
            keep = (1 - ramp) * p->yarn_ext;
            f = f / p->rope_factor * (1 - keep) + f * keep;
        }
        if ((double)n_ctx * f > 1e6)
            return aios__fail2(err, AIOS_ERR_MODEL, AIOS__NO_OFF, 1000000, (uint64_t)n_ctx,
                               "rope turns pair % too far to be computed within % positions",
                               aios__i(i), aios__i(n_ctx));
        freq[i] = f;
    }
    *mult_out = (float)mult;
    return AIOS_OK;
}

/* ---- building ---- */
typedef struct aios__build {
    const aios_model *m;
    const aiosk_isa *k;
    int32_t n_ctx, n_seq, n_batch, n_outputs, n_threads, numerics;
    /* tiles of the cache are sealed; some of them stay for the attention they get */
    int32_t coded, heavy;
    aios__cut cut;
    aios__op *op;     /* NULL = count */
    aios__unit *unit; /* what is streamed, in the order of use; filled when op is there */
    uint32_t n_ops, n_phases, n_units, n_each;
    uint64_t slot_bytes; /* of the largest unit */
    /* the last op is one that goes from unit to unit: nothing runs beside it */
    int32_t after_units;
    /* per decoded token; expert: of stream */
    uint64_t w_bytes, row_bytes, act_bytes, stream_bytes, expert_bytes;
    aios__bump scratch; /* base NULL = count */
    uint64_t work_bytes;
    char *work;
    double *freq; /* [n_rot / 2] in the context's META */
    float rope_mult;
    float *x, *qkv, *att, *ffn, *tmp, *cs, *logits; /* of all tokens of a pass */
    float *state, *part, *mass;                     /* as in aios__run */
    aios__acts a_norm, a_norm2, a_att, a_ffn, a_out;
    int32_t n_qkv, n_att;
    uint64_t ffn_stride;
    aios__moe moe;            /* experts: of all pairs of a pass */
    aios__acts a_pair, a_exp; /* what gate and up read, and down */
    float *exp, *exp_out, *shared;
    aios__bundle *bundle;               /* [n_layer] filled when op is there */
    aios__expert *each;                 /* [n_split of the model] the same */
    uint64_t part_bytes[AIOS__N_PARTS]; /* of a slot of the cache: the widest */
    aios__table table[AIOS__N_TABLES];  /* tables of which rows are read */
    uint32_t n_tables;
    int32_t last_table;                 /* that the program takes rows of */
    uint64_t row_slot_bytes, row_align; /* of the longest row */
} aios__build;

/* The forms a matrix reads its input in, as a mask of 1 << kind. */
static uint32_t aios__mask(const aios__build *b, aios__ref r) {
    if (r.w < 0) return 0;
    if (b->numerics == AIOS_REFERENCE) return 1u << AIOSK_FLT;
    return 1u << aiosk_type_info((int32_t)b->m->gguf.tensor[r.w].type)->family;
}
static void aios__acts_layout(aios__build *b, aios__acts *a, int32_t n, int32_t n_tokens,
                              uint32_t mask) {
    int32_t k;
    memset(a, 0, sizeof *a);
    a->n = n;
    for (k = 0; k < AIOSK_N_ACTS; k++) {
        if (!(mask & 1u << k)) continue;
        a->stride[k] = aios__round_up(aiosk_act_bytes(k, (uint64_t)n), 64);
        a->p[k] = (char *)aios__take(&b->scratch, a->stride[k] * (uint64_t)n_tokens, 64);
    }
}
/* Only the forms of a that mask names. */
static aios__acts aios__acts_of(const aios__acts *a, uint32_t mask) {
    aios__acts x = *a;
    int32_t k;
    for (k = 0; k < AIOSK_N_ACTS; k++)
        if (!(mask & 1u << k)) x.p[k] = NULL;
    return x;
}
static uint64_t aios__acts_bytes(const aios__acts *a, uint32_t mask) {
    uint64_t n = 0;
    int32_t k;
    for (k = 0; k < AIOSK_N_ACTS; k++)
        if (mask & 1u << k) n += a->stride[k];
    return n;
}

static aios__op *aios__emit(aios__build *b, aios__op *local, aios__op_fn run, const char *name,
                            int32_t layer, int32_t per, uint32_t flags) {
    aios__op *o = b->op ? &b->op[b->n_ops] : local;
    memset(o, 0, sizeof *o);
    o->run = run;
    o->name = name;
    o->layer = layer;
    o->per = per;
    o->flags = flags;
    b->n_ops++;
    if (!(flags & AIOS__JOIN)) {
        b->n_phases++;
        b->after_units = 0;
    }
    o->phase = (int32_t)b->n_phases - 1;
    return o;
}
static const float *aios__vec(const aios__build *b, int32_t tensor) {
    return tensor < 0 ? NULL : (const float *)b->m->place[tensor].p;
}
static uint64_t aios__vec_bytes(const aios__build *b, int32_t tensor) {
    return tensor < 0 ? 0 : b->m->gguf.tensor[tensor].n[0] * 4;
}

static void aios__emit_table(aios__build *b, aios__op_fn run, const char *name, aios__ref r,
                             int32_t table, float scale) {
    aios__op local, *o = aios__emit(b, &local, run, name, -1, AIOS__PER_TOKEN, 0);
    const aios__tensor *t = &b->m->gguf.tensor[r.w];
    uint64_t off[2] = { 0, 0 };
    aios__place p = aios__place_of(b->m, &b->cut, (uint32_t)r.w, off);
    o->w = p.p;
    o->layout = p.layout;
    o->tier = p.tier;
    o->type = (int32_t)t->type;
    o->n_in = b->m->hp.n_embd;
    o->y = b->x;
    o->y_stride = (uint64_t)b->m->hp.n_embd;
    o->scale = scale;
    o->row_bytes = t->row_bytes;
    o->act_bytes = (uint64_t)o->n_in * 4;
    b->row_bytes += o->row_bytes;
    b->act_bytes += o->act_bytes;
    if (p.rows < t->n[1]) {
        aios__table *x = &b->table[table];
        uint64_t most = aios__window_most(t->row_bytes, &b->m->io[t->part]);
        x->off = t->off;
        x->row_bytes = t->row_bytes;
        x->part = t->part;
        x->n_resident = p.rows;
        o->flags |= AIOS__ROWS;
        o->part = table;
        if (!p.rows) o->tier = AIOS_TIER_STREAM;
        b->n_tables++;
        b->last_table = table;
        if (aios__stream_align(&b->m->io[t->part]) > 1) b->row_align = AIOS__STREAM_ALIGN;
        b->row_slot_bytes =
            aios__round_up(most > b->row_slot_bytes ? most : b->row_slot_bytes, b->row_align);
        b->stream_bytes += most;
    }
}
/* x -> norm -> the forms of out that mask names; or, with out NULL, x -> norm, added to the
 * residual add. */
static void aios__emit_norm(aios__build *b, const char *name, int32_t layer, aios__ref r,
                            const float *x, const aios__acts *out, uint32_t mask, float *add,
                            uint32_t flags) {
    aios__op local, *o = aios__emit(b, &local, aios__op_norm, name, layer, AIOS__PER_TOKEN, flags);
    o->type = b->m->arch->norm;
    o->scale = b->m->hp.norm_eps;
    o->n_in = b->m->hp.n_embd;
    o->w = aios__vec(b, r.w);
    o->b = aios__vec(b, r.b);
    o->x = (float *)(uintptr_t)x;
    o->x_stride = (uint64_t)b->m->hp.n_embd;
    o->y = add;
    o->y_stride = (uint64_t)b->m->hp.n_embd;
    if (out) o->out = aios__acts_of(out, mask);
    o->w_bytes = aios__vec_bytes(b, r.w) + aios__vec_bytes(b, r.b);
    o->act_bytes = (uint64_t)o->n_in * (out ? 4 : 12) + (out ? aios__acts_bytes(out, mask) : 0);
    b->w_bytes += o->w_bytes;
    b->act_bytes += o->act_bytes;
}
enum { AIOS__TASK_PRODUCTS = 1 << 24, AIOS__TASK_COLS = 32 };
/* Rows row0 .. row1-1 of a matrix: those that are resident, or (STREAMED) those that are not,
 * unit after unit. */
static aios__op *aios__emit_rows(aios__build *b, const char *name, int32_t layer, aios__ref r,
                                 const aios__place *p, int32_t layout, uint32_t row0, uint32_t row1,
                                 const aios__acts *in, float *y, uint64_t y_stride, uint32_t flags,
                                 aios__op *local) {
    aios__op *o = aios__emit(b, local, aios__op_matmul, name, layer, AIOS__PER_ROWS, flags);
    const aios__tensor *t = &b->m->gguf.tensor[r.w];
    int64_t rows, most, cols = flags & AIOS__ON_OUTPUTS ? b->n_outputs : b->n_batch;
    o->type = (int32_t)t->type;
    o->layout = layout;
    o->w = p->p;
    o->tier = flags & AIOS__STREAMED ? (int32_t)AIOS_TIER_STREAM : (int32_t)p->tier;
    o->b = aios__vec(b, r.b);
    if (o->b) o->b += row0;
    o->mm = b->numerics == AIOS_REFERENCE ? NULL : b->k->matmul[o->type][o->layout];
    /* asks the CPU: not while counting */
    if (b->op && b->numerics == AIOS_FAST && o->layout == AIOSK_ROWS)
        o->mm = aiosk_matmul_fast(b->k, o->type);
    o->in = *in;
    o->y = y ? y + row0 : NULL;
    o->y_stride = y_stride;
    o->n_in = (int32_t)t->n[0];
    o->n_out = (int32_t)(row1 - row0);
    /* a task: about 64 KiB of weights (some microseconds), and of the order of 16 M products
     * (some tenths of a millisecond), but whole pairs of panels, which kernels for many columns
     * take together */
    rows = (int64_t)(65536 / t->row_bytes);
    if (cols > AIOSK__MAX_COLS) cols = AIOSK__MAX_COLS;
    most = AIOS__TASK_PRODUCTS / ((int64_t)o->n_in * cols);
    if (rows > most) rows = most;
    o->rows_per_task = (int32_t)(rows > o->n_out ? o->n_out : rows) / 32 * 32;
    if (o->rows_per_task < 32) o->rows_per_task = 32;
    /* long rows: fewer columns, while unpacking a weight for so few costs next to nothing: at 64
     * nothing that can be measured, at 32 some percent of the product, at 16 twenty */
    for (o->cols_per_task = AIOSK__MAX_COLS; o->cols_per_task > AIOS__TASK_COLS;
         o->cols_per_task /= 2)
        if ((int64_t)o->rows_per_task * o->n_in *
                (o->cols_per_task < cols ? o->cols_per_task : cols) <=
            AIOS__TASK_PRODUCTS)
            break;
    o->w_bytes =
        aios__rows_bytes(t, layout, row1 - row0) + (r.b < 0 ? 0 : (uint64_t)(row1 - row0) * 4);
    o->act_bytes =
        aios__acts_bytes(in, aios__mask(b, r)) + (uint64_t)o->n_out * (flags & AIOS__ADD ? 8 : 4);
    b->w_bytes += o->w_bytes;
    b->act_bytes += o->act_bytes;
    return o;
}
/* A matrix: what is resident of it, then what is streamed, in a phase of its own with a round
 * for each unit. */
static void aios__emit_matmul(aios__build *b, const char *name, int32_t layer, aios__ref r,
                              const aios__acts *in, float *y, uint64_t y_stride, uint32_t flags) {
    const aios__tensor *t = &b->m->gguf.tensor[r.w];
    uint64_t off[2] = { 0, 0 };
    aios__place p = aios__place_of(b->m, &b->cut, (uint32_t)r.w, off);
    aios__source from = aios__source_of(b->m, &b->cut, (uint32_t)r.w);
    uint32_t row = p.rows, n_rows = (uint32_t)t->n[1];
    aios__op local, *o;
    if (b->after_units) flags &= ~(uint32_t)AIOS__JOIN;
    if (row) {
        aios__emit_rows(b, name, layer, r, &p, p.layout, 0, row, in, y, y_stride, flags, &local);
        b->after_units = 0;
    }
    if (row == n_rows) return;
    o = aios__emit_rows(b, name, layer, r, &p, from.layout, row, n_rows, in, y, y_stride,
                        (flags & ~(uint32_t)AIOS__JOIN) | AIOS__STREAMED, &local);
    o->unit_rows = (int32_t)aios__unit_rows(t, b->cut.unit_bytes);
    for (; row < n_rows; row += (uint32_t)o->unit_rows, b->n_units++, o->n_units++) {
        aios__unit u;
        uint64_t window;
        u.off = from.off + aios__rows_bytes(t, from.layout, row);
        u.part = from.io;
        u.n_bytes = (uint32_t)aios__rows_bytes(t, from.layout,
                                               aios__min_u64((uint64_t)o->unit_rows, n_rows - row));
        window = aios__unit_window(&u, &b->m->io[u.part]);
        if (window > b->slot_bytes) b->slot_bytes = window;
        b->stream_bytes += window;
        if (b->op) b->unit[b->n_units] = u;
    }
    b->after_units = 1;
}

/* tmp, scaled, into the residual. */
static void aios__emit_residual(aios__build *b, const char *name, int32_t layer) {
    aios__op local, *o = aios__emit(b, &local, aios__op_residual, name, layer, AIOS__PER_TOKEN, 0);
    o->n_in = b->m->hp.n_embd;
    o->x = b->tmp;
    o->y = b->x;
    o->x_stride = o->y_stride = (uint64_t)o->n_in;
    o->scale = b->m->hp.residual_scale;
    o->act_bytes = (uint64_t)o->n_in * 16;
    b->act_bytes += o->act_bytes;
}
/* The forms that a layer's feed-forward reads its input in. */
static uint32_t aios__ffn_mask(const aios__build *b, const aios__ref *r) {
    static const uint8_t roles[] = { AIOS__T_FFN_GATE,       AIOS__T_FFN_UP,
                                     AIOS__T_FFN_ROUTER,     AIOS__T_FFN_GATE_EXPS,
                                     AIOS__T_FFN_UP_EXPS,    AIOS__T_FFN_SHARED,
                                     AIOS__T_FFN_GATE_SHEXP, AIOS__T_FFN_UP_SHEXP };
    uint32_t mask = 0, i;
    for (i = 0; i < sizeof roles; i++) mask |= aios__mask(b, r[roles[i]]);
    return mask;
}

static void aios__build_attention(aios__build *b, int32_t l, const aios__acts *in) {
    const aios_model *m = b->m;
    const aios__hp *hp = &m->hp;
    const aios__ref *ref = m->layer[l];
    uint64_t nq = (uint64_t)hp->n_head * (uint64_t)hp->hd_k,
             nk = (uint64_t)hp->n_head_kv * (uint64_t)hp->hd_k, stride = (uint64_t)b->n_qkv;
    int32_t post = ref[AIOS__T_POST_ATTN_NORM].w >= 0, direct = !post && hp->residual_scale == 1.0f;
    uint32_t mask = aios__mask(b, ref[AIOS__T_ATTN_OUT]) & ~(1u << AIOSK_FLT);
    aios__op local, *o;
    if (ref[AIOS__T_ATTN_QKV].w >= 0)
        aios__emit_matmul(b, "qkv", l, ref[AIOS__T_ATTN_QKV], in, b->qkv, stride, 0);
    else {
        aios__emit_matmul(b, "q", l, ref[AIOS__T_ATTN_Q], in, b->qkv, stride, 0);
        aios__emit_matmul(b, "k", l, ref[AIOS__T_ATTN_K], in, b->qkv ? b->qkv + nq : NULL, stride,
                          AIOS__JOIN);
        aios__emit_matmul(b, "v", l, ref[AIOS__T_ATTN_V], in, b->qkv ? b->qkv + nq + nk : NULL,
                          stride, AIOS__JOIN);
    }
    o = aios__emit(b, &local, aios__op_heads, "heads", l, AIOS__PER_TOKEN, 0);
    o->type = hp->n_rot ? m->arch->rope : (int32_t)AIOS__ROPE_NONE;
    o->x = b->qkv;
    o->x_stride = stride;
    o->y = b->cs;
    o->y_stride = (uint64_t)hp->n_rot;
    o->scale = hp->norm_eps;
    o->b = aios__vec(b, ref[AIOS__T_ATTN_Q_NORM].w);
    o->b2 = aios__vec(b, ref[AIOS__T_ATTN_K_NORM].w);
    o->n_in = aios__role_dim(m, 'M', l);
    o->n_out = aios__role_dim(m, 'N', l);
    o->w_bytes = aios__vec_bytes(b, ref[AIOS__T_ATTN_Q_NORM].w) +
                 aios__vec_bytes(b, ref[AIOS__T_ATTN_K_NORM].w);
    o->act_bytes = stride * 8;
    b->w_bytes += o->w_bytes;
    b->act_bytes += o->act_bytes;

    if (b->coded) aios__emit(b, &local, aios__op_seal, "seal", l, AIOS__PER_SEAL, 0);
    o = aios__emit(b, &local, aios__op_attend, "attend", l, AIOS__PER_HEAD, 0);
    o->type = hp->n_rot ? m->arch->rope : (int32_t)AIOS__ROPE_NONE;
    o->freq = b->freq;
    o->x = b->qkv;
    o->x_stride = stride;
    o->y = b->att;
    o->y_stride = (uint64_t)b->n_att;
    o->window = m->hp.layer[l].window;
    o->n_in = b->n_batch;
    o->act_bytes = nq * 4 + (uint64_t)b->n_att * 4;
    b->act_bytes += o->act_bytes;
    o = aios__emit(b, &local, aios__op_attend_end, "attend_end", l, AIOS__PER_TOKEN, 0);
    o->x = b->att;
    o->x_stride = (uint64_t)b->n_att;
    o->out = aios__acts_of(&b->a_att, mask);
    o->window = m->hp.layer[l].window;
    o->n_in = b->n_batch;
    o->act_bytes = (uint64_t)b->n_att * 8 + aios__acts_bytes(&b->a_att, mask);
    b->act_bytes += o->act_bytes;
    aios__emit_matmul(b, "attn_out", l, ref[AIOS__T_ATTN_OUT], &b->a_att, direct ? b->x : b->tmp,
                      (uint64_t)hp->n_embd, direct ? AIOS__ADD : 0);
    if (post)
        aios__emit_norm(b, "post_attn", l, ref[AIOS__T_POST_ATTN_NORM], b->tmp, NULL, 0, b->x, 0);
    else if (!direct)
        aios__emit_residual(b, "attn_add", l);
}
static void aios__build_ffn(aios__build *b, int32_t l, const aios__acts *in) {
    const aios_model *m = b->m;
    const aios__hp *hp = &m->hp;
    const aios__ref *ref = m->layer[l];
    int32_t gated = (m->arch->flags & AIOS__GATED) != 0, post = ref[AIOS__T_POST_FFN_NORM].w >= 0,
            direct = !post && hp->residual_scale == 1.0f;
    uint64_t stride = b->ffn_stride;
    uint32_t mask = aios__mask(b, ref[AIOS__T_FFN_DOWN]);
    aios__op local, *o;
    if (ref[AIOS__T_FFN_GATE].w >= 0) {
        aios__emit_matmul(b, "gate", l, ref[AIOS__T_FFN_GATE], in, b->ffn, stride, 0);
        aios__emit_matmul(b, "up", l, ref[AIOS__T_FFN_UP], in, b->ffn ? b->ffn + hp->n_ff : NULL,
                          stride, AIOS__JOIN);
    } else
        aios__emit_matmul(b, "up", l, ref[AIOS__T_FFN_UP], in, b->ffn, stride, 0);
    o = aios__emit(b, &local, aios__op_act, "act", l, AIOS__PER_TOKEN, gated ? AIOS__GATE : 0);
    o->type = m->arch->act;
    o->n_in = hp->n_ff;
    o->x = b->ffn;
    o->x_stride = stride;
    o->out = aios__acts_of(&b->a_ffn, mask & ~(1u << AIOSK_FLT));
    o->out.n = hp->n_ff;
    o->act_bytes = (uint64_t)hp->n_ff * (gated ? 12 : 8) + aios__acts_bytes(&b->a_ffn, mask);
    b->act_bytes += o->act_bytes;
    aios__emit_matmul(b, "down", l, ref[AIOS__T_FFN_DOWN], &b->a_ffn, direct ? b->x : b->tmp,
                      (uint64_t)hp->n_embd, direct ? AIOS__ADD : 0);
    if (post)
        aios__emit_norm(b, "post_ffn", l, ref[AIOS__T_POST_FFN_NORM], b->tmp, NULL, 0, b->x, 0);
    else if (!direct)
        aios__emit_residual(b, "ffn_add", l);
}

/* Where the experts' matrices are that are tensors of their own; first: that of expert 0. */
static const aios__expert *aios__build_each(aios__build *b, int32_t first) {
    aios__expert *p = b->each + b->n_each;
    int32_t i;
    for (i = first; i >= 0; i = b->m->place[i].next) {
        aios__source from = aios__source_of(b->m, &b->cut, (uint32_t)i);
        aios__expert *x = &b->each[b->n_each++];
        x->p = b->m->place[i].p;
        x->off = from.off;
        x->part = from.io;
    }
    return p;
}
/* The most that is read for one of them. */
static uint64_t aios__each_window(const aios__build *b, int32_t first, uint32_t n_bytes) {
    uint64_t most = 0, n;
    int32_t i;
    for (i = first; i >= 0; i = b->m->place[i].next) {
        aios__source from = aios__source_of(b->m, &b->cut, (uint32_t)i);
        aios__unit u;
        u.off = from.off;
        u.part = from.io;
        u.n_bytes = n_bytes;
        n = aios__unit_window(&u, &b->m->io[u.part]);
        if (n > most) most = n;
    }
    return most;
}
/* One matrix of every expert. in: columns of pairs; one: with one token alone, its own. */
static void aios__emit_experts(aios__build *b, const char *name, int32_t layer, aios__ref r,
                               const aios__acts *in, const aios__acts *one, float *y,
                               uint64_t y_stride, int32_t part, uint32_t flags) {
    aios__op local,
        *o = aios__emit(b, &local, aios__op_experts, name, layer, AIOS__PER_EXPERT, flags);
    const aios__tensor *t = &b->m->gguf.tensor[r.w];
    uint64_t off[2] = { 0, 0 };
    aios__place p = aios__place_of(b->m, &b->cut, (uint32_t)r.w, off);
    o->type = (int32_t)t->type;
    o->layout = p.layout;
    o->tier = p.tier;
    o->w = p.p;
    o->mm = b->numerics == AIOS_REFERENCE ? NULL : b->k->matmul[o->type][o->layout];
    if (b->op && b->numerics == AIOS_FAST && o->layout == AIOSK_ROWS)
        o->mm = aiosk_matmul_fast(b->k, o->type);
    o->in = *in;
    o->out = *one;
    o->y = y;
    o->y_stride = y_stride;
    o->n_in = (int32_t)t->n[0];
    o->n_out = (int32_t)t->n[1];
    o->expert_bytes = aios__rows_bytes(t, p.layout, t->n[1]);
    if (b->op && p.split) o->each = aios__build_each(b, r.w);
    /* as of any matrix */
    o->rows_per_task = (int32_t)aios__min_u64(65536 / t->row_bytes, t->n[1]) / 32 * 32;
    if (o->rows_per_task < 32) o->rows_per_task = 32;
    if (b->cut.experts) {
        aios__source from = aios__source_of(b->m, &b->cut, (uint32_t)r.w);
        uint64_t align = aios__stream_align(&b->m->io[from.io]),
                 window = aios__round_up(
                     o->expert_bytes +
                         (from.off % align || o->expert_bytes % align ? align - 1 : 0),
                     align);
        if (p.split) window = aios__each_window(b, r.w, (uint32_t)o->expert_bytes);
        o->flags |= AIOS__CACHED;
        o->part = part;
        o->tier = AIOS_TIER_STREAM;
        if (window > b->part_bytes[part])
            b->part_bytes[part] = aios__round_up(window, AIOS__STREAM_ALIGN);
        b->stream_bytes += window * (uint64_t)b->moe.n_used;
        b->expert_bytes += window * (uint64_t)b->moe.n_used;
        if (b->op) {
            b->bundle[layer].each[part] = o->each;
            b->bundle[layer].off[part] = from.off;
            b->bundle[layer].part[part] = from.io;
            b->bundle[layer].n_bytes[part] = (uint32_t)o->expert_bytes;
        }
    }
    o->w_bytes = o->expert_bytes * (uint64_t)b->moe.n_used;
    o->act_bytes =
        (aios__acts_bytes(in, aios__mask(b, r)) + (uint64_t)o->n_out * 4) * (uint64_t)b->moe.n_used;
    b->w_bytes += o->w_bytes;
    b->act_bytes += o->act_bytes;
}
/* The feed-forward of a layer with experts: routes, orders the pairs, works on them, sums up.
 * The shared expert runs beside. */
static void aios__build_experts(aios__build *b, int32_t l, const aios__acts *in) {
    const aios_model *m = b->m;
    const aios__hp *hp = &m->hp;
    const aios__ref *ref = m->layer[l];
    int32_t shared = ref[AIOS__T_FFN_UP_SHEXP].w >= 0,
            n_shared = hp->n_ff_shared ? hp->n_ff_shared : hp->n_ff;
    uint64_t e = (uint64_t)hp->n_embd, used = (uint64_t)hp->n_used,
             pair = (uint64_t)hp->n_ff_exp * 2, stride = b->ffn_stride;
    uint32_t in_exp = aios__mask(b, ref[AIOS__T_FFN_GATE_EXPS]) |
                      aios__mask(b, ref[AIOS__T_FFN_UP_EXPS]),
             down = aios__mask(b, ref[AIOS__T_FFN_DOWN_EXPS]),
             mask = aios__mask(b, ref[AIOS__T_FFN_DOWN_SHEXP]);
    uint32_t cached = b->cut.experts != 0, first;
    aios__op local, *o;
    aios__emit_matmul(b, "router", l, ref[AIOS__T_FFN_ROUTER], in, b->moe.logit,
                      b->moe.logit_stride, 0);
    if (shared) {
        if (ref[AIOS__T_FFN_SHARED].w >= 0)
            aios__emit_matmul(b, "shared_weight", l, ref[AIOS__T_FFN_SHARED], in,
                              b->moe.logit ? b->moe.logit + hp->n_expert : NULL,
                              b->moe.logit_stride, AIOS__JOIN);
        aios__emit_matmul(b, "shared_gate", l, ref[AIOS__T_FFN_GATE_SHEXP], in, b->ffn, stride,
                          AIOS__JOIN);
        aios__emit_matmul(b, "shared_up", l, ref[AIOS__T_FFN_UP_SHEXP], in,
                          b->ffn ? b->ffn + n_shared : NULL, stride, AIOS__JOIN);
    }
    o = aios__emit(b, &local, aios__op_route, "route", l, AIOS__PER_TOKEN, 0);
    o->act_bytes = (uint64_t)hp->n_expert * 12 + used * 8;
    b->act_bytes += o->act_bytes;
    if (shared) {
        o = aios__emit(b, &local, aios__op_act, "shared_act", l, AIOS__PER_TOKEN,
                       AIOS__JOIN | AIOS__GATE);
        o->type = m->arch->act;
        o->n_in = n_shared;
        o->x = b->ffn;
        o->x_stride = stride;
        o->out = aios__acts_of(&b->a_ffn, mask & ~(1u << AIOSK_FLT));
        o->out.n = n_shared;
        o->act_bytes = (uint64_t)n_shared * 12 + aios__acts_bytes(&b->a_ffn, mask);
        b->act_bytes += o->act_bytes;
    }
    aios__emit(b, &local, aios__op_group, "group", l, AIOS__PER_PASS, 0);
    if (shared)
        aios__emit_matmul(b, "shared_down", l, ref[AIOS__T_FFN_DOWN_SHEXP], &b->a_ffn, b->shared, e,
                          AIOS__JOIN);
    o = aios__emit(b, &local, aios__op_gather, "gather", l, AIOS__PER_MOVED_PAIR, 0);
    o->in = *in;
    o->out = aios__acts_of(&b->a_pair, in_exp);
    first = b->n_ops;
    aios__emit_experts(b, "experts_gate", l, ref[AIOS__T_FFN_GATE_EXPS], &b->a_pair, in, b->exp,
                       pair, AIOS__GATE_PART, cached ? AIOS__AWAIT : 0);
    aios__emit_experts(b, "experts_up", l, ref[AIOS__T_FFN_UP_EXPS], &b->a_pair, in,
                       b->exp ? b->exp + hp->n_ff_exp : NULL, pair, AIOS__UP_PART, AIOS__JOIN);
    o = aios__emit(b, &local, aios__op_act, "experts_act", l, AIOS__PER_PAIR, AIOS__GATE);
    o->type = m->arch->act;
    o->n_in = hp->n_ff_exp;
    o->x = b->exp;
    o->x_stride = pair;
    o->out = aios__acts_of(&b->a_exp, down & ~(1u << AIOSK_FLT));
    o->act_bytes = ((uint64_t)hp->n_ff_exp * 12 + aios__acts_bytes(&b->a_exp, down)) * used;
    b->act_bytes += o->act_bytes;
    aios__emit_experts(b, "experts_down", l, ref[AIOS__T_FFN_DOWN_EXPS], &b->a_exp, &b->a_exp,
                       b->exp_out, e, AIOS__DOWN_PART,
                       cached ? AIOS__OF_PAIRS | AIOS__AGAIN : AIOS__OF_PAIRS);
    if (b->op) b->op[b->n_ops - 1].back = (int32_t)(b->n_ops - 1 - first);
    o = aios__emit(b, &local, aios__op_combine, "combine", l, AIOS__PER_TOKEN,
                   ref[AIOS__T_FFN_SHARED].w >= 0 ? AIOS__GATE : 0);
    o->n_in = hp->n_embd;
    o->x = b->exp_out;
    o->x_stride = e;
    o->y = b->x;
    o->y_stride = e;
    o->scale = hp->residual_scale;
    if (shared) {
        o->in.p[AIOSK_FLT] = (char *)b->shared;
        o->in.stride[AIOSK_FLT] = e * 4;
    }
    o->act_bytes = e * 4 * (used + 2 + (uint64_t)shared);
    b->act_bytes += o->act_bytes;
}

/* Buffers of a pass. f32 forms of attention and feed-forward are the buffers that their ops
 * write anyway. */
static void aios__build_buffers(aios__build *b) {
    const aios_model *m = b->m;
    const aios__hp *hp = &m->hp;
    uint64_t n = (uint64_t)b->n_batch, e = (uint64_t)hp->n_embd, pairs = n * (uint64_t)hp->n_used,
             longest;
    uint32_t in_attn = 0, in_ffn = 0, in_out = 0, in_down = 0, in_exp = 0, in_exp_down = 0, in_head;
    int32_t l, norm2 = 0,
               tmp = (m->arch->flags & AIOS__POST_NORM) != 0 || hp->residual_scale != 1.0f,
               n_ff = 0, shared = 0;
    for (l = 0; l < hp->n_layer; l++) {
        const aios__ref *r = m->layer[l];
        in_attn |= aios__mask(b, r[AIOS__T_ATTN_QKV]) | aios__mask(b, r[AIOS__T_ATTN_Q]) |
                   aios__mask(b, r[AIOS__T_ATTN_K]) | aios__mask(b, r[AIOS__T_ATTN_V]);
        in_ffn |= aios__ffn_mask(b, r);
        in_exp |= aios__mask(b, r[AIOS__T_FFN_GATE_EXPS]) | aios__mask(b, r[AIOS__T_FFN_UP_EXPS]);
        in_exp_down |= aios__mask(b, r[AIOS__T_FFN_DOWN_EXPS]);
        if (r[AIOS__T_FFN_UP].w >= 0 && hp->n_ff > n_ff) n_ff = hp->n_ff;
        if (r[AIOS__T_FFN_UP_SHEXP].w >= 0) {
            shared = hp->n_ff_shared ? hp->n_ff_shared : hp->n_ff;
            if (shared > n_ff) n_ff = shared;
        }
        in_out |= aios__mask(b, r[AIOS__T_ATTN_OUT]);
        in_down |= aios__mask(b, r[AIOS__T_FFN_DOWN]) | aios__mask(b, r[AIOS__T_FFN_DOWN_SHEXP]);
        norm2 |= r[AIOS__T_ATTN_NORM_2].w >= 0;
    }
    in_head = aios__mask(b, m->role[AIOS__T_OUTPUT].w >= 0 ? m->role[AIOS__T_OUTPUT]
                                                           : m->role[AIOS__T_TOKEN_EMBD]);
    b->n_qkv = (hp->n_head + hp->n_head_kv) * hp->hd_k + hp->n_head_kv * hp->hd_v;
    b->n_att = hp->n_head * hp->hd_v;
    b->ffn_stride = (uint64_t)n_ff * (m->arch->flags & AIOS__GATED ? 2 : 1);
    b->x = (float *)aios__take(&b->scratch, n * e * 4, 64);
    b->qkv = (float *)aios__take(&b->scratch, n * (uint64_t)b->n_qkv * 4, 64);
    b->att = (float *)aios__take(&b->scratch, n * (uint64_t)b->n_att * 4, 64);
    b->state = (float *)aios__take(&b->scratch, n * (uint64_t)hp->n_head * 8, 64);
    b->part = (float *)aios__take(&b->scratch,
                                  (uint64_t)aios__attend_slots(b->n_ctx) * (uint64_t)hp->n_head *
                                      (aios__round_up((uint64_t)hp->hd_v, 16) + 2) * 4,
                                  64);
    b->mass = b->heavy ? (float *)aios__take(
                             &b->scratch,
                             n * (uint64_t)hp->n_head * (uint64_t)aios__tiles(b->n_ctx) * 8, 64)
                       : NULL;
    b->ffn = (float *)aios__take(&b->scratch, n * b->ffn_stride * 4, 64);
    b->tmp = tmp ? (float *)aios__take(&b->scratch, n * e * 4, 64) : NULL;
    b->cs = (float *)aios__take(&b->scratch, n * (uint64_t)hp->n_rot * 4, 64);
    aios__acts_layout(b, &b->a_norm, hp->n_embd, b->n_batch, in_attn | in_ffn);
    aios__acts_layout(b, &b->a_norm2, hp->n_embd, b->n_batch, norm2 ? in_attn : 0);
    aios__acts_layout(b, &b->a_att, b->n_att, b->n_batch, in_out & ~(1u << AIOSK_FLT));
    aios__acts_layout(b, &b->a_ffn, n_ff, b->n_batch, in_down & ~(1u << AIOSK_FLT));
    /* f32: the embedding that the host may read */
    aios__acts_layout(b, &b->a_out, hp->n_embd, b->n_outputs, in_head | 1u << AIOSK_FLT);
    b->a_att.p[AIOSK_FLT] = (char *)b->att;
    b->a_att.stride[AIOSK_FLT] = (uint64_t)b->n_att * 4;
    b->a_ffn.p[AIOSK_FLT] = (char *)b->ffn;
    b->a_ffn.stride[AIOSK_FLT] = b->ffn_stride * 4;
    if (hp->n_expert) {
        b->moe.n_expert = hp->n_expert;
        b->moe.n_used = hp->n_used;
        longest = (uint64_t)(hp->n_ff_exp > hp->n_embd ? hp->n_ff_exp : hp->n_embd);
        /* as for any matrix */
        for (b->moe.block_cols = AIOSK__MAX_COLS; b->moe.block_cols > AIOS__TASK_COLS;
             b->moe.block_cols /= 2)
            if (32 * longest * (uint64_t)b->moe.block_cols <= AIOS__TASK_PRODUCTS) break;
        aios__moe_layout(&b->moe, &b->scratch, n, (uint64_t)hp->n_layer);
        b->exp = (float *)aios__take(&b->scratch, pairs * (uint64_t)hp->n_ff_exp * 8, 64);
        b->exp_out = (float *)aios__take(&b->scratch, pairs * e * 4, 64);
        b->shared = shared ? (float *)aios__take(&b->scratch, n * e * 4, 64) : NULL;
        aios__acts_layout(b, &b->a_pair, hp->n_embd, (int32_t)pairs, in_exp);
        aios__acts_layout(b, &b->a_exp, hp->n_ff_exp, (int32_t)pairs,
                          in_exp_down & ~(1u << AIOSK_FLT));
        b->a_exp.p[AIOSK_FLT] = (char *)b->exp;
        b->a_exp.stride[AIOSK_FLT] = (uint64_t)hp->n_ff_exp * 8;
    }
    b->logits =
        (float *)aios__take(&b->scratch, (uint64_t)b->n_outputs * (uint64_t)hp->n_vocab * 4, 64);
}
/* What one worker needs for itself: the largest of what its ops do. */
static uint64_t aios__build_work(const aios__build *b) {
    const aios__hp *hp = &b->m->hp;
    uint64_t n = (uint64_t)hp->n_embd * 4, row = 0, w;
    int32_t i, tables[2];
    aios__attend_work aw;
    aios__bump c = { NULL, 0 };
    tables[0] = b->m->role[AIOS__T_TOKEN_EMBD].w;
    tables[1] = b->m->role[AIOS__T_POS_EMBD].w;
    for (i = 0; i < 2; i++)
        if (tables[i] >= 0 && b->m->gguf.tensor[tables[i]].row_bytes > row)
            row = b->m->gguf.tensor[tables[i]].row_bytes;
    w = n + row;                              /* a table's row, then the same dequantised */
    if (hp->n_expert && w < 2 * n) w = 2 * n; /* combine */
    if (b->numerics == AIOS_REFERENCE) {      /* a dequantised row of any matrix */
        uint64_t longest = (uint64_t)(hp->n_ff > hp->n_embd ? hp->n_ff : hp->n_embd);
        if (longest < (uint64_t)hp->n_ff_exp) longest = (uint64_t)hp->n_ff_exp;
        if (longest < (uint64_t)hp->n_ff_shared) longest = (uint64_t)hp->n_ff_shared;
        if (longest < (uint64_t)b->n_att) longest = (uint64_t)b->n_att;
        if (w < longest * 4) w = longest * 4;
    }
    aios__attend_layout(&aw, &c, hp);
    if (b->coded && w < AIOSK_CONVERT_SCRATCH(hp->hd_k > hp->hd_v ? hp->hd_k : hp->hd_v))
        w = AIOSK_CONVERT_SCRATCH(hp->hd_k > hp->hd_v ? hp->hd_k : hp->hd_v);
    return aios__round_up(w > c.used ? w : c.used, 64);
}

/* Counts (op NULL, scratch.base NULL) or builds. m's tensors must have their places when it
 * builds. */
static void aios__program_build(aios__build *b) {
    const aios_model *m = b->m;
    const aios__hp *hp = &m->hp;
    aios__ref head =
        m->role[AIOS__T_OUTPUT].w >= 0 ? m->role[AIOS__T_OUTPUT] : m->role[AIOS__T_TOKEN_EMBD];
    aios__op local, *o;
    int32_t l;
    b->n_ops = b->n_phases = b->n_units = b->n_each = 0;
    b->w_bytes = b->row_bytes = b->act_bytes = b->stream_bytes = b->expert_bytes = b->slot_bytes =
        0;
    memset(b->part_bytes, 0, sizeof b->part_bytes);
    memset(b->table, 0, sizeof b->table);
    b->row_slot_bytes = b->n_tables = 0;
    b->row_align = 64;
    aios__build_buffers(b);
    b->work_bytes = aios__build_work(b);
    b->work = (char *)aios__take(&b->scratch, b->work_bytes * (uint64_t)b->n_threads, 64);

    if (b->n_seq > 1) aios__emit(b, &local, aios__op_copy, "copy", -1, AIOS__PER_COPY, 0);
    aios__emit_table(b, aios__op_embed, "embed", m->role[AIOS__T_TOKEN_EMBD], AIOS__EMBD_TABLE,
                     hp->embd_scale);
    if (hp->n_rot) {
        /* beside what goes in rounds nothing runs */
        o = aios__emit(b, &local, aios__op_angles, "angles", -1, AIOS__PER_TOKEN,
                       b->n_tables ? 0 : AIOS__JOIN);
        o->n_in = hp->n_rot / 2;
        o->freq = b->freq;
        o->scale = b->rope_mult;
        o->y = b->cs;
        o->y_stride = (uint64_t)hp->n_rot;
        o->act_bytes = (uint64_t)hp->n_rot * 4;
        b->act_bytes += o->act_bytes;
    }
    if (m->role[AIOS__T_POS_EMBD].w >= 0 && m->arch->flags & AIOS__POS_EMBD)
        aios__emit_table(b, aios__op_positions, "positions", m->role[AIOS__T_POS_EMBD],
                         AIOS__POS_TABLE, 1.0f);
    for (l = 0; l < hp->n_layer; l++) {
        const aios__ref *r = m->layer[l];
        uint32_t in_attn = aios__mask(b, r[AIOS__T_ATTN_QKV]) | aios__mask(b, r[AIOS__T_ATTN_Q]) |
                           aios__mask(b, r[AIOS__T_ATTN_K]) | aios__mask(b, r[AIOS__T_ATTN_V]);
        uint32_t in_ffn = aios__ffn_mask(b, r);
        /* both read the block's input, so both norms come first */
        if (m->arch->flags & AIOS__PARALLEL) {
            int32_t two = r[AIOS__T_ATTN_NORM_2].w >= 0;
            aios__emit_norm(b, "norm", l, r[AIOS__T_ATTN_NORM], b->x, &b->a_norm,
                            two ? in_ffn : in_attn | in_ffn, NULL, 0);
            if (two)
                aios__emit_norm(b, "norm_2", l, r[AIOS__T_ATTN_NORM_2], b->x, &b->a_norm2, in_attn,
                                NULL, AIOS__JOIN);
            aios__build_attention(b, l, two ? &b->a_norm2 : &b->a_norm);
            aios__build_ffn(b, l, &b->a_norm);
        } else {
            aios__emit_norm(b, "attn_norm", l, r[AIOS__T_ATTN_NORM], b->x, &b->a_norm, in_attn,
                            NULL, 0);
            aios__build_attention(b, l, &b->a_norm);
            aios__emit_norm(b, "ffn_norm", l, r[AIOS__T_FFN_NORM], b->x, &b->a_norm, in_ffn, NULL,
                            0);
            if (r[AIOS__T_FFN_ROUTER].w >= 0)
                aios__build_experts(b, l, &b->a_norm);
            else
                aios__build_ffn(b, l, &b->a_norm);
        }
    }
    aios__emit_norm(b, "output_norm", -1, m->role[AIOS__T_OUTPUT_NORM], b->x, &b->a_out,
                    aios__mask(b, head) | 1u << AIOSK_FLT, NULL, AIOS__ON_OUTPUTS);
    aios__emit_matmul(b, "output", -1, head, &b->a_out, b->logits, (uint64_t)hp->n_vocab,
                      AIOS__ON_OUTPUTS);
    if (hp->logit_scale != 1.0f) {
        o = aios__emit(b, &local, aios__op_scale, "logit_scale", -1, AIOS__PER_TOKEN,
                       AIOS__ON_OUTPUTS);
        o->x = b->logits;
        o->x_stride = (uint64_t)hp->n_vocab;
        o->n_in = hp->n_vocab;
        o->scale = hp->logit_scale;
        o->act_bytes = (uint64_t)hp->n_vocab * 8;
        b->act_bytes += o->act_bytes;
    }
    if (hp->logit_cap != 0) {
        o = aios__emit(b, &local, aios__op_cap, "cap", -1, AIOS__PER_TOKEN, AIOS__ON_OUTPUTS);
        o->x = b->logits;
        o->x_stride = (uint64_t)hp->n_vocab;
        o->n_in = hp->n_vocab;
        o->scale = hp->logit_cap;
        o->act_bytes = (uint64_t)hp->n_vocab * 8;
        b->act_bytes += o->act_bytes;
    }
}
