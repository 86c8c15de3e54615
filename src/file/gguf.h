/* gguf.h: what the parser hands to the rest: keys and a tensor directory, as views into header
 * bytes that stay put. Everything here has been checked against the file size and the caller's
 * limits before it is seen. */
#ifndef AIOS__GGUF_H
#define AIOS__GGUF_H

/* GGUF value types */
enum {
    AIOS__U8 = 0,
    AIOS__I8,
    AIOS__U16,
    AIOS__I16,
    AIOS__U32,
    AIOS__I32,
    AIOS__F32,
    AIOS__BOOL,
    AIOS__STR,
    AIOS__ARR,
    AIOS__U64,
    AIOS__I64,
    AIOS__F64,
    AIOS__N_VALUE_TYPES
};

typedef struct aios__key {
    aios__str name;
    uint32_t type; /* of the value, or of the items when is_array */
    uint32_t is_array, part, reserved;
    uint64_t n;       /* items (1 when no array) */
    const uint8_t *p; /* the first item; strings are u64 length + bytes, one after the other */
    uint64_t n_bytes; /* of all items */
    uint64_t off;     /* where the value stands in its file */
} aios__key;

typedef struct aios__tensor {
    aios__str name;
    uint32_t type, n_dims, part, reserved;
    uint64_t n[4];      /* first index contiguous; unused are 1 */
    uint64_t row_bytes; /* bytes of n[0] weights; whole blocks; 0: of a type that is not known */
    uint64_t n_bytes;   /* of all rows; inside the file; of that type the room up to what follows */
    uint64_t off;       /* of the data, in its part */
    uint64_t dir_off;   /* of its directory entry, for messages */
} aios__tensor;

typedef struct aios__gguf {
    uint32_t version, n_parts, n_keys, n_tensors;
    const aios_io *io;     /* [n_parts] */
    aios__key *key;        /* [n_keys]    keys of the first part (others repeat or add split.*) */
    aios__tensor *tensor;  /* [n_tensors] of all parts, in order */
    uint32_t *key_by_name; /* [n_keys]    indices of key, names ascending; no two are equal */
    uint32_t *tensor_by_name; /* [n_tensors] the same for tensor */
    uint64_t header_bytes;    /* of all parts */
    uint64_t tensor_bytes, n_params;
    uint64_t hash; /* of all header bytes (FNV-1a 64) */
} aios__gguf;

/* What a first reading of the header found: enough to lay out memory exactly, for vocab.c too. */
typedef struct aios__gguf_size {
    uint32_t version, n_parts, n_keys, n_tensors;
    uint64_t header_bytes;       /* of all parts */
    uint64_t held_bytes;         /* of those: what aios_io.map does not give and is copied */
    uint64_t n_tokens, n_merges; /* items of tokenizer.ggml.tokens and .merges (string arrays) */
    uint64_t token_bytes;        /* bytes of all token strings */
} aios__gguf_size;

/* The string at *p; *p moves on to the next. Start with key.p and call at most key.n times. */
static inline aios__str aios__key_next_str(const uint8_t **p) {
    aios__str s;
    memcpy(&s.n, *p, 8);
    s.p = (const char *)*p + 8;
    *p += 8 + s.n;
    return s;
}

#endif
