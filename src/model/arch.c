/* arch.c: one table of model families. A family is a row of data: which norm, which rope, which
 * activation, how the blocks are wired. Whatever a file can tell by itself (biases, tied or
 * fused tensors, a second norm, rope factors, head counts) is not here: model.c finds it in the
 * directory. A new family is a new row, and a new flag only when no row before it needed that
 * wiring. */

enum { AIOS__NORM_RMS = 0, AIOS__NORM_LAYER = 1 };
enum { AIOS__ROPE_NONE = -1 }; /* else AIOSK_ROPE_PAIRS, AIOSK_ROPE_HALVES */
enum {
    AIOS__GATED = 1,         /* down(act(gate x) * up x) instead of down(act(up x)) */
    AIOS__PARALLEL = 2,      /* x + attn(n) + ffn(n): both read the block's input */
    AIOS__POST_NORM = 4,     /* a norm after attention and after the feed-forward, before + */
    AIOS__QK_NORM = 8,       /* RMS norm of each query and key head, before rope */
    AIOS__EMBD_SQRT = 16,    /* embeddings times sqrt(n_embd) */
    AIOS__POS_EMBD = 32,     /* learned positions are added to the embeddings */
    AIOS__FUSED_QKV = 64,    /* no wiring: this file has q, k and v in one tensor */
    AIOS__QK_NORM_ALL = 128, /* that norm goes over all queries, and over all keys, together */
    AIOS__SCALES = 256,      /* embeddings, sub-layers and logits are scaled as the file says */
    AIOS__EXPERTS = 512,     /* feed-forwards of experts, where the file counts some */
    /* weights of a token's experts add up to 1, where the file does not say */
    AIOS__EXP_NORM = 1024,
    AIOS__ROUTED = 2048, /* no wiring: this layer has experts */
    AIOS__SHARED = 4096, /* no wiring: and one that all tokens go to */
    /* no wiring, what the other columns of a row say: norms are RMS, heads turn, layers have a
     * window, those have a rope of their own */
    AIOS__RMS = 8192,
    AIOS__TURNS = 16384,
    AIOS__WINDOWS = 32768,
    AIOS__TWO_ROPES = 65536
};

typedef struct aios__arch {
    const char *name; /* general.architecture */
    int32_t norm, rope, act;
    uint32_t flags;
    /* Layers with the sliding window: those where bit l % window_every of window_at is set. Every
     * second one from the first on: 2, 1; all but each sixth: 6, 31; none: 0, 0 */
    int32_t window_every;
    uint32_t window_at;
    /* its width, and the soft caps of scores and logits, in files that do not say; 0 = none */
    int32_t window;
    float score_cap, logit_cap;
    double window_base; /* rope base of those layers, which nothing scales; 0 = the rope of all */
} aios__arch;

