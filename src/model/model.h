/* model.h: an open model: its numbers, by layer where layers may differ, its tensors by role, and
 * where their bytes are. */
#ifndef AIOS__MODEL_H
#define AIOS__MODEL_H

enum {
    AIOS__SCALE_NONE = 0,
    AIOS__SCALE_LINEAR = 1,
    AIOS__SCALE_YARN = 2,
    AIOS__SCALE_LONGROPE = 3
};

/* How positions turn heads. */
typedef struct aios__rope {
    int32_t kind;    /* AIOSK_ROPE_PAIRS, _HALVES */
    int32_t n_rot;   /* channels of a head that turn; even */
    int32_t scaling; /* AIOS__SCALE_* */
    int32_t orig_ctx;
    double base, factor, attn_factor, beta_fast, beta_slow, ext;
    int32_t divide; /* 1: the model's tables of factors apply (rope_freqs, long and short ones) */
} aios__rope;
enum { AIOS__MAX_ROPES = 4 };

/* What a layer is. No padding: state.c hashes it. */
typedef struct aios__hp_layer {
    int32_t n_head, n_head_kv, hd_k, hd_v, n_ff;
    /* n_expert 0: none; n_used of them for a token */
    int32_t n_expert, n_used, n_ff_exp, n_ff_shared;
    int32_t window;    /* a query sees itself and window - 1 before it; 0 = all */
    int32_t rope;      /* index of hp.rope; -1 = none */
    int32_t recurrent; /* a state in place of keys and values; 0 in every family of today */
    float score_scale;
} aios__hp_layer;

typedef struct aios__hp {
    aios__hp_layer *layer; /* [n_layer] */
    aios__rope rope[AIOS__MAX_ROPES];
    int32_t n_ropes;
    int32_t n_layer, n_embd, n_vocab, n_ctx_train;
    int32_t window; /* the widest of any layer; 0 = none has one */
    int32_t n_head; /* the most of any layer */
    float norm_eps, score_cap, logit_cap, embd_scale;
    float residual_scale, logit_scale; /* what sub-layers and logits are multiplied with */
    /* of the layers with experts, which are alike in these; n_expert 0: there are none */
    int32_t n_expert, n_used, n_ff_exp;
    int32_t exp_norm; /* the weights of those add up to exp_scale */
    float exp_scale;
} aios__hp;

/* Where a tensor's bytes are. Decided by aios__place_of (memory.c) before any are taken: the
 * rows below `rows` are resident, in the block of their tier or where the io maps them; those
 * from there on are streamed. */
typedef struct aios__place {
    uint8_t use, section, can_map; /* AIOS__IS_*, 0 = no role; AIOS__SECTION_* */
    uint8_t layout, mapped, tier;  /* of the resident rows */
    /* experts: 1 = of experts, of which a token reads some. split: 0 = the matrices of all of them,
     * 1 = of one alone */
    uint8_t experts, split;
    int16_t layer; /* 0 for the model's own */
    /* split: whose matrix it is, and the tensor with that of the next expert, -1 = no more. A
     * role's ref is the tensor of expert 0 */
    uint16_t expert;
    int32_t next;
    uint32_t rows;         /* of each matrix */
    uint64_t art_off;      /* in the artifact; 0 = not there */
    uint64_t off, n_bytes; /* in the block of the tier; vectors are kept as f32 */
    const void *p;         /* NULL until loaded */
} aios__place;
enum { AIOS__MAP_MODEL = 1, AIOS__MAP_ARTIFACT = 2 }; /* can_map: whose io maps the tensor */
/* Sections of a model: matrices in the order in which they leave memory when it is short; FIXED
 * stays. */
enum {
    AIOS__SECTION_FFN = 0,
    AIOS__SECTION_ATTN = 1,
    AIOS__SECTION_OUT = 2,
    AIOS__SECTION_FIXED = 3
};

/* How the weights are divided between the tiers. With it, aios__place_of gives the same answer
 * each time. */
typedef struct aios__cut {
    int32_t rows;    /* 1 = all matrices as in the file (AIOS_REFERENCE) */
    int32_t level;   /* how much is streamed, 0 .. AIOS__LEVELS */
    int32_t experts; /* 1 = those are read when a token wants them */
    int32_t tables;  /* 1 = tables that do not lie where the io maps them are read by the row */
    int32_t warm, mapped; /* how many steps are warm; 1 = those are used where the io maps them */
    uint64_t unit_bytes;  /* most bytes of rows that are streamed at once */
} aios__cut;

struct aios_model {
    aios_allocator mem;
    aios__notes log;
    aios_mem_req req, weights_req[2]; /* weights: of HOT and of WARM */
    aios_io *io;                      /* [n_parts], then that of the artifact */
    uint32_t n_parts, own_files, flags, own_artifact;
    uint32_t async, n_async; /* every io has submit and wait; contexts that use them */
    int32_t loaded;          /* the weights are there, divided as cut says */
    aios__cut cut;
    uint32_t n_contexts, dying; /* dying: freed when its last context is */
    aios__gguf gguf;
    aios__vocab vocab;
    const aios__arch *arch; /* NULL when opened for the vocabulary alone */
    aios__str arch_name;    /* zero terminated in arch_z */
    char arch_z[32];
    aios__hp hp;
    aios__ref role[AIOS__N_MODEL_ROLES];
    aios__ref (*layer)[AIOS__N_LAYER_ROLES]; /* [n_layer] */
    aios__place *place;                      /* [n_tensors] */
    aios__graph graph;
    uint32_t n_split; /* of those that are the matrix of one expert */
    void *weights[2];
};

#endif
