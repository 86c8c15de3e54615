/* graph.h: a model as values and nodes, whatever the plan: what is computed, of what, and which
 * tensors that takes. graph.c draws it once, when the model is opened; program.c walks over it
 * for each plan and context, and finds there how long a value lives, who reads it and in which
 * forms. */
#ifndef AIOS__GRAPH_H
#define AIOS__GRAPH_H

/* What a node is. in and out: its values, in the order of aios__node; a value that is changed in
 * place stands in both. w: a tensor.
 *  KIND         in                              out                  with
 *  COPY                                         cache                pages that become its own
 *  TABLE        (x)                             x                    w; with x in, added to it
 *  ANGLES                                       angles               which: of hp.rope
 *  NORM         x, (residual)                   y, or residual       w
 *  MATRIX       x, (y)                          y                    w; with y in, added to it
 *  HEADS        qkv, angles                     qkv, cache           norms of queries and keys
 *  SEAL         cache                           cache
 *  ATTEND       qkv, cache                      y, state, partials, masses
 *  ATTEND_END   y, state, partials, masses      y
 *  ACT          gate or x, (up)                 y, a view of gate or x
 *  SCALE, CAP   x                               x                    scale
 *  ADD          x, residual                     x, residual          scale: of x before it is added
 *  ROUTE        logits                          logits, lists
 *  GROUP        lists                           lists
 *  GATHER       x, lists                        y
 *  EXPERTS      pairs, lists, (x)               y                    w; which: AIOS__EXPERT_GATE ...
 *  COMBINE      y, logits, lists, residual, (shared)  residual       scale; which: the shared one has a gate */
/* clang-format off */
#define AIOS__NODES(X) \
    X(COPY, copy) X(TABLE, table) X(ANGLES, angles) X(NORM, norm) X(MATRIX, matrix) \
    X(HEADS, heads) X(SEAL, seal) X(ATTEND, attend) X(ATTEND_END, attend_end) X(ACT, act) \
    X(SCALE, scale) X(CAP, cap) X(ADD, add) X(ROUTE, route) X(GROUP, group) X(GATHER, gather) \
    X(EXPERTS, experts) X(COMBINE, combine)
/* clang-format on */
enum {
#define AIOS__X(N, n) AIOS__NODE_##N,
    AIOS__NODES(AIOS__X) AIOS__N_NODES
#undef AIOS__X
};

/* How many rows of a value a pass has. */
enum {
    AIOS__OF_NOTHING =
        0, /* it has no place in scratch memory: stands for the cache, or for lists */
    AIOS__OF_TOKENS = 1,
    AIOS__OF_OUTPUTS = 2,  /* tokens whose logits are wanted */
    AIOS__OF_PAIRS = 3,    /* of a token and one of its experts */
    AIOS__OF_PARTIALS = 4, /* results of single runs of keys that wait to be merged */
    AIOS__OF_MASSES = 5    /* of a token and a tile, where the cache keeps those with the most */
};

/* Tables of which tokens take rows; matrices of an expert. */
enum { AIOS__N_TABLES = 2, AIOS__EMBD_TABLE = 0, AIOS__POS_TABLE = 1 };
enum {
    AIOS__EXPERT_GATE = 0,
    AIOS__EXPERT_UP = 1,
    AIOS__EXPERT_DOWN = 2,
    AIOS__N_EXPERT_MATRICES = 3
};

/* Tensor index of a role, and of its bias; -1 = the file has none. */
typedef struct aios__ref {
    int32_t w, b;
} aios__ref;

/* Rows of floats, and what else is made of them for those who read: 8-bit forms. */
typedef struct aios__value {
    int32_t width, at;   /* floats of a row; a view: the first channel of its base */
    int16_t base;        /* a view: the value whose channels it has; -1 = it has its own */
    int16_t last;        /* the last node that touches it, or a view of it */
    uint8_t rows, forms; /* AIOS__OF_*; 1 << AIOSK_FLT, _A32, _A256 that its readers take */
} aios__value;

enum { AIOS__MAX_IN = 5, AIOS__MAX_OUT = 4, AIOS__MAX_NODES = 32000 };
typedef struct aios__node {
    const char *name;
    aios__ref w;
    float scale;
    int16_t in[AIOS__MAX_IN], out[AIOS__MAX_OUT]; /* values; -1 = none */
    int16_t layer;                                /* -1 = none */
    uint8_t kind, which;
} aios__node;

typedef struct aios__graph {
    aios__value *value; /* [n_values] */
    aios__node *node;   /* [n_nodes] in an order in which they can run */
    uint32_t n_values, n_nodes, max_values, max_nodes;
    int32_t logits, embedding; /* values that the host sees when a pass is through */
} aios__graph;

#endif