/* clang-format off */
static const aios__arch aios__archs[] = {
    /* name       norm              rope               activation
     *     wiring, layers with a window, its width, caps of scores and logits, its rope's base */
    { "llama",      AIOS__NORM_RMS,   AIOSK_ROPE_PAIRS,  AIOSK_ACT_SILU,
          AIOS__GATED | AIOS__EXPERTS | AIOS__EXP_NORM, 0, 0, 0, 0, 0, 0 },
    { "mistral",    AIOS__NORM_RMS,   AIOSK_ROPE_PAIRS,  AIOSK_ACT_SILU,
          AIOS__GATED, 1, 1, 0, 0, 0, 0 },
    { "qwen2",      AIOS__NORM_RMS,   AIOSK_ROPE_HALVES, AIOSK_ACT_SILU,
          AIOS__GATED, 0, 0, 0, 0, 0, 0 },
    { "qwen3",      AIOS__NORM_RMS,   AIOSK_ROPE_HALVES, AIOSK_ACT_SILU,
          AIOS__GATED | AIOS__QK_NORM, 0, 0, 0, 0, 0, 0 },
    { "qwen2moe",   AIOS__NORM_RMS,   AIOSK_ROPE_HALVES, AIOSK_ACT_SILU,
          AIOS__GATED | AIOS__EXPERTS, 0, 0, 0, 0, 0, 0 },
    { "qwen3moe",   AIOS__NORM_RMS,   AIOSK_ROPE_HALVES, AIOSK_ACT_SILU,
          AIOS__GATED | AIOS__EXPERTS | AIOS__EXP_NORM | AIOS__QK_NORM, 0, 0, 0, 0, 0, 0 },
    { "olmoe",      AIOS__NORM_RMS,   AIOSK_ROPE_HALVES, AIOSK_ACT_SILU,
          AIOS__GATED | AIOS__EXPERTS | AIOS__QK_NORM | AIOS__QK_NORM_ALL, 0, 0, 0, 0, 0, 0 },
    { "granite",    AIOS__NORM_RMS,   AIOSK_ROPE_PAIRS,  AIOSK_ACT_SILU,
          AIOS__GATED | AIOS__SCALES, 0, 0, 0, 0, 0, 0 },
    { "granitemoe", AIOS__NORM_RMS,   AIOSK_ROPE_PAIRS,  AIOSK_ACT_SILU,
          AIOS__GATED | AIOS__SCALES | AIOS__EXPERTS | AIOS__EXP_NORM, 0, 0, 0, 0, 0, 0 },
    { "falcon",     AIOS__NORM_LAYER, AIOSK_ROPE_HALVES, AIOSK_ACT_GELU,
          AIOS__PARALLEL, 0, 0, 0, 0, 0, 0 },
    { "arcee",      AIOS__NORM_RMS,   AIOSK_ROPE_PAIRS,  AIOSK_ACT_RELU2,
          0, 0, 0, 0, 0, 0, 0 },
    { "nemotron",   AIOS__NORM_LAYER, AIOSK_ROPE_HALVES, AIOSK_ACT_RELU2,
          0, 0, 0, 0, 0, 0, 0 },
    { "gemma",      AIOS__NORM_RMS,   AIOSK_ROPE_HALVES, AIOSK_ACT_GELU,
          AIOS__GATED | AIOS__EMBD_SQRT, 0, 0, 0, 0, 0, 0 },
    { "gemma2",     AIOS__NORM_RMS,   AIOSK_ROPE_HALVES, AIOSK_ACT_GELU,
          AIOS__GATED | AIOS__EMBD_SQRT | AIOS__POST_NORM, 2, 1, 4096, 50, 30, 0 },
    { "phi3",       AIOS__NORM_RMS,   AIOSK_ROPE_HALVES, AIOSK_ACT_SILU,
          AIOS__GATED, 1, 1, 0, 0, 0, 0 },
    { "gpt2",       AIOS__NORM_LAYER, AIOS__ROPE_NONE,   AIOSK_ACT_GELU,
          AIOS__POS_EMBD, 0, 0, 0, 0, 0, 0 }
};
/* clang-format on */

static const aios__arch *aios__arch_find(aios__str name) {
    for (uint32_t i = 0; i < sizeof aios__archs / sizeof *aios__archs; i++)
        if (aios__str_eq(name, aios__archs[i].name)) return &aios__archs[i];
    return NULL;
}

/* Roles a tensor can have. In the file each is NAME.weight, perhaps with NAME.bias; those of a
 * layer stand behind "blk.N.". Shapes are letters that model.c knows: E n_embd, Q all query
 * heads, K all key heads, V all value heads, O all value heads of the queries, F n_ff, T the
 * three of QKV together, U up, or gate and up together, M what the norm of queries sees, N that
 * of keys, C n_ctx_train, W n_vocab, X experts, D n_ff of one, S n_ff of the shared one; "-"
 * none (a vector, or one row). EXPERTS are matrices of this shape, one for each expert: all in
 * one tensor or, "ffn_up.3" for "ffn_up_exps", each in its own. */
enum { AIOS__IS_MATRIX = 1, AIOS__IS_VECTOR = 2, AIOS__IS_TABLE = 3, AIOS__IS_EXPERTS = 4 };
/* must: a file without it is refused. need, not_with: wirings that give the role a place, and
 * that take it away.
 *    ROLE            name                   kind     in   out must need              not_with */
/* clang-format off */
#define AIOS__MODEL_ROLES(X) \
  X(TOKEN_EMBD,     "token_embd",          TABLE,   'E', 'W', 1, 0,               0)               \
  X(POS_EMBD,       "position_embd",       TABLE,   'E', 'C', 1, AIOS__POS_EMBD,  0)               \
  X(ROPE_FREQS,     "rope_freqs",          VECTOR,  'R', '-', 0, 0,               AIOS__POS_EMBD)  \
  X(ROPE_LONG,      "rope_factors_long",   VECTOR,  'R', '-', 0, 0,               AIOS__POS_EMBD)  \
  X(ROPE_SHORT,     "rope_factors_short",  VECTOR,  'R', '-', 0, 0,               AIOS__POS_EMBD)  \
  X(OUTPUT_NORM,    "output_norm",         VECTOR,  'E', '-', 1, 0,               0)               \
  X(OUTPUT,         "output",              MATRIX,  'E', 'W', 0, 0,               0)
#define AIOS__LAYER_ROLES(X) \
  X(ATTN_NORM,      "attn_norm",           VECTOR,  'E', '-', 1, 0,               0)               \
  X(ATTN_NORM_2,    "attn_norm_2",         VECTOR,  'E', '-', 0, AIOS__PARALLEL,  0)               \
  X(ATTN_QKV,       "attn_qkv",            MATRIX,  'E', 'T', 0, 0,               0)               \
  X(ATTN_Q,         "attn_q",              MATRIX,  'E', 'Q', 1, 0,               AIOS__FUSED_QKV) \
  X(ATTN_K,         "attn_k",              MATRIX,  'E', 'K', 1, 0,               AIOS__FUSED_QKV) \
  X(ATTN_V,         "attn_v",              MATRIX,  'E', 'V', 1, 0,               AIOS__FUSED_QKV) \
  X(ATTN_Q_NORM,    "attn_q_norm",         VECTOR,  'M', '-', 1, AIOS__QK_NORM,   0)               \
  X(ATTN_K_NORM,    "attn_k_norm",         VECTOR,  'N', '-', 1, AIOS__QK_NORM,   0)               \
  X(ATTN_OUT,       "attn_output",         MATRIX,  'O', 'E', 1, 0,               0)               \
  X(POST_ATTN_NORM, "post_attention_norm", VECTOR,  'E', '-', 1, AIOS__POST_NORM, 0)               \
  X(FFN_NORM,       "ffn_norm",            VECTOR,  'E', '-', 1, 0,               AIOS__PARALLEL)  \
  X(FFN_GATE,       "ffn_gate",            MATRIX,  'E', 'F', 0, AIOS__GATED,     AIOS__ROUTED)    \
  X(FFN_UP,         "ffn_up",              MATRIX,  'E', 'U', 1, 0,               AIOS__ROUTED)    \
  X(FFN_DOWN,       "ffn_down",            MATRIX,  'F', 'E', 1, 0,               AIOS__ROUTED)    \
  X(FFN_ROUTER,     "ffn_gate_inp",        MATRIX,  'E', 'X', 0, AIOS__ROUTED,    0)               \
  X(FFN_GATE_EXPS,  "ffn_gate_exps",       EXPERTS, 'E', 'D', 1, AIOS__ROUTED,    0)               \
  X(FFN_UP_EXPS,    "ffn_up_exps",         EXPERTS, 'E', 'D', 1, AIOS__ROUTED,    0)               \
  X(FFN_DOWN_EXPS,  "ffn_down_exps",       EXPERTS, 'D', 'E', 1, AIOS__ROUTED,    0)               \
  X(FFN_SHARED,     "ffn_gate_inp_shexp",  MATRIX,  'E', '-', 0, AIOS__SHARED,    0)               \
  X(FFN_GATE_SHEXP, "ffn_gate_shexp",      MATRIX,  'E', 'S', 1, AIOS__SHARED,    0)               \
  X(FFN_UP_SHEXP,   "ffn_up_shexp",        MATRIX,  'E', 'S', 1, AIOS__SHARED,    0)               \
  X(FFN_DOWN_SHEXP, "ffn_down_shexp",      MATRIX,  'S', 'E', 1, AIOS__SHARED,    0)               \
  X(POST_FFN_NORM,  "post_ffw_norm",       VECTOR,  'E', '-', 1, AIOS__POST_NORM, 0)
/* clang-format on */

#define AIOS__X(N, n, k, i, o, m, y, x) AIOS__ROLE_##N,
enum { AIOS__MODEL_ROLES(AIOS__X) AIOS__N_MODEL_ROLES };
enum { AIOS__LAYER_ROLES(AIOS__X) AIOS__N_LAYER_ROLES };
#undef AIOS__X

typedef struct aios__role {
    const char *name;
    int32_t kind;
    char in, out;
    int32_t must;
    uint32_t need, not_with;
} aios__role;
#define AIOS__X(N, n, k, i, o, m, y, x) { n, AIOS__IS_##k, i, o, m, y, x },
static const aios__role aios__model_role[] = { AIOS__MODEL_ROLES(AIOS__X) };
static const aios__role aios__layer_role[] = { AIOS__LAYER_ROLES(AIOS__X) };
#undef AIOS__X
