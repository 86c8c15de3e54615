/* aios.h: runs GGUF language models on the CPU, inside your program, in memory that you own.
 *
 *     #define AIOS_IMPLEMENTATION                  // in exactly one C or C++ file
 *     #include "aios.h"                            // needs aios_kernels.h beside it
 *
 *     aios_model_desc md;  aios_model *model;      // 1. open: reads the header, takes one block of META memory
 *     aios_model_desc_init(&md);
 *     md.mem = &my_allocator;  md.path = "model.gguf";
 *     aios_model_open(&md, &model, &err);          // every call has a status: look at it, or at err.text
 *
 *     aios_plan_desc pd;  aios_plan plan;          // 2. plan: what will be asked for, to the byte; takes nothing
 *     aios_plan_desc_init(&pd);
 *     pd.n_ctx = 2048;  pd.n_threads = 4;          // pd.budget_bytes = ...: fit in so much, read the rest as it is needed
 *     aios_plan_init(&plan);
 *     aios_plan_make(model, &pd, &plan, &err);     // look at plan.total_bytes; aios_plan_request lists each request
 *
 *     aios_context_desc cd;  aios_context *ctx;    // 3. context: takes exactly that, loads the weights
 *     aios_context_desc_init(&cd);
 *     aios_context_open(model, &plan, &cd, &ctx, &err);
 *
 *     aios_sampler sampler;  aios_detok detok = {{0}, 0, 0};      // zeros: greedy; text that goes on behind other text
 *     aios_sampler_init(&sampler);
 *     char buf[1024];  int32_t id, i;
 *     int64_t n = aios_tokenize(model, text, n_text, AIOS_TOK_BOS, ids, n_ids, &err);     // the beginning of a text
 *     aios_feed(ctx, 0, ids, (uint64_t)n, 0, &err);               // 4. run: tokens in, logits out; nothing allocates from here on
 *     for (i = 0; i < 100; i++) {
 *         while (aios_step(ctx, deadline_ns, &err) == AIOS_MORE) {}      // do something else
 *         if (aios_sample(ctx, 0, &sampler, &id, &err) || aios_token_is_end(model, id)) break;
 *         fwrite(buf, 1, (size_t)aios_detokenize(model, &detok, id, buf, sizeof buf), stdout);
 *         aios_feed(ctx, 0, &id, 1, 0, &err);
 *     }
 *     aios_context_free(ctx);
 *     aios_model_free(model);
 *
 * MEMORY   Every byte comes from the allocator in the desc, asked for with a record (kind, tier, bytes, alignment).
 *          aios_model_measure tells the one request of aios_model_open, aios_plan_request all that follow; opening
 *          takes exactly those, and after aios_context_open nothing is allocated. Freed in reverse order by *_free.
 *          The library object contains no call to malloc, unless AIOS_DEFAULT_ALLOC is defined where it is compiled: then desc.mem may be
 *          NULL, which means malloc and free.
 * BUDGET   With pd.budget_bytes the plan goes down a ladder until it fits: tables of which a token wants a row are read by the row; a
 *          smaller batch; what AIOS_PLAN_MAY_* allows; then matrices used where the io maps them, or read from storage: experts when a
 *          token wants them, into a cache, the others for every pass, through a ring that is filled ahead. It says which rungs it
 *          took, what bounds the speed, and the least that would do. No rung but those of AIOS_PLAN_MAY_* changes a bit.
 * CACHE    Keys and values are in pages of 64 positions from one pool: sequences share them, are forked, cut back, saved and restored
 *          (aios_seq_*). pd.kv_type says how positions are kept, the other kv_ fields what becomes of those far back.
 * THREADS  One context is used by one thread at a time; several contexts of one model may run side by side. Opening and
 *          freeing contexts of one model must not overlap. Work is shared out through desc.parallel_for, or through
 *          threads of the context's own (n_threads > 1 without parallel_for), or runs in the caller alone.
 * TIME     aios_step returns AIOS_MORE soon after its deadline passes and goes on at the same place next time.
 * ERRORS   Functions return 0, a positive count or code where documented, or a negative AIOS_ERR_*. Where an
 *          aios_error* is given it says what was wrong in one sentence. Nothing prints, aborts or sets errno-like state.
 * NUMBERS  The same bits on every instruction set, thread count, chunking and batch composition (AIOS_CANONICAL).
 * BINDINGS Every function is a symbol with C linkage, whatever AIOS_API is; types are fixed-width integers, floats, pointers and structs of these
 *          without hidden padding. aios_version says what the library is, aios_sizeof how long its structs are; those that begin with
 *          struct_size begin as zeros with that field set, by aios_*_init or by hand. Callbacks may be called by any thread that works for a
 *          context (THREADS): with n_threads 1 and no readers by the caller's alone. What the library points to is its own or the model's,
 *          never to be freed. `make shared` and CMake build it with AIOS_DEFAULT_ALLOC.
 *
 * Macros, before the include: AIOS_IMPLEMENTATION; AIOS_STATIC (everything static); AIOS_API (linkage);
 * AIOS_DLL (the library is a shared one, or will be: what is public is exported where AIOS_IMPLEMENTATION is defined, before the
 * first include, and imported elsewhere; on systems other than Windows it is visible in spite of -fvisibility=hidden);
 * AIOS_DEFAULT_ALLOC (beside AIOS_IMPLEMENTATION: desc.mem may be NULL, the object calls malloc and free);
 * AIOS_NO_THREADS (no pthreads/Win32 threads: caller's thread or parallel_for only); AIOS_NO_FILES (no built-in file
 * reader); AIOS_NO_CLOCK (deadlines only with desc.now_ns); AIOSK_NO_SIMD (scalar code only);
 * AIOS_LIBNUMA (nodes as libnuma counts them, which you link); AIOS_STACK_BYTES (stack of each own thread, from your allocator [256 KiB]).
 * Compiled apart: the kernels take most of the compiler's time and seldom change, so give them a file of their own, with AIOSK_IMPLEMENTATION
 * and aios_kernels.h alone, and define AIOS_EXTERNAL_KERNELS beside AIOS_IMPLEMENTATION. AIOS_EXTERNAL: all of the code is in a library that
 * you link; AIOS_IMPLEMENTATION then does nothing.
 * Limits: little-endian, IEEE floats, 64-bit file offsets; a model has at most 65535 tensors by default (aios_limits). */
/* Generated from src/ by tools/amalgamate.awk: edit there, then `make headers`. Licence: at the end. */
#ifndef AIOS_H
#define AIOS_H

#include <stddef.h>
#include <stdint.h>
#if defined(AIOS_STATIC) && !defined(AIOSK_STATIC) && !defined(AIOS_EXTERNAL_KERNELS)
#define AIOSK_STATIC
#endif
#if defined(AIOS_DLL) && !defined(AIOSK_DLL)
#define AIOSK_DLL
#endif
#include "aios_kernels.h"

#if defined(AIOSK__QUIET) && defined(__cplusplus)
#pragma GCC diagnostic push             /* as in aios_kernels.h */
#pragma GCC diagnostic ignored "-Wunused-function"
#endif
#ifndef AIOS_API
#ifdef AIOS_STATIC
#define AIOS_API AIOSK__STATIC
#elif defined(AIOS_DLL)
#define AIOS_API AIOSK__DLL
#else
#define AIOS_API extern
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define AIOS_VERSION 100  /* 0.1.0 */
/* AIOS_VERSION of the library that is running: major * 10000 + minor * 100 + patch. */
AIOS_API uint32_t aios_version(void);

/* ---- status ------------------------------------------------------------------------------------------------ */
typedef int32_t aios_status;
/* The one list of them: the numbers, and the names that aios_status_name gives. */
/* clang-format off */
#define AIOS_STATUSES(X) \
  X(AIOS_OK,                0) /* done */                                                          \
  X(AIOS_MORE,              1) /* aios_step: tokens are left to process */                         \
  X(AIOS_ERR_ARG,          -1) /* an argument is out of range or missing */                        \
  X(AIOS_ERR_DESC,         -2) /* a desc was not initialised, or sets fields this version lacks */ \
  X(AIOS_ERR_MEMORY,       -3) /* the allocator returned NULL, or memory is below the minimum */   \
  X(AIOS_ERR_IO,           -4) /* reading failed or came up short */                               \
  X(AIOS_ERR_FORMAT,       -5) /* not a GGUF file, or a damaged one */                             \
  X(AIOS_ERR_LIMIT,        -6) /* larger than the caller's limits allow */                         \
  X(AIOS_ERR_UNSUPPORTED,  -7) /* sound, but a family, type or feature that this version lacks */  \
  X(AIOS_ERR_MODEL,        -8) /* keys and tensors do not fit together */                          \
  X(AIOS_ERR_STATE,        -9) /* called at the wrong time */                                      \
  X(AIOS_ERR_FULL,        -10) /* context or sequence has no room for the tokens */                \
  X(AIOS_ERR_CANCELLED,   -11) /* aios_cancel */                                                   \
  X(AIOS_ERR_VOCAB,       -12) /* no tokenizer in the model, or text that it cannot encode */      \
  X(AIOS_ERR_SYSTEM,      -13) /* a thread could not be started */
/* clang-format on */
#define AIOS__X(name, value) name = value,
enum { AIOS_STATUSES(AIOS__X) };
#undef AIOS__X
/* What a call went wrong about. 256 bytes, a size that is fixed for good. */
typedef struct aios_error {
    aios_status code;
    uint32_t reserved;
    uint64_t offset;            /* byte of the file; UINT64_MAX = not about the file                   */
    uint64_t expected, got;     /* the two numbers that disagree, where there are two                  */
    char text[224];             /* one sentence, zero terminated, UTF-8                                */
} aios_error;

/* "AIOS_ERR_IO" and so on; "unknown status" for others. */
AIOS_API const char *aios_status_name(aios_status s);

/* What the caller fills in and what the library fills in begins with struct_size, and has a function: aios_plan_desc_init(&d) sets all to zeros and
 * struct_size to its size. In C and C++ that is sizeof as the caller was compiled, so newer libraries know older callers. A
 * struct_size must be one that this or an older version had, or larger by a multiple of 4, up to 4096, what is more being zeros: a newer caller who
 * uses nothing new. Any other is AIOS_ERR_DESC.
 * The symbol aios_plan_desc_init and its kin, for other languages, write aios_sizeof("aios_plan_desc") bytes, the library's size: call
 * them for memory of that size, or write zeros and struct_size yourself. */
#define AIOS__DESC_INIT(T)                                         \
    AIOS_API void T##_init(T *d);                                  \
    static inline void aios__##T##_init(T *d) {                    \
        size_t i_;                                                 \
        for (i_ = 0; i_ < sizeof *d; i_++) ((char *)d)[i_] = 0;    \
        d->struct_size = (uint32_t)sizeof *d;                      \
    }
/* sizeof of a public struct of both headers in the library, by its name: "aios_plan_desc", "aios_error"; 0 = there is none of this name. */
AIOS_API uint64_t aios_sizeof(const char *struct_name);

/* ---- memory ------------------------------------------------------------------------------------------------ */
enum { AIOS_MEM_WEIGHTS = 0, AIOS_MEM_KV = 1, AIOS_MEM_SCRATCH = 2, AIOS_MEM_META = 3, AIOS_N_MEM = 4 };
enum { AIOS_TIER_HOT = 0, AIOS_TIER_WARM = 1, AIOS_TIER_STREAM = 2, AIOS_N_TIER = 3 };
enum { AIOS_MEM_HUGE = 1, AIOS_MEM_PIN = 2 };   /* wishes: huge pages; never to be paged out           */

typedef struct aios_mem_req {
    uint32_t struct_size, kind;     /* AIOS_MEM_*                                                      */
    uint64_t bytes, align;          /* align: power of two                                             */
    uint32_t tier, flags;           /* AIOS_TIER_*; AIOS_MEM_HUGE ...                                  */
    int32_t numa_node, layer;       /* -1 = no wish                                                    */
} aios_mem_req;
AIOS__DESC_INIT(aios_mem_req)
#define aios_mem_req_init(d) aios__aios_mem_req_init(d)

/* alloc returns memory of req->bytes aligned to req->align, or NULL. free gets the same record back. granted, optional, is asked after
 * alloc: which of the wishes in req->flags came true (AIOS_MEM_*); requests whose wishes did not are counted
 * (aios_counters.n_wishes_denied), and work goes on without. */
typedef struct aios_allocator {
    uint32_t struct_size, flags;
    void *(*alloc)(void *user, const aios_mem_req *req);
    void (*free)(void *user, void *p, const aios_mem_req *req);
    void *user;
    uint32_t (*granted)(void *user, void *p, const aios_mem_req *req);
} aios_allocator;
AIOS__DESC_INIT(aios_allocator)
#define aios_allocator_init(d) aios__aios_allocator_init(d)

/* ---- io ---------------------------------------------------------------------------------------------------- */
/* Where a model's bytes come from.
 * read    puts up to n bytes from offset into dst and returns how many (short reads are allowed), 0 at the end, negative on failure. Called from
 *         the thread that calls the library, and from its reading threads.
 * map     optional: a pointer to n bytes that stays valid until the model is freed, or NULL to decline.
 * submit  optional, with wait: they serve what a context streams where every io of the model has them, that of an artifact included. Starts a
 *         read of n bytes and returns 0, or negative when it did not start: while other reads of this io are under way it is tried again
 *         when one of these is over.
 * wait    returns 1 when a read is over (its ticket; how many bytes came, or negative), 0 when none was within timeout_ns, negative when the io
 *         is broken and no read is under way any more. What came in pieces is submitted again from the last multiple of 4096 on (with
 *         AIOS_IO_ANY_OFFSET from where it stopped): a piece has 4096 bytes at the least.
 *         Both are called by one thread at a time, in aios_step and aios_feed, for each context on one context of a model alone (the second that
 *         would stream this way is refused).
 * soon    optional: n bytes from offset will be read before long. A hint for the system's read-ahead, given where the calling thread reads.
 * Reads that are streamed start at multiples of 4096, in the file and in memory, and are multiples of 4096 long, but for the end of the file
 * and for what read left off. With AIOS_IO_ANY_OFFSET they ask for the weights and nothing else. */
enum { AIOS_IO_ANY_OFFSET = 1 };    /* aios_io.flags: a read from any offset, of any length, costs no more than what it asks for */
typedef struct aios_io {
    uint32_t struct_size, flags;    /* AIOS_IO_*                                                       */
    uint64_t n_bytes;               /* size of the whole file                                          */
    int64_t (*read)(void *user, uint64_t offset, void *dst, uint64_t n);
    const void *(*map)(void *user, uint64_t offset, uint64_t n);
    void *user;
    int32_t (*submit)(void *user, uint64_t ticket, uint64_t offset, void *dst, uint64_t n);
    int32_t (*wait)(void *user, uint64_t *ticket, int64_t *got, uint64_t timeout_ns);
    void (*soon)(void *user, uint64_t offset, uint64_t n);
} aios_io;
AIOS__DESC_INIT(aios_io)
#define aios_io_init(d) aios__aios_io_init(d)

/* A range of memory as a model file (flash, an embedded array). The range must outlive the model. io: any bytes, all are written; as with
 * aios_io_init, C and C++ callers say how long theirs is, and the symbol aios_io_memory takes aios_sizeof("aios_io"). io NULL: nothing
 * happens; data NULL: a file of no bytes. */
AIOS_API void aios_io_memory(aios_io *io, const void *data, uint64_t n_bytes);
AIOS_API void aios_io_memory_sized(aios_io *io, uint32_t io_bytes, const void *data, uint64_t n_bytes);
#define aios_io_memory(io, data, n_bytes) aios_io_memory_sized(io, (uint32_t)sizeof(aios_io), data, n_bytes)
/* Its read and map; user is data, n_bytes not looked at. */
AIOS_API int64_t aios_io_memory_read(void *user, uint64_t offset, void *dst, uint64_t n);
AIOS_API const void *aios_io_memory_map(void *user, uint64_t offset, uint64_t n);

/* ---- hardware ---------------------------------------------------------------------------------------------- */
enum { AIOS_HW_LIMITED = 1,     /* ram_bytes or quota_milli are what a container (cgroup) allows               */
       AIOS_HW_VIRTUAL = 2 };   /* under a hypervisor: caches may be those of a machine that others use too    */
/* Instruction sets, as in aios_kernels.h, which says more (aiosk_select(isa)->name is the name of one that is here). */
enum { AIOS_ISA_BEST = AIOSK_ISA_BEST, AIOS_ISA_SCALAR = AIOSK_ISA_SCALAR, AIOS_ISA_AVX2 = AIOSK_ISA_AVX2, AIOS_ISA_AVX512 = AIOSK_ISA_AVX512,
       AIOS_ISA_NEON = AIOSK_ISA_NEON, AIOS_ISA_NEON_DOT = AIOSK_ISA_NEON_DOT, AIOS_ISA_AVXVNNI = AIOSK_ISA_AVXVNNI, AIOS_ISA_SSE41 = AIOSK_ISA_SSE41,
       AIOS_ISA_WASM = AIOSK_ISA_WASM, AIOS_ISA_AVX512_VBMI = AIOSK_ISA_AVX512_VBMI, AIOS_ISA_AVX512BW = AIOSK_ISA_AVX512BW };
/* A machine in plain numbers, for the host to read, change, or fill in by itself; 0 = unknown. Counts and caches are of the processors
 * that the calling thread may run on. */
typedef struct aios_hardware {
    uint32_t struct_size, flags;        /* AIOS_HW_*                                                   */
    int32_t isa;                        /* AIOS_ISA_*: what AIOS_ISA_BEST is here                      */
    int32_t isa_tier;                   /* 1 SSE4.1, NEON, WebAssembly; 2 AVX2; 3 AVX-512; 4 Apple arm64; 0 none of these */
    int32_t n_cores, n_threads;         /* cores, and processors that the system sees in them          */
    int32_t n_performance, n_efficiency;    /* cores by kind: fast, and those that are much slower     */
    int32_t quota_milli;                /* processor time allowed, in thousandths of a processor; 0 = no limit known */
    int32_t n_nodes;                    /* NUMA nodes whose memory may be used                         */
    int32_t l3_share, reserved;         /* cores that share one L3                                     */
    uint64_t l1d_bytes, l2_bytes;       /* per core, a fast one; of a shared cache its part            */
    uint64_t l3_bytes;                  /* all of it                                                   */
    uint64_t ram_bytes, ram_free_bytes; /* free: what could be taken now without swapping              */
    uint64_t page_bytes;
    uint64_t huge_page_bytes;           /* size of those that may be used, transparent ones too; 0 = none */
    uint64_t lock_bytes;                /* how much may be locked into memory; UINT64_MAX = no limit   */
    uint64_t read_bandwidth;            /* bytes/s, from the host: detecting leaves it as it is        */
    char name[64];                      /* of the processor, zero terminated                           */
} aios_hardware;
AIOS__DESC_INIT(aios_hardware)
#define aios_hardware_init(d) aios__aios_hardware_init(d)
/* Asks the system (Linux: files under /proc and /sys, none with AIOS_NO_FILES): 0.2 ms for two cores, more for more. Takes no memory, 16 KiB
 * of stack (Windows: 40). out: initialised. */
AIOS_API aios_status aios_hardware_detect(aios_hardware *out);

/* ---- model ------------------------------------------------------------------------------------------------- */
typedef struct aios_model aios_model;

/* What a file may ask for before it is refused; 0 = the default in brackets. */
typedef struct aios_limits {
    uint32_t struct_size, max_tensors;      /* [65535]                                                 */
    uint32_t max_keys, max_parts;           /* [65535], [256]                                          */
    uint64_t max_header_bytes;              /* [1 GiB] keys and directory, all of which are held       */
    uint64_t max_string_bytes;              /* [1 MiB] one string that is no array element's           */
    uint64_t max_array_items;               /* [16 Mi] items of one array                              */
    uint64_t max_blocks;                    /* [16 Mi] of the block face: 32 bytes of tables and some time each, whatever tensors a file claims to have */
} aios_limits;
AIOS__DESC_INIT(aios_limits)
#define aios_limits_init(d) aios__aios_limits_init(d)

/* progress: called while loading, at least once per tensor; return non-zero to stop (AIOS_ERR_CANCELLED). */
typedef int32_t (*aios_progress_fn)(void *user, uint64_t done_bytes, uint64_t total_bytes);
typedef void (*aios_log_fn)(void *user, int32_t level, const char *text);    /* level: 0 note, 1 warning */

enum { AIOS_MODEL_VOCAB_ONLY = 1,           /* tokenizer and keys; no tensors are looked at             */
       AIOS_MODEL_INSPECT = 2 };            /* a look at what is in a sound file, whether it runs or not: keys, the list of tensors, those of types that
                                               are not known too, the tokenizer if it is sound; of a split model any part, where the others are not there */
typedef struct aios_model_desc {
    uint32_t struct_size, flags;            /* AIOS_MODEL_*                                            */
    const aios_allocator *mem;              /* required, but with AIOS_DEFAULT_ALLOC; copied           */
    const aios_io *io;                      /* [n_parts] where bytes come from; NULL = built-in reader */
    const char *path;                       /* UTF-8; for the built-in reader: first part of a split model. Not looked at beside io */
    const aios_limits *limits;              /* NULL = defaults                                         */
    uint32_t n_parts, reserved;             /* files in io; 0 = 1                                      */
    aios_log_fn log;                        /* what was found odd but can be lived with; NULL = silence */
    void *log_user;                         /* of both: until the model is freed                       */
    const aios_io *artifact;                /* what aios_artifact_write made of this model; NULL = none: matrices come from there,
                                               packed: mapped in place where this io maps, else read, or streamed */
    const char *artifact_path;              /* the same for the built-in reader                        */
} aios_model_desc;
AIOS__DESC_INIT(aios_model_desc)
#define aios_model_desc_init(d) aios__aios_model_desc_init(d)

/* The one request that aios_model_open will make for this file. Reads the header, takes no memory. req: initialised. */
AIOS_API aios_status aios_model_measure(const aios_model_desc *d, aios_mem_req *req, aios_error *err);
/* Reads the header, checks everything in it, builds the tokenizer. Weights stay where they are. */
AIOS_API aios_status aios_model_open(const aios_model_desc *d, aios_model **out, aios_error *err);
/* Gives everything back, the weights too; while contexts of it are left, when the last of them is freed. NULL is fine. */
AIOS_API void aios_model_free(aios_model *m);

typedef struct aios_model_info {
    uint32_t struct_size, flags;
    const char *arch;               /* "llama"; lives as long as the model                             */
    uint64_t n_params, tensor_bytes, header_bytes;
    uint32_t n_tensors, n_keys;
    int32_t n_layer, n_embd, n_head, n_head_kv, head_dim_k, head_dim_v, n_ff, n_vocab, n_ctx_train, gguf_version;
    int32_t n_tokens, bos, eos, eot, pad, unk;      /* special ids, -1 = none                          */
    int32_t add_bos, add_eos;
    int32_t n_expert, n_expert_used;                /* of a layer; for a token; 0 = no mixture of experts */
} aios_model_info;
AIOS__DESC_INIT(aios_model_info)
#define aios_model_info_init(d) aios__aios_model_info_init(d)
AIOS_API aios_status aios_model_get_info(const aios_model *m, aios_model_info *out);

typedef struct aios_tensor_info {
    uint32_t struct_size, type;     /* AIOSK_*, or with AIOS_MODEL_INSPECT any number                  */
    char name[64];                  /* zero terminated                                                 */
    uint64_t n[4];                  /* shape, first index contiguous; unused are 1                     */
    uint64_t file_offset, n_bytes;  /* n_bytes: of a type that is not known the room up to what follows */
    uint32_t n_dims, part;
} aios_tensor_info;
AIOS__DESC_INIT(aios_tensor_info)
#define aios_tensor_info_init(d) aios__aios_tensor_info_init(d)
AIOS_API aios_status aios_model_get_tensor(const aios_model *m, uint32_t i, aios_tensor_info *out);

/* Key i as text: name, type ("u32", "str", "arr[str]") and value (arrays show their first items), for people.
 * Cut to fit, always zero terminated, control characters shown as "?". For programs: aios_key_*, below. */
AIOS_API aios_status aios_model_get_key(const aios_model *m, uint32_t i, char *name, uint64_t name_bytes,
                                        char *type, uint64_t type_bytes, char *value, uint64_t value_bytes);

/* ---- keys -------------------------------------------------------------------------------------------------- */
/* Keys of the file, for programs: whole, typed, raw. They are there with AIOS_MODEL_VOCAB_ONLY too. A key is its number, 0 .. n_keys-1 in the
 * file's order; -1, from aios_key_find, is none, and AIOS_ERR_ARG from all that follow, so that calls can be put into each other:
 *
 *     const char *value;  uint64_t n_bytes;
 *     aios_key_str(model, aios_key_find(model, "tokenizer.chat_template"), 0, &value, &n_bytes);
 *
 * Pointers lead into the model's memory, or the io's where it maps: they last as long as the model. Nothing is terminated by a zero byte or aligned.
 * AIOS_ERR_ARG: no such key or item, or a NULL; AIOS_ERR_MODEL: a value of another type, or one that does not fit. Then *out stays as it is. */
enum { AIOS_KEY_U8 = 0, AIOS_KEY_I8 = 1, AIOS_KEY_U16 = 2, AIOS_KEY_I16 = 3, AIOS_KEY_U32 = 4, AIOS_KEY_I32 = 5, AIOS_KEY_F32 = 6,
       AIOS_KEY_BOOL = 7, AIOS_KEY_STR = 8, AIOS_KEY_ARR = 9, AIOS_KEY_U64 = 10, AIOS_KEY_I64 = 11, AIOS_KEY_F64 = 12 };     /* GGUF's numbers */
typedef struct aios_key_info {
    uint32_t struct_size, type;     /* AIOS_KEY_*                                                      */
    uint32_t item_type, name_bytes; /* item_type: of an array's items; else as type                    */
    uint64_t n_items;               /* of an array; else 1                                             */
    const char *name;               /* [name_bytes]                                                    */
    const void *data;               /* [n_bytes] the value as the file has it, little-endian: items one after the other; a string is u64 its bytes, then
                                       these; an array in an array u32 type, u64 how many, then its items */
    uint64_t n_bytes;
} aios_key_info;
AIOS__DESC_INIT(aios_key_info)
#define aios_key_info_init(d) aios__aios_key_info_init(d)
/* The key of this name, zero terminated; -1 = none. */
AIOS_API int64_t     aios_key_find(const aios_model *m, const char *name);
AIOS_API aios_status aios_key_get(const aios_model *m, int64_t key, aios_key_info *out);
/* Item of an array (0 .. n_items-1), or the value itself (item 0). u64 and i64 take integers of any width that fit, f64 any number (64-bit integers are
 * rounded), bool what is one: 0 or 1. */
AIOS_API aios_status aios_key_u64(const aios_model *m, int64_t key, uint64_t item, uint64_t *out);
AIOS_API aios_status aios_key_i64(const aios_model *m, int64_t key, uint64_t item, int64_t *out);
AIOS_API aios_status aios_key_f64(const aios_model *m, int64_t key, uint64_t item, double *out);
AIOS_API aios_status aios_key_bool(const aios_model *m, int64_t key, uint64_t item, int32_t *out);
/* A string, newlines and all. Those of an array stand one behind the other, so an item costs a walk over those before it; all of them in order are
 * had by aios_key_next_str, a step each: *at is 0 for the first item and moves on. Returns 1 = here it is, 0 = that was all, or an error. (Of
 * tokens, aios_token_text gives any in one step.) */
AIOS_API aios_status aios_key_str(const aios_model *m, int64_t key, uint64_t item, const char **text, uint64_t *n_bytes);
AIOS_API int32_t     aios_key_next_str(const aios_model *m, int64_t key, uint64_t *at, const char **text, uint64_t *n_bytes);

/* ---- artifact ---------------------------------------------------------------------------------------------- */
/* A file beside the model with its matrices as kernels want them: a start from it packs nothing, and where it is mapped reads
 * nothing either, so that processes share one copy. It holds a table of blocks of block_bytes (64 KiB to 1 MiB; 0 = 256 KiB) in the
 * order of their frequency and use, each with a checksum, and a manifest: JSON with the names of the AIOS model contract 1.0, at the offset
 * that the u64 at 64 says, so many bytes as the u64 at 72. It belongs to one model (told by its header and some bytes of
 * each tensor: a model that differs from it nowhere else is not told apart); the model's own file is still needed for its header and its vectors.
 * write puts n bytes at offset and returns 0, or non-zero to stop; offsets come out of order, the header last.
 * work [work_bytes]: aios_artifact_work_bytes(m, block_bytes) at the least, 64-byte aligned.
 * Opening looks at the header and the table of tensors; aios_artifact_check reads all of it (work: 4096 bytes or more). */
typedef int32_t (*aios_write_fn)(void *user, uint64_t offset, const void *data, uint64_t n);
AIOS_API uint64_t aios_artifact_work_bytes(const aios_model *m, uint64_t block_bytes);
AIOS_API aios_status aios_artifact_write(const aios_model *m, uint64_t block_bytes, aios_write_fn write, void *user, void *work, uint64_t work_bytes,
                                         aios_progress_fn progress, void *progress_user, aios_error *err);
AIOS_API aios_status aios_artifact_check(const aios_io *io, void *work, uint64_t work_bytes, aios_progress_fn progress, void *user, aios_error *err);

/* ---- vocabulary -------------------------------------------------------------------------------------------- */
enum { AIOS_TOK_SPECIAL = 1,        /* "</s>" and the like in the text become their ids                */
       AIOS_TOK_BOS = 2,            /* bos in front where the model asks for it: of a text's beginning, unless it brings its own */
       AIOS_TOK_EOS = 4,            /* eos behind where the model asks for it: of a text that is whole, never of one that is to go on */
       AIOS_TOK_ADD_BOS_EOS = 2 };  /* the old name of AIOS_TOK_BOS                                    */
/* Text to ids. Returns how many there are; only the first max_ids are written (ask with max_ids = 0 to size the buffer).
 * Takes no memory and about 36 KiB of stack. Invalid UTF-8 is taken byte by byte; a byte that the vocabulary has no token for
 * becomes unk, or is left out where there is none. Exact for text of any length; AIOS_ERR_LIMIT only if the tokens of a run
 * without a break depend on what follows more than 768 characters later, which no known vocabulary does. Where the model's own tokenizer
 * composes (NFC: Qwen and some others), so does this one, between special tokens; AIOS_ERR_LIMIT if something that is not composed
 * yet is in a word of more than about 4096 bytes or among more than 1000 marks on one letter. */
AIOS_API int64_t aios_tokenize(const aios_model *m, const char *text, uint64_t n_text, uint32_t flags,
                               int32_t *ids, uint64_t max_ids, aios_error *err);

/* State of one text stream, so that no call emits half a UTF-8 character. Start with zeros for what goes on behind other text,
 * with AIOS_DETOK_BEGIN for a text from its beginning. 16 bytes for good. */
typedef struct aios_detok { uint8_t bytes[8]; uint32_t n_bytes, flags; } aios_detok;
enum { AIOS_DETOK_SPECIAL = 1,      /* detok.flags: show special tokens as text                        */
       AIOS_DETOK_BEGIN = 4 };      /* the next token begins the text; the library takes it away       */
/* The text of one more token. Returns the bytes written (0 when characters are still incomplete), never more than cap;
 * AIOS_ERR_FULL when cap is too small (nothing is changed; 1024 is enough for any known vocabulary). id = -1 flushes: bytes that
 * never became a character come out as U+FFFD. st NULL: the token's own bytes, as they are. Control, unknown and unused tokens
 * have no text (the first two do with AIOS_DETOK_SPECIAL). The space that SentencePiece puts before a text is dropped
 * where AIOS_DETOK_BEGIN says that the text begins. */
AIOS_API int64_t aios_detokenize(const aios_model *m, aios_detok *st, int32_t id, char *out, uint64_t cap);
/* The piece of a token as the file has it, not terminated; NULL when id is out of range. */
AIOS_API const char *aios_token_text(const aios_model *m, int32_t id, uint64_t *n_bytes);
/* The token with this piece, n_bytes long, as the file has it: "<|im_start|>", "</s>". Of several the normal one, else the first. -1 = none. (Pieces of
 * words are spelled as the vocabulary does, a space as U+2581 or, in byte-level ones, U+0120: for text there is aios_tokenize.) */
AIOS_API int32_t aios_token_find(const aios_model *m, const char *text, uint64_t n_bytes);
/* Does this token end a text (eos, eot and the like)? */
AIOS_API int32_t aios_token_is_end(const aios_model *m, int32_t id);

/* ---- plan -------------------------------------------------------------------------------------------------- */
/* CANONICAL  the same bits on every machine
 * FAST       the same, but float matrices may use the machine's 16-bit arithmetic where it should be faster (aiosk_matmul_fast: BF16 with
 *            AVX512_BF16 on AMD): bits depend on the processor and the instruction set, still not on threads, chunks or batches
 * REFERENCE  the yardstick for quality: dequantised weights, f32 activations, double sums; slow; goes with an f32 cache  */
enum { AIOS_CANONICAL = 0, AIOS_FAST = 1, AIOS_REFERENCE = 2 };
/* Types of the cache: bits of the keys, then of the values where they are others. aiosk_kv_parse("kv84") is AIOS_KV_84, aiosk_kv_name the way back. */
enum { AIOS_KV_F32 = AIOSK_KV_F32, AIOS_KV_F16 = AIOSK_KV_F16, AIOS_KV_8 = AIOSK_KV_I8, AIOS_KV_55 = AIOSK_KV_C5, AIOS_KV_44 = AIOSK_KV_C4, AIOS_KV_33 = AIOSK_KV_C3,
       AIOS_KV_168 = AIOSK_KV(AIOSK_KV_F16, AIOSK_KV_I8), AIOS_KV_165 = AIOSK_KV(AIOSK_KV_F16, AIOSK_KV_C5), AIOS_KV_164 = AIOSK_KV(AIOSK_KV_F16, AIOSK_KV_C4),
       AIOS_KV_163 = AIOSK_KV(AIOSK_KV_F16, AIOSK_KV_C3), AIOS_KV_162 = AIOSK_KV(AIOSK_KV_F16, AIOSK_KV_C2),
       AIOS_KV_816 = AIOSK_KV(AIOSK_KV_I8, AIOSK_KV_F16), AIOS_KV_85 = AIOSK_KV(AIOSK_KV_I8, AIOSK_KV_C5), AIOS_KV_84 = AIOSK_KV(AIOSK_KV_I8, AIOSK_KV_C4),
       AIOS_KV_83 = AIOSK_KV(AIOSK_KV_I8, AIOSK_KV_C3), AIOS_KV_82 = AIOSK_KV(AIOSK_KV_I8, AIOSK_KV_C2),
       AIOS_KV_516 = AIOSK_KV(AIOSK_KV_C5, AIOSK_KV_F16), AIOS_KV_58 = AIOSK_KV(AIOSK_KV_C5, AIOSK_KV_I8), AIOS_KV_54 = AIOSK_KV(AIOSK_KV_C5, AIOSK_KV_C4),
       AIOS_KV_53 = AIOSK_KV(AIOSK_KV_C5, AIOSK_KV_C3), AIOS_KV_52 = AIOSK_KV(AIOSK_KV_C5, AIOSK_KV_C2),
       AIOS_KV_416 = AIOSK_KV(AIOSK_KV_C4, AIOSK_KV_F16), AIOS_KV_48 = AIOSK_KV(AIOSK_KV_C4, AIOSK_KV_I8), AIOS_KV_45 = AIOSK_KV(AIOSK_KV_C4, AIOSK_KV_C5),
       AIOS_KV_43 = AIOSK_KV(AIOSK_KV_C4, AIOSK_KV_C3), AIOS_KV_42 = AIOSK_KV(AIOSK_KV_C4, AIOSK_KV_C2),
       AIOS_KV_316 = AIOSK_KV(AIOSK_KV_C3, AIOSK_KV_F16), AIOS_KV_38 = AIOSK_KV(AIOSK_KV_C3, AIOSK_KV_I8), AIOS_KV_35 = AIOSK_KV(AIOSK_KV_C3, AIOSK_KV_C5),
       AIOS_KV_34 = AIOSK_KV(AIOSK_KV_C3, AIOSK_KV_C4), AIOS_KV_32 = AIOSK_KV(AIOSK_KV_C3, AIOSK_KV_C2) };
enum { AIOS_PLAN_LENT_THREADS = 1,  /* the host will give parallel_for: no stacks are asked for        */
       AIOS_PLAN_LENT_READERS = 2,  /* the host's threads will call aios_serve_reads                   */
       AIOS_PLAN_IN_PLACE = 4,      /* use matrices where the io maps them, instead of packing copies  */
       AIOS_PLAN_PIN = 8,           /* ask for hot memory that is never paged out                      */
       /* what may be given up when the budget is short; what changes no bit may unless forbidden */
       AIOS_PLAN_KEEP_BATCH = 16, AIOS_PLAN_NO_STREAM = 32, AIOS_PLAN_MAY_KV_TYPE = 64 /* f16, kv8 */, AIOS_PLAN_MAY_CTX = 128,
       AIOS_PLAN_MAY_KV_CODES = 256 };      /* MAY_KV_TYPE, and then kv84, kv54, kv44                          */
typedef struct aios_plan_desc {
    uint32_t struct_size, flags;    /* AIOS_PLAN_*                                                     */
    int32_t n_ctx;                  /* positions per sequence; 0 = what the model was trained for, 4096 at the most; longer ones get a note (log) */
    int32_t n_seq;                  /* sequences side by side; 0 = 1                                   */
    int32_t n_batch;                /* most tokens in one pass; 0 = chosen, so that a prompt moves the fewest bytes */
    int32_t n_outputs;              /* logits rows kept from one pass; 0 = n_seq                       */
    int32_t n_threads;              /* workers that will run tasks; 0 = 1 with LENT_THREADS, else as many as there are fast cores */
    int32_t kv_type;                /* AIOS_KV_*; 0 = AIOS_KV_F16, with AIOS_REFERENCE AIOS_KV_F32      */
    int32_t numerics;               /* AIOS_CANONICAL ...                                              */
    int32_t isa;                    /* AIOS_ISA_*; 0 = best                                            */
    uint64_t budget_bytes;          /* most memory in all, with what the model holds already; 0 = no limit */
    uint64_t read_bandwidth;        /* bytes/s of this machine's memory, for the prediction; 0 = unknown */
    uint64_t hot_bytes, warm_bytes; /* most weights in these tiers; 0 = no limit                       */
    uint64_t stream_bandwidth;      /* bytes/s of the storage, for the prediction; 0 = unknown         */
    uint64_t l2_bytes;              /* second-level cache of a core, for n_batch; 0 = unknown          */
    int32_t n_readers;              /* reading threads; 0 = chosen: 2 where weights are streamed, the context has threads and
                                       the io has no submit; negative = none                           */
    int32_t n_ctx_min;              /* AIOS_PLAN_MAY_CTX: not less than this; 0 = 64                   */
    int32_t numa_node_1;            /* 1 + the NUMA node that all requests name; 0 = no wish           */
    int32_t kv_positions;           /* positions in the cache, of all sequences together; 0 = n_ctx for each. Types in codes: and so many times n_ctx
                                       as that is, rounded up, may begin otherwise than all others (first tiles stay open) */
    int32_t kv_old_type, kv_recent; /* tiles more than kv_recent positions back are made this type where it is the smaller one; 0 = they stay as they are */
    int32_t kv_window, kv_sinks;    /* window: a query sees so many positions back; 0 = all. sinks: and so many of the first ones (whole
                                       tiles), without which attention comes apart; 0 = 64, negative = none */
    int32_t kv_heavy, reserved;     /* with kv_window: and so many between, those that attention has gone to most (whole tiles) */
    const int32_t *kv_layer_type;   /* [n_layer] type of the cache for each layer, -1 = kv_type; must stay until the context is open; NULL = kv_type */
    uint64_t l3_bytes;              /* the part of the third-level cache that this context may count on, for n_batch; 0 = unknown */
} aios_plan_desc;
AIOS__DESC_INIT(aios_plan_desc)
#define aios_plan_desc_init(d) aios__aios_plan_desc_init(d)

/* Rungs of the ladder that a plan went down to fit its budget. It goes down in this order, the last two where they say. */
enum { AIOS_RUNG_BATCH = 1,         /* a smaller batch                                                 */
       AIOS_RUNG_KV_TYPE = 2,       /* a smaller type of cache                                         */
       AIOS_RUNG_CTX = 4,           /* a shorter context                                               */
       AIOS_RUNG_IN_PLACE = 8,      /* matrices are used where the io maps them                        */
       AIOS_RUNG_STREAM = 16,       /* weights are read from storage for every pass                    */
       AIOS_RUNG_EXPERTS = 32,      /* before that: experts are read when a token wants them, and kept while there is room */
       AIOS_RUNG_ROWS = 64 };       /* before all others: of tables, a row is read when a token wants it: embeddings, positions */
enum { AIOS_BOUND_UNKNOWN = 0, AIOS_BOUND_MEMORY = 1, AIOS_BOUND_STORAGE = 2 };

/* The report: plain numbers. aios_context_open takes it as it is; to change it, change the desc and plan again. */
typedef struct aios_plan {
    uint32_t struct_size, n_requests;
    int32_t n_ctx, n_seq, n_batch, n_outputs, n_threads, kv_type, numerics, isa;
    uint64_t request_bytes[4];      /* by AIOS_MEM_*: what is asked for by this plan                   */
    uint64_t total_bytes;           /* their sum                                                       */
    uint64_t min_bytes;             /* the smallest total that would work, going down all rungs that are allowed */
    uint64_t held_bytes;            /* already held by the model: its header, weights when loaded. A budget counts it: this total needs a budget_bytes of
                                       total_bytes + held_bytes, and the least is min_bytes + held_bytes */
    uint64_t token_weight_bytes;    /* read per decoded token: weights, streamed ones included         */
    uint64_t token_kv_bytes;        /* cache, at a full context                                        */
    uint64_t token_kv_pos_bytes;    /* cache, per position of context                                  */
    uint64_t token_act_bytes;       /* activations written and read (these stay in the CPU's caches)   */
    uint64_t token_stream_bytes;    /* from storage; of experts as if none of a token's were in the cache  */
    uint64_t tok_s_bound_milli;     /* predicted bound on tokens/s x 1000; 0 = unknown                 */
    uint64_t weight_bytes_packed, weight_bytes_rows, weight_bytes_mapped;   /* resident, by layout     */
    uint32_t n_ops, n_phases;       /* length of the program                                           */
    uint64_t model_hash;            /* of the model it was made for                                    */
    uint32_t flags, rungs;          /* AIOS_PLAN_*, AIOS_RUNG_*                                        */
    uint64_t tier_bytes[3];         /* of request_bytes[AIOS_MEM_WEIGHTS]: by AIOS_TIER_*; STREAM: the ring, the cache of experts, slots for rows */
    uint64_t unit_bytes, slot_bytes;/* most bytes of rows read at once; one slot of the ring           */
    uint32_t n_slots, n_units;      /* of the ring; reads per pass                                     */
    int32_t stream_level, warm_steps;   /* how the weights are divided; of use to aios_context_open    */
    int32_t n_readers, bound;       /* reading threads; AIOS_BOUND_*: what tok_s_bound_milli comes from */
    int32_t numa_node_1;            /* as in the desc, and what follows                                */
    int32_t kv_positions, kv_old_type, kv_recent, kv_window, kv_sinks, kv_heavy, reserved2;
    uint32_t n_expert_slots, n_experts; /* slots of the cache of experts, 0 = none; all experts of all layers   */
    uint64_t expert_slot_bytes;     /* one slot: what one expert of one layer has                      */
    uint64_t token_expert_bytes;    /* of token_stream_bytes: of experts. tok_s_bound_milli takes the cache to have its share of them */
    const int32_t *kv_layer_type;
    uint32_t n_row_slots, reserved3;    /* rows of tables that are read when a token wants them: room for so many, 0 = all are resident */
    uint64_t row_slot_bytes;            /* one of them                                                     */
} aios_plan;
AIOS__DESC_INIT(aios_plan)
#define aios_plan_init(d) aios__aios_plan_init(d)

/* Decides where every byte will live. Pure arithmetic on the file's header: reads no weights, takes no memory. (n_threads 0 asks the system for
 * its cores, as aios_hardware_detect does; the same numbers in give the same plan.)
 * AIOS_ERR_MEMORY names the minimum when the budget is below it. */
AIOS_API aios_status aios_plan_make(const aios_model *m, const aios_plan_desc *d, aios_plan *out, aios_error *err);
/* Request i (0 .. n_requests-1) of a plan, in the order in which they will be made. WEIGHTS come from the model's allocator and
 * stay with the model; the others from the context's. out: initialised. */
AIOS_API aios_status aios_plan_request(const aios_plan *p, uint32_t i, aios_mem_req *out);

typedef struct aios_tensor_place {
    uint32_t struct_size, tier;     /* AIOS_TIER_*                                                     */
    uint32_t layout, mapped;        /* AIOSK_ROWS, AIOSK_PANELS; 1 = used where the io maps it         */
    uint64_t n_bytes;               /* as placed; of the resident rows                                 */
    uint64_t token_bytes;           /* read per decoded token                                          */
    uint64_t stream_bytes;          /* of its rows that are not resident                               */
    uint32_t resident_tier, reserved;   /* tier of the resident rows, whether others are streamed or not */
} aios_tensor_place;
AIOS__DESC_INIT(aios_tensor_place)
#define aios_tensor_place_init(d) aios__aios_tensor_place_init(d)
/* Where tensor i of the model goes under a plan: tier STREAM as soon as some of its rows are streamed. Nothing in n_bytes and
 * stream_bytes: not used by this family. */
AIOS_API aios_status aios_plan_get_tensor(const aios_model *m, const aios_plan *p, uint32_t i, aios_tensor_place *out);

/* ---- context ----------------------------------------------------------------------------------------------- */
typedef struct aios_context aios_context;

/* Run fn(arg, i, worker) for every i in [0, n), return when all are done. Any order, any number of threads, one included:
 * tasks of one call never wait for each other. worker is a number below the plan's n_threads that no two tasks running at
 * the same time share. */
typedef void (*aios_task_fn)(void *arg, int32_t i, int32_t worker);
typedef void (*aios_parallel_for)(void *user, int32_t n, aios_task_fn fn, void *arg);

/* Where pages of the cache go while their sequence waits for nothing and others need the room, longest idle first; pages that sequences share
 * stay. They come back before their sequence's next pass (or fork, cut, save), with the same bits. Called inside the functions that need it, one at
 * a time. put keeps n bytes under key; get gives them back, and when it has, the key may be forgotten; drop, optional, means that they are not wanted any
 * more. put and get return 0, or non-zero: then the call ends with AIOS_ERR_IO, and can be tried again. */
typedef struct aios_spill {
    uint32_t struct_size, flags;
    int32_t (*put)(void *user, uint64_t key, const void *data, uint64_t n);
    int32_t (*get)(void *user, uint64_t key, void *data, uint64_t n);
    void (*drop)(void *user, uint64_t key);
    void *user;
} aios_spill;
AIOS__DESC_INIT(aios_spill)
#define aios_spill_init(d) aios__aios_spill_init(d)

/* What an op of a pass wrote, for whoever looks for the first difference between two machines, instruction sets or versions. Row i belongs to
 * token i / n_per_token of the pass (an op of experts has a row for each expert of a token, in the order in which it chose them); it is in
 * data + (row ? row[i] : i) * stride: a column of the form, whose numbers aiosk_act_unpack gives; they are the same bits everywhere.
 * An op that leaves several forms is shown once for each; one that writes no rows (into the cache, or lists), or whose rows
 * are written over before all are there (the gates of experts that come and go), is not shown. */
typedef struct aios_trace {
    uint32_t struct_size;
    uint32_t op;                    /* number of the op: aios_op_get                                       */
    const char *name;
    int32_t layer, form;            /* -1 = none; AIOSK_FLT (f32), AIOSK_A32, AIOSK_A256                   */
    int32_t n, n_rows, n_per_token; /* values of a row; rows                                               */
    int32_t n_tokens;
    const int32_t *token;           /* [n_tokens] which of the pass's, where the op has those with logits alone; NULL = all */
    const int32_t *seq, *pos;       /* of the pass's tokens                                                */
    const int32_t *row;             /* [n_rows] or NULL                                                    */
    const void *data;
    uint64_t stride;                /* bytes from row to row                                               */
} aios_trace;
/* Called when an op is through, by one thread, while all others wait. Must not call the context. */
typedef void (*aios_trace_fn)(void *user, const aios_trace *t);

enum { AIOS_CONTEXT_PROFILE = 1 };      /* take the time of each phase: two looks at the clock        */
typedef struct aios_context_desc {
    uint32_t struct_size, flags;            /* AIOS_CONTEXT_*                                          */
    const aios_allocator *mem;              /* NULL = the model's                                      */
    aios_parallel_for parallel_for;         /* the host's job system; NULL = own threads if n_threads > 1 */
    void *parallel_user;
    uint64_t (*now_ns)(void *user);         /* monotonic clock, asked by all workers; NULL = the system's */
    void *now_user;
    aios_progress_fn progress;              /* while weights are loaded; may be NULL                   */
    void *progress_user;
    void (*thread_start)(void *user, int32_t worker);   /* called once on each own thread (worker 1 .. n_threads-1), first thing: for */
    void *thread_user;                                  /* its affinity, name, priority; by aios_context_free at the latest. NULL = nothing */
    const aios_spill *spill;                /* copied; NULL = sequences for which there is no room are refused */
    aios_trace_fn trace;                    /* NULL = nobody looks                                     */
    void *trace_user;
} aios_context_desc;
AIOS__DESC_INIT(aios_context_desc)
#define aios_context_desc_init(d) aios__aios_context_desc_init(d)

/* Carries a plan out: takes its requests in order, loads and packs the weights (unless the model holds them already:
 * contexts of one model share them), compiles the program. On failure everything is given back. */
AIOS_API aios_status aios_context_open(aios_model *m, const aios_plan *p, const aios_context_desc *d,
                                       aios_context **out, aios_error *err);
/* Gives back what the context took. The weights stay with the model, for the next one, and count in its budget: aios_model_free gives them back. */
AIOS_API void aios_context_free(aios_context *c);

/* feed flags: keep logits of every fed token, or of none, and not of the last alone */
enum { AIOS_FEED_ALL_LOGITS = 1, AIOS_FEED_NO_LOGITS = 2 };
/* Appends tokens to a sequence (0 .. n_seq-1). They are processed by aios_step. AIOS_ERR_FULL when n_ctx would be passed;
 * then none was added. Logits of the last token are kept unless flags say otherwise. */
AIOS_API aios_status aios_feed(aios_context *c, int32_t seq, const int32_t *ids, uint64_t n, uint32_t flags, aios_error *err);

/* Works on fed tokens of all sequences until none is left (AIOS_OK), until now_ns passes deadline_ns (AIOS_MORE;
 * 0 = no deadline; at least one task or read is done even if it has passed already), or until a pass has filled output rows while
 * more tokens wait (AIOS_MORE: read the rows, step again). Each sequence that waits has a part in every pass. Output rows stay valid
 * until the next call of aios_step. A pass that fails or is cancelled leaves the sequences as they were before it: the next step tries
 * again. AIOS_ERR_IO: streamed weights could not be read. */
AIOS_API aios_status aios_step(aios_context *c, uint64_t deadline_ns, aios_error *err);
/* Streamed weights: reads on the calling thread, together with any others that are in here. aios_end_reads with end = 1 makes all of
 * them return, and those that come later too, until it is called with 0. For plans with AIOS_PLAN_LENT_READERS (else these do nothing);
 * such a context waits for data until somebody reads it. All must have returned before aios_context_free. */
AIOS_API void aios_serve_reads(aios_context *c);
AIOS_API void aios_end_reads(aios_context *c, int32_t end);
/* Makes the running or next aios_step return AIOS_ERR_CANCELLED soon. This, aios_interrupt and aios_now_ns are allowed from any thread. */
AIOS_API void aios_cancel(aios_context *c);
/* The clock that deadlines are compared with. */
AIOS_API uint64_t aios_now_ns(const aios_context *c);

/* ---- time -------------------------------------------------------------------------------------------------- */
/* Makes the running aios_step return AIOS_MORE when each worker is through with the task that it has in hand; if none runs, the next
 * one, before it begins a task. Nothing is lost: the step after that goes on where it was. (A step that was at its end anyway
 * returns what it would have.)
 * From any thread.
 *
 * So a context in the background makes room for one in the foreground within a task (some hundredths of a millisecond, some
 * tenths at most). `wanted` keeps it from coming back before the other is through:
 *
 *     for (;;) {                                           // the background's thread
 *         while (atomic_load(&wanted)) wait_a_bit();
 *         lock(&cores);
 *         st = aios_step(background, 0, &err);
 *         unlock(&cores);
 *         if (st != AIOS_MORE) break;
 *     }
 *
 *     atomic_store(&wanted, 1);                            // the foreground's thread
 *     aios_interrupt(background);
 *     lock(&cores);                                        // within a task
 *     st = aios_step(foreground, deadline_ns, &err);
 *     unlock(&cores);
 *     atomic_store(&wanted, 0);
 *
 * wait_a_bit is a sleep or a condition variable. A background that locks just after `wanted` was set finds the interrupt waiting, and
 * leaves at once. */
AIOS_API void aios_interrupt(aios_context *c);
/* How many workers take part from the next aios_step on: 1 .. n_threads of the plan, which is what a context begins with; in the middle of
 * a pass too. Own threads beyond sleep until they are wanted again; parallel_for is called for at most n. Same bits. Belongs to
 * the thread that steps. AIOS_ERR_ARG: out of range, and nothing is changed. */
AIOS_API aios_status aios_set_workers(aios_context *c, int32_t n, aios_error *err);

/* Output rows of the last finished pass, in ascending order of (seq, pos); none while a pass is under way. */
typedef struct aios_output {
    uint32_t struct_size;
    int32_t seq, pos, token;        /* the row's token and its place                                   */
    const float *logits;            /* f32 [n_vocab]                                                   */
    const float *embedding;         /* f32 [n_embd]: the final hidden state after the last norm        */
} aios_output;
AIOS__DESC_INIT(aios_output)
#define aios_output_init(d) aios__aios_output_init(d)
AIOS_API int32_t     aios_output_count(const aios_context *c);
AIOS_API aios_status aios_output_get(const aios_context *c, int32_t i, aios_output *out);
/* Logits of the newest output row of a sequence, f32 [n_vocab]; NULL when the last pass had none. */
AIOS_API const float *aios_logits(const aios_context *c, int32_t seq);

AIOS_API int32_t     aios_seq_length(const aios_context *c, int32_t seq);     /* tokens, processed or not   */
AIOS_API int32_t     aios_seq_processed(const aios_context *c, int32_t seq);
AIOS_API const int32_t *aios_seq_tokens(const aios_context *c, int32_t seq);  /* [aios_seq_length]          */
/* Forgets the tokens from n on (0 = all), the unprocessed ones too. Exact: where a tile of 64 positions was compressed already, or a
 * sliding window has moved on, the next step computes the tokens that are needed again (aios_seq_processed tells from where). Not so with
 * kv_heavy: what was given up or weighed by the forgotten tokens stays so (cut to 0 and feed again where that matters). */
AIOS_API aios_status aios_seq_truncate(aios_context *c, int32_t seq, int32_t n, aios_error *err);

/* ---- sequences ---------------------------------------------------------------------------------------------- */
/* A sequence holds its cache in pages of 64 positions from one pool; pages can belong to several sequences, and are copied when one
 * of them writes. So many characters share one prompt:
 *
 *     int32_t i, n = (int32_t)aios_tokenize(model, text, n_text, AIOS_TOK_BOS, ids, n_ids, &err);
 *     aios_feed(ctx, 0, ids, (uint64_t)n, 0, &err);                        // sequence 0: the prompt; its pages stay as long as it lives
 *     while (aios_step(ctx, 0, &err) == AIOS_MORE) {}
 *     for (i = 1; i < n_seq; i++) aios_seq_fork(ctx, i, 0, n, &err);       // the characters
 *
 * What a sequence computes is the same bits whether it was forked, restored or fed from the start, whatever else is in the context. (With
 * kv_heavy, a fork of fewer tokens than src has processed is as one that was cut back: see aios_seq_truncate.) */
/* dst, which must be empty, becomes the first n tokens of src, sharing its pages: costs a table and n token ids. What src has not processed dst
 * will; so will it up to 63 tokens before n when the tile of position n is compressed in src already. Output rows do not come along. */
AIOS_API aios_status aios_seq_fork(aios_context *c, int32_t dst, int32_t src, int32_t n, aios_error *err);
/* on = 1: pages of the sequence are never given to the host (aios_spill); 0: they may be again. Without aios_spill they never are. */
AIOS_API aios_status aios_seq_pin(aios_context *c, int32_t seq, int32_t on, aios_error *err);
/* Brings what the host keeps of a sequence (aios_spill) back ahead of its use: AIOS_OK when all is here, AIOS_MORE when it is deadline_ns (0 = never)
 * before that: call again. AIOS_ERR_FULL: no idle sequence has room to give. Without this it comes back in the step that needs it. */
AIOS_API aios_status aios_seq_fetch(aios_context *c, int32_t seq, uint64_t deadline_ns, aios_error *err);
/* The sequence whose processed tokens begin with the most of ids [n]; how many in *n_same. -1: none begins with the first. One that tokens were
 * taken out of is not looked at. */
AIOS_API int32_t     aios_seq_find(const aios_context *c, const int32_t *ids, uint64_t n, int32_t *n_same);
/* Takes tokens from .. to-1 out; those behind move down, keeping what they have read of the removed ones in their keys and values. Their rope is
 * set right when they are looked at, so nothing is lost by repeating this. AIOS_ERR_UNSUPPORTED for learned positions, AIOS_ERR_LIMIT when
 * the sequence would be in more than 16 pieces (taking out more beside a gap that is there makes none). Layers with a sliding window see no more
 * than they had kept. */
AIOS_API aios_status aios_seq_remove(aios_context *c, int32_t seq, int32_t from, int32_t to, aios_error *err);

/* A sequence as bytes: its tokens, processed or not, and its pages. base >= 0: tiles that it shares with that sequence are left out, and it
 * can be restored where a sequence with the same tokens is given as the base. *n_bytes: how many it takes; dst NULL asks for that alone,
 * AIOS_ERR_FULL when cap is less. A pass that is under way with its tokens begins anew. */
AIOS_API aios_status aios_seq_save(aios_context *c, int32_t seq, int32_t base, void *dst, uint64_t cap, uint64_t *n_bytes, aios_error *err);
/* All or nothing, into a sequence that is empty. Everything is checked before anything is changed: AIOS_ERR_FORMAT for what is damaged or cut off,
 * _UNSUPPORTED for another version, _MODEL for another model or kind of cache (its types and rules, not its size), _STATE for a base that does not
 * fit, _FULL when there is no room. */
AIOS_API aios_status aios_seq_restore(aios_context *c, int32_t seq, int32_t base, const void *src, uint64_t n_bytes, aios_error *err);

typedef struct aios_cache_info {
    uint32_t struct_size, n_pages;  /* of all pools                                                    */
    uint32_t n_free, n_shared;      /* in no table; in more than one                                   */
    uint32_t n_spare, n_spilled;    /* open pages that are kept until their room is needed; pages with the host */
    uint64_t bytes, free_bytes;
    uint64_t saved_bytes;           /* what the sharing saves now                                      */
} aios_cache_info;
AIOS__DESC_INIT(aios_cache_info)
#define aios_cache_info_init(d) aios__aios_cache_info_init(d)
AIOS_API aios_status aios_cache_get_info(const aios_context *c, aios_cache_info *out);

typedef struct aios_counters {
    uint32_t struct_size, reserved;
    uint64_t n_tokens, n_passes, n_tasks;
    uint64_t weight_bytes, kv_bytes, act_bytes;     /* read by the ops of finished passes                  */
    uint64_t stream_bytes;                          /* read from storage, ahead of use or in vain included */
    uint64_t busy_ns;                               /* inside aios_step                                    */
    uint64_t n_units, n_stalls, stall_ns;           /* streamed units that were used; how often what is read was not there in time; the waiting */
    uint64_t n_reads, n_read_errors;                /* calls of the reader while streaming                 */
    uint64_t n_wishes_denied;                       /* requests whose wishes (AIOS_MEM_*) did not come true; since opening */
    uint64_t tier_bytes[3];                         /* weight_bytes by AIOS_TIER_*: vectors and packed copies, mapped or warm, the ring */
    uint64_t n_expert_hits, n_expert_misses;        /* experts that a pass wanted of a layer: in the cache; to be read */
    uint64_t expert_bytes;                          /* of stream_bytes                                     */
    uint64_t n_spilled, n_fetched, spill_bytes, fetch_bytes;    /* pages of the cache, to the host and back */
} aios_counters;
AIOS__DESC_INIT(aios_counters)
#define aios_counters_init(d) aios__aios_counters_init(d)
AIOS_API aios_status aios_counters_get(const aios_context *c, aios_counters *out);
AIOS_API void        aios_counters_reset(aios_context *c);

/* One op of the program, for telemetry. Bytes are those of one decoded token. */
typedef struct aios_op_info {
    uint32_t struct_size;
    int32_t layer;                  /* -1 = none                                                       */
    const char *name;               /* "attn_norm", "q", "attend" ...                                  */
    int32_t type, tier;             /* of a matrix: AIOSK_*, AIOS_TIER_*; else -1                      */
    int32_t phase, n_units;         /* ops of one phase run side by side; streamed units               */
    uint64_t weight_bytes, act_bytes;
    uint64_t busy_ns;               /* with AIOS_CONTEXT_PROFILE, of the phase that begins with this op: since opening */
} aios_op_info;
AIOS__DESC_INIT(aios_op_info)
#define aios_op_info_init(d) aios__aios_op_info_init(d)
AIOS_API uint32_t    aios_op_count(const aios_context *c);
AIOS_API aios_status aios_op_get(const aios_context *c, uint32_t i, aios_op_info *out);

/* ---- blocks ------------------------------------------------------------------------------------------------- */
/* Residency without the rest, for a host that has an engine of its own: a controller that is opened on a GGUF file alone, decides once
 * where every byte of its tensors will be, and then answers for a block's number with a pointer.
 *
 *     aios_blocks_desc d;  aios_blocks_plan plan;  aios_blocks *b;
 *     aios_blocks_desc_init(&d);  aios_blocks_plan_init(&plan);
 *     d.mem = &my_allocator;  d.path = "model.gguf";  d.ram_bytes = 2 << 20;
 *     aios_blocks_measure(&d, &plan, &err);                    // what will be asked for, to the byte; takes nothing
 *     aios_blocks_open(&d, &b, &err);                          // takes exactly that, reads what is to be resident
 *     const void *data;  uint32_t n_bytes, id = (uint32_t)aios_blocks_find(b, "blk.0.ffn_up.weight", 0);
 *     aios_blocks_prefetch(b, id, 0, &err);                    // each layer, for its first block: STREAM blocks are read, or paged in, ahead
 *     aios_resolve_block(b, id, &data, &n_bytes);              // any thread
 *     aios_blocks_token(b);                                    // each token
 *     aios_blocks_free(b);
 *
 * A block is a whole number of rows of one tensor, as the file has them, about block_bytes long (one row at the least; none crosses
 * from one matrix of a tensor to the next, unless they are small). Numbers run from 0 in the file's order without a gap. Any GGUF file will
 * do, whatever its family, if its tensors' data lie in the order of its directory, as every known writer puts them.
 *
 * TIERS    Blocks are ordered by how often a token reads them: every time (all that is not one of the following), for some tokens (the
 *          matrices of experts, "_exps.", and "ffn_up.3." of one), a row now and then (embeddings, unless they are the output matrix too). With ram_bytes
 *          R, kv_reserve_bytes K (a request of its own, made first): HOT and WARM together get max_rws_percent of R - K, and never more
 *          than what is left beside K, the tables and the ring. HOT are blocks of the first kind, copied to memory that is asked
 *          for with AIOS_MEM_HUGE and AIOS_MEM_PIN; WARM are the others that fit, used where the io maps them, else copied; STREAM is what does
 *          not fit: used through the map (the system may drop those pages), else read into a ring of slots by aios_blocks_prefetch.
 *          When blocks of the first kind do not all fit, those that stay are spread over the file, in runs of 16 blocks at the
 *          most, so that reading and computing take turns.
 * DEGRADED Steps that a budget took, AIOS_DEGRADED_*: fewer WARM blocks than there are; a shorter prefetch distance (the ring would have taken
 *          more than a quarter of the budget); fewer HOT blocks, down to hot_floor_percent of all tensor bytes; below that nothing is kept
 *          resident. Aliased blocks are not in this version: that step is never taken, every block is canonical.
 * HOT PATH aios_resolve_block and aios_is_active look up and count: no allocation, no system call, no lock, no waiting. All threads may call them
 *          at once, and all that only looks, aios_blocks_token and aios_blocks_read too, while one thread is in aios_blocks_prefetch.
 *          aios_reset_telemetry goes beside all of these but itself and aios_get_telemetry. aios_blocks_set_*
 *          and aios_blocks_free must have the controller for themselves. */
typedef struct aios_blocks aios_blocks;
enum { AIOS_BLOCK_CANONICAL = 1, AIOS_BLOCK_ALIASED = 2, AIOS_BLOCK_SPARSE = 4 /* all its rows are off */, AIOS_BLOCK_HOT = 8, AIOS_BLOCK_WARM = 16 };
enum { AIOS_DEGRADED_WARM = 1, AIOS_DEGRADED_ALIASING = 2, AIOS_DEGRADED_PREFETCH = 4, AIOS_DEGRADED_HOT = 8, AIOS_DEGRADED_STREAM = 16 };

/* 32 bytes where pointers have 8; fixed for good. */
typedef struct aios_block_entry {
    const void *base;               /* where it is now; NULL: a STREAM block that is in no slot        */
    uint32_t n_bytes, flags;        /* AIOS_BLOCK_*; neither HOT nor WARM: STREAM                      */
    const void *delta;              /* NULL: canonical                                                 */
    uint32_t delta_bytes, reserved;
} aios_block_entry;

/* IN_PLACE: nothing is copied where the io maps the file; tiers say what the host should keep resident there (mlock, a pinned pak
 * file). NO_PREFETCH: aios_blocks_prefetch brings the block that it names and no other. NO_SPARSITY: no mask is taken. */
enum { AIOS_BLOCKS_IN_PLACE = 1, AIOS_BLOCKS_NO_PREFETCH = 2, AIOS_BLOCKS_NO_SPARSITY = 4 };
typedef struct aios_blocks_desc {
    uint32_t struct_size, flags;            /* AIOS_BLOCKS_*                                           */
    const aios_allocator *mem;              /* required, but with AIOS_DEFAULT_ALLOC; copied           */
    const aios_io *io;                      /* [n_parts] as in aios_model_desc; map is asked for all tensors of a part at once */
    const char *path;                       /* for the built-in reader, which does not map             */
    const aios_limits *limits;              /* NULL = defaults                                         */
    uint32_t n_parts, block_bytes;          /* block_bytes: 64 KiB to 1 MiB; 0 = 256 KiB               */
    uint64_t ram_bytes;                     /* effective RAM: all that may be taken or kept resident; 0 = no limit */
    uint64_t kv_reserve_bytes;              /* for the host's KV cache: aios_blocks_kv                 */
    uint32_t max_rws_percent;               /* most of ram_bytes - kv_reserve_bytes for resident weights; 0 = 65 */
    uint32_t hot_floor_percent;             /* of all tensor bytes; less in HOT than this: streaming only; 0 = 20 */
    uint32_t prefetch_distance, reserved;   /* layers ahead; 0 = 2                                     */
    const aios_hardware *hardware;          /* what aios_get_hardware_profile will say; may be NULL    */
    uint64_t (*now_ns)(void *user);         /* for prefetch deadlines and times; NULL = the system's   */
    void *now_user;
    aios_progress_fn progress;              /* while resident blocks are read; may be NULL             */
    void *progress_user;
} aios_blocks_desc;
AIOS__DESC_INIT(aios_blocks_desc)
#define aios_blocks_desc_init(d) aios__aios_blocks_desc_init(d)

typedef struct aios_blocks_plan {
    uint32_t struct_size, n_requests;
    uint64_t request_bytes[5];              /* KV, tables, HOT, WARM, ring; 0 = not asked for          */
    uint64_t total_bytes;                   /* their sum                                               */
    uint64_t min_bytes;                     /* the smallest ram_bytes that works                       */
    uint64_t hot_bytes, warm_bytes, stream_bytes;   /* all tensor bytes, by tier                       */
    uint64_t mapped_bytes;                  /* of them, used where the io maps them                    */
    uint64_t token_bytes, token_stream_bytes;       /* that every token reads; of them, in STREAM      */
    uint32_t n_tensors, n_blocks, max_block_bytes, n_slots;
    uint32_t degraded, prefetch_distance;   /* AIOS_DEGRADED_*; what is left of the distance           */
} aios_blocks_plan;
AIOS__DESC_INIT(aios_blocks_plan)
#define aios_blocks_plan_init(d) aios__aios_blocks_plan_init(d)

/* Reads the file's directory, takes no memory. AIOS_ERR_MEMORY names the minimum when ram_bytes is below it. */
AIOS_API aios_status aios_blocks_measure(const aios_blocks_desc *d, aios_blocks_plan *out, aios_error *err);
/* Request i (0 .. n_requests-1), in the order in which aios_blocks_open makes them. out: initialised. */
AIOS_API aios_status aios_blocks_request(const aios_blocks_plan *p, uint32_t i, aios_mem_req *out);
AIOS_API aios_status aios_blocks_open(const aios_blocks_desc *d, aios_blocks **out, aios_error *err);
AIOS_API void        aios_blocks_free(aios_blocks *b);
/* The memory of kv_reserve_bytes, the host's until aios_blocks_free; NULL when none was asked for. */
AIOS_API void       *aios_blocks_kv(const aios_blocks *b, uint64_t *n_bytes);

AIOS_API uint32_t    aios_blocks_count(const aios_blocks *b);
/* Number of the block with this byte of a tensor, by its place in the directory or by name; negative when there is none. */
AIOS_API int64_t     aios_blocks_at(const aios_blocks *b, uint32_t tensor, uint64_t offset);
AIOS_API int64_t     aios_blocks_find(const aios_blocks *b, const char *name, uint64_t offset);
AIOS_API aios_status aios_block_get(const aios_blocks *b, uint32_t id, aios_block_entry *out);
typedef struct aios_block_info {
    uint32_t struct_size, tensor;           /* place in the directory                                  */
    char name[64];                          /* of the tensor                                           */
    uint64_t file_offset, offset;           /* of the block: in its part, in its tensor                */
    uint64_t n_bytes, first_row, n_rows;    /* rows of all matrices of the tensor, counted through     */
    uint32_t part, tier;                    /* AIOS_TIER_*                                             */
    int32_t layer, type;                    /* -1 = no layer; AIOSK_*                                  */
} aios_block_info;
AIOS__DESC_INIT(aios_block_info)
#define aios_block_info_init(d) aios__aios_block_info_init(d)
AIOS_API aios_status aios_block_get_info(const aios_blocks *b, uint32_t id, aios_block_info *out);

/* Hot path. Where block id is and how long it is. AIOS_OK; AIOS_MORE, *data NULL: a STREAM block that is in no slot, for aios_blocks_prefetch
 * or aios_blocks_read; AIOS_ERR_ARG: no such block. HOT, WARM and mapped blocks stay where they are until aios_blocks_free, one in a slot
 * as aios_blocks_prefetch says. b, data and n_bytes must not be NULL: they are not looked at. */
AIOS_API aios_status aios_resolve_block(aios_blocks *b, uint32_t id, const void **data, uint32_t *n_bytes);
/* Hot path. 0: the mask says that this row of the layer's feed-forward need not be computed. 1: it says the contrary, or nothing. */
AIOS_API int32_t     aios_is_active(aios_blocks *b, uint32_t layer, uint32_t row);

/* Blocks before id are done with for now; id comes next, then what follows in the file, and then the first ones again. Brings id to
 * a slot, then the blocks of the first kind that follow it and are not resident, prefetch_distance layers far or until the slots are full; what
 * is there already stays where it is, and slots of other blocks are used again. Where the io maps, it touches a byte of every page
 * instead. Returns AIOS_MORE when now_ns passes deadline_ns before all is there (0 = no deadline; one block is brought in any case). Reads with io.read, in
 * the caller: call it from a thread of its own, or between layers. After a failed read the other blocks are as they were. */
AIOS_API aios_status aios_blocks_prefetch(aios_blocks *b, uint32_t id, uint64_t deadline_ns, aios_error *err);
/* Bytes [offset, offset + n) of a block, read from the file to dst: a row of an embedding that is not resident. Any thread, if io.read
 * allows it. */
AIOS_API aios_status aios_blocks_read(const aios_blocks *b, uint32_t id, uint64_t offset, void *dst, uint64_t n, aios_error *err);
/* Rows that need no computing: bit row % 32 of bits[layer * ceil(n_rows / 32) + row / 32], 1 = active. The memory stays the host's and must stay; NULL
 * takes the mask away. Blocks of ffn_up and ffn_gate whose rows are all off get AIOS_BLOCK_SPARSE. */
AIOS_API aios_status aios_blocks_set_mask(aios_blocks *b, const uint32_t *bits, uint32_t n_layers, uint32_t n_rows, aios_error *err);
/* What the host's allocator could give: AIOS_MEM_HUGE, AIOS_MEM_PIN. Until it says so, telemetry reports neither. */
AIOS_API void        aios_blocks_set_memory(aios_blocks *b, uint32_t flags);
/* A token is done. */
AIOS_API void        aios_blocks_token(aios_blocks *b);

AIOS_API aios_status aios_get_hardware_profile(const aios_blocks *b, aios_hardware *out);

/* Counted since opening or the last reset. Nothing is lost or counted twice, however many threads count and whenever a reset comes: exact
 * once they are done, and while they run each number is one that was true at some moment of the call. (On 32-bit machines
 * counts wrap at 2^32, and prefetch_bytes and _ns are exact between calls of aios_blocks_prefetch alone.) */
typedef struct aios_telemetry {
    uint32_t struct_size, degraded;         /* AIOS_DEGRADED_*                                         */
    uint64_t n_tokens;                      /* calls of aios_blocks_token                              */
    uint64_t n_resolved;                    /* n_hot + n_warm + n_stream                               */
    uint64_t n_hot, n_warm, n_stream;       /* resolved, by tier                                       */
    uint64_t n_missed;                      /* AIOS_MORE was the answer                                */
    uint64_t n_skipped;                     /* rows for which aios_is_active said 0                    */
    uint64_t n_deltas;                      /* deltas applied: none, in this version                   */
    uint64_t n_prefetched, prefetch_bytes, prefetch_ns;     /* blocks read or touched ahead; time inside aios_blocks_prefetch */
    double hot_ratio;                       /* n_hot / n_resolved; 0 when nothing was                  */
    uint32_t isa_tier, aliasing, sparsity, prefetch, pinned, huge_pages;    /* which mechanisms are on */
} aios_telemetry;
AIOS__DESC_INIT(aios_telemetry)
#define aios_telemetry_init(d) aios__aios_telemetry_init(d)
AIOS_API aios_status aios_get_telemetry(const aios_blocks *b, aios_telemetry *out);
AIOS_API void        aios_reset_telemetry(aios_blocks *b);

/* ---- sampler ----------------------------------------------------------------------------------------------- */
typedef struct aios_logit_bias { int32_t id; float bias; } aios_logit_bias;

/* What a sampler does, a stage each, listed in the order of an aios_sampler.order of zeros. A number never changes its meaning. */
enum {
    AIOS_STAGE_BIAS = 1,            /* bias added                                                      */
    AIOS_STAGE_REPEAT = 2,          /* repeat_penalty on the tokens of the repeat_last                 */
    AIOS_STAGE_TOP_N_SIGMA = 7,     /* logits no further than top_n_sigma standard deviations below the best one */
    AIOS_STAGE_TOP_K = 3,           /* the top_k likeliest                                             */
    AIOS_STAGE_TEMPERATURE = 4,     /* logits divided by it; 0 = the likeliest alone                   */
    AIOS_STAGE_TYPICAL_P = 8,       /* those whose surprise is nearest to the entropy, until they make up typical_p */
    AIOS_STAGE_TOP_P = 5,           /* the likeliest that make up top_p                                */
    AIOS_STAGE_MIN_P = 6,           /* those at least min_p times as likely as the likeliest           */
    AIOS_STAGE_XTC = 9              /* in xtc_probability of the draws: of those of at least xtc_threshold only the least likely stays */
};
AIOS_API const char *aios_stage_name(int32_t stage);    /* "top_p"; NULL: there is no such stage */

/* Zero = greedy. The random numbers of a token are functions of (seed, its position) alone: same seed, same text. */
typedef struct aios_sampler {
    uint32_t struct_size, flags;
    uint64_t seed;
    float temperature;              /* 0 = greedy                                                      */
    float top_p, min_p;             /* 0 = off                                                         */
    int32_t top_k;                  /* 0 = off                                                         */
    float repeat_penalty;           /* 0 or 1 = off: logits of recent tokens divided (multiplied if negative) by it */
    int32_t repeat_last;            /* how many recent tokens count; 0 = 64                            */
    const aios_logit_bias *bias;    /* [n_bias] added first                                            */
    uint32_t n_bias, reserved;
    float typical_p;                /* 0 or 1 = off                                                    */
    float top_n_sigma;              /* 0 = off                                                         */
    float xtc_probability;          /* 0 = off                                                         */
    float xtc_threshold;            /* 0 = 0.1; above 0.5 nothing happens                              */
    uint8_t order[16];              /* AIOS_STAGE_*, up to the first 0; zeros = as listed above. It names every stage that a field
                                       turns on (temperature: unless that is 1), once; the others may be named and do nothing */
} aios_sampler;
AIOS__DESC_INIT(aios_sampler)
#define aios_sampler_init(d) aios__aios_sampler_init(d)
/* Draws the next token of a sequence from the logits of its newest output row (which stay as they are). The stages of the sampler work one
 * after the other; each sees the candidates that those before it have left, their probabilities adding up to 1 at the temperature of then. */
AIOS_API aios_status aios_sample(aios_context *c, int32_t seq, const aios_sampler *s, int32_t *id, aios_error *err);
/* The same on any logits; recent [n_recent] ids, pos the number of the draw; work [aios_sample_work_bytes(n_vocab)], 8-byte aligned. */
AIOS_API uint64_t aios_sample_work_bytes(int32_t n_vocab);
AIOS_API aios_status aios_sample_logits(const aios_sampler *s, const float *logits, int32_t n_vocab, const int32_t *recent,
                                        uint64_t n_recent, uint64_t pos, void *work, int32_t *id, aios_error *err);

#ifdef __cplusplus
}
#endif
#if defined(AIOSK__QUIET) && defined(__cplusplus)
#pragma GCC diagnostic pop
#endif
#endif

#if defined(AIOS_IMPLEMENTATION) && !defined(AIOS_EXTERNAL) && !defined(AIOS__IMPLEMENTED)
#define AIOS__IMPLEMENTED
#ifndef AIOSK_IMPLEMENTATION
#define AIOSK_IMPLEMENTATION
#endif
#include "aios_kernels.h"

/* ======== base/base.h ======== */
/* base.h: integers that cannot overflow unseen, sets of bits, strings with a length, aligned bumps.
 * Uses <string.h>; no state. */
#ifndef AIOS__BASE_H
#define AIOS__BASE_H

#if defined(__clang__)
#pragma clang fp contract(off) /* kernels/base.h says why */
#endif
#if defined(_WIN32)
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <windows.h>
#endif
#ifdef AIOS_DEFAULT_ALLOC
#include <stdlib.h>
#endif

/* Between BEGIN and END stands code that runs once per file, model, plan, context, pass or drawn
 * token, not in tasks nor for each character or logit: where the compiler optimises, it is to be
 * small and soon compiled. GCC: -Os, without the passes that take time there and change the size
 * by little or make it larger (GCC 12 on an EPYC, all of the engine so: 2.1 s and 170 KB; plain
 * -Os: 3.6 s and 172 KB). They stand in one pragma, since of several in a macro GCC takes the
 * first alone. No system header with code of its own stands in between, and nothing reaches the
 * host's code: GCC 12 gives back the options, but not the macro. */
#if defined(__clang__)
#define AIOS__SMALL_BEGIN \
    _Pragma("clang attribute push(__attribute__((minsize)), apply_to = function)")
#define AIOS__SMALL_END _Pragma("clang attribute pop")
#elif defined(__GNUC__) && defined(__OPTIMIZE__)
/* clang-format off */
#define AIOS__SMALL_BEGIN _Pragma("push_macro(\"__OPTIMIZE_SIZE__\")") \
    _Pragma("GCC push_options") \
    _Pragma("GCC optimize (\"Os\", \
        \"no-gcse,no-expensive-optimizations,no-tree-vrp,no-thread-jumps\", \
        \"no-code-hoisting,no-rerun-cse-after-loop,no-tree-pre,no-tree-dominator-opts\", \
        \"no-tree-slsr,no-tree-tail-merge,no-tree-switch-conversion,no-tree-phiprop\", \
        \"no-tree-builtin-call-dce,no-optimize-strlen,no-hoist-adjacent-loads\", \
        \"no-isolate-erroneous-paths-dereference,no-tree-loop-distribute-patterns\", \
        \"no-tree-scev-cprop,no-partial-inlining,no-schedule-insns2,no-lra-remat\", \
        \"no-tree-pta,no-tree-loop-im,no-tree-loop-optimize,no-move-loop-invariants\", \
        \"no-tree-ccp,no-tree-bit-ccp,no-tree-dse,no-tree-copy-prop,no-tree-forwprop\", \
        \"no-tree-reassoc,no-tree-sink,no-caller-saves,no-ipa-icf,no-ipa-pure-const\", \
        \"no-ipa-reference,no-ipa-cp,no-ipa-sra\")")
/* clang-format on */
#define AIOS__SMALL_END _Pragma("GCC pop_options") _Pragma("pop_macro(\"__OPTIMIZE_SIZE__\")")
#else
#define AIOS__SMALL_BEGIN
#define AIOS__SMALL_END
#endif

/* A function that is called when something went wrong: never inlined, and the way to it is not
 * the one that is laid out straight. */
#if defined(__GNUC__) || defined(__clang__)
#define AIOS__COLD __attribute__((cold, noinline))
#else
#define AIOS__COLD AIOSK__NOINLINE
#endif

#define AIOS__NO_OFF UINT64_MAX

typedef struct aios__str {
    const char *p;
    uint64_t n;
} aios__str; /* not terminated; not owned */

static inline int32_t aios__add(uint64_t a, uint64_t b, uint64_t *out) {
    *out = a + b;
    return *out >= a;
}
static inline int32_t aios__mul(uint64_t a, uint64_t b, uint64_t *out) {
    *out = a * b;
    return a == 0 || *out / a == b;
}
static inline uint64_t aios__round_up(uint64_t x, uint64_t align) {
    return (x + align - 1) / align * align;
}
static inline uint64_t aios__min_u64(uint64_t a, uint64_t b) { return a < b ? a : b; }
/* Bit i of a set. */
static inline int32_t aios__bit(const uint32_t *set, uint32_t i) {
    return (set[i >> 5] >> (i & 31) & 1) != 0;
}
static inline void aios__bit_set(uint32_t *set, uint32_t i) {
    set[i >> 5] |= (uint32_t)1 << (i & 31);
}
static inline int32_t aios__str_eq(aios__str s, const char *z) {
    uint64_t i;
    for (i = 0; i < s.n; i++)
        if (z[i] == 0 || s.p[i] != z[i]) return 0;
    return z[s.n] == 0;
}

/* A bump over one block of memory. With base NULL it only counts: the same code measures and
 * places, so that what is asked for and what is used cannot differ. Never fails: the block has
 * the size that counting gave. */
typedef struct aios__bump {
    char *base;
    uint64_t used;
} aios__bump;
static inline void *aios__take(aios__bump *b, uint64_t bytes, uint64_t align) {
    b->used = aios__round_up(b->used, align);
    b->used += bytes;
    return b->base ? b->base + (b->used - bytes) : NULL;
}

#endif

/* ======== base/dmath.h ======== */
/* dmath.h: log, exp, floor, sin and cos in double, for tables made before the first token. Ours,
 * because the C library's differ from vendor to vendor in the last bit, and the same bits are
 * promised. Errors below 2e-15 relative. */
#ifndef AIOS__DMATH_H
#define AIOS__DMATH_H

static inline double aios__floor(double x) {
    double t = (double)(int64_t)x; /* |x| < 2^62 */
    return t > x ? t - 1 : t;
}
AIOS__SMALL_BEGIN
/* x > 0, finite. log x = e ln 2 + 2 atanh((m - 1) / (m + 1)), m in [sqrt 1/2, sqrt 2). */
AIOSK__STRICT static double aios__log(double x) {
    uint64_t u;
    int32_t e, i;
    double m, s, s2, t = 0;
    memcpy(&u, &x, 8);
    e = (int32_t)(u >> 52) - 1023;
    u = (u & 0x000FFFFFFFFFFFFFu) | 0x3FF0000000000000u;
    memcpy(&m, &u, 8);
    if (m > 1.4142135623730951) {
        m *= 0.5;
        e++;
    }
    s = (m - 1) / (m + 1);
    s2 = s * s;
    for (i = 23; i >= 3; i -= 2) t = t * s2 + 1.0 / (double)i;
    t = 2 * (s + s * s2 * t);
    /* ln 2 in two parts */
    return (double)e * 0.6931471803691238 + ((double)e * 1.9082149292705877e-10 + t);
}
/* |x| < 700 */
AIOSK__STRICT static double aios__exp(double x) {
    double k = aios__floor(x * 1.4426950408889634 + 0.5),
           r = x - k * 0.6931471803691238 - k * 1.9082149292705877e-10, t = 1, p;
    uint64_t u = (uint64_t)((int64_t)k + 1023) << 52;
    int32_t i;
    for (i = 14; i >= 1; i--) t = t * r / (double)i + 1;
    memcpy(&p, &u, 8);
    return t * p;
}
AIOS__SMALL_END
/* |x| < 1.6e6, the range in which k * pi/2 keeps its first part exact. */
AIOSK__STRICT static void aios__sincos(double x, double *sin_x, double *cos_x) {
    double k = aios__floor(x * 0.6366197723675814 + 0.5), r, r2, s = 0, c = 0;
    int32_t i, q = (int32_t)((int64_t)k & 3);
    r = ((x - k * 1.57079632673412561417e+00) - k * 6.07710050630396597660e-11) -
        k * 2.02226624879595063154e-21;
    r2 = r * r;
    for (i = 19; i >= 3; i -= 2) s = -r2 / (double)(i * (i - 1)) * (1 + s);
    for (i = 18; i >= 2; i -= 2) c = -r2 / (double)(i * (i - 1)) * (1 + c);
    s = r + r * s;
    c = 1 + c;
    *sin_x = q == 0 ? s : q == 1 ? c : q == 2 ? -s : -c;
    *cos_x = q == 0 ? c : q == 1 ? -s : q == 2 ? -c : s;
}

#endif

AIOS__SMALL_BEGIN

/* ======== base/text.c ======== */
/* text.c: text in a buffer of fixed size. Formats without stdio, so that the library reaches no
 * printf; error.c writes its sentences with it. */

/* A text being built in a buffer of fixed size: cut, never overrun, always terminated. */
typedef struct aios__text {
    char *p;
    uint64_t cap, n;
} aios__text;

static void aios__put(aios__text *t, const char *s, uint64_t n) {
    for (uint64_t i = 0; i < n && t->n + 1 < t->cap; i++) {
        unsigned char c = (unsigned char)s[i];
        /* file bytes must not steer a terminal */
        t->p[t->n++] = (char)(c < 32 || c == 127 ? '?' : c);
    }
    if (t->cap) t->p[t->n] = 0;
}
static void aios__put_z(aios__text *t, const char *z) { aios__put(t, z, strlen(z)); }
static void aios__put_u(aios__text *t, uint64_t v) {
    char d[20];
    int32_t n = 20;
    do d[--n] = (char)('0' + v % 10);
    while (v /= 10);
    aios__put(t, d + n, (uint64_t)(20 - n));
}
static void aios__put_i(aios__text *t, int64_t v) {
    if (v < 0) {
        aios__put(t, "-", 1);
        aios__put_u(t, (uint64_t)0 - (uint64_t)v);
    } else
        aios__put_u(t, (uint64_t)v);
}
/* Six significant digits, for people; not for reading back. */
static void aios__put_f(aios__text *t, double v) {
    int32_t e = 0, i;
    char d[7];
    if (v != v) {
        aios__put_z(t, "nan");
        return;
    }
    if (v < 0) {
        aios__put(t, "-", 1);
        v = -v;
    }
    if (v > 1.7e308) {
        aios__put_z(t, "inf");
        return;
    }
    if (v == 0) {
        aios__put(t, "0", 1);
        return;
    }
    while (v >= 999999.5) {
        v /= 10;
        e++;
    }
    while (v < 99999.95) {
        v *= 10;
        e--;
    }
    uint64_t m = (uint64_t)(v + 0.5);
    for (i = 5; i >= 0; i--, m /= 10) d[i] = (char)('0' + m % 10);
    for (i = 6; i > 1 && d[i - 1] == '0'; i--) e++; /* i digits are left, value d * 10^e */
    if (e >= 0 && e <= 9) {
        aios__put(t, d, (uint64_t)i);
        while (e-- > 0) aios__put(t, "0", 1);
    } else if (e < 0 && -e < i) {
        aios__put(t, d, (uint64_t)(i + e));
        aios__put(t, ".", 1);
        aios__put(t, d + i + e, (uint64_t)-e);
    } else if (e < 0 && -e - i < 5) {
        aios__put_z(t, "0.");
        for (; - e > i; e++) aios__put(t, "0", 1);
        aios__put(t, d, (uint64_t)i);
    } else {
        aios__put(t, d, 1);
        if (i > 1) {
            aios__put(t, ".", 1);
            aios__put(t, d + 1, (uint64_t)(i - 1));
        }
        aios__put(t, "e", 1);
        aios__put_i(t, e + i - 1);
    }
}

/* ======== base/error.c ======== */
/* error.c: names of status codes, the caller's error record, notes to the caller's log. Behind
 * text.c; every file below fails through here. */

AIOS_API const char *aios_status_name(aios_status s) {
    switch (s) {
#define AIOS__X(name, value) \
    case name: return #name;
        AIOS_STATUSES(AIOS__X)
#undef AIOS__X
    default: return "unknown status";
    }
}

/* One argument of aios__fail, so that no varargs are needed and no type can be mistaken: two
 * words, which travel in registers. A string, or a number n where p is one of the marks; n
 * AIOS__TO_ZERO: up to its zero byte. */
typedef struct aios__arg {
    const char *p;
    uint64_t n;
} aios__arg;
enum { AIOS__IS_U = 1, AIOS__IS_I = 2 };
#define AIOS__TO_ZERO UINT64_MAX
static inline aios__arg aios__arg_of(const char *p, uint64_t n) {
    aios__arg a;
    a.p = p;
    a.n = n;
    return a;
}
static inline aios__arg aios__s(aios__str s) { return aios__arg_of(s.p, s.n); }
static inline aios__arg aios__z(const char *z) { return aios__arg_of(z, AIOS__TO_ZERO); }
static inline aios__arg aios__u(uint64_t u) {
    return aios__arg_of((const char *)(uintptr_t)AIOS__IS_U, u);
}
static inline aios__arg aios__i(int64_t i) {
    return aios__arg_of((const char *)(uintptr_t)AIOS__IS_I, (uint64_t)i);
}

/* Fills the caller's record and returns code. Each % in fmt takes the next of a and b. A record
 * that already tells of a failure is overwritten. err may be NULL. */
AIOS__COLD static aios_status aios__fail2(aios_error *err, aios_status code, uint64_t off,
                                          uint64_t expected, uint64_t got, const char *fmt,
                                          aios__arg a, aios__arg b) {
    aios__text t;
    int32_t n = 0;
    if (!err) return code;
    err->code = code;
    err->reserved = 0;
    err->offset = off;
    err->expected = expected;
    err->got = got;
    t.p = err->text;
    t.cap = sizeof err->text;
    t.n = 0;
    for (; *fmt; fmt++) {
        aios__arg x = n == 0 ? a : b;
        if (*fmt != '%') {
            aios__put(&t, fmt, 1);
            continue;
        }
        n++;
        if (x.p == aios__u(0).p)
            aios__put_u(&t, x.n);
        else if (x.p == aios__i(0).p)
            aios__put_i(&t, (int64_t)x.n);
        else
            aios__put(&t, x.p,
                      aios__min_u64(x.n == AIOS__TO_ZERO ? x.p ? strlen(x.p) : 0 : x.n, 96));
    }
    return code;
}
AIOS__COLD static aios_status aios__fail1(aios_error *err, aios_status code, uint64_t off,
                                          const char *fmt, aios__arg a) {
    return aios__fail2(err, code, off, 0, 0, fmt, a, aios__u(0));
}
AIOS__COLD static aios_status aios__fail(aios_error *err, aios_status code, uint64_t off,
                                         const char *text) {
    return aios__fail2(err, code, off, 0, 0, text, aios__u(0), aios__u(0));
}
/* Who hears of what is odd but can be lived with. fn NULL: nobody. */
typedef struct aios__notes {
    aios_log_fn fn;
    void *user;
} aios__notes;
AIOS__COLD static void aios__note2(const aios__notes *log, const char *fmt, aios__arg a,
                                   aios__arg b) {
    aios_error e;
    if (!log || !log->fn) return;
    aios__fail2(&e, AIOS_OK, AIOS__NO_OFF, 0, 0, fmt, a, b);
    log->fn(log->user, 0, e.text);
}
static inline void aios__clear(aios_error *err) {
    if (err) memset(err, 0, sizeof *err);
}

/* ======== base/desc.c ======== */
/* desc.c: the public structs and their versions: sizes by name, *_init, copies of what a caller
 * with an older or newer header gives, and the way back. Behind error.c. */

/* Those with struct_size, and the others. A new one of api.h goes here too. */
/* clang-format off */
#define AIOS__SIZED(X) \
    X(aios_mem_req) X(aios_allocator) X(aios_io) X(aios_hardware) X(aios_limits) \
    X(aios_model_desc) X(aios_model_info) X(aios_tensor_info) X(aios_key_info) \
    X(aios_plan_desc) X(aios_plan) X(aios_tensor_place) X(aios_spill) X(aios_context_desc) \
    X(aios_output) X(aios_cache_info) X(aios_counters) X(aios_op_info) X(aios_blocks_desc) \
    X(aios_blocks_plan) X(aios_block_info) X(aios_telemetry) X(aios_sampler)
#define AIOS__FIXED(X) \
    X(aios_error) X(aios_detok) X(aios_block_entry) X(aios_logit_bias) X(aiosk_type) \
    X(aiosk_matmul) X(aiosk_attend) X(aiosk_isa)
/* clang-format on */

#define AIOS__ROW(T) AIOS__ID_##T,
enum { AIOS__SIZED(AIOS__ROW) AIOS__N_SIZED };
#undef AIOS__ROW
#define AIOS__ROW(T) { #T, (uint32_t)sizeof(T), 0 },
typedef struct aios__struct {
    const char *name;
    uint32_t bytes, reserved;
} aios__struct;
static const aios__struct aios__structs[] = { AIOS__SIZED(AIOS__ROW) AIOS__FIXED(AIOS__ROW) };
#undef AIOS__ROW

/* Where structs of older versions ended: at the first field that a version added. */
#define AIOS__ENDED(T, field) \
    { AIOS__ID_##T, (uint16_t)offsetof(T, field) }
static const struct aios__older {
    uint16_t id, bytes;
} aios__older[] = { AIOS__ENDED(aios_allocator, granted),
                    AIOS__ENDED(aios_io, submit),
                    AIOS__ENDED(aios_io, soon),
                    AIOS__ENDED(aios_limits, max_blocks),
                    AIOS__ENDED(aios_model_desc, artifact),
                    AIOS__ENDED(aios_model_info, n_expert),
                    AIOS__ENDED(aios_plan_desc, hot_bytes),
                    AIOS__ENDED(aios_plan_desc, numa_node_1),
                    AIOS__ENDED(aios_plan_desc, kv_old_type),
                    AIOS__ENDED(aios_plan_desc, l3_bytes),
                    AIOS__ENDED(aios_plan, flags),
                    AIOS__ENDED(aios_plan, tier_bytes),
                    AIOS__ENDED(aios_plan, numa_node_1),
                    AIOS__ENDED(aios_plan, kv_old_type),
                    AIOS__ENDED(aios_plan, n_expert_slots),
                    AIOS__ENDED(aios_plan, kv_layer_type),
                    AIOS__ENDED(aios_plan, n_row_slots),
                    AIOS__ENDED(aios_tensor_place, stream_bytes),
                    AIOS__ENDED(aios_tensor_place, resident_tier),
                    AIOS__ENDED(aios_context_desc, thread_start),
                    AIOS__ENDED(aios_context_desc, spill),
                    AIOS__ENDED(aios_context_desc, trace),
                    AIOS__ENDED(aios_counters, n_units),
                    AIOS__ENDED(aios_counters, tier_bytes),
                    AIOS__ENDED(aios_counters, n_expert_hits),
                    AIOS__ENDED(aios_counters, n_spilled),
                    AIOS__ENDED(aios_sampler, typical_p) };
#undef AIOS__ENDED

/* The struct_size at p, which this or an older version had, or a newer one may have; 0 = it is
 * none of these. */
static uint32_t aios__struct_size(uint32_t id, const void *p) {
    const uint32_t bytes = aios__structs[id].bytes;
    uint32_t n;
    memcpy(&n, p, 4);
    if (n >= bytes) return n <= 4096 && (n - bytes) % 4 == 0 ? n : 0;
    /* with padding behind, where pointers have 4 bytes */
    for (uint32_t i = 0; i < sizeof aios__older / sizeof *aios__older; i++)
        if (aios__older[i].id == id &&
            (aios__older[i].bytes == n || (aios__older[i].bytes + 7u) / 8 * 8 == n))
            return n;
    return 0;
}

AIOS_API uint32_t aios_version(void) { return AIOS_VERSION; }
AIOS_API uint64_t aios_sizeof(const char *struct_name) {
    for (uint32_t i = 0; struct_name && i < sizeof aios__structs / sizeof *aios__structs; i++)
        if (!strcmp(struct_name, aios__structs[i].name)) return aios__structs[i].bytes;
    return 0;
}
static void aios__struct_init(void *d, uint32_t bytes) {
    if (d) memset(d, 0, bytes), memcpy(d, &bytes, 4);
}
#define AIOS__ROW(T)                               \
    AIOS_API void(T##_init)(T * d) {               \
        aios__struct_init(d, (uint32_t)sizeof *d); \
    } /* in brackets, where the macro is not meant */
AIOS__SIZED(AIOS__ROW)
#undef AIOS__ROW

/* Copies a struct AIOS__ID_* that the caller may have compiled against an older or newer header:
 * min(struct_size, sizeof) bytes over zeros. A newer caller's unknown fields must be zero. */
static aios_status aios__desc_copy(uint32_t id, void *dst, const void *src, aios_error *err) {
    const char *what = aios__structs[id].name;
    const uint32_t dst_bytes = aios__structs[id].bytes;
    uint32_t n;
    if (!src) return aios__fail1(err, AIOS_ERR_ARG, AIOS__NO_OFF, "% is NULL", aios__z(what));
    if ((n = aios__struct_size(id, src)) == 0) {
        memcpy(&n, src, 4);
        return aios__fail2(err, AIOS_ERR_DESC, AIOS__NO_OFF, dst_bytes, n,
                           "%.struct_size is %: call its _init function first", aios__z(what),
                           aios__u(n));
    }
    for (uint32_t i = dst_bytes; i < n; i++)
        if (((const char *)src)[i])
            return aios__fail1(err, AIOS_ERR_DESC, AIOS__NO_OFF,
                               "% sets a field that this version of the library does not know",
                               aios__z(what));
    memset(dst, 0, dst_bytes);
    memcpy(dst, src, n < dst_bytes ? n : dst_bytes);
    return AIOS_OK;
}
/* A flag that this version does not know may change what the caller means: refused, not ignored. */
static aios_status aios__flags(uint32_t given, uint32_t known, const char *what, aios_error *err) {
    if (!(given & ~known)) return AIOS_OK;
    return aios__fail2(err, AIOS_ERR_DESC, AIOS__NO_OFF, known, given,
                       "%.flags % has bits that this version does not know", aios__z(what),
                       aios__u(given));
}
/* The same of a field that has no meaning yet. */
static aios_status aios__unused(uint32_t given, const char *what, aios_error *err) {
    return given ? aios__fail2(err, AIOS_ERR_DESC, AIOS__NO_OFF, 0, given, "%.reserved is %, not 0",
                               aios__z(what), aios__u(given))
                 : AIOS_OK;
}
/* The other way: fills a caller's struct of struct_size bytes, which stays as it is. */
static aios_status aios__desc_fill(uint32_t id, void *dst, const void *src) {
    const uint32_t src_bytes = aios__structs[id].bytes;
    uint32_t n;
    if (!dst) return AIOS_ERR_ARG;
    if ((n = aios__struct_size(id, dst)) == 0) return AIOS_ERR_DESC;
    memcpy((char *)dst + 4, (const char *)src + 4, (n < src_bytes ? n : src_bytes) - 4);
    return AIOS_OK;
}

/* ======== base/alloc.c ======== */
/* alloc.c: memory of the caller: one request, and the allocator that a desc names, or the one that
 * is built in (AIOS_DEFAULT_ALLOC). Behind desc.c. */

/* One request of the caller's allocator; what it answers must be there and aligned. */
static aios_status aios__alloc(const aios_allocator *mem, const aios_mem_req *req, const char *what,
                               void **out, aios_error *err) {
    *out = mem->alloc(mem->user, req);
    if (!*out)
        return aios__fail2(err, AIOS_ERR_MEMORY, AIOS__NO_OFF, req->bytes, 0,
                           "the allocator gave no memory for the % (% bytes)", aios__z(what),
                           aios__u(req->bytes));
    if (!((uintptr_t)*out & (req->align - 1))) return AIOS_OK;
    mem->free(mem->user, *out, req);
    *out = NULL;
    return aios__fail2(err, AIOS_ERR_MEMORY, AIOS__NO_OFF, req->align, 0,
                       "the allocator's memory for the % is not aligned to % bytes", aios__z(what),
                       aios__u(req->align));
}

/* The allocator that a desc names, or the one that is built in. */
#ifdef AIOS_DEFAULT_ALLOC
static void *aios__default_take(void *user, const aios_mem_req *req) {
    /* in front of what is given: where malloc's begins */
    const uint64_t more = req->align + sizeof(void *);
    char *p;
    (void)user;
    if (req->bytes > SIZE_MAX - more || !(p = (char *)malloc((size_t)(req->bytes + more))))
        return NULL;
    char *given = p + sizeof p;
    given += (req->align - ((uintptr_t)given & (req->align - 1))) & (req->align - 1);
    memcpy(given - sizeof p, &p, sizeof p);
    return given;
}
static void aios__default_give(void *user, void *given, const aios_mem_req *req) {
    char *p;
    (void)user;
    (void)req;
    memcpy(&p, (char *)given - sizeof p, sizeof p);
    free(p);
}
static uint32_t aios__default_granted(void *user, void *p, const aios_mem_req *req) {
    (void)user;
    (void)p;
    (void)req;
    return 0;
}
#endif
static aios_status aios__allocator_copy(aios_allocator *dst, const aios_allocator *src,
                                        const char *what, aios_error *err) {
    aios_status st;
    if (!src) {
#ifdef AIOS_DEFAULT_ALLOC
        (void)what;
        aios_allocator_init(dst);
        dst->alloc = aios__default_take;
        dst->free = aios__default_give;
        dst->granted = aios__default_granted;
        return AIOS_OK;
#else
        return aios__fail1(
            err, AIOS_ERR_ARG, AIOS__NO_OFF,
            "%.mem is NULL: the library takes memory from the caller alone (or is compiled with "
            "AIOS_DEFAULT_ALLOC)",
            aios__z(what));
#endif
    }
    if ((st = aios__desc_copy(AIOS__ID_aios_allocator, dst, src, err)) != 0) return st;
    if (!dst->alloc || !dst->free)
        return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF, "aios_allocator needs alloc and free");
    return aios__flags(dst->flags, 0, "aios_allocator", err);
}

AIOS__SMALL_END

/* ======== host/atomic.c ======== */
/* atomic.c: atomic words, sequentially consistent, and the pause of a loop that spins. Nothing
 * above it is used; threads.c, the ring and the reads under way stand on it. */

#if defined(__GNUC__) || defined(__clang__)
static inline int32_t aios__load(const int32_t *p) { return __atomic_load_n(p, __ATOMIC_SEQ_CST); }
static inline void aios__store(int32_t *p, int32_t v) { __atomic_store_n(p, v, __ATOMIC_SEQ_CST); }
static inline int32_t aios__fetch_add(int32_t *p, int32_t v) {
    return __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST);
}
static inline int32_t aios__cas(int32_t *p, int32_t old, int32_t v) {
    return __atomic_compare_exchange_n(p, &old, v, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}
#elif defined(_MSC_VER)
#include <intrin.h>
static inline int32_t aios__load(const int32_t *p) {
    return (int32_t)_InterlockedOr((volatile long *)(int32_t *)p, 0);
}
static inline void aios__store(int32_t *p, int32_t v) {
    _InterlockedExchange((volatile long *)p, v);
}
static inline int32_t aios__fetch_add(int32_t *p, int32_t v) {
    return (int32_t)_InterlockedExchangeAdd((volatile long *)p, v);
}
static inline int32_t aios__cas(int32_t *p, int32_t old, int32_t v) {
    return (int32_t)_InterlockedCompareExchange((volatile long *)p, v, old) == old;
}
#else
#error "aios.h: no atomics are known for this compiler"
#endif

static inline void aios__pause(void) {
#if defined(__x86_64__) || defined(_M_X64)
    _mm_pause();
#elif defined(__aarch64__) && defined(__GNUC__)
    /* waits some tens of cycles; yield is nothing on most cores and the spin would be short */
    __asm__ __volatile__("isb");
#endif
}

/* ======== host/clock.c ======== */
/* clock.c: nanoseconds of the system's clock that never goes back; with AIOS_NO_CLOCK there is
 * none and the host's answers. */

#if defined(AIOS_NO_CLOCK)
static uint64_t aios__system_ns(void *user) {
    (void)user;
    return 0;
}
#elif defined(_WIN32)
static uint64_t aios__system_ns(void *user) {
    LARGE_INTEGER f, t;
    (void)user;
    QueryPerformanceFrequency(&f);
    QueryPerformanceCounter(&t);
    return (uint64_t)(t.QuadPart / f.QuadPart) * 1000000000u +
           (uint64_t)(t.QuadPart % f.QuadPart) * 1000000000u / (uint64_t)f.QuadPart;
}
#else
#include <time.h>
#if defined(__wasi__) /* a strict -std=c99 hides what POSIX has */
extern int clock_gettime(clockid_t id, struct timespec *t);
#define AIOS__CLOCK_MONOTONIC CLOCK_MONOTONIC
#define AIOS__CLOCK_REALTIME  CLOCK_REALTIME
#elif !defined(CLOCK_MONOTONIC)
#include <pthread.h> /* struct timespec */
#define AIOS__CLOCK_MONOTONIC 1
#define AIOS__CLOCK_REALTIME  0
extern int clock_gettime(int id, struct timespec *t);
#else
#define AIOS__CLOCK_MONOTONIC CLOCK_MONOTONIC
#define AIOS__CLOCK_REALTIME  CLOCK_REALTIME
#endif
static uint64_t aios__system_ns(void *user) {
    struct timespec t;
    (void)user;
    clock_gettime(AIOS__CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
#endif

/* ======== host/threads.c ======== */
/* threads.c: threads of our own, for hosts that lend none. A pool, which works on one job at a
 * time with its caller, and a crew, which waits for things to do. A waiting thread spins for a
 * bounded time (some tens of microseconds), then sleeps in the kernel. Behind atomic.c and
 * clock.c. */

/* ---- pool ---- */
/* A job is one call of aios__pool_run: its caller is worker 0, and the pool's threads join when
 * they are there. Nobody waits for one that is not: a thread that the system wakes late, or
 * never during a short job, finds the work done, or helps with what is left. Who has joined is a
 * member and must come to every barrier until the job is over. */
typedef void (*aios__worker_fn)(void *arg, int32_t worker);
typedef void (*aios__start_fn)(void *user, int32_t worker);

#ifndef AIOS_STACK_BYTES
/* the deepest task needs under 48 KiB; the C library puts a program's thread-local data here too */
#define AIOS_STACK_BYTES (256 * 1024)
#endif
#if defined(_WIN32)
#define AIOS__STACK 0 /* the system gives each thread its own                         */
#define AIOS__PAGE  16
#else
#define AIOS__STACK (((uint64_t)AIOS_STACK_BYTES + 16383) / 16384 * 16384)
#define AIOS__PAGE  16384 /* the largest page that a stack must be aligned to (Apple arm64) */
#endif
enum { AIOS__SPINS = 1000 };     /* some tens of microseconds */
#define AIOS__FOREVER UINT64_MAX /* nanoseconds                                                  */

#if defined(__wasm__) && !defined(_REENTRANT) && !defined(AIOS_NO_THREADS)
#define AIOS_NO_THREADS /* a module has them where it was compiled with -pthread */
#endif
#ifdef AIOS_NO_THREADS
typedef struct aios__pool {
    int32_t n;
} aios__pool;
static uint64_t aios__stacks(int32_t n) {
    (void)n;
    return 0;
}
static aios_status aios__pool_start(aios__pool *p, int32_t n, aios__start_fn start,
                                    void *start_user, aios_error *err) {
    p->n = 1;
    (void)start;
    (void)start_user;
    return n < 2 ? AIOS_OK
                 : aios__fail(
                       err, AIOS_ERR_ARG, AIOS__NO_OFF,
                       "this build has no threads (AIOS_NO_THREADS): give parallel_for or plan for "
                       "one thread");
}
static void aios__pool_stop(aios__pool *p) { (void)p; }
static void aios__pool_run(aios__pool *p, aios__worker_fn fn, void *arg) {
    (void)p;
    fn(arg, 0);
}
static int32_t aios__barrier_arrive(aios__pool *p, int32_t *gen) {
    (void)p;
    (void)gen;
    return 1;
}
static void aios__barrier_release(aios__pool *p, int32_t over) {
    (void)p;
    (void)over;
}
static int32_t aios__barrier_wait(aios__pool *p, int32_t gen) {
    (void)p;
    (void)gen;
    return 1;
}
static void aios__pool_bound(aios__pool *p, int32_t n) {
    (void)p;
    (void)n;
}

typedef struct aios__crew {
    int32_t n, quit;
} aios__crew;
static void aios__threads_layout(aios__pool *p, aios__crew *c, aios__bump *b, int32_t n_workers,
                                 int32_t n_crew) {
    (void)p;
    (void)c;
    (void)b;
    (void)n_workers;
    (void)n_crew;
}
static aios_status aios__crew_start(aios__crew *c, int32_t n, void (*fn)(void *), void *arg,
                                    aios_error *err) {
    (void)c;
    (void)fn;
    (void)arg;
    return n < 1 ? AIOS_OK
                 : aios__fail(
                       err, AIOS_ERR_ARG, AIOS__NO_OFF,
                       "this build has no threads (AIOS_NO_THREADS): plan without reading threads");
}
static int32_t aios__crew_stop(aios__crew *c) {
    (void)c;
    return 1;
}
static void aios__crew_lock(aios__crew *c) { (void)c; }
static void aios__crew_unlock(aios__crew *c) { (void)c; }
static void aios__crew_wake(aios__crew *c) { (void)c; }
static void aios__crew_call(aios__crew *c) { (void)c; }
static void aios__crew_idle(aios__crew *c) { (void)c; }
static void aios__crew_wait(aios__crew *c, uint64_t ns) {
    (void)c;
    (void)ns;
}
#else

#if defined(_WIN32)
typedef HANDLE aios__thread;
typedef SRWLOCK aios__lock;
typedef CONDITION_VARIABLE aios__cond;
#define AIOS__LOCK(p)     AcquireSRWLockExclusive(&(p)->lock)
#define AIOS__UNLOCK(p)   ReleaseSRWLockExclusive(&(p)->lock)
#define AIOS__SLEEP(p, c) SleepConditionVariableSRW(&(p)->c, &(p)->lock, INFINITE, 0)
#define AIOS__WAKE(p, c)  WakeAllConditionVariable(&(p)->c)
static int64_t aios__process(void) { return 0; }
#else
#include <pthread.h>
#if defined(__STRICT_ANSI__) && !defined(__cplusplus) /* a strict -std=c99 hides it */
extern int pthread_attr_setstack(pthread_attr_t *a, void *stack, size_t n_bytes);
#endif
typedef pthread_t aios__thread;
typedef pthread_mutex_t aios__lock;
typedef pthread_cond_t aios__cond;
#define AIOS__LOCK(p)     pthread_mutex_lock(&(p)->lock)
#define AIOS__UNLOCK(p)   pthread_mutex_unlock(&(p)->lock)
#define AIOS__SLEEP(p, c) pthread_cond_wait(&(p)->c, &(p)->lock)
#define AIOS__WAKE(p, c)  pthread_cond_broadcast(&(p)->c)
#include <unistd.h>
/* a forked child has the memory of the threads, not the threads */
static int64_t aios__process(void) { return (int64_t)getpid(); }
#endif

AIOS__SMALL_BEGIN
/* What a thread of our own runs. It is there as long as the thread is. */
typedef struct aios__begin {
    void (*fn)(void *arg);
    void *arg;
} aios__begin;
#if defined(_WIN32)
static DWORD WINAPI aios__thread_main(void *arg) {
#else
static void *aios__thread_main(void *arg) {
#endif
    const aios__begin *b = (const aios__begin *)arg;
    b->fn(b->arg);
    return 0;
}
/* Starts a thread on a stack of AIOS__STACK bytes; 0 when the system gives none. */
static int32_t aios__thread_start(aios__thread *t, aios__begin *b, char *stack) {
#if defined(_WIN32)
    (void)stack;
    *t = CreateThread(NULL, 0, aios__thread_main, b, 0, NULL);
    return *t != NULL;
#else
    pthread_attr_t a;
    int32_t ok = pthread_attr_init(&a) == 0;
    if (!ok) return 0;
    ok = pthread_attr_setstack(&a, stack, AIOS__STACK) == 0 &&
         pthread_create(t, &a, aios__thread_main, b) == 0;
    pthread_attr_destroy(&a);
    return ok;
#endif
}
static void aios__thread_join(aios__thread t) {
#if defined(_WIN32)
    WaitForSingleObject(t, INFINITE);
    CloseHandle(t);
#else
    pthread_join(t, NULL);
#endif
}
static uint64_t aios__stacks(int32_t n) {
    return n > 0 ? (uint64_t)n * AIOS__STACK + AIOS__PAGE : 0;
}
/* A lock and two conditions. */
static aios_status aios__locks_start(aios__lock *lock, aios__cond *a, aios__cond *b,
                                     aios_error *err) {
#if defined(_WIN32)
    (void)err;
    InitializeSRWLock(lock);
    InitializeConditionVariable(a);
    InitializeConditionVariable(b);
#else
    if (pthread_mutex_init(lock, NULL))
        return aios__fail(err, AIOS_ERR_SYSTEM, AIOS__NO_OFF, "the system gave no mutex");
    if (pthread_cond_init(a, NULL)) a = NULL;
    if (!a || pthread_cond_init(b, NULL)) {
        if (a) pthread_cond_destroy(a);
        pthread_mutex_destroy(lock);
        return aios__fail(err, AIOS_ERR_SYSTEM, AIOS__NO_OFF,
                          "the system gave no condition variable");
    }
#endif
    return AIOS_OK;
}
static void aios__locks_stop(aios__lock *lock, aios__cond *a, aios__cond *b) {
#if defined(_WIN32)
    (void)lock;
    (void)a;
    (void)b;
#else
    pthread_mutex_destroy(lock);
    pthread_cond_destroy(a);
    pthread_cond_destroy(b);
#endif
}

AIOS__SMALL_END

struct aios__pool;
typedef struct aios__seat {
    struct aios__pool *pool;
    int32_t worker;
    aios__begin begin;
} aios__seat;

typedef struct aios__pool {
    int32_t n;      /* workers, the caller included; 0 = not started */
    int32_t active; /* those that are wanted, 1..n; changed under the lock */
    int32_t quit;
    int64_t process; /* in which the threads run */
    aios__worker_fn fn;
    void *arg;
    aios__start_fn start; /* NULL, or called once on each thread */
    void *start_user;
    aios__thread *thread; /* [n]; 0 unused */
    aios__seat *seat;     /* [n] */
    char *stack;          /* [n - 1] stacks, in the caller's memory */
    aios__lock lock;
    aios__cond cond, parked; /* parked: threads beyond active; only aios__pool_bound wakes them */
    /* counts jobs; each waits on its own cache line */
    char apart0[64];
    int32_t job;
    char apart1[64];
    int32_t bar_gen; /* counts barriers passed */
    int32_t over;    /* the barrier at which the last job ended */
    char apart2[64];
    int32_t members; /* as below */
    char apart3[64];
    int32_t sleepers;
    char apart4[64];
} aios__pool;

/* members: how many have joined (bits 0-10) and how many of these are in the barrier (11-21);
 * the low bits of the barrier's number (23-30), which who joins between the two writes of
 * aios__barrier_release must know; 0 when there is no job. While all are in the barrier the last
 * of them works alone on what they share, and nobody joins. */
enum { AIOS__ARRIVED = 1 << 11, AIOS__OPEN = 1 << 22, AIOS__NUMBER = 1 << 23, AIOS__COUNT = 2047 };

/* How far a counter is past old: it may have gone round. */
static int32_t aios__past(const int32_t *word, int32_t old) {
    return (int32_t)((uint32_t)aios__load(word) - (uint32_t)old);
}
/* Returns when it is past old. */
static void aios__wait_past(aios__pool *p, const int32_t *word, int32_t old) {
    for (int32_t i = 0; i < AIOS__SPINS; i++) {
        if (aios__past(word, old) > 0) return;
        aios__pause();
    }
    AIOS__LOCK(p);
    aios__fetch_add(&p->sleepers, 1);
    while (aios__past(word, old) <= 0) AIOS__SLEEP(p, cond);
    aios__fetch_add(&p->sleepers, -1);
    AIOS__UNLOCK(p);
}
static void aios__change(aios__pool *p, int32_t *word) {
    aios__fetch_add(word, 1);
    if (aios__load(&p->sleepers)) {
        AIOS__LOCK(p);
        AIOS__WAKE(p, cond);
        AIOS__UNLOCK(p);
    }
}

/* A barrier in two halves, so that the last to arrive can prepare what comes next: it gets 1,
 * does that, and releases. */
static int32_t aios__barrier_arrive(aios__pool *p, int32_t *gen) {
    uint32_t g = (uint32_t)aios__load(&p->bar_gen);
    int32_t m = aios__fetch_add(&p->members, AIOS__ARRIVED) + AIOS__ARRIVED;
    /* one on for who was faster than the release that let it in */
    *gen = (int32_t)(g + (((uint32_t)m / AIOS__NUMBER - g) & 255));
    return (m / AIOS__ARRIVED & AIOS__COUNT) == (m & AIOS__COUNT);
}
/* over: the job ends here. Then all of it may be gone when this returns. */
static void aios__barrier_release(aios__pool *p, int32_t over) {
    int32_t gen = aios__load(&p->bar_gen);
    if (over) aios__store(&p->over, gen);
    aios__store(&p->members, over ? 0
                                  : (aios__load(&p->members) & AIOS__COUNT) | AIOS__OPEN |
                                        (int32_t)((((uint32_t)gen + 1) & 255) * AIOS__NUMBER));
    aios__change(p, &p->bar_gen);
}
/* 1 = the job is over. A later one may have begun and ended meanwhile: its barriers have higher
 * numbers. */
static int32_t aios__barrier_wait(aios__pool *p, int32_t gen) {
    aios__wait_past(p, &p->bar_gen, gen);
    return aios__past(&p->over, gen) >= 0;
}

/* Becomes a member of the job that is under way. 0 = there is none, or it has no place for this
 * worker. */
static int32_t aios__pool_join(aios__pool *p, int32_t worker) {
    for (;;) {
        int32_t gen = aios__load(&p->bar_gen), m = aios__load(&p->members);
        if (!m || worker >= aios__load(&p->active)) return 0;
        if ((m / AIOS__ARRIVED & AIOS__COUNT) == (m & AIOS__COUNT))
            aios__wait_past(p, &p->bar_gen, gen);
        else if (aios__cas(&p->members, m, m + 1))
            return 1;
    }
}
/* Waits until there is a job that is not number *seen, and this worker is wanted. 0 = the pool
 * stops. */
static int32_t aios__pool_wait(aios__pool *p, int32_t worker, int32_t *seen) {
    int32_t i;
    for (i = 0; i < AIOS__SPINS && worker < aios__load(&p->active) && aios__load(&p->job) == *seen;
         i++)
        aios__pause();
    if (worker >= aios__load(&p->active) || aios__load(&p->job) == *seen) {
        AIOS__LOCK(p);
        while (!aios__load(&p->quit)) {
            if (worker >= aios__load(&p->active)) {
                AIOS__SLEEP(p, parked);
                continue;
            }
            aios__fetch_add(&p->sleepers, 1);
            i = aios__load(&p->job) == *seen;
            if (i) AIOS__SLEEP(p, cond);
            aios__fetch_add(&p->sleepers, -1);
            if (!i) break;
        }
        AIOS__UNLOCK(p);
    }
    *seen = aios__load(&p->job);
    return !aios__load(&p->quit);
}

static void aios__pool_main(void *arg) {
    aios__seat *s = (aios__seat *)arg;
    aios__pool *p = s->pool;
    int32_t seen = 0;
    if (p->start) p->start(p->start_user, s->worker);
    while (aios__pool_wait(p, s->worker, &seen))
        if (aios__pool_join(p, s->worker)) p->fn(p->arg, s->worker);
}

/* Runs fn on this thread and on those that come; returns when the job is over, which fn finds
 * out at a barrier. */
static void aios__pool_run(aios__pool *p, aios__worker_fn fn, void *arg) {
    p->fn = fn;
    p->arg = arg;
    aios__store(&p->members, (aios__load(&p->bar_gen) & 255) * AIOS__NUMBER | AIOS__OPEN | 1);
    aios__change(p, &p->job);
    fn(arg, 0);
}
AIOS__SMALL_BEGIN
/* From now on workers n and up sleep. Not during a job. */
static void aios__pool_bound(aios__pool *p, int32_t n) {
    AIOS__LOCK(p);
    aios__store(&p->active, n);
    AIOS__WAKE(p, cond);
    AIOS__WAKE(p, parked);
    AIOS__UNLOCK(p);
}

static void aios__pool_stop(aios__pool *p) {
    if (!p->n) return;
    if (p->process != aios__process()) {
        p->n = 0;
        return;
    }
    AIOS__LOCK(p);
    aios__store(&p->quit, 1);
    aios__fetch_add(&p->job, 1); /* for those that spin */
    AIOS__WAKE(p, cond);
    AIOS__WAKE(p, parked);
    AIOS__UNLOCK(p);
    for (int32_t i = 1; i < p->n; i++) aios__thread_join(p->thread[i]);
    aios__locks_stop(&p->lock, &p->cond, &p->parked);
    p->n = 0;
}
static aios_status aios__pool_start(aios__pool *p, int32_t n, aios__start_fn start,
                                    void *start_user, aios_error *err) {
    int32_t i;
    aios_status st;
    p->n = 0;
    p->active = n;
    p->quit = 0;
    p->job = 0;
    p->members = 0;
    p->sleepers = 0;
    /* it goes round soon, so that every test sees it */
    p->bar_gen = 0x7FFFFF00;
    p->over = p->bar_gen - 1;
    p->start = start;
    p->start_user = start_user;
    p->process = aios__process();
    if ((st = aios__locks_start(&p->lock, &p->cond, &p->parked, err)) != 0) return st;
    for (i = p->n = 1; i < n; i++) {
        aios__seat *s = &p->seat[i];
        s->pool = p;
        s->worker = i;
        s->begin.fn = aios__pool_main;
        s->begin.arg = s;
        if (!aios__thread_start(&p->thread[i], &s->begin,
                                p->stack + (uint64_t)(i - 1) * AIOS__STACK))
            break;
        p->n++;
    }
    if (i >= n) return AIOS_OK;
    aios__pool_stop(p);
    return aios__fail2(err, AIOS_ERR_SYSTEM, AIOS__NO_OFF, (uint64_t)n, (uint64_t)i,
                       "the system started % of % threads", aios__i(i), aios__i(n));
}

/* ---- crew ---- */
/* Threads that wait for something to do, with the lock and the condition that they share with
 * those who give it. */
typedef struct aios__crew {
    int32_t n, quit, started; /* n: threads that run */
    int64_t process;          /* in which they do */
    aios__lock lock;
    aios__cond cond, idle; /* something was done; there is something to do */
    aios__begin begin;
    aios__thread *thread;
    char *stack;
} aios__crew;
static void aios__crew_lock(aios__crew *c) { AIOS__LOCK(c); }
static void aios__crew_unlock(aios__crew *c) { AIOS__UNLOCK(c); }
/* who waits for what the crew does */
static void aios__crew_wake(aios__crew *c) { AIOS__WAKE(c, cond); }
static void aios__crew_call(aios__crew *c) { AIOS__WAKE(c, idle); } /* the crew */
static void aios__crew_idle(aios__crew *c) { AIOS__SLEEP(c, idle); }
/* Sleeps until woken, or for about ns nanoseconds, an hour at the most; now and then for
 * nothing. Called with the lock. */
static void aios__crew_wait(aios__crew *c, uint64_t ns) {
#if defined(_WIN32)
    SleepConditionVariableSRW(
        &c->cond, &c->lock, (DWORD)(aios__min_u64(ns, (uint64_t)3600 * 1000000000u) / 1000000 + 1),
        0);
#elif defined(AIOS_NO_CLOCK)
    /* no way to sleep for a time: a short while awake, so that deadlines are heard */
    int32_t i;
    (void)ns;
    AIOS__UNLOCK(c);
    for (i = 0; i < AIOS__SPINS; i++) aios__pause();
    AIOS__LOCK(c);
#else
    struct timespec t;
    clock_gettime(AIOS__CLOCK_REALTIME, &t);
    ns = aios__min_u64(ns, (uint64_t)3600 * 1000000000u) + (uint64_t)t.tv_nsec;
    t.tv_sec += (time_t)(ns / 1000000000u);
    t.tv_nsec = (long)(ns % 1000000000u);
    pthread_cond_timedwait(&c->cond, &c->lock, &t);
#endif
}
static void aios__crew_quit(aios__crew *c, int32_t quit) {
    AIOS__LOCK(c);
    c->quit = quit;
    AIOS__WAKE(c, idle);
    AIOS__UNLOCK(c);
}
/* 0: in a forked child, which has neither threads to wait for nor reads under way. */
static int32_t aios__crew_stop(aios__crew *c) {
    if (!c->started) return 1;
    if (c->process != aios__process()) return 0;
    aios__crew_quit(c, 1);
    while (c->n > 0) aios__thread_join(c->thread[--c->n]);
    aios__locks_stop(&c->lock, &c->cond, &c->idle);
    c->started = 0;
    return 1;
}
/* Starts n threads that run fn(arg) until quit is set; none is fine: then the lock is all there
 * is. */
static aios_status aios__crew_start(aios__crew *c, int32_t n, void (*fn)(void *), void *arg,
                                    aios_error *err) {
    aios_status st = aios__locks_start(&c->lock, &c->cond, &c->idle, err);
    if (st) return st;
    c->begin.fn = fn;
    c->begin.arg = arg;
    c->process = aios__process();
    for (c->started = 1, c->n = c->quit = 0; c->n < n; c->n++)
        if (!aios__thread_start(&c->thread[c->n], &c->begin,
                                c->stack + (uint64_t)c->n * AIOS__STACK)) {
            int32_t i = c->n;
            aios__crew_stop(c);
            return aios__fail2(err, AIOS_ERR_SYSTEM, AIOS__NO_OFF, (uint64_t)n, (uint64_t)i,
                               "the system started % of % reading threads", aios__i(i), aios__i(n));
        }
    return AIOS_OK;
}

/* Tables of the threads, then their stacks, the last thing that is laid out: nothing has to be
 * zeroed behind them. The thread that calls is one of the workers and has a stack. */
static void aios__threads_layout(aios__pool *p, aios__crew *c, aios__bump *b, int32_t n_workers,
                                 int32_t n_crew) {
    p->thread = (aios__thread *)aios__take(b, (uint64_t)n_workers * sizeof *p->thread, 16);
    p->seat = (aios__seat *)aios__take(b, (uint64_t)n_workers * sizeof *p->seat, 16);
    c->thread = (aios__thread *)aios__take(b, (uint64_t)n_crew * sizeof *c->thread, 16);
    p->stack = (char *)aios__take(b, aios__stacks(n_workers - 1 + n_crew), 16);
    if (!p->stack) return;
    p->stack += (AIOS__PAGE - (uintptr_t)p->stack % AIOS__PAGE) % AIOS__PAGE;
    c->stack = p->stack + (uint64_t)(n_workers - 1) * AIOS__STACK;
}
AIOS__SMALL_END
#endif

/* ======== host/io.c ======== */
/* io.c: bytes of a model file, from the host's callbacks, from memory, or from the built-in file
 * reader. First in the flow. Checks every range against the stated size and every count against
 * what was asked for; takes no memory and leaves errno (GetLastError) as it found it. */

AIOS__SMALL_BEGIN
/* Reads exactly n bytes at off into dst. A callback may deliver them in pieces; none, an error,
 * or more than was asked for is AIOS_ERR_IO, with the offset of the piece, the bytes asked for
 * and the bytes (or negative code) that came. */
static inline aios_status aios__io_read(const aios_io *io, uint64_t off, void *dst, uint64_t n,
                                        aios_error *err) {
    uint64_t done = 0, end;
    if (!aios__add(off, n, &end) || end > io->n_bytes)
        return aios__fail2(err, AIOS_ERR_IO, off, n, off < io->n_bytes ? io->n_bytes - off : 0,
                           "% bytes to read, but the file ends at byte %", aios__u(n),
                           aios__u(io->n_bytes));
    while (done < n) {
        int64_t got = io->read ? io->read(io->user, off + done, (char *)dst + done, n - done) : -1;
        if (got <= 0)
            return aios__fail2(err, AIOS_ERR_IO, off + done, n - done, (uint64_t)got,
                               got < 0 ? "reading % bytes failed: the reader returned %"
                                       : "% bytes to read, but the reader returned %",
                               aios__u(n - done), aios__i(got));
        if ((uint64_t)got > n - done)
            return aios__fail2(
                err, AIOS_ERR_IO, off + done, n - done, (uint64_t)got,
                "% bytes to read, but the reader returned %: more than there is room for",
                aios__u(n - done), aios__i(got));
        done += (uint64_t)got;
    }
    return AIOS_OK;
}

/* A pointer to n bytes at off where the host can give one, else NULL: then they have to be read. */
static inline const void *aios__io_map(const aios_io *io, uint64_t off, uint64_t n) {
    uint64_t end;
    if (!io->map || !aios__add(off, n, &end) || end > io->n_bytes) return NULL;
    return io->map(io->user, off, n);
}

/* ---- memory ---- */
AIOS_API int64_t aios_io_memory_read(void *user, uint64_t off, void *dst, uint64_t n) {
    n = aios__min_u64(n, (uint64_t)INT64_MAX);
    memcpy(dst, (const char *)user + off, (size_t)n);
    return (int64_t)n;
}
AIOS_API const void *aios_io_memory_map(void *user, uint64_t off, uint64_t n) {
    (void)n; /* the caller, aios__io_map, has compared it with n_bytes */
    return (const char *)user + off;
}
AIOS_API void aios_io_memory_sized(aios_io *io, uint32_t io_bytes, const void *data,
                                   uint64_t n_bytes) {
    aios_io x;
    if (!io || io_bytes < offsetof(aios_io, submit)) return;
    aios_io_init(&x);
    x.struct_size = io_bytes;
    x.flags = AIOS_IO_ANY_OFFSET;
    x.n_bytes = data ? n_bytes : 0;
    x.read = aios_io_memory_read;
    x.map = aios_io_memory_map;
    x.user = (void *)(uintptr_t)data;
    memset(io, 0, io_bytes);
    memcpy(io, &x, (size_t)aios__min_u64(io_bytes, sizeof x));
}
AIOS_API void(aios_io_memory)(aios_io *io, const void *data, uint64_t n_bytes) {
    aios_io_memory(io, data, n_bytes);
}

AIOS__SMALL_END
/* ---- files ----
 * aios__file_open fills io for a regular file; aios__file_close takes it back. The handle lives
 * in io->user, so nothing is allocated. Reads are positional: contexts of one model may read
 * side by side through one handle. */
#if !defined(AIOS_NO_FILES) && !defined(_WIN32) && !defined(__unix__) && \
    !(defined(__APPLE__) && defined(__MACH__)) && !defined(__HAIKU__) && !defined(__wasi__)
#define AIOS_NO_FILES /* no system that we know how to ask: the host brings an aios_io */
#endif

#if defined(AIOS_NO_FILES)

static inline aios_status aios__file_open(const char *path, aios_io *io, aios_error *err) {
    (void)io;
    return aios__fail1(err, AIOS_ERR_UNSUPPORTED, AIOS__NO_OFF,
                       "'%': built without a file reader (AIOS_NO_FILES); give desc.io",
                       aios__z(path));
}
static inline void aios__file_close(aios_io *io) { (void)io; }

#elif defined(_WIN32)

static int64_t aios__file_read(void *user, uint64_t off, void *dst, uint64_t n) {
    DWORD got = 0, before = GetLastError(), e = 0;
    OVERLAPPED at;
    memset(&at, 0, sizeof at);
    at.Offset = (DWORD)(off & 0xFFFFFFFFu);
    at.OffsetHigh = (DWORD)(off >> 32);
    if (!ReadFile((HANDLE)user, dst, (DWORD)aios__min_u64(n, 1u << 30), &got, &at))
        e = GetLastError();
    SetLastError(before);
    return e == 0 ? (int64_t)got : e == ERROR_HANDLE_EOF ? 0 : -(int64_t)e;
}
static inline aios_status aios__file_open(const char *path, aios_io *io, aios_error *err) {
    wchar_t wide[1024];
    DWORD before = GetLastError(), e;
    LARGE_INTEGER size;
    HANDLE h = INVALID_HANDLE_VALUE;
    const char *what = "cannot be opened";
    if (MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, wide,
                            (int)(sizeof wide / sizeof *wide)) <= 0)
        what = "is no UTF-8 path, or one that is too long";
    else
        h = CreateFileW(wide, GENERIC_READ, FILE_SHARE_READ, NULL, OPEN_EXISTING,
                        FILE_ATTRIBUTE_NORMAL, NULL);
    if (h != INVALID_HANDLE_VALUE) {
        what = "is not a regular file";
        if (GetFileType(h) == FILE_TYPE_DISK && GetFileSizeEx(h, &size)) {
            aios_io_init(io);
            io->flags = AIOS_IO_ANY_OFFSET;
            io->n_bytes = (uint64_t)size.QuadPart;
            io->read = aios__file_read;
            io->user = (void *)h;
            SetLastError(before);
            return AIOS_OK;
        }
    }
    e = GetLastError();
    if (h != INVALID_HANDLE_VALUE) CloseHandle(h);
    SetLastError(before);
    aios__fail2(err, AIOS_ERR_IO, AIOS__NO_OFF, 0, e, "'%' %", aios__z(path), aios__z(what));
    return AIOS_ERR_IO;
}
static inline void aios__file_close(aios_io *io) {
    if (io->read != aios__file_read) return;
    CloseHandle((HANDLE)io->user);
    memset(io, 0, sizeof *io);
}

#else

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

/* With -std=c99 and no feature macros (a header cannot set them: the including file may have
 * included system headers already) glibc hides pread and pread64, though both are there. pread64
 * has one meaning whatever _FILE_OFFSET_BITS says. */
#if defined(__GLIBC__)
#ifndef __USE_LARGEFILE64
#ifdef __cplusplus
extern "C"
#else
extern
#endif
    ssize_t
    pread64(int fd, void *dst, size_t n, __off64_t off);
#endif
#define AIOS__PREAD pread64
typedef __off64_t aios__off;
#elif defined(__ANDROID__)
#define AIOS__PREAD pread64
typedef off64_t aios__off;
#else
#define AIOS__PREAD pread
typedef off_t aios__off;
#endif

/* The hint of posix_fadvise, by the same way. Its number is 3 on every Linux. */
#if defined(__GLIBC__) && defined(__linux__)
#if !defined(__USE_LARGEFILE64) || !defined(__USE_XOPEN2K)
#ifdef __cplusplus
extern "C"
#else
extern
#endif
    int
    posix_fadvise64(int fd, __off64_t off, __off64_t n, int advice);
#endif
#define AIOS__WILL_NEED(fd, off, n) ((void)posix_fadvise64(fd, off, n, 3))
#elif defined(POSIX_FADV_WILLNEED) && !defined(__ANDROID__)
#define AIOS__WILL_NEED(fd, off, n) ((void)posix_fadvise(fd, off, n, POSIX_FADV_WILLNEED))
#endif

AIOS__SMALL_BEGIN
#if defined(AIOS__WILL_NEED)
static void aios__file_soon(void *user, uint64_t off, uint64_t n) { /* gives an error, sets none */
    /* Linux cuts a hint to what it reads ahead, and does not tell */
    const uint64_t most = 128 << 10;
    for (; n; off += most, n -= aios__min_u64(n, most))
        AIOS__WILL_NEED((int)(intptr_t)user, (aios__off)off, (aios__off)aios__min_u64(n, most));
}
#endif
static int64_t aios__file_read(void *user, uint64_t off, void *dst, uint64_t n) {
    int before = errno;
    int64_t got;
    aios__off at = (aios__off)off;
    if (at < 0 || (uint64_t)at != off) return -EOVERFLOW;
    do got = (int64_t)AIOS__PREAD((int)(intptr_t)user, dst, (size_t)aios__min_u64(n, 1u << 30), at);
    while (got < 0 && errno == EINTR);
    if (got < 0) got = -(int64_t)errno;
    errno = before;
    return got;
}
/* A file above 2 GiB on a 32-bit glibc without _FILE_OFFSET_BITS=64 is refused by open
 * (EOVERFLOW), not misread. O_NONBLOCK: a pipe must not hold us up before we see that it is one;
 * it changes nothing for a regular file. */
static inline aios_status aios__file_open(const char *path, aios_io *io, aios_error *err) {
    int before = errno, fd, e;
    int flags = O_RDONLY | O_NONBLOCK | O_NOCTTY;
    const char *what = "cannot be opened";
    struct stat st;
#if defined(O_CLOEXEC)
    flags |= O_CLOEXEC;
#elif defined(__O_CLOEXEC) /* glibc, strict */
    flags |= __O_CLOEXEC;
#endif
    do fd = open(path, flags);
    while (fd < 0 && errno == EINTR);
    if (fd >= 0) {
#if !defined(O_CLOEXEC) && !defined(__O_CLOEXEC)
        (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
#endif
        errno = 0;
        what = "is not a regular file";
        if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size >= 0) {
            aios_io_init(io);
            io->flags = AIOS_IO_ANY_OFFSET;
            io->n_bytes = (uint64_t)st.st_size;
            io->read = aios__file_read;
#if defined(AIOS__WILL_NEED)
            io->soon = aios__file_soon;
#endif
            io->user = (void *)(intptr_t)fd;
            errno = before;
            return AIOS_OK;
        }
    }
    e = errno;
    if (fd >= 0) (void)close(fd);
    errno = before;
    if (e == ENOENT) what = "does not exist";
    if (e == EACCES) what = "may not be read";
    aios__fail2(err, AIOS_ERR_IO, AIOS__NO_OFF, 0, (uint64_t)e, "'%' %", aios__z(path),
                aios__z(what));
    return AIOS_ERR_IO;
}
static inline void aios__file_close(aios_io *io) {
    int before = errno;
    if (io->read != aios__file_read) return;
    /* not again after EINTR: the descriptor is gone on Linux */
    (void)close((int)(intptr_t)io->user);
    errno = before;
    memset(io, 0, sizeof *io);
}
AIOS__SMALL_END

#endif

AIOS__SMALL_BEGIN

/* ======== host/hardware.c ======== */
/* hardware.c: what this machine is, asked of the system each time and kept nowhere. Beside the
 * flow: nothing in the library depends on what is found here; a host looks at it before it
 * plans. What a system does not tell is 0. Takes no memory, 16 KiB of stack (Windows: 40), and
 * leaves errno (GetLastError) as it found it. */

#ifdef AIOS_LIBNUMA
#include <errno.h>
#include <numa.h>
#endif

static void aios__hw_isa(aios_hardware *h) {
    h->isa = aiosk_select(AIOSK_ISA_BEST)->id;
    switch (h->isa) {
    case AIOSK_ISA_SCALAR: h->isa_tier = 0; break;
    case AIOSK_ISA_AVX2:
    case AIOSK_ISA_AVXVNNI: h->isa_tier = 2; break;
    case AIOSK_ISA_AVX512BW:
    case AIOSK_ISA_AVX512:
    case AIOSK_ISA_AVX512_VBMI: h->isa_tier = 3; break;
#if defined(__APPLE__) && (defined(__aarch64__) || defined(__arm64__))
    default: h->isa_tier = 4; break;
#else
    default: h->isa_tier = 1; break;
#endif
    }
}

#if defined(__linux__) && !defined(AIOS_NO_FILES)
/* ---- Linux: text files under /proc and /sys ----
 * Containers, sandboxes and small kernels lack some of them, so each is asked for by itself. */

enum { AIOS__MAX_CPUS = 8192 }; /* the most that a kernel is built for */
/* processors, or memory nodes */
typedef struct aios__cpus {
    uint8_t bit[AIOS__MAX_CPUS / 8];
} aios__cpus;

static int32_t aios__cpus_has(const aios__cpus *c, int32_t i) { return c->bit[i / 8] >> i % 8 & 1; }
static void aios__cpus_add(aios__cpus *c, int32_t i) {
    c->bit[i / 8] = (uint8_t)(c->bit[i / 8] | 1u << i % 8);
}
static void aios__cpus_join(aios__cpus *c, const aios__cpus *more) {
    for (int32_t i = 0; i < AIOS__MAX_CPUS / 8; i++)
        c->bit[i] = (uint8_t)(c->bit[i] | more->bit[i]);
}
static void aios__cpus_meet(aios__cpus *c, const aios__cpus *most) {
    for (int32_t i = 0; i < AIOS__MAX_CPUS / 8; i++)
        c->bit[i] = (uint8_t)(c->bit[i] & most->bit[i]);
}
/* the first from i on; -1 = none */
static int32_t aios__cpus_next(const aios__cpus *c, int32_t i) {
    for (; i < AIOS__MAX_CPUS; i++) {
        if (aios__cpus_has(c, i)) return i;
        if (!c->bit[i / 8]) i |= 7;
    }
    return -1;
}
/* how many are in both */
static int32_t aios__cpus_both(const aios__cpus *a, const aios__cpus *b) {
    int32_t n = 0;
    for (int32_t i = 0; i < AIOS__MAX_CPUS / 8; i++) {
        uint32_t x = (uint32_t)(a->bit[i] & b->bit[i]);
        for (; x; x &= x - 1) n++;
    }
    return n;
}

/* A place to read lines of one file at a time. A line longer than buf comes in pieces. */
typedef struct aios__sys {
    const char *root; /* before every path: "", or a tree that a test has made       */
    aios__str dir;    /* what @ in a path stands for */
    aios_io io;
    uint64_t off;
    uint32_t at, n; /* buf[at..n-1] is read and not given out */
    int32_t end;
    char path[1024], buf[4096];
} aios__sys;

/* Opens root + path; the first % in it is a, the next b. */
static int32_t aios__sys_open(aios__sys *s, const char *path, int32_t a, int32_t b) {
    aios__text t;
    t.p = s->path;
    t.cap = sizeof s->path;
    t.n = 0;
    aios__put_z(&t, s->root);
    for (; *path; path++) {
        if (*path == '@')
            aios__put(&t, s->dir.p, s->dir.n);
        else if (*path != '%')
            aios__put(&t, path, 1);
        else {
            aios__put_i(&t, a);
            a = b;
        }
    }
    s->off = 0;
    s->at = s->n = 0;
    s->end = 0;
    /* one that was cut is another file */
    return t.n + 1 < t.cap && aios__file_open(s->path, &s->io, NULL) == AIOS_OK;
}
static void aios__sys_close(aios__sys *s) { aios__file_close(&s->io); }
static int32_t aios__sys_line(aios__sys *s, aios__str *line) {
    for (;;) {
        uint32_t i = s->at;
        int64_t got;
        while (i < s->n && s->buf[i] != '\n') i++;
        if (i < s->n || i - s->at == sizeof s->buf || (s->end && i > s->at)) {
            line->p = s->buf + s->at;
            line->n = i - s->at;
            s->at = i < s->n ? i + 1 : i;
            return 1;
        }
        if (s->end) return 0;
        memmove(s->buf, s->buf + s->at, s->n - s->at);
        s->n -= s->at;
        s->at = 0;
        got = s->off < 1u << 20
                  ? aios__file_read(s->io.user, s->off, s->buf + s->n, sizeof s->buf - s->n)
                  : 0;
        if (got <= 0)
            s->end = 1;
        else {
            s->n += (uint32_t)got;
            s->off += (uint64_t)got;
        }
    }
}
/* The rest of the first line that begins with key, which stays valid until the next file is
 * opened. */
static int32_t aios__sys_find(aios__sys *s, const char *path, int32_t a, int32_t b, const char *key,
                              aios__str *rest) {
    uint64_t n = strlen(key);
    int32_t found = 0;
    if (!aios__sys_open(s, path, a, b)) return 0;
    while (!found && aios__sys_line(s, rest))
        found = rest->n >= n && memcmp(rest->p, key, (size_t)n) == 0;
    aios__sys_close(s);
    rest->p += found ? n : 0;
    rest->n -= found ? n : 0;
    return found;
}
static int32_t aios__sys_first(aios__sys *s, const char *path, int32_t a, int32_t b,
                               aios__str *line) {
    return aios__sys_find(s, path, a, b, "", line);
}

/* Takes a number off the front, past what is no digit. 0 = there was none. */
static int32_t aios__take_number(aios__str *s, uint64_t *v) {
    while (s->n && (*s->p < '0' || *s->p > '9')) {
        s->p++;
        s->n--;
    }
    if (!s->n) return 0;
    for (*v = 0; s->n && *s->p >= '0' && *s->p <= '9'; s->p++, s->n--)
        *v = *v > UINT64_MAX / 10 - 1 ? UINT64_MAX : *v * 10 + (uint64_t)(*s->p - '0');
    return 1;
}
static int32_t aios__sys_number(aios__sys *s, const char *path, int32_t a, int32_t b,
                                const char *key, uint64_t *v) {
    aios__str line;
    return aios__sys_find(s, path, a, b, key, &line) && aios__take_number(&line, v);
}
static int32_t aios__str_has(aios__str s, const char *z) {
    uint64_t n = strlen(z);
    for (; s.n >= n; s.p++, s.n--)
        if (memcmp(s.p, z, (size_t)n) == 0) return 1;
    return 0;
}
/* "0-3,8,10-11" */
static void aios__cpu_list(aios__str s, aios__cpus *c) {
    uint64_t a;
    memset(c, 0, sizeof *c);
    while (aios__take_number(&s, &a)) {
        uint64_t b = a;
        if (s.n && *s.p == '-' && !aios__take_number(&s, &b)) b = a;
        for (; a <= b && a < AIOS__MAX_CPUS; a++) aios__cpus_add(c, (int32_t)a);
    }
}
static int32_t aios__sys_cpus(aios__sys *s, const char *path, int32_t a, int32_t b, aios__cpus *c) {
    aios__str line;
    memset(c, 0, sizeof *c);
    if (!aios__sys_first(s, path, a, b, &line)) return 0;
    aios__cpu_list(line, c);
    return 1;
}
/* of this thread: a pool inherits its processors */
static int32_t aios__status_line(aios__sys *s, const char *key, aios__str *rest) {
    return aios__sys_find(s, "/proc/thread-self/status", 0, 0, key, rest) ||
           aios__sys_find(s, "/proc/self/status", 0, 0, key, rest);
}

/* The cache of a level that holds data of cpu, in bytes, and who shares it. */
static uint64_t aios__sys_cache(aios__sys *s, int32_t cpu, uint64_t level, aios__cpus *shared) {
    uint64_t v;
    aios__str line;
    for (int32_t i = 0; i < 10; i++) {
        if (!aios__sys_number(s, "/sys/devices/system/cpu/cpu%/cache/index%/level", cpu, i, "", &v))
            return 0;
        if (v != level) continue;
        if (aios__sys_first(s, "/sys/devices/system/cpu/cpu%/cache/index%/type", cpu, i, &line) &&
            aios__str_has(line, "Instruction"))
            continue;
        if (!aios__sys_first(s, "/sys/devices/system/cpu/cpu%/cache/index%/size", cpu, i, &line) ||
            !aios__take_number(&line, &v))
            return 0;
        if (line.n)
            v *= *line.p == 'K'   ? 1u << 10
                 : *line.p == 'M' ? 1u << 20
                 : *line.p == 'G' ? 1u << 30
                                  : 1u;
        aios__sys_cpus(s, "/sys/devices/system/cpu/cpu%/cache/index%/shared_cpu_list", cpu, i,
                       shared);
        return v;
    }
    return 0;
}

/* Processors, cores, caches: of those that the calling thread may run on. */
static void aios__linux_cpus(aios__sys *s, aios_hardware *h) {
    aios__cpus use, lead, fast, seen, set; /* lead: the first processor of each core */
    aios__str line;
    uint64_t v, best = 0;
    int32_t i, n, known = 1;
    memset(&use, 0, sizeof use);
    if (!aios__sys_cpus(s, "/sys/devices/system/cpu/online", 0, 0, &set) &&
        aios__sys_open(s, "/proc/stat", 0, 0)) {
        while (aios__sys_line(s, &line))
            if (line.n > 3 && memcmp(line.p, "cpu", 3) == 0 && line.p[3] != ' ' &&
                aios__take_number(&line, &v) && v < AIOS__MAX_CPUS)
                aios__cpus_add(&set, (int32_t)v);
        aios__sys_close(s);
    }
    /* names those too that are switched off or were never there */
    if (aios__status_line(s, "Cpus_allowed_list:", &line)) {
        aios__cpu_list(line, &use);
        if (aios__cpus_next(&set, 0) >= 0) aios__cpus_meet(&use, &set);
    } else
        use = set;
    h->n_threads = aios__cpus_both(&use, &use);

    /* fast: processors of the fast cores, of those that are on */
    int32_t kinds = aios__sys_cpus(s, "/sys/devices/cpu_core/cpus", 0, 0, &fast);
    if (!kinds) {
        for (n = 0; n < 2; n++) {
            for (i = aios__cpus_next(&set, 0); i >= 0; i = aios__cpus_next(&set, i + 1)) {
                if (!aios__sys_number(s, "/sys/devices/system/cpu/cpu%/cpu_capacity", i, 0, "", &v))
                    break;
                if (n == 0)
                    best = v > best ? v : best;
                else if (v >= (best + 1) / 2)
                    aios__cpus_add(&fast, i);
            }
            if (i >= 0) break;
        }
        kinds = best > 0 && i < 0;
    }

    memset(&lead, 0, sizeof lead);
    memset(&seen, 0, sizeof seen);
    for (i = aios__cpus_next(&use, 0); i >= 0; i = aios__cpus_next(&use, i + 1)) {
        if (aios__cpus_has(&seen, i)) continue;
        if (!aios__sys_cpus(s, "/sys/devices/system/cpu/cpu%/topology/core_cpus_list", i, 0,
                            &set) &&
            !aios__sys_cpus(s, "/sys/devices/system/cpu/cpu%/topology/thread_siblings_list", i, 0,
                            &set))
            known = 0;
        aios__cpus_add(&lead, i);
        aios__cpus_join(&seen, &set);
    }
    n = aios__cpus_both(&lead, &lead);
    if (known) {
        h->n_cores = n;
        h->n_performance = kinds ? aios__cpus_both(&lead, &fast) : n;
        h->n_efficiency = n - h->n_performance;
    }

    memset(&seen, 0, sizeof seen);
    for (i = aios__cpus_next(&lead, 0); i >= 0; i = aios__cpus_next(&lead, i + 1)) {
        if (aios__cpus_has(&seen, i)) continue;
        aios__cpus_add(&seen, i);
        v = aios__sys_cache(s, i, 3, &set);
        /* not told who shares it: not one for each */
        if (v && !aios__cpus_has(&set, i)) set = lead;
        n = aios__cpus_both(&lead, &set);
        h->l3_bytes += v;
        if (v && n > h->l3_share) h->l3_share = n;
        if (v) aios__cpus_join(&seen, &set);
    }
    if (kinds) aios__cpus_meet(&fast, &lead);
    i = aios__cpus_next(kinds && aios__cpus_next(&fast, 0) >= 0 ? &fast : &lead, 0);
    if (i < 0) return;
    v = aios__sys_cache(s, i, 1, &set);
    n = aios__cpus_both(&lead, &set);
    h->l1d_bytes = v / (uint64_t)(n > 1 ? n : 1);
    v = aios__sys_cache(s, i, 2, &set);
    n = aios__cpus_both(&lead, &set);
    h->l2_bytes = v / (uint64_t)(n > 1 ? n : 1);
}

/* What the control group at s->dir allows, and those above it, up to where they are mounted
 * (n_mount bytes). In a container the path below that may be one of the outside: files that are
 * not there say nothing. machine: its memory. A wide group may be the full one. */
static void aios__cgroup(aios__sys *s, uint64_t n_mount, uint64_t machine, aios_hardware *h) {
    /* version 2, 2, 1 */
    static const char *const limits[] = { "@/memory.max", "@/memory.high",
                                          "@/memory.limit_in_bytes" };
    static const char *const used[] = { "@/memory.current", "@/memory.usage_in_bytes" };
    static const char *const cached[] = { "active_file ", "inactive_file ", "total_active_file ",
                                          "total_inactive_file " };
    uint64_t v, now, file, period;
    aios__str line;
    for (;;) {
        while (s->dir.n > n_mount && s->dir.p[s->dir.n - 1] == '/') s->dir.n--;
        uint64_t limit = UINT64_MAX;
        for (int32_t i = 0; i < 3; i++)
            if (aios__sys_number(s, limits[i], 0, 0, "", &v) && v < limit) limit = v;
        if (limit < machine) { /* "no limit" is a word, or more than there is */
            now = file = 0;
            for (int32_t i = 0; i < 2; i++)
                if (aios__sys_number(s, used[i], 0, 0, "", &v)) now = v;
            for (int32_t i = 0; i < 2; i++)
                if (aios__sys_number(s, "@/memory.stat", 0, 0, cached[i + 2], &v) ||
                    aios__sys_number(s, "@/memory.stat", 0, 0, cached[i], &v))
                    file += v;
            now -= file < now ? file : now;
            if (limit < h->ram_bytes) h->ram_bytes = limit;
            h->flags |= AIOS_HW_LIMITED;
            v = limit > now ? limit - now : 0;
            if (v < h->ram_free_bytes) h->ram_free_bytes = v;
        }
        v = period = 0;
        if (aios__sys_first(s, "@/cpu.max", 0, 0, &line) && line.n &&
            *line.p != 'm') { /* "max 100000": none */
            if (aios__take_number(&line, &v)) (void)aios__take_number(&line, &period);
        } else if (aios__sys_first(s, "@/cpu.cfs_quota_us", 0, 0, &line) && line.n &&
                   *line.p != '-' && aios__take_number(&line, &v))
            (void)aios__sys_number(s, "@/cpu.cfs_period_us", 0, 0, "", &period);
        if (v && period && v / period < 1000000) {
            v = v * 1000 / period;
            if (v < 1) v = 1;
            if (!h->quota_milli || v < (uint64_t)h->quota_milli) h->quota_milli = (int32_t)v;
            h->flags |= AIOS_HW_LIMITED;
        }
        if (s->dir.n <= n_mount) return;
        while (s->dir.p[s->dir.n - 1] != '/') s->dir.n--;
    }
}
static void aios__linux_cgroups(aios__sys *s, aios_hardware *h) {
    static const struct {
        const char *controller, *mount;
    } where[] = { { "", "/sys/fs/cgroup" },
                  { "", "/sys/fs/cgroup/unified" },
                  { "memory", "/sys/fs/cgroup/memory" },
                  { "cpu", "/sys/fs/cgroup/cpu" } };
    const uint64_t machine = h->ram_bytes;
    char dir[768];
    aios__str line;
    for (uint32_t i = 0; i < sizeof where / sizeof *where; i++) {
        const uint64_t n = strlen(where[i].controller), n_mount = strlen(where[i].mount);
        int32_t found = 0;
        if (!aios__sys_open(s, "/proc/self/cgroup", 0, 0)) return;
        /* number:controller,controller:/path; version 2 names no controller */
        while (!found && aios__sys_line(s, &line)) {
            uint64_t c = 0, k;
            while (c < line.n && line.p[c] != ':') c++;
            for (k = ++c; k < line.n; k++)
                if (line.p[k] == ',' || line.p[k] == ':') {
                    found |= k - c == n && memcmp(line.p + c, where[i].controller, (size_t)n) == 0;
                    c = k + 1;
                    if (line.p[k] == ':') break;
                }
            if (k >= line.n) found = 0;
            if (found) {
                line.p += c;
                line.n -= c;
            }
        }
        aios__sys_close(s);
        if (!found || n_mount + line.n > sizeof dir || (line.n && *line.p != '/')) continue;
        memcpy(dir, where[i].mount, (size_t)n_mount);
        memcpy(dir + n_mount, line.p, (size_t)line.n); /* its buffer is wanted for the next file */
        s->dir.p = dir;
        s->dir.n = n_mount + line.n;
        aios__cgroup(s, n_mount, machine, h);
    }
}

static void aios__linux_memory(aios__sys *s, aios_hardware *h) {
    aios__cpus set, may;
    aios__str line;
    uint64_t v, inside = 0, outside = 0, ids = 0;
    int32_t hold = 0;
    if (aios__sys_number(s, "/proc/meminfo", 0, 0, "MemTotal:", &v)) h->ram_bytes = v * 1024;
    if (aios__sys_number(s, "/proc/meminfo", 0, 0, "MemAvailable:", &v))
        h->ram_free_bytes = v * 1024;

    if (!(aios__status_line(s, "THP_enabled:", &line) && aios__take_number(&line, &v) && v == 0) &&
        aios__sys_number(s, "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", 0, 0, "", &v)) {
        hold = aios__sys_first(s, "/sys/kernel/mm/transparent_hugepage/enabled", 0, 0, &line) &&
               (aios__str_has(line, "[always]") || aios__str_has(line, "[madvise]"));
        if (!hold)
            hold = aios__sys_first(s, "/sys/kernel/mm/transparent_hugepage/hugepages-%kB/enabled",
                                   (int32_t)(v / 1024), 0, &line) &&
                   (aios__str_has(line, "[always]") || aios__str_has(line, "[madvise]"));
        if (hold) h->huge_page_bytes = v;
    }
    if (!hold && aios__sys_number(s, "/proc/meminfo", 0, 0, "HugePages_Free:", &v) && v &&
        aios__sys_number(s, "/proc/meminfo", 0, 0, "Hugepagesize:", &v))
        h->huge_page_bytes = v * 1024;

    if (aios__sys_find(s, "/proc/self/limits", 0, 0, "Max locked memory", &line)) {
        while (line.n && *line.p == ' ') {
            line.p++;
            line.n--;
        }
        if (line.n && *line.p == 'u')
            h->lock_bytes = UINT64_MAX;
        else if (aios__take_number(&line, &v))
            h->lock_bytes = v;
    }
    /* CAP_IPC_LOCK, number 14, lifts the limit; not where user ids are mapped, as in a container
     * that root of the outside did not start */
    if (aios__status_line(s, "CapEff:", &line)) {
        while (line.n && (line.p[line.n - 1] < '0' || line.p[line.n - 1] > 'f')) line.n--;
        if (line.n >= 4) {
            char c = line.p[line.n - 4];
            int32_t i = c <= '9' ? c - '0' : c - 'a' + 10;
            if (i >> 2 & 1 && aios__sys_first(s, "/proc/self/uid_map", 0, 0, &line) &&
                aios__take_number(&line, &inside) && aios__take_number(&line, &outside) &&
                aios__take_number(&line, &ids) && inside == 0 && outside == 0 && ids == UINT32_MAX)
                h->lock_bytes = UINT64_MAX;
        }
    }

    if (aios__sys_cpus(s, "/sys/devices/system/node/has_memory", 0, 0, &set) ||
        aios__sys_cpus(s, "/sys/devices/system/node/online", 0, 0, &set)) {
        if (aios__status_line(s, "Mems_allowed_list:", &line)) {
            aios__cpu_list(line, &may);
            aios__cpus_meet(&set, &may);
        }
        h->n_nodes = aios__cpus_both(&set, &set);
    }
}

static void aios__linux_name(aios__sys *s, aios_hardware *h) {
    aios__str line;
    aios__text t;
    int32_t found = 0;
    t.p = h->name;
    t.cap = sizeof h->name;
    t.n = 0;
    if (aios__sys_open(s, "/proc/cpuinfo", 0, 0)) {
        /* the first processor's, up to the empty line */
        while (aios__sys_line(s, &line) && line.n) {
            if (line.n > 5 && memcmp(line.p, "flags", 5) == 0 && aios__str_has(line, " hypervisor"))
                h->flags |= AIOS_HW_VIRTUAL;
            if (found || line.n < 10 || memcmp(line.p, "model name", 10) != 0) continue;
            while (line.n && *line.p != ':') {
                line.p++;
                line.n--;
            }
            while (line.n && (*line.p == ':' || *line.p == ' ')) {
                line.p++;
                line.n--;
            }
            aios__put(&t, line.p, line.n);
            found = 1;
        }
        aios__sys_close(s);
    }
    if (!found && aios__sys_first(s, "/proc/device-tree/model", 0, 0, &line)) {
        while (line.n && !line.p[line.n - 1]) line.n--;
        aios__put(&t, line.p, line.n);
    }
}

static void aios__hw_system(const char *root, aios_hardware *h) {
    aios__sys s;
    long page = sysconf(_SC_PAGESIZE);
    memset(&s, 0, sizeof s);
    s.root = root;
    if (page > 0) h->page_bytes = (uint64_t)page;
    aios__linux_name(&s, h);
    aios__linux_cpus(&s, h);
    aios__linux_memory(&s, h);
    aios__linux_cgroups(&s, h);
}

#elif defined(__APPLE__) && defined(__MACH__)
/* ---- Apple: sysctl by name ----
 * <sys/sysctl.h> does not compile with every feature macro: its one function is declared here. */
#include <errno.h>
#ifdef __cplusplus
extern "C"
#else
extern
#endif
    int
    sysctlbyname(const char *name, void *old, size_t *n_old, void *set, size_t n_set);

/* a number of 4 or 8 bytes; 0 = there is none of this name */
static uint64_t aios__sysctl(const char *name) {
    uint64_t v = 0;
    size_t n = sizeof v;
    if (sysctlbyname(name, &v, &n, NULL, 0) != 0) return 0;
    return n == 4 ? v & UINT32_MAX : n == 8 ? v : 0;
}
static void aios__hw_system(const char *root, aios_hardware *h) {
    size_t n = sizeof h->name - 1;
    (void)root;
    h->n_cores = (int32_t)aios__sysctl("hw.physicalcpu");
    h->n_threads = (int32_t)aios__sysctl("hw.logicalcpu");
    /* level 0 is the fastest */
    h->n_performance = (int32_t)aios__sysctl("hw.perflevel0.physicalcpu");
    if (!h->n_performance) h->n_performance = h->n_cores;
    h->n_efficiency = h->n_cores - h->n_performance;
    h->l1d_bytes = aios__sysctl("hw.perflevel0.l1dcachesize");
    if (!h->l1d_bytes) h->l1d_bytes = aios__sysctl("hw.l1dcachesize");
    h->l2_bytes = aios__sysctl("hw.perflevel0.l2cachesize");
    uint64_t share = aios__sysctl("hw.perflevel0.cpusperl2");
    if (h->l2_bytes && share > 1) h->l2_bytes /= share;
    if (!h->l2_bytes) h->l2_bytes = aios__sysctl("hw.l2cachesize");
    h->l3_bytes = aios__sysctl("hw.l3cachesize");
    if (h->l3_bytes) h->l3_share = h->n_cores;
    h->page_bytes = aios__sysctl("hw.pagesize");
    h->ram_bytes = aios__sysctl("hw.memsize");
    uint64_t v = aios__sysctl("vm.page_free_count") + aios__sysctl("vm.page_speculative_count") +
                 aios__sysctl("vm.page_purgeable_count");
    h->ram_free_bytes = v * h->page_bytes; /* without what the file cache would give back */
    h->lock_bytes = aios__sysctl("vm.user_wire_limit");
    h->n_nodes = 1;
    if (aios__sysctl("kern.hv_vmm_present")) h->flags |= AIOS_HW_VIRTUAL;
    if (sysctlbyname("machdep.cpu.brand_string", h->name, &n, NULL, 0) != 0) h->name[0] = 0;
}

#elif defined(_WIN32) && defined(_WIN32_WINNT) && _WIN32_WINNT >= 0x0601
/* ---- Windows ---- */
/* Records of one kind, in buf; 0 bytes when they do not fit (a hundred cores and more) or the
 * system has none. */
typedef union aios__win_buf {
    uint64_t align;
    char bytes[32 * 1024];
} aios__win_buf;
static uint32_t aios__win_records(LOGICAL_PROCESSOR_RELATIONSHIP kind, aios__win_buf *b) {
    DWORD n = sizeof b->bytes;
    return GetLogicalProcessorInformationEx(
               kind, (PSYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX)(void *)b->bytes, &n)
               ? (uint32_t)n
               : 0;
}
static const SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX *aios__win_record(const aios__win_buf *b,
                                                                       uint32_t at, uint32_t n) {
    const SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX *r =
        (const SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX *)(const void *)(b->bytes + at);
    return at + 8 <= n && r->Size >= 8 && r->Size <= n - at ? r : NULL;
}
/* PROCESSOR_RELATIONSHIP.EfficiencyClass: the byte after Flags, which older headers call
 * reserved. The higher the faster. */
static int32_t aios__win_class(const SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX *r) {
    return ((const BYTE *)&r->Processor)[1];
}
static int32_t aios__win_bits(KAFFINITY m) {
    int32_t n = 0;
    for (; m; m &= m - 1) n++;
    return n;
}
static void aios__hw_system(const char *root, aios_hardware *h) {
    aios__win_buf b;
    const SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX *r;
    KAFFINITY lead[16], mine = ~(KAFFINITY)0; /* lead: the first processor of each core, by group */
    DWORD_PTR process = 0, machine = 0;
    SYSTEM_INFO si;
    MEMORYSTATUSEX ms;
    SIZE_T lock_least = 0, lock_most = 0;
    uint32_t at, n;
    int32_t best = -1;
    (void)root;
    memset(lead, 0, sizeof lead);
    /* the mask is for one group; a process that runs in several may use all of them */
    if (GetActiveProcessorGroupCount() == 1 &&
        GetProcessAffinityMask(GetCurrentProcess(), &process, &machine) && process) {
        mine = (KAFFINITY)process;
        h->n_threads = aios__win_bits(mine);
    } else
        h->n_threads = (int32_t)GetActiveProcessorCount(ALL_PROCESSOR_GROUPS);

    n = aios__win_records(RelationProcessorCore, &b);
    for (at = 0; (r = aios__win_record(&b, at, n)) != NULL; at += r->Size) {
        const KAFFINITY mask = r->Processor.GroupMask[0].Mask & mine;
        if (aios__win_class(r) > best) best = aios__win_class(r); /* of all cores, ours or not */
        if (!mask) continue;
        h->n_cores++;
        if (r->Processor.GroupMask[0].Group < 16)
            lead[r->Processor.GroupMask[0].Group] |= mask & (0 - mask);
    }
    for (at = 0; (r = aios__win_record(&b, at, n)) != NULL; at += r->Size)
        if (r->Processor.GroupMask[0].Mask & mine) {
            if (aios__win_class(r) == best)
                h->n_performance++;
            else
                h->n_efficiency++;
        }

    n = aios__win_records(RelationCache, &b);
    for (at = 0; (r = aios__win_record(&b, at, n)) != NULL; at += r->Size) {
        const CACHE_RELATIONSHIP *c = &r->Cache;
        int32_t share;
        if (c->Type != CacheData && c->Type != CacheUnified) continue;
        if (!(c->GroupMask.Mask & mine)) continue;
        share = c->GroupMask.Group < 16
                    ? aios__win_bits(c->GroupMask.Mask & lead[c->GroupMask.Group])
                    : 1;
        if (share < 1) share = 1;
        /* of the kinds of cores the largest caches: those of the fast ones */
        if (c->Level == 1 && c->CacheSize / (uint32_t)share > h->l1d_bytes)
            h->l1d_bytes = c->CacheSize / (uint32_t)share;
        if (c->Level == 2 && c->CacheSize / (uint32_t)share > h->l2_bytes)
            h->l2_bytes = c->CacheSize / (uint32_t)share;
        if (c->Level == 3) {
            h->l3_bytes += c->CacheSize;
            if (share > h->l3_share) h->l3_share = share;
        }
    }
    n = aios__win_records(RelationNumaNode, &b);
    for (at = 0; (r = aios__win_record(&b, at, n)) != NULL; at += r->Size) h->n_nodes++;

    ms.dwLength = sizeof ms;
    if (GlobalMemoryStatusEx(&ms)) {
        h->ram_bytes = ms.ullTotalPhys;
        h->ram_free_bytes = ms.ullAvailPhys;
    }
    GetSystemInfo(&si);
    h->page_bytes = si.dwPageSize;
    /* what VirtualLock grants */
    if (GetProcessWorkingSetSize(GetCurrentProcess(), &lock_least, &lock_most))
        h->lock_bytes = lock_least;
    /* huge pages take a privilege that few accounts have: 0 */
}

#else
static void aios__hw_system(const char *root, aios_hardware *h) {
    (void)root;
    (void)h;
}
#endif

static void aios__hw_detect(const char *root, aios_hardware *h) {
#if defined(_WIN32)
    DWORD before = GetLastError();
#elif (defined(__linux__) && !defined(AIOS_NO_FILES)) || \
    (defined(__APPLE__) && defined(__MACH__)) || defined(AIOS_LIBNUMA)
    int before = errno;
#endif
    aios__hw_isa(h);
    aios__hw_system(root, h);
#ifdef AIOS_LIBNUMA
    if (!root[0]) h->n_nodes = numa_available() < 0 ? 0 : numa_num_task_nodes();
#endif
#if defined(_WIN32)
    SetLastError(before);
#elif (defined(__linux__) && !defined(AIOS_NO_FILES)) || \
    (defined(__APPLE__) && defined(__MACH__)) || defined(AIOS_LIBNUMA)
    errno = before;
#endif
}

AIOS_API aios_status aios_hardware_detect(aios_hardware *out) {
    aios_hardware h, had;
    aios_status st = aios__desc_copy(AIOS__ID_aios_hardware, &had, out, NULL);
    if (st) return st;
    memset(&h, 0, sizeof h);
    h.read_bandwidth = had.read_bandwidth;
    aios__hw_detect("", &h);
    return aios__desc_fill(AIOS__ID_aios_hardware, out, &h);
}

AIOS__SMALL_END

/* ======== file/gguf.h ======== */
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

AIOS__SMALL_BEGIN

/* ======== file/gguf.c ======== */
/* gguf.c: bytes -> keys and a tensor directory. Between io.c and vocab.c/model.c; knows the file
 * format (versions 2 and 3, little-endian), not what keys and tensors mean.
 *
 * One scanner reads a part's header field by field and checks everything it sees. It runs twice:
 * over a window on the stack (aios__gguf_measure: how much memory will be needed), then over the
 * header bytes in memory, filling the arrays (aios__gguf_load). The second pass repeats every
 * check and must count what the first one counted, so that a file that changes in between is an
 * error and nothing else. What needs memory is checked in load only: no two keys or tensors of
 * one name, no two tensors in the same bytes. No recursion, no allocation. Time is O(header
 * bytes * log entries), whatever the file says.
 *
 * When aios_io.map gives the header, keys and names are views into those bytes, which must then
 * stay as they are. */

enum {
    AIOS__WINDOW = 4096,        /* one page of stack; a vocabulary of 10 MB then takes 2500 reads */
    AIOS__MAX_KEY_NAME = 65535, /* the format's own limit */
    AIOS__MAX_TENSOR_NAME = 63, /* ggml's, with the zero byte 64 */
    AIOS__MAX_ALIGNMENT = 1 << 20,
    AIOS__MAX_DEPTH = 8,                 /* of arrays in an array */
    AIOS__MIN_KEY_BYTES = 8 + 1 + 4 + 1, /* name of 1, type, value of 1 */
    /* name of 1, n_dims, one dimension, type, offset */
    AIOS__MIN_TENSOR_BYTES = 8 + 1 + 4 + 8 + 4 + 8
};

/* of a fixed-size value; 0 for strings and arrays */
static inline uint32_t aios__value_bytes(uint32_t type) {
    static const uint8_t bytes[AIOS__N_VALUE_TYPES] = { 1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8 };
    return type < AIOS__N_VALUE_TYPES ? bytes[type] : 0;
}

/* ---- values ----
 * 1 = found and of the right type, *out is set; 0 = NULL key or another type, *out is left
 * alone. */

static inline int32_t aios__item_i64(const aios__key *k, uint64_t i, int64_t *out, int32_t *above) {
    *above = 0; /* 1: a u64 above INT64_MAX, *out holds its bits */
    if (!k || i >= k->n) return 0;
    const uint8_t *p = k->p + i * aios__value_bytes(k->type);
    switch (k->type) {
    case AIOS__U8: *out = p[0]; return 1;
    case AIOS__I8: {
        int8_t v;
        memcpy(&v, p, 1);
        *out = v;
        return 1;
    }
    case AIOS__U16: {
        uint16_t v;
        memcpy(&v, p, 2);
        *out = v;
        return 1;
    }
    case AIOS__I16: {
        int16_t v;
        memcpy(&v, p, 2);
        *out = v;
        return 1;
    }
    case AIOS__U32: {
        uint32_t v;
        memcpy(&v, p, 4);
        *out = v;
        return 1;
    }
    case AIOS__I32: {
        int32_t v;
        memcpy(&v, p, 4);
        *out = v;
        return 1;
    }
    case AIOS__U64:
    case AIOS__I64:
        memcpy(out, p, 8);
        *above = k->type == AIOS__U64 && *out < 0;
        return 1;
    default: return 0;
    }
}
/* Item i of an array of any integer type; a scalar counts as an array of one. Negative numbers
 * are no u64. */
static inline int32_t aios__key_item_u64(const aios__key *k, uint64_t i, uint64_t *out) {
    int64_t v = 0;
    int32_t above;
    if (!aios__item_i64(k, i, &v, &above) || (v < 0 && !above)) return 0;
    *out = (uint64_t)v;
    return 1;
}
static inline int32_t aios__key_item_i64(const aios__key *k, uint64_t i, int64_t *out) {
    int64_t v = 0;
    int32_t above;
    if (!aios__item_i64(k, i, &v, &above) || above) return 0;
    *out = v;
    return 1;
}
/* Any number, integers too; NaN and infinities come as they are. */
static inline int32_t aios__key_item_f64(const aios__key *k, uint64_t i, double *out) {
    int64_t v = 0;
    int32_t above;
    if (!k || i >= k->n) return 0;
    if (k->type == AIOS__F32) {
        float f;
        memcpy(&f, k->p + i * 4, 4);
        *out = (double)f;
        return 1;
    }
    if (k->type == AIOS__F64) {
        memcpy(out, k->p + i * 8, 8);
        return 1;
    }
    if (!aios__item_i64(k, i, &v, &above)) return 0;
    *out = above ? (double)(uint64_t)v : (double)v;
    return 1;
}
static inline int32_t aios__key_item_bool(const aios__key *k, uint64_t i, int32_t *out) {
    if (!k || i >= k->n || k->type != AIOS__BOOL) return 0;
    *out = k->p[i] != 0;
    return 1;
}
/* Scalars only. */
static inline int32_t aios__key_u64(const aios__key *k, uint64_t *out) {
    return k && !k->is_array && aios__key_item_u64(k, 0, out);
}
static inline int32_t aios__key_i64(const aios__key *k, int64_t *out) {
    return k && !k->is_array && aios__key_item_i64(k, 0, out);
}
static inline int32_t aios__key_f64(const aios__key *k, double *out) {
    return k && !k->is_array && aios__key_item_f64(k, 0, out);
}
static inline int32_t aios__key_bool(const aios__key *k, int32_t *out) {
    return k && !k->is_array && aios__key_item_bool(k, 0, out);
}

static inline int32_t aios__key_str(const aios__key *k, aios__str *out) {
    if (!k || k->is_array || k->type != AIOS__STR) return 0;
    const uint8_t *p = k->p;
    *out = aios__key_next_str(&p);
    return 1;
}

/* ---- names ---- */

/* Order of names: bytes, then length. */
static inline int32_t aios__name_cmp(aios__str a, aios__str b) {
    uint64_t n = aios__min_u64(a.n, b.n);
    int c = n ? memcmp(a.p, b.p, (size_t)n) : 0;
    return c ? (c < 0 ? -1 : 1) : a.n < b.n ? -1 : a.n > b.n;
}
/* The same for a against head followed by tail: "llama" ".block_count". */
static inline int32_t aios__name_cmp2(aios__str a, aios__str head, aios__str tail) {
    aios__str a1 = a;
    a1.n = aios__min_u64(a.n, head.n);
    int32_t c = aios__name_cmp(a1, head);
    if (c) return c;
    a.p += a1.n;
    a.n -= a1.n;
    return aios__name_cmp(a, tail);
}
/* The key called head + tail, or NULL. */
static inline const aios__key *aios__key_find2(const aios__gguf *g, aios__str head,
                                               const char *tail) {
    uint32_t low = 0, high = g->n_keys;
    aios__str t;
    t.p = tail;
    t.n = strlen(tail);
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        const aios__key *k = &g->key[g->key_by_name[mid]];
        int32_t c = aios__name_cmp2(k->name, head, t);
        if (c == 0) return k;
        if (c < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}
static inline const aios__key *aios__key_find(const aios__gguf *g, const char *name) {
    aios__str none;
    none.p = "";
    none.n = 0;
    return aios__key_find2(g, none, name);
}
static inline const aios__tensor *aios__tensor_find(const aios__gguf *g, aios__str name) {
    uint32_t low = 0, high = g->n_tensors;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        const aios__tensor *t = &g->tensor[g->tensor_by_name[mid]];
        int32_t c = aios__name_cmp(t->name, name);
        if (c == 0) return t;
        if (c < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}
/* Where the fields of a directory entry stand in the file, for messages. */
static inline uint64_t aios__tensor_dims_off(const aios__tensor *t) {
    return t->dir_off + 8 + t->name.n + 4;
}
static inline uint64_t aios__tensor_type_off(const aios__tensor *t) {
    return aios__tensor_dims_off(t) + 8 * (uint64_t)t->n_dims;
}
/* Where a key's entry (its name's length) begins. */
static inline uint64_t aios__key_entry_off(const aios__key *k) {
    return k->off - (k->is_array ? 16u : 4u) - k->name.n - 8;
}

/* ---- the scanner ---- */

enum {
    AIOS__HAS_ALIGNMENT = 1,
    AIOS__HAS_SPLIT_NO = 2,
    AIOS__HAS_SPLIT_COUNT = 4,
    AIOS__HAS_SPLIT_TENSORS = 8,
    AIOS__HAS_TOKENS = 16,
    AIOS__HAS_MERGES = 32
};

/* Where and why a part was looked at, what was found. Zeros, then io, err, lim, part, n_parts,
 * end are set. */
typedef struct aios__scan {
    const aios_io *io;
    aios_error *err;
    aios_limits lim;
    uint32_t part, n_parts;
    /* only to be shown: types that are not known will do, and a part without the others */
    int32_t look;
    const uint8_t *p; /* bytes [base, base + n) of the file */
    uint64_t base, n;
    uint8_t *window;   /* [AIOS__WINDOW] where more is read to; NULL: p is the whole header */
    uint64_t pos, end; /* next byte; no header byte lies at or beyond end (end <= io->n_bytes) */

    char kind; /* what is being read, for messages: 'h'eader, 'k'ey, 't'ensor */
    uint32_t index, n_name;
    char name[96]; /* its name, cut */

    aios__key *key;       /* [max_keys]    filled in the second pass, or NULL */
    aios__tensor *tensor; /* [max_tensors] the same */
    uint32_t max_keys, max_tensors;
    /* told of each entry (its name is in s->name, its offset counts */
    aios_status (*visit)(struct aios__scan *s, const aios__tensor *t);
    void *visit_user; /* from the data's begin); NULL = nobody */

    uint32_t version, n_keys, n_tensors, has;
    uint64_t alignment, data_off;
    uint64_t split_no, split_count, split_tensors;
    uint64_t split_no_off, split_count_off, split_tensors_off;
    uint64_t n_tokens, n_merges, token_bytes;
    /* the tensor that reaches furthest: end from data_off, its offset field */
    uint64_t far_end, far_off;
    uint32_t far_index, n_far_name;
    char far_name[AIOS__MAX_TENSOR_NAME];
} aios__scan;

/* Fills the error record: "part 1, key 'a.b': what field (expected 1, got 2)"; the numbers only
 * where they differ. */
AIOS__COLD static aios_status aios__scan_fail(const aios__scan *s, aios_status code, uint64_t off,
                                              uint64_t expected, uint64_t got, const char *what,
                                              const char *field) {
    aios__text t;
    if (!s->err) return code;
    aios__fail2(s->err, code, off, expected, got, "", aios__u(0), aios__u(0));
    t.p = s->err->text;
    t.cap = sizeof s->err->text;
    t.n = 0;
    if (s->n_parts > 1) {
        aios__put_z(&t, "part ");
        aios__put_u(&t, (uint64_t)s->part + 1);
        aios__put_z(&t, ", ");
    }
    aios__put_z(&t, s->kind == 'k' ? "key " : s->kind == 't' ? "tensor " : "header");
    if (s->kind != 'h') {
        if (s->n_name) {
            aios__put_z(&t, "'");
            aios__put(&t, s->name, s->n_name);
            aios__put_z(&t, "'");
        } else
            aios__put_u(&t, s->index);
    }
    aios__put_z(&t, ": ");
    aios__put_z(&t, what);
    aios__put_z(&t, field);
    if (expected != got) {
        aios__put_z(&t, " (expected ");
        aios__put_u(&t, expected);
        aios__put_z(&t, ", got ");
        aios__put_u(&t, got);
        aios__put_z(&t, ")");
    }
    return code;
}
AIOS__COLD static aios_status aios__scan_bad(const aios__scan *s, uint64_t off, uint64_t expected,
                                             uint64_t got, const char *what) {
    return aios__scan_fail(s, AIOS_ERR_FORMAT, off, expected, got, what, "");
}
AIOS__COLD static aios_status aios__scan_changed(const aios__scan *s) {
    return aios__scan_fail(s, AIOS_ERR_IO, s->pos, 0, 0, "the file changed while it was being read",
                           "");
}

/* Are n more bytes of header there? Afterwards pos + n does not overflow. */
AIOS__COLD static aios_status aios__scan_short(const aios__scan *s, uint64_t n, const char *field) {
    uint64_t left = s->io->n_bytes - s->pos;
    if (n > left)
        return aios__scan_fail(s, AIOS_ERR_FORMAT, s->pos, n, left, "the file ends inside its ",
                               field);
    if (!s->window) return aios__scan_changed(s);
    return aios__scan_fail(s, AIOS_ERR_LIMIT, s->pos, s->end, s->pos + n,
                           "the header is longer than limits.max_header_bytes allows, at its ",
                           field);
}
static inline aios_status aios__scan_room(const aios__scan *s, uint64_t n, const char *field) {
    return n <= s->end - s->pos ? (aios_status)AIOS_OK : aios__scan_short(s, n, field);
}
/* A run of at least one and at most n bytes at pos, which moves behind it. n > 0; room for n has
 * been checked. */
static inline aios_status aios__scan_run(aios__scan *s, uint64_t n, const uint8_t **p,
                                         uint64_t *n_run) {
    if (s->pos < s->base || s->pos - s->base >= s->n) {
        aios_status st;
        if (!s->window) return aios__scan_changed(s);
        s->base = s->pos;
        s->n = 0;
        st = aios__io_read(s->io, s->pos, s->window, aios__min_u64(AIOS__WINDOW, s->end - s->pos),
                           s->err);
        if (st) return st;
        s->p = s->window;
        s->n = aios__min_u64(AIOS__WINDOW, s->end - s->pos);
    }
    *p = s->p + (s->pos - s->base);
    *n_run = aios__min_u64(n, s->n - (s->pos - s->base));
    s->pos += *n_run;
    return AIOS_OK;
}
/* One field of n bytes (at most 8). */
static inline aios_status aios__scan_get(aios__scan *s, void *dst, uint64_t n, const char *field) {
    const uint8_t *p = NULL;
    uint64_t got = 0;
    aios_status st = aios__scan_room(s, n, field);
    for (uint64_t done = 0; st == AIOS_OK && done < n; done += got) {
        st = aios__scan_run(s, n - done, &p, &got);
        if (st == AIOS_OK) memcpy((char *)dst + done, p, (size_t)got);
    }
    return st;
}
/* The name of a key or tensor, 1 to max bytes without a zero byte; a view in the second pass,
 * else only s->name. */
static inline aios_status aios__scan_name(aios__scan *s, uint64_t max, aios__str *view) {
    uint64_t len, at = s->pos, got = 0;
    const uint8_t *p = NULL;
    aios_status st;
    s->n_name = 0;
    view->p = "";
    view->n = 0;
    if ((st = aios__scan_get(s, &len, 8, "name length")) != AIOS_OK) return st;
    if (len == 0) return aios__scan_bad(s, at, 0, 0, "its name is empty");
    if (len > max) return aios__scan_bad(s, at, max, len, "its name is too long");
    if ((st = aios__scan_room(s, len, "name")) != AIOS_OK) return st;
    at = s->pos;
    for (uint64_t done = 0; done < len; done += got) {
        if ((st = aios__scan_run(s, len - done, &p, &got)) != AIOS_OK) return st;
        if (memchr(p, 0, (size_t)got)) {
            s->n_name = 0;
            return aios__scan_bad(s, at, 0, 0, "its name contains a zero byte");
        }
        if (done < sizeof s->name) {
            uint64_t n = aios__min_u64(got, sizeof s->name - done);
            memcpy(s->name + done, p, (size_t)n);
            s->n_name = (uint32_t)(done + n);
        }
    }
    if (!s->window) {
        view->p = (const char *)s->p + (at - s->base);
        view->n = len;
    }
    return AIOS_OK;
}

/* One of the keys that the format itself gives a meaning. k->p is valid for a number only. */
static inline aios_status aios__scan_special(aios__scan *s, const aios__key *k,
                                             uint64_t str_bytes) {
    static const char *const names[] = { "general.alignment",     "split.no",
                                         "split.count",           "split.tensors.count",
                                         "tokenizer.ggml.tokens", "tokenizer.ggml.merges" };
    aios__str name;
    uint64_t v = 0;
    uint32_t i;
    /* cut at 96, longer than any of these */
    name.p = s->name;
    name.n = s->n_name;
    for (i = 0; i < 6 && !aios__str_eq(name, names[i]); i++) {}
    if (i == 6) return AIOS_OK;
    if (s->has & (1u << i)) return aios__scan_bad(s, k->off, 0, 0, "is there twice");
    s->has |= 1u << i;
    if (i >= 4) {
        /* vocab.c will say so, should it need it */
        if (!k->is_array || k->type != AIOS__STR) return AIOS_OK;
        if (i == 4) {
            s->n_tokens = k->n;
            s->token_bytes = str_bytes;
        } else
            s->n_merges = k->n;
        return AIOS_OK;
    }
    if (i == 0) {
        if (k->is_array || k->type != AIOS__U32)
            return aios__scan_bad(s, k->off, AIOS__U32, k->is_array ? (uint64_t)AIOS__ARR : k->type,
                                  "must be of type u32");
        aios__key_u64(k, &v);
        if (v == 0 || v > AIOS__MAX_ALIGNMENT || (v & (v - 1)))
            return aios__scan_fail(s, AIOS_ERR_FORMAT, k->off, 0, v,
                                   "must be a power of two up to 1 MiB", "");
        s->alignment = v;
        return AIOS_OK;
    }
    if (!aios__key_u64(k, &v))
        return aios__scan_bad(s, k->off, 0, 0, "must be an integer, not negative");
    if (i == 1) {
        s->split_no = v;
        s->split_no_off = k->off;
    }
    if (i == 2) {
        s->split_count = v;
        s->split_count_off = k->off;
    }
    if (i == 3) {
        s->split_tensors = v;
        s->split_tensors_off = k->off;
    }
    return AIOS_OK;
}

/* Type and count of an array's items. */
static aios_status aios__scan_array(aios__scan *s, uint32_t *type, uint64_t *n) {
    uint64_t at = s->pos;
    aios_status st;
    if ((st = aios__scan_get(s, type, 4, "item type")) != AIOS_OK) return st;
    if (*type >= AIOS__N_VALUE_TYPES)
        return aios__scan_bad(s, at, AIOS__N_VALUE_TYPES - 1, *type, "unknown item type");
    at = s->pos;
    if ((st = aios__scan_get(s, n, 8, "item count")) != AIOS_OK) return st;
    uint64_t bytes = *type == AIOS__STR ? 8 : *type == AIOS__ARR ? 12 : aios__value_bytes(*type);
    if (*n > (s->io->n_bytes - s->pos) / bytes)
        return aios__scan_bad(s, at, (s->io->n_bytes - s->pos) / bytes, *n,
                              "more items than the rest of the file can hold");
    if (*n > s->lim.max_array_items)
        return aios__scan_fail(s, AIOS_ERR_LIMIT, at, s->lim.max_array_items, *n,
                               "more items than limits.max_array_items allows", "");
    return AIOS_OK;
}
/* Passes over n values, no arrays. first [8]: a single number, or as it was; the strings' bytes
 * are added to str_bytes. */
static aios_status aios__scan_values(aios__scan *s, uint32_t type, uint64_t n, int32_t is_array,
                                     uint8_t *first, uint64_t *str_bytes) {
    uint64_t at, got = 0;
    const uint8_t *p = NULL;
    aios_status st;
    if (type == AIOS__STR) {
        for (uint64_t i = 0; i < n; i++) {
            uint64_t len;
            at = s->pos;
            /* nearly always */
            if (at - s->base < s->n && s->n - (at - s->base) >= 8) {
                memcpy(&len, s->p + (at - s->base), 8);
                s->pos += 8;
            } else if ((st = aios__scan_get(s, &len, 8, "string length")) != AIOS_OK)
                return st;
            if ((st = aios__scan_room(s, len, "string")) != AIOS_OK) {
                /* the length is what is wrong */
                if (s->err && st != AIOS_ERR_IO) s->err->offset = at;
                return st;
            }
            if (!is_array && len > s->lim.max_string_bytes)
                return aios__scan_fail(s, AIOS_ERR_LIMIT, at, s->lim.max_string_bytes, len,
                                       "the string is longer than limits.max_string_bytes allows",
                                       "");
            s->pos += len;
            *str_bytes += len;
        }
        return AIOS_OK;
    }
    uint64_t bytes =
        n * aios__value_bytes(type); /* cannot overflow: n was compared with the file's size */
    if ((st = aios__scan_room(s, bytes, "value")) != AIOS_OK) return st;
    at = s->pos;
    if (type == AIOS__BOOL) {
        for (uint64_t done = 0; done < bytes; done += got) {
            if ((st = aios__scan_run(s, bytes - done, &p, &got)) != AIOS_OK) return st;
            for (uint64_t i = 0; i < got; i++)
                if (p[i] > 1)
                    return aios__scan_bad(s, at + done + i, 1, p[i], "a bool is neither 0 nor 1");
        }
    } else if (!is_array) {
        if ((st = aios__scan_get(s, first, bytes, "value")) != AIOS_OK) return st;
    }
    s->pos = at + bytes;
    return AIOS_OK;
}
/* Passes over n arrays, in which there may be arrays again; nobody asks for what they hold.
 * left: arrays that are still to come, by depth. */
static aios_status aios__scan_nested(aios__scan *s, uint64_t n) {
    uint64_t left[AIOS__MAX_DEPTH], bytes = 0;
    uint8_t first[8];
    uint32_t type;
    int32_t d = 0;
    aios_status st;
    left[0] = n;
    while (d >= 0) {
        if (!left[d]) {
            d--;
            continue;
        }
        left[d]--;
        uint64_t at = s->pos;
        if ((st = aios__scan_array(s, &type, &n)) != AIOS_OK) return st;
        if (type != AIOS__ARR) {
            if ((st = aios__scan_values(s, type, n, 1, first, &bytes)) != AIOS_OK) return st;
        } else if (++d == AIOS__MAX_DEPTH)
            return aios__scan_fail(s, AIOS_ERR_UNSUPPORTED, at, 0, 0, "arrays in arrays, too deep",
                                   "");
        else
            left[d] = n;
    }
    return AIOS_OK;
}

static inline aios_status aios__scan_key(aios__scan *s, uint32_t index) {
    aios__key k;
    uint64_t str_bytes = 0;
    uint8_t first[8]; /* of a number, as k.p in the first pass */
    aios_status st;

    memset(&k, 0, sizeof k);
    memset(first, 0, sizeof first);
    s->kind = 'k';
    s->index = index;
    if ((st = aios__scan_name(s, AIOS__MAX_KEY_NAME, &k.name)) != AIOS_OK) return st;
    k.part = s->part;
    k.n = 1;
    uint64_t at = s->pos;
    if ((st = aios__scan_get(s, &k.type, 4, "value type")) != AIOS_OK) return st;
    if (k.type >= AIOS__N_VALUE_TYPES)
        return aios__scan_bad(s, at, AIOS__N_VALUE_TYPES - 1, k.type, "unknown value type");
    if (k.type == AIOS__ARR) {
        k.is_array = 1;
        if ((st = aios__scan_array(s, &k.type, &k.n)) != AIOS_OK) return st;
    }
    k.off = s->pos;
    st = k.type == AIOS__ARR
             ? aios__scan_nested(s, k.n)
             : aios__scan_values(s, k.type, k.n, (int32_t)k.is_array, first, &str_bytes);
    if (st) return st;
    k.p = first;
    k.n_bytes = s->pos - k.off;
    if ((st = aios__scan_special(s, &k, str_bytes)) != AIOS_OK) return st;
    if (s->key) {
        k.p = s->p + (k.off - s->base);
        s->key[index] = k;
    }
    return AIOS_OK;
}

static inline aios_status aios__scan_tensor(aios__scan *s, uint32_t index) {
    aios__tensor t;
    uint64_t n_weights = 1, end;
    aios_status st;

    memset(&t, 0, sizeof t);
    s->kind = 't';
    s->index = index;
    t.part = s->part;
    t.dir_off = s->pos;
    t.n[0] = t.n[1] = t.n[2] = t.n[3] = 1;
    if ((st = aios__scan_name(s, AIOS__MAX_TENSOR_NAME, &t.name)) != AIOS_OK) return st;
    uint64_t at = s->pos;
    if ((st = aios__scan_get(s, &t.n_dims, 4, "number of dimensions")) != AIOS_OK) return st;
    if (t.n_dims < 1 || t.n_dims > 4)
        return aios__scan_bad(s, at, t.n_dims < 1 ? 1 : 4, t.n_dims, "must have 1 to 4 dimensions");
    uint64_t dims_at = s->pos;
    for (uint32_t d = 0; d < t.n_dims; d++) {
        at = s->pos;
        if ((st = aios__scan_get(s, &t.n[d], 8, "dimensions")) != AIOS_OK) return st;
        if (t.n[d] == 0) return aios__scan_bad(s, at, 1, 0, "a dimension is zero");
        if (!aios__mul(n_weights, t.n[d], &n_weights))
            return aios__scan_bad(s, at, 0, t.n[d], "its number of weights overflows 64 bits");
    }
    at = s->pos;
    if ((st = aios__scan_get(s, &t.type, 4, "type")) != AIOS_OK) return st;
    const aiosk_type *type = t.type < AIOSK_N_TYPES ? aiosk_type_info((int32_t)t.type) : NULL;
    if (!type && !s->look)
        return aios__scan_fail(s, AIOS_ERR_UNSUPPORTED, at, AIOSK_N_TYPES - 1, t.type,
                               "unknown tensor type", "");
    if (type && t.n[0] % type->n_weights)
        return aios__scan_fail(s, AIOS_ERR_FORMAT, dims_at, type->n_weights, t.n[0],
                               "its rows are no whole number of blocks of type ", type->name);
    if (type) t.row_bytes = aiosk_row_bytes((int32_t)t.type, t.n[0]);
    if (type && (t.row_bytes == 0 || !aios__mul(t.row_bytes, n_weights / t.n[0], &t.n_bytes)))
        return aios__scan_bad(s, dims_at, 0, n_weights, "its number of bytes overflows 64 bits");
    at = s->pos;
    if ((st = aios__scan_get(s, &t.off, 8, "data offset")) != AIOS_OK) return st;
    if (t.off & (s->alignment - 1))
        return aios__scan_bad(s, at, s->alignment, t.off,
                              "its data offset is no multiple of the file's alignment");
    if (!aios__add(t.off, type ? t.n_bytes : 1, &end))
        return aios__scan_bad(s, at, s->io->n_bytes, t.off, "its data lies outside the file");
    if (end > s->far_end) {
        s->far_end = end;
        s->far_off = at;
        s->far_index = index;
        s->n_far_name = s->n_name;
        memcpy(s->far_name, s->name, s->n_name);
    }
    if (s->tensor) s->tensor[index] = t;
    return s->visit ? s->visit(s, &t) : AIOS_OK;
}

/* A whole part: header, keys, and unless keys_only the directory. */
static inline aios_status aios__scan_part(aios__scan *s, int32_t keys_only) {
    uint8_t magic[4];
    uint64_t n_tensors, n_keys, reach;
    aios_status st;

    s->kind = 'h';
    s->pos = 0;
    s->alignment = 32;
    if ((st = aios__scan_get(s, magic, 4, "magic")) != AIOS_OK) return st;
    if (memcmp(magic, "GGUF", 4) != 0) return aios__scan_bad(s, 0, 0, 0, "not a GGUF file");
    if ((st = aios__scan_get(s, &s->version, 4, "version")) != AIOS_OK) return st;
    if (s->version != 0 && (s->version & 0xFFFFu) == 0)
        return aios__scan_fail(s, AIOS_ERR_UNSUPPORTED, 4, 3, s->version, "a big-endian GGUF file",
                               "");
    if (s->version == 1)
        return aios__scan_fail(s, AIOS_ERR_UNSUPPORTED, 4, 3, 1,
                               "GGUF version 1 is not read, only 2 and 3", "");
    if (s->version < 2 || s->version > 3)
        return aios__scan_fail(s, AIOS_ERR_UNSUPPORTED, 4, 3, s->version,
                               "a GGUF version that is not known, only 2 and 3 are", "");
    if ((st = aios__scan_get(s, &n_tensors, 8, "tensor count")) != AIOS_OK) return st;
    if ((st = aios__scan_get(s, &n_keys, 8, "key count")) != AIOS_OK) return st;
    uint64_t rest = s->io->n_bytes - s->pos;
    if (n_tensors > rest / AIOS__MIN_TENSOR_BYTES)
        return aios__scan_bad(s, 8, rest / AIOS__MIN_TENSOR_BYTES, n_tensors,
                              "more tensors than the file can hold");
    if (n_keys > rest / AIOS__MIN_KEY_BYTES)
        return aios__scan_bad(s, 16, rest / AIOS__MIN_KEY_BYTES, n_keys,
                              "more keys than the file can hold");
    if (n_tensors > s->lim.max_tensors)
        return aios__scan_fail(s, AIOS_ERR_LIMIT, 8, s->lim.max_tensors, n_tensors,
                               "more tensors than limits.max_tensors allows", "");
    if (n_keys > s->lim.max_keys)
        return aios__scan_fail(s, AIOS_ERR_LIMIT, 16, s->lim.max_keys, n_keys,
                               "more keys than limits.max_keys allows", "");
    s->n_tensors = (uint32_t)n_tensors;
    s->n_keys = (uint32_t)n_keys;
    if (s->key && s->n_keys > s->max_keys) return aios__scan_changed(s);
    if (s->tensor && s->n_tensors > s->max_tensors) return aios__scan_changed(s);

    for (uint32_t i = 0; i < s->n_keys; i++)
        if ((st = aios__scan_key(s, i)) != AIOS_OK) return st;
    if (keys_only) return AIOS_OK;
    for (uint32_t i = 0; i < s->n_tensors; i++)
        if ((st = aios__scan_tensor(s, i)) != AIOS_OK) return st;

    if (s->n_tensors == 0) return AIOS_OK;
    s->kind = 't';
    s->index = s->far_index;
    s->n_name = s->n_far_name;
    memcpy(s->name, s->far_name, s->n_far_name);
    /* the data begins at the next multiple of the alignment; only now is it known where that is */
    s->data_off = s->pos + ((0 - s->pos) & (s->alignment - 1));
    if (s->data_off < s->pos || !aios__add(s->data_off, s->far_end, &reach) ||
        reach > s->io->n_bytes)
        return aios__scan_bad(s, s->far_off, s->io->n_bytes, s->data_off + s->far_end,
                              "its data lies outside the file");
    if (s->tensor)
        for (uint32_t i = 0; i < s->n_tensors; i++) s->tensor[i].off += s->data_off;
    return AIOS_OK;
}

/* The caller's limits with their defaults. lim: NULL or a whole struct (aios__desc_copy has been
 * there). */
static inline aios_limits aios__limits_of(const aios_limits *lim) {
    aios_limits l;
    aios_limits_init(&l);
    if (lim) l = *lim;
    if (!l.max_tensors) l.max_tensors = 65535;
    if (!l.max_keys) l.max_keys = 65535;
    if (!l.max_parts) l.max_parts = 256;
    if (!l.max_header_bytes) l.max_header_bytes = (uint64_t)1 << 30;
    if (!l.max_string_bytes) l.max_string_bytes = (uint64_t)1 << 20;
    if (!l.max_array_items) l.max_array_items = (uint64_t)1 << 24;
    if (!l.max_blocks) l.max_blocks = (uint64_t)1 << 24;
    return l;
}
static inline void aios__scan_init(aios__scan *s, const aios_io *io, uint32_t part,
                                   uint32_t n_parts, const aios_limits *lim, aios_error *err) {
    memset(s, 0, sizeof *s);
    s->io = io + part;
    s->part = part;
    s->n_parts = n_parts;
    s->err = err;
    s->lim = *lim;
    s->end = aios__min_u64(s->io->n_bytes, lim->max_header_bytes);
}
/* First pass over one part: reads through a window. Also for a part's header size, which is
 * s->pos afterwards. */
static inline aios_status aios__scan_windowed(aios__scan *s, int32_t keys_only) {
    uint8_t window[AIOS__WINDOW];
    s->window = window;
    aios_status st = aios__scan_part(s, keys_only);
    s->window = NULL;
    s->p = NULL;
    s->n = 0;
    return st;
}
/* Do the part's split.* keys agree with what the caller gave? */
static inline aios_status aios__scan_split(aios__scan *s) {
    s->kind = 'k';
    /* files merged again say 0 */
    if (s->n_parts == 1 && (s->look || s->split_count <= 1)) return AIOS_OK;
    s->n_name = 11;
    memcpy(s->name, "split.count", 11);
    if (!(s->has & AIOS__HAS_SPLIT_COUNT))
        return aios__scan_bad(s, 0, s->n_parts, 0, "is missing in a part of a split model");
    if (s->split_count != s->n_parts)
        return aios__scan_bad(s, s->split_count_off, s->n_parts, s->split_count,
                              "disagrees with the number of files given");
    s->n_name = 8;
    memcpy(s->name, "split.no", 8);
    if (!(s->has & AIOS__HAS_SPLIT_NO))
        return aios__scan_bad(s, 0, 0, 0, "is missing in a part of a split model");
    if (s->split_no != s->part)
        return aios__scan_bad(s, s->split_no_off, s->part, s->split_no,
                              "the parts are not in order");
    return AIOS_OK;
}

/* ---- the two passes ---- */

/* Reads and checks the headers of all parts through a page of stack; takes no memory. io:
 * [n_parts], n_parts >= 1. *out is what aios__gguf_load needs and will hold to. look: for
 * aios__scan. */
static inline aios_status aios__gguf_measure(const aios_io *io, uint32_t n_parts,
                                             const aios_limits *lim, int32_t look,
                                             aios__gguf_size *out, aios_error *err) {
    aios_limits l = aios__limits_of(lim);
    uint64_t split_tensors = 0, split_tensors_off = 0;
    uint32_t has_split_tensors = 0;
    aios__scan s;
    aios_status st;

    memset(out, 0, sizeof *out);
    if (n_parts < 1)
        return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF, "a model has at least one file");
    if (n_parts > l.max_parts)
        return aios__fail2(err, AIOS_ERR_LIMIT, AIOS__NO_OFF, l.max_parts, n_parts,
                           "% files are more than limits.max_parts, %, allows", aios__u(n_parts),
                           aios__u(l.max_parts));
    out->n_parts = n_parts;
    for (uint32_t i = 0; i < n_parts; i++) {
        aios__scan_init(&s, io, i, n_parts, &l, err);
        s.look = look;
        if ((st = aios__scan_windowed(&s, 0)) != AIOS_OK) return st;
        if ((st = aios__scan_split(&s)) != AIOS_OK) return st;
        if (i == 0) {
            out->version = s.version;
            out->n_keys = s.n_keys;
            out->n_tokens = s.n_tokens;
            out->n_merges = s.n_merges;
            out->token_bytes = s.token_bytes;
            has_split_tensors = s.has & AIOS__HAS_SPLIT_TENSORS;
            split_tensors = s.split_tensors;
            split_tensors_off = s.split_tensors_off;
        }
        out->n_tensors += s.n_tensors;
        out->header_bytes += s.pos;
        if (!aios__io_map(io + i, 0, s.pos)) out->held_bytes += s.pos;
        l.max_tensors -= s.n_tensors;
        l.max_header_bytes -= s.pos;
    }
    if (has_split_tensors && split_tensors != out->n_tensors && !(look && n_parts == 1)) {
        aios__scan_init(&s, io, 0, n_parts, &l, err);
        s.kind = 'k';
        s.n_name = 19;
        memcpy(s.name, "split.tensors.count", 19);
        return aios__scan_bad(&s, split_tensors_off, out->n_tensors, split_tensors,
                              "disagrees with the tensors that are there");
    }
    return AIOS_OK;
}

/* Orders for aios__sort. Ties go by index, so that there are none. */
enum { AIOS__BY_KEY, AIOS__BY_TENSOR, AIOS__BY_PLACE };
static inline int32_t aios__before(const aios__gguf *g, int32_t by, uint32_t a, uint32_t b) {
    int32_t c = 0;
    if (by == AIOS__BY_KEY)
        c = aios__name_cmp(g->key[a].name, g->key[b].name);
    else if (by == AIOS__BY_TENSOR)
        c = aios__name_cmp(g->tensor[a].name, g->tensor[b].name);
    else {
        const aios__tensor *x = &g->tensor[a], *y = &g->tensor[b];
        if (x->part != y->part) return x->part < y->part;
        if (x->off != y->off) return x->off < y->off;
    }
    return c ? c < 0 : a < b;
}
/* Heap sort of the indices 0 .. n-1: in place, no recursion, n log n whatever the names are. */
static inline void aios__sort(const aios__gguf *g, int32_t by, uint32_t *v, uint32_t n) {
    uint32_t start = n / 2, end = n;
    for (uint32_t i = 0; i < n; i++) v[i] = i;
    while (end > 1) {
        uint32_t root, child, x;
        if (start > 0)
            x = v[--start]; /* build the heap */
        else {
            x = v[--end];
            v[end] = v[0];
        } /* take the last one off it */
        for (root = start; (child = 2 * root + 1) < end; root = child) {
            if (child + 1 < end && aios__before(g, by, v[child], v[child + 1])) child++;
            if (!aios__before(g, by, x, v[child])) break;
            v[root] = v[child];
        }
        v[root] = x;
    }
}

/* What only all entries together show: names that are there twice, tensors that share bytes.
 * Leaves both indices sorted. */
static inline aios_status aios__gguf_index(aios__gguf *g, aios_error *err) {
    aios__sort(g, AIOS__BY_KEY, g->key_by_name, g->n_keys);
    for (uint32_t i = 1; i < g->n_keys; i++) {
        const aios__key *a = &g->key[g->key_by_name[i - 1]], *b = &g->key[g->key_by_name[i]];
        if (aios__name_cmp(a->name, b->name) == 0)
            return aios__fail2(err, AIOS_ERR_FORMAT, aios__key_entry_off(b), aios__key_entry_off(a),
                               aios__key_entry_off(b), "key '%': is there twice, first at byte %",
                               aios__s(b->name), aios__u(aios__key_entry_off(a)));
    }
    aios__sort(g, AIOS__BY_PLACE, g->tensor_by_name, g->n_tensors);
    for (uint32_t i = 1; i <= g->n_tensors; i++) {
        aios__tensor *a = &g->tensor[g->tensor_by_name[i - 1]],
                     *b = i < g->n_tensors ? &g->tensor[g->tensor_by_name[i]] : NULL;
        if (b && b->part != a->part) b = NULL;
        /* of a type that is not known: the room there is */
        if (!a->n_bytes) a->n_bytes = (b ? b->off : g->io[a->part].n_bytes) - a->off;
        if (b && (!a->n_bytes || a->off + a->n_bytes > b->off))
            return aios__fail2(err, AIOS_ERR_FORMAT, aios__tensor_type_off(b) + 4,
                               a->off + a->n_bytes, b->off,
                               "tensor '%': its data overlaps that of '%'", aios__s(b->name),
                               aios__s(a->name));
    }
    aios__sort(g, AIOS__BY_TENSOR, g->tensor_by_name, g->n_tensors);
    for (uint32_t i = 1; i < g->n_tensors; i++) {
        const aios__tensor *a = &g->tensor[g->tensor_by_name[i - 1]],
                           *b = &g->tensor[g->tensor_by_name[i]];
        if (aios__name_cmp(a->name, b->name) == 0)
            return aios__fail2(err, AIOS_ERR_FORMAT, b->dir_off, a->dir_off, b->dir_off,
                               "tensor '%': is there twice, first at byte %", aios__s(b->name),
                               aios__u(a->dir_off));
    }
    return AIOS_OK;
}

static inline uint64_t aios__fnv64(uint64_t hash, const uint8_t *p, uint64_t n) { /* FNV-1a */
    uint64_t i;
    for (i = 0; i < n; i++) hash = (hash ^ p[i]) * 0x100000001b3u;
    return hash;
}

/* Takes memory for keys, directory and such header bytes as are not mapped, and fills *g. With
 * mem->base NULL nothing is read and only mem->used moves, by what the real call takes. io and
 * the mapped bytes must outlive g. */
static inline aios_status aios__gguf_load(aios__gguf *g, aios__bump *mem, const aios_io *io,
                                          uint32_t n_parts, const aios_limits *lim, int32_t look,
                                          const aios__gguf_size *size, aios_error *err) {
    aios_limits l = aios__limits_of(lim);
    uint64_t held = 0, n_tokens = 0, n_merges = 0, token_bytes = 0;
    uint32_t n_tensors = 0;
    aios__scan s;
    aios_status st = AIOS_OK;

    memset(g, 0, sizeof *g);
    g->io = io;
    g->version = size->version;
    g->n_parts = n_parts;
    g->n_keys = size->n_keys;
    g->n_tensors = size->n_tensors;
    g->key = (aios__key *)aios__take(mem, (uint64_t)size->n_keys * sizeof(aios__key), 8);
    g->tensor =
        (aios__tensor *)aios__take(mem, (uint64_t)size->n_tensors * sizeof(aios__tensor), 8);
    g->key_by_name = (uint32_t *)aios__take(mem, (uint64_t)size->n_keys * 4, 8);
    g->tensor_by_name = (uint32_t *)aios__take(mem, (uint64_t)size->n_tensors * 4, 8);
    uint8_t *header = (uint8_t *)aios__take(mem, size->held_bytes, 8);
    if (!mem->base) return AIOS_OK;

    g->hash = 0xcbf29ce484222325u;
    for (uint32_t part = 0; part < n_parts && st == AIOS_OK; part++) {
        const uint8_t *p;
        aios__scan_init(&s, io, part, n_parts, &l, err);
        s.look = look;
        uint64_t h = size->header_bytes;
        if (n_parts > 1) { /* only the sum is known: measure this one again */
            if ((st = aios__scan_windowed(&s, 0)) != AIOS_OK) break;
            h = s.pos;
            aios__scan_init(&s, io, part, n_parts, &l, err);
            s.look = look;
        }
        s.kind = 'h';
        p = (const uint8_t *)aios__io_map(io + part, 0, h);
        if (!p) {
            if (h > size->held_bytes - held) {
                st = aios__scan_changed(&s);
                break;
            }
            if ((st = aios__io_read(io + part, 0, header + held, h, err)) != AIOS_OK) break;
            p = header + held;
            held += h;
        }
        s.p = p;
        s.n = h;
        s.end = h;
        s.key = part == 0 ? g->key : NULL;
        s.tensor = g->tensor + n_tensors;
        s.max_keys = g->n_keys;
        s.max_tensors = g->n_tensors - n_tensors;
        if (h > s.io->n_bytes || h > l.max_header_bytes) {
            st = aios__scan_changed(&s);
            break;
        }
        if ((st = aios__scan_part(&s, 0)) != AIOS_OK) break;
        if ((st = aios__scan_split(&s)) != AIOS_OK) break;
        if (s.pos != h || (part == 0 && (s.n_keys != g->n_keys || s.version != g->version))) {
            st = aios__scan_changed(&s);
            break;
        }
        if (part == 0) {
            n_tokens = s.n_tokens;
            n_merges = s.n_merges;
            token_bytes = s.token_bytes;
        }
        n_tensors += s.n_tensors;
        g->header_bytes += h;
        l.max_tensors -= s.n_tensors;
        l.max_header_bytes -= h;
        g->hash = aios__fnv64(g->hash, p, h);
    }
    if (st == AIOS_OK && (g->header_bytes != size->header_bytes || n_tensors != size->n_tensors ||
                          held != size->held_bytes || n_tokens != size->n_tokens ||
                          n_merges != size->n_merges || token_bytes != size->token_bytes))
        st = aios__fail(err, AIOS_ERR_IO, 0, "header: the file changed while it was being read");
    if (st == AIOS_OK) st = aios__gguf_index(g, err);
    if (st != AIOS_OK) {
        memset(g, 0, sizeof *g);
        return st;
    }
    for (uint64_t i = 0; i < g->n_tensors; i++) {
        const aios__tensor *t = &g->tensor[i];
        g->tensor_bytes += t->n_bytes;
        g->n_params += t->n[0] * t->n[1] * t->n[2] * t->n[3];
    }
    return AIOS_OK;
}

/* ---- split models ---- */

/* How many files the model of which this is one consists of (1 when it does not say), and which
 * of them it is. Reads and checks its keys only. */
static inline aios_status aios__gguf_split_count(const aios_io *io, const aios_limits *lim,
                                                 uint32_t *n, uint64_t *no, aios_error *err) {
    aios_limits l = aios__limits_of(lim);
    aios__scan s;
    aios_status st;
    *n = 1;
    *no = 0;
    aios__scan_init(&s, io, 0, 1, &l, err);
    if ((st = aios__scan_windowed(&s, 1)) != AIOS_OK) return st;
    if (s.split_count > l.max_parts) {
        s.kind = 'k';
        s.n_name = 11;
        memcpy(s.name, "split.count", 11);
        return aios__scan_fail(&s, AIOS_ERR_LIMIT, s.split_count_off, l.max_parts, s.split_count,
                               "more files than limits.max_parts allows", "");
    }
    if (s.split_count > 1) {
        *n = (uint32_t)s.split_count;
        *no = s.split_no;
    }
    return AIOS_OK;
}
/* The path of part i (from 0) of n, from the path of any part: "dir/m-00001-of-00003.gguf" gives
 * "dir/m-00002-of-00003.gguf". 1 = done; 0 = the path is not named like that, says another n, or
 * cap is too small (out is then empty). */
static inline int32_t aios__split_name(const char *path, uint32_t i, uint32_t n, char *out,
                                       uint64_t cap) {
    static const char shape[] = "-#####-of-#####.gguf";
    uint64_t len = strlen(path), m = sizeof shape - 1;
    uint32_t count = 0, no = i + 1;
    if (cap) out[0] = 0;
    if (len < m || len >= cap || i >= n || n > 99999) return 0;
    const char *p = path + (len - m);
    for (uint64_t j = 0; j < m; j++)
        if (shape[j] == '#' ? p[j] < '0' || p[j] > '9' : p[j] != shape[j]) return 0;
    for (uint64_t j = 10; j < 15; j++) count = count * 10 + (uint32_t)(p[j] - '0');
    if (count != n) return 0;
    memcpy(out, path, (size_t)len + 1);
    for (uint64_t j = 5; j >= 1; j--, no /= 10) out[len - m + j] = (char)('0' + no % 10);
    return 1;
}

AIOS__SMALL_END

/* ======== text/unicode.h ======== */
/* unicode.h: what the pre-tokenizers need of Unicode: the first letter of the general category and White_Space.
 * Unicode 15.1. Tables only; char.c looks things up. The tables below were written by a script from the Unicode
 * character data and are not edited by hand. */
#ifndef AIOS__UNICODE_H
#define AIOS__UNICODE_H

/* Other: controls, formats, surrogates, private use and unassigned. Space wins over the category (U+0085 is a control). */
enum { AIOS__C_OTHER = 0, AIOS__C_LETTER, AIOS__C_NUMBER, AIOS__C_PUNCT, AIOS__C_SYMBOL, AIOS__C_MARK, AIOS__C_SPACE, AIOS__C_END };

/* Classes of U+0000 .. U+007F. */
static const uint8_t aios__ascii_class[128] = {
    0,0,0,0,0,0,0,0,0,6,6,6,6,6,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,
    6,3,3,3,4,3,3,3,3,3,3,4,3,3,3,3,2,2,2,2,2,2,2,2,2,2,3,3,4,4,4,3,
    3,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,3,3,3,4,3,
    4,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,3,4,3,4,0,
};

/* Runs of one class: first code point << 3 | class, a run ends where the next begins. In pages of 2^13 code points, of which 16 bits hold the lower
 * 13; aios__class_page[i] is the first run of page i, which begins with the page. */
static const uint16_t aios__class_page[137] = {
    0, 810, 1008, 1011, 1012, 1013, 1164, 1170, 1262, 1786, 1803, 1806, 1860, 1866, 1897, 2012, 2223, 2224, 2225, 2226,
    2227, 2228, 2235, 2238, 2244, 2247, 2249, 2250, 2251, 2252, 2253, 2254, 2255, 2256, 2257, 2258, 2259, 2260, 2261,
    2262, 2263, 2264, 2265, 2266, 2267, 2268, 2269, 2270, 2271, 2272, 2273, 2274, 2275, 2276, 2277, 2278, 2279, 2280,
    2281, 2282, 2283, 2284, 2285, 2286, 2287, 2288, 2289, 2290, 2291, 2292, 2293, 2294, 2295, 2296, 2297, 2298, 2299,
    2300, 2301, 2302, 2303, 2304, 2305, 2306, 2307, 2308, 2309, 2310, 2311, 2312, 2313, 2314, 2315, 2316, 2317, 2318,
    2319, 2320, 2321, 2322, 2323, 2324, 2325, 2326, 2327, 2328, 2329, 2330, 2331, 2332, 2333, 2334, 2335, 2338, 2339,
    2340, 2341, 2342, 2343, 2344, 2345, 2346, 2347, 2348, 2349, 2350, 2351, 2352, 2353, 2354, 2355, 2356, 2357, 2358,
    2359, 2360, 2361,
};
static const uint16_t aios__class_run[2361] = {
    0x0, 0x42e, 0x430, 0x506, 0x50b, 0x514, 0x53b, 0x544, 0x551, 0x55b, 0x564, 0x568, 0x574, 0x592, 0x5a4, 0x5a9, 0x5b3,
    0x5c4, 0x5ca, 0x5d1, 0x5db, 0x5e2, 0x5fb, 0x601, 0x6bc, 0x6c1, 0x7bc, 0x7c1, 0x1614, 0x1631, 0x1694, 0x1701, 0x172c,
    0x1761, 0x176c, 0x1771, 0x177c, 0x1805, 0x1b81, 0x1bac, 0x1bb1, 0x1bc0, 0x1bd1, 0x1bf3, 0x1bf9, 0x1c00, 0x1c24,
    0x1c31, 0x1c3b, 0x1c41, 0x1c58, 0x1c61, 0x1c68, 0x1c71, 0x1d10, 0x1d19, 0x1fb4, 0x1fb9, 0x2414, 0x241d, 0x2451,
    0x2980, 0x2989, 0x2ab8, 0x2ac9, 0x2ad3, 0x2b01, 0x2c4b, 0x2c58, 0x2c6c, 0x2c80, 0x2c8d, 0x2df3, 0x2dfd, 0x2e03,
    0x2e0d, 0x2e1b, 0x2e25, 0x2e33, 0x2e3d, 0x2e40, 0x2e81, 0x2f58, 0x2f79, 0x2f9b, 0x2fa8, 0x3034, 0x304b, 0x305c,
    0x3063, 0x3074, 0x3085, 0x30db, 0x30e0, 0x30eb, 0x3101, 0x325d, 0x3302, 0x3353, 0x3371, 0x3385, 0x3389, 0x36a3,
    0x36a9, 0x36b5, 0x36e8, 0x36f4, 0x36fd, 0x3729, 0x373d, 0x374c, 0x3755, 0x3771, 0x3782, 0x37d1, 0x37ec, 0x37f9,
    0x3803, 0x3870, 0x3881, 0x388d, 0x3891, 0x3985, 0x3a58, 0x3a69, 0x3d35, 0x3d89, 0x3d90, 0x3e02, 0x3e51, 0x3f5d,
    0x3fa1, 0x3fb4, 0x3fbb, 0x3fd1, 0x3fd8, 0x3fed, 0x3ff4, 0x4001, 0x40b5, 0x40d1, 0x40dd, 0x4121, 0x412d, 0x4141,
    0x414d, 0x4170, 0x4183, 0x41f8, 0x4201, 0x42cd, 0x42e0, 0x42f3, 0x42f8, 0x4301, 0x4358, 0x4381, 0x4444, 0x4449,
    0x4478, 0x44c5, 0x4501, 0x4655, 0x4710, 0x471d, 0x4821, 0x49d5, 0x49e9, 0x49f5, 0x4a81, 0x4a8d, 0x4ac1, 0x4b15,
    0x4b23, 0x4b32, 0x4b83, 0x4b89, 0x4c0d, 0x4c20, 0x4c29, 0x4c68, 0x4c79, 0x4c88, 0x4c99, 0x4d48, 0x4d51, 0x4d88,
    0x4d91, 0x4d98, 0x4db1, 0x4dd0, 0x4de5, 0x4de9, 0x4df5, 0x4e28, 0x4e3d, 0x4e48, 0x4e5d, 0x4e71, 0x4e78, 0x4ebd,
    0x4ec0, 0x4ee1, 0x4ef0, 0x4ef9, 0x4f15, 0x4f20, 0x4f32, 0x4f81, 0x4f94, 0x4fa2, 0x4fd4, 0x4fe1, 0x4feb, 0x4ff5,
    0x4ff8, 0x500d, 0x5020, 0x5029, 0x5058, 0x5079, 0x5088, 0x5099, 0x5148, 0x5151, 0x5188, 0x5191, 0x51a0, 0x51a9,
    0x51b8, 0x51c1, 0x51d0, 0x51e5, 0x51e8, 0x51f5, 0x5218, 0x523d, 0x5248, 0x525d, 0x5270, 0x528d, 0x5290, 0x52c9,
    0x52e8, 0x52f1, 0x52f8, 0x5332, 0x5385, 0x5391, 0x53ad, 0x53b3, 0x53b8, 0x540d, 0x5420, 0x5429, 0x5470, 0x5479,
    0x5490, 0x5499, 0x5548, 0x5551, 0x5588, 0x5591, 0x55a0, 0x55a9, 0x55d0, 0x55e5, 0x55e9, 0x55f5, 0x5630, 0x563d,
    0x5650, 0x565d, 0x5670, 0x5681, 0x5688, 0x5701, 0x5715, 0x5720, 0x5732, 0x5783, 0x578c, 0x5790, 0x57c9, 0x57d5,
    0x5800, 0x580d, 0x5820, 0x5829, 0x5868, 0x5879, 0x5888, 0x5899, 0x5948, 0x5951, 0x5988, 0x5991, 0x59a0, 0x59a9,
    0x59d0, 0x59e5, 0x59e9, 0x59f5, 0x5a28, 0x5a3d, 0x5a48, 0x5a5d, 0x5a70, 0x5aad, 0x5ac0, 0x5ae1, 0x5af0, 0x5af9,
    0x5b15, 0x5b20, 0x5b32, 0x5b84, 0x5b89, 0x5b92, 0x5bc0, 0x5c15, 0x5c19, 0x5c20, 0x5c29, 0x5c58, 0x5c71, 0x5c88,
    0x5c91, 0x5cb0, 0x5cc9, 0x5cd8, 0x5ce1, 0x5ce8, 0x5cf1, 0x5d00, 0x5d19, 0x5d28, 0x5d41, 0x5d58, 0x5d71, 0x5dd0,
    0x5df5, 0x5e18, 0x5e35, 0x5e48, 0x5e55, 0x5e70, 0x5e81, 0x5e88, 0x5ebd, 0x5ec0, 0x5f32, 0x5f9c, 0x5fd8, 0x6005,
    0x6029, 0x6068, 0x6071, 0x6088, 0x6091, 0x6148, 0x6151, 0x61d0, 0x61e5, 0x61e9, 0x61f5, 0x6228, 0x6235, 0x6248,
    0x6255, 0x6270, 0x62ad, 0x62b8, 0x62c1, 0x62d8, 0x62e9, 0x62f0, 0x6301, 0x6315, 0x6320, 0x6332, 0x6380, 0x63bb,
    0x63c2, 0x63fc, 0x6401, 0x640d, 0x6423, 0x6429, 0x6468, 0x6471, 0x6488, 0x6491, 0x6548, 0x6551, 0x65a0, 0x65a9,
    0x65d0, 0x65e5, 0x65e9, 0x65f5, 0x6628, 0x6635, 0x6648, 0x6655, 0x6670, 0x66ad, 0x66b8, 0x66e9, 0x66f8, 0x6701,
    0x6715, 0x6720, 0x6732, 0x6780, 0x6789, 0x679d, 0x67a0, 0x6805, 0x6821, 0x6868, 0x6871, 0x6888, 0x6891, 0x69dd,
    0x69e9, 0x69f5, 0x6a28, 0x6a35, 0x6a48, 0x6a55, 0x6a71, 0x6a7c, 0x6a80, 0x6aa1, 0x6abd, 0x6ac2, 0x6af9, 0x6b15,
    0x6b20, 0x6b32, 0x6bcc, 0x6bd1, 0x6c00, 0x6c0d, 0x6c20, 0x6c29, 0x6cb8, 0x6cd1, 0x6d90, 0x6d99, 0x6de0, 0x6de9,
    0x6df0, 0x6e01, 0x6e38, 0x6e55, 0x6e58, 0x6e7d, 0x6ea8, 0x6eb5, 0x6eb8, 0x6ec5, 0x6f00, 0x6f32, 0x6f80, 0x6f95,
    0x6fa3, 0x6fa8, 0x7009, 0x718d, 0x7191, 0x71a5, 0x71d8, 0x71fc, 0x7201, 0x723d, 0x727b, 0x7282, 0x72d3, 0x72e0,
    0x7409, 0x7418, 0x7421, 0x7428, 0x7431, 0x7458, 0x7461, 0x7520, 0x7529, 0x7530, 0x7539, 0x758d, 0x7591, 0x75a5,
    0x75e9, 0x75f0, 0x7601, 0x7628, 0x7631, 0x7638, 0x7645, 0x7678, 0x7682, 0x76d0, 0x76e1, 0x7700, 0x7801, 0x780c,
    0x7823, 0x789c, 0x78a3, 0x78ac, 0x78c5, 0x78d4, 0x7902, 0x79a4, 0x79ad, 0x79b4, 0x79bd, 0x79c4, 0x79cd, 0x79d3,
    0x79f5, 0x7a01, 0x7a40, 0x7a49, 0x7b68, 0x7b8d, 0x7c2b, 0x7c35, 0x7c41, 0x7c6d, 0x7cc0, 0x7ccd, 0x7de8, 0x7df4,
    0x7e35, 0x7e3c, 0x7e68, 0x7e74, 0x7e83, 0x7eac, 0x7ecb, 0x7ed8, 0x8001, 0x815d, 0x81f9, 0x8202, 0x8253, 0x8281,
    0x82b5, 0x82d1, 0x82f5, 0x8309, 0x8315, 0x8329, 0x833d, 0x8371, 0x838d, 0x83a9, 0x8415, 0x8471, 0x847d, 0x8482,
    0x84d5, 0x84f4, 0x8501, 0x8630, 0x8639, 0x8640, 0x8669, 0x8670, 0x8681, 0x87db, 0x87e1, 0x9248, 0x9251, 0x9270,
    0x9281, 0x92b8, 0x92c1, 0x92c8, 0x92d1, 0x92f0, 0x9301, 0x9448, 0x9451, 0x9470, 0x9481, 0x9588, 0x9591, 0x95b0,
    0x95c1, 0x95f8, 0x9601, 0x9608, 0x9611, 0x9630, 0x9641, 0x96b8, 0x96c1, 0x9888, 0x9891, 0x98b0, 0x98c1, 0x9ad8,
    0x9aed, 0x9b03, 0x9b4a, 0x9be8, 0x9c01, 0x9c84, 0x9cd0, 0x9d01, 0x9fb0, 0x9fc1, 0x9ff0, 0xa003, 0xa009, 0xb36c,
    0xb373, 0xb379, 0xb406, 0xb409, 0xb4db, 0xb4e8, 0xb501, 0xb75b, 0xb772, 0xb789, 0xb7c8, 0xb801, 0xb895, 0xb8b0,
    0xb8f9, 0xb995, 0xb9ab, 0xb9b8, 0xba01, 0xba95, 0xbaa0, 0xbb01, 0xbb68, 0xbb71, 0xbb88, 0xbb95, 0xbba0, 0xbc01,
    0xbda5, 0xbea3, 0xbeb9, 0xbec3, 0xbedc, 0xbee1, 0xbeed, 0xbef0, 0xbf02, 0xbf50, 0xbf82, 0xbfd0, 0xc003, 0xc05d,
    0xc070, 0xc07d, 0xc082, 0xc0d0, 0xc101, 0xc3c8, 0xc401, 0xc42d, 0xc439, 0xc54d, 0xc551, 0xc558, 0xc581, 0xc7b0,
    0xc801, 0xc8f8, 0xc905, 0xc960, 0xc985, 0xc9e0, 0xca04, 0xca08, 0xca23, 0xca32, 0xca81, 0xcb70, 0xcb81, 0xcba8,
    0xcc01, 0xcd60, 0xcd81, 0xce50, 0xce82, 0xced8, 0xcef4, 0xd001, 0xd0bd, 0xd0e0, 0xd0f3, 0xd101, 0xd2ad, 0xd2f8,
    0xd305, 0xd3e8, 0xd3fd, 0xd402, 0xd450, 0xd482, 0xd4d0, 0xd503, 0xd539, 0xd543, 0xd570, 0xd585, 0xd678, 0xd805,
    0xd829, 0xd9a5, 0xda29, 0xda68, 0xda82, 0xdad3, 0xdb0c, 0xdb5d, 0xdba4, 0xdbeb, 0xdbf8, 0xdc05, 0xdc19, 0xdd0d,
    0xdd71, 0xdd82, 0xddd1, 0xdf35, 0xdfa0, 0xdfe3, 0xe001, 0xe125, 0xe1c0, 0xe1db, 0xe202, 0xe250, 0xe269, 0xe282,
    0xe2d1, 0xe3f3, 0xe401, 0xe448, 0xe481, 0xe5d8, 0xe5e9, 0xe603, 0xe640, 0xe685, 0xe69b, 0xe6a5, 0xe749, 0xe76d,
    0xe771, 0xe7a5, 0xe7a9, 0xe7bd, 0xe7d1, 0xe7d8, 0xe801, 0xee05, 0xf001, 0xf8b0, 0xf8c1, 0xf8f0, 0xf901, 0xfa30,
    0xfa41, 0xfa70, 0xfa81, 0xfac0, 0xfac9, 0xfad0, 0xfad9, 0xfae0, 0xfae9, 0xfaf0, 0xfaf9, 0xfbf0, 0xfc01, 0xfda8,
    0xfdb1, 0xfdec, 0xfdf1, 0xfdfc, 0xfe11, 0xfe28, 0xfe31, 0xfe6c, 0xfe81, 0xfea0, 0xfeb1, 0xfee0, 0xfeec, 0xff01,
    0xff6c, 0xff80, 0xff91, 0xffa8, 0xffb1, 0xffec, 0xfff8, 0x6, 0x58, 0x83, 0x146, 0x150, 0x17e, 0x183, 0x224, 0x22b,
    0x294, 0x29b, 0x2fe, 0x300, 0x382, 0x389, 0x390, 0x3a2, 0x3d4, 0x3eb, 0x3f9, 0x402, 0x454, 0x46b, 0x478, 0x481,
    0x4e8, 0x504, 0x608, 0x685, 0x788, 0x804, 0x811, 0x81c, 0x839, 0x844, 0x851, 0x8a4, 0x8a9, 0x8b4, 0x8c9, 0x8f4,
    0x921, 0x92c, 0x931, 0x93c, 0x941, 0x94c, 0x951, 0x974, 0x979, 0x9d4, 0x9e1, 0xa04, 0xa29, 0xa54, 0xa71, 0xa7c,
    0xa82, 0xc19, 0xc2a, 0xc54, 0xc60, 0xc84, 0x1843, 0x1864, 0x194b, 0x195c, 0x2138, 0x2204, 0x2258, 0x2302, 0x24e4,
    0x2752, 0x2804, 0x3b43, 0x3bb2, 0x3ca4, 0x3e2b, 0x3e3c, 0x3f33, 0x3f84, 0x4c1b, 0x4ccc, 0x4ec3, 0x4ee4, 0x4fe3,
    0x4ff4, 0x5ba0, 0x5bb4, 0x5cb0, 0x5cbc, 0x6001, 0x672c, 0x6759, 0x677d, 0x6791, 0x67a0, 0x67cb, 0x67ea, 0x67f3,
    0x6801, 0x6930, 0x6939, 0x6940, 0x6969, 0x6970, 0x6981, 0x6b40, 0x6b79, 0x6b83, 0x6b88, 0x6bfd, 0x6c01, 0x6cb8,
    0x6d01, 0x6d38, 0x6d41, 0x6d78, 0x6d81, 0x6db8, 0x6dc1, 0x6df8, 0x6e01, 0x6e38, 0x6e41, 0x6e78, 0x6e81, 0x6eb8,
    0x6ec1, 0x6ef8, 0x6f05, 0x7003, 0x7179, 0x7183, 0x7284, 0x7293, 0x72f0, 0x7404, 0x74d0, 0x74dc, 0x77a0, 0x7804,
    0x7eb0, 0x7f84, 0x8006, 0x800b, 0x8024, 0x8029, 0x803a, 0x8043, 0x8094, 0x80a3, 0x8104, 0x810a, 0x8155, 0x8183,
    0x8189, 0x81b4, 0x81c2, 0x81d9, 0x81eb, 0x81f4, 0x8200, 0x8209, 0x84b8, 0x84cd, 0x84dc, 0x84e9, 0x8503, 0x8509,
    0x87db, 0x87e1, 0x8800, 0x8829, 0x8980, 0x8989, 0x8c78, 0x8c84, 0x8c92, 0x8cb4, 0x8d01, 0x8e04, 0x8f20, 0x8f7c,
    0x8f81, 0x9004, 0x90f8, 0x9102, 0x9154, 0x9242, 0x9284, 0x928a, 0x9304, 0x9402, 0x9454, 0x958a, 0x9604, 0xa001, 0x1,
    0x6e04, 0x7001, 0x1, 0x1, 0x1, 0x2468, 0x2484, 0x2638, 0x2681, 0x27f3, 0x2801, 0x306b, 0x3081, 0x3102, 0x3151,
    0x3160, 0x3201, 0x337d, 0x339b, 0x33a5, 0x33f3, 0x33f9, 0x34f5, 0x3501, 0x3732, 0x3785, 0x3793, 0x37c0, 0x3804,
    0x38b9, 0x3904, 0x3911, 0x3c4c, 0x3c59, 0x3e58, 0x3e81, 0x3e90, 0x3e99, 0x3ea0, 0x3ea9, 0x3ed0, 0x3f91, 0x4015,
    0x4019, 0x4035, 0x4039, 0x405d, 0x4061, 0x411d, 0x4144, 0x4165, 0x4168, 0x4182, 0x41b4, 0x41d0, 0x4201, 0x43a3,
    0x43c0, 0x4405, 0x4411, 0x45a5, 0x4630, 0x4673, 0x4682, 0x46d0, 0x4705, 0x4791, 0x47c3, 0x47d9, 0x47e3, 0x47e9,
    0x47fd, 0x4802, 0x4851, 0x4935, 0x4973, 0x4981, 0x4a3d, 0x4aa0, 0x4afb, 0x4b01, 0x4be8, 0x4c05, 0x4c21, 0x4d9d,
    0x4e0b, 0x4e70, 0x4e79, 0x4e82, 0x4ed0, 0x4ef3, 0x4f01, 0x4f2d, 0x4f31, 0x4f82, 0x4fd1, 0x4ff8, 0x5001, 0x514d,
    0x51b8, 0x5201, 0x521d, 0x5221, 0x5265, 0x5270, 0x5282, 0x52d0, 0x52e3, 0x5301, 0x53bc, 0x53d1, 0x53dd, 0x53f1,
    0x5585, 0x5589, 0x5595, 0x55a9, 0x55bd, 0x55c9, 0x55f5, 0x5601, 0x560d, 0x5611, 0x5618, 0x56d9, 0x56f3, 0x5701,
    0x575d, 0x5783, 0x5791, 0x57ad, 0x57b8, 0x5809, 0x5838, 0x5849, 0x5878, 0x5889, 0x58b8, 0x5901, 0x5938, 0x5941,
    0x5978, 0x5981, 0x5adc, 0x5ae1, 0x5b54, 0x5b60, 0x5b81, 0x5f1d, 0x5f5b, 0x5f65, 0x5f70, 0x5f82, 0x5fd0, 0x6001, 0x1,
    0xbd20, 0xbd81, 0xbe38, 0xbe59, 0xbfe0, 0x0, 0xc801, 0xd370, 0xd381, 0xd6d0, 0xd801, 0xd838, 0xd899, 0xd8c0, 0xd8e9,
    0xd8f5, 0xd8f9, 0xd94c, 0xd951, 0xd9b8, 0xd9c1, 0xd9e8, 0xd9f1, 0xd9f8, 0xda01, 0xda10, 0xda19, 0xda28, 0xda31,
    0xdd94, 0xde18, 0xde99, 0xe9f3, 0xea04, 0xea81, 0xec80, 0xec91, 0xee40, 0xee7c, 0xee80, 0xef81, 0xefe4, 0xf005,
    0xf083, 0xf0d0, 0xf105, 0xf183, 0xf298, 0xf2a3, 0xf314, 0xf31b, 0xf324, 0xf338, 0xf343, 0xf34c, 0xf353, 0xf360,
    0xf381, 0xf3a8, 0xf3b1, 0xf7e8, 0xf80b, 0xf824, 0xf82b, 0xf85c, 0xf863, 0xf882, 0xf8d3, 0xf8e4, 0xf8fb, 0xf909,
    0xf9db, 0xf9f4, 0xf9fb, 0xfa04, 0xfa09, 0xfadb, 0xfae4, 0xfaeb, 0xfaf4, 0xfafb, 0xfb31, 0xfdf8, 0xfe11, 0xfe40,
    0xfe51, 0xfe80, 0xfe91, 0xfec0, 0xfed1, 0xfee8, 0xff04, 0xff38, 0xff44, 0xff78, 0xffe4, 0xfff0, 0x1, 0x60, 0x69,
    0x138, 0x141, 0x1d8, 0x1e1, 0x1f0, 0x1f9, 0x270, 0x281, 0x2f0, 0x401, 0x7d8, 0x803, 0x818, 0x83a, 0x9a0, 0x9bc,
    0xa02, 0xbcc, 0xc52, 0xc64, 0xc78, 0xc84, 0xce8, 0xd04, 0xd08, 0xe84, 0xfed, 0xff0, 0x1401, 0x14e8, 0x1501, 0x1688,
    0x1705, 0x170a, 0x17e0, 0x1801, 0x1902, 0x1920, 0x1969, 0x1a0a, 0x1a11, 0x1a52, 0x1a58, 0x1a81, 0x1bb5, 0x1bd8,
    0x1c01, 0x1cf0, 0x1cfb, 0x1d01, 0x1e20, 0x1e41, 0x1e83, 0x1e8a, 0x1eb0, 0x2001, 0x24f0, 0x2502, 0x2550, 0x2581,
    0x26a0, 0x26c1, 0x27e0, 0x2801, 0x2940, 0x2981, 0x2b20, 0x2b7b, 0x2b81, 0x2bd8, 0x2be1, 0x2c58, 0x2c61, 0x2c98,
    0x2ca1, 0x2cb0, 0x2cb9, 0x2d10, 0x2d19, 0x2d90, 0x2d99, 0x2dd0, 0x2dd9, 0x2de8, 0x3001, 0x39b8, 0x3a01, 0x3ab0,
    0x3b01, 0x3b40, 0x3c01, 0x3c30, 0x3c39, 0x3d88, 0x3d91, 0x3dd8, 0x4001, 0x4030, 0x4041, 0x4048, 0x4051, 0x41b0,
    0x41b9, 0x41c8, 0x41e1, 0x41e8, 0x41f9, 0x42b0, 0x42bb, 0x42c2, 0x4301, 0x43bc, 0x43ca, 0x4401, 0x44f8, 0x453a,
    0x4580, 0x4701, 0x4798, 0x47a1, 0x47b0, 0x47da, 0x4801, 0x48b2, 0x48e0, 0x48fb, 0x4901, 0x49d0, 0x49fb, 0x4a00,
    0x4c01, 0x4dc0, 0x4de2, 0x4df1, 0x4e02, 0x4e80, 0x4e92, 0x5001, 0x500d, 0x5020, 0x502d, 0x5038, 0x5065, 0x5081,
    0x50a0, 0x50a9, 0x50c0, 0x50c9, 0x51b0, 0x51c5, 0x51d8, 0x51fd, 0x5202, 0x5248, 0x5283, 0x52c8, 0x5301, 0x53ea,
    0x53fb, 0x5401, 0x54ea, 0x5500, 0x5601, 0x5644, 0x5649, 0x572d, 0x5738, 0x575a, 0x5783, 0x57b8, 0x5801, 0x59b0,
    0x59cb, 0x5a01, 0x5ab0, 0x5ac2, 0x5b01, 0x5b98, 0x5bc2, 0x5c01, 0x5c90, 0x5ccb, 0x5ce8, 0x5d4a, 0x5d80, 0x6001,
    0x6248, 0x6401, 0x6598, 0x6601, 0x6798, 0x67d2, 0x6801, 0x6925, 0x6940, 0x6982, 0x69d0, 0x7302, 0x73f8, 0x7401,
    0x7550, 0x755d, 0x756b, 0x7570, 0x7581, 0x7590, 0x77ed, 0x7801, 0x78ea, 0x7939, 0x7940, 0x7981, 0x7a35, 0x7a8a,
    0x7aab, 0x7ad0, 0x7b81, 0x7c15, 0x7c33, 0x7c50, 0x7d81, 0x7e2a, 0x7e60, 0x7f01, 0x7fb8, 0x8005, 0x8019, 0x81c5,
    0x823b, 0x8270, 0x8292, 0x8385, 0x8389, 0x839d, 0x83a9, 0x83b0, 0x83fd, 0x8419, 0x8585, 0x85db, 0x85e8, 0x85f3,
    0x8615, 0x8618, 0x8681, 0x8748, 0x8782, 0x87d0, 0x8805, 0x8819, 0x893d, 0x89a8, 0x89b2, 0x8a03, 0x8a21, 0x8a2d,
    0x8a39, 0x8a40, 0x8a81, 0x8b9d, 0x8ba3, 0x8bb1, 0x8bb8, 0x8c05, 0x8c19, 0x8d9d, 0x8e09, 0x8e2b, 0x8e4d, 0x8e6b,
    0x8e75, 0x8e82, 0x8ed1, 0x8edb, 0x8ee1, 0x8eeb, 0x8f00, 0x8f0a, 0x8fa8, 0x9001, 0x9090, 0x9099, 0x9165, 0x91c3,
    0x91f5, 0x91f9, 0x920d, 0x9210, 0x9401, 0x9438, 0x9441, 0x9448, 0x9451, 0x9470, 0x9479, 0x94f0, 0x94f9, 0x954b,
    0x9550, 0x9581, 0x96fd, 0x9758, 0x9782, 0x97d0, 0x9805, 0x9820, 0x9829, 0x9868, 0x9879, 0x9888, 0x9899, 0x9948,
    0x9951, 0x9988, 0x9991, 0x99a0, 0x99a9, 0x99d0, 0x99dd, 0x99e9, 0x99f5, 0x9a28, 0x9a3d, 0x9a48, 0x9a5d, 0x9a70,
    0x9a81, 0x9a88, 0x9abd, 0x9ac0, 0x9ae9, 0x9b15, 0x9b20, 0x9b35, 0x9b68, 0x9b85, 0x9ba8, 0xa001, 0xa1ad, 0xa239,
    0xa25b, 0xa282, 0xa2d3, 0xa2e0, 0xa2eb, 0xa2f5, 0xa2f9, 0xa310, 0xa401, 0xa585, 0xa621, 0xa633, 0xa639, 0xa640,
    0xa682, 0xa6d0, 0xac01, 0xad7d, 0xadb0, 0xadc5, 0xae0b, 0xaec1, 0xaee5, 0xaef0, 0xb001, 0xb185, 0xb20b, 0xb221,
    0xb228, 0xb282, 0xb2d0, 0xb303, 0xb368, 0xb401, 0xb55d, 0xb5c1, 0xb5cb, 0xb5d0, 0xb602, 0xb650, 0xb801, 0xb8d8,
    0xb8ed, 0xb960, 0xb982, 0xb9e3, 0xb9fc, 0xba01, 0xba38, 0xc001, 0xc165, 0xc1db, 0xc1e0, 0xc501, 0xc702, 0xc798,
    0xc7f9, 0xc838, 0xc849, 0xc850, 0xc861, 0xc8a0, 0xc8a9, 0xc8b8, 0xc8c1, 0xc985, 0xc9b0, 0xc9bd, 0xc9c8, 0xc9dd,
    0xc9f9, 0xca05, 0xca09, 0xca15, 0xca23, 0xca38, 0xca82, 0xcad0, 0xcd01, 0xcd40, 0xcd51, 0xce8d, 0xcec0, 0xced5,
    0xcf09, 0xcf13, 0xcf19, 0xcf25, 0xcf28, 0xd001, 0xd00d, 0xd059, 0xd19d, 0xd1d1, 0xd1dd, 0xd1fb, 0xd23d, 0xd240,
    0xd281, 0xd28d, 0xd2e1, 0xd455, 0xd4d3, 0xd4e9, 0xd4f3, 0xd518, 0xd581, 0xd7c8, 0xd803, 0xd850, 0xe001, 0xe048,
    0xe051, 0xe17d, 0xe1b8, 0xe1c5, 0xe201, 0xe20b, 0xe230, 0xe282, 0xe368, 0xe383, 0xe391, 0xe480, 0xe495, 0xe540,
    0xe54d, 0xe5b8, 0xe801, 0xe838, 0xe841, 0xe850, 0xe859, 0xe98d, 0xe9b8, 0xe9d5, 0xe9d8, 0xe9e5, 0xe9f0, 0xe9fd,
    0xea31, 0xea3d, 0xea40, 0xea82, 0xead0, 0xeb01, 0xeb30, 0xeb39, 0xeb48, 0xeb51, 0xec55, 0xec78, 0xec85, 0xec90,
    0xec9d, 0xecc1, 0xecc8, 0xed02, 0xed50, 0xf701, 0xf79d, 0xf7bb, 0xf7c8, 0xf805, 0xf811, 0xf81d, 0xf821, 0xf888,
    0xf891, 0xf9a5, 0xf9d8, 0xf9f5, 0xfa1b, 0xfa82, 0xfad0, 0xfd81, 0xfd88, 0xfe02, 0xfeac, 0xff90, 0xfffb, 0x1, 0x1cd0,
    0x2002, 0x2378, 0x2383, 0x23a8, 0x2401, 0x2a20, 0x7c81, 0x7f8b, 0x7f98, 0x8001, 0xa180, 0xa205, 0xa209, 0xa23d,
    0xa2b0, 0x0, 0x2001, 0x3238, 0x0, 0x4001, 0x51c8, 0x5201, 0x52f8, 0x5302, 0x5350, 0x5373, 0x5381, 0x55f8, 0x5602,
    0x5650, 0x5681, 0x5770, 0x5785, 0x57ab, 0x57b0, 0x5801, 0x5985, 0x59bb, 0x59e4, 0x5a01, 0x5a23, 0x5a2c, 0x5a30,
    0x5a82, 0x5ad0, 0x5ada, 0x5b10, 0x5b19, 0x5bc0, 0x5be9, 0x5c80, 0x7201, 0x7402, 0x74bb, 0x74d8, 0x7801, 0x7a58,
    0x7a7d, 0x7a81, 0x7a8d, 0x7c40, 0x7c7d, 0x7c99, 0x7d00, 0x7f01, 0x7f13, 0x7f19, 0x7f25, 0x7f28, 0x7f85, 0x7f90,
    0x8001, 0x1, 0x3fc0, 0x4001, 0x66b0, 0x6801, 0x6848, 0x0, 0x7f81, 0x7fa0, 0x7fa9, 0x7fe0, 0x7fe9, 0x7ff8, 0x8001,
    0x8918, 0x8991, 0x8998, 0x8a81, 0x8a98, 0x8aa9, 0x8ab0, 0x8b21, 0x8b40, 0x8b81, 0x97e0, 0xe001, 0xe358, 0xe381,
    0xe3e8, 0xe401, 0xe448, 0xe481, 0xe4d0, 0xe4e4, 0xe4ed, 0xe4fb, 0xe500, 0x0, 0x7805, 0x7970, 0x7985, 0x7a38, 0x7a84,
    0x7e20, 0x8004, 0x87b0, 0x8804, 0x8938, 0x894c, 0x8b2d, 0x8b54, 0x8b6d, 0x8b98, 0x8bdd, 0x8c1c, 0x8c2d, 0x8c64,
    0x8d55, 0x8d74, 0x8f58, 0x9004, 0x9215, 0x922c, 0x9230, 0x9602, 0x96a0, 0x9702, 0x97a0, 0x9804, 0x9ab8, 0x9b02,
    0x9bc8, 0xa001, 0xa2a8, 0xa2b1, 0xa4e8, 0xa4f1, 0xa500, 0xa511, 0xa518, 0xa529, 0xa538, 0xa549, 0xa568, 0xa571,
    0xa5d0, 0xa5d9, 0xa5e0, 0xa5e9, 0xa620, 0xa629, 0xa830, 0xa839, 0xa858, 0xa869, 0xa8a8, 0xa8b1, 0xa8e8, 0xa8f1,
    0xa9d0, 0xa9d9, 0xa9f8, 0xaa01, 0xaa28, 0xaa31, 0xaa38, 0xaa51, 0xaa88, 0xaa91, 0xb530, 0xb541, 0xb60c, 0xb611,
    0xb6dc, 0xb6e1, 0xb7dc, 0xb7e1, 0xb8ac, 0xb8b1, 0xb9ac, 0xb9b1, 0xba7c, 0xba81, 0xbb7c, 0xbb81, 0xbc4c, 0xbc51,
    0xbd4c, 0xbd51, 0xbe1c, 0xbe21, 0xbe60, 0xbe72, 0xc004, 0xd005, 0xd1bc, 0xd1dd, 0xd36c, 0xd3ad, 0xd3b4, 0xd425,
    0xd42c, 0xd43b, 0xd460, 0xd4dd, 0xd500, 0xd50d, 0xd580, 0xf801, 0xf8f8, 0xf929, 0xf958, 0x5, 0x38, 0x45, 0xc8, 0xdd,
    0x110, 0x11d, 0x128, 0x135, 0x158, 0x181, 0x370, 0x47d, 0x480, 0x801, 0x968, 0x985, 0x9b9, 0x9f0, 0xa02, 0xa50,
    0xa71, 0xa7c, 0xa80, 0x1481, 0x1575, 0x1578, 0x1601, 0x1765, 0x1782, 0x17d0, 0x17fc, 0x1800, 0x2681, 0x2765, 0x2782,
    0x27d0, 0x3f01, 0x3f38, 0x3f41, 0x3f60, 0x3f69, 0x3f78, 0x3f81, 0x3ff8, 0x4001, 0x4628, 0x463a, 0x4685, 0x46b8,
    0x4801, 0x4a25, 0x4a59, 0x4a60, 0x4a82, 0x4ad0, 0x4af3, 0x4b00, 0x638a, 0x6564, 0x656a, 0x6584, 0x658a, 0x65a8,
    0x680a, 0x6974, 0x697a, 0x69f0, 0x7001, 0x7020, 0x7029, 0x7100, 0x7109, 0x7118, 0x7121, 0x7128, 0x7139, 0x7140,
    0x7149, 0x7198, 0x71a1, 0x71c0, 0x71c9, 0x71d0, 0x71d9, 0x71e0, 0x7211, 0x7218, 0x7239, 0x7240, 0x7249, 0x7250,
    0x7259, 0x7260, 0x7269, 0x7280, 0x7289, 0x7298, 0x72a1, 0x72a8, 0x72b9, 0x72c0, 0x72c9, 0x72d0, 0x72d9, 0x72e0,
    0x72e9, 0x72f0, 0x72f9, 0x7300, 0x7309, 0x7318, 0x7321, 0x7328, 0x7339, 0x7358, 0x7361, 0x7398, 0x73a1, 0x73c0,
    0x73c9, 0x73e8, 0x73f1, 0x73f8, 0x7401, 0x7450, 0x7459, 0x74e0, 0x7509, 0x7520, 0x7529, 0x7550, 0x7559, 0x75e0,
    0x7784, 0x7790, 0x8004, 0x8160, 0x8184, 0x84a0, 0x8504, 0x8578, 0x858c, 0x8600, 0x860c, 0x8680, 0x868c, 0x87b0,
    0x8802, 0x886c, 0x8d70, 0x8f34, 0x9018, 0x9084, 0x91e0, 0x9204, 0x9248, 0x9284, 0x9290, 0x9304, 0x9330, 0x9804,
    0xb6c0, 0xb6e4, 0xb768, 0xb784, 0xb7e8, 0xb804, 0xbbb8, 0xbbdc, 0xbed0, 0xbf04, 0xbf60, 0xbf84, 0xbf88, 0xc004,
    0xc060, 0xc084, 0xc240, 0xc284, 0xc2d0, 0xc304, 0xc440, 0xc484, 0xc570, 0xc584, 0xc590, 0xc804, 0xd2a0, 0xd304,
    0xd370, 0xd384, 0xd3e8, 0xd404, 0xd448, 0xd484, 0xd5f0, 0xd5fc, 0xd630, 0xd674, 0xd6e0, 0xd704, 0xd748, 0xd784,
    0xd7c8, 0xd804, 0xdc98, 0xdca4, 0xde58, 0xdf82, 0xdfd0, 0x1, 0x1, 0x1, 0x1, 0x1, 0x1, 0x3700, 0x3801, 0xb9c8,
    0xba01, 0xc0f0, 0xc101, 0x1, 0x7510, 0x7581, 0x1, 0x5f08, 0x5f81, 0x72f0, 0xc001, 0xd0f0, 0x1, 0x9a58, 0x9a81, 0x1,
    0x1d80, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0,
    0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0,
    0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0,
    0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x805, 0xf80,
    0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0,
};

/* The cased letters that the pre-tokenizer of deepseek-llm lists one by one, beyond ASCII: first, last. */
static const uint32_t aios__cased[164] = {
    0xb5,0xb5, 0xc0,0xd6, 0xd8,0xf6, 0xf8,0x1ba, 0x1bc,0x1bf, 0x1c4,0x293, 0x295,0x2af, 0x370,0x373, 0x376,0x377, 0x37b,0x37d,
    0x37f,0x37f, 0x386,0x386, 0x388,0x38a, 0x38c,0x38c, 0x38e,0x3a1, 0x3a3,0x3f5, 0x3f7,0x481, 0x48a,0x52f, 0x531,0x556,
    0x10a0,0x10c5, 0x13a0,0x13f5, 0x13f8,0x13fd, 0x1c90,0x1cba, 0x1cbd,0x1cbf, 0x1d00,0x1d2b, 0x1d6b,0x1d77, 0x1d79,0x1d9a,
    0x1e00,0x1f15, 0x1f18,0x1f1d, 0x1f20,0x1f45, 0x1f48,0x1f4d, 0x1f50,0x1f57, 0x1f59,0x1f59, 0x1f5b,0x1f5b, 0x1f5d,0x1f5d,
    0x1f5f,0x1f7d, 0x1f80,0x1fb4, 0x1fb6,0x1fbc, 0x1fbe,0x1fbe, 0x1fc2,0x1fc4, 0x1fc6,0x1fcc, 0x1fd0,0x1fd3, 0x1fd6,0x1fdb,
    0x1fe0,0x1fec, 0x1ff2,0x1ff4, 0x1ff6,0x1ffc, 0x2102,0x2102, 0x2107,0x2107, 0x210a,0x2113, 0x2115,0x2115, 0x2119,0x211d,
    0x2124,0x2124, 0x2126,0x2126, 0x2128,0x2128, 0x212a,0x212d, 0x212f,0x2134, 0x2139,0x2139, 0x213c,0x213f, 0x2145,0x2149,
    0x214e,0x214e, 0x2183,0x2184, 0x2c00,0x2c7b, 0x2c7e,0x2ce4, 0x2ceb,0x2cee, 0x2cf2,0x2cf3, 0xa640,0xa66d, 0xa680,0xa69b,
    0xa722,0xa76f, 0xa771,0xa787, 0xa78b,0xa78e, 0xab70,0xabbf, 0xfb00,0xfb06, 0xfb13,0xfb17, 0xff21,0xff3a, 0xff41,0xff5a,
    0x10400,0x1044f, 0x104b0,0x104d3, 0x104d8,0x104fb, 0x10c80,0x10cb2, 0x10cc0,0x10cf2, 0x118a0,0x118df, 0x1e900,0x1e943,
};

#endif

/* ======== text/nfc.h ======== */
/* nfc.h: canonical composition (NFC): what splits into what, what joins to what, and the order of marks. Unicode 15.1.0.
 * Tables only; nfc.c looks things up. Written by tools/nfc.py, not edited by hand. Hangul goes by formula. */
#ifndef AIOS__NFC_H
#define AIOS__NFC_H

/* Code points that split in two. Those before N_JOINS join again, the others do not (excluded from composition). Runs: first code point
 * << 12 | its index, which goes on to that of the next run; then what they split into: the low 16 bits of the first half, which is of the
 * same plane, and the index of the second half. */
enum { AIOS__NFC_JOINS = 941, AIOS__NFC_PAIRS = 85, AIOS__NFC_ONES = 1035 };
static const uint32_t aios__nfc_join_run[192] = {
    0xc0000, 0xc7006, 0xd100f, 0xd9015, 0xe001a, 0xe7020, 0xf1029, 0xf902f, 0xff034, 0x112045, 0x128059, 0x134062,
    0x139066, 0x14306c, 0x14c072, 0x154078, 0x16808a, 0x1a00a1, 0x1af0a3, 0x1cd0a5, 0x1de0b5, 0x1e60bb, 0x1f40c6,
    0x1f80c8, 0x21e0ec, 0x2260ee, 0x3850fc, 0x3880fe, 0x38c101, 0x38e102, 0x3aa105, 0x3ca10c, 0x3d3111, 0x400113,
    0x403115, 0x407116, 0x40c117, 0x41911a, 0x43911b, 0x45011c, 0x45311e, 0x45711f, 0x45c120, 0x476123, 0x4c1125,
    0x4d0127, 0x4d612b, 0x4da12d, 0x4e2133, 0x4ea139, 0x4f8145, 0x622147, 0x6c014c, 0x6c214d, 0x6d314e, 0x92914f,
    0x931150, 0x934151, 0x9cb152, 0xb48154, 0xb4b155, 0xb94157, 0xbca158, 0xc4815b, 0xcc015c, 0xcc715d, 0xcca15f,
    0xd4a161, 0xdda164, 0xddc165, 0x1026168, 0x1b06169, 0x1b0816a, 0x1b0a16b, 0x1b0c16c, 0x1b0e16d, 0x1b1216e,
    0x1b3b16f, 0x1b3d170, 0x1b40171, 0x1b43173, 0x1e00174, 0x1e9b20e, 0x1ea020f, 0x1f00269, 0x1f1827f, 0x1f20285,
    0x1f482ab, 0x1f502b1, 0x1f592b9, 0x1f5b2ba, 0x1f5d2bb, 0x1f5f2bc, 0x1f722ce, 0x1f742cf, 0x1f762d0, 0x1f782d1,
    0x1f7a2d2, 0x1f7c2d3, 0x1f802d4, 0x1fb6309, 0x1fbc30e, 0x1fc130f, 0x1fc6313, 0x1fca316, 0x1fcc317, 0x1fd631e,
    0x1fdd323, 0x1fe4329, 0x1fec330, 0x1ff2332, 0x1ff6335, 0x1ffa338, 0x1ffc339, 0x219a33a, 0x21ae33c, 0x21cd33d,
    0x2204340, 0x2209341, 0x220c342, 0x2224343, 0x2226344, 0x2241345, 0x2244346, 0x2247347, 0x2249348, 0x2260349,
    0x226234a, 0x226d34b, 0x2274350, 0x2278352, 0x2280354, 0x2284356, 0x2288358, 0x22ac35a, 0x22e035e, 0x22ea362,
    0x304c366, 0x304e367, 0x3050368, 0x3052369, 0x305436a, 0x305636b, 0x305836c, 0x305a36d, 0x305c36e, 0x305e36f,
    0x3060370, 0x3062371, 0x3065372, 0x3067373, 0x3069374, 0x3070375, 0x3073377, 0x3076379, 0x307937b, 0x307c37d,
    0x309437f, 0x309e380, 0x30ac381, 0x30ae382, 0x30b0383, 0x30b2384, 0x30b4385, 0x30b6386, 0x30b8387, 0x30ba388,
    0x30bc389, 0x30be38a, 0x30c038b, 0x30c238c, 0x30c538d, 0x30c738e, 0x30c938f, 0x30d0390, 0x30d3392, 0x30d6394,
    0x30d9396, 0x30dc398, 0x30f439a, 0x30f739b, 0x30fe39f, 0x1109a3a0, 0x1109c3a1, 0x110ab3a2, 0x1112e3a3, 0x1134b3a5,
    0x114bb3a7, 0x114be3a9, 0x115ba3aa, 0x119383ac, 0xfffff3ad,
};
static const uint32_t aios__nfc_pair_run[37] = {
    0x3443ad, 0x9583ae, 0x9dc3b6, 0x9df3b8, 0xa333b9, 0xa363ba, 0xa593bb, 0xa5e3be, 0xb5c3bf, 0xf433c1, 0xf4d3c2,
    0xf523c3, 0xf573c4, 0xf5c3c5, 0xf693c6, 0xf733c7, 0xf753c8, 0xf783ca, 0xf813cb, 0xf933cc, 0xf9d3cd, 0xfa23ce,
    0xfa73cf, 0xfac3d0, 0xfb93d1, 0x2adc3d2, 0xfb1d3d3, 0xfb1f3d4, 0xfb2a3d5, 0xfb383e2, 0xfb3e3e7, 0xfb403e8,
    0xfb433ea, 0xfb463ec, 0x1d15e3f5, 0x1d1bb3fc, 0xfffff402,
};
static const uint16_t aios__nfc_first[1026] = {
    0x41, 0x41, 0x41, 0x41, 0x41, 0x41, 0x43, 0x45, 0x45, 0x45, 0x45, 0x49, 0x49, 0x49, 0x49, 0x4e, 0x4f, 0x4f, 0x4f,
    0x4f, 0x4f, 0x55, 0x55, 0x55, 0x55, 0x59, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61, 0x63, 0x65, 0x65, 0x65, 0x65, 0x69,
    0x69, 0x69, 0x69, 0x6e, 0x6f, 0x6f, 0x6f, 0x6f, 0x6f, 0x75, 0x75, 0x75, 0x75, 0x79, 0x79, 0x41, 0x61, 0x41, 0x61,
    0x41, 0x61, 0x43, 0x63, 0x43, 0x63, 0x43, 0x63, 0x43, 0x63, 0x44, 0x64, 0x45, 0x65, 0x45, 0x65, 0x45, 0x65, 0x45,
    0x65, 0x45, 0x65, 0x47, 0x67, 0x47, 0x67, 0x47, 0x67, 0x47, 0x67, 0x48, 0x68, 0x49, 0x69, 0x49, 0x69, 0x49, 0x69,
    0x49, 0x69, 0x49, 0x4a, 0x6a, 0x4b, 0x6b, 0x4c, 0x6c, 0x4c, 0x6c, 0x4c, 0x6c, 0x4e, 0x6e, 0x4e, 0x6e, 0x4e, 0x6e,
    0x4f, 0x6f, 0x4f, 0x6f, 0x4f, 0x6f, 0x52, 0x72, 0x52, 0x72, 0x52, 0x72, 0x53, 0x73, 0x53, 0x73, 0x53, 0x73, 0x53,
    0x73, 0x54, 0x74, 0x54, 0x74, 0x55, 0x75, 0x55, 0x75, 0x55, 0x75, 0x55, 0x75, 0x55, 0x75, 0x55, 0x75, 0x57, 0x77,
    0x59, 0x79, 0x59, 0x5a, 0x7a, 0x5a, 0x7a, 0x5a, 0x7a, 0x4f, 0x6f, 0x55, 0x75, 0x41, 0x61, 0x49, 0x69, 0x4f, 0x6f,
    0x55, 0x75, 0xdc, 0xfc, 0xdc, 0xfc, 0xdc, 0xfc, 0xdc, 0xfc, 0xc4, 0xe4, 0x226, 0x227, 0xc6, 0xe6, 0x47, 0x67, 0x4b,
    0x6b, 0x4f, 0x6f, 0x1ea, 0x1eb, 0x1b7, 0x292, 0x6a, 0x47, 0x67, 0x4e, 0x6e, 0xc5, 0xe5, 0xc6, 0xe6, 0xd8, 0xf8,
    0x41, 0x61, 0x41, 0x61, 0x45, 0x65, 0x45, 0x65, 0x49, 0x69, 0x49, 0x69, 0x4f, 0x6f, 0x4f, 0x6f, 0x52, 0x72, 0x52,
    0x72, 0x55, 0x75, 0x55, 0x75, 0x53, 0x73, 0x54, 0x74, 0x48, 0x68, 0x41, 0x61, 0x45, 0x65, 0xd6, 0xf6, 0xd5, 0xf5,
    0x4f, 0x6f, 0x22e, 0x22f, 0x59, 0x79, 0xa8, 0x391, 0x395, 0x397, 0x399, 0x39f, 0x3a5, 0x3a9, 0x3ca, 0x399, 0x3a5,
    0x3b1, 0x3b5, 0x3b7, 0x3b9, 0x3cb, 0x3b9, 0x3c5, 0x3bf, 0x3c5, 0x3c9, 0x3d2, 0x3d2, 0x415, 0x415, 0x413, 0x406,
    0x41a, 0x418, 0x423, 0x418, 0x438, 0x435, 0x435, 0x433, 0x456, 0x43a, 0x438, 0x443, 0x474, 0x475, 0x416, 0x436,
    0x410, 0x430, 0x410, 0x430, 0x415, 0x435, 0x4d8, 0x4d9, 0x416, 0x436, 0x417, 0x437, 0x418, 0x438, 0x418, 0x438,
    0x41e, 0x43e, 0x4e8, 0x4e9, 0x42d, 0x44d, 0x423, 0x443, 0x423, 0x443, 0x423, 0x443, 0x427, 0x447, 0x42b, 0x44b,
    0x627, 0x627, 0x648, 0x627, 0x64a, 0x6d5, 0x6c1, 0x6d2, 0x928, 0x930, 0x933, 0x9c7, 0x9c7, 0xb47, 0xb47, 0xb47,
    0xb92, 0xbc6, 0xbc7, 0xbc6, 0xc46, 0xcbf, 0xcc6, 0xcc6, 0xcc6, 0xcca, 0xd46, 0xd47, 0xd46, 0xdd9, 0xdd9, 0xddc,
    0xdd9, 0x1025, 0x1b05, 0x1b07, 0x1b09, 0x1b0b, 0x1b0d, 0x1b11, 0x1b3a, 0x1b3c, 0x1b3e, 0x1b3f, 0x1b42, 0x41, 0x61,
    0x42, 0x62, 0x42, 0x62, 0x42, 0x62, 0xc7, 0xe7, 0x44, 0x64, 0x44, 0x64, 0x44, 0x64, 0x44, 0x64, 0x44, 0x64, 0x112,
    0x113, 0x112, 0x113, 0x45, 0x65, 0x45, 0x65, 0x228, 0x229, 0x46, 0x66, 0x47, 0x67, 0x48, 0x68, 0x48, 0x68, 0x48,
    0x68, 0x48, 0x68, 0x48, 0x68, 0x49, 0x69, 0xcf, 0xef, 0x4b, 0x6b, 0x4b, 0x6b, 0x4b, 0x6b, 0x4c, 0x6c, 0x1e36,
    0x1e37, 0x4c, 0x6c, 0x4c, 0x6c, 0x4d, 0x6d, 0x4d, 0x6d, 0x4d, 0x6d, 0x4e, 0x6e, 0x4e, 0x6e, 0x4e, 0x6e, 0x4e, 0x6e,
    0xd5, 0xf5, 0xd5, 0xf5, 0x14c, 0x14d, 0x14c, 0x14d, 0x50, 0x70, 0x50, 0x70, 0x52, 0x72, 0x52, 0x72, 0x1e5a, 0x1e5b,
    0x52, 0x72, 0x53, 0x73, 0x53, 0x73, 0x15a, 0x15b, 0x160, 0x161, 0x1e62, 0x1e63, 0x54, 0x74, 0x54, 0x74, 0x54, 0x74,
    0x54, 0x74, 0x55, 0x75, 0x55, 0x75, 0x55, 0x75, 0x168, 0x169, 0x16a, 0x16b, 0x56, 0x76, 0x56, 0x76, 0x57, 0x77,
    0x57, 0x77, 0x57, 0x77, 0x57, 0x77, 0x57, 0x77, 0x58, 0x78, 0x58, 0x78, 0x59, 0x79, 0x5a, 0x7a, 0x5a, 0x7a, 0x5a,
    0x7a, 0x68, 0x74, 0x77, 0x79, 0x17f, 0x41, 0x61, 0x41, 0x61, 0xc2, 0xe2, 0xc2, 0xe2, 0xc2, 0xe2, 0xc2, 0xe2, 0x1ea0,
    0x1ea1, 0x102, 0x103, 0x102, 0x103, 0x102, 0x103, 0x102, 0x103, 0x1ea0, 0x1ea1, 0x45, 0x65, 0x45, 0x65, 0x45, 0x65,
    0xca, 0xea, 0xca, 0xea, 0xca, 0xea, 0xca, 0xea, 0x1eb8, 0x1eb9, 0x49, 0x69, 0x49, 0x69, 0x4f, 0x6f, 0x4f, 0x6f,
    0xd4, 0xf4, 0xd4, 0xf4, 0xd4, 0xf4, 0xd4, 0xf4, 0x1ecc, 0x1ecd, 0x1a0, 0x1a1, 0x1a0, 0x1a1, 0x1a0, 0x1a1, 0x1a0,
    0x1a1, 0x1a0, 0x1a1, 0x55, 0x75, 0x55, 0x75, 0x1af, 0x1b0, 0x1af, 0x1b0, 0x1af, 0x1b0, 0x1af, 0x1b0, 0x1af, 0x1b0,
    0x59, 0x79, 0x59, 0x79, 0x59, 0x79, 0x59, 0x79, 0x3b1, 0x3b1, 0x1f00, 0x1f01, 0x1f00, 0x1f01, 0x1f00, 0x1f01, 0x391,
    0x391, 0x1f08, 0x1f09, 0x1f08, 0x1f09, 0x1f08, 0x1f09, 0x3b5, 0x3b5, 0x1f10, 0x1f11, 0x1f10, 0x1f11, 0x395, 0x395,
    0x1f18, 0x1f19, 0x1f18, 0x1f19, 0x3b7, 0x3b7, 0x1f20, 0x1f21, 0x1f20, 0x1f21, 0x1f20, 0x1f21, 0x397, 0x397, 0x1f28,
    0x1f29, 0x1f28, 0x1f29, 0x1f28, 0x1f29, 0x3b9, 0x3b9, 0x1f30, 0x1f31, 0x1f30, 0x1f31, 0x1f30, 0x1f31, 0x399, 0x399,
    0x1f38, 0x1f39, 0x1f38, 0x1f39, 0x1f38, 0x1f39, 0x3bf, 0x3bf, 0x1f40, 0x1f41, 0x1f40, 0x1f41, 0x39f, 0x39f, 0x1f48,
    0x1f49, 0x1f48, 0x1f49, 0x3c5, 0x3c5, 0x1f50, 0x1f51, 0x1f50, 0x1f51, 0x1f50, 0x1f51, 0x3a5, 0x1f59, 0x1f59, 0x1f59,
    0x3c9, 0x3c9, 0x1f60, 0x1f61, 0x1f60, 0x1f61, 0x1f60, 0x1f61, 0x3a9, 0x3a9, 0x1f68, 0x1f69, 0x1f68, 0x1f69, 0x1f68,
    0x1f69, 0x3b1, 0x3b5, 0x3b7, 0x3b9, 0x3bf, 0x3c5, 0x3c9, 0x1f00, 0x1f01, 0x1f02, 0x1f03, 0x1f04, 0x1f05, 0x1f06,
    0x1f07, 0x1f08, 0x1f09, 0x1f0a, 0x1f0b, 0x1f0c, 0x1f0d, 0x1f0e, 0x1f0f, 0x1f20, 0x1f21, 0x1f22, 0x1f23, 0x1f24,
    0x1f25, 0x1f26, 0x1f27, 0x1f28, 0x1f29, 0x1f2a, 0x1f2b, 0x1f2c, 0x1f2d, 0x1f2e, 0x1f2f, 0x1f60, 0x1f61, 0x1f62,
    0x1f63, 0x1f64, 0x1f65, 0x1f66, 0x1f67, 0x1f68, 0x1f69, 0x1f6a, 0x1f6b, 0x1f6c, 0x1f6d, 0x1f6e, 0x1f6f, 0x3b1,
    0x3b1, 0x1f70, 0x3b1, 0x3ac, 0x3b1, 0x1fb6, 0x391, 0x391, 0x391, 0x391, 0xa8, 0x1f74, 0x3b7, 0x3ae, 0x3b7, 0x1fc6,
    0x395, 0x397, 0x397, 0x1fbf, 0x1fbf, 0x1fbf, 0x3b9, 0x3b9, 0x3ca, 0x3b9, 0x3ca, 0x399, 0x399, 0x399, 0x1ffe, 0x1ffe,
    0x1ffe, 0x3c5, 0x3c5, 0x3cb, 0x3c1, 0x3c1, 0x3c5, 0x3cb, 0x3a5, 0x3a5, 0x3a5, 0x3a1, 0xa8, 0x1f7c, 0x3c9, 0x3ce,
    0x3c9, 0x1ff6, 0x39f, 0x3a9, 0x3a9, 0x2190, 0x2192, 0x2194, 0x21d0, 0x21d4, 0x21d2, 0x2203, 0x2208, 0x220b, 0x2223,
    0x2225, 0x223c, 0x2243, 0x2245, 0x2248, 0x3d, 0x2261, 0x224d, 0x3c, 0x3e, 0x2264, 0x2265, 0x2272, 0x2273, 0x2276,
    0x2277, 0x227a, 0x227b, 0x2282, 0x2283, 0x2286, 0x2287, 0x22a2, 0x22a8, 0x22a9, 0x22ab, 0x227c, 0x227d, 0x2291,
    0x2292, 0x22b2, 0x22b3, 0x22b4, 0x22b5, 0x304b, 0x304d, 0x304f, 0x3051, 0x3053, 0x3055, 0x3057, 0x3059, 0x305b,
    0x305d, 0x305f, 0x3061, 0x3064, 0x3066, 0x3068, 0x306f, 0x306f, 0x3072, 0x3072, 0x3075, 0x3075, 0x3078, 0x3078,
    0x307b, 0x307b, 0x3046, 0x309d, 0x30ab, 0x30ad, 0x30af, 0x30b1, 0x30b3, 0x30b5, 0x30b7, 0x30b9, 0x30bb, 0x30bd,
    0x30bf, 0x30c1, 0x30c4, 0x30c6, 0x30c8, 0x30cf, 0x30cf, 0x30d2, 0x30d2, 0x30d5, 0x30d5, 0x30d8, 0x30d8, 0x30db,
    0x30db, 0x30a6, 0x30ef, 0x30f0, 0x30f1, 0x30f2, 0x30fd, 0x1099, 0x109b, 0x10a5, 0x1131, 0x1132, 0x1347, 0x1347,
    0x14b9, 0x14b9, 0x14b9, 0x15b8, 0x15b9, 0x1935, 0x308, 0x915, 0x916, 0x917, 0x91c, 0x921, 0x922, 0x92b, 0x92f,
    0x9a1, 0x9a2, 0x9af, 0xa32, 0xa38, 0xa16, 0xa17, 0xa1c, 0xa2b, 0xb21, 0xb22, 0xf42, 0xf4c, 0xf51, 0xf56, 0xf5b,
    0xf40, 0xf71, 0xf71, 0xfb2, 0xfb3, 0xf71, 0xf92, 0xf9c, 0xfa1, 0xfa6, 0xfab, 0xf90, 0x2add, 0x5d9, 0x5f2, 0x5e9,
    0x5e9, 0xfb49, 0xfb49, 0x5d0, 0x5d0, 0x5d0, 0x5d1, 0x5d2, 0x5d3, 0x5d4, 0x5d5, 0x5d6, 0x5d8, 0x5d9, 0x5da, 0x5db,
    0x5dc, 0x5de, 0x5e0, 0x5e1, 0x5e3, 0x5e4, 0x5e6, 0x5e7, 0x5e8, 0x5e9, 0x5ea, 0x5d5, 0x5d1, 0x5db, 0x5e4, 0xd157,
    0xd158, 0xd15f, 0xd15f, 0xd15f, 0xd15f, 0xd15f, 0xd1b9, 0xd1ba, 0xd1bb, 0xd1bc, 0xd1bb, 0xd1bc,
};
static const uint8_t aios__nfc_second[1026] = {
    0, 1, 2, 3, 7, 9, 21, 0, 1, 2, 7, 0, 1, 2, 7, 3, 0, 1, 2, 3, 7, 0, 1, 2, 7, 1, 0, 1, 2, 3, 7, 9, 21, 0, 1, 2, 7, 0,
    1, 2, 7, 3, 0, 1, 2, 3, 7, 0, 1, 2, 7, 1, 7, 4, 4, 5, 5, 22, 22, 1, 1, 2, 2, 6, 6, 11, 11, 11, 11, 4, 4, 5, 5, 6, 6,
    22, 22, 11, 11, 2, 2, 5, 5, 6, 6, 21, 21, 2, 2, 3, 3, 4, 4, 5, 5, 22, 22, 6, 2, 2, 21, 21, 1, 1, 21, 21, 11, 11, 1,
    1, 21, 21, 11, 11, 4, 4, 5, 5, 10, 10, 1, 1, 21, 21, 11, 11, 1, 1, 2, 2, 21, 21, 11, 11, 21, 21, 11, 11, 3, 3, 4, 4,
    5, 5, 9, 9, 10, 10, 22, 22, 2, 2, 2, 2, 7, 1, 1, 6, 6, 11, 11, 16, 16, 16, 16, 11, 11, 11, 11, 11, 11, 11, 11, 4, 4,
    1, 1, 11, 11, 0, 0, 4, 4, 4, 4, 4, 4, 11, 11, 11, 11, 22, 22, 4, 4, 11, 11, 11, 1, 1, 0, 0, 1, 1, 1, 1, 1, 1, 12,
    12, 13, 13, 12, 12, 13, 13, 12, 12, 13, 13, 12, 12, 13, 13, 12, 12, 13, 13, 12, 12, 13, 13, 20, 20, 20, 20, 11, 11,
    6, 6, 21, 21, 4, 4, 4, 4, 6, 6, 4, 4, 4, 4, 1, 1, 1, 1, 1, 1, 1, 1, 1, 7, 7, 1, 1, 1, 1, 1, 7, 7, 1, 1, 1, 1, 7, 0,
    7, 1, 7, 1, 0, 5, 5, 5, 0, 7, 1, 7, 1, 0, 5, 12, 12, 5, 5, 5, 5, 7, 7, 5, 5, 7, 7, 7, 7, 7, 7, 4, 4, 7, 7, 7, 7, 7,
    7, 7, 7, 4, 4, 7, 7, 10, 10, 7, 7, 7, 7, 38, 39, 39, 40, 39, 39, 39, 39, 41, 41, 41, 43, 44, 48, 47, 49, 51, 50, 50,
    51, 52, 54, 54, 55, 53, 54, 56, 56, 57, 58, 59, 58, 60, 66, 67, 67, 67, 67, 67, 67, 67, 67, 67, 67, 67, 19, 19, 6,
    6, 17, 17, 26, 26, 1, 1, 6, 6, 17, 17, 26, 26, 21, 21, 23, 23, 0, 0, 1, 1, 23, 23, 25, 25, 5, 5, 6, 6, 4, 4, 6, 6,
    17, 17, 7, 7, 21, 21, 24, 24, 25, 25, 1, 1, 1, 1, 17, 17, 26, 26, 17, 17, 4, 4, 26, 26, 23, 23, 1, 1, 6, 6, 17, 17,
    6, 6, 17, 17, 26, 26, 23, 23, 1, 1, 7, 7, 0, 0, 1, 1, 1, 1, 6, 6, 6, 6, 17, 17, 4, 4, 26, 26, 6, 6, 17, 17, 6, 6, 6,
    6, 6, 6, 6, 6, 17, 17, 26, 26, 23, 23, 18, 18, 25, 25, 23, 23, 1, 1, 7, 7, 3, 3, 17, 17, 0, 0, 1, 1, 7, 7, 6, 6, 17,
    17, 6, 6, 7, 7, 6, 6, 2, 2, 17, 17, 26, 26, 26, 7, 9, 9, 6, 17, 17, 8, 8, 1, 1, 0, 0, 8, 8, 3, 3, 2, 2, 1, 1, 0, 0,
    8, 8, 3, 3, 5, 5, 17, 17, 8, 8, 3, 3, 1, 1, 0, 0, 8, 8, 3, 3, 2, 2, 8, 8, 17, 17, 17, 17, 8, 8, 1, 1, 0, 0, 8, 8, 3,
    3, 2, 2, 1, 1, 0, 0, 8, 8, 3, 3, 17, 17, 17, 17, 8, 8, 1, 1, 0, 0, 8, 8, 3, 3, 17, 17, 0, 0, 17, 17, 8, 8, 3, 3, 14,
    15, 0, 0, 1, 1, 28, 28, 14, 15, 0, 0, 1, 1, 28, 28, 14, 15, 0, 0, 1, 1, 14, 15, 0, 0, 1, 1, 14, 15, 0, 0, 1, 1, 28,
    28, 14, 15, 0, 0, 1, 1, 28, 28, 14, 15, 0, 0, 1, 1, 28, 28, 14, 15, 0, 0, 1, 1, 28, 28, 14, 15, 0, 0, 1, 1, 14, 15,
    0, 0, 1, 1, 14, 15, 0, 0, 1, 1, 28, 28, 15, 0, 1, 28, 14, 15, 0, 0, 1, 1, 28, 28, 14, 15, 0, 0, 1, 1, 28, 28, 0, 0,
    0, 0, 0, 0, 0, 29, 29, 29, 29, 29, 29, 29, 29, 29, 29, 29, 29, 29, 29, 29, 29, 29, 29, 29, 29, 29, 29, 29, 29, 29,
    29, 29, 29, 29, 29, 29, 29, 29, 29, 29, 29, 29, 29, 29, 29, 29, 29, 29, 29, 29, 29, 29, 29, 5, 4, 29, 29, 29, 28,
    29, 5, 4, 0, 29, 28, 29, 29, 29, 28, 29, 0, 0, 29, 0, 1, 28, 5, 4, 0, 28, 28, 5, 4, 0, 0, 1, 28, 5, 4, 0, 14, 15,
    28, 28, 5, 4, 0, 15, 0, 29, 29, 29, 28, 29, 0, 0, 29, 27, 27, 27, 27, 27, 27, 27, 27, 27, 27, 27, 27, 27, 27, 27,
    27, 27, 27, 27, 27, 27, 27, 27, 27, 27, 27, 27, 27, 27, 27, 27, 27, 27, 27, 27, 27, 27, 27, 27, 27, 27, 27, 27, 27,
    68, 68, 68, 68, 68, 68, 68, 68, 68, 68, 68, 68, 68, 68, 68, 68, 69, 68, 69, 68, 69, 68, 69, 68, 69, 68, 68, 68, 68,
    68, 68, 68, 68, 68, 68, 68, 68, 68, 68, 68, 68, 68, 68, 69, 68, 69, 68, 69, 68, 69, 68, 69, 68, 68, 68, 68, 68, 68,
    70, 70, 70, 71, 71, 72, 73, 75, 74, 76, 77, 77, 78, 1, 41, 41, 41, 41, 41, 41, 41, 41, 42, 42, 42, 45, 45, 45, 45,
    45, 45, 46, 46, 65, 65, 65, 65, 65, 64, 61, 62, 63, 63, 63, 65, 65, 65, 65, 65, 64, 27, 30, 31, 36, 37, 36, 37, 31,
    32, 34, 34, 34, 34, 34, 34, 34, 34, 34, 34, 34, 34, 34, 34, 34, 34, 34, 34, 34, 34, 34, 34, 33, 35, 35, 35, 79, 79,
    80, 81, 82, 83, 84, 79, 79, 80, 80, 81, 81,
};

/* The second halves; of those that join, where they begin in the list by second and first half. */
static const uint32_t aios__nfc_seconds[85] = {
    0x300, 0x301, 0x302, 0x303, 0x304, 0x306, 0x307, 0x308, 0x309, 0x30a, 0x30b, 0x30c, 0x30f, 0x311, 0x313, 0x314,
    0x31b, 0x323, 0x324, 0x325, 0x326, 0x327, 0x328, 0x32d, 0x32e, 0x330, 0x331, 0x338, 0x342, 0x345, 0x5b4, 0x5b7,
    0x5b8, 0x5b9, 0x5bc, 0x5bf, 0x5c1, 0x5c2, 0x653, 0x654, 0x655, 0x93c, 0x9bc, 0x9be, 0x9d7, 0xa3c, 0xb3c, 0xb3e,
    0xb56, 0xb57, 0xbbe, 0xbd7, 0xc56, 0xcc2, 0xcd5, 0xcd6, 0xd3e, 0xd57, 0xdca, 0xdcf, 0xddf, 0xf72, 0xf74, 0xf80,
    0xfb5, 0xfb7, 0x102e, 0x1b35, 0x3099, 0x309a, 0x110ba, 0x11127, 0x1133e, 0x11357, 0x114b0, 0x114ba, 0x114bd,
    0x115af, 0x11930, 0x1d165, 0x1d16e, 0x1d16f, 0x1d170, 0x1d171, 0x1d172,
};
static const uint16_t aios__nfc_start[86] = {
    0, 84, 201, 233, 261, 305, 337, 383, 437, 461, 467, 473, 510, 524, 536, 550, 566, 570, 612, 614, 616, 620, 642, 652,
    664, 666, 672, 689, 733, 762, 825, 825, 825, 825, 825, 825, 825, 825, 825, 826, 832, 833, 836, 836, 837, 838, 838,
    838, 839, 840, 841, 843, 845, 846, 847, 850, 851, 853, 854, 856, 857, 858, 858, 858, 858, 858, 858, 859, 870, 918,
    928, 931, 933, 934, 935, 936, 937, 938, 940, 941, 941, 941, 941, 941, 941, 941,
};
static const uint16_t aios__nfc_by_second[941] = {
    0, 7, 11, 200, 16, 21, 500, 609, 26, 33, 37, 201, 42, 47, 501, 610, 817, 533, 559, 577, 179, 534, 560, 578, 180,
    543, 544, 392, 393, 452, 453, 587, 588, 601, 602, 781, 789, 790, 802, 823, 815, 824, 717, 718, 719, 720, 721, 722,
    723, 797, 808, 275, 280, 284, 289, 619, 620, 627, 628, 635, 636, 641, 642, 647, 648, 655, 656, 663, 664, 671, 672,
    679, 680, 685, 686, 691, 692, 698, 703, 704, 711, 712, 792, 803, 1, 59, 8, 198, 12, 420, 102, 434, 108, 17, 456,
    120, 126, 22, 502, 25, 155, 27, 60, 34, 199, 38, 421, 103, 435, 109, 43, 457, 121, 127, 48, 503, 51, 156, 252, 531,
    202, 204, 380, 557, 418, 575, 448, 206, 175, 532, 203, 205, 381, 558, 419, 576, 449, 207, 176, 541, 542, 394, 395,
    454, 455, 492, 493, 585, 586, 599, 600, 253, 254, 255, 256, 257, 258, 259, 263, 264, 265, 266, 270, 271, 272, 260,
    267, 273, 277, 279, 286, 288, 621, 622, 629, 630, 637, 638, 643, 644, 649, 650, 657, 658, 665, 666, 673, 674, 681,
    682, 687, 688, 693, 694, 699, 705, 706, 713, 714, 793, 804, 2, 61, 9, 79, 87, 13, 98, 18, 128, 23, 150, 152, 516,
    28, 62, 35, 80, 88, 39, 99, 44, 129, 49, 151, 153, 517, 539, 540, 565, 566, 583, 584, 3, 555, 89, 15, 19, 138, 496,
    615, 29, 556, 90, 41, 45, 139, 497, 616, 537, 563, 581, 538, 564, 582, 547, 548, 591, 592, 605, 606, 53, 69, 404,
    91, 114, 140, 250, 54, 70, 405, 92, 115, 141, 251, 181, 185, 244, 242, 173, 182, 186, 245, 243, 174, 193, 194, 183,
    184, 248, 249, 780, 801, 814, 773, 796, 807, 307, 317, 308, 318, 428, 429, 464, 465, 55, 71, 81, 93, 116, 142, 56,
    72, 82, 94, 117, 143, 400, 401, 779, 800, 813, 772, 795, 806, 295, 299, 293, 282, 281, 296, 300, 294, 283, 290, 549,
    550, 238, 374, 63, 382, 73, 402, 83, 406, 97, 436, 440, 246, 458, 460, 468, 478, 506, 510, 514, 157, 239, 375, 64,
    383, 74, 403, 84, 407, 437, 441, 247, 459, 461, 469, 479, 507, 511, 515, 158, 472, 473, 474, 475, 526, 476, 477, 4,
    10, 410, 14, 20, 24, 504, 512, 154, 30, 36, 411, 40, 46, 523, 50, 505, 513, 52, 450, 451, 494, 495, 261, 262, 268,
    269, 274, 278, 297, 276, 303, 305, 309, 311, 319, 323, 325, 315, 298, 285, 304, 306, 310, 312, 320, 324, 326, 316,
    287, 301, 302, 313, 314, 529, 553, 567, 573, 597, 613, 530, 554, 568, 574, 598, 614, 535, 561, 579, 536, 562, 580,
    545, 546, 589, 590, 603, 604, 5, 144, 31, 145, 524, 525, 118, 146, 119, 147, 321, 322, 165, 65, 67, 77, 187, 236,
    167, 189, 106, 112, 169, 124, 132, 136, 171, 159, 166, 66, 68, 78, 188, 237, 168, 197, 190, 107, 113, 170, 125, 133,
    137, 172, 160, 177, 178, 195, 196, 208, 212, 216, 220, 224, 228, 209, 213, 217, 221, 225, 229, 291, 292, 210, 214,
    218, 222, 226, 230, 211, 215, 219, 223, 227, 231, 625, 639, 653, 669, 683, 709, 617, 633, 645, 661, 677, 809, 689,
    701, 626, 640, 654, 670, 684, 816, 697, 710, 618, 634, 646, 662, 678, 810, 690, 702, 161, 163, 162, 164, 527, 376,
    384, 551, 408, 569, 422, 426, 438, 442, 571, 462, 470, 480, 595, 498, 508, 611, 518, 528, 377, 385, 552, 409, 570,
    423, 427, 439, 443, 572, 463, 471, 481, 596, 499, 509, 612, 519, 593, 594, 607, 608, 486, 487, 372, 373, 232, 234,
    233, 235, 6, 388, 240, 85, 412, 100, 104, 110, 122, 130, 134, 32, 389, 241, 86, 413, 101, 105, 111, 123, 131, 135,
    57, 75, 95, 191, 148, 58, 76, 96, 192, 149, 390, 396, 432, 446, 484, 490, 391, 397, 433, 447, 485, 491, 414, 415,
    398, 416, 488, 399, 417, 489, 378, 386, 424, 430, 444, 466, 482, 520, 379, 387, 522, 425, 431, 445, 467, 483, 521,
    844, 841, 845, 826, 827, 828, 829, 831, 830, 832, 833, 834, 835, 836, 837, 838, 839, 840, 843, 842, 846, 847, 848,
    849, 850, 851, 852, 853, 862, 863, 854, 855, 856, 857, 864, 865, 858, 859, 860, 861, 866, 867, 868, 869, 783, 777,
    787, 798, 811, 821, 799, 812, 623, 624, 631, 632, 651, 652, 659, 660, 667, 668, 675, 676, 695, 696, 700, 707, 708,
    715, 716, 794, 805, 782, 791, 825, 776, 786, 775, 785, 819, 820, 724, 725, 726, 727, 728, 729, 730, 731, 732, 733,
    734, 735, 736, 737, 738, 739, 740, 741, 742, 743, 744, 745, 746, 747, 748, 749, 750, 751, 752, 753, 754, 755, 756,
    757, 758, 759, 760, 761, 762, 763, 764, 765, 766, 767, 768, 769, 770, 771, 774, 784, 818, 778, 788, 822, 327, 328,
    329, 331, 333, 334, 332, 330, 335, 336, 337, 338, 339, 341, 340, 342, 344, 345, 343, 346, 347, 351, 348, 349, 352,
    350, 353, 354, 355, 356, 358, 357, 359, 360, 361, 362, 363, 364, 365, 366, 367, 368, 369, 370, 371, 895, 870, 871,
    872, 873, 874, 875, 876, 877, 878, 879, 880, 881, 882, 883, 884, 885, 887, 889, 891, 893, 896, 922, 897, 898, 899,
    900, 901, 902, 903, 904, 905, 906, 907, 908, 909, 910, 911, 912, 914, 916, 918, 920, 923, 924, 925, 926, 927, 886,
    888, 890, 892, 894, 913, 915, 917, 919, 921, 928, 929, 930, 931, 932, 933, 934, 936, 935, 937, 938, 939, 940,
};

/* Code points that become another one: the low 16 bits, and a bit where it is in plane 2 and not in plane 0. */
static const uint32_t aios__nfc_one_run[39] = {
    0x340000, 0x343002, 0x374003, 0x37e004, 0x387005, 0x1f71006, 0x1f73007, 0x1f75008, 0x1f77009, 0x1f7900a, 0x1f7b00b,
    0x1f7d00c, 0x1fbb00d, 0x1fbe00e, 0x1fc900f, 0x1fcb010, 0x1fd3011, 0x1fdb012, 0x1fe3013, 0x1feb014, 0x1fee015,
    0x1ff9017, 0x1ffb018, 0x1ffd019, 0x200001a, 0x212601c, 0x212a01d, 0x232901f, 0xf900021, 0xfa1012f, 0xfa12130,
    0xfa15131, 0xfa2013b, 0xfa2213c, 0xfa2513d, 0xfa2a13f, 0xfa70183, 0x2f8001ed, 0xfffff40b,
};
static const uint16_t aios__nfc_one[1035] = {
    0x300, 0x301, 0x313, 0x2b9, 0x3b, 0xb7, 0x3ac, 0x3ad, 0x3ae, 0x3af, 0x3cc, 0x3cd, 0x3ce, 0x386, 0x3b9, 0x388, 0x389,
    0x390, 0x38a, 0x3b0, 0x38e, 0x385, 0x60, 0x38c, 0x38f, 0xb4, 0x2002, 0x2003, 0x3a9, 0x4b, 0xc5, 0x3008, 0x3009,
    0x8c48, 0x66f4, 0x8eca, 0x8cc8, 0x6ed1, 0x4e32, 0x53e5, 0x9f9c, 0x9f9c, 0x5951, 0x91d1, 0x5587, 0x5948, 0x61f6,
    0x7669, 0x7f85, 0x863f, 0x87ba, 0x88f8, 0x908f, 0x6a02, 0x6d1b, 0x70d9, 0x73de, 0x843d, 0x916a, 0x99f1, 0x4e82,
    0x5375, 0x6b04, 0x721b, 0x862d, 0x9e1e, 0x5d50, 0x6feb, 0x85cd, 0x8964, 0x62c9, 0x81d8, 0x881f, 0x5eca, 0x6717,
    0x6d6a, 0x72fc, 0x90ce, 0x4f86, 0x51b7, 0x52de, 0x64c4, 0x6ad3, 0x7210, 0x76e7, 0x8001, 0x8606, 0x865c, 0x8def,
    0x9732, 0x9b6f, 0x9dfa, 0x788c, 0x797f, 0x7da0, 0x83c9, 0x9304, 0x9e7f, 0x8ad6, 0x58df, 0x5f04, 0x7c60, 0x807e,
    0x7262, 0x78ca, 0x8cc2, 0x96f7, 0x58d8, 0x5c62, 0x6a13, 0x6dda, 0x6f0f, 0x7d2f, 0x7e37, 0x964b, 0x52d2, 0x808b,
    0x51dc, 0x51cc, 0x7a1c, 0x7dbe, 0x83f1, 0x9675, 0x8b80, 0x62cf, 0x6a02, 0x8afe, 0x4e39, 0x5be7, 0x6012, 0x7387,
    0x7570, 0x5317, 0x78fb, 0x4fbf, 0x5fa9, 0x4e0d, 0x6ccc, 0x6578, 0x7d22, 0x53c3, 0x585e, 0x7701, 0x8449, 0x8aaa,
    0x6bba, 0x8fb0, 0x6c88, 0x62fe, 0x82e5, 0x63a0, 0x7565, 0x4eae, 0x5169, 0x51c9, 0x6881, 0x7ce7, 0x826f, 0x8ad2,
    0x91cf, 0x52f5, 0x5442, 0x5973, 0x5eec, 0x65c5, 0x6ffe, 0x792a, 0x95ad, 0x9a6a, 0x9e97, 0x9ece, 0x529b, 0x66c6,
    0x6b77, 0x8f62, 0x5e74, 0x6190, 0x6200, 0x649a, 0x6f23, 0x7149, 0x7489, 0x79ca, 0x7df4, 0x806f, 0x8f26, 0x84ee,
    0x9023, 0x934a, 0x5217, 0x52a3, 0x54bd, 0x70c8, 0x88c2, 0x8aaa, 0x5ec9, 0x5ff5, 0x637b, 0x6bae, 0x7c3e, 0x7375,
    0x4ee4, 0x56f9, 0x5be7, 0x5dba, 0x601c, 0x73b2, 0x7469, 0x7f9a, 0x8046, 0x9234, 0x96f6, 0x9748, 0x9818, 0x4f8b,
    0x79ae, 0x91b4, 0x96b8, 0x60e1, 0x4e86, 0x50da, 0x5bee, 0x5c3f, 0x6599, 0x6a02, 0x71ce, 0x7642, 0x84fc, 0x907c,
    0x9f8d, 0x6688, 0x962e, 0x5289, 0x677b, 0x67f3, 0x6d41, 0x6e9c, 0x7409, 0x7559, 0x786b, 0x7d10, 0x985e, 0x516d,
    0x622e, 0x9678, 0x502b, 0x5d19, 0x6dea, 0x8f2a, 0x5f8b, 0x6144, 0x6817, 0x7387, 0x9686, 0x5229, 0x540f, 0x5c65,
    0x6613, 0x674e, 0x68a8, 0x6ce5, 0x7406, 0x75e2, 0x7f79, 0x88cf, 0x88e1, 0x91cc, 0x96e2, 0x533f, 0x6eba, 0x541d,
    0x71d0, 0x7498, 0x85fa, 0x96a3, 0x9c57, 0x9e9f, 0x6797, 0x6dcb, 0x81e8, 0x7acb, 0x7b20, 0x7c92, 0x72c0, 0x7099,
    0x8b58, 0x4ec0, 0x8336, 0x523a, 0x5207, 0x5ea6, 0x62d3, 0x7cd6, 0x5b85, 0x6d1e, 0x66b4, 0x8f3b, 0x884c, 0x964d,
    0x898b, 0x5ed3, 0x5140, 0x55c0, 0x585a, 0x6674, 0x51de, 0x732a, 0x76ca, 0x793c, 0x795e, 0x7965, 0x798f, 0x9756,
    0x7cbe, 0x7fbd, 0x8612, 0x8af8, 0x9038, 0x90fd, 0x98ef, 0x98fc, 0x9928, 0x9db4, 0x90de, 0x96b7, 0x4fae, 0x50e7,
    0x514d, 0x52c9, 0x52e4, 0x5351, 0x559d, 0x5606, 0x5668, 0x5840, 0x58a8, 0x5c64, 0x5c6e, 0x6094, 0x6168, 0x618e,
    0x61f2, 0x654f, 0x65e2, 0x6691, 0x6885, 0x6d77, 0x6e1a, 0x6f22, 0x716e, 0x722b, 0x7422, 0x7891, 0x793e, 0x7949,
    0x7948, 0x7950, 0x7956, 0x795d, 0x798d, 0x798e, 0x7a40, 0x7a81, 0x7bc0, 0x7df4, 0x7e09, 0x7e41, 0x7f72, 0x8005,
    0x81ed, 0x8279, 0x8279, 0x8457, 0x8910, 0x8996, 0x8b01, 0x8b39, 0x8cd3, 0x8d08, 0x8fb6, 0x9038, 0x96e3, 0x97ff,
    0x983b, 0x6075, 0x42ee, 0x8218, 0x4e26, 0x51b5, 0x5168, 0x4f80, 0x5145, 0x5180, 0x52c7, 0x52fa, 0x559d, 0x5555,
    0x5599, 0x55e2, 0x585a, 0x58b3, 0x5944, 0x5954, 0x5a62, 0x5b28, 0x5ed2, 0x5ed9, 0x5f69, 0x5fad, 0x60d8, 0x614e,
    0x6108, 0x618e, 0x6160, 0x61f2, 0x6234, 0x63c4, 0x641c, 0x6452, 0x6556, 0x6674, 0x6717, 0x671b, 0x6756, 0x6b79,
    0x6bba, 0x6d41, 0x6edb, 0x6ecb, 0x6f22, 0x701e, 0x716e, 0x77a7, 0x7235, 0x72af, 0x732a, 0x7471, 0x7506, 0x753b,
    0x761d, 0x761f, 0x76ca, 0x76db, 0x76f4, 0x774a, 0x7740, 0x78cc, 0x7ab1, 0x7bc0, 0x7c7b, 0x7d5b, 0x7df4, 0x7f3e,
    0x8005, 0x8352, 0x83ef, 0x8779, 0x8941, 0x8986, 0x8996, 0x8abf, 0x8af8, 0x8acb, 0x8b01, 0x8afe, 0x8aed, 0x8b39,
    0x8b8a, 0x8d08, 0x8f38, 0x9072, 0x9199, 0x9276, 0x967c, 0x96e3, 0x9756, 0x97db, 0x97ff, 0x980b, 0x983b, 0x9b12,
    0x9f9c, 0x284a, 0x2844, 0x33d5, 0x3b9d, 0x4018, 0x4039, 0x5249, 0x5cd0, 0x7ed3, 0x9f43, 0x9f8e, 0x4e3d, 0x4e38,
    0x4e41, 0x122, 0x4f60, 0x4fae, 0x4fbb, 0x5002, 0x507a, 0x5099, 0x50e7, 0x50cf, 0x349e, 0x63a, 0x514d, 0x5154,
    0x5164, 0x5177, 0x51c, 0x34b9, 0x5167, 0x518d, 0x54b, 0x5197, 0x51a4, 0x4ecc, 0x51ac, 0x51b5, 0x91df, 0x51f5,
    0x5203, 0x34df, 0x523b, 0x5246, 0x5272, 0x5277, 0x3515, 0x52c7, 0x52c9, 0x52e4, 0x52fa, 0x5305, 0x5306, 0x5317,
    0x5349, 0x5351, 0x535a, 0x5373, 0x537d, 0x537f, 0x537f, 0x537f, 0xa2c, 0x7070, 0x53ca, 0x53df, 0xb63, 0x53eb,
    0x53f1, 0x5406, 0x549e, 0x5438, 0x5448, 0x5468, 0x54a2, 0x54f6, 0x5510, 0x5553, 0x5563, 0x5584, 0x5584, 0x5599,
    0x55ab, 0x55b3, 0x55c2, 0x5716, 0x5606, 0x5717, 0x5651, 0x5674, 0x5207, 0x58ee, 0x57ce, 0x57f4, 0x580d, 0x578b,
    0x5832, 0x5831, 0x58ac, 0x14e4, 0x58f2, 0x58f7, 0x5906, 0x591a, 0x5922, 0x5962, 0x16a8, 0x16ea, 0x59ec, 0x5a1b,
    0x5a27, 0x59d8, 0x5a66, 0x36ee, 0x36fc, 0x5b08, 0x5b3e, 0x5b3e, 0x19c8, 0x5bc3, 0x5bd8, 0x5be7, 0x5bf3, 0x1b18,
    0x5bff, 0x5c06, 0x5f53, 0x5c22, 0x3781, 0x5c60, 0x5c6e, 0x5cc0, 0x5c8d, 0x1de4, 0x5d43, 0x1de6, 0x5d6e, 0x5d6b,
    0x5d7c, 0x5de1, 0x5de2, 0x382f, 0x5dfd, 0x5e28, 0x5e3d, 0x5e69, 0x3862, 0x2183, 0x387c, 0x5eb0, 0x5eb3, 0x5eb6,
    0x5eca, 0xa392, 0x5efe, 0x2331, 0x2331, 0x8201, 0x5f22, 0x5f22, 0x38c7, 0x32b8, 0x61da, 0x5f62, 0x5f6b, 0x38e3,
    0x5f9a, 0x5fcd, 0x5fd7, 0x5ff9, 0x6081, 0x393a, 0x391c, 0x6094, 0x26d4, 0x60c7, 0x6148, 0x614c, 0x614e, 0x614c,
    0x617a, 0x618e, 0x61b2, 0x61a4, 0x61af, 0x61de, 0x61f2, 0x61f6, 0x6210, 0x621b, 0x625d, 0x62b1, 0x62d4, 0x6350,
    0x2b0c, 0x633d, 0x62fc, 0x6368, 0x6383, 0x63e4, 0x2bf1, 0x6422, 0x63c5, 0x63a9, 0x3a2e, 0x6469, 0x647e, 0x649d,
    0x6477, 0x3a6c, 0x654f, 0x656c, 0x300a, 0x65e3, 0x66f8, 0x6649, 0x3b19, 0x6691, 0x3b08, 0x3ae4, 0x5192, 0x5195,
    0x6700, 0x669c, 0x80ad, 0x43d9, 0x6717, 0x671b, 0x6721, 0x675e, 0x6753, 0x33c3, 0x3b49, 0x67fa, 0x6785, 0x6852,
    0x6885, 0x346d, 0x688e, 0x681f, 0x6914, 0x3b9d, 0x6942, 0x69a3, 0x69ea, 0x6aa8, 0x36a3, 0x6adb, 0x3c18, 0x6b21,
    0x38a7, 0x6b54, 0x3c4e, 0x6b72, 0x6b9f, 0x6bba, 0x6bbb, 0x3a8d, 0x1d0b, 0x3afa, 0x6c4e, 0x3cbc, 0x6cbf, 0x6ccd,
    0x6c67, 0x6d16, 0x6d3e, 0x6d77, 0x6d41, 0x6d69, 0x6d78, 0x6d85, 0x3d1e, 0x6d34, 0x6e2f, 0x6e6e, 0x3d33, 0x6ecb,
    0x6ec7, 0x3ed1, 0x6df9, 0x6f6e, 0x3f5e, 0x3f8e, 0x6fc6, 0x7039, 0x701e, 0x701b, 0x3d96, 0x704a, 0x707d, 0x7077,
    0x70ad, 0x525, 0x7145, 0x4263, 0x719c, 0x43ab, 0x7228, 0x7235, 0x7250, 0x4608, 0x7280, 0x7295, 0x4735, 0x4814,
    0x737a, 0x738b, 0x3eac, 0x73a5, 0x3eb8, 0x3eb8, 0x7447, 0x745c, 0x7471, 0x7485, 0x74ca, 0x3f1b, 0x7524, 0x4c36,
    0x753e, 0x4c92, 0x7570, 0x219f, 0x7610, 0x4fa1, 0x4fb8, 0x5044, 0x3ffc, 0x4008, 0x76f4, 0x50f3, 0x50f2, 0x5119,
    0x5133, 0x771e, 0x771f, 0x771f, 0x774a, 0x4039, 0x778b, 0x4046, 0x4096, 0x541d, 0x784e, 0x788c, 0x78cc, 0x40e3,
    0x5626, 0x7956, 0x569a, 0x56c5, 0x798f, 0x79eb, 0x412f, 0x7a40, 0x7a4a, 0x7a4f, 0x597c, 0x5aa7, 0x5aa7, 0x7aee,
    0x4202, 0x5bab, 0x7bc6, 0x7bc9, 0x4227, 0x5c80, 0x7cd2, 0x42a0, 0x7ce8, 0x7ce3, 0x7d00, 0x5f86, 0x7d63, 0x4301,
    0x7dc7, 0x7e02, 0x7e45, 0x4334, 0x6228, 0x6247, 0x4359, 0x62d9, 0x7f7a, 0x633e, 0x7f95, 0x7ffa, 0x8005, 0x64da,
    0x6523, 0x8060, 0x65a8, 0x8070, 0x335f, 0x43d5, 0x80b2, 0x8103, 0x440b, 0x813e, 0x5ab5, 0x67a7, 0x67b5, 0x3393,
    0x339c, 0x8201, 0x8204, 0x8f9e, 0x446b, 0x8291, 0x828b, 0x829d, 0x52b3, 0x82b1, 0x82b3, 0x82bd, 0x82e6, 0x6b3c,
    0x82e5, 0x831d, 0x8363, 0x83ad, 0x8323, 0x83bd, 0x83e7, 0x8457, 0x8353, 0x83ca, 0x83cc, 0x83dc, 0x6c36, 0x6d6b,
    0x6cd5, 0x452b, 0x84f1, 0x84f3, 0x8516, 0x73ca, 0x8564, 0x6f2c, 0x455d, 0x4561, 0x6fb1, 0x70d2, 0x456b, 0x8650,
    0x865c, 0x8667, 0x8669, 0x86a9, 0x8688, 0x870e, 0x86e2, 0x8779, 0x8728, 0x876b, 0x8786, 0x45d7, 0x87e1, 0x8801,
    0x45f9, 0x8860, 0x8863, 0x7667, 0x88d7, 0x88de, 0x4635, 0x88fa, 0x34bb, 0x78ae, 0x7966, 0x46be, 0x46c7, 0x8aa0,
    0x8aed, 0x8b8a, 0x8c55, 0x7ca8, 0x8cab, 0x8cc1, 0x8d1b, 0x8d77, 0x7f2f, 0x804, 0x8dcb, 0x8dbc, 0x8df0, 0x8de,
    0x8ed4, 0x8f38, 0x85d2, 0x85ed, 0x9094, 0x90f1, 0x9111, 0x872e, 0x911b, 0x9238, 0x92d7, 0x92d8, 0x927c, 0x93f9,
    0x9415, 0x8bfa, 0x958b, 0x4995, 0x95b7, 0x8d77, 0x49e6, 0x96c3, 0x5db2, 0x9723, 0x9145, 0x921a, 0x4a6e, 0x4a76,
    0x97e0, 0x940a, 0x4ab2, 0x9496, 0x980b, 0x980b, 0x9829, 0x95b6, 0x98e2, 0x4b33, 0x9929, 0x99a7, 0x99c2, 0x99fe,
    0x4bce, 0x9b30, 0x9b12, 0x9c40, 0x9cfd, 0x4cce, 0x4ced, 0x9d67, 0xa0ce, 0x4cf8, 0xa105, 0xa20e, 0xa291, 0x9ebb,
    0x4d56, 0x9ef9, 0x9efe, 0x9f05, 0x9f0f, 0x9f16, 0x9f3b, 0xa600,
};
static const uint32_t aios__nfc_one_plane[33] = {
    0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x2, 0x0, 0x0, 0x8401071c, 0x208, 0x22, 0x42006040,
    0xd0400500, 0x20030, 0x800820, 0x22010400, 0x64080170, 0x191500, 0x8403c754, 0x81044e06, 0xf02b15, 0x650e0010,
    0x3040000, 0x44046461, 0xa0404518, 0x403,
};

/* Canonical combining classes other than 0: code point << 14 | how many follow << 8 | class. */
static const uint32_t aios__nfc_mark[388] = {
    0xc014e6, 0xc540e8, 0xc583dc, 0xc680e8, 0xc6c0d8, 0xc704dc, 0xc841ca, 0xc8c3dc, 0xc9c1ca, 0xca4adc, 0xcd0401,
    0xce43dc, 0xcf47e6, 0xd140f0, 0xd180e6, 0xd1c2dc, 0xd282e6, 0xd341dc, 0xd402e6, 0xd4c3dc, 0xd5c0e6, 0xd600e8,
    0xd641dc, 0xd6c0e6, 0xd700e9, 0xd741ea, 0xd7c0e9, 0xd801ea, 0xd880e9, 0xd8cce6, 0x120c4e6, 0x16440dc, 0x16483e6,
    0x16580dc, 0x165c2e6, 0x16680de, 0x166c0dc, 0x16705e6, 0x16885dc, 0x16a01e6, 0x16a80dc, 0x16ac1e6, 0x16b40de,
    0x16b80e4, 0x16bc0e6, 0x16c000a, 0x16c400b, 0x16c800c, 0x16cc00d, 0x16d000e, 0x16d400f, 0x16d8010, 0x16dc011,
    0x16e0012, 0x16e4113, 0x16ec014, 0x16f0015, 0x16f4016, 0x16fc017, 0x1704018, 0x1708019, 0x17100e6, 0x17140dc,
    0x171c012, 0x18407e6, 0x186001e, 0x186401f, 0x1868020, 0x192c01b, 0x193001c, 0x193401d, 0x193801e, 0x193c01f,
    0x1940020, 0x1944021, 0x1948022, 0x194c1e6, 0x19541dc, 0x195c4e6, 0x19700dc, 0x19741e6, 0x197c0dc, 0x19c0023,
    0x1b586e6, 0x1b7c3e6, 0x1b8c0dc, 0x1b900e6, 0x1b9c1e6, 0x1ba80dc, 0x1bac1e6, 0x1bb40dc, 0x1c44024, 0x1cc00e6,
    0x1cc40dc, 0x1cc81e6, 0x1cd00dc, 0x1cd41e6, 0x1cdc2dc, 0x1ce80e6, 0x1cec1dc, 0x1cf40e6, 0x1cf80dc, 0x1cfc2e6,
    0x1d080dc, 0x1d0c0e6, 0x1d100dc, 0x1d140e6, 0x1d180dc, 0x1d1c0e6, 0x1d200dc, 0x1d241e6, 0x1fac6e6, 0x1fc80dc,
    0x1fcc0e6, 0x1ff40dc, 0x20583e6, 0x206c8e6, 0x20942e6, 0x20a44e6, 0x21642dc, 0x22600e6, 0x22642dc, 0x22703e6,
    0x23284e6, 0x233c4dc, 0x2350de6, 0x238c0dc, 0x23901e6, 0x23980dc, 0x239c1e6, 0x23a40dc, 0x23a82e6, 0x23b42dc,
    0x23c001b, 0x23c401c, 0x23c801d, 0x23cc2e6, 0x23d80dc, 0x23dc1e6, 0x23e41dc, 0x23ec4e6, 0x24f0007, 0x2534009,
    0x25440e6, 0x25480dc, 0x254c1e6, 0x26f0007, 0x2734009, 0x27f80e6, 0x28f0007, 0x2934009, 0x2af0007, 0x2b34009,
    0x2cf0007, 0x2d34009, 0x2f34009, 0x30f0007, 0x3134009, 0x3154054, 0x315805b, 0x32f0007, 0x3334009, 0x34ec109,
    0x3534009, 0x3728009, 0x38e0167, 0x38e8009, 0x392036b, 0x3ae0176, 0x3ae8009, 0x3b2037a, 0x3c601dc, 0x3cd40dc,
    0x3cdc0dc, 0x3ce40d8, 0x3dc4081, 0x3dc8082, 0x3dd0084, 0x3de8382, 0x3e00082, 0x3e081e6, 0x3e10009, 0x3e181e6,
    0x3f180dc, 0x40dc007, 0x40e4109, 0x42340dc, 0x4d742e6, 0x5c50109, 0x5cd0009, 0x5f48009, 0x5f740e6, 0x62a40e4,
    0x64e40de, 0x64e80e6, 0x64ec0dc, 0x685c0e6, 0x68600dc, 0x6980009, 0x69d47e6, 0x69fc0dc, 0x6ac04e6, 0x6ad45dc,
    0x6aec1e6, 0x6af40dc, 0x6afc1dc, 0x6b041e6, 0x6b0c1dc, 0x6b144e6, 0x6b280dc, 0x6b2c3e6, 0x6cd0007, 0x6d10009,
    0x6dac0e6, 0x6db00dc, 0x6db46e6, 0x6ea8109, 0x6f98007, 0x6fc8109, 0x70dc007, 0x73402e6, 0x7350001, 0x73544dc,
    0x73681e6, 0x73703dc, 0x73800e6, 0x7388601, 0x73b40dc, 0x73d00e6, 0x73e01e6, 0x77001e6, 0x77080dc, 0x770c6e6,
    0x77280dc, 0x772c1e6, 0x77340ea, 0x77380d6, 0x773c0dc, 0x77400ca, 0x77464e6, 0x77d80e8, 0x77dc1e4, 0x77e40dc,
    0x77e80da, 0x77ec0e6, 0x77f00e9, 0x77f40dc, 0x77f80e6, 0x77fc0dc, 0x83401e6, 0x8348101, 0x83503e6, 0x8360201,
    0x836c1e6, 0x83840e6, 0x8394101, 0x839c0e6, 0x83a00dc, 0x83a40e6, 0x83a8101, 0x83b03dc, 0x83c00e6, 0xb3bc2e6,
    0xb5fc009, 0xb781fe6, 0xc0a80da, 0xc0ac0e4, 0xc0b00e8, 0xc0b40de, 0xc0b81e0, 0xc264108, 0x299bc0e6, 0x299d09e6,
    0x29a781e6, 0x29bc01e6, 0x2a018009, 0x2a0b0009, 0x2a310009, 0x2a3811e6, 0x2a4ac2dc, 0x2a54c009, 0x2a6cc007,
    0x2a700009, 0x2aac00e6, 0x2aac81e6, 0x2aad00dc, 0x2aadc1e6, 0x2aaf81e6, 0x2ab040e6, 0x2abd8009, 0x2afb4009,
    0x3ec7801a, 0x3f8806e6, 0x3f89c6dc, 0x3f8b81e6, 0x407f40dc, 0x40b800dc, 0x40dd84e6, 0x428340dc, 0x4283c0e6,
    0x428e00e6, 0x428e4001, 0x428e80dc, 0x428fc009, 0x42b940e6, 0x42b980dc, 0x434903e6, 0x43aac1e6, 0x43bf42dc,
    0x43d181dc, 0x43d202e6, 0x43d2c0dc, 0x43d300e6, 0x43d343dc, 0x43e080e6, 0x43e0c0dc, 0x43e100e6, 0x43e140dc,
    0x44118009, 0x441c0009, 0x441fc009, 0x442e4009, 0x442e8007, 0x444002e6, 0x444cc109, 0x445cc007, 0x44700009,
    0x44728007, 0x448d4009, 0x448d8007, 0x44ba4007, 0x44ba8009, 0x44cec107, 0x44d34009, 0x44d986e6, 0x44dc04e6,
    0x45108009, 0x45118007, 0x451780e6, 0x45308009, 0x4530c007, 0x456fc009, 0x45700007, 0x458fc009, 0x45ad8009,
    0x45adc007, 0x45cac009, 0x460e4009, 0x460e8007, 0x464f4109, 0x4650c007, 0x46780009, 0x468d0009, 0x4691c009,
    0x46a64009, 0x470fc009, 0x47508007, 0x47510109, 0x4765c009, 0x47d04109, 0x5abc0401, 0x5acc06e6, 0x5bfc0106,
    0x6f278001, 0x745941d8, 0x7459c201, 0x745b40e2, 0x745b84d8, 0x745ec7dc, 0x746144e6, 0x746281dc, 0x746a83e6,
    0x749082e6, 0x780006e6, 0x780210e6, 0x7806c6e6, 0x7808c1e6, 0x780984e6, 0x7823c0e6, 0x784c06e6, 0x78ab80e6,
    0x78bb03e6, 0x793b01e8, 0x793b80dc, 0x793bc0e6, 0x7a3406dc, 0x7a5105e6, 0x7a528007,
};

/* Which have a class, may join with what stands before them, or do not stay; below U+20000. A bit for 32 code points of which some do, how many
 * such bits there are before each word of them, and for each such bit those code points. */
static const uint32_t aios__nfc_block[128] = {
    0x1f000000, 0x87cd7010, 0x6666e6d7, 0x7f664666, 0x4006812, 0x43000000, 0xae690220, 0xe800c0c2, 0x20002c1, 0x0,
    0x400000, 0x8880, 0x12, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0,
    0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x980000, 0x80e066c3, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0,
    0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x77fff00, 0x20000, 0x8808000, 0x0, 0x830000, 0x14a00200,
    0xe824b2c, 0x2226064, 0x168602, 0x4001402, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0,
    0x0, 0x0, 0x0, 0x0, 0x2800000, 0x80000000, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0,
    0x0, 0x0, 0x0, 0x0, 0x0, 0x10, 0x0, 0x0, 0x0, 0x0, 0x47c00, 0x0, 0x0, 0x0, 0xa00213, 0x80, 0x440, 0x0, 0x0, 0x0,
    0x0, 0x0,
};
static const uint8_t aios__nfc_rank[128] = {
    0, 5, 18, 37, 55, 61, 64, 75, 84, 89, 89, 90, 93, 95, 95, 95, 95, 95, 95, 95, 95, 95, 95, 95, 95, 95, 95, 95, 95,
    95, 95, 95, 95, 95, 95, 95, 95, 95, 95, 95, 95, 95, 98, 110, 110, 110, 110, 110, 110, 110, 110, 110, 110, 110, 110,
    110, 110, 110, 110, 110, 110, 110, 110, 128, 129, 132, 132, 135, 140, 152, 160, 167, 171, 171, 171, 171, 171, 171,
    171, 171, 171, 171, 171, 171, 171, 171, 171, 171, 171, 171, 171, 173, 174, 174, 174, 174, 174, 174, 174, 174, 174,
    174, 174, 174, 174, 174, 174, 174, 174, 174, 174, 174, 175, 175, 175, 175, 175, 181, 181, 181, 181, 187, 188, 190,
    190, 190, 190, 190,
};
static const uint32_t aios__nfc_odd[190] = {
    0xffffffff, 0xffffffff, 0xffff7fff, 0x4010ffff, 0x80, 0xf8, 0xfffe0000, 0xbfffffff, 0xb6, 0x7ff0000, 0xfffff800,
    0x10000, 0x9fc00000, 0x3d9f, 0x20000, 0xffff0000, 0x7ff, 0x200ff800, 0xfbc00000, 0x3eef, 0xe000000, 0xff000000,
    0xfffffc00, 0xfffffffb, 0x10000000, 0xff1e2000, 0x50000000, 0xb0802000, 0x40000000, 0x10480000, 0x4e002000,
    0x10000000, 0x2000, 0x50000000, 0x30c02000, 0x40000000, 0x802000, 0x10000000, 0x602000, 0x10000000, 0x602004,
    0x58000000, 0x802000, 0x80008400, 0x7000000, 0xf00, 0x7000000, 0xf00, 0x3000000, 0x2a00000, 0x10842008, 0x3d7e0200,
    0x200800df, 0x2001084, 0x40, 0x6804000, 0x2000, 0x3ffffe, 0xffffff00, 0x7, 0xe0000000, 0x300000, 0x100000,
    0x20040000, 0x200, 0xe000000, 0x1800000, 0x9fe00001, 0xbfff0000, 0x7fff, 0x300000, 0x10, 0xff800, 0xc00, 0xc0040,
    0x800000, 0xfff70000, 0x31021fd, 0xffffffff, 0xffffffff, 0x2aaa0000, 0x48000000, 0x8080a00, 0x2a00c808, 0x3,
    0x1fff0000, 0x1ffe2, 0xc40, 0x600, 0x10000000, 0x38000, 0x80000000, 0xffffffff, 0xfc00, 0x6000000, 0x3ff08000,
    0xc0000000, 0x30000, 0x40, 0x1000, 0x10, 0x3ffff, 0x3800, 0x80000, 0x80000, 0x1, 0xc19d0000, 0x2, 0x400000, 0x2000,
    0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0x7fe53fff,
    0xfffffc65, 0xffffffff, 0xffff3fff, 0xffffffff, 0xffffffff, 0x3ffffff, 0xe0000000, 0x5f7ffc00, 0x7fdb, 0xffff,
    0x20000000, 0x1, 0x7c00000, 0xa000, 0x87000000, 0x60, 0xf0, 0x1800, 0xe0000000, 0x1ffc0, 0x3c, 0x40, 0x80010000,
    0x6000000, 0x7, 0x180080, 0x80000, 0x401, 0x600000, 0x600, 0x58000000, 0x802000, 0x1f1fc0, 0x40000044, 0x24010000,
    0xc, 0x80008000, 0x1, 0x80000000, 0xc00000, 0x800, 0x6000000, 0x60010000, 0x8, 0x1, 0x100000, 0x80, 0x2000000,
    0x80000000, 0x34, 0x800000, 0x6, 0x1f0000, 0x7f0000, 0x30000, 0x40000000, 0xc0000000, 0xf807e3ff, 0xfe7, 0xf8003c00,
    0x1, 0x1c, 0xf9ffff7f, 0x7db, 0x8000, 0x7f0000, 0x4000, 0xf000, 0xf000, 0x7f0000, 0x7f0,
};

#endif

/* ======== text/char.c ======== */
/* char.c: characters of UTF-8 text, their classes (unicode.h), the byte alphabet of GPT-2. The
 * first of the text files; knows no vocabulary. */

/* How many bytes follow a first byte, and the range of the second; 0 for bytes that start
 * nothing longer than themselves. Refuses overlong forms, surrogates and what is above U+10FFFF.
 * From: Unicode 15.1, table 3-7. */
static inline uint32_t aios__utf8_more(uint8_t b, uint8_t *low, uint8_t *high) {
    *low = b == 0xE0 ? 0xA0 : b == 0xF0 ? 0x90 : 0x80;
    *high = b == 0xED ? 0x9F : b == 0xF4 ? 0x8F : 0xBF;
    return b < 0xC2 ? 0 : b < 0xE0 ? 1 : b < 0xF0 ? 2 : b < 0xF5 ? 3 : 0;
}
/* The character at s (n > 0 bytes are there) and its length; an invalid byte is U+FFFD of length
 * 1. */
static inline uint32_t aios__utf8(const char *s, uint64_t n, uint32_t *len) {
    uint32_t b = (uint8_t)s[0], more = b < 0xC2   ? 0
                                       : b < 0xE0 ? 1
                                       : b < 0xF0 ? 2
                                       : b < 0xF5 ? 3
                                                  : 0;
    *len = 1;
    if (b < 0x80) return b;
    if (more == 0 || more >= n) return 0xFFFD;
    uint32_t cp = b & (0x3Fu >> more);
    for (uint32_t i = 1; i <= more; i++) {
        b = (uint8_t)s[i];
        if ((b & 0xC0) != 0x80) return 0xFFFD;
        cp = cp << 6 | (b & 0x3F);
    }
    /* overlong, a surrogate, too large */
    if (cp >> (5 * more + 1) == 0 || cp >> 11 == 0x1B || cp > 0x10FFFF) return 0xFFFD;
    *len = more + 1;
    return cp;
}
static inline uint32_t aios__class_of(uint32_t cp) { /* cp <= 0x10FFFF */
    const uint16_t *run = aios__class_run + aios__class_page[cp >> 13];
    uint32_t n = aios__class_page[(cp >> 13) + 1] - (uint32_t)aios__class_page[cp >> 13], half,
             to = (cp & 0x1FFF) << 3 | 7;
    if (cp < 128) return aios__ascii_class[cp];
    for (; n > 1; n -= half) { /* the last run that starts at or before cp; no branch to guess */
        half = n / 2;
        run += run[half] <= to ? half : 0;
    }
    return *run & 7u;
}

typedef struct aios__char {
    uint32_t cp, len, cls;
} aios__char;
/* A function of its own, so that only ASCII is looked up at each of the many places that ask for
 * a character. */
AIOSK__NOINLINE static aios__char aios__char_wide(const char *s, uint64_t n) {
    aios__char c;
    c.cp = aios__utf8(s, n, &c.len);
    c.cls = aios__class_of(c.cp);
    return c;
}
static inline aios__char aios__char_at(const char *s, uint64_t p, uint64_t end) {
    aios__char c = { 0xFFFFFFFFu, 0, AIOS__C_END };
    if (p >= end) return c;
    if ((uint8_t)s[p] >= 0x80) return aios__char_wide(s + p, end - p);
    c.cp = (uint8_t)s[p];
    c.len = 1;
    c.cls = aios__ascii_class[c.cp];
    return c;
}

/* The byte alphabet of GPT-2: printable Latin-1 stands for itself, the 68 other bytes follow
 * from U+0100 on. */
static inline uint32_t aios__byte_char(uint8_t b) {
    if (b <= 0x20) return 0x100u + b;
    if (b >= 0x7F && b <= 0xA0) return b == 0x7F ? 0x121 : 0x122u + (b - 0x80u);
    return b == 0xAD ? 0x143 : b;
}
static inline int32_t aios__char_byte(uint32_t cp) { /* -1: not in the alphabet */
    if (cp >= 0x100)
        return cp <= 0x120   ? (int32_t)(cp - 0x100)
               : cp == 0x121 ? 0x7F
               : cp <= 0x142 ? (int32_t)(cp - 0x122 + 0x80)
               : cp == 0x143 ? 0xAD
                             : -1;
    return aios__byte_char((uint8_t)cp) == cp ? (int32_t)cp : -1;
}

static inline uint32_t aios__utf8_put(char *s, uint32_t cp) {
    uint32_t n = cp < 0x80 ? 1 : cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
    for (uint32_t i = n - 1; i; i--, cp >>= 6) s[i] = (char)(0x80 | (cp & 0x3F));
    s[0] = (char)(n == 1 ? cp : (0xF00u >> n & 0xFF) | cp);
    return n;
}

/* ======== text/nfc.c ======== */
/* nfc.c: composing text. Behind char.c; encode.c composes where a model's own tokenizer does.
 *
 * Unicode's canonical composition (NFC), with the tables of nfc.h. Text falls into stretches
 * that are composed alone: a character that joins nothing before it, and what follows up to the
 * next such one. */

/* characters of one stretch, split; text that is no attack has a few */
enum { AIOS__MAX_STRETCH = 1024 };

/* Index of a character in runs that end with a guard; -1 = it is in none. */
static inline int32_t aios__nfc_find(const uint32_t *run, uint32_t n, uint32_t cp) {
    uint32_t half;
    for (n--; n > 1; n -= half) {
        half = n / 2;
        run += run[half] >> 12 <= cp ? half : 0;
    }
    uint32_t i = cp - (*run >> 12) + (*run & 0xFFF);
    return cp >= *run >> 12 && i < (run[1] & 0xFFF) ? (int32_t)i : -1;
}
#define AIOS__NFC_FIND(run, cp) aios__nfc_find(run, (uint32_t)(sizeof(run) / sizeof *(run)), cp)

/* 1: no mark, joins nothing before it, stays. */
static inline int32_t aios__nfc_plain(uint32_t cp) {
    if (cp >= 0x20000) return cp < 0x2F800 || cp > 0x2FA1F; /* compatibility ideographs */
    uint32_t word = aios__nfc_block[cp >> 10];
    uint32_t bit = cp >> 5 & 31;
    if (!(word >> bit & 1)) return 1;
    uint32_t n = word & (((uint32_t)1 << bit) - 1);
    n -= n >> 1 & 0x55555555;
    n = (n & 0x33333333) + (n >> 2 & 0x33333333);
    n = ((n + (n >> 4)) & 0x0F0F0F0F) * 0x01010101 >> 24; /* how many bits */
    return !aios__bit(aios__nfc_odd + aios__nfc_rank[cp >> 10] + n, cp & 31);
}
AIOS__SMALL_BEGIN
/* Canonical combining class. */
AIOSK__NOINLINE static uint32_t aios__nfc_class(uint32_t cp) {
    const uint32_t *m = aios__nfc_mark;
    uint32_t n = (uint32_t)(sizeof aios__nfc_mark / sizeof *m), half;
    if (cp < 0x300 || aios__nfc_plain(cp)) return 0;
    for (; n > 1; n -= half) {
        half = n / 2;
        m += m[half] >> 14 <= cp ? half : 0;
    }
    return cp - (*m >> 14) <= (*m >> 8 & 0x3F) ? *m & 0xFF : 0; /* below the first: wraps */
}
/* Splits a character in two, or into one other (*second 0); 0 = stays. */
AIOSK__NOINLINE static int32_t aios__nfc_split(uint32_t cp, uint32_t *first, uint32_t *second) {
    uint32_t hangul = cp - 0xAC00;
    int32_t i;
    *second = 0;
    if (cp < 0xC0) return 0;
    if (hangul < 11172) {
        *first = hangul % 28 ? cp - hangul % 28 : 0x1100 + hangul / 588;
        *second = hangul % 28 ? 0x11A7 + hangul % 28 : 0x1161 + hangul / 28 % 21;
        return 1;
    }
    if ((i = AIOS__NFC_FIND(aios__nfc_join_run, cp)) >= 0 ||
        (i = AIOS__NFC_FIND(aios__nfc_pair_run, cp)) >= 0) {
        *first = aios__nfc_first[i] | (cp & 0x10000);
        *second = aios__nfc_seconds[aios__nfc_second[i]];
        return 1;
    }
    if ((i = AIOS__NFC_FIND(aios__nfc_one_run, cp)) < 0) return 0;
    *first = aios__nfc_one[i] | (uint32_t)aios__bit(aios__nfc_one_plane, (uint32_t)i) << 17;
    return 1;
}
#undef AIOS__NFC_FIND
/* The index of a second half that joins some first one; -1 = it is none. */
AIOSK__NOINLINE static int32_t aios__nfc_second_of(uint32_t cp) {
    uint32_t low = 0, high = (uint32_t)(sizeof aios__nfc_seconds / sizeof *aios__nfc_seconds);
    while (low < high) {
        uint32_t mid = (low + high) / 2;
        if (aios__nfc_seconds[mid] == cp)
            return aios__nfc_start[mid] < aios__nfc_start[mid + 1] ? (int32_t)mid : -1;
        if (aios__nfc_seconds[mid] < cp)
            low = mid + 1;
        else
            high = mid;
    }
    return -1;
}
/* What two characters join to; 0 = they do not. */
AIOSK__NOINLINE static uint32_t aios__nfc_join(uint32_t a, uint32_t b) {
    int32_t k;
    uint32_t low, high;
    if (a - 0x1100 < 19 && b - 0x1161 < 21) return 0xAC00 + (a - 0x1100) * 588 + (b - 0x1161) * 28;
    if (a - 0xAC00 < 11172 && (a - 0xAC00) % 28 == 0 && b - 0x11A8 < 27) return a + b - 0x11A7;
    if ((k = aios__nfc_second_of(b)) < 0 || a >> 16 != b >> 16) return 0;
    for (low = aios__nfc_start[k], high = aios__nfc_start[k + 1]; low < high;) {
        uint32_t mid = (low + high) / 2;
        uint32_t i = aios__nfc_by_second[mid];
        if (aios__nfc_first[i] < (a & 0xFFFF))
            low = mid + 1;
        else if (aios__nfc_first[i] > (a & 0xFFFF))
            high = mid;
        else {
            for (low = 0,
                high = (uint32_t)(sizeof aios__nfc_join_run / sizeof *aios__nfc_join_run) - 1;
                 high - low > 1;) {
                mid = (low + high) / 2;
                if ((aios__nfc_join_run[mid] & 0xFFF) <= i)
                    low = mid;
                else
                    high = mid;
            }
            return (aios__nfc_join_run[low] >> 12) + i - (aios__nfc_join_run[low] & 0xFFF);
        }
    }
    return 0;
}
/* Does a stretch begin with it, whatever stands before? */
AIOSK__NOINLINE static int32_t aios__nfc_begins(uint32_t cp) {
    uint32_t first, second;
    if (aios__nfc_plain(cp)) return 1;
    while (aios__nfc_split(cp, &first, &second)) cp = first;
    return aios__nfc_class(cp) == 0 && aios__nfc_second_of(cp) < 0 && cp - 0x1161 >= 21 &&
           cp - 0x11A8 >= 27;
}
/* Composes the stretch at s: c [AIOS__MAX_STRETCH] gets its characters, *len its bytes in the
 * text. Returns how many; 0 = too many. An invalid byte is no part of one. */
AIOSK__NOINLINE static uint32_t aios__nfc_stretch(const char *s, uint64_t n, uint32_t *c,
                                                  uint64_t *len) {
    uint32_t m = 0, k = 0, i, l, last = 0;
    int32_t start = -1;
    for (*len = 0; *len < n; *len += l) {
        uint32_t part[4], cp = aios__utf8(s + *len, n - *len, &l), first;
        if (l == 1 && (uint8_t)s[*len] >= 0x80) break;
        if (m && aios__nfc_begins(cp)) break;
        if (m + 4 > AIOS__MAX_STRETCH) return 0;
        for (k = 0; k < 3 && aios__nfc_split(cp, &first, &part[k]); cp = first) k += part[k] != 0;
        /* marks in the order of their classes, as they came within one */
        for (part[k++] = cp; k; m++) {
            uint32_t x = part[--k], cls = aios__nfc_class(x);
            for (i = m; cls && i && c[i - 1] >> 24 > cls; i--) c[i] = c[i - 1];
            c[i] = cls << 24 | x;
        }
    }
    for (i = 0, k = 0; i < m; i++) {
        uint32_t x = c[i] & 0xFFFFFF, cls = c[i] >> 24;
        uint32_t y = start >= 0 && (k == (uint32_t)start + 1 || last < cls)
                         ? aios__nfc_join(c[start], x)
                         : 0;
        if (y) {
            c[start] = y;
            continue;
        }
        if (cls == 0) start = (int32_t)k;
        last = cls;
        c[k++] = x;
    }
    return k;
}
/* Where the character that ends at p > 0 begins. */
static inline uint64_t aios__char_before(const char *s, uint64_t p) {
    uint32_t len;
    for (uint32_t i = 1; i <= 4 && i <= p; i++) {
        if ((s[p - i] & 0xC0) == 0x80) continue;
        aios__utf8(s + p - i, i, &len);
        return len == i ? p - i : p - 1;
    }
    return p - 1;
}
AIOS__SMALL_END
/* The first stretch at or after p that composing changes; n = none. UINT64_MAX: one is too long
 * to tell. s[0, p) is composed, p begins a stretch. c [AIOS__MAX_STRETCH] is scratch. */
AIOSK__NOINLINE static uint64_t aios__nfc_next(const char *s, uint64_t p, uint64_t n, uint32_t *c) {
    /* from: of the last stretch with marks, so far composed up to behind */
    uint64_t low = p, from = p, behind = UINT64_MAX, len, eight, q;
    uint32_t m, i, l, last = 0;
    while (p < n) {
        if (n - p >= 8) {
            memcpy(&eight, s + p, 8);
            if (!(eight & ~(uint64_t)0 / 255 * 128)) {
                p += 8;
                continue;
            }
        }
        if ((uint8_t)s[p] < 0xCC) {
            p++;
            continue;
        } /* below U+0300, or within a character */
        uint32_t cp = aios__utf8(s + p, n - p, &l);
        if (aios__nfc_plain(cp)) {
            p += l;
            continue;
        }
        uint32_t cls = aios__nfc_class(cp);
        int32_t second = aios__nfc_second_of(cp);
        if (p != behind) {
            from = p;
            last = 0;
            if (p > low && !aios__nfc_begins(cp)) {
                from = aios__char_before(s, p);
                if (from + 1 == p && (uint8_t)s[from] >= 0x80) from = p; /* an invalid byte */
            }
        }
        /* Nearly all: a mark in its place that joins nothing; a vowel that does not join the
         * letter before it */
        if (cls ? cls >= last && second < 0 && cp - 0x340 > 4
                : second >= 0 && from < p && p != behind &&
                      !aios__nfc_join(aios__utf8(s + from, n - from, &i), cp)) {
            last = cls;
            behind = p += l;
            continue;
        }
        if ((m = aios__nfc_stretch(s + from, n - from, c, &len)) == 0) return UINT64_MAX;
        for (i = 0, q = from; i < m && q < from + len; i++, q += l)
            if (aios__utf8(s + q, n - q, &l) != c[i]) return from;
        if (i < m || q < from + len) return from;
        low = p = from + len;
        behind = UINT64_MAX;
    }
    return n;
}

/* ======== text/words.c ======== */
/* words.c: cutting text into words, which are joined alone, as the pre-tokenizer that the file
 * names has it. Behind char.c; knows no vocabulary.
 *
 * A pre-tokenizer is a list of stages, each of which cuts the pieces of the one before it
 * further. A stage is what was a regular expression: its matches are pieces, and so is what lies
 * between two matches. */

enum { AIOS__OP_NONE = 0, AIOS__OP_RUN, AIOS__OP_GPT2, AIOS__OP_WORD, AIOS__OP_V3, AIOS__OP_TRAIL };
enum {
    AIOS__SET_NEWLINE = 0,
    AIOS__SET_LETTER,
    AIOS__SET_NUMBER,
    AIOS__SET_DIGIT,
    AIOS__SET_PUNCT,
    AIOS__SET_FALCON,
    AIOS__SET_DEFAULT,
    AIOS__SET_CASED,
    AIOS__SET_WIDE_PUNCT,
    AIOS__SET_EAST,
    AIOS__SET_KANA
};
enum {
    AIOS__RUN_SPACE = 1, /* OP_RUN: \s? in front */
    /* OP_WORD: 's 't 're 've 'm 'll 'd in any case are words of their own */
    AIOS__WORD_SHORT = 1,
    AIOS__WORD_MARKS = 2,  /* marks count as letters */
    AIOS__WORD_CASE = 4,   /* a capital after small letters starts a word */
    AIOS__WORD_TAIL = 8,   /* punctuation takes the line ends behind it along */
    AIOS__WORD_SLASH = 16, /* ... and slashes */
    AIOS__WORD_JOIN = 32
}; /* 's and so on stay with the word before them */
enum {
    AIOS__PRE_WHOLE = 1, /* a word that is a token needs no merges (ignore_merges) */
    AIOS__PRE_BOS = 2,   /* add_bos unless the file says otherwise */
    AIOS__PRE_NFC = 4
}; /* text is composed before it is cut */

typedef struct aios__stage {
    uint8_t op, flags, set, min, max;
} aios__stage; /* max 0 = no limit */
typedef struct aios__pre {
    const char *names;
    uint32_t flags;
    aios__stage stage[6];
} aios__pre;

/* clang-format off */
#define AIOS__GPT2                      { AIOS__OP_GPT2, 0, 0, 0, 0 }
#define AIOS__RUN(set, flags, min, max) { AIOS__OP_RUN, flags, set, min, max }
#define AIOS__WORD(flags, digits)       { AIOS__OP_WORD, flags, 0, 1, digits }
#define AIOS__STOP                      { AIOS__OP_NONE, 0, 0, 0, 0 }
/* clang-format on */

/* Names as llama.cpp's converter writes them. AIOS__PRE_NFC is unlike llama.cpp: these models'
 * own tokenizers compose (the normalizer of their tokenizer.json, or unicodedata.normalize in
 * their code). */
static const aios__pre aios__pres[] = {
    { "mpt olmo modern-bert",
      AIOS__PRE_NFC,
      { AIOS__GPT2, AIOS__STOP, AIOS__STOP, AIOS__STOP, AIOS__STOP, AIOS__STOP } },
    { "gpt-2 phi-2 jais trillion granite-docling gigachat a.x-4.0 "
      "mellum exaone4 jina-es jina-de jina-v2-es jina-v2-de jina-v1-en jina-v2-code roberta-bpe",
      0,
      { AIOS__GPT2, AIOS__STOP, AIOS__STOP, AIOS__STOP, AIOS__STOP, AIOS__STOP } },
    { "command-r",
      AIOS__PRE_NFC,
      { AIOS__RUN(AIOS__SET_NUMBER, 0, 1, 1), AIOS__GPT2, AIOS__STOP, AIOS__STOP, AIOS__STOP,
        AIOS__STOP } },
    { "starcoder refact smollm codeshell exaone minerva-7b mellum2",
      0,
      { AIOS__RUN(AIOS__SET_NUMBER, 0, 1, 1), AIOS__GPT2, AIOS__STOP, AIOS__STOP, AIOS__STOP,
        AIOS__STOP } },
    { "falcon",
      0,
      { AIOS__RUN(AIOS__SET_FALCON, 0, 1, 0), AIOS__GPT2, AIOS__RUN(AIOS__SET_DIGIT, 0, 3, 3),
        AIOS__STOP, AIOS__STOP, AIOS__STOP } },
    { "default",
      0,
      { AIOS__RUN(AIOS__SET_DEFAULT, 0, 1, 0), AIOS__GPT2, AIOS__RUN(AIOS__SET_NUMBER, 0, 1, 0),
        AIOS__RUN(AIOS__SET_DIGIT, 0, 3, 3), AIOS__STOP, AIOS__STOP } },
    { "llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano",
      AIOS__PRE_WHOLE | AIOS__PRE_BOS,
      { AIOS__WORD(AIOS__WORD_SHORT | AIOS__WORD_TAIL, 3), AIOS__STOP, AIOS__STOP, AIOS__STOP,
        AIOS__STOP, AIOS__STOP } },
    { "dbrx smaug-bpe glm4 chatglm-bpe",
      0,
      { AIOS__WORD(AIOS__WORD_SHORT | AIOS__WORD_TAIL, 3), AIOS__STOP, AIOS__STOP, AIOS__STOP,
        AIOS__STOP, AIOS__STOP } },
    { "qwen2 deepseek-r1-qwen stablelm2 hunyuan f2llmv2",
      AIOS__PRE_NFC,
      { AIOS__WORD(AIOS__WORD_SHORT | AIOS__WORD_TAIL, 1), AIOS__STOP, AIOS__STOP, AIOS__STOP,
        AIOS__STOP, AIOS__STOP } },
    { "megrez grok-2 solar-open kormo bailingmoe bailingmoe2 llada-moe",
      0,
      { AIOS__WORD(AIOS__WORD_SHORT | AIOS__WORD_TAIL, 1), AIOS__STOP, AIOS__STOP, AIOS__STOP,
        AIOS__STOP, AIOS__STOP } },
    { "qwen35",
      AIOS__PRE_NFC,
      { AIOS__WORD(AIOS__WORD_SHORT | AIOS__WORD_TAIL | AIOS__WORD_MARKS, 1), AIOS__STOP,
        AIOS__STOP, AIOS__STOP, AIOS__STOP, AIOS__STOP } },
    { "seed-coder",
      0,
      { AIOS__WORD(AIOS__WORD_SHORT, 1), AIOS__STOP, AIOS__STOP, AIOS__STOP, AIOS__STOP,
        AIOS__STOP } },
    { "minicpm5",
      AIOS__PRE_WHOLE,
      { AIOS__RUN(AIOS__SET_NUMBER, 0, 1, 3), AIOS__WORD(AIOS__WORD_SHORT | AIOS__WORD_TAIL, 0),
        AIOS__STOP, AIOS__STOP, AIOS__STOP, AIOS__STOP } },
    { "tekken",
      AIOS__PRE_WHOLE | AIOS__PRE_BOS,
      { AIOS__WORD(AIOS__WORD_CASE | AIOS__WORD_TAIL | AIOS__WORD_SLASH, 1), AIOS__STOP, AIOS__STOP,
        AIOS__STOP, AIOS__STOP, AIOS__STOP } },
    { "gpt-4o llama4 kanana2 talkie minimax-m2",
      0,
      { AIOS__WORD(AIOS__WORD_CASE | AIOS__WORD_JOIN | AIOS__WORD_TAIL | AIOS__WORD_SLASH, 3),
        AIOS__STOP, AIOS__STOP, AIOS__STOP, AIOS__STOP, AIOS__STOP } },
    { "deepseek-llm",
      0,
      { AIOS__RUN(AIOS__SET_NEWLINE, 0, 1, 1),
        AIOS__RUN(AIOS__SET_CASED, AIOS__RUN_SPACE, 1, 0),
        AIOS__RUN(AIOS__SET_WIDE_PUNCT, AIOS__RUN_SPACE, 1, 0),
        { AIOS__OP_TRAIL, 0, 0, 0, 0 },
        AIOS__RUN(AIOS__SET_EAST, 0, 1, 0),
        AIOS__RUN(AIOS__SET_NUMBER, 0, 1, 0) } },
    { "deepseek-coder",
      0,
      { AIOS__RUN(AIOS__SET_NEWLINE, 0, 1, 1), AIOS__RUN(AIOS__SET_LETTER, AIOS__RUN_SPACE, 1, 0),
        AIOS__RUN(AIOS__SET_PUNCT, AIOS__RUN_SPACE, 1, 0), AIOS__RUN(AIOS__SET_EAST, 0, 1, 0),
        AIOS__RUN(AIOS__SET_NUMBER, 0, 1, 1), AIOS__STOP } },
    { "deepseek-v3 hunyuan-dense joyai-llm hy_v4",
      0,
      { AIOS__RUN(AIOS__SET_NUMBER, 0, 1, 3),
        AIOS__RUN(AIOS__SET_KANA, 0, 1, 0),
        { AIOS__OP_V3, 0, 0, 0, 0 },
        AIOS__STOP,
        AIOS__STOP,
        AIOS__STOP } }
};
#undef AIOS__GPT2
#undef AIOS__RUN
#undef AIOS__WORD
#undef AIOS__STOP

static inline int32_t aios__is_cased(uint32_t cp) {
    uint32_t low = 0, high = (uint32_t)(sizeof aios__cased / sizeof *aios__cased) / 2;
    if (cp < 128) return aios__ascii_class[cp] == AIOS__C_LETTER;
    while (low < high) {
        uint32_t mid = (low + high) / 2;
        if (cp < aios__cased[2 * mid])
            high = mid;
        else if (cp > aios__cased[2 * mid + 1])
            low = mid + 1;
        else
            return 1;
    }
    return 0;
}
static inline int32_t aios__in_set(uint32_t set, aios__char c) {
    switch (c.len ? set : 255u) {
    case AIOS__SET_NEWLINE: return c.cp == '\r' || c.cp == '\n';
    case AIOS__SET_LETTER: return c.cls == AIOS__C_LETTER;
    case AIOS__SET_NUMBER: return c.cls == AIOS__C_NUMBER;
    case AIOS__SET_DIGIT: return c.cp >= '0' && c.cp <= '9';
    case AIOS__SET_PUNCT: return c.cls == AIOS__C_PUNCT;
    case AIOS__SET_FALCON: return c.cls == AIOS__C_PUNCT || (c.cp < 128 && c.cls == AIOS__C_SYMBOL);
    case AIOS__SET_DEFAULT:
        return c.cls == AIOS__C_PUNCT || (c.cp < 128 && c.cls == AIOS__C_SYMBOL && c.cp != '`');
    case AIOS__SET_CASED: return aios__is_cased(c.cp);
    /* [!-/:-~...]: all of : to ~ is meant by the expression as it stands, letters too (an
     * earlier stage took them) */
    case AIOS__SET_WIDE_PUNCT:
        return (c.cp >= '!' && c.cp <= '/') || (c.cp >= ':' && c.cp <= '~') ||
               (c.cp >= 0xFF01 && c.cp <= 0xFF0F) || (c.cp >= 0xFF1A && c.cp <= 0xFF5E) ||
               (c.cp >= 0x2018 && c.cp <= 0x201F) || c.cp == 0x3001 || c.cp == 0x3002;
    /* CJK ideographs, then U+0800 .. U+4E00 and Hangul: the ranges as the expression has them;
     * never white space */
    case AIOS__SET_EAST:
        return ((c.cp >= 0x800 && c.cp <= 0x9FA5) || (c.cp >= 0xAC00 && c.cp <= 0xD7FF)) &&
               c.cls != AIOS__C_SPACE;
    case AIOS__SET_KANA:
        return (c.cp >= 0x4E00 && c.cp <= 0x9FA5) || (c.cp >= 0x3040 && c.cp <= 0x30FF);
    default: return 0;
    }
}

/* Each of the following gets text s[p, end) and returns where a match that starts at p ends; p =
 * none. */

static inline uint64_t aios__pre_run(const aios__stage *t, const char *s, uint64_t p,
                                     uint64_t end) {
    aios__char c = aios__char_at(s, p, end);
    uint64_t q = p;
    uint32_t n = 0;
    if ((t->flags & AIOS__RUN_SPACE) && c.cls == AIOS__C_SPACE) {
        q += c.len;
        c = aios__char_at(s, q, end);
    }
    for (; aios__in_set(t->set, c) && (t->max == 0 || n < t->max); n++) {
        q += c.len;
        c = aios__char_at(s, q, end);
    }
    return n >= t->min ? q : p;
}
/* 's 't 're 've 'm 'll 'd */
static inline uint64_t aios__pre_short(const char *s, uint64_t p, uint64_t end, int32_t any_case) {
    char fold = any_case ? 0x20 : 0;
    if (end - p < 2 || s[p] != '\'') return p;
    char a = (char)(s[p + 1] | fold);
    if (a == 's' || a == 't' || a == 'm' || a == 'd') return p + 2;
    if (end - p < 3) return p;
    char b = (char)(s[p + 2] | fold);
    return (b == 'e' && (a == 'r' || a == 'v')) || (b == 'l' && a == 'l') ? p + 3 : p;
}
/* \s*[\r\n]+ (if lines) | \s+(?!\S) | \s+ */
static inline uint64_t aios__pre_space(const char *s, uint64_t p, uint64_t end, int32_t lines) {
    uint64_t q = p, last = p, line = p;
    aios__char c;
    while ((c = aios__char_at(s, q, end)).cls == AIOS__C_SPACE) {
        last = q;
        q += c.len;
        if (c.cp == '\r' || c.cp == '\n') line = q;
    }
    if (lines && line > p) return line;
    return last > p && q < end ? last : q; /* the last space goes with the word behind it */
}
static inline uint64_t aios__pre_class(const char *s, uint64_t p, uint64_t end, uint32_t cls) {
    aios__char c;
    while ((c = aios__char_at(s, p, end)).cls == cls) p += c.len;
    return p;
}
/* 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
static inline uint64_t aios__pre_gpt2(const char *s, uint64_t p, uint64_t end) {
    aios__char c = aios__char_at(s, p, end);
    uint64_t q = aios__pre_short(s, p, end, 0);
    if (q > p) return q;
    if (c.cp == ' ') c = aios__char_at(s, ++q, end);
    if (c.cls == AIOS__C_LETTER || c.cls == AIOS__C_NUMBER)
        return aios__pre_class(s, q + c.len, end, c.cls);
    if (c.cls == AIOS__C_SPACE || c.cls == AIOS__C_END) return aios__pre_space(s, p, end, 0);
    do {
        q += c.len;
        c = aios__char_at(s, q, end);
    } while (c.cls != AIOS__C_LETTER && c.cls != AIOS__C_NUMBER && c.cls != AIOS__C_SPACE &&
             c.cls != AIOS__C_END);
    return q;
}
/* ([letters - a-z])*([letters - A-Z])+ | ([letters - a-z])+([letters - A-Z])*, from a letter on:
 * capitals and caseless letters, then lower and caseless ones. What llama.cpp makes of
 * \p{Lu}\p{Lt}.. and \p{Ll}..: case is told apart in ASCII only. */
static inline uint64_t aios__pre_cased(const char *s, uint64_t p, uint64_t end) {
    uint64_t q = p, lower = p; /* lower: behind the last caseless letter */
    aios__char c = aios__char_at(s, q, end);
    while (c.cls == AIOS__C_LETTER && !(c.cp >= 'a' && c.cp <= 'z')) {
        q += c.len;
        if (c.cp >= 128) lower = q;
        c = aios__char_at(s, q, end);
    }
    if (c.cls != AIOS__C_LETTER) return lower > p ? lower : q;
    while (c.cls == AIOS__C_LETTER && !(c.cp >= 'A' && c.cp <= 'Z')) {
        q += c.len;
        c = aios__char_at(s, q, end);
    }
    return q;
}
/* 's.. | [^\r\n\p{L}\p{N}]?\p{L}+ | \p{N}{1,max} | ?[^\s\p{L}\p{N}]+[\r\n]* | \s*[\r\n]+ |
 * \s+(?!\S) | \s+, as the flags say */
static inline uint64_t aios__pre_word(const aios__stage *t, const char *s, uint64_t p,
                                      uint64_t end) {
    aios__char c = aios__char_at(s, p, end);
    uint64_t q = p;
    uint32_t marks =
                 t->flags & AIOS__WORD_MARKS ? (uint32_t)AIOS__C_MARK : (uint32_t)AIOS__C_LETTER,
             n = 0;
    if (t->flags & AIOS__WORD_SHORT) {
        q = aios__pre_short(s, p, end, 1);
        if (q > p) return q;
    }
    aios__char d = c;
    if (c.cls != AIOS__C_LETTER && c.cls != marks && c.cls != AIOS__C_NUMBER && c.cp != '\r' &&
        c.cp != '\n') {
        q += c.len;
        d = aios__char_at(s, q, end);
    }
    if (d.cls == AIOS__C_LETTER || d.cls == marks) {
        if (t->flags & AIOS__WORD_CASE)
            q = aios__pre_cased(s, q, end);
        else
            do {
                q += d.len;
                d = aios__char_at(s, q, end);
            } while (d.cls == AIOS__C_LETTER || d.cls == marks);
        return t->flags & AIOS__WORD_JOIN ? aios__pre_short(s, q, end, 1) : q;
    }
    q = p;
    if (c.cls == AIOS__C_NUMBER) {
        for (; c.cls == AIOS__C_NUMBER && (t->max == 0 || n < t->max); n++) {
            q += c.len;
            c = aios__char_at(s, q, end);
        }
        return q;
    }
    if (c.cp == ' ') c = aios__char_at(s, ++q, end);
    if (c.cls == AIOS__C_SPACE || c.cls == AIOS__C_END || c.cls == AIOS__C_LETTER ||
        c.cls == marks || c.cls == AIOS__C_NUMBER)
        return aios__pre_space(s, p, end, 1);
    while (c.cls != AIOS__C_SPACE && c.cls != AIOS__C_END && c.cls != AIOS__C_LETTER &&
           c.cls != marks && c.cls != AIOS__C_NUMBER) {
        q += c.len;
        c = aios__char_at(s, q, end);
    }
    if (t->flags & AIOS__WORD_TAIL)
        while (q < end &&
               (s[q] == '\r' || s[q] == '\n' || (s[q] == '/' && (t->flags & AIOS__WORD_SLASH))))
            q++;
    return q;
}
/* [ASCII punctuation][A-Za-z]+ | [^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+ | ?[\p{P}\p{S}]+[\r\n]* |
 * \s*[\r\n]+ | \s+(?!\S) | \s+ */
static inline uint64_t aios__pre_v3(const char *s, uint64_t p, uint64_t end) {
    aios__char c = aios__char_at(s, p, end), d = aios__char_at(s, p + c.len, end);
    uint64_t q = p + c.len;
    int32_t punct = c.cls == AIOS__C_PUNCT || c.cls == AIOS__C_SYMBOL;
    if (punct && c.cp < 128 && d.cp < 128 && d.cls == AIOS__C_LETTER) {
        while (d.cp < 128 && d.cls == AIOS__C_LETTER) d = aios__char_at(s, ++q, end);
        return q;
    }
    if (c.cls == AIOS__C_LETTER || c.cls == AIOS__C_MARK ||
        (!punct && c.cp != '\r' && c.cp != '\n' &&
         (d.cls == AIOS__C_LETTER || d.cls == AIOS__C_MARK))) {
        while (d.cls == AIOS__C_LETTER || d.cls == AIOS__C_MARK) {
            q += d.len;
            d = aios__char_at(s, q, end);
        }
        return q;
    }
    if (punct || (c.cp == ' ' && (d.cls == AIOS__C_PUNCT || d.cls == AIOS__C_SYMBOL))) {
        while (d.cls == AIOS__C_PUNCT || d.cls == AIOS__C_SYMBOL) {
            q += d.len;
            d = aios__char_at(s, q, end);
        }
        while (q < end && (s[q] == '\r' || s[q] == '\n')) q++;
        return q;
    }
    return aios__pre_space(s, p, end, 1); /* p itself when there is no space */
}
static inline uint64_t aios__pre_match(const aios__stage *t, const char *s, uint64_t p,
                                       uint64_t end) {
    return t->op == AIOS__OP_RUN    ? aios__pre_run(t, s, p, end)
           : t->op == AIOS__OP_GPT2 ? aios__pre_gpt2(s, p, end)
           : t->op == AIOS__OP_WORD ? aios__pre_word(t, s, p, end)
                                    : aios__pre_v3(s, p, end);
}
/* Where the piece of one stage that starts at p < end ends: a match, or all up to the next one. */
static inline uint64_t aios__pre_piece(const aios__stage *t, const char *s, uint64_t p,
                                       uint64_t end) {
    uint64_t q, from = p;
    if (t->op == AIOS__OP_TRAIL) { /* \s+$ */
        for (q = p; q < end;) {
            aios__char c = aios__char_at(s, q, end);
            q += c.len;
            if (c.cls != AIOS__C_SPACE) from = q;
        }
        return from > p ? from : end;
    }
    q = aios__pre_match(t, s, p, end);
    if (q > p) return q;
    do from += aios__char_at(s, from, end).len;
    while (from < end && aios__pre_match(t, s, from, end) == from);
    return from;
}
/* The word that starts at p, given where the pieces of each stage end; bound starts as zeros. */
AIOSK__NOINLINE static uint64_t aios__pre_next(const aios__pre *pre, uint64_t bound[6],
                                               const char *s, uint64_t p, uint64_t end) {
    for (uint32_t i = 0; i < 6 && pre->stage[i].op != AIOS__OP_NONE; i++) {
        if (bound[i] <= p) bound[i] = aios__pre_piece(&pre->stage[i], s, p, end);
        end = bound[i];
    }
    return end;
}
AIOS__SMALL_BEGIN
/* A missing name is "default", as llama.cpp has it (with a warning: such files are from before
 * names existed). */
static inline const aios__pre *aios__pre_find(aios__str name) {
    if (name.n == 0) {
        name.p = "default";
        name.n = 7;
    }
    for (uint32_t i = 0; i < sizeof aios__pres / sizeof *aios__pres; i++) {
        const char *z = aios__pres[i].names;
        while (*z) {
            uint64_t n = 0;
            while (z[n] && z[n] != ' ') n++;
            if (n == name.n && memcmp(z, name.p, (size_t)n) == 0) return &aios__pres[i];
            z += n;
            if (*z) z++;
        }
    }
    return NULL;
}
AIOS__SMALL_END

/* ======== text/vocab.c ======== */
/* vocab.c: what a tokenizer's keys say: tokens by id, by text and by bytes, merges, special tokens.
 * After gguf.c (keys as views), before model.c; knows nothing of tensors.
 *
 * Two families, told apart by tokenizer.ggml.model: "llama" (SentencePiece BPE: the pair whose
 * union has the best score is joined first, leftmost on ties; bytes as <0xXX>) and "gpt2"
 * (byte-level BPE: text is cut into words by the matcher that tokenizer.ggml.pre names, then the
 * pair of lowest rank is joined first). Others are recorded and refused when used, so that their
 * models still load. Token texts, scores and merges stay in the header; META holds offsets and
 * hashes.
 *
 * Behaviour of the text files follows llama.cpp (src/llama-vocab.cpp, src/unicode.cpp), on valid
 * UTF-8, but for what is marked "unlike llama.cpp". */

enum { AIOS__VOCAB_NONE = 0, AIOS__VOCAB_SPM, AIOS__VOCAB_BPE, AIOS__VOCAB_OTHER };

/* Token attributes: the file's token type, and what follows from texts and keys. */
enum {
    AIOS__T_UNDEFINED = 0,
    AIOS__T_NORMAL,
    AIOS__T_UNKNOWN,
    AIOS__T_CONTROL,
    AIOS__T_USER,
    AIOS__T_UNUSED,
    AIOS__T_BYTE,
    AIOS__T_TYPE = 7, /* mask of the above */
    AIOS__T_END = 8,  /* ends a text */
    AIOS__T_RSTRIP = 16
}; /* takes the white space behind it along */

enum {
    AIOS__WINDOW_SYMBOLS = 1024,
    /* bytes of a special token that text is searched for; the longest known has 40 */
    AIOS__MAX_SPECIAL = 255,
    AIOS__MAX_PROBES = 1024 /* of one hash insertion; random texts need 200 at a load of 2/3 */
};

typedef struct aios__merge {
    int32_t left, right, id;
} aios__merge; /* its index is its rank */

typedef struct aios__vocab {
    int32_t kind, n_tokens;
    int32_t bos, eos, eot, pad, unk; /* -1 = none */
    int32_t add_bos, add_eos, add_space;
    aios__str model, pre_name; /* as the file has them */
    const aios__pre *pre;      /* NULL: pre_name is not known */
    const uint8_t *token_p;    /* first token string in the header */
    const uint8_t *score_p;    /* f32 [n_tokens]; NULL = all 0 */
    uint32_t max_token_bytes, n_slots, n_merge_slots;
    uint32_t *off;        /* [n_tokens] from token_p */
    uint8_t *attr;        /* [n_tokens] */
    uint32_t *slot;       /* [n_slots] token id + 1 by text; 0 = empty */
    uint32_t *merge_slot; /* [n_merge_slots] merge index + 1 by (left, right) */
    aios__merge *merge;   /* [n_merges] */
    int32_t has_user;     /* some tokens are matched without AIOS_TOK_SPECIAL */
    /* bit sets over special tokens: bytes 0 and 1, length */
    uint32_t first[8], second[8], length[8];
    int32_t byte_id[256]; /* token of one byte; -1 = none */
} aios__vocab;

/* ---- hashes ----
 * Open addressing, linear probing, 3 slots for 2 entries. FNV-1a, mixed at the end, because the
 * high bits choose the slot. */

static inline uint32_t aios__fnv(uint32_t h, uint8_t b) { return (h ^ b) * 16777619u; }
static inline uint32_t aios__slot_of(uint32_t h, uint32_t n_slots) {
    h ^= h >> 16;
    h *= 0x85EBCA6Bu;
    h ^= h >> 13;
    h *= 0xC2B2AE35u;
    h ^= h >> 16;
    return (uint32_t)((uint64_t)h * n_slots >> 32);
}
static inline uint32_t aios__slots_for(uint64_t n) { return (uint32_t)(n + n / 2 + 1); }

static inline aios__str aios__vocab_text(const aios__vocab *v, int32_t id) {
    const uint8_t *p = v->token_p + v->off[id];
    return aios__key_next_str(&p);
}
static inline int32_t aios__find_hashed(const aios__vocab *v, uint32_t h, const char *s,
                                        uint64_t n) {
    uint32_t i = aios__slot_of(h, v->n_slots);
    for (; v->slot[i]; i = i + 1 == v->n_slots ? 0 : i + 1) {
        aios__str t = aios__vocab_text(v, (int32_t)(v->slot[i] - 1));
        if (t.n == n && memcmp(t.p, s, (size_t)n) == 0) return (int32_t)(v->slot[i] - 1);
    }
    return -1;
}
/* The token with this text, or -1. */
static inline int32_t aios__token_find(const aios__vocab *v, const char *s, uint64_t n) {
    uint32_t h = 2166136261u;
    if (n == 0 || n > v->max_token_bytes) return -1;
    for (uint64_t i = 0; i < n; i++) h = aios__fnv(h, (uint8_t)s[i]);
    return aios__find_hashed(v, h, s, n);
}
/* The same where texts have no hash, too: the first one, by looking at all. */
static inline int32_t aios__token_find_any(const aios__vocab *v, const char *s, uint64_t n) {
    if (v->kind != AIOS__VOCAB_OTHER) return aios__token_find(v, s, n);
    for (int32_t id = 0; id < v->n_tokens; id++) {
        aios__str t = aios__vocab_text(v, id);
        if (n && t.n == n && memcmp(t.p, s, (size_t)n) == 0) return id;
    }
    return -1;
}
/* The token for bytes whose text in the vocabulary is written in GPT-2's alphabet. */
static inline int32_t aios__token_find_bytes(const aios__vocab *v, const char *s, uint64_t n) {
    /* every word that is a token of a known vocabulary fits; longer ones are joined */
    char text[512];
    uint32_t m = 0;
    if (n > sizeof text / 2) return -1;
    for (uint64_t i = 0; i < n; i++) {
        uint32_t c = aios__byte_char((uint8_t)s[i]);
        if (c >= 0x80) {
            text[m++] = (char)(0xC0 | c >> 6);
            c = 0x80 | (c & 0x3F);
        }
        text[m++] = (char)c;
    }
    return aios__token_find(v, text, m);
}
static inline uint32_t aios__merge_slot_of(const aios__vocab *v, int32_t left, int32_t right) {
    return aios__slot_of((uint32_t)left * 0x9E3779B1u ^ (uint32_t)right * 0x85EBCA77u,
                         v->n_merge_slots);
}
/* The rank of joining two tokens, or -1. */
static inline int32_t aios__merge_find(const aios__vocab *v, int32_t left, int32_t right) {
    if (left < 0 || right < 0) return -1;
    uint32_t i = aios__merge_slot_of(v, left, right);
    for (; v->merge_slot[i]; i = i + 1 == v->n_merge_slots ? 0 : i + 1) {
        const aios__merge *m = &v->merge[v->merge_slot[i] - 1];
        if (m->left == left && m->right == right) return (int32_t)(v->merge_slot[i] - 1);
    }
    return -1;
}

/* ---- loading ---- */

AIOS__SMALL_BEGIN
static inline aios_status aios__vocab_bad(aios_error *err, const aios__key *k, uint64_t expected,
                                          uint64_t got, const char *what) {
    return aios__fail2(err, AIOS_ERR_MODEL, aios__key_entry_off(k), expected, got, "key '%': %",
                       aios__s(k->name), aios__z(what));
}
static inline aios_status aios__vocab_missing(aios_error *err, const char *key) {
    return aios__fail1(err, AIOS_ERR_MODEL, AIOS__NO_OFF, "key '%' is missing", aios__z(key));
}
/* Texts and types of tokens. */
static inline aios_status aios__load_tokens(aios__vocab *v, const aios__gguf *g,
                                            const aios__gguf_size *size, aios_error *err) {
    const aios__key *k = aios__key_find(g, "tokenizer.ggml.tokens");
    const uint8_t *p;
    uint64_t type;
    if (!k)
        return v->kind == AIOS__VOCAB_OTHER ? (aios_status)AIOS_OK
                                            : aios__vocab_missing(err, "tokenizer.ggml.tokens");
    if (!k->is_array || k->type != AIOS__STR || k->n != size->n_tokens)
        return aios__vocab_bad(err, k, AIOS__STR, k->type, "is no array of strings");
    if (k->n == 0) return aios__vocab_bad(err, k, 1, 0, "is empty");
    v->n_tokens = (int32_t)k->n;
    v->token_p = p = k->p;
    for (uint64_t i = 0; i < k->n; i++) {
        uint64_t at = (uint64_t)(p - v->token_p);
        aios__str s = aios__key_next_str(&p);
        v->off[i] = (uint32_t)at;
        v->attr[i] = AIOS__T_NORMAL;
        if (s.n > v->max_token_bytes) v->max_token_bytes = (uint32_t)s.n;
    }
    k = aios__key_find(g, "tokenizer.ggml.token_type");
    if (k && (!k->is_array || k->n != size->n_tokens))
        return aios__vocab_bad(err, k, size->n_tokens, k->n,
                               "has another number of items than there are tokens");
    for (uint64_t i = 0; k && i < size->n_tokens; i++) {
        if (!aios__key_item_u64(k, i, &type) || type > AIOS__T_BYTE)
            return aios__vocab_bad(err, k, AIOS__T_BYTE, i,
                                   "holds a token type that does not exist");
        v->attr[i] = (uint8_t)type;
    }
    k = aios__key_find(g, "tokenizer.ggml.scores");
    if (k && v->kind == AIOS__VOCAB_SPM) {
        if (!k->is_array || k->type != AIOS__F32)
            return aios__vocab_bad(err, k, AIOS__F32, k->type, "is no array of f32");
        if (k->n != size->n_tokens)
            return aios__vocab_bad(err, k, size->n_tokens, k->n,
                                   "has another number of items than there are tokens");
        v->score_p = k->p;
    }
    return AIOS_OK;
}
/* What characters are joined to: no control token and no unknown one, which come from the flag
 * for special tokens alone. */
static inline int32_t aios__joined(const aios__vocab *v, int32_t id) {
    const uint32_t type = id < 0 ? (uint32_t)AIOS__T_NORMAL : v->attr[id] & AIOS__T_TYPE;
    return type == AIOS__T_CONTROL || type == AIOS__T_UNKNOWN ? -1 : id;
}
/* Token id by text: of two tokens of one text the normal one, else the first; empty ones cannot
 * be found. */
static inline aios_status aios__load_hash(aios__vocab *v, const aios__gguf *g,
                                          const aios__notes *log, aios_error *err) {
    const aios__key *k = aios__key_find(g, "tokenizer.ggml.tokens");
    int32_t twice = -1;
    memset(v->slot, 0, (size_t)v->n_slots * 4);
    for (int32_t id = 0; id < v->n_tokens; id++) {
        aios__str s = aios__vocab_text(v, id);
        uint32_t h = 2166136261u, i, n = 0;
        uint64_t j;
        if (s.n == 0) continue;
        for (j = 0; j < s.n; j++) h = aios__fnv(h, (uint8_t)s.p[j]);
        for (i = aios__slot_of(h, v->n_slots); v->slot[i]; i = i + 1 == v->n_slots ? 0 : i + 1) {
            aios__str t = aios__vocab_text(v, (int32_t)(v->slot[i] - 1));
            if (t.n == s.n && memcmp(t.p, s.p, (size_t)s.n) == 0) break;
            if (++n > AIOS__MAX_PROBES)
                return aios__vocab_bad(err, k, AIOS__MAX_PROBES, n, "holds texts made to collide");
        }
        if (v->slot[i]) twice = id;
        if (!v->slot[i] ||
            (v->attr[id] == AIOS__T_NORMAL && v->attr[v->slot[i] - 1] != AIOS__T_NORMAL))
            v->slot[i] = (uint32_t)id + 1;
    }
    if (twice >= 0)
        aios__note2(log, "token % has the text of another one: %", aios__i(twice),
                    aios__s(aios__vocab_text(v, twice)));
    return AIOS_OK;
}
/* Rank by pair of tokens. A merge of or into something that is no token (or is longer than 1
 * KiB) is left out (no known file has one), as is the second of two for one pair. */
static inline aios_status aios__load_merges(aios__vocab *v, const aios__gguf *g, uint64_t n_merges,
                                            aios_error *err) {
    const aios__key *k = aios__key_find(g, "tokenizer.ggml.merges");
    const uint8_t *p;
    char joined[1024];
    uint64_t r, j;
    if (!k) return aios__vocab_missing(err, "tokenizer.ggml.merges");
    if (!k->is_array || k->type != AIOS__STR || k->n != n_merges)
        return aios__vocab_bad(err, k, n_merges, k->n, "is no array of strings");
    memset(v->merge_slot, 0, (size_t)v->n_merge_slots * 4);
    for (r = 0, p = k->p; r < n_merges; r++) {
        aios__str s = aios__key_next_str(&p);
        aios__merge *m = &v->merge[r];
        uint32_t i, n = 0;
        m->left = m->right = m->id = -1;
        for (j = 1; j < s.n && s.p[j] != ' '; j++) {}
        if (j + 1 >= s.n || s.n - 1 > sizeof joined) continue;
        m->left = aios__token_find(v, s.p, j);
        m->right = aios__token_find(v, s.p + j + 1, s.n - j - 1);
        memcpy(joined, s.p, (size_t)j);
        memcpy(joined + j, s.p + j + 1, (size_t)(s.n - j - 1));
        m->id = aios__token_find(v, joined, s.n - 1);
        if (m->left < 0 || m->right < 0 || m->id < 0 || aios__merge_find(v, m->left, m->right) >= 0)
            continue;
        for (i = aios__merge_slot_of(v, m->left, m->right); v->merge_slot[i];
             i = i + 1 == v->n_merge_slots ? 0 : i + 1)
            if (++n > AIOS__MAX_PROBES)
                return aios__vocab_bad(err, k, AIOS__MAX_PROBES, n, "holds pairs made to collide");
        v->merge_slot[i] = (uint32_t)r + 1;
    }
    return AIOS_OK;
}
/* A token id from the file; one out of range counts as not said, as in llama.cpp (many files
 * have such a padding id). */
static inline int32_t aios__vocab_id(const aios__vocab *v, const aios__gguf *g, const char *key,
                                     int32_t otherwise) {
    uint64_t id;
    if (aios__key_u64(aios__key_find(g, key), &id) && id < (uint64_t)v->n_tokens)
        return (int32_t)id;
    return otherwise < v->n_tokens ? otherwise : -1;
}
static inline int32_t aios__contains(aios__str s, const char *z) { /* ASCII, any case */
    uint64_t i, j;
    for (i = 0; i < s.n; i++) {
        for (j = 0; z[j] && i + j < s.n &&
                    (s.p[i + j] | (s.p[i + j] >= 'A' && s.p[i + j] <= 'Z' ? 0x20 : 0)) == z[j];
             j++) {}
        if (!z[j]) return 1;
    }
    return 0;
}
static inline int32_t aios__has_text(const aios__vocab *v, const char *z) {
    return aios__token_find(v, z, strlen(z)) >= 0;
}
static inline int32_t aios__is_special(uint32_t type) {
    return type == AIOS__T_CONTROL || type == AIOS__T_USER || type == AIOS__T_UNKNOWN;
}

/* Special ids, flags, ends of text, what the search for special tokens needs, byte tokens. */
static inline aios_status aios__load_special(aios__vocab *v, const aios__gguf *g,
                                             const aios__notes *log, aios_error *err) {
    static const char *const end_keys[] = {
        "tokenizer.ggml.eos_token_id",     "tokenizer.ggml.eot_token_id",
        "tokenizer.ggml.eom_token_id",     "tokenizer.ggml.fim_pad_token_id",
        "tokenizer.ggml.fim_rep_token_id", "tokenizer.ggml.fim_sep_token_id"
    };
    /* Texts that end a turn or a text in some family, and are control tokens whatever the file
     * says. The first n_eot, in this order, stand in for a missing eot_token_id. */
    enum { n_eot = 11 };
    static const char *const end_texts[] = {
        "<|eot_id|>",
        "<|im_end|>",
        "<|end|>",
        "<end_of_turn>",
        "<|endoftext|>",
        "<|end_of_text|>",
        "<EOT>",
        "_<EOT>",
        "[EOT]",
        "<\xEF\xBD\x9C\x65nd\xE2\x96\x81of\xE2\x96\x81sentence\xEF\xBD\x9C>",
        "<end_of_utterance>",
        "<|eom_id|>",
        "<|return|>",
        "<|call|>",
        "<|flush|>",
        "<|calls|>",
        "[EOS]",
        "<eos>",
        "<turn|>",
        "<|tool_response>",
        "[e~[",
        "<|fim_pad|>",
        "<fim-pad>",
        "<fim_pad>",
        "<PAD>",
        "[PAD]",
        "<|fim_repo|>",
        "<|repo_name|>",
        "<fim-repo>",
        "<REPO>",
        "<reponame>",
        "<|file_sep|>",
        "</s>"
    };
    int32_t spm = v->kind == AIOS__VOCAB_SPM, id;
    uint32_t i, type;
    aios__str s, name = { NULL, 0 };

    for (i = 0; i < 3; i++) { /* these are put into texts or end them */
        static const char *const keys[] = { "tokenizer.ggml.bos_token_id",
                                            "tokenizer.ggml.eos_token_id",
                                            "tokenizer.ggml.unknown_token_id" };
        const aios__key *k = aios__key_find(g, keys[i]);
        uint64_t x = 0;
        int64_t minus;
        if (k && !aios__key_u64(k, &x) && !aios__key_i64(k, &minus))
            return aios__vocab_bad(err, k, (uint64_t)v->n_tokens - 1, x, "is no token id");
        if (k && v->n_tokens && (!aios__key_u64(k, &x) || x >= (uint64_t)v->n_tokens))
            aios__note2(log, "key '%': no token has this id, so there is none of its kind",
                        aios__s(k->name), aios__u(0));
    }
    v->bos = aios__vocab_id(v, g, "tokenizer.ggml.bos_token_id", spm ? 1 : -1);
    v->eos = aios__vocab_id(v, g, "tokenizer.ggml.eos_token_id", spm ? 2 : -1);
    v->unk = aios__vocab_id(v, g, "tokenizer.ggml.unknown_token_id", spm ? 0 : -1);
    v->pad = aios__vocab_id(v, g, "tokenizer.ggml.padding_token_id", -1);
    v->eot = aios__vocab_id(v, g, "tokenizer.ggml.eot_token_id", -1);
    v->add_bos = spm || (v->pre && (v->pre->flags & AIOS__PRE_BOS));
    v->add_space = spm;
    aios__key_bool(aios__key_find(g, "tokenizer.ggml.add_bos_token"), &v->add_bos);
    aios__key_bool(aios__key_find(g, "tokenizer.ggml.add_eos_token"), &v->add_eos);
    if (spm) aios__key_bool(aios__key_find(g, "tokenizer.ggml.add_space_prefix"), &v->add_space);
    if (v->bos < 0) v->add_bos = 0;
    if (v->eos < 0) v->add_eos = 0;
    if (v->eos >= 0) v->attr[v->eos] |= AIOS__T_END;
    for (i = 0; i < sizeof end_keys / sizeof *end_keys; i++)
        if ((id = aios__vocab_id(v, g, end_keys[i], -1)) >= 0) v->attr[id] |= AIOS__T_END;
    if (v->kind == AIOS__VOCAB_OTHER) return AIOS_OK; /* no hash: texts cannot be found */

    for (i = 0; i < sizeof end_texts / sizeof *end_texts; i++) {
        const char *z = end_texts[i];
        if ((id = aios__token_find(v, z, strlen(z))) < 0) continue;
        if (i < n_eot && v->eot < 0) v->eot = id;
        v->attr[id] = AIOS__T_CONTROL | AIOS__T_END;
    }
    /* Where other tokens end a turn, <|end|> ends only a part of it, and </s> is plain text. */
    id = aios__token_find(v, "<|end|>", 7);
    if (id >= 0 && ((aios__has_text(v, "<|return|>") && aios__has_text(v, "<|call|>")) ||
                    (aios__has_text(v, "<|flush|>") && aios__has_text(v, "<|calls|>"))))
        v->attr[id] = AIOS__T_CONTROL;
    id = aios__token_find(v, "</s>", 4);
    if (id >= 0 && aios__has_text(v, "<|tool_response>")) v->attr[id] = AIOS__T_NORMAL;

    aios__key_str(aios__key_find(g, "general.name"), &name);
    /* files do not say rstrip; these models need it */
    if (aios__contains(name, "phi-3") || aios__contains(name, "phi3")) {
        for (id = 0; id < v->n_tokens; id++) {
            s = aios__vocab_text(v, id);
            if (aios__is_special(v->attr[id] & AIOS__T_TYPE) && !aios__str_eq(s, "<unk>") &&
                !aios__str_eq(s, "<s>") && !aios__str_eq(s, "<|endoftext|>"))
                v->attr[id] |= AIOS__T_RSTRIP;
        }
    }
    for (id = 0; id < v->n_tokens; id++) {
        type = v->attr[id] & AIOS__T_TYPE;
        s = aios__vocab_text(v, id);
        if (!aios__is_special(type)) continue;
        if (s.n == 0 || s.n > AIOS__MAX_SPECIAL) continue;
        aios__bit_set(v->first, (uint8_t)s.p[0]);
        if (s.n > 1) aios__bit_set(v->second, (uint8_t)s.p[1]);
        aios__bit_set(v->length, (uint32_t)s.n);
        if (type == AIOS__T_USER) v->has_user = 1;
    }
    for (i = 0; i < 256; i++) {
        char b = (char)i, hex[7] = "<0x00>";
        if (spm) {
            hex[3] = "0123456789ABCDEF"[i >> 4];
            hex[4] = "0123456789ABCDEF"[i & 15];
            v->byte_id[i] = aios__token_find(v, hex, 6);
            if (v->byte_id[i] < 0) v->byte_id[i] = aios__token_find(v, &b, 1);
        } else {
            v->byte_id[i] = aios__token_find_bytes(v, &b, 1);
            /* means the letter */
            if (v->byte_id[i] >= 0 && (v->attr[v->byte_id[i]] & AIOS__T_TYPE) == AIOS__T_USER)
                v->byte_id[i] = -1;
        }
    }
    return AIOS_OK;
}

/* Reads the tokenizer's keys into v; v->off .. v->merge lie in mem. With mem->base NULL it only
 * counts what they take, from size alone (g is then NULL). A model without tokenizer, or with
 * one of another kind, is no error here. */
static inline void aios__vocab_clear(aios__vocab *v) {
    memset(v, 0, sizeof *v);
    v->bos = v->eos = v->eot = v->pad = v->unk = -1;
}
static inline aios_status aios__vocab_load(aios__vocab *v, aios__bump *mem, const aios__gguf *g,
                                           const aios__gguf_size *size, const aios__notes *log,
                                           aios_error *err) {
    uint64_t n = size->n_tokens, m = size->n_merges;
    aios_status st;
    aios__vocab_clear(v);
    if (n > INT32_MAX || m > INT32_MAX || size->token_bytes > UINT32_MAX ||
        size->token_bytes + 8 * n > UINT32_MAX)
        return aios__fail(err, AIOS_ERR_LIMIT, AIOS__NO_OFF,
                          "the vocabulary has more than 2^31 tokens or merges, or 4 GiB of text");
    v->n_slots = aios__slots_for(n);
    v->n_merge_slots = aios__slots_for(m);
    v->off = (uint32_t *)aios__take(mem, n * 4, 8);
    v->attr = (uint8_t *)aios__take(mem, n, 8);
    v->slot = (uint32_t *)aios__take(mem, (uint64_t)v->n_slots * 4, 8);
    v->merge_slot = (uint32_t *)aios__take(mem, (uint64_t)v->n_merge_slots * 4, 8);
    v->merge = (aios__merge *)aios__take(mem, m * sizeof(aios__merge), 8);
    if (!mem->base) return AIOS_OK;

    const aios__key *k = aios__key_find(g, "tokenizer.ggml.model");
    if (!k) return AIOS_OK;
    if (!aios__key_str(k, &v->model))
        return aios__vocab_bad(err, k, AIOS__STR, k->type, "is no string");
    if (aios__str_eq(v->model, "none") || aios__str_eq(v->model, "no_vocab")) return AIOS_OK;
    v->kind = aios__str_eq(v->model, "llama")  ? AIOS__VOCAB_SPM
              : aios__str_eq(v->model, "gpt2") ? AIOS__VOCAB_BPE
                                               : AIOS__VOCAB_OTHER;
    aios__key_str(aios__key_find(g, "tokenizer.ggml.pre"), &v->pre_name);
    if (v->kind == AIOS__VOCAB_BPE) v->pre = aios__pre_find(v->pre_name);
    if ((st = aios__load_tokens(v, g, size, err)) != AIOS_OK) return st;
    if (v->kind != AIOS__VOCAB_OTHER && (st = aios__load_hash(v, g, log, err)) != AIOS_OK)
        return st;
    if (v->kind == AIOS__VOCAB_BPE && (st = aios__load_merges(v, g, m, err)) != AIOS_OK) return st;
    return aios__load_special(v, g, log, err);
}

AIOS__SMALL_END

/* How many tokens there are; 0 = no tokenizer. */
static inline uint64_t aios__vocab_size(const aios__vocab *v) { return (uint64_t)v->n_tokens; }

static inline void aios__vocab_info(const aios__vocab *v, aios_model_info *i) {
    i->n_tokens = v->n_tokens;
    i->bos = v->bos;
    i->eos = v->eos;
    i->eot = v->eot;
    i->pad = v->pad;
    i->unk = v->unk;
    i->add_bos = v->add_bos;
    i->add_eos = v->add_eos;
}

/* ======== text/encode.c ======== */
/* encode.c: text -> token ids. Behind vocab.c: special tokens are found, text between them is cut
 * into words (words.c), the characters or bytes of a word are joined to tokens.
 *
 * Where the model's own tokenizer composes text (NFC), so does this one, word by word, and only
 * the words that are not composed already.
 *
 * Nothing here allocates: words and texts of any length go through one window on the stack
 * (aios__window, 34 KiB), see aios__piece for why the result is exactly that of joining the
 * whole text at once. */

/* ---- joining ---- */

typedef struct aios__ids {
    int32_t *p;
    uint64_t max, n;
} aios__ids;
static inline void aios__push(aios__ids *o, int32_t id) {
    if (o->n < o->max) o->p[o->n] = id;
    o->n++;
}

/* A stretch of text being joined. Symbol i is what began as character i (SentencePiece) or byte
 * i; joining it with the next one removes that one. The tree holds in leaf i how urgent joining
 * i with its right neighbour is, and above it the smallest of each half, so that the first of
 * the most urgent is found and replaced in log steps. */
typedef struct aios__window {
    uint32_t n, size;                   /* symbols at first; leaves of the tree, a power of two */
    uint64_t base;                      /* where in the text it starts */
    int32_t id[AIOS__WINDOW_SYMBOLS];   /* token of the symbol; -1 = none */
    int32_t join[AIOS__WINDOW_SYMBOLS]; /* token of it and its right neighbour */
    uint32_t tree[2 * AIOS__WINDOW_SYMBOLS];
    uint16_t prev[AIOS__WINDOW_SYMBOLS], next[AIOS__WINDOW_SYMBOLS];
    uint16_t at[AIOS__WINDOW_SYMBOLS + 1];  /* where it starts in text[] */
    uint16_t src[AIOS__WINDOW_SYMBOLS + 1]; /* where it starts in the source, from base */
    /* SentencePiece: the text with U+2581 for spaces; else composed text */
    char text[4 * AIOS__WINDOW_SYMBOLS];
    uint32_t n_done; /* tokens of the window before, or of this one at last */
    int32_t done[AIOS__WINDOW_SYMBOLS];
    uint16_t done_at[AIOS__WINDOW_SYMBOLS + 1]; /* where they start in the source, from base */
} aios__window;

#define AIOS__NEVER 0xFFFFFFFFu

/* How urgent it is to join symbols i and j: smaller is sooner. */
static inline uint32_t aios__urgency(const aios__vocab *v, aios__window *w, uint32_t i) {
    uint32_t j = w->next[i];
    if (j >= w->n) return AIOS__NEVER;
    if (v->kind == AIOS__VOCAB_BPE) {
        int32_t rank = aios__merge_find(v, w->id[i], w->id[j]);
        if (rank < 0) return AIOS__NEVER;
        w->join[i] = aios__joined(v, v->merge[rank].id);
        return w->join[i] < 0 ? AIOS__NEVER : (uint32_t)rank;
    }
    w->join[i] = aios__joined(v, aios__token_find(v, w->text + w->at[i],
                                                  (uint64_t)(w->at[w->next[j]] - w->at[i])));
    if (w->join[i] < 0) return AIOS__NEVER;
    uint32_t u = 0;
    if (v->score_p) {
        float f;
        memcpy(&f, v->score_p + (uint64_t)(uint32_t)w->join[i] * 4, 4);
        if (f != f) return AIOS__NEVER - 1; /* NaN: last */
        f += 0.0f;                          /* -0 is 0 */
        memcpy(&u, &f, 4);
    }
    return u & 0x80000000u ? u : 0x7FFFFFFFu - u; /* orders floats from the highest down */
}
static inline void aios__tree_set(aios__window *w, uint32_t leaf, uint32_t x) {
    uint32_t t = w->size + leaf;
    w->tree[t] = x;
    while (t > 1) {
        uint32_t least;
        t >>= 1;
        least = w->tree[2 * t] <= w->tree[2 * t + 1] ? w->tree[2 * t] : w->tree[2 * t + 1];
        if (w->tree[t] == least) break;
        w->tree[t] = least;
    }
}
/* Joins s[base, n) as far as the window reaches. space: a space goes in front (SentencePiece,
 * base 0 only). */
static inline void aios__join(const aios__vocab *v, aios__window *w, const char *s, uint64_t n,
                              uint64_t base, int32_t space) {
    uint32_t i, at = 0, k = 0, len;
    uint64_t p = base;
    w->base = base;
    for (; k < AIOS__WINDOW_SYMBOLS && (p < n || space); k++) {
        w->src[k] = (uint16_t)(p - base);
        w->at[k] = (uint16_t)at;
        w->prev[k] = (uint16_t)(k - 1);
        w->next[k] = (uint16_t)(k + 1);
        if (v->kind == AIOS__VOCAB_BPE) {
            w->id[k] = v->byte_id[(uint8_t)s[p++]];
            continue;
        }
        if (space || s[p] == ' ') {
            memcpy(w->text + at, "\xE2\x96\x81", 3);
            len = 3;
            p += !space;
            space = 0;
        } else {
            aios__utf8(s + p, n - p, &len);
            memcpy(w->text + at, s + p, len);
            p += len;
        }
        w->id[k] = aios__joined(v, aios__token_find(v, w->text + at, len));
        at += len;
    }
    w->src[k] = (uint16_t)(p - base);
    w->at[k] = (uint16_t)at;
    w->n = k;
    for (w->size = 1; w->size < k; w->size *= 2) {}
    for (i = 0; i < w->size; i++)
        w->tree[w->size + i] = i < k ? aios__urgency(v, w, i) : AIOS__NEVER;
    for (i = w->size - 1; i > 0; i--)
        w->tree[i] = w->tree[2 * i] <= w->tree[2 * i + 1] ? w->tree[2 * i] : w->tree[2 * i + 1];
    while (w->tree[1] != AIOS__NEVER) {
        uint32_t t = 1, j;
        while (t < w->size) t = 2 * t + (w->tree[2 * t] > w->tree[2 * t + 1]);
        i = t - w->size;
        j = w->next[i];
        w->id[i] = w->join[i];
        w->next[i] = w->next[j];
        if (w->next[j] < w->n) w->prev[w->next[j]] = (uint16_t)i;
        aios__tree_set(w, j, AIOS__NEVER);
        aios__tree_set(w, i, aios__urgency(v, w, i));
        if (i > 0) aios__tree_set(w, w->prev[i], aios__urgency(v, w, w->prev[i]));
    }
}
/* The window's tokens from symbol i on become the done ones. */
static inline void aios__keep(aios__window *w, uint32_t i) {
    uint32_t k = 0;
    for (; i < w->n; i = w->next[i], k++) {
        w->done[k] = w->id[i];
        w->done_at[k] = w->src[i];
    }
    w->done_at[k] = w->src[w->n];
    w->n_done = k;
}
static inline void aios__push_done(const aios__vocab *v, const aios__window *w, const char *s,
                                   uint64_t base, uint32_t n, aios__ids *o) {
    for (uint32_t k = 0; k < n; k++) {
        const char *p = s + base + w->done_at[k];
        uint32_t len = (uint32_t)(w->done_at[k + 1] - w->done_at[k]);
        if (w->done[k] >= 0) {
            aios__push(o, w->done[k]);
            continue;
        }
        if (v->kind == AIOS__VOCAB_SPM && (len == 0 || *p == ' ')) {
            p = "\xE2\x96\x81";
            len = 3;
        }
        for (; len; len--) {
            int32_t id = v->byte_id[(uint8_t)*p++];
            /* neither: left out, as in llama.cpp */
            if (id >= 0 || v->unk >= 0) aios__push(o, id >= 0 ? id : v->unk);
        }
    }
}
/* Tokens of one piece of text (a word; for SentencePiece all text between special tokens), of
 * any length.
 *
 * Exact, though only 1024 symbols are looked at together. Joining a stretch of text that starts
 * and ends between two of the result's tokens gives just these tokens: joins inside it come in
 * the same order, and none reaches across. So a sequence of tokens is the result if and only if
 * any two neighbours, joined alone, stay as they are. If two windows overlap and one token has
 * the same place in both, the tokens of the first up to it and of the second from it on have
 * that property, hence are the result for both windows together. Where they have no token in
 * common, the second starts earlier; AIOS_ERR_LIMIT if even 768 symbols of overlap are not
 * enough (no known vocabulary; it takes joins that depend on each other so far ahead). From:
 * Berglund and van der Merwe, "Formalizing BPE tokenization" (2023), for ranks; the argument
 * holds for scores too. */
AIOSK__NOINLINE static aios_status aios__piece(const aios__vocab *v, aios__window *w, const char *s,
                                               uint64_t n, int32_t space, aios__ids *o,
                                               aios_error *err) {
    aios__join(v, w, s, n, 0, space);
    aios__keep(w, 0);
    while (w->base + w->src[w->n] < n) {
        uint64_t base = w->base;
        uint32_t overlap, r, k = 0, i = 0, reach = w->done_at[w->n_done];
        int32_t found = 0;
        for (overlap = 256; overlap < AIOS__WINDOW_SYMBOLS && !found; overlap += 256) {
            uint32_t goal = reach - reach * overlap / AIOS__WINDOW_SYMBOLS;
            for (r = w->n_done - 1; r > 0 && w->done_at[r] > goal; r--) {}
            if (w->done_at[r] == 0) break; /* would start where the last one did */
            aios__join(v, w, s, n, base + w->done_at[r], 0);
            for (k = r, i = 0; k < w->n_done && i < w->n && !found;) {
                uint32_t a = w->done_at[k], b = (uint32_t)w->done_at[r] + w->src[i];
                if (a == b && w->done[k] == w->id[i])
                    found = 1;
                else if (a <= b)
                    k++;
                else
                    i = w->next[i];
            }
        }
        if (!found)
            return aios__fail1(
                err, AIOS_ERR_LIMIT, AIOS__NO_OFF,
                "the tokens of a run of % bytes without a break depend on what follows more than "
                "768 characters later",
                aios__u(n));
        aios__push_done(v, w, s, base, k, o);
        aios__keep(w, i);
    }
    aios__push_done(v, w, s, w->base, w->n_done, o);
    return AIOS_OK;
}

/* ---- text to ids ---- */

/* The longest special token at s, its length in *len; -1 = none. User-defined tokens always
 * count. */
static inline int32_t aios__special_at(const aios__vocab *v, const char *s, uint64_t n,
                                       uint32_t flags, uint64_t *len) {
    uint32_t h = 2166136261u, max = (uint32_t)aios__min_u64(n, AIOS__MAX_SPECIAL);
    int32_t best = -1;
    if (!aios__bit(v->first, (uint8_t)s[0]) ||
        (!aios__bit(v->length, 1) && (n < 2 || !aios__bit(v->second, (uint8_t)s[1]))))
        return -1;
    for (uint32_t i = 1; i <= max; i++) {
        int32_t id;
        uint32_t type;
        h = aios__fnv(h, (uint8_t)s[i - 1]);
        if (!aios__bit(v->length, i) || (id = aios__find_hashed(v, h, s, i)) < 0) continue;
        type = v->attr[id] & AIOS__T_TYPE;
        if (type == AIOS__T_USER ||
            ((flags & AIOS_TOK_SPECIAL) && (type == AIOS__T_CONTROL || type == AIOS__T_UNKNOWN))) {
            best = id;
            *len = i;
        }
    }
    return best;
}
/* Tokens of one word. */
AIOSK__NOINLINE static aios_status aios__word(const aios__vocab *v, aios__window *w, const char *s,
                                              uint64_t n, aios__ids *o, aios_error *err) {
    int32_t id = -1;
    if (n == 1)
        id = v->byte_id[(uint8_t)*s];
    else if (v->pre->flags & AIOS__PRE_WHOLE)
        id = aios__joined(v, aios__token_find_bytes(v, s, n));
    if (id < 0) return aios__piece(v, w, s, n, 0, o, err);
    aios__push(o, id);
    return AIOS_OK;
}
AIOS__SMALL_BEGIN
static inline aios_status aios__nfc_long(aios_error *err) {
    return aios__fail1(err, AIOS_ERR_LIMIT, AIOS__NO_OFF, "more than % marks on one character",
                       aios__u(AIOS__MAX_STRETCH));
}
/* Text to be composed, s[src, n), behind the len bytes that w->text has, as much as fits. *kept:
 * from there on w->text is as the text is. */
static inline void aios__compose(aios__window *w, const char *s, uint64_t n, uint64_t *src,
                                 uint64_t *odd, uint32_t *len, uint32_t *kept) {
    while (*src < n && *odd != UINT64_MAX) {
        if (*src < *odd) {
            uint32_t k = (uint32_t)aios__min_u64(*odd - *src, sizeof w->text - *len), i;
            /* whole characters */
            for (i = 0; i < 3 && k && *src + k < *odd && ((uint8_t)s[*src + k] & 0xC0) == 0x80; i++)
                k--;
            memcpy(w->text + *len, s + *src, k);
            *len += k;
            *src += k;
            if (*src < *odd) break;
        } else {
            uint64_t used;
            uint32_t m = aios__nfc_stretch(s + *src, n - *src, w->tree, &used), i, at = *len;
            for (i = 0; i < m && at + 4 <= sizeof w->text; i++)
                at += aios__utf8_put(w->text + at, w->tree[i]);
            if (i < m) break;
            *len = *kept = at;
            *src += used;
            *odd = aios__nfc_next(s, *src, n, w->tree);
        }
    }
}
/* Does the word t[b, q) depend on what follows t[0, len)? Spaces do on all spaces behind them,
 * others on the character behind them at the most, and on three bytes after "'". */
static inline int32_t aios__word_open(const char *t, uint64_t b, uint64_t q, uint64_t len) {
    while (b < q && aios__char_at(t, b, q).cls == AIOS__C_SPACE) b += aios__char_at(t, b, q).len;
    if (b < q) return q + 3 > len;
    while (q < len && aios__char_at(t, q, len).cls == AIOS__C_SPACE)
        q += aios__char_at(t, q, len).len;
    return q == len;
}
/* The words from s[*p] on, where the first reaches into what composing changes (from *odd on),
 * up to one that begins where nothing changes. They are cut in w->text; those that depend on
 * what follows there wait until it is there too. Classes of first characters are as in the text
 * that is not composed (tools/nfc.py sees to it): a word of that text that ends before *odd or
 * there is one. */
AIOSK__NOINLINE static aios_status aios__composed_words(const aios__vocab *v, aios__window *w,
                                                        const char *s, uint64_t n, uint64_t *p,
                                                        uint64_t *odd, aios__ids *o,
                                                        aios_error *err) {
    uint64_t src = *p, q;
    uint32_t len = 0, kept = 0, b = 0;
    aios_status st;
    for (;;) {
        uint64_t bound[6] = { 0, 0, 0, 0, 0, 0 };
        memmove(w->text, w->text + b, len - b);
        len -= b;
        kept -= b;
        b = 0;
        aios__compose(w, s, n, &src, odd, &len, &kept);
        if (*odd == UINT64_MAX) return aios__nfc_long(err);
        for (; b < kept; b = (uint32_t)q) {
            q = aios__pre_next(v->pre, bound, w->text, b, len);
            if (src < n && aios__word_open(w->text, b, q, len)) break;
            if ((st = aios__word(v, w, w->text + b, q - b, o, err)) != AIOS_OK) return st;
        }
        if (b == 0)
            return aios__fail1(err, AIOS_ERR_LIMIT, AIOS__NO_OFF,
                               "a word to be composed has more than about % bytes",
                               aios__u(sizeof w->text));
        if (b >= kept) break;
    }
    *p = src - (len - b);
    return AIOS_OK;
}
AIOS__SMALL_END
/* Text without special tokens. */
static inline aios_status aios__plain(const aios__vocab *v, const char *s, uint64_t n,
                                      int32_t space, aios__ids *o, aios_error *err) {
    uint64_t bound[6] = { 0, 0, 0, 0, 0, 0 }, p = 0, odd = n;
    aios__window w;
    aios_status st;
    if (v->kind == AIOS__VOCAB_SPM) return aios__piece(v, &w, s, n, space, o, err);
    if (v->pre->flags & AIOS__PRE_NFC) odd = aios__nfc_next(s, 0, n, w.tree);
    if (odd == UINT64_MAX) return aios__nfc_long(err);
    while (p < n) {
        uint64_t q = aios__pre_next(v->pre, bound, s, p, n);
        if (q <= odd) {
            st = aios__word(v, &w, s + p, q - p, o, err);
            p = q;
        } else {
            st = aios__composed_words(v, &w, s, n, &p, &odd, o, err);
            memset(bound, 0, sizeof bound);
        }
        if (st != AIOS_OK) return st;
    }
    return AIOS_OK;
}
static inline aios_status aios__vocab_usable(const aios__vocab *v, aios_error *err) {
    if (v->kind == AIOS__VOCAB_NONE)
        return aios__fail(err, AIOS_ERR_VOCAB, AIOS__NO_OFF, "the model has no tokenizer");
    if (v->kind == AIOS__VOCAB_OTHER)
        return aios__fail1(err, AIOS_ERR_UNSUPPORTED, AIOS__NO_OFF,
                           "tokenizer.ggml.model '%' is not supported", aios__s(v->model));
    return AIOS_OK;
}
/* Can text become ids? An unknown pre-tokenizer stops that, but not the way back. */
static inline aios_status aios__vocab_encodes(const aios__vocab *v, aios_error *err) {
    aios_status st = aios__vocab_usable(v, err);
    if (!st && v->kind == AIOS__VOCAB_BPE && !v->pre)
        st = aios__fail1(err, AIOS_ERR_UNSUPPORTED, AIOS__NO_OFF,
                         "tokenizer.ggml.pre '%' is not supported", aios__s(v->pre_name));
    return st;
}
/* See aios_tokenize. Special tokens: the leftmost, of those at one place the longest (unlike
 * llama.cpp, which looks for the longest anywhere first: another result only where two special
 * tokens overlap). */
static inline int64_t aios__tokenize(const aios__vocab *v, const char *text, uint64_t n_text,
                                     uint32_t flags, int32_t *ids, uint64_t max_ids,
                                     aios_error *err) {
    int32_t any = v->has_user || (flags & AIOS_TOK_SPECIAL), space = v->add_space;
    uint64_t p = 0, q;
    aios__ids o;
    aios_status st;
    if ((!text && n_text) || (!ids && max_ids) ||
        (flags & ~(uint32_t)(AIOS_TOK_SPECIAL | AIOS_TOK_BOS | AIOS_TOK_EOS)))
        return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF,
                          "text or ids is NULL, or a flag is unknown");
    if ((st = aios__vocab_encodes(v, err)) != AIOS_OK) return st;
    o.p = ids;
    o.max = max_ids;
    o.n = 0;
    if ((flags & AIOS_TOK_BOS) && v->add_bos) aios__push(&o, v->bos);
    while (p < n_text) {
        int32_t id = -1;
        uint64_t len = 0;
        for (q = any ? p : n_text;
             q < n_text && (id = aios__special_at(v, text + q, n_text - q, flags, &len)) < 0; q++) {
        }
        if (q > p) {
            if ((st = aios__plain(v, text + p, q - p, space, &o, err)) != AIOS_OK) return st;
            space = 0;
        }
        p = q;
        if (id < 0) continue;
        /* a text that brings its bos gets no second */
        if (p > 0 || o.n == 0 || id != v->bos) aios__push(&o, id);
        p += len;
        if (v->attr[id] & AIOS__T_RSTRIP)
            while (p < n_text && aios__ascii_class[text[p] & 0x7F] == AIOS__C_SPACE &&
                   (uint8_t)text[p] < 0x80)
                p++;
        space = v->add_space;
    }
    if ((flags & AIOS_TOK_EOS) && v->add_eos) aios__push(&o, v->eos);
    return (int64_t)o.n;
}

/* ======== text/decode.c ======== */
/* decode.c: token ids -> text, a token at a time: what a token adds goes through aios_detok, which
 * holds the bytes of a character that is not whole yet. Behind vocab.c. */

typedef struct aios__out {
    char *p;
    uint64_t cap, n;
    aios_detok st;
    int32_t raw, skip_space;
} aios__out;

static inline void aios__out_put(aios__out *o, const void *s, uint32_t n) {
    if (n <= o->cap && o->n <= o->cap - n) memcpy(o->p + o->n, s, n);
    o->n += n;
}
/* One byte of the stream: whole characters come out, and U+FFFD for each longest start of one
 * that is not continued. */
static inline void aios__out_byte(aios__out *o, uint8_t b) {
    uint8_t low, high;
    if (o->skip_space) {
        o->skip_space = 0;
        if (b == ' ') return;
    }
    if (o->raw) {
        aios__out_put(o, &b, 1);
        return;
    }
    if (o->st.n_bytes) {
        uint32_t more = aios__utf8_more(o->st.bytes[0], &low, &high);
        if (o->st.n_bytes > 1) {
            low = 0x80;
            high = 0xBF;
        }
        if (b >= low && b <= high) {
            o->st.bytes[o->st.n_bytes++] = b;
            if (o->st.n_bytes == more + 1) {
                aios__out_put(o, o->st.bytes, more + 1);
                o->st.n_bytes = 0;
            }
            return;
        }
        aios__out_put(o, "\xEF\xBF\xBD", 3);
        o->st.n_bytes = 0;
    }
    if (b < 0x80)
        aios__out_put(o, &b, 1);
    else if (aios__utf8_more(b, &low, &high)) {
        o->st.bytes[0] = b;
        o->st.n_bytes = 1;
    } else
        aios__out_put(o, "\xEF\xBF\xBD", 3);
}
static inline int32_t aios__hex(char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                  : -1;
}

static inline void aios__out_token(const aios__vocab *v, aios__out *o, int32_t id) {
    aios__str s = aios__vocab_text(v, id);
    uint32_t type = v->attr[id] & AIOS__T_TYPE, len;
    if (type == AIOS__T_BYTE && s.n == 6 && s.p[0] == '<' && aios__hex(s.p[3]) >= 0 &&
        aios__hex(s.p[4]) >= 0) {
        aios__out_byte(o, (uint8_t)(aios__hex(s.p[3]) << 4 | aios__hex(s.p[4])));
        return;
    }
    for (uint64_t i = 0; i < s.n; i += len) {
        uint32_t cp = aios__utf8(s.p + i, s.n - i, &len);
        int32_t b = type == AIOS__T_NORMAL && v->kind == AIOS__VOCAB_BPE && !(len == 1 && cp >= 128)
                        ? aios__char_byte(cp)
                        : -1;
        if (type == AIOS__T_NORMAL && v->kind == AIOS__VOCAB_SPM && cp == 0x2581) b = ' ';
        if (b >= 0)
            aios__out_byte(o, (uint8_t)b);
        else
            for (uint32_t j = 0; j < len; j++) aios__out_byte(o, (uint8_t)s.p[i + j]);
    }
}
/* See aios_detokenize. Control and unknown tokens are silent unless AIOS_DETOK_SPECIAL; so are
 * unused ones. The space that tokenizing put in front of a text is taken from the first token
 * that has text, where AIOS_DETOK_BEGIN says that it begins. */
static inline int64_t aios__detokenize(const aios__vocab *v, aios_detok *st, int32_t id, char *out,
                                       uint64_t cap) {
    aios__out o;
    aios_status s = aios__vocab_usable(v, NULL);
    if (s != AIOS_OK) return s;
    if ((!out && cap) || id < -1 || id >= v->n_tokens || (st && st->n_bytes > 3))
        return AIOS_ERR_ARG;
    memset(&o, 0, sizeof o);
    o.p = out;
    o.cap = cap;
    o.raw = !st;
    if (st) o.st = *st;
    if (id < 0) {
        if (o.st.n_bytes) aios__out_put(&o, "\xEF\xBF\xBD", 3);
        o.st.n_bytes = 0;
    } else {
        uint32_t type = v->attr[id] & AIOS__T_TYPE;
        if (st && (type == AIOS__T_UNUSED || type == AIOS__T_UNDEFINED)) return 0;
        if (st && !(st->flags & AIOS_DETOK_SPECIAL) &&
            (type == AIOS__T_CONTROL || type == AIOS__T_UNKNOWN))
            return 0;
        o.skip_space = st && v->add_space && (st->flags & AIOS_DETOK_BEGIN);
        aios__out_token(v, &o, id);
        o.st.flags &= ~(uint32_t)AIOS_DETOK_BEGIN;
    }
    if (o.n > cap) return AIOS_ERR_FULL;
    if (st) *st = o.st;
    return (int64_t)o.n;
}
static inline const char *aios__token_text(const aios__vocab *v, int32_t id, uint64_t *n_bytes) {
    if (id < 0 || id >= v->n_tokens) return NULL;
    aios__str s = aios__vocab_text(v, id);
    *n_bytes = s.n;
    return s.p;
}
static inline int32_t aios__token_is_end(const aios__vocab *v, int32_t id) {
    return id >= 0 && id < v->n_tokens && (v->attr[id] & AIOS__T_END) != 0;
}

AIOS__SMALL_BEGIN

/* ======== model/arch.c ======== */
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

/* ======== model/graph.h ======== */
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

/* ======== model/model.h ======== */
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

/* ======== model/keys.c ======== */
/* keys.c: keys of a file -> hyper-parameters. A key is a row of a table: which field it fills, and
 * what may stand there; layers.c works out what depends on several. What could not be computed with
 * is refused, with the key at fault. */

enum {
    /* a list must hold one value or, for the field of a layer, a value for each */
    AIOS__KEY_INT = 0,
    AIOS__KEY_F32 = 1,
    AIOS__KEY_F64 = 2,
    AIOS__KEY_FLAG = 3,
    AIOS__KEY_CHOICE = 4, /* a text: its index in names */
    /* fills no field: with any value but its default it asks for what this version cannot do */
    AIOS__KEY_NEUTRAL = 5
};
/* Defaults: a file without the key is refused; the field stays as the family's row or a key before
 * has it. */
#define AIOS__MUST (-1)
#define AIOS__KEEP (-2)

static const char *const aios__scalings[] = { "none", "linear", "yarn", "longrope", NULL };

/* The names stand behind that of the family. IN: the model's field or, LAYER, one of each layer.
 * need, not_with: wirings with which the key means something, and without which.
 *   KIND     IN     field             name  low  high  default  need  not_with  names */
/* clang-format off */
#define AIOS__KEYS(X) \
  X(INT,     HP,    n_layer,    "block_count",             1, 4096,    AIOS__MUST, 0, 0, 0)      \
  X(INT,     HP,    n_embd,     "embedding_length",        1, 1 << 20, AIOS__MUST, 0, 0, 0)      \
  X(INT,     LAYER, n_ff,       "feed_forward_length",     1, 1 << 24, AIOS__MUST, 0, 0, 0)      \
  X(INT,     LAYER, n_head,     "attention.head_count",    1, 65536,   AIOS__MUST, 0, 0, 0)      \
  X(INT,     LAYER, n_head_kv,  "attention.head_count_kv", 1, 65536,   0, 0, 0, 0)               \
  X(INT,     HP,    n_ctx_train, "context_length",         1, 1 << 30, AIOS__MUST, 0, 0, 0)      \
  X(INT,     LAYER, hd_k,       "attention.key_length",    1, 1024,    0, 0, 0, 0)               \
  X(INT,     LAYER, hd_v,       "attention.value_length",  1, 1024,    0, 0, 0, 0)               \
  X(INT,     LAYER, window,     "attention.sliding_window",                                      \
                                                0, 1 << 30, AIOS__KEEP, AIOS__WINDOWS, 0, 0)     \
  X(F32,     HP,    norm_eps,   "attention.layer_norm_rms_epsilon",                              \
                                                1e-30, 1, AIOS__MUST, AIOS__RMS, 0, 0)           \
  X(F32,     HP,    norm_eps,   "attention.layer_norm_epsilon",                                  \
                                                1e-30, 1, AIOS__MUST, 0, AIOS__RMS, 0)           \
  X(F32,     LAYER, score_scale, "attention.scale",        1e-9, 1e9,  0, 0, 0, 0)               \
  X(F32,     HP,    score_cap,  "attn_logit_softcapping",  0, 1e6,     AIOS__KEEP, 0, 0, 0)      \
  X(F32,     HP,    logit_cap,  "final_logit_softcapping", 0, 1e6,     AIOS__KEEP, 0, 0, 0)      \
  X(NEUTRAL, NONE,  none,       "attention.max_alibi_bias", 0, 0,      0, 0, 0, 0)               \
  X(NEUTRAL, NONE,  none,       "attention.clamp_kqv",     0, 0,       0, 0, 0, 0)               \
  X(NEUTRAL, NONE,  none,       "attention.causal",        0, 0,       1, 0, 0, 0)               \
  X(F32,     HP,    residual_scale, "residual_scale",      1e-9, 1e9,  1, AIOS__SCALES, 0, 0)    \
  X(F32,     HP,    embd_scale, "embedding_scale",         1e-9, 1e9,  0, AIOS__SCALES, 0, 0)    \
  X(F32,     HP,    logit_scale, "logit_scale",            1e-9, 1e9,  1, AIOS__SCALES, 0, 0)    \
  X(NEUTRAL, NONE,  none,       "residual_scale",          0, 0,       1, 0, AIOS__SCALES, 0)    \
  X(NEUTRAL, NONE,  none,       "embedding_scale",         0, 0,       1, 0, AIOS__SCALES, 0)    \
  X(NEUTRAL, NONE,  none,       "logit_scale",             0, 0,       1, 0, AIOS__SCALES, 0)    \
  X(NEUTRAL, NONE,  none,       "expert_count",            0, 0,       0, 0, AIOS__EXPERTS, 0)   \
  X(INT,     LAYER, n_expert,   "expert_count",            0, 4096,    0, AIOS__EXPERTS, 0, 0)   \
  X(INT,     LAYER, n_used,     "expert_used_count",                                             \
                                                1, 256, AIOS__MUST, AIOS__ROUTED, 0, 0)          \
  X(INT,     LAYER, n_ff_exp,   "expert_feed_forward_length",                                    \
                                                1, 1 << 24, 0, AIOS__ROUTED, 0, 0)               \
  X(INT,     LAYER, n_ff_shared, "expert_shared_feed_forward_length",                            \
                                                0, 1 << 24, 0, AIOS__ROUTED, 0, 0)               \
  X(FLAG,    HP,    exp_norm,   "expert_weights_norm",     0, 1, AIOS__KEEP, AIOS__ROUTED, 0, 0) \
  X(F32,     HP,    exp_scale,  "expert_weights_scale",    0, 1e6,     1, AIOS__ROUTED, 0, 0)    \
  X(NEUTRAL, NONE,  none,       "expert_gating_func",      0, 0,       1, AIOS__ROUTED, 0, 0)    \
  X(NEUTRAL, NONE,  none,       "expert_group_count",      0, 0,       1, AIOS__ROUTED, 0, 0)    \
  X(INT,     HP,    rope[0].n_rot, "rope.dimension_count",                                       \
                                                0, 1024, AIOS__KEEP, AIOS__TURNS, 0, 0)          \
  X(F64,     HP,    rope[0].base, "rope.freq_base",        1.0001, 1e15, 10000, 0, 0, 0)         \
  X(F64,     HP,    rope[1].base, "rope.freq_base_swa",                                          \
                                                1.0001, 1e15, AIOS__KEEP, AIOS__TWO_ROPES, 0, 0) \
  X(F64,     HP,    rope[0].factor, "rope.scale_linear",   1e-3, 1e6,  1, 0, 0, 0)               \
  X(F64,     HP,    rope[0].factor, "rope.scaling.factor", 1e-3, 1e6,  AIOS__KEEP, 0, 0, 0)      \
  X(F64,     HP,    rope[0].attn_factor, "rope.scaling.attn_factor", 1e-3, 1e3, 1, 0, 0, 0)      \
  X(INT,     HP,    rope[0].orig_ctx, "rope.scaling.original_context_length",                    \
                                                1, 1 << 30, 0, 0, 0, 0)                          \
  X(F64,     HP,    rope[0].ext, "rope.scaling.yarn_ext_factor", 0, 1e3, 1, 0, 0, 0)             \
  X(F64,     HP,    rope[0].beta_fast, "rope.scaling.yarn_beta_fast", 1e-3, 1e6, 32, 0, 0, 0)    \
  X(F64,     HP,    rope[0].beta_slow, "rope.scaling.yarn_beta_slow", 1e-3, 1e6, 1, 0, 0, 0)     \
  X(CHOICE,  HP,    rope[0].scaling, "rope.scaling.type",  0, 0,  AIOS__KEEP, 0, 0, aios__scalings)
/* clang-format on */

typedef struct aios__key_row {
    const char *name;
    const char *const *names;
    float low, high, dflt;
    uint32_t need, not_with;
    uint16_t at; /* of the field, in aios__hp or, by_layer, in aios__hp_layer */
    uint8_t kind, by_layer;
} aios__key_row;
#define AIOS__AT_HP(f)    ((uint16_t)offsetof(aios__hp, f))
#define AIOS__AT_LAYER(f) ((uint16_t)offsetof(aios__hp_layer, f))
#define AIOS__AT_NONE(f)  0
enum { AIOS__IN_HP = 0, AIOS__IN_LAYER = 1, AIOS__IN_NONE = 0 };
/* clang-format off */
#define AIOS__X(kind, in, f, name, low, high, dflt, need, not_with, names) \
    { name, names, (float)(low), (float)(high), (float)(dflt), need, not_with, \
      AIOS__AT_##in(f), AIOS__KEY_##kind, AIOS__IN_##in },
/* clang-format on */
static const aios__key_row aios__key_rows[] = { AIOS__KEYS(AIOS__X) };
#undef AIOS__X
enum { AIOS__N_KEYS = sizeof aios__key_rows / sizeof *aios__key_rows };

/* A model whose keys are being read. */
typedef struct aios__hparse {
    aios_model *m;
    aios__hp_layer every; /* what a key says of all layers, or of the first */
    aios_error *err;
    aios_status st; /* of the first key at fault */
} aios__hparse;

static const aios__key *aios__hp_key(const aios__hparse *h, const char *suffix) {
    char name[128];
    aios__text t;
    t.p = name;
    t.cap = sizeof name;
    t.n = 0;
    aios__put(&t, h->m->arch_name.p, h->m->arch_name.n);
    aios__put_z(&t, ".");
    aios__put_z(&t, suffix);
    return aios__key_find(&h->m->gguf, name);
}
/* Does the row mean something here? The count of experts stands before what it brings along. */
static int32_t aios__key_applies(const aios__hparse *h, const aios__key_row *r) {
    const aios__arch *a = h->m->arch;
    uint32_t has = a->flags;
    if (a->norm == AIOS__NORM_RMS) has |= AIOS__RMS;
    if (a->rope != AIOS__ROPE_NONE) has |= AIOS__TURNS;
    if (a->window_every) has |= AIOS__WINDOWS;
    if (a->window_base != 0) has |= AIOS__TWO_ROPES;
    if (h->every.n_expert) has |= AIOS__ROUTED;
    return (has & r->need) == r->need && !(has & r->not_with);
}
static void aios__key_range(aios__hparse *h, const char *suffix, uint64_t limit, uint64_t v) {
    const aios__key *k = aios__hp_key(h, suffix);
    h->st =
        aios__fail2(h->err, AIOS_ERR_MODEL, k ? k->off : AIOS__NO_OFF, limit, v,
                    "key % is %, out of range", k ? aios__s(k->name) : aios__z(suffix), aios__u(v));
}
/* Item i as a whole number in the row's range. */
static int32_t aios__key_int(aios__hparse *h, const aios__key_row *r, const aios__key *k,
                             uint64_t i) {
    uint64_t v = 0, low = (uint64_t)r->low, high = (uint64_t)r->high;
    if (!aios__key_item_u64(k, i, &v))
        h->st = aios__fail1(h->err, AIOS_ERR_MODEL, k->off,
                            k->is_array ? "key % must hold whole numbers"
                                        : "key % must be a whole number, not negative",
                            aios__s(k->name));
    else if (v < low || v > high)
        aios__key_range(h, r->name, v < low ? low : high, v);
    return h->st ? 0 : (int32_t)v;
}
/* Do all items of a list say the same? */
static int32_t aios__key_alike(const aios__key *k) {
    uint64_t v = 0, w = 0;
    if (!aios__key_item_u64(k, 0, &v)) return 1; /* aios__key_int says so */
    for (uint64_t i = 1; i < k->n; i++)
        if (!aios__key_item_u64(k, i, &w) || w != v) return 0;
    return 1;
}
static void aios__key_differs(aios__hparse *h, const aios__key *k) {
    h->st = aios__fail1(h->err, AIOS_ERR_UNSUPPORTED, k->off,
                        "key % differs between layers, which this version cannot run",
                        aios__s(k->name));
}
static int32_t aios__key_choice(aios__hparse *h, const aios__key_row *r, const aios__key *k) {
    aios__str s;
    if (!aios__key_str(k, &s)) {
        h->st =
            aios__fail1(h->err, AIOS_ERR_MODEL, k->off, "key % must be a string", aios__s(k->name));
        return 0;
    }
    for (int32_t i = 0; r->names[i]; i++)
        if (aios__str_eq(s, r->names[i])) return i;
    h->st = aios__fail2(h->err, AIOS_ERR_UNSUPPORTED, k->off, 0, 0,
                        "key % is '%', which is not known to this version", aios__s(k->name),
                        aios__s(s));
    return 0;
}
/* The value of a key that is there, as a number; of a list, the first. */
static double aios__key_value(aios__hparse *h, const aios__key_row *r, const aios__key *k) {
    double v = 0;
    int32_t flag = 0;
    switch (r->kind) {
    case AIOS__KEY_INT:
        if (!r->by_layer && !aios__key_alike(k)) aios__key_differs(h, k);
        return h->st ? 0 : aios__key_int(h, r, k, 0);
    case AIOS__KEY_FLAG:
        if (!aios__key_bool(k, &flag))
            h->st = aios__fail1(h->err, AIOS_ERR_MODEL, k->off, "key % must be true or false",
                                aios__s(k->name));
        return flag;
    case AIOS__KEY_CHOICE: return aios__key_choice(h, r, k);
    case AIOS__KEY_NEUTRAL:
        if (!aios__key_f64(k, &v) || v != r->dflt)
            h->st = aios__fail1(h->err, AIOS_ERR_UNSUPPORTED, k->off,
                                "key % asks for something that this version cannot run",
                                aios__s(k->name));
        return v;
    default:
        if (!aios__key_f64(k, &v) || !(v >= r->low && v <= r->high))
            h->st = aios__fail1(h->err, AIOS_ERR_MODEL, k->off,
                                "key % is no number in the range that makes sense for it",
                                aios__s(k->name));
        return v;
    }
}
static void aios__key_put(const aios__key_row *r, void *base, double v) {
    void *field = (char *)base + r->at;
    if (r->kind == AIOS__KEY_F32)
        *(float *)field = (float)v;
    else if (r->kind == AIOS__KEY_F64)
        *(double *)field = v;
    else
        *(int32_t *)field = (int32_t)v;
}
static void aios__key_read(aios__hparse *h, const aios__key_row *r) {
    const aios__key *k = aios__hp_key(h, r->name);
    double v = k ? aios__key_value(h, r, k) : r->dflt;
    if (!k && v == AIOS__MUST)
        h->st = aios__fail2(h->err, AIOS_ERR_MODEL, AIOS__NO_OFF, 0, 0, "key %.% is missing",
                            aios__s(h->m->arch_name), aios__z(r->name));
    if (h->st || r->kind == AIOS__KEY_NEUTRAL || (!k && v == AIOS__KEEP)) return;
    aios__key_put(r, r->by_layer ? (void *)&h->every : (void *)&h->m->hp, v);
}
/* All keys: the model's fields, and what the first layer says in h->every. */
static aios_status aios__keys_read(aios__hparse *h) {
    for (int32_t i = 0; i < AIOS__N_KEYS && !h->st; i++)
        if (aios__key_applies(h, &aios__key_rows[i])) aios__key_read(h, &aios__key_rows[i]);
    return h->st;
}
/* Gives each layer what the keys say of it: h->every, but for lists whose items differ. */
static aios_status aios__keys_by_layer(aios__hparse *h) {
    const aios__hp *p = &h->m->hp;
    for (int32_t l = 0; l < p->n_layer; l++) p->layer[l] = h->every;
    for (int32_t i = 0; i < AIOS__N_KEYS && !h->st; i++) {
        const aios__key_row *r = &aios__key_rows[i];
        const aios__key *k =
            r->by_layer && aios__key_applies(h, r) ? aios__hp_key(h, r->name) : NULL;
        if (!k || aios__key_alike(k)) continue;
        if (k->n < (uint64_t)p->n_layer)
            return aios__fail2(h->err, AIOS_ERR_MODEL, k->off, (uint64_t)p->n_layer, k->n,
                               "key % holds % values, too few for the layers", aios__s(k->name),
                               aios__u(k->n));
        for (int32_t l = 0; l < p->n_layer && !h->st; l++)
            aios__key_put(r, &p->layer[l], aios__key_int(h, r, k, (uint64_t)l));
    }
    return h->st;
}

/* ======== model/layers.c ======== */
/* layers.c: the keys of a file and the row of its family -> the numbers of a model, what each layer
 * is (hp.layer), and the ropes that layers name (hp.rope). Resolved once: what comes after asks the
 * layer, knows no pattern, and may rely on every number. */

/* Has layer l the sliding window? */
static int32_t aios__windowed(const aios__arch *a, int32_t l) {
    return a->window_every && a->window_at >> l % a->window_every & 1;
}
/* Which window a layer has, where keys have said how wide one is; which of the ropes. */
static void aios__layers_make(aios__hp *p, const aios__arch *a) {
    aios__rope *r = p->rope;
    if (a->rope == AIOS__ROPE_NONE) r->n_rot = 0;
    p->n_ropes = r->n_rot > 0;
    r->kind = a->rope;
    r->divide = 1;
    if (r->scaling < 0) r->scaling = r->factor != 1.0 ? AIOS__SCALE_LINEAR : AIOS__SCALE_NONE;
    if (p->n_ropes && a->window_base != 0) {
        double base = r[1].base;
        r[1] = r[0];
        r[1].base = base;
        r[1].scaling = AIOS__SCALE_NONE;
        r[1].factor = r[1].attn_factor = 1.0;
        r[1].divide = 0;
        p->n_ropes = 2;
    }
    for (int32_t l = 0; l < p->n_layer; l++) {
        int32_t windowed = aios__windowed(a, l);
        if (!windowed) p->layer[l].window = 0;
        p->layer[l].rope = windowed ? p->n_ropes - 1 : p->n_ropes ? 0 : -1;
    }
}

/* A layer's heads and experts: what keys leave open follows from others, and what they say must go
 * together. */
static aios_status aios__layer_check(aios__hparse *h, aios__hp_layer *x) {
    const aios__hp *p = &h->m->hp;
    const aios__key *k;
    int32_t n_head = p->layer[0].n_head;
    if (!x->n_head_kv) x->n_head_kv = x->n_head;
    if (x->n_head % x->n_head_kv) {
        k = aios__hp_key(h, "attention.head_count_kv");
        return aios__fail2(h->err, AIOS_ERR_MODEL, k ? k->off : AIOS__NO_OFF, (uint64_t)x->n_head,
                           (uint64_t)x->n_head_kv, "% heads cannot share % key/value heads evenly",
                           aios__i(x->n_head), aios__i(x->n_head_kv));
    }
    /* where no key says how long a head is, all are as the first layer's */
    if (!x->hd_k && p->n_embd % n_head) {
        k = aios__hp_key(h, "attention.head_count");
        return aios__fail2(
            h->err, AIOS_ERR_MODEL, k ? k->off : AIOS__NO_OFF, (uint64_t)p->n_embd,
            (uint64_t)n_head,
            "an embedding of % is no multiple of % heads, and there is no attention.key_length",
            aios__i(p->n_embd), aios__i(n_head));
    }
    if (!x->hd_k) x->hd_k = p->n_embd / n_head;
    if (!x->hd_v) x->hd_v = p->n_embd / n_head;
    int32_t longest = x->hd_k > x->hd_v ? x->hd_k : x->hd_v;
    if (longest > 1024 || x->hd_k < 1 || x->hd_v < 1)
        return aios__fail2(
            h->err, AIOS_ERR_MODEL, AIOS__NO_OFF, 1024, (uint64_t)longest,
            "a head of % channels is not in the range that this version handles (1 to %)",
            aios__i(longest), aios__u(1024));
    if ((int64_t)x->n_head * longest > 1 << 22)
        return aios__fail2(h->err, AIOS_ERR_MODEL, AIOS__NO_OFF, 1 << 22,
                           (uint64_t)x->n_head * (uint64_t)longest,
                           "% heads of % channels are more than this version handles",
                           aios__i(x->n_head), aios__i(longest));
    /* where no key says how much of a head turns, all of the first layer's does */
    int32_t n_rot = p->rope[0].n_rot < 0 ? p->layer[0].hd_k : p->rope[0].n_rot;
    if (h->m->arch->rope != AIOS__ROPE_NONE && n_rot > x->hd_k)
        aios__key_range(h, "rope.dimension_count", (uint64_t)x->hd_k, (uint64_t)n_rot);
    if (!x->n_expert)
        x->n_used = x->n_ff_exp = x->n_ff_shared = 0;
    else if (!h->st && (x->n_used < 1 || x->n_used > x->n_expert))
        aios__key_range(h, "expert_used_count", (uint64_t)x->n_expert, (uint64_t)x->n_used);
    else if (!x->n_ff_exp)
        x->n_ff_exp = x->n_ff;
    return h->st;
}
/* Lists and columns of pairs are made for one count of experts: all layers that have some must
 * agree. */
static aios_status aios__experts_check(aios__hparse *h) {
    const aios__hp *p = &h->m->hp;
    const aios__hp_layer *first = NULL;
    for (int32_t l = 0; l < p->n_layer && !h->st; l++) {
        const aios__hp_layer *x = &p->layer[l];
        if (!x->n_expert) continue;
        if (!first) first = x;
        if (x->n_expert != first->n_expert)
            aios__key_differs(h, aios__hp_key(h, "expert_count"));
        else if (x->n_used != first->n_used)
            aios__key_differs(h, aios__hp_key(h, "expert_used_count"));
    }
    return h->st;
}
/* What holds for all layers together. */
static void aios__layers_sum(aios__hp *p) {
    for (int32_t l = 0; l < p->n_layer; l++) {
        const aios__hp_layer *x = &p->layer[l];
        if (x->window > p->window) p->window = x->window;
        if (x->n_head > p->n_head) p->n_head = x->n_head;
        if (!x->n_expert) continue;
        p->n_expert = x->n_expert;
        p->n_used = x->n_used;
        p->n_ff_exp = x->n_ff_exp;
    }
}
/* What a family says where its files do not. */
static void aios__hp_start(aios__hparse *h, aios_model *m, aios_error *err) {
    aios__hp *p = &m->hp;
    memset(h, 0, sizeof *h);
    h->m = m;
    h->err = err;
    h->every.window = m->arch->window;
    p->score_cap = m->arch->score_cap;
    p->logit_cap = m->arch->logit_cap;
    p->residual_scale = p->logit_scale = p->exp_scale = 1.0f;
    p->exp_norm = (m->arch->flags & AIOS__EXP_NORM) != 0;
    p->rope[0].n_rot = p->rope[0].scaling = -1; /* all channels; by the factor */
    p->rope[1].base = m->arch->window_base;
}
AIOSK__STRICT static aios_status aios__hp_load(aios_model *m, aios_error *err) {
    aios__hparse h;
    aios__hp *p = &m->hp;
    aios__rope *r = &p->rope[0];
    const aios__key *k;
    aios_status st;
    aios__hp_start(&h, m, err);
    if ((st = aios__keys_read(&h)) != 0) return st;
    if ((uint64_t)p->n_layer > (uint64_t)m->gguf.n_tensors / 2) {
        k = aios__hp_key(&h, "block_count");
        return aios__fail2(err, AIOS_ERR_MODEL, k ? k->off : AIOS__NO_OFF, m->gguf.n_tensors,
                           (uint64_t)p->n_layer, "% layers cannot be made of % tensors",
                           aios__i(p->n_layer), aios__u(m->gguf.n_tensors));
    }
    if ((st = aios__keys_by_layer(&h)) != 0) return st;
    for (int32_t l = 0; l < p->n_layer; l++)
        if ((st = aios__layer_check(&h, &p->layer[l])) != 0) return st;
    if ((st = aios__experts_check(&h)) != 0) return st;
    if (r->n_rot < 0) r->n_rot = p->layer[0].hd_k;
    if (m->arch->rope != AIOS__ROPE_NONE && r->n_rot % 2) {
        k = aios__hp_key(&h, "rope.dimension_count");
        return aios__fail2(err, AIOS_ERR_MODEL, k ? k->off : AIOS__NO_OFF, 0, (uint64_t)r->n_rot,
                           "key rope.dimension_count is %, which is odd", aios__i(r->n_rot),
                           aios__u(0));
    }
    if (!r->orig_ctx) r->orig_ctx = p->n_ctx_train;
    aios__layers_make(p, m->arch);

    if (p->embd_scale == 0)
        p->embd_scale = m->arch->flags & AIOS__EMBD_SQRT ? aiosk__sqrt((float)p->n_embd) : 1.0f;
    p->logit_scale = 1.0f / p->logit_scale;
    if (p->exp_scale == 0) p->exp_scale = 1.0f; /* as files say "none" */
    /* gemma2 27B (46 layers) scales scores by its embedding per head, not by its head size */
    for (int32_t l = 0; l < p->n_layer; l++) {
        aios__hp_layer *x = &p->layer[l];
        int32_t scale =
            m->arch->flags & AIOS__POST_NORM && p->n_layer == 46 ? p->n_embd / x->n_head : x->hd_k;
        if (x->score_scale == 0) x->score_scale = 1.0f / aiosk__sqrt((float)scale);
    }
    aios__layers_sum(p);
    return AIOS_OK;
}

AIOS__SMALL_END

/* ======== model/model.c ======== */
/* model.c: the tensors of a model by role, and what programs ask of an open one. A tensor that
 * could not be computed with is refused here by name. */

AIOS__SMALL_BEGIN
/* ---- tensors ---- */
/* A dimension of a layer's tensors, or, with l -1, of the model's own. The bounds of keys and
 * aios__layer_check keep all of them below 2^31. */
static int32_t aios__role_dim(const aios_model *m, char c, int32_t l) {
    const aios__hp_layer *p = &m->hp.layer[l < 0 ? 0 : l];
    int32_t q = p->n_head * p->hd_k, k = p->n_head_kv * p->hd_k, v = p->n_head_kv * p->hd_v;
    switch (c) {
    case 'E': return m->hp.n_embd;
    case 'W': return m->hp.n_vocab;
    case 'C': return m->hp.n_ctx_train;
    case 'R': return m->hp.rope[0].n_rot / 2;
    case 'Q': return q;
    case 'K': return k;
    case 'V': return v;
    case 'T': return q + k + v;
    case 'O': return p->n_head * p->hd_v;
    case 'F': return p->n_ff;
    /* gate and up in one */
    case 'U':
        return p->n_ff *
               (m->arch->flags & AIOS__GATED && m->layer[l][AIOS__ROLE_FFN_GATE].w < 0 ? 2 : 1);
    case 'M': return m->arch->flags & AIOS__QK_NORM_ALL ? q : p->hd_k;
    case 'N': return m->arch->flags & AIOS__QK_NORM_ALL ? k : p->hd_k;
    case 'X': return p->n_expert;
    case 'D': return p->n_ff_exp;
    case 'S': return p->n_ff_shared ? p->n_ff_shared : p->n_ff;
    default: return 1;
    }
}
static aios_status aios__shape_check(const aios_model *m, int32_t i, uint64_t in, uint64_t out,
                                     uint64_t n, aios_error *err) {
    const aios__tensor *t = &m->gguf.tensor[i];
    if (t->n[0] != in)
        return aios__fail2(err, AIOS_ERR_MODEL, t->dir_off, in, t->n[0],
                           "tensor % has rows of %, which does not fit the model", aios__s(t->name),
                           aios__u(t->n[0]));
    if (n != 1 && (t->n[2] != n || t->n[3] != 1))
        return aios__fail2(err, AIOS_ERR_MODEL, t->dir_off, n, t->n[2],
                           "tensor % has % matrices, which does not fit the model",
                           aios__s(t->name), aios__u(t->n[2]));
    if (t->n[1] != out || (n == 1 && t->n[2] * t->n[3] != 1))
        return aios__fail2(err, AIOS_ERR_MODEL, t->dir_off, out, t->n[1],
                           "tensor % has % rows, which does not fit the model", aios__s(t->name),
                           aios__u(t->n[1]));
    return AIOS_OK;
}
/* The name of a role's tensor; expert -1: of all experts, "ffn_up_exps"; else of that one alone,
 * "ffn_up.3". */
static aios__str aios__role_name(char (*buf)[96], const char *prefix, const aios__role *r,
                                 int32_t expert, const char *suffix) {
    aios__str s;
    aios__text t;
    t.p = *buf;
    t.cap = sizeof *buf;
    t.n = 0;
    aios__put_z(&t, prefix);
    aios__put(&t, r->name, strlen(r->name) - (expert < 0 ? 0 : sizeof "_exps" - 1));
    if (expert >= 0) {
        aios__put_z(&t, ".");
        aios__put_i(&t, expert);
    }
    aios__put_z(&t, suffix);
    s.p = *buf;
    s.n = t.n;
    return s;
}
/* Finds one role's tensors and counts them. prefix is "" or "blk.N.". */
static void aios__role_find(aios_model *m, const aios__role *r, const char *prefix, aios__ref *ref,
                            uint32_t *n_found) {
    for (int32_t part = 0; part < 2; part++) {
        char name[96];
        const aios__tensor *x = aios__tensor_find(
            &m->gguf, aios__role_name(&name, prefix, r, -1, part ? ".bias" : ".weight"));
        *(part ? &ref->b : &ref->w) = x ? (int32_t)(x - m->gguf.tensor) : -1;
        if (x) {
            aios__place *p = &m->place[x - m->gguf.tensor];
            (*n_found)++;
            p->experts = !part && r->kind == AIOS__IS_EXPERTS;
            p->use = (uint8_t)(part ? AIOS__IS_VECTOR : p->experts ? AIOS__IS_MATRIX : r->kind);
        }
    }
}
/* The same for a role of experts of which each has a tensor, as files of 2023 and early 2024
 * have them: all must be there, or none. Looks for the others even when the first is missing, so
 * that it is the one that is named. */
static aios_status aios__experts_find(aios_model *m, int32_t l, int32_t role, const char *prefix,
                                      uint32_t *n_found, aios_error *err) {
    char name[96];
    int32_t before = -1, none = -1; /* none: the first that is missing */
    for (int32_t e = 0; e < m->hp.layer[l].n_expert; e++) {
        const aios__tensor *x = aios__tensor_find(
            &m->gguf, aios__role_name(&name, prefix, &aios__layer_role[role], e, ".weight"));
        aios__place *p;
        if (!x && none < 0) none = e;
        if (!x) continue;
        int32_t i = (int32_t)(x - m->gguf.tensor);
        p = &m->place[i];
        p->use = AIOS__IS_MATRIX;
        p->experts = p->split = 1;
        p->expert = (uint16_t)e;
        p->section = AIOS__SECTION_FFN;
        p->layer = (int16_t)l;
        if (before < 0)
            m->layer[l][role].w = i;
        else
            m->place[before].next = i;
        before = i;
        m->n_split++;
        (*n_found)++;
    }
    if (before < 0 || none < 0) return AIOS_OK;
    return aios__fail1(
        err, AIOS_ERR_MODEL, AIOS__NO_OFF, "tensor % is missing, while there are other experts",
        aios__s(aios__role_name(&name, prefix, &aios__layer_role[role], none, ".weight")));
}
/* Of a tensor's bytes, those that a token reads: all, or what n_used experts have of them.
 * Rounded so that the tensors of all experts together have it exactly. */
static uint64_t aios__token_share(const aios_model *m, uint32_t i, uint64_t n_bytes) {
    const aios__place *p = &m->place[i];
    if (!p->experts) return n_bytes;
    uint64_t n = (uint64_t)m->hp.layer[p->layer].n_expert;
    uint64_t used = (uint64_t)m->hp.layer[p->layer].n_used;
    uint64_t rest = p->split ? n_bytes % n * used : 0;
    return n_bytes / n * used + rest * (p->expert + 1u) / n - rest * p->expert / n;
}
static aios_status aios__missing(const aios__role *r, int32_t layer, aios_error *err) {
    if (layer < 0)
        return aios__fail1(err, AIOS_ERR_MODEL, AIOS__NO_OFF, "tensor %.weight is missing",
                           aios__z(r->name));
    return aios__fail2(err, AIOS_ERR_MODEL, AIOS__NO_OFF, 0, 0, "tensor blk.%.%.weight is missing",
                       aios__i(layer), aios__z(r->name));
}
/* Is this a tensor of a layer that runs? All that is not belongs to another part (of a picture
 * or of speech in the same file, of layers that guess tokens ahead) or to a table that early
 * files carry along. */
static int32_t aios__in_layer(const aios_model *m, aios__str name) {
    static const char rot[] = ".attn_rot_embd";
    uint64_t i = 4, l = 0, n = sizeof rot - 1;
    if (name.n < 6 || memcmp(name.p, "blk.", 4) != 0) return 0;
    for (; i < name.n && name.p[i] >= '0' && name.p[i] <= '9' && l < 1 << 20; i++)
        l = 10 * l + (uint64_t)(name.p[i] - '0');
    return l < (uint64_t)m->hp.n_layer &&
           !(name.n - i >= n && memcmp(name.p + i, rot, (size_t)n) == 0);
}
/* A tensor of a layer that the family's row has no place for would be left out of the sum:
 * better refused. */
static aios_status aios__no_place(const aios_model *m, const aios__tensor *t, aios_error *err) {
    return aios__fail2(err, AIOS_ERR_UNSUPPORTED, t->dir_off, 0, 0,
                       "tensor % has no place in the family %", aios__s(t->name),
                       aios__s(m->arch_name));
}
/* Is everything there that must be, of the right shape, and nothing that has no place? layer -1
 * = the model's own roles. */
static aios_status aios__role_check(const aios_model *m, const aios__role *r, const aios__ref *ref,
                                    int32_t l, aios_error *err) {
    const aios__ref *layer = l < 0 ? NULL : m->layer[l];
    const aios__hp_layer *hp = &m->hp.layer[l < 0 ? 0 : l];
    uint64_t in = (uint64_t)aios__role_dim(m, r->in, l),
             out = (uint64_t)aios__role_dim(m, r->out, l);
    uint32_t has = m->arch->flags |
                   (layer && layer[AIOS__ROLE_ATTN_QKV].w >= 0 ? (uint32_t)AIOS__FUSED_QKV : 0);
    if (layer && hp->n_expert && layer[AIOS__ROLE_FFN_ROUTER].w >= 0)
        has |=
            (uint32_t)AIOS__ROUTED |
            (hp->n_ff_shared || layer[AIOS__ROLE_FFN_UP_SHEXP].w >= 0 ? (uint32_t)AIOS__SHARED : 0);
    int32_t place, i;
    aios_status st = AIOS_OK;
    place = (has & r->need) == r->need && !(has & r->not_with);
    if (ref->w < 0 && place && r->must) return aios__missing(r, l, err);
    for (i = ref->w; i >= 0 && !st; i = m->place[i].next) {
        const aios__tensor *t = &m->gguf.tensor[i];
        if (!place) return aios__no_place(m, t, err);
        st = aios__shape_check(
            m, i, in, out, m->place[i].experts && !m->place[i].split ? (uint64_t)hp->n_expert : 1,
            err);
        if (!st && r->kind == AIOS__IS_VECTOR &&
            aiosk_type_info((int32_t)t->type)->family != AIOSK_FLT)
            st = aios__fail2(err, AIOS_ERR_UNSUPPORTED, t->dir_off, 0, t->type,
                             "tensor % is a vector of type %; f32, f16 or bf16 is due",
                             aios__s(t->name), aios__z(aiosk_type_info((int32_t)t->type)->name));
        if (!st && aiosk_type_info((int32_t)t->type)->family == AIOSK_RAW)
            st = aios__fail2(err, AIOS_ERR_UNSUPPORTED, t->dir_off, 0, t->type,
                             "tensor % is of type %, which no matrix can have", aios__s(t->name),
                             aios__z(aiosk_type_info((int32_t)t->type)->name));
        else if (!st && !aiosk_multiplies((int32_t)t->type))
            st = aios__fail2(err, AIOS_ERR_UNSUPPORTED, t->dir_off, 0, t->type,
                             "tensor % is of type %, which this build leaves out (AIOSK_TYPES)",
                             aios__s(t->name), aios__z(aiosk_type_info((int32_t)t->type)->name));
        else if (!st && t->type != m->gguf.tensor[ref->w].type)
            st = aios__fail2(
                err, AIOS_ERR_UNSUPPORTED, t->dir_off, m->gguf.tensor[ref->w].type, t->type,
                "tensor % is not of type %, as the experts before it are, which this version "
                "cannot run",
                aios__s(t->name),
                aios__z(aiosk_type_info((int32_t)m->gguf.tensor[ref->w].type)->name));
    }
    if (!st && ref->b >= 0) {
        const aios__tensor *t = &m->gguf.tensor[ref->b];
        int32_t may = r->kind == AIOS__IS_MATRIX || (r->kind == AIOS__IS_VECTOR && r->in == 'E' &&
                                                     m->arch->norm == AIOS__NORM_LAYER);
        if (ref->w < 0)
            return aios__fail1(err, AIOS_ERR_MODEL, t->dir_off, "tensor % has no weight to go with",
                               aios__s(t->name));
        if (!may) return aios__no_place(m, t, err);
        st = aios__shape_check(m, ref->b, r->kind == AIOS__IS_VECTOR ? in : out, 1, 1, err);
        if (!st && aiosk_type_info((int32_t)t->type)->family != AIOSK_FLT)
            st = aios__fail2(err, AIOS_ERR_UNSUPPORTED, t->dir_off, 0, t->type,
                             "tensor % is a bias of type %; f32, f16 or bf16 is due",
                             aios__s(t->name), aios__z(aiosk_type_info((int32_t)t->type)->name));
    }
    return st;
}
static aios_status aios__roles_load(aios_model *m, aios_error *err) {
    uint32_t n_found = 0, n_left = 0, i;

    aios_status st = AIOS_OK;
    for (i = 0; i < m->gguf.n_tensors; i++) m->place[i].next = -1;
    for (int32_t r = 0; r < AIOS__N_MODEL_ROLES; r++)
        aios__role_find(m, &aios__model_role[r], "", &m->role[r], &n_found);
    if (m->role[AIOS__ROLE_TOKEN_EMBD].w < 0)
        return aios__missing(&aios__model_role[AIOS__ROLE_TOKEN_EMBD], -1, err);
    const aios__tensor *t = &m->gguf.tensor[m->role[AIOS__ROLE_TOKEN_EMBD].w];
    if (t->n[1] > 1 << 28)
        return aios__fail2(err, AIOS_ERR_MODEL, t->dir_off, 1 << 28, t->n[1],
                           "tensor % has % rows, more than a vocabulary can have", aios__s(t->name),
                           aios__u(t->n[1]));
    m->hp.n_vocab = (int32_t)t->n[1];
    if (aios__vocab_size(&m->vocab) && aios__vocab_size(&m->vocab) != (uint64_t)m->hp.n_vocab)
        return aios__fail2(err, AIOS_ERR_MODEL, t->dir_off, aios__vocab_size(&m->vocab), t->n[1],
                           "tensor % has % rows, another number than the tokenizer has tokens",
                           aios__s(t->name), aios__u(t->n[1]));
    for (int32_t r = 0; r < AIOS__N_MODEL_ROLES; r++)
        if ((st = aios__role_check(m, &aios__model_role[r], &m->role[r], -1, err)) != 0) return st;
    if ((m->role[AIOS__ROLE_ROPE_LONG].w < 0) != (m->role[AIOS__ROLE_ROPE_SHORT].w < 0))
        return aios__missing(
            &aios__model_role[m->role[AIOS__ROLE_ROPE_LONG].w < 0 ? AIOS__ROLE_ROPE_LONG
                                                                  : AIOS__ROLE_ROPE_SHORT],
            -1, err);
    /* tied: multiplied with too */
    if (m->role[AIOS__ROLE_OUTPUT].w < 0)
        m->place[m->role[AIOS__ROLE_TOKEN_EMBD].w].use = AIOS__IS_MATRIX;
    for (i = 0; i < m->gguf.n_tensors; i++) m->place[i].section = AIOS__SECTION_FIXED;
    m->place[m->role[m->role[AIOS__ROLE_OUTPUT].w >= 0 ? AIOS__ROLE_OUTPUT : AIOS__ROLE_TOKEN_EMBD]
                 .w]
        .section = AIOS__SECTION_OUT;

    for (int32_t l = 0; l < m->hp.n_layer; l++) {
        char prefix[24];
        aios__text x;
        x.p = prefix;
        x.cap = sizeof prefix;
        x.n = 0;
        aios__put_z(&x, "blk.");
        aios__put_i(&x, l);
        aios__put_z(&x, ".");
        for (int32_t r = 0; r < AIOS__N_LAYER_ROLES; r++)
            aios__role_find(m, &aios__layer_role[r], prefix, &m->layer[l][r], &n_found);
        for (int32_t r = AIOS__ROLE_FFN_GATE_EXPS;
             r <= AIOS__ROLE_FFN_DOWN_EXPS && m->hp.layer[l].n_expert &&
             m->layer[l][AIOS__ROLE_FFN_ROUTER].w >= 0;
             r++)
            if (m->layer[l][r].w < 0 &&
                (st = aios__experts_find(m, l, r, prefix, &n_found, err)) != 0)
                return st;
        for (int32_t r = 0; r < AIOS__N_LAYER_ROLES; r++) {
            if ((st = aios__role_check(m, &aios__layer_role[r], &m->layer[l][r], l, err)) != 0)
                return st;
            if (m->layer[l][r].w < 0 || aios__layer_role[r].kind == AIOS__IS_VECTOR) continue;
            /* a router is small, and everything waits for it */
            m->place[m->layer[l][r].w].section =
                r == AIOS__ROLE_FFN_ROUTER || r == AIOS__ROLE_FFN_SHARED ? AIOS__SECTION_FIXED
                : r < AIOS__ROLE_FFN_NORM                                ? AIOS__SECTION_ATTN
                                                                         : AIOS__SECTION_FFN;
            m->place[m->layer[l][r].w].layer = (int16_t)l;
        }
    }
    for (i = 0, t = NULL; n_found != m->gguf.n_tensors && i < m->gguf.n_tensors; i++) {
        if (m->place[i].use) continue;
        if (aios__in_layer(m, m->gguf.tensor[i].name))
            return aios__no_place(m, &m->gguf.tensor[i], err);
        t = &m->gguf.tensor[i];
        n_left++;
    }
    if (t)
        aios__note2(&m->log, "% tensors are no part of the model and are left alone, % among them",
                    aios__u(n_left), aios__s(t->name));
    return AIOS_OK;
}

/* ---- what the model is ---- */
AIOS_API aios_status aios_model_get_info(const aios_model *m, aios_model_info *out) {
    aios_model_info i;
    const aios__hp_layer *first = m && m->hp.n_layer ? m->hp.layer : NULL;
    if (!m) return AIOS_ERR_ARG;
    memset(&i, 0, sizeof i);
    i.arch = m->arch_z;
    i.n_params = m->gguf.n_params;
    i.tensor_bytes = m->gguf.tensor_bytes;
    i.header_bytes = m->gguf.header_bytes;
    i.n_tensors = m->gguf.n_tensors;
    i.n_keys = m->gguf.n_keys;
    i.gguf_version = (int32_t)m->gguf.version;
    i.n_layer = m->hp.n_layer;
    i.n_embd = m->hp.n_embd;
    if (first) {
        i.n_head = first->n_head;
        i.n_head_kv = first->n_head_kv;
        i.head_dim_k = first->hd_k;
        i.head_dim_v = first->hd_v;
        i.n_ff = first->n_ff;
        i.n_expert = first->n_expert;
        i.n_expert_used = first->n_used;
    }
    i.n_vocab = m->hp.n_vocab;
    i.n_ctx_train = m->hp.n_ctx_train;
    aios__vocab_info(&m->vocab, &i);
    return aios__desc_fill(AIOS__ID_aios_model_info, out, &i);
}
AIOS_API aios_status aios_model_get_tensor(const aios_model *m, uint32_t i, aios_tensor_info *out) {
    aios_tensor_info x;
    if (!m || i >= m->gguf.n_tensors) return AIOS_ERR_ARG;
    const aios__tensor *t = &m->gguf.tensor[i];
    memset(&x, 0, sizeof x);
    x.type = t->type;
    memcpy(x.name, t->name.p, (size_t)aios__min_u64(t->name.n, sizeof x.name - 1));
    memcpy(x.n, t->n, sizeof x.n);
    x.file_offset = t->off;
    x.n_bytes = t->n_bytes;
    x.n_dims = t->n_dims;
    x.part = t->part;
    return aios__desc_fill(AIOS__ID_aios_tensor_info, out, &x);
}

static void aios__put_item(aios__text *t, const aios__key *k, uint64_t i, const uint8_t **next) {
    uint64_t u;
    double f;
    if (k->type == AIOS__STR) {
        aios__str s = aios__key_next_str(next);
        aios__put(t, s.p, s.n);
    } else if (k->type == AIOS__F32 || k->type == AIOS__F64) {
        if (aios__key_item_f64(k, i, &f)) aios__put_f(t, f);
    } else if (k->type == AIOS__BOOL)
        aios__put_z(t, k->p[i] ? "true" : "false");
    else if (aios__key_item_u64(k, i, &u))
        aios__put_u(t, u);
    else if (aios__key_item_f64(k, i, &f))
        aios__put_f(t, f); /* negative whole numbers */
}
AIOS_API aios_status aios_model_get_key(const aios_model *m, uint32_t i, char *name,
                                        uint64_t name_bytes, char *type, uint64_t type_bytes,
                                        char *value, uint64_t value_bytes) {
    static const char *const types[] = { "u8",   "i8",  "u16", "i16", "u32", "i32", "f32",
                                         "bool", "str", "arr", "u64", "i64", "f64" };

    aios__text t;
    if (!m || i >= m->gguf.n_keys || !name || !type || !value || !name_bytes || !type_bytes ||
        !value_bytes)
        return AIOS_ERR_ARG;
    const aios__key *k = &m->gguf.key[i];
    const uint8_t *next = k->p;
    t.p = name;
    t.cap = name_bytes;
    t.n = 0;
    name[0] = 0;
    aios__put(&t, k->name.p, k->name.n);
    t.p = type;
    t.cap = type_bytes;
    t.n = 0;
    if (k->is_array) aios__put_z(&t, "arr[");
    aios__put_z(&t, types[k->type]);
    if (k->is_array) aios__put_z(&t, "]");
    t.p = value;
    t.cap = value_bytes;
    t.n = 0;
    value[0] = 0;
    if (k->is_array) {
        aios__put_u(&t, k->n);
        aios__put_z(&t, " items: ");
    }
    if (k->type == AIOS__ARR) return aios__put_z(&t, "arrays"), AIOS_OK;
    for (uint64_t j = 0; j < k->n && j < 8; j++) {
        if (j) aios__put_z(&t, ", ");
        aios__put_item(&t, k, j, &next);
    }
    if (k->n > 8) aios__put_z(&t, ", ...");
    return AIOS_OK;
}

/* ---- keys for programs ---- */
static const aios__key *aios__key_at(const aios_model *m, int64_t key) {
    return m && key >= 0 && key < (int64_t)m->gguf.n_keys ? &m->gguf.key[key] : NULL;
}
AIOS_API int64_t aios_key_find(const aios_model *m, const char *name) {
    const aios__key *k = m && name ? aios__key_find(&m->gguf, name) : NULL;
    return k ? k - m->gguf.key : -1;
}
AIOS_API aios_status aios_key_get(const aios_model *m, int64_t key, aios_key_info *out) {
    const aios__key *k = aios__key_at(m, key);
    aios_key_info x;
    if (!k) return AIOS_ERR_ARG;
    memset(&x, 0, sizeof x);
    x.type = k->is_array ? (uint32_t)AIOS_KEY_ARR : k->type;
    x.item_type = k->type;
    x.n_items = k->n;
    x.name = k->name.p;
    x.name_bytes = (uint32_t)k->name.n;
    x.data = k->p;
    x.n_bytes = k->n_bytes;
    return aios__desc_fill(AIOS__ID_aios_key_info, out, &x);
}
/* One getter: what it reads, or why it does not. */
#define AIOS__KEY_GET(what, T)                                                            \
    AIOS_API aios_status aios_key_##what(const aios_model *m, int64_t key, uint64_t item, \
                                         T *out) {                                        \
        const aios__key *k = aios__key_at(m, key);                                        \
        if (!k || !out || item >= k->n) return AIOS_ERR_ARG;                              \
        return aios__key_item_##what(k, item, out) ? AIOS_OK : AIOS_ERR_MODEL;            \
    }
AIOS__KEY_GET(u64, uint64_t)
AIOS__KEY_GET(i64, int64_t)
AIOS__KEY_GET(f64, double)
AIOS__KEY_GET(bool, int32_t)
#undef AIOS__KEY_GET
AIOS_API int32_t aios_key_next_str(const aios_model *m, int64_t key, uint64_t *at,
                                   const char **text, uint64_t *n_bytes) {
    const aios__key *k = aios__key_at(m, key);

    uint64_t n;
    if (!k || !at || !text || !n_bytes) return AIOS_ERR_ARG;
    if (k->type != AIOS__STR) return AIOS_ERR_MODEL;
    if (*at == k->n_bytes) return 0;
    /* not a place that we gave */
    if (*at > k->n_bytes || k->n_bytes - *at < 8) return AIOS_ERR_ARG;
    const uint8_t *p = k->p + *at;
    memcpy(&n, p, 8);
    if (n > k->n_bytes - *at - 8) return AIOS_ERR_ARG;
    aios__str s = aios__key_next_str(&p);
    *text = s.p;
    *n_bytes = s.n;
    *at += 8 + n;
    return 1;
}
AIOS_API aios_status aios_key_str(const aios_model *m, int64_t key, uint64_t item,
                                  const char **text, uint64_t *n_bytes) {
    const aios__key *k = aios__key_at(m, key);
    const uint8_t *p;
    aios__str s;
    if (!k || !text || !n_bytes || item >= k->n) return AIOS_ERR_ARG;
    if (k->type != AIOS__STR) return AIOS_ERR_MODEL;
    for (p = k->p, s = aios__key_next_str(&p); item > 0; item--) s = aios__key_next_str(&p);
    *text = s.p;
    *n_bytes = s.n;
    return AIOS_OK;
}
AIOS_API int32_t aios_token_find(const aios_model *m, const char *text, uint64_t n_bytes) {
    return m && text ? aios__token_find_any(&m->vocab, text, n_bytes) : -1;
}

AIOS__SMALL_END
/* ---- the vocabulary's public face ---- */
AIOS_API int64_t aios_tokenize(const aios_model *m, const char *text, uint64_t n_text,
                               uint32_t flags, int32_t *ids, uint64_t max_ids, aios_error *err) {
    if (!m || (!text && n_text) || (!ids && max_ids))
        return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF, "aios_tokenize: an argument is NULL");
    aios__clear(err);
    return aios__tokenize(&m->vocab, text, n_text, flags, ids, max_ids, err);
}
AIOS_API int64_t aios_detokenize(const aios_model *m, aios_detok *st, int32_t id, char *out,
                                 uint64_t cap) {
    if (!m || (!out && cap)) return AIOS_ERR_ARG;
    return aios__detokenize(&m->vocab, st, id, out, cap);
}
AIOS_API const char *aios_token_text(const aios_model *m, int32_t id, uint64_t *n_bytes) {
    return m && n_bytes ? aios__token_text(&m->vocab, id, n_bytes) : NULL;
}
AIOS_API int32_t aios_token_is_end(const aios_model *m, int32_t id) {
    return m ? aios__token_is_end(&m->vocab, id) : 0;
}

AIOS__SMALL_BEGIN

/* ======== model/graph.c ======== */
/* graph.c: draws the graph of a model (graph.h) from its roles and hyper-parameters. The layers
 * of a family are written here as its paper writes them, in the verbs of the first half: a verb
 * adds a node and gives the value that it makes. Nothing here knows buffers, bytes, tasks or
 * plans.
 *
 * A family with another wiring is another function beside aios__layer_draw, or a case in it. */

typedef struct aios__drawing {
    const aios_model *m;
    aios__graph *g;
    int32_t x; /* the residual: what goes from layer to layer */
    int32_t cache, angles[AIOS__MAX_ROPES];
    int32_t full; /* the room for values or nodes was not enough */
} aios__drawing;

/* ---- values ---- */
static int32_t aios__rows_of(aios__drawing *d, int32_t rows, int32_t width) {
    if (d->g->n_values == d->g->max_values) {
        d->full = 1;
        return 0;
    }
    aios__value *v = &d->g->value[d->g->n_values];
    memset(v, 0, sizeof *v);
    v->rows = (uint8_t)rows;
    v->width = width;
    v->base = -1;
    return (int32_t)d->g->n_values++;
}
/* Channels at .. at + width - 1 of a value. */
static int32_t aios__view(aios__drawing *d, int32_t base, int32_t at, int32_t width) {
    int32_t v = aios__rows_of(d, d->g->value[base].rows, width);
    if (d->g->value[base].base >= 0) {
        at += d->g->value[base].at;
        base = d->g->value[base].base;
    }
    d->g->value[v].base = (int16_t)base;
    d->g->value[v].at = at;
    return v;
}

/* ---- nodes ---- */
static aios__node *aios__node_add(aios__drawing *d, int32_t kind, const char *name, int32_t layer) {
    /* the last of all is written again and again when there is no room for more */
    if (d->g->n_nodes == d->g->max_nodes) {
        d->full = 1;
        d->g->n_nodes--;
    }
    aios__node *n = &d->g->node[d->g->n_nodes++];
    memset(n, 0, sizeof *n);
    n->kind = (uint8_t)kind;
    n->name = name;
    n->layer = (int16_t)layer;
    n->scale = 1.0f;
    for (int32_t i = 0; i < AIOS__MAX_IN; i++) n->in[i] = -1;
    for (int32_t i = 0; i < AIOS__MAX_OUT; i++) n->out[i] = -1;
    n->w.w = n->w.b = -1;
    return n;
}
static void aios__reads(aios__node *n, int32_t i, int32_t v) { n->in[i] = (int16_t)v; }
static int32_t aios__writes(aios__node *n, int32_t i, int32_t v) { return n->out[i] = (int16_t)v; }
/* y = w x + bias, into a value that is there (y) or a new one (-1). */
static int32_t aios__project(aios__drawing *d, const char *name, int32_t layer, aios__ref w,
                             int32_t x, int32_t y) {
    aios__node *n = aios__node_add(d, AIOS__NODE_MATRIX, name, layer);
    if (y < 0) y = aios__rows_of(d, d->g->value[x].rows, (int32_t)d->m->gguf.tensor[w.w].n[1]);
    aios__reads(n, 0, x);
    aios__writes(n, 0, y);
    n->w = w;
    return y;
}
/* The same, added to what y holds. */
static void aios__project_add(aios__drawing *d, const char *name, int32_t layer, aios__ref w,
                              int32_t x, int32_t y) {
    aios__node *n = aios__node_add(d, AIOS__NODE_MATRIX, name, layer);
    aios__reads(n, 0, x);
    aios__reads(n, 1, y);
    aios__writes(n, 0, y);
    n->w = w;
}
/* rows: AIOS__OF_TOKENS, or AIOS__OF_OUTPUTS: of those tokens alone. */
static int32_t aios__norm(aios__drawing *d, const char *name, int32_t layer, aios__ref w, int32_t x,
                          int32_t rows) {
    aios__node *n = aios__node_add(d, AIOS__NODE_NORM, name, layer);
    aios__reads(n, 0, x);
    aios__writes(n, 0, aios__rows_of(d, rows, d->g->value[x].width));
    n->w = w;
    return n->out[0];
}
static void aios__norm_add(aios__drawing *d, const char *name, int32_t layer, aios__ref w,
                           int32_t x, int32_t y) {
    aios__node *n = aios__node_add(d, AIOS__NODE_NORM, name, layer);
    aios__reads(n, 0, x);
    aios__reads(n, 1, y);
    aios__writes(n, 0, y);
    n->w = w;
}
/* x, scaled in place, added to y. */
static void aios__add_scaled(aios__drawing *d, const char *name, int32_t layer, float scale,
                             int32_t x, int32_t y) {
    aios__node *n = aios__node_add(d, AIOS__NODE_ADD, name, layer);
    aios__reads(n, 0, x);
    aios__writes(n, 0, x);
    aios__reads(n, 1, y);
    aios__writes(n, 1, y);
    n->scale = scale;
}
static void aios__in_place(aios__drawing *d, int32_t kind, const char *name, float scale,
                           int32_t x) {
    aios__node *n = aios__node_add(d, kind, name, -1);
    aios__reads(n, 0, x);
    aios__writes(n, 0, x);
    n->scale = scale;
}
/* A row of a table for each token; with add, added to what y holds. */
static void aios__lookup(aios__drawing *d, const char *name, int32_t role, float scale, int32_t add,
                         int32_t y) {
    aios__node *n = aios__node_add(d, AIOS__NODE_TABLE, name, -1);
    if (add) aios__reads(n, 0, y);
    aios__writes(n, 0, y);
    n->w = d->m->role[role];
    n->scale = scale;
    n->which = (uint8_t)(role == AIOS__ROLE_POS_EMBD ? AIOS__POS_TABLE : AIOS__EMBD_TABLE);
}
static int32_t aios__angles(aios__drawing *d, int32_t rope) {
    aios__node *n = aios__node_add(d, AIOS__NODE_ANGLES, "angles", -1);
    n->which = (uint8_t)rope;
    return aios__writes(n, 0, aios__rows_of(d, AIOS__OF_TOKENS, d->m->hp.rope[rope].n_rot));
}
/* act(gate) * up, where there is an up, in the place of gate. */
static int32_t aios__activate(aios__drawing *d, const char *name, int32_t layer, int32_t gate,
                              int32_t up) {
    aios__node *n = aios__node_add(d, AIOS__NODE_ACT, name, layer);
    aios__reads(n, 0, gate);
    aios__reads(n, 1, up);
    return aios__writes(n, 0, aios__view(d, gate, 0, d->g->value[gate].width));
}
/* Norms and turns queries and keys, and puts keys and values into the cache; what fills a tile
 * there is coded. */
static void aios__heads(aios__drawing *d, int32_t l, int32_t qkv) {
    int32_t rope = d->m->hp.layer[l].rope;
    aios__node *n = aios__node_add(d, AIOS__NODE_HEADS, "heads", l);
    aios__reads(n, 0, qkv);
    aios__writes(n, 0, qkv);
    aios__reads(n, 1, rope >= 0 ? d->angles[rope] : -1);
    aios__writes(n, 1, d->cache);
    n = aios__node_add(d, AIOS__NODE_SEAL, "seal", l);
    aios__reads(n, 0, d->cache);
    aios__writes(n, 0, d->cache);
}
static int32_t aios__attend(aios__drawing *d, int32_t l, int32_t qkv) {
    const aios__hp_layer *h = &d->m->hp.layer[l];
    int32_t made[4];
    aios__node *n = aios__node_add(d, AIOS__NODE_ATTEND, "attend", l);
    made[0] = aios__rows_of(d, AIOS__OF_TOKENS, h->n_head * h->hd_v);
    /* maximum and sum; results, with a maximum and a sum; sums of tiles, and their maxima */
    made[1] = aios__rows_of(d, AIOS__OF_TOKENS, 2 * h->n_head);
    made[2] = aios__rows_of(d, AIOS__OF_PARTIALS, h->n_head * ((h->hd_v + 15) / 16 * 16 + 2));
    made[3] = h->window ? -1 : aios__rows_of(d, AIOS__OF_MASSES, 2 * h->n_head);
    aios__reads(n, 0, qkv);
    aios__reads(n, 1, d->cache);
    for (int32_t i = 0; i < 4; i++) aios__writes(n, i, made[i]);
    n = aios__node_add(d, AIOS__NODE_ATTEND_END, "attend_end", l);
    for (int32_t i = 0; i < 4; i++) aios__reads(n, i, made[i]);
    aios__writes(n, 0, made[0]);
    return made[0];
}
/* The lists of a layer with experts: which experts each token goes to, in the order in which
 * they are worked on. */
static int32_t aios__route(aios__drawing *d, int32_t l, int32_t logits) {
    aios__node *n = aios__node_add(d, AIOS__NODE_ROUTE, "route", l);
    aios__reads(n, 0, logits);
    aios__writes(n, 0, logits);
    return aios__writes(n, 1, aios__rows_of(d, AIOS__OF_NOTHING, 0));
}
static void aios__group(aios__drawing *d, int32_t l, int32_t lists) {
    aios__node *n = aios__node_add(d, AIOS__NODE_GROUP, "group", l);
    aios__reads(n, 0, lists);
    aios__writes(n, 0, lists);
}
/* Each pair's input beside those of the same expert. */
static int32_t aios__gather(aios__drawing *d, int32_t l, int32_t lists, int32_t x) {
    aios__node *n = aios__node_add(d, AIOS__NODE_GATHER, "gather", l);
    aios__reads(n, 0, x);
    aios__reads(n, 1, lists);
    return aios__writes(n, 0, aios__rows_of(d, AIOS__OF_PAIRS, d->g->value[x].width));
}
/* One matrix of every expert, times the columns of its pairs. alone: what the pairs of a pass of
 * one token read, -1 = their own columns all the same. */
static int32_t aios__experts(aios__drawing *d, const char *name, int32_t l, int32_t role,
                             int32_t lists, int32_t pairs, int32_t alone, int32_t y) {
    aios__node *n = aios__node_add(d, AIOS__NODE_EXPERTS, name, l);
    n->w = d->m->layer[l][role];
    n->which = (uint8_t)(role == AIOS__ROLE_FFN_GATE_EXPS ? AIOS__EXPERT_GATE
                         : role == AIOS__ROLE_FFN_UP_EXPS ? AIOS__EXPERT_UP
                                                          : AIOS__EXPERT_DOWN);
    if (y < 0) y = aios__rows_of(d, AIOS__OF_PAIRS, (int32_t)d->m->gguf.tensor[n->w.w].n[1]);
    aios__reads(n, 0, pairs);
    aios__reads(n, 1, lists);
    aios__reads(n, 2, alone);
    aios__writes(n, 0, y);
    return y;
}
/* What a token's experts gave, by their weights, and the shared one's, into the residual. */
static void aios__combine(aios__drawing *d, int32_t l, int32_t lists, int32_t logits, int32_t y,
                          int32_t shared) {
    aios__node *n = aios__node_add(d, AIOS__NODE_COMBINE, "combine", l);
    aios__reads(n, 0, y);
    aios__reads(n, 1, logits);
    aios__reads(n, 2, lists);
    aios__reads(n, 3, d->x);
    aios__writes(n, 0, d->x);
    aios__reads(n, 4, shared);
    n->which = d->m->layer[l][AIOS__ROLE_FFN_SHARED].w >= 0; /* the shared one has a gate */
    n->scale = d->m->hp.residual_scale;
}

/* ---- layers ---- */
/* What attention gives before its output matrix. */
static int32_t aios__attention_draw(aios__drawing *d, int32_t l, int32_t x) {
    const aios__hp_layer *h = &d->m->hp.layer[l];
    const aios__ref *r = d->m->layer[l];
    int32_t q = h->n_head * h->hd_k, k = h->n_head_kv * h->hd_k, v = h->n_head_kv * h->hd_v;
    int32_t qkv = aios__rows_of(d, AIOS__OF_TOKENS, q + k + v);
    if (r[AIOS__ROLE_ATTN_QKV].w >= 0)
        aios__project(d, "qkv", l, r[AIOS__ROLE_ATTN_QKV], x, qkv);
    else {
        aios__project(d, "q", l, r[AIOS__ROLE_ATTN_Q], x, aios__view(d, qkv, 0, q));
        aios__project(d, "k", l, r[AIOS__ROLE_ATTN_K], x, aios__view(d, qkv, q, k));
        aios__project(d, "v", l, r[AIOS__ROLE_ATTN_V], x, aios__view(d, qkv, q + k, v));
    }
    aios__heads(d, l, qkv);
    return aios__attend(d, l, qkv);
}
/* What a feed-forward gives before its last matrix. gate: w -1 = up has both, or there is none. */
static int32_t aios__ffn_draw(aios__drawing *d, int32_t l, int32_t x) {
    const aios__ref *r = d->m->layer[l];
    int32_t gated = (d->m->arch->flags & AIOS__GATED) != 0, n = d->m->hp.layer[l].n_ff;
    int32_t y = aios__rows_of(d, AIOS__OF_TOKENS, gated ? 2 * n : n);
    int32_t gate = gated ? aios__view(d, y, 0, n) : y, up = gated ? aios__view(d, y, n, n) : -1;
    if (r[AIOS__ROLE_FFN_GATE].w >= 0) {
        aios__project(d, "gate", l, r[AIOS__ROLE_FFN_GATE], x, gate);
        aios__project(d, "up", l, r[AIOS__ROLE_FFN_UP], x, up);
    } else
        aios__project(d, "up", l, r[AIOS__ROLE_FFN_UP], x, y);
    return aios__activate(d, "act", l, gate, up);
}
/* The end of a sub-layer: its last matrix, then a norm or a scale where the family has one, into
 * the residual. */
static void aios__sublayer_end(aios__drawing *d, int32_t l, const char *name, int32_t w,
                               const char *norm_name, int32_t norm, const char *add_name,
                               int32_t x) {
    const aios__ref *r = d->m->layer[l];
    float scale = d->m->hp.residual_scale;
    if (r[norm].w >= 0)
        aios__norm_add(d, norm_name, l, r[norm], aios__project(d, name, l, r[w], x, -1), d->x);
    else if (scale != 1.0f)
        aios__add_scaled(d, add_name, l, scale, aios__project(d, name, l, r[w], x, -1), d->x);
    else
        aios__project_add(d, name, l, r[w], x, d->x);
}
/* A feed-forward of experts. The shared one, where there is one, runs beside the others. */
static void aios__moe_draw(aios__drawing *d, int32_t l, int32_t x) {
    const aios__hp_layer *h = &d->m->hp.layer[l];
    const aios__ref *r = d->m->layer[l];
    int32_t shared = -1, n = h->n_ff_shared ? h->n_ff_shared : h->n_ff, y, gate = -1, up = -1;
    int32_t logits =
        aios__rows_of(d, AIOS__OF_TOKENS, (int32_t)aios__round_up((uint64_t)h->n_expert + 1, 16));
    aios__project(d, "router", l, r[AIOS__ROLE_FFN_ROUTER], x,
                  aios__view(d, logits, 0, h->n_expert));
    if (r[AIOS__ROLE_FFN_SHARED].w >= 0)
        aios__project(d, "shared_weight", l, r[AIOS__ROLE_FFN_SHARED], x,
                      aios__view(d, logits, h->n_expert, 1));
    if (r[AIOS__ROLE_FFN_UP_SHEXP].w >= 0) {
        y = aios__rows_of(d, AIOS__OF_TOKENS, 2 * n);
        gate = aios__project(d, "shared_gate", l, r[AIOS__ROLE_FFN_GATE_SHEXP], x,
                             aios__view(d, y, 0, n));
        up =
            aios__project(d, "shared_up", l, r[AIOS__ROLE_FFN_UP_SHEXP], x, aios__view(d, y, n, n));
    }
    int32_t lists = aios__route(d, l, logits);
    if (r[AIOS__ROLE_FFN_UP_SHEXP].w >= 0) shared = aios__activate(d, "shared_act", l, gate, up);
    aios__group(d, l, lists);
    if (shared >= 0)
        shared = aios__project(d, "shared_down", l, r[AIOS__ROLE_FFN_DOWN_SHEXP], shared, -1);
    int32_t pairs = aios__gather(d, l, lists, x);
    n = h->n_ff_exp;
    y = aios__rows_of(d, AIOS__OF_PAIRS, 2 * n);
    gate = aios__experts(d, "experts_gate", l, AIOS__ROLE_FFN_GATE_EXPS, lists, pairs, x,
                         aios__view(d, y, 0, n));
    up = aios__experts(d, "experts_up", l, AIOS__ROLE_FFN_UP_EXPS, lists, pairs, x,
                       aios__view(d, y, n, n));
    y = aios__activate(d, "experts_act", l, gate, up);
    y = aios__experts(d, "experts_down", l, AIOS__ROLE_FFN_DOWN_EXPS, lists, y, -1, -1);
    aios__combine(d, l, lists, logits, y, shared);
}
static void aios__layer_draw(aios__drawing *d, int32_t l) {
    const aios__ref *r = d->m->layer[l];
    int32_t n, two, y;
    if (d->m->arch->flags & AIOS__PARALLEL) { /* both read what goes into the layer */
        n = two = aios__norm(d, "norm", l, r[AIOS__ROLE_ATTN_NORM], d->x, AIOS__OF_TOKENS);
        if (r[AIOS__ROLE_ATTN_NORM_2].w >= 0)
            two = aios__norm(d, "norm_2", l, r[AIOS__ROLE_ATTN_NORM_2], d->x, AIOS__OF_TOKENS);
        y = aios__attention_draw(d, l, two);
    } else {
        n = aios__norm(d, "attn_norm", l, r[AIOS__ROLE_ATTN_NORM], d->x, AIOS__OF_TOKENS);
        y = aios__attention_draw(d, l, n);
    }
    aios__sublayer_end(d, l, "attn_out", AIOS__ROLE_ATTN_OUT, "post_attn",
                       AIOS__ROLE_POST_ATTN_NORM, "attn_add", y);
    if (!(d->m->arch->flags & AIOS__PARALLEL))
        n = aios__norm(d, "ffn_norm", l, r[AIOS__ROLE_FFN_NORM], d->x, AIOS__OF_TOKENS);
    if (r[AIOS__ROLE_FFN_ROUTER].w >= 0)
        aios__moe_draw(d, l, n);
    else
        aios__sublayer_end(d, l, "down", AIOS__ROLE_FFN_DOWN, "post_ffn", AIOS__ROLE_POST_FFN_NORM,
                           "ffn_add", aios__ffn_draw(d, l, n));
}
static void aios__model_draw(aios__drawing *d) {
    const aios_model *m = d->m;
    const aios__hp *hp = &m->hp;
    aios__ref head = m->role[AIOS__ROLE_OUTPUT].w >= 0 ? m->role[AIOS__ROLE_OUTPUT]
                                                       : m->role[AIOS__ROLE_TOKEN_EMBD];
    d->cache = aios__rows_of(d, AIOS__OF_NOTHING, 0);
    aios__writes(aios__node_add(d, AIOS__NODE_COPY, "copy", -1), 0, d->cache);
    d->x = aios__rows_of(d, AIOS__OF_TOKENS, hp->n_embd);
    aios__lookup(d, "embed", AIOS__ROLE_TOKEN_EMBD, hp->embd_scale, 0, d->x);
    for (int32_t i = 0; i < hp->n_ropes; i++) d->angles[i] = aios__angles(d, i);
    if (m->arch->flags & AIOS__POS_EMBD)
        aios__lookup(d, "positions", AIOS__ROLE_POS_EMBD, 1.0f, 1, d->x);
    for (int32_t i = 0; i < hp->n_layer; i++) aios__layer_draw(d, i);
    d->g->embedding =
        aios__norm(d, "output_norm", -1, m->role[AIOS__ROLE_OUTPUT_NORM], d->x, AIOS__OF_OUTPUTS);
    d->g->logits = aios__project(d, "output", -1, head, d->g->embedding, -1);
    if (hp->logit_scale != 1.0f)
        aios__in_place(d, AIOS__NODE_SCALE, "logit_scale", hp->logit_scale, d->g->logits);
    if (hp->logit_cap != 0) aios__in_place(d, AIOS__NODE_CAP, "cap", hp->logit_cap, d->g->logits);
}

/* ---- who reads what, and how long it lives ---- */
static void aios__graph_touch(aios__graph *g, int32_t v, uint32_t node) {
    if (v < 0) return;
    g->value[v].last = (int16_t)node;
    if (g->value[v].base >= 0) g->value[g->value[v].base].last = (int16_t)node;
}
static void aios__graph_reads(const aios_model *m, aios__graph *g, const aios__node *n) {
    const uint8_t flt = 1u << AIOSK_FLT;
    uint8_t form = flt;
    if (n->kind == AIOS__NODE_MATRIX || n->kind == AIOS__NODE_EXPERTS)
        form = (uint8_t)(1u << aiosk_type_info((int32_t)m->gguf.tensor[n->w.w].type)->family);
    if (n->kind == AIOS__NODE_GATHER) form = g->value[n->out[0]].forms;
    for (int32_t i = 0; i < AIOS__MAX_IN; i++)
        if (n->in[i] >= 0)
            g->value[n->in[i]].forms |=
                i == 0 || (i == 2 && n->kind == AIOS__NODE_EXPERTS) ? form : flt;
}
/* What the ops of experts touch lives until the last of them: they may run again for others. */
static void aios__graph_hold(aios__graph *g, uint32_t last) {
    for (uint32_t i = last; g->node[i].layer == g->node[last].layer; i--) {
        const aios__node *n = &g->node[i];
        if (n->kind == AIOS__NODE_GATHER) return;
        for (uint32_t k = 0; k < AIOS__MAX_IN; k++) aios__graph_touch(g, n->in[k], last);
        for (uint32_t k = 0; k < AIOS__MAX_OUT; k++) aios__graph_touch(g, n->out[k], last);
    }
}
/* m's roles and hyper-parameters are known; the arrays of its graph have their room. */
static aios_status aios__graph_draw(aios_model *m, aios_error *err) {
    aios__graph *g = &m->graph;
    aios__drawing d;
    memset(&d, 0, sizeof d);
    d.m = m;
    d.g = g;
    g->n_values = g->n_nodes = 0;
    aios__model_draw(&d);
    if (d.full)
        return aios__fail2(err, AIOS_ERR_LIMIT, AIOS__NO_OFF, g->max_nodes, m->gguf.n_tensors,
                           "the model needs more than the % ops that there is room for with % "
                           "tensors",
                           aios__u(g->max_nodes), aios__u(m->gguf.n_tensors));
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        const aios__node *n = &g->node[i];
        for (uint32_t k = 0; k < AIOS__MAX_IN; k++) aios__graph_touch(g, n->in[k], i);
        for (uint32_t k = 0; k < AIOS__MAX_OUT; k++) aios__graph_touch(g, n->out[k], i);
        if (n->kind == AIOS__NODE_EXPERTS && n->which == AIOS__EXPERT_DOWN) aios__graph_hold(g, i);
    }
    for (uint32_t i = g->n_nodes; i-- > 0;) aios__graph_reads(m, g, &g->node[i]);
    aios__graph_touch(g, g->logits, g->n_nodes);
    aios__graph_touch(g, g->embedding, g->n_nodes);
    g->value[g->embedding].forms |= 1u << AIOSK_FLT;
    return AIOS_OK;
}

/* ======== model/artifact.c ======== */
/* artifact.c: a file beside the model that holds its matrices as kernels want them, so that a
 * second start reads a header, maps, and runs. Written once (aios_artifact_write), bound to one
 * model, checked by block. Little-endian, all offsets from its start:
 *
 *     0      header of 4096 bytes   aios__art_header, zeros behind; its checksum covers all of it
 *                                   but the checksum itself
 *     4096   tensors                aios__art_tensor [n_tensors], in the order of the model's
 *                                   directory; n_bytes 0: not here
 *            blocks                 aios__art_block [n_blocks], as they lie in the file: the order
 *                                   of frequency, and of use in a pass and of prefetching among
 *                                   equals: what every token reads, experts that some tokens read,
 *                                   tables of which one reads a row
 *            manifest               JSON: the same for people and other programs. "tensors" has
 *                                   each tensor's place and blocks; "layout" says of the same
 *                                   tensors what the AIOS model contract 1.0 (R5) asks for, under
 *                                   its names: block_id (the tensor's name), access_frequency high,
 *                                   medium or low, rws_tier HOT, WARM or STREAM, offset_bytes,
 *                                   size_bytes
 *     data   tensors, each at a multiple of 4096: matrices as PANELS where their type has them,
 *            tables and the rest as ROWS
 *
 * Blocks are whole panels (or rows) of one tensor, block_bytes at the most if a panel is no
 * larger. */

enum { AIOS__ART_PAGE = 4096, AIOS__ART_VERSION = 1 };
#define AIOS__ART_MAGIC "AIOSPK01"

typedef struct aios__art_header {
    char magic[8];
    uint32_t version, n_tensors, n_blocks, block_bytes;
    uint64_t model_hash, model_probe; /* of the model's header; of some bytes of all its tensors */
    uint64_t file_bytes, tensors_off, blocks_off, manifest_off, manifest_bytes, data_off;
    uint64_t tensors_sum, blocks_sum; /* checksums of the tables */
    uint64_t sum;                     /* of everything above */
} aios__art_header;
typedef struct aios__art_tensor {
    uint64_t off, n_bytes;
    uint32_t type, layout, first_block, n_blocks;
} aios__art_tensor;
typedef struct aios__art_block {
    uint64_t off, sum;
    uint32_t n_bytes, tensor, row0, n_rows;
} aios__art_block;

/* Eight bytes at a time: x = (x ^ word) * odd, turned; a changed bit changes the sum.
 * Little-endian machines alone run this library. */
static uint64_t aios__art_sum(uint64_t h, const void *p, uint64_t n) {
    const char *b = (const char *)p;
    uint64_t w;
    for (; n >= 8; n -= 8, b += 8) {
        memcpy(&w, b, 8);
        h = (h ^ w) * 0x9E3779B97F4A7C15u;
        h = h << 29 | h >> 35;
    }
    if (n) {
        w = 0;
        memcpy(&w, b, (size_t)n);
        h = (h ^ w ^ n << 56) * 0x9E3779B97F4A7C15u;
        h = h << 29 | h >> 35;
    }
    return h;
}
enum { AIOS__ART_SEED = 1 };

/* The header says nothing of the weights: two models of one shape have the same. Some bytes of
 * each tensor tell them apart: at its beginning, in its middle, at its end. */
static aios_status aios__art_probe(const aios_model *m, uint64_t *probe, aios_error *err) {
    char some[64];
    aios_status st;
    *probe = AIOS__ART_SEED;
    for (uint32_t i = 0; i < m->gguf.n_tensors * 3; i++) {
        const aios__tensor *t = &m->gguf.tensor[i / 3];
        uint64_t n = aios__min_u64(t->n_bytes, sizeof some);
        uint32_t k = i % 3;
        if ((st = aios__io_read(&m->io[t->part], t->off + (t->n_bytes - n) * k / 2, some, n,
                                err)) != 0)
            return st;
        *probe = aios__art_sum(*probe, some, n);
    }
    return AIOS_OK;
}
/* What the artifact has of tensor i: bytes (0: nothing) and layout. */
static uint64_t aios__art_bytes(const aios_model *m, uint32_t i, int32_t *layout) {
    const aios__tensor *t = &m->gguf.tensor[i];
    uint64_t packed = aiosk_layout_bytes((int32_t)t->type, AIOSK_PANELS, t->n[1], t->n[0]);
    *layout = AIOSK_ROWS;
    if (m->place[i].use != AIOS__IS_MATRIX && m->place[i].use != AIOS__IS_TABLE) return 0;
    if (m->place[i].use == AIOS__IS_MATRIX && packed) {
        *layout = AIOSK_PANELS;
        return packed * t->n[2];
    }
    return t->n_bytes;
}

/* ---- reading ---- */
static aios_status aios__art_bad(const char *what, uint64_t off, uint64_t expected, uint64_t got,
                                 aios_error *err) {
    return aios__fail2(err, AIOS_ERR_FORMAT, off, expected, got,
                       "the artifact's % is not what it must be (% bytes in)", aios__z(what),
                       aios__u(off));
}
static aios_status aios__art_header_read(const aios_io *io, aios__art_header *h, aios_error *err) {
    aios_status st;
    uint64_t end;
    if ((st = aios__io_read(io, 0, h, sizeof *h, err)) != 0) return st;
    if (memcmp(h->magic, AIOS__ART_MAGIC, 8))
        return aios__fail(err, AIOS_ERR_FORMAT, 0,
                          "this is no artifact of aios: it does not begin with " AIOS__ART_MAGIC);
    if (h->version != AIOS__ART_VERSION)
        return aios__fail2(err, AIOS_ERR_UNSUPPORTED, 8, AIOS__ART_VERSION, h->version,
                           "the artifact has version %, this library reads %", aios__u(h->version),
                           aios__u(AIOS__ART_VERSION));
    uint64_t sum = aios__art_sum(AIOS__ART_SEED, h, sizeof *h - 8);
    if (sum != h->sum) return aios__art_bad("header", 0, sum, h->sum, err);
    if (h->file_bytes != io->n_bytes)
        return aios__fail2(err, AIOS_ERR_FORMAT, AIOS__NO_OFF, h->file_bytes, io->n_bytes,
                           "the artifact has % bytes of %: it is cut off or still being written",
                           aios__u(io->n_bytes), aios__u(h->file_bytes));
    if (h->tensors_off != AIOS__ART_PAGE ||
        !aios__mul(h->n_tensors, sizeof(aios__art_tensor), &end) ||
        h->blocks_off != h->tensors_off + end)
        return aios__art_bad("table of tensors", 0, 0, h->blocks_off, err);
    if (!aios__mul(h->n_blocks, sizeof(aios__art_block), &end) ||
        !aios__add(h->blocks_off, end, &end) || h->manifest_off != end || end > io->n_bytes)
        return aios__art_bad("table of blocks", 0, 0, h->manifest_off, err);
    if (!aios__add(h->manifest_off, h->manifest_bytes, &end) || end > h->data_off ||
        h->data_off > io->n_bytes || h->data_off % AIOS__ART_PAGE)
        return aios__art_bad("manifest", 0, 0, h->data_off, err);
    return AIOS_OK;
}
/* Reads the table of tensors into the model's places, in small pieces: no memory is taken. */
static aios_status aios__art_open(aios_model *m, const aios_io *io, aios_error *err) {
    aios__art_header h;
    aios__art_tensor t[32];
    uint64_t probe, sum = AIOS__ART_SEED;
    uint32_t k;
    aios_status st = aios__art_header_read(io, &h, err);
    if (st) return st;
    if ((st = aios__art_probe(m, &probe, err)) != 0) return st;
    if (h.model_hash != m->gguf.hash || h.model_probe != probe || h.n_tensors != m->gguf.n_tensors)
        return aios__fail2(err, AIOS_ERR_MODEL, AIOS__NO_OFF, m->gguf.hash, h.model_hash,
                           "the artifact belongs to another model", aios__u(0), aios__u(0));
    for (uint32_t i = 0; i < h.n_tensors; i += k) {
        uint32_t n = h.n_tensors - i < 32 ? h.n_tensors - i : 32;
        if ((st = aios__io_read(io, h.tensors_off + (uint64_t)i * sizeof *t, t, n * sizeof *t,
                                err)) != 0)
            return st;
        sum = aios__art_sum(sum, t, n * sizeof *t);
        for (k = 0; k < n; k++) {
            int32_t layout;
            uint64_t want = aios__art_bytes(m, i + k, &layout), end;
            if (t[k].n_bytes != want ||
                (want &&
                 (t[k].layout != (uint32_t)layout || t[k].type != m->gguf.tensor[i + k].type ||
                  t[k].off < h.data_off || t[k].off % AIOS__ART_PAGE ||
                  !aios__add(t[k].off, want, &end) || end > io->n_bytes)))
                return aios__art_bad("table of tensors",
                                     h.tensors_off + (uint64_t)(i + k) * sizeof *t, want,
                                     t[k].n_bytes, err);
            m->place[i + k].art_off = want ? t[k].off : 0;
        }
    }
    return sum == h.tensors_sum
               ? AIOS_OK
               : aios__art_bad("table of tensors", h.tensors_off, h.tensors_sum, sum, err);
}
AIOS_API aios_status aios_artifact_check(const aios_io *given, void *work, uint64_t work_bytes,
                                         aios_progress_fn progress, void *user, aios_error *err) {
    aios_io io;
    aios__art_header h;
    aios__art_block b;
    aios__art_tensor t;
    uint64_t sum = AIOS__ART_SEED, at, n, s, due = 0, end;
    uint32_t i, n_blocks = 0;
    aios_status st;
    aios__clear(err);
    if (!work || work_bytes < 4096)
        return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF,
                          "aios_artifact_check needs 4096 bytes to work in");
    if ((st = aios__desc_copy(AIOS__ID_aios_io, &io, given, err)) != 0) return st;
    if ((st = aios__art_header_read(&io, &h, err)) != 0) return st;
    for (i = 0; i < h.n_tensors; i++) {
        if ((st = aios__io_read(&io, h.tensors_off + (uint64_t)i * sizeof t, &t, sizeof t, err)) !=
            0)
            return st;
        sum = aios__art_sum(sum, &t, sizeof t);
        n_blocks += t.n_blocks;
        due += t.n_bytes;
    }
    if (sum != h.tensors_sum || n_blocks != h.n_blocks)
        return aios__art_bad("table of tensors", h.tensors_off, h.tensors_sum, sum, err);
    for (i = 0, sum = AIOS__ART_SEED, end = h.data_off; i < h.n_blocks; i++) {
        if ((st = aios__io_read(&io, h.blocks_off + (uint64_t)i * sizeof b, &b, sizeof b, err)) !=
            0)
            return st;
        sum = aios__art_sum(sum, &b, sizeof b);
        /* each byte once, in order */
        if (b.off < end || b.off > h.file_bytes || b.n_bytes > h.file_bytes - b.off ||
            b.n_bytes > due)
            return aios__art_bad("table of blocks", h.blocks_off + (uint64_t)i * sizeof b, end,
                                 b.off, err);
        end = b.off + b.n_bytes;
        due -= b.n_bytes;
        for (at = 0, s = AIOS__ART_SEED; at < b.n_bytes; at += n) {
            n = aios__min_u64(work_bytes / 8 * 8, b.n_bytes - at);
            if ((st = aios__io_read(&io, b.off + at, work, n, err)) != 0) return st;
            s = aios__art_sum(s, work, n);
        }
        if (s != b.sum)
            return aios__fail2(err, AIOS_ERR_FORMAT, b.off, b.sum, s,
                               "block % of the artifact, % bytes in, is damaged", aios__u(i),
                               aios__u(b.off));
        if (progress && progress(user, b.off + b.n_bytes, h.file_bytes))
            return aios__fail(err, AIOS_ERR_CANCELLED, AIOS__NO_OFF,
                              "stopped by the progress callback");
    }
    return sum == h.blocks_sum && due == 0
               ? AIOS_OK
               : aios__art_bad("table of blocks", h.blocks_off, h.blocks_sum, sum, err);
}

/* ---- writing ---- */
typedef struct aios__art_writer {
    const aios_model *m;
    aios_write_fn write;
    void *user;
    aios__art_header h;
    char *work;
    uint64_t work_bytes, data, manifest; /* where the next tensor, the next text goes */
    aios_error *err;
    aios_status st;
} aios__art_writer;

static void aios__art_put(aios__art_writer *w, uint64_t off, const void *p, uint64_t n) {
    if (!w->st && n && w->write(w->user, off, p, n))
        w->st =
            aios__fail2(w->err, AIOS_ERR_IO, off, n, 0,
                        "writing % bytes of the artifact at % failed", aios__u(n), aios__u(off));
}
/* How often a token reads tensor i: 0 = all of it every time, 1 = some experts, 2 = a row. */
static uint32_t aios__art_rank(const aios_model *m, uint32_t i) {
    return m->place[i].use == AIOS__IS_TABLE ? 2 : m->place[i].experts ? 1 : 0;
}
/* Tensors by rank, then in the order of use: layer after layer, the output. Gives the one behind
 * `before`, -1 = there is none. For the first: before -1, *at 0. */
static int32_t aios__art_order(const aios_model *m, uint32_t *at, int32_t before) {
    uint32_t per = AIOS__N_LAYER_ROLES, n = (uint32_t)m->hp.n_layer * per,
             all = n + AIOS__N_MODEL_ROLES;
    int32_t layout;
    if (before >= 0 && m->place[before].next >= 0) return m->place[before].next;
    for (; *at < 3 * all;) {
        int32_t t;
        uint32_t rank = *at / all;
        uint32_t i = (*at)++ % all;
        /* OUTPUT is the last role */
        t = i < n ? m->layer[i / per][i % per].w : m->role[AIOS__N_MODEL_ROLES - 1 - (i - n)].w;
        if (t >= 0 && aios__art_rank(m, (uint32_t)t) == rank &&
            aios__art_bytes(m, (uint32_t)t, &layout))
            return t;
    }
    return -1;
}
/* Rows of a block of tensor t, and how many blocks it has: none goes from one matrix of it to
 * the next. */
static uint64_t aios__art_block_rows(const aios__tensor *t, uint32_t block_bytes) {
    uint64_t n = block_bytes / (t->row_bytes * 16) * 16;
    return aios__min_u64(n ? n : 16, t->n[1]);
}
static uint32_t aios__art_n_blocks(const aios__tensor *t, uint64_t rows) {
    return (uint32_t)((t->n[1] + rows - 1) / rows * t->n[2]);
}
/* One string of JSON. */
static void aios__art_json(aios__text *t, aios__str s) {
    aios__put(t, "\"", 1);
    for (uint64_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"' || s.p[i] == '\\') aios__put(t, "\\", 1);
        aios__put(t, &s.p[i], 1);
    }
    aios__put(t, "\"", 1);
}
static void aios__art_say(aios__art_writer *w, const aios__text *t) {
    aios__art_put(w, w->manifest, t->p, t->n);
    w->manifest += t->n;
}
/* The manifest's line of a tensor. Without writing: its length. */
static uint64_t aios__art_line(const aios_model *m, int32_t i, const aios__art_tensor *a, char *buf,
                               uint64_t cap, aios__text *t) {
    const aios__tensor *x = &m->gguf.tensor[i];
    t->p = buf;
    t->cap = cap;
    t->n = 0;
    aios__put_z(t, ",   {\"name\": ");
    aios__art_json(t, x->name);
    aios__put_z(t, ", \"type\": \"");
    aios__put_z(t, aiosk_type_info((int32_t)x->type)->name);
    aios__put_z(t, a->layout == AIOSK_PANELS ? "\", \"layout\": \"panels\", \"offset\": "
                                             : "\", \"layout\": \"rows\", \"offset\": ");
    aios__put_u(t, a->off);
    aios__put_z(t, ", \"bytes\": ");
    aios__put_u(t, a->n_bytes);
    aios__put_z(t, ", \"first_block\": ");
    aios__put_u(t, a->first_block);
    aios__put_z(t, ", \"blocks\": ");
    aios__put_u(t, a->n_blocks);
    aios__put_z(t, ", \"bytes_per_token\": ");
    aios__put_u(t, m->place[i].use == AIOS__IS_TABLE
                       ? x->row_bytes
                       : aios__token_share(m, (uint32_t)i, a->n_bytes));
    aios__put_z(t, "}");
    return t->n;
}
/* Its line of the contract's "layout". */
static void aios__art_layout(const aios_model *m, int32_t i, const aios__art_tensor *a, char *buf,
                             uint64_t cap, aios__text *t) {
    static const char *const how[] = { "\"high\", \"rws_tier\": \"HOT\"",
                                       "\"medium\", \"rws_tier\": \"WARM\"",
                                       "\"low\", \"rws_tier\": \"STREAM\"" };
    t->p = buf;
    t->cap = cap;
    t->n = 0;
    aios__put_z(t, ",   {\"block_id\": ");
    aios__art_json(t, m->gguf.tensor[i].name);
    aios__put_z(t, ", \"access_frequency\": ");
    aios__put_z(t, how[aios__art_rank(m, (uint32_t)i)]);
    aios__put_z(t, ", \"offset_bytes\": ");
    aios__put_u(t, a->off);
    aios__put_z(t, ", \"size_bytes\": ");
    aios__put_u(t, a->n_bytes);
    aios__put_z(t, "}");
}
static uint64_t aios__art_head(const aios__art_header *h, const aios_model *m, char *buf,
                               uint64_t cap, aios__text *t) {
    static const char hex[] = "0123456789abcdef";
    t->p = buf;
    t->cap = cap;
    t->n = 0;
    aios__put_z(
        t, "{\"format\": \"aios artifact\", \"version\": 1, \"aios_contract_version\": \"1.0\", "
           "\"frequency_ordered\": true, \"model\": \"");
    aios__put_z(t, m->arch_z);
    aios__put_z(t, "\", \"model_hash\": \"");
    for (int32_t i = 60; i >= 0; i -= 4) aios__put(t, &hex[h->model_hash >> i & 15], 1);
    aios__put_z(t, "\", \"block_bytes\": ");
    aios__put_u(t, h->block_bytes);
    aios__put_z(t, ", \"blocks\": ");
    aios__put_u(t, h->n_blocks);
    aios__put_z(t, ", \"order\": \"frequency and use: prefetch in this order\", \"tensors\": [   ");
    return t->n;
}
/* One block's rows, as they will lie in the file, in work; gives its bytes. */
static uint64_t aios__art_fill(aios__art_writer *w, const aios__tensor *t, int32_t layout,
                               uint64_t row0, uint64_t n_rows, char *out, char *tmp) {
    uint64_t panel = aiosk_layout_bytes((int32_t)t->type, AIOSK_PANELS, 16, t->n[0]);
    const aios_io *io = &w->m->io[t->part];
    if (layout == AIOSK_ROWS) {
        w->st = aios__io_read(io, t->off + row0 * t->row_bytes, out, n_rows * t->row_bytes, w->err);
        return n_rows * t->row_bytes;
    }
    for (uint64_t i = 0; i < n_rows && !w->st; i += 16) {
        uint64_t k = aios__min_u64(16, n_rows - i);
        w->st =
            aios__io_read(io, t->off + (row0 + i) * t->row_bytes, tmp, k * t->row_bytes, w->err);
        if (!w->st)
            aiosk_pack_panel((int32_t)t->type, tmp, (int32_t)k, t->n[0], out + i / 16 * panel);
    }
    return (n_rows + 15) / 16 * panel;
}
enum { AIOS__ART_LEAST = 65536, AIOS__ART_MOST = 1 << 20 };
static uint32_t aios__art_block_size(uint64_t asked) {
    if (asked == 0) return 256 * 1024;
    return asked < AIOS__ART_LEAST  ? (uint32_t)AIOS__ART_LEAST
           : asked > AIOS__ART_MOST ? (uint32_t)AIOS__ART_MOST
                                    : (uint32_t)asked;
}

AIOS_API uint64_t aios_artifact_work_bytes(const aios_model *m, uint64_t block_bytes) {
    uint64_t most = 0;
    if (!m || !m->arch) return 0;
    for (uint32_t i = 0; i < m->gguf.n_tensors; i++) {
        const aios__tensor *t = &m->gguf.tensor[i];
        uint64_t n = (aios__art_block_rows(t, aios__art_block_size(block_bytes)) + 15) / 16 * 16 *
                     t->row_bytes;
        if (n + 16 * t->row_bytes > most) most = n + 16 * t->row_bytes;
    }
    return aios__round_up(most, 64) + 4096;
}
AIOS_API aios_status aios_artifact_write(const aios_model *m, uint64_t block_bytes,
                                         aios_write_fn write, void *user, void *work,
                                         uint64_t work_bytes, aios_progress_fn progress,
                                         void *progress_user, aios_error *err) {
    aios__art_writer w;
    aios__art_tensor a;
    aios__text text;
    uint64_t done = 0, tensors_sum = AIOS__ART_SEED, end;
    uint32_t at, block = 0;
    int32_t id, layout;
    char line[512];
    aios__clear(err);
    if (!m || !m->arch || !write || !work)
        return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF,
                          "aios_artifact_write: an argument is NULL, or the model has no weights");
    if (work_bytes < aios_artifact_work_bytes(m, block_bytes))
        return aios__fail2(err, AIOS_ERR_ARG, AIOS__NO_OFF,
                           aios_artifact_work_bytes(m, block_bytes), work_bytes,
                           "aios_artifact_write needs % bytes to work in, not %",
                           aios__u(aios_artifact_work_bytes(m, block_bytes)), aios__u(work_bytes));
    memset(&w, 0, sizeof w);
    w.m = m;
    w.write = write;
    w.user = user;
    w.work = (char *)work;
    w.work_bytes = work_bytes;
    w.err = err;
    memcpy(w.h.magic, AIOS__ART_MAGIC, 8);
    w.h.version = AIOS__ART_VERSION;
    w.h.n_tensors = m->gguf.n_tensors;
    w.h.block_bytes = aios__art_block_size(block_bytes);
    w.h.model_hash = m->gguf.hash;
    if ((w.st = aios__art_probe(m, &w.h.model_probe, err)) != 0) return w.st;
    memset(w.work, 0, AIOS__ART_PAGE);
    /* what may be there already is no artifact any more */
    aios__art_put(&w, 0, w.work, AIOS__ART_PAGE);
    /* pass 0 counts blocks; pass 1 the manifest, whose numbers depend on where the data begins;
     * passes 2 and 3 write its two lists */
    for (int32_t pass = 0; pass < 4; pass++) {
        if (pass == 1) {
            w.h.tensors_off = AIOS__ART_PAGE;
            w.h.blocks_off = w.h.tensors_off + (uint64_t)w.h.n_tensors * sizeof(aios__art_tensor);
            w.h.manifest_off = w.h.blocks_off + (uint64_t)w.h.n_blocks * sizeof(aios__art_block);
            w.h.manifest_bytes = aios__art_head(&w.h, m, line, sizeof line, &text) + 32;
            /* no two lines are longer */
            for (at = 0, id = -1; (id = aios__art_order(m, &at, id)) >= 0;)
                w.h.manifest_bytes += m->gguf.tensor[id].name.n * 4 + 512;
            w.h.data_off = aios__round_up(w.h.manifest_off + w.h.manifest_bytes, AIOS__ART_PAGE);
        }
        if (pass == 2) {
            w.manifest = w.h.manifest_off;
            aios__art_head(&w.h, m, line, sizeof line, &text);
            aios__art_say(&w, &text);
        }
        if (pass == 3) {
            text.p = line;
            text.cap = sizeof line;
            text.n = 0;
            aios__put_z(&text, "], \"layout\": [   ");
            aios__art_say(&w, &text);
        }
        w.data = w.h.data_off;
        block = 0;
        for (at = 0, id = -1; (id = aios__art_order(m, &at, id)) >= 0;) {
            const aios__tensor *t = &m->gguf.tensor[id];
            uint64_t rows = aios__art_block_rows(t, w.h.block_bytes);
            a.n_bytes = aios__art_bytes(m, (uint32_t)id, &layout);
            a.off = w.data;
            a.type = t->type;
            a.layout = (uint32_t)layout;
            a.first_block = block;
            a.n_blocks = aios__art_n_blocks(t, rows);
            w.data = aios__round_up(w.data + a.n_bytes, AIOS__ART_PAGE);
            block += a.n_blocks;
            if (pass < 2) continue;
            if (pass == 2)
                aios__art_line(m, id, &a, w.work, w.work_bytes, &text);
            else
                aios__art_layout(m, id, &a, w.work, w.work_bytes, &text);
            if (a.first_block == 0) w.work[0] = ' ';
            aios__art_say(&w, &text);
        }
        w.h.n_blocks = block;
        w.h.file_bytes = w.data;
    }
    aios__art_put(&w, w.manifest, "]}\n", 3);
    w.manifest += 3;
    w.h.manifest_bytes = w.manifest - w.h.manifest_off;
    /* tables: tensors in the model's order, each found by walking the order of use */
    for (uint32_t i = 0; i < m->gguf.n_tensors && !w.st; i++) {
        uint64_t off = w.h.data_off;
        memset(&a, 0, sizeof a);
        for (at = block = 0, id = -1; (id = aios__art_order(m, &at, id)) >= 0;) {
            uint64_t n = aios__art_bytes(m, (uint32_t)id, &layout),
                     rows = aios__art_block_rows(&m->gguf.tensor[id], w.h.block_bytes);
            uint32_t k = aios__art_n_blocks(&m->gguf.tensor[id], rows);
            if ((uint32_t)id == i) {
                a.off = off;
                a.n_bytes = n;
                a.type = m->gguf.tensor[id].type;
                a.layout = (uint32_t)layout;
                a.first_block = block;
                a.n_blocks = k;
                break;
            }
            off = aios__round_up(off + n, AIOS__ART_PAGE);
            block += k;
        }
        aios__art_put(&w, w.h.tensors_off + (uint64_t)i * sizeof a, &a, sizeof a);
        tensors_sum = aios__art_sum(tensors_sum, &a, sizeof a);
    }
    uint64_t blocks_sum = AIOS__ART_SEED;
    end = w.data = w.h.data_off;
    for (at = block = 0, id = -1; !w.st && (id = aios__art_order(m, &at, id)) >= 0;) {
        const aios__tensor *t = &m->gguf.tensor[id];
        uint64_t rows = aios__art_block_rows(t, w.h.block_bytes), r, off = w.data;
        aios__art_block b;
        char *tmp = w.work + aios__round_up((rows + 15) / 16 * 16 * t->row_bytes, 64);
        w.data = aios__round_up(w.data + aios__art_bytes(m, (uint32_t)id, &layout), AIOS__ART_PAGE);
        for (r = 0; r < t->n[1] * t->n[2] && !w.st; r += b.n_rows, block++) {
            memset(&b, 0, sizeof b);
            b.off = off;
            b.tensor = (uint32_t)id;
            b.row0 = (uint32_t)r;
            b.n_rows = (uint32_t)aios__min_u64(rows, t->n[1] - r % t->n[1]);
            b.n_bytes = (uint32_t)aios__art_fill(&w, t, layout, r, b.n_rows, w.work, tmp);
            if (w.st) break;
            b.sum = aios__art_sum(AIOS__ART_SEED, w.work, b.n_bytes);
            aios__art_put(&w, off, w.work, b.n_bytes);
            aios__art_put(&w, w.h.blocks_off + (uint64_t)block * sizeof b, &b, sizeof b);
            blocks_sum = aios__art_sum(blocks_sum, &b, sizeof b);
            end = off += b.n_bytes;
            done += b.n_bytes;
            if (!w.st && progress && progress(progress_user, done, w.h.file_bytes - w.h.data_off))
                w.st = aios__fail(err, AIOS_ERR_CANCELLED, AIOS__NO_OFF,
                                  "stopped by the progress callback");
        }
    }
    w.h.tensors_sum = tensors_sum;
    w.h.blocks_sum = blocks_sum;
    w.h.sum = aios__art_sum(AIOS__ART_SEED, &w.h, sizeof w.h - 8);
    memset(w.work, 0, AIOS__ART_PAGE);
    aios__art_put(&w, end, w.work, w.h.file_bytes - end); /* the last page is whole */
    memcpy(w.work, &w.h, sizeof w.h);
    aios__art_put(&w, 0, w.work, AIOS__ART_PAGE); /* last: a file that was not finished is none */
    return w.st;
}

/* ======== model/open.c ======== */
/* open.c: opening a model: the parts of its file, one block of memory, the parser, the
 * vocabulary, the roles of its tensors, and the artifact where there is one. */

/* Takes the model's memory from a bump; counts when its base is NULL. n_layer is what the file
 * says, unchecked yet, but never more than there are tensors. */
static aios_model *aios__model_layout(aios__bump *b, const aios__gguf_size *size, uint32_t n_parts,
                                      aios_model *into) {
    aios_model *m = (aios_model *)aios__take(b, sizeof(aios_model), 64);
    aios_model *x = m ? m : into;
    /* a layer has two tensors at the least, so this is enough for any file that will not be
     * refused */
    uint64_t n_tensors = size->n_tensors, n_layer = n_tensors / 2 + 1,
             n_nodes = aios__min_u64(n_tensors * 5 / 2 + 16, AIOS__MAX_NODES);
    x->io = (aios_io *)aios__take(b, (n_parts + 1) * sizeof(aios_io), 8);
    x->place = (aios__place *)aios__take(b, n_tensors * sizeof(aios__place), 8);
    x->layer = (aios__ref(*)[AIOS__N_LAYER_ROLES])aios__take(b, n_layer * sizeof *x->layer, 8);
    x->hp.layer = (aios__hp_layer *)aios__take(b, n_layer * sizeof *x->hp.layer, 8);
    /* a layer of t tensors makes at most 2.25 t nodes, and as many values */
    x->graph.max_nodes = x->graph.max_values = (uint32_t)n_nodes;
    x->graph.node = (aios__node *)aios__take(b, n_nodes * sizeof(aios__node), 8);
    x->graph.value = (aios__value *)aios__take(b, n_nodes * sizeof(aios__value), 8);
    return m;
}

enum { AIOS__MAX_PARTS = 256 };

/* A model being opened: the caller's desc made whole, and its parts, ours or the caller's. */
typedef struct aios__opening {
    aios_io io[AIOS__MAX_PARTS];
    uint32_t n_parts, own_files;
    aios_limits lim;
    aios_model_desc d;
} aios__opening;

static void aios__parts_close(aios_io *io, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) aios__file_close(&io[i]);
}
/* Opens path and, when that is the first part of a split file, all the others. On failure none
 * stays open, but for what is only to be looked at: then this file alone. */
static aios_status aios__parts_open(aios__opening *o, aios_error *err) {
    char name[1024];
    uint32_t n_open = 1;
    uint64_t no;
    aios_status st = aios__file_open(o->d.path, &o->io[0], err);
    if (st) return st;
    st = aios__gguf_split_count(&o->io[0], &o->lim, &o->n_parts, &no, err);
    if (!st && no && no < o->n_parts)
        st = aios__fail2(err, AIOS_ERR_FORMAT, AIOS__NO_OFF, 0, no,
                         "the file is part % of % of a split model: the first is to be opened",
                         aios__u(no + 1), aios__u(o->n_parts));
    if (!st && o->n_parts > o->lim.max_parts)
        st = aios__fail2(err, AIOS_ERR_LIMIT, AIOS__NO_OFF, o->lim.max_parts, o->n_parts,
                         "% parts are more than the limit of %", aios__u(o->n_parts),
                         aios__u(o->lim.max_parts));
    for (uint32_t i = 1; !st && i < o->n_parts; i++) {
        if (!aios__split_name(o->d.path, i, o->n_parts, name, sizeof name))
            st = aios__fail2(
                err, AIOS_ERR_FORMAT, AIOS__NO_OFF, o->n_parts, 1,
                "the file is one of % parts, but its name does not end in -00001-of-N.gguf",
                aios__u(o->n_parts), aios__u(0));
        else
            st = aios__file_open(name, &o->io[i], err);
        n_open += !st;
    }
    if (st && o->d.flags & AIOS_MODEL_INSPECT) {
        aios__parts_close(o->io + 1, n_open - 1);
        aios__clear(err);
        o->n_parts = n_open = 1;
        st = AIOS_OK;
    }
    if (st)
        aios__parts_close(o->io, n_open);
    else
        o->own_files = 1;
    return st;
}

/* Checks the desc, fills in defaults, opens or copies the parts. What is open must be closed by
 * the caller. */
static aios_status aios__opening_start(aios__opening *o, const aios_model_desc *d,
                                       aios_error *err) {
    aios_status st;
    uint32_t i;
    const char *p;
    memset(o, 0, sizeof *o);
    aios__clear(err);
    if ((st = aios__desc_copy(AIOS__ID_aios_model_desc, &o->d, d, err)) != 0) return st;
    if ((st = aios__flags(o->d.flags, AIOS_MODEL_VOCAB_ONLY | AIOS_MODEL_INSPECT, "aios_model_desc",
                          err)) != 0)
        return st;
    if ((st = aios__unused(o->d.reserved, "aios_model_desc", err)) != 0) return st;
    if (o->d.limits && (st = aios__desc_copy(AIOS__ID_aios_limits, &o->lim, o->d.limits, err)) != 0)
        return st;
    o->lim = aios__limits_of(&o->lim);
    if (o->lim.max_parts > AIOS__MAX_PARTS) o->lim.max_parts = AIOS__MAX_PARTS;
    o->n_parts = 1;
    if (!o->d.io) {
        if (!o->d.path)
            return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF, "aios_model_desc needs io or path");
        return aios__parts_open(o, err);
    }
    if (o->d.n_parts) o->n_parts = o->d.n_parts;
    if (o->n_parts > o->lim.max_parts)
        return aios__fail2(err, AIOS_ERR_LIMIT, AIOS__NO_OFF, o->lim.max_parts, o->n_parts,
                           "% parts are more than the limit of %", aios__u(o->n_parts),
                           aios__u(o->lim.max_parts));
    /* the caller's sizeof */
    for (i = 0, p = (const char *)o->d.io; i < o->n_parts; i++, p += o->d.io->struct_size) {
        if ((st = aios__desc_copy(AIOS__ID_aios_io, &o->io[i], p, err)) != 0) return st;
        if ((st = aios__flags(o->io[i].flags, AIOS_IO_ANY_OFFSET, "aios_io", err)) != 0) return st;
        if (!o->io[i].read)
            return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF, "aios_io.read is NULL");
    }
    return AIOS_OK;
}
static void aios__opening_end(aios__opening *o) {
    if (o->own_files) aios__parts_close(o->io, o->n_parts);
}

/* Reads the headers once with no memory but the stack, and lays everything out. */
static aios_status aios__model_size(aios__opening *o, aios__gguf_size *size, uint64_t *bytes,
                                    aios_error *err) {
    aios__bump b = { NULL, 0 };
    aios_model tmp;
    aios_status st =
        aios__gguf_measure(o->io, o->n_parts, &o->lim, o->d.flags & AIOS_MODEL_INSPECT, size, err);
    if (st) return st;
    memset(&tmp, 0, sizeof tmp);
    aios__model_layout(&b, size, o->n_parts, &tmp);
    if ((st = aios__gguf_load(&tmp.gguf, &b, o->io, o->n_parts, &o->lim,
                              o->d.flags & AIOS_MODEL_INSPECT, size, err)) != 0)
        return st;
    if ((st = aios__vocab_load(&tmp.vocab, &b, NULL, size, NULL, err)) != 0) return st;
    *bytes = aios__round_up(b.used, 64);
    return AIOS_OK;
}

static void aios__req_fill(aios_mem_req *r, uint32_t kind, uint32_t tier, uint64_t bytes) {
    memset(r, 0, sizeof *r);
    r->struct_size = (uint32_t)sizeof *r;
    r->kind = kind;
    r->bytes = bytes;
    r->align = tier == AIOS_TIER_STREAM ? 4096 : 64;
    r->tier = tier;
    r->flags = bytes >= ((uint64_t)32 << 20) ? (uint32_t)AIOS_MEM_HUGE : 0;
    r->numa_node = -1;
    r->layer = -1;
}

/* The arch row, hyper-parameters and roles of a loaded directory. */
static aios_status aios__model_understand(aios_model *m, aios_error *err) {
    const aios__key *k = aios__key_find(&m->gguf, "general.architecture");
    aios_status st;
    if (m->flags & AIOS_MODEL_INSPECT && !aios__key_str(k, &m->arch_name)) return AIOS_OK;
    if (!k) {
        if (m->flags & AIOS_MODEL_VOCAB_ONLY) return AIOS_OK;
        return aios__fail(err, AIOS_ERR_MODEL, AIOS__NO_OFF, "key general.architecture is missing");
    }
    if (!aios__key_str(k, &m->arch_name))
        return aios__fail(err, AIOS_ERR_MODEL, k->off, "key general.architecture must be a string");
    memcpy(m->arch_z, m->arch_name.p, (size_t)aios__min_u64(m->arch_name.n, sizeof m->arch_z - 1));
    if (m->flags & (AIOS_MODEL_VOCAB_ONLY | AIOS_MODEL_INSPECT)) return AIOS_OK;
    m->arch = aios__arch_find(m->arch_name);
    if (!m->arch)
        return aios__fail1(err, AIOS_ERR_UNSUPPORTED, k->off,
                           "the model family '%' is not known to this version",
                           aios__s(m->arch_name));
    if ((st = aios__hp_load(m, err)) != 0) return st;
    if ((st = aios__roles_load(m, err)) != 0) return st;
    return aios__graph_draw(m, err);
}

AIOS_API aios_status aios_model_measure(const aios_model_desc *d, aios_mem_req *req,
                                        aios_error *err) {
    aios__opening o;
    aios__gguf_size size;
    aios_mem_req r;
    uint64_t bytes = 0;
    aios_status st = aios__opening_start(&o, d, err);
    if (!st) st = aios__model_size(&o, &size, &bytes, err);
    aios__opening_end(&o);
    if (st) return st;
    aios__req_fill(&r, AIOS_MEM_META, AIOS_TIER_HOT, bytes);
    return aios__desc_fill(AIOS__ID_aios_mem_req, req, &r)
               ? aios__fail(err, AIOS_ERR_DESC, AIOS__NO_OFF,
                            "req is NULL or was not initialised: call aios_mem_req_init first")
               : AIOS_OK;
}

/* The artifact, where the desc names one; checked, and known to the tensors' places. */
static aios_status aios__artifact_take(aios_model *m, const aios_model_desc *d, aios_error *err) {
    aios_io *io = &m->io[m->n_parts];
    aios_status st = AIOS_OK;
    if (d->artifact) {
        if ((st = aios__desc_copy(AIOS__ID_aios_io, io, d->artifact, err)) != 0 ||
            (st = aios__flags(io->flags, AIOS_IO_ANY_OFFSET, "aios_io", err)) != 0)
            return st;
        if (!io->read) return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF, "aios_io.read is NULL");
    } else if (d->artifact_path) {
        if ((st = aios__file_open(d->artifact_path, io, err)) != 0) return st;
        m->own_artifact = 1;
    } else
        return AIOS_OK;
    return aios__art_open(m, io, err);
}

AIOS_API aios_status aios_model_open(const aios_model_desc *d, aios_model **out, aios_error *err) {
    aios__opening o;
    aios__gguf_size size;
    aios_allocator mem;
    aios_mem_req req;
    aios__bump b = { NULL, 0 };
    void *block = NULL;
    uint64_t bytes = 0;
    uint32_t i;
    if (!out) return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF, "out is NULL");
    *out = NULL;
    aios_status st = aios__opening_start(&o, d, err);
    if (!st) st = aios__allocator_copy(&mem, o.d.mem, "aios_model_desc", err);
    if (!st) st = aios__model_size(&o, &size, &bytes, err);
    if (!st) {
        aios__req_fill(&req, AIOS_MEM_META, AIOS_TIER_HOT, bytes);
        st = aios__alloc(&mem, &req, "model's header", &block, err);
        b.base = (char *)block;
    }
    if (st) {
        aios__opening_end(&o);
        return st;
    }
    memset(b.base, 0, sizeof(aios_model));
    aios_model *m = aios__model_layout(&b, &size, o.n_parts, NULL);
    m->log.fn = o.d.log;
    m->log.user = o.d.log_user;
    m->mem = mem;
    m->req = req;
    m->n_parts = o.n_parts;
    m->own_files = o.own_files;
    m->flags = o.d.flags;
    memcpy(m->io, o.io, o.n_parts * sizeof *o.io);
    memset(m->place, 0, size.n_tensors * sizeof *m->place);
    memset(&m->io[m->n_parts], 0, sizeof *m->io);
    st = aios__gguf_load(&m->gguf, &b, m->io, m->n_parts, &o.lim, o.d.flags & AIOS_MODEL_INSPECT,
                         &size, err);
    if (!st && (st = aios__vocab_load(&m->vocab, &b, &m->gguf, &size, &m->log, err)) != 0 &&
        o.d.flags & AIOS_MODEL_INSPECT) {
        aios__vocab_clear(&m->vocab);
        aios__clear(err);
        st = AIOS_OK;
    }
    uint64_t fp = aiosk_fp_begin(); /* the host's rounding mode is not ours */
    if (!st) st = aios__model_understand(m, err);
    aiosk_fp_end(fp);
    if (st) {
        aios_model_free(m);
        return st;
    }
    if (!(o.d.flags & (AIOS_MODEL_VOCAB_ONLY | AIOS_MODEL_INSPECT)) &&
        (st = aios__artifact_take(m, &o.d, err)) != 0) {
        aios_model_free(m);
        return st;
    }
    for (i = 0; i < m->gguf.n_tensors; i++)
        m->place[i].can_map =
            (uint8_t)((aios__io_map(&m->io[m->gguf.tensor[i].part], m->gguf.tensor[i].off,
                                    m->gguf.tensor[i].n_bytes)
                           ? AIOS__MAP_MODEL
                           : 0) |
                      (m->place[i].art_off &&
                               aios__io_map(&m->io[m->n_parts], m->place[i].art_off, 1)
                           ? AIOS__MAP_ARTIFACT
                           : 0));
    for (i = 0; i < m->gguf.n_tensors; i++) /* experts of one matrix are laid out alike */
        if (m->place[i].split && m->place[i].expert == 0) {
            uint8_t all = m->place[i].can_map;
            int32_t k;
            for (k = (int32_t)i; k >= 0; k = m->place[k].next) all &= m->place[k].can_map;
            for (k = (int32_t)i; k >= 0; k = m->place[k].next) m->place[k].can_map = all;
        }
    for (i = 0, m->async = 1; i < m->n_parts + (m->io[m->n_parts].read != NULL); i++)
        m->async &= m->io[i].submit && m->io[i].wait;
    if (o.d.log) {
        aios_error e;
        /* runs all the same, on token ids */
        if (aios__vocab_encodes(&m->vocab, &e)) o.d.log(o.d.log_user, 1, e.text);
    }
    *out = m;
    return AIOS_OK;
}

AIOS_API void aios_model_free(aios_model *m) {
    if (!m) return;
    if (m->n_contexts) {
        m->dying = 1;
        return;
    }
    aios_allocator mem = m->mem;
    aios_mem_req req = m->req;
    for (int32_t i = 1; i >= 0; i--)
        if (m->weights[i]) mem.free(mem.user, m->weights[i], &m->weights_req[i]);
    if (m->own_artifact) aios__file_close(&m->io[m->n_parts]);
    if (m->own_files) aios__parts_close(m->io, m->n_parts);
    mem.free(mem.user, m, &req);
}

/* ======== memory/memory.c ======== */
/* memory.c: where each tensor's bytes are, and getting them there. aios__place_of decides (pure
 * arithmetic, the same answer each time for the same cut); aios__weights_load carries it out:
 * reads through the io, packs panel by panel. What it leaves out, the rows that are streamed, is
 * read while the model runs (stream.c). */

/* a section streams from not at all to wholly */
enum { AIOS__LEVEL = 65536, AIOS__LEVELS = 3 * AIOS__LEVEL };

/* Rows of a tensor that are read at once: whole pairs of panels. */
static uint32_t aios__unit_rows(const aios__tensor *t, uint64_t unit_bytes) {
    uint64_t n = unit_bytes / t->row_bytes / 32 * 32;
    return (uint32_t)(n < 32 ? 32 : aios__min_u64(n, aios__round_up(t->n[1], 32)));
}
/* Rows of a matrix that stay. What its section streams is dealt out in whole units, evenly over
 * the layers, so that reading never waits long for room nor computing for data. */
static uint32_t aios__rows_resident(const aios_model *m, const aios__cut *cut, uint32_t i) {
    const aios__place *at = &m->place[i];
    const aios__tensor *t = &m->gguf.tensor[i];
    int64_t share = (int64_t)cut->level - (int64_t)at->section * AIOS__LEVEL;
    uint64_t l = (uint64_t)at->layer;
    if (at->use != AIOS__IS_MATRIX || at->experts || at->section == AIOS__SECTION_FIXED ||
        share <= 0)
        return (uint32_t)t->n[1];
    if (share > AIOS__LEVEL) share = AIOS__LEVEL;
    uint64_t per = aios__unit_rows(t, cut->unit_bytes);
    uint64_t n = (t->n[1] + per - 1) / per;
    uint64_t k =
        (l + 1) * n * (uint64_t)share / AIOS__LEVEL - l * n * (uint64_t)share / AIOS__LEVEL;
    return (uint32_t)(k ? (n - k) * per : t->n[1]);
}
/* Warm steps: the feed-forward matrices of the last layer go first, then those of the one
 * before; attention; the output; what is small. */
static int32_t aios__warm_steps(const aios_model *m) { return 4 * m->hp.n_layer; }
static int32_t aios__is_warm(const aios_model *m, const aios__cut *cut, uint32_t i) {
    const aios__place *at = &m->place[i];
    return at->use == AIOS__IS_MATRIX &&
           at->section * m->hp.n_layer + m->hp.n_layer - 1 - at->layer < cut->warm;
}

/* Where the bytes of a matrix or table come from: the artifact, packed as they will be used, or
 * the model's file. */
typedef struct aios__source {
    uint32_t io;
    int32_t layout;
    uint64_t off;
} aios__source;
static aios__source aios__source_of(const aios_model *m, const aios__cut *cut, uint32_t i) {
    const aios__tensor *t = &m->gguf.tensor[i];
    const aios__place *at = &m->place[i];
    aios__source s;
    s.io = t->part;
    s.layout = AIOSK_ROWS;
    s.off = t->off;
    if (!at->art_off) return s;
    aios__art_bytes(m, i, &s.layout);
    if (cut->rows && s.layout == AIOSK_PANELS) {
        s.layout = AIOSK_ROWS;
        return s;
    }
    s.io = m->n_parts;
    s.off = at->art_off;
    return s;
}
static inline uint64_t aios__rows_bytes(const aios__tensor *t, int32_t layout, uint64_t n_rows) {
    return layout == AIOSK_PANELS
               ? aiosk_layout_bytes((int32_t)t->type, AIOSK_PANELS, n_rows, t->n[0])
               : t->row_bytes * n_rows;
}
/* Decides for tensor i. off[tier] is the running end of each tier's block. */
static aios__place aios__place_of(const aios_model *m, const aios__cut *cut, uint32_t i,
                                  uint64_t *off) {
    const aios__tensor *t = &m->gguf.tensor[i];
    aios__place p = m->place[i];
    p.layout = AIOSK_ROWS;
    p.tier = AIOS_TIER_HOT;
    p.mapped = 0;
    p.off = p.n_bytes = 0;
    p.rows = (uint32_t)t->n[1];
    if (!p.use) return p;
    if (cut->experts && p.experts) { /* they come and go in a cache */
        p.layout = (uint8_t)aios__source_of(m, cut, i).layout;
        p.rows = 0;
        return p;
    }
    if (p.use == AIOS__IS_VECTOR)
        p.n_bytes = t->n[0] * t->n[1] * 4;
    else {
        aios__source from = aios__source_of(m, cut, i);
        int32_t warm = aios__is_warm(m, cut, i), art = from.io == m->n_parts;
        p.rows = aios__rows_resident(m, cut, i);
        p.mapped = (p.can_map & (art ? AIOS__MAP_ARTIFACT : AIOS__MAP_MODEL)) != 0;
        p.layout = (uint8_t)from.layout;
        if (p.use == AIOS__IS_TABLE && cut->tables && !p.mapped) p.rows = 0;
        if (!art && p.use == AIOS__IS_MATRIX && !cut->rows &&
            aiosk_layout_bytes((int32_t)t->type, AIOSK_PANELS, 16, t->n[0]) &&
            !(warm && cut->mapped && p.mapped)) {
            p.layout = AIOSK_PANELS;
            p.mapped = 0;
        }
        p.n_bytes = aios__rows_bytes(t, p.layout, p.rows) * t->n[2];
        p.tier = (uint8_t)(warm || p.mapped ? AIOS_TIER_WARM : AIOS_TIER_HOT);
    }
    if (!p.mapped) {
        off[p.tier] = aios__round_up(off[p.tier], 64);
        p.off = off[p.tier];
        off[p.tier] += p.n_bytes;
    }
    return p;
}

/* Bytes of the blocks of weights, and by layout for the report. */
typedef struct aios__weights_size {
    uint64_t tier[2], packed, rows, mapped;
} aios__weights_size;
static void aios__weights_measure(const aios_model *m, const aios__cut *cut,
                                  aios__weights_size *s) {
    memset(s, 0, sizeof *s);
    for (uint32_t i = 0; i < m->gguf.n_tensors; i++) {
        aios__place p = aios__place_of(m, cut, i, s->tier);
        if (p.mapped)
            s->mapped += p.n_bytes;
        else if (p.layout == AIOSK_PANELS)
            s->packed += p.n_bytes;
        else
            s->rows += p.n_bytes;
    }
    for (uint32_t i = 0; i < 2; i++) s->tier[i] = aios__round_up(s->tier[i], 64);
}

/* Reads the resident rows of a tensor to dst. What is packed is read into tmp first, as many
 * whole panels at a time as tmp holds. */
static aios_status aios__tensor_load(const aios_model *m, const aios__source *from,
                                     const aios__tensor *t, const aios__place *p, char *dst,
                                     char *tmp, uint64_t tmp_bytes, aios_error *err) {
    const aios_io *io = &m->io[t->part];
    uint64_t n, panel = aiosk_layout_bytes((int32_t)t->type, AIOSK_PANELS, 16, t->n[0]);
    aios_status st = AIOS_OK;
    if (p->use == AIOS__IS_VECTOR) {
        const char *src = dst;
        /* f16 at the end of its f32s: widened upwards in place */
        if (t->n_bytes < p->n_bytes) src = dst + (p->n_bytes - t->n_bytes);
        if ((st = aios__io_read(io, t->off, dst + (src - dst), t->n_bytes, err)) != 0) return st;
        if (t->type != AIOSK_F32)
            for (uint64_t r = 0; r < t->n[0] * t->n[1]; r++) {
                float f;
                aiosk_unpack((int32_t)t->type, src + r * (t->row_bytes / t->n[0]), 1, &f);
                memcpy(dst + r * 4, &f, 4);
            }
        return AIOS_OK;
    }
    if (p->layout == from->layout)
        return aios__io_read(&m->io[from->io], from->off, dst, p->n_bytes, err);
    uint64_t at_once = tmp_bytes / (16 * t->row_bytes) * 16;
    for (uint64_t r = 0; r < p->rows * t->n[2];
         r += n) { /* all matrices of it; a panel has rows of one */
        uint64_t i;
        n = aios__min_u64(p->rows - r % p->rows, at_once);
        if ((st = aios__io_read(io, t->off + r * t->row_bytes, tmp, n * t->row_bytes, err)) != 0)
            return st;
        for (i = 0; i < n; i += 16, dst += panel)
            aiosk_pack_panel((int32_t)t->type, tmp + i * t->row_bytes,
                             (int32_t)aios__min_u64(n - i, 16), t->n[0], dst);
    }
    return AIOS_OK;
}

/* Takes the blocks of weights, which aios__weights_load then fills. Without them the model holds
 * none. */
static void aios__weights_give(aios_model *m) {
    for (int32_t i = 1; i >= 0; i--) {
        if (m->weights[i]) m->mem.free(m->mem.user, m->weights[i], &m->weights_req[i]);
        m->weights[i] = NULL;
    }
    m->loaded = 0;
}
static void aios__plan_req(const aios_plan *p, uint32_t kind, uint32_t tier, aios_mem_req *r) {
    aios__req_fill(r, kind, tier,
                   kind == AIOS_MEM_WEIGHTS ? p->tier_bytes[tier] : p->request_bytes[kind]);
    if (p->flags & AIOS_PLAN_PIN && tier == AIOS_TIER_HOT) r->flags |= AIOS_MEM_PIN;
    r->numa_node = p->numa_node_1 - 1;
}
static aios_status aios__weights_take(aios_model *m, const aios_plan *p, aios_error *err) {
    aios_status st = AIOS_OK;
    for (int32_t i = 0; i < 2 && !st; i++) {
        aios__plan_req(p, AIOS_MEM_WEIGHTS, (uint32_t)i, &m->weights_req[i]);
        if (p->tier_bytes[i])
            st = aios__alloc(&m->mem, &m->weights_req[i], "weights", &m->weights[i], err);
    }
    if (st) aios__weights_give(m);
    return st;
}
/* tmp: room for at least 16 rows of any packed tensor (aios__weights_tmp). */
static aios_status aios__weights_load(aios_model *m, const aios__cut *cut, char *tmp,
                                      uint64_t tmp_bytes, aios_progress_fn progress, void *user,
                                      aios_error *err) {
    uint64_t off[2] = { 0, 0 }, done = 0;
    aios_status st = AIOS_OK;
    for (uint32_t i = 0; i < m->gguf.n_tensors && !st; i++) {
        const aios__tensor *t = &m->gguf.tensor[i];
        aios__place p = aios__place_of(m, cut, i, off);
        aios__source from = aios__source_of(m, cut, i);
        if (p.use && p.mapped) {
            p.p = aios__io_map(&m->io[from.io], from.off, p.n_bytes);
            if (!p.p)
                st = aios__fail1(err, AIOS_ERR_IO, t->off, "the io's map gave nothing for tensor %",
                                 aios__s(t->name));
        } else if (p.use && p.n_bytes) {
            p.p = (char *)m->weights[p.tier] + p.off;
            st = aios__tensor_load(m, &from, t, &p, (char *)m->weights[p.tier] + p.off, tmp,
                                   tmp_bytes, err);
        }
        m->place[i] = p;
        done += t->n_bytes;
        if (!st && progress && progress(user, done, m->gguf.tensor_bytes))
            st = aios__fail(err, AIOS_ERR_CANCELLED, AIOS__NO_OFF,
                            "loading was stopped by the progress callback");
    }
    if (!st) {
        m->loaded = 1;
        m->cut = *cut;
    }
    return st;
}
/* Bytes of 16 rows of the longest tensor that is packed. */
static uint64_t aios__weights_tmp(const aios_model *m, const aios__cut *cut) {
    uint64_t max = 0, off[2] = { 0, 0 };
    for (uint32_t i = 0; i < m->gguf.n_tensors; i++) {
        aios__place p = aios__place_of(m, cut, i, off);
        if (p.layout != aios__source_of(m, cut, i).layout && p.rows &&
            m->gguf.tensor[i].row_bytes * 16 > max)
            max = m->gguf.tensor[i].row_bytes * 16;
    }
    return max;
}

/* ======== memory/stream.c ======== */
/* stream.c: weights that are not resident are read through a ring of slots while the model runs.
 * The order is static: unit after unit as the program needs them, and from the last on to the
 * first again, as far ahead as there are slots. Use k reads unit k mod n_units into slot k mod
 * n_slots. Experts that are not resident (experts.c) stand in a queue beside the ring: what a
 * layer asks for is wanted now, so it goes before what is read ahead. Reads are carried out by
 * threads of the context's own, by threads that the host lends (aios_serve_reads), by the io's
 * submit and wait, or, without any of these, by the worker that needs the data. */

/* Rows of one matrix that are read at once. */
typedef struct aios__unit {
    uint64_t off;
    uint32_t n_bytes, part;
} aios__unit;

enum {
    AIOS__SLOT_EMPTY = 0,
    AIOS__SLOT_WANTED = 1,
    AIOS__SLOT_READING = 2,
    AIOS__SLOT_READY = 3,
    AIOS__SLOT_FAILED = 4
};
typedef struct aios__slot {
    int32_t state;
    uint32_t part; /* what is read: of which file, from where, how much, where to */
    uint64_t off, want;
    char *dst;
    uint64_t use, done; /* ring: the use that is read; bytes so far */
    uint64_t ticket;
    int64_t got; /* what the reader answered when it failed */
} aios__slot;

enum {
    AIOS__READ_INLINE = 0,
    AIOS__READ_THREADS = 1,
    AIOS__READ_ASYNC = 2,
    AIOS__STREAM_ALIGN = 4096,
    AIOS__INLINE_BYTES = 256 * 1024,
    AIOS__HINT_BYTES = 4 << 20
};
#define AIOS__NO_TICKET \
    UINT64_MAX /* of a slot that is being read: the rest is to be submitted again */

typedef struct aios__stream {
    const aios_io *io; /* [n_parts] */
    uint32_t n_units, n_slots;
    uint64_t slot_bytes;
    char *base;
    aios__unit *unit; /* [n_units] */
    aios__slot *slot; /* [n_all] of the ring, then those that are wanted by number */
    /* 0 = nothing is streamed; from row0 on they are of rows (rows.c), those before of experts */
    uint32_t n_all, row0;
    uint32_t *queue; /* [n_all - n_slots] what is wanted: those from head to tail */
    uint64_t head, tail, n_tickets;
    uint32_t n_rests;      /* slots without a ticket */
    aios__slot *now;       /* INLINE: what is being read */
    const aios__slot *bad; /* what could not be read */
    int32_t how;           /* AIOS__READ_* */
    int32_t hold;          /* nothing is asked for: after a failure, until the next step */
    int32_t ended;         /* lent threads are to return */
    uint64_t used, issued; /* uses that are through, and those whose reading has begun */
    uint64_t hinted;       /* INLINE: uses that the io has been told of */
    uint64_t read_bytes, wanted_bytes, n_reads, n_errors; /* for the counters; wanted: of experts */
    aios__crew crew;                                      /* reading threads */
} aios__stream;

/* Bytes of a file that are read for a unit: from page boundary to page boundary, as direct
 * reading wants it, where the io does not say that it need not be. */
static inline uint64_t aios__stream_align(const aios_io *io) {
    return io->flags & AIOS_IO_ANY_OFFSET ? 1 : AIOS__STREAM_ALIGN;
}
static inline uint64_t aios__unit_start(const aios__unit *u, const aios_io *io) {
    return u->off / aios__stream_align(io) * aios__stream_align(io);
}
static inline uint64_t aios__unit_read_bytes(const aios__unit *u, const aios_io *io) {
    return aios__min_u64(aios__round_up(u->off + u->n_bytes, aios__stream_align(io)), io->n_bytes) -
           aios__unit_start(u, io);
}
/* The same of n bytes anywhere: the most. */
static inline uint64_t aios__most_read_bytes(uint64_t n, const aios_io *io) {
    return aios__round_up(n + aios__stream_align(io) - 1, aios__stream_align(io));
}
static inline const aios__unit *aios__use_unit(const aios__stream *s, uint64_t use) {
    return &s->unit[use % s->n_units];
}
static inline char *aios__slot_base(const aios__stream *s, uint64_t use) {
    return s->base + use % s->n_slots * s->slot_bytes;
}

/* The next that can be read now, or none. Called with the crew's lock. */
static aios__slot *aios__stream_next(aios__stream *s) {
    aios__slot *slot = NULL;
    if (s->hold) return NULL;
    if (s->head < s->tail)
        slot = &s->slot[s->queue[s->head++ % (s->n_all - s->n_slots)]];
    else if (s->n_units) {
        const aios__unit *u = aios__use_unit(s, s->issued);
        slot = &s->slot[s->issued % s->n_slots];
        if (s->issued >= s->used + s->n_slots || slot->state == AIOS__SLOT_READING) return NULL;
        slot->part = u->part;
        slot->off = aios__unit_start(u, &s->io[u->part]);
        slot->want = aios__unit_read_bytes(u, &s->io[u->part]);
        slot->dst = aios__slot_base(s, s->issued);
        slot->use = s->issued++;
    } else
        return NULL;
    slot->state = AIOS__SLOT_READING;
    slot->done = 0;
    slot->ticket = s->n_tickets++ * s->n_all + (uint64_t)(slot - s->slot);
    return slot;
}
/* Asks for what a slot behind the ring's says. */
static void aios__stream_want(aios__stream *s, aios__slot *slot) {
    slot->state = AIOS__SLOT_WANTED;
    s->queue[s->tail++ % (s->n_all - s->n_slots)] = (uint32_t)(slot - s->slot);
}
static void aios__stream_end(aios__stream *s, aios__slot *slot, int64_t got) {
    uint64_t want = slot->want, done = slot->done + (got > 0 ? (uint64_t)got : 0);
    s->n_reads++;
    if (got > 0 && done <= want) s->read_bytes += (uint64_t)got;
    if (got > 0 && done <= want && slot >= s->slot + s->n_slots && slot < s->slot + s->row0)
        s->wanted_bytes += (uint64_t)got;
    /* it goes on where a direct read can */
    if (s->how == AIOS__READ_ASYNC && done < want)
        done -= done % aios__stream_align(&s->io[slot->part]);
    if (got > 0 && done <= want && done > slot->done) {
        slot->done = done;
        slot->state = done == want ? AIOS__SLOT_READY : AIOS__SLOT_READING;
    } else {
        slot->state = AIOS__SLOT_FAILED;
        slot->got = got;
        s->n_errors++;
    }
}
/* Reads on: one call of the reader. Called without the lock; nobody else touches a slot that is
 * being read. */
static int64_t aios__stream_read(const aios__stream *s, const aios__slot *slot, uint64_t most) {
    const aios_io *io = &s->io[slot->part];
    return io->read(io->user, slot->off + slot->done, slot->dst + slot->done,
                    aios__min_u64(slot->want - slot->done, most));
}

/* A reading thread: reads what is due, sleeps when there is nothing. */
static void aios__stream_serve(void *arg) {
    aios__stream *s = (aios__stream *)arg;
    aios__crew_lock(&s->crew);
    while (!s->crew.quit && !s->ended) {
        aios__slot *slot = aios__stream_next(s);
        if (!slot) {
            aios__crew_idle(&s->crew);
            continue;
        }
        while (slot->state == AIOS__SLOT_READING) {
            int64_t got;
            aios__crew_unlock(&s->crew);
            got = aios__stream_read(s, slot, UINT64_MAX);
            aios__crew_lock(&s->crew);
            aios__stream_end(s, slot, got);
        }
        aios__crew_wake(&s->crew);
    }
    aios__crew_unlock(&s->crew);
}

/* ---- asynchronous ---- */
#define AIOS__ANY_PART UINT32_MAX
/* A slot, other than one, for which a read is under way: of the io of a part, or of any. */
static const aios__slot *aios__stream_flying(const aios__stream *s, uint32_t part,
                                             const aios__slot *but) {
    for (uint32_t i = 0; i < s->n_all; i++)
        if (&s->slot[i] != but && s->slot[i].state == AIOS__SLOT_READING &&
            s->slot[i].ticket != AIOS__NO_TICKET &&
            (s->slot[i].part == part || part == AIOS__ANY_PART))
            return &s->slot[i];
    return NULL;
}
/* 0: the io takes no more now. */
static int32_t aios__stream_submit(aios__stream *s, aios__slot *slot) {
    const aios_io *io = &s->io[slot->part];
    int32_t st = io->submit(io->user, slot->ticket, slot->off + slot->done, slot->dst + slot->done,
                            slot->want - slot->done);
    if (st >= 0) return 1;
    if (!aios__stream_flying(s, slot->part, slot)) {
        aios__stream_end(s, slot, st);
        return 1;
    }
    /* a queue that is full for now: later, when one of these is over */
    if (slot->done) {
        slot->ticket = AIOS__NO_TICKET;
        s->n_rests++;
    }
    /* it was taken just now */
    else if (slot >= s->slot + s->n_slots) {
        slot->state = AIOS__SLOT_WANTED;
        s->head--;
    } else {
        slot->state = AIOS__SLOT_EMPTY;
        s->issued--;
    }
    return 0;
}
/* Submits what came in pieces and was refused since. 0: the io still takes no more. */
static int32_t aios__stream_rests(aios__stream *s) {
    for (uint32_t i = 0; s->n_rests && i < s->n_all; i++) {
        if (s->slot[i].state != AIOS__SLOT_READING || s->slot[i].ticket != AIOS__NO_TICKET)
            continue;
        s->n_rests--;
        s->slot[i].ticket = s->n_tickets++ * s->n_all + i;
        if (!aios__stream_submit(s, &s->slot[i])) return 0;
    }
    return 1;
}
/* Takes what is over from one io, waiting for the first at most timeout_ns. */
static void aios__stream_reap(aios__stream *s, uint32_t part, uint64_t timeout_ns) {
    const aios_io *io = &s->io[part];
    uint64_t ticket = 0;
    int64_t got = 0;
    int32_t n;
    while ((n = io->wait(io->user, &ticket, &got, timeout_ns)) == 1) {
        aios__slot *slot = &s->slot[ticket % s->n_all];
        timeout_ns = 0;
        if (slot->state != AIOS__SLOT_READING || slot->ticket != ticket) continue;
        aios__stream_end(s, slot, got);
        if (slot->state == AIOS__SLOT_READING) aios__stream_submit(s, slot); /* it came in pieces */
    }
    if (n < 0) { /* no read of a broken io is under way any more */
        uint32_t i;
        for (i = 0; i < s->n_all; i++)
            if (s->slot[i].state == AIOS__SLOT_READING && s->slot[i].part == part) {
                s->n_rests -= s->slot[i].ticket == AIOS__NO_TICKET;
                aios__stream_end(s, &s->slot[i], n);
            }
    }
}

/* ---- what exec calls ---- */
/* Lets reading begin as far as there is room. */
static void aios__stream_pump(aios__stream *s) {
    aios__slot *slot;
    if (s->how == AIOS__READ_ASYNC && aios__stream_rests(s))
        while ((slot = aios__stream_next(s)) != NULL && aios__stream_submit(s, slot)) {}
    if (s->how == AIOS__READ_THREADS) aios__crew_call(&s->crew);
}
/* The program starts at its first unit: right away, or, after a pass that was dropped in its
 * middle, as soon as what is being read is through. */
static void aios__stream_start(aios__stream *s) {
    if (!s->n_all) return;
    aios__crew_lock(&s->crew);
    /* what a pass that was dropped wanted */
    for (uint32_t i = s->n_slots; (s->head < s->tail || s->hold || s->now) && i < s->n_all; i++)
        if (s->slot[i].state != AIOS__SLOT_READY &&
            (s->slot[i].state != AIOS__SLOT_READING || s->how == AIOS__READ_INLINE))
            s->slot[i].state = AIOS__SLOT_EMPTY;
    s->head = s->tail;
    s->now = NULL;
    if (!s->n_units)
        s->hold = 0;
    else if (s->used % s->n_units || s->hold ||
             s->slot[s->used % s->n_slots].state == AIOS__SLOT_FAILED) {
        for (uint32_t i = 0; i < s->n_slots; i++)
            if (s->slot[i].state != AIOS__SLOT_READING || s->how == AIOS__READ_INLINE)
                s->slot[i].state = AIOS__SLOT_EMPTY;
        s->used = s->issued = s->hinted = (s->issued + s->n_units - 1) / s->n_units * s->n_units;
        s->hold = 0;
    }
    aios__stream_pump(s);
    aios__crew_unlock(&s->crew);
}
/* Nobody reads ahead: the io is told what comes next, so that the system may. */
static void aios__stream_hint(aios__stream *s) {
    uint64_t ahead = 0;
    if (s->hinted < s->issued) s->hinted = s->issued;
    for (uint64_t use = s->issued; use < s->hinted; use++) ahead += aios__use_unit(s, use)->n_bytes;
    for (; ahead < AIOS__HINT_BYTES && s->hinted < s->used + s->n_units; s->hinted++) {
        const aios__unit *u = aios__use_unit(s, s->hinted);
        const aios_io *io = &s->io[u->part];
        ahead += u->n_bytes;
        if (io->soon) io->soon(io->user, u->off, u->n_bytes);
    }
}
/* Goes on reading, a piece at a time where nobody else does it, or waits for somebody, or for
 * the io of a part, who do. With the lock. */
static void aios__stream_move(aios__stream *s, uint32_t part, uint64_t timeout_ns) {
    if (s->how == AIOS__READ_INLINE) {
        if (!s->now || s->now->state != AIOS__SLOT_READING) {
            s->now = aios__stream_next(s);
            if (s->n_units) aios__stream_hint(s);
        }
        if (s->now) aios__stream_end(s, s->now, aios__stream_read(s, s->now, AIOS__INLINE_BYTES));
        return;
    }
    aios__stream_pump(s);
    if (s->how == AIOS__READ_ASYNC) {
        const aios__slot *other = aios__stream_flying(s, part, NULL)
                                      ? NULL
                                      : aios__stream_flying(s, AIOS__ANY_PART, NULL);
        /* what the queue's head waits for may be another io */
        aios__stream_reap(s, other ? other->part : part, timeout_ns);
        aios__stream_pump(s);
    } else
        aios__crew_wait(&s->crew, timeout_ns);
}
/* Is the unit of the next use there? 1 = yes; 0 = not yet; AIOS_ERR_*: it cannot be read. */
static int32_t aios__stream_try(aios__stream *s, uint64_t timeout_ns) {
    aios__slot *slot = &s->slot[s->used % s->n_slots];
    int32_t r = 0;
    aios__crew_lock(&s->crew);
    if (!(slot->use == s->used && slot->state >= AIOS__SLOT_READY))
        aios__stream_move(
            s, slot->state == AIOS__SLOT_READING ? slot->part : aios__use_unit(s, s->used)->part,
            timeout_ns);
    if (slot->use == s->used)
        r = slot->state == AIOS__SLOT_READY    ? 1
            : slot->state == AIOS__SLOT_FAILED ? (int32_t)AIOS_ERR_IO
                                               : 0;
    if (r < 0) s->bad = slot;
    aios__crew_unlock(&s->crew);
    return r;
}
static inline const void *aios__stream_data(const aios__stream *s) {
    const aios__unit *u = aios__use_unit(s, s->used);
    return aios__slot_base(s, s->used) + (u->off - aios__unit_start(u, &s->io[u->part]));
}
/* The unit is through: its slot may be filled again. */
static void aios__stream_pass(aios__stream *s) {
    aios__crew_lock(&s->crew);
    s->used++;
    if (s->issued < s->used) s->issued = s->used;
    aios__stream_pump(s);
    aios__crew_unlock(&s->crew);
}

/* Takes what was counted; with reset, begins anew. */
static void aios__stream_count(aios__stream *s, aios_counters *c, int32_t reset) {
    aios__crew_lock(&s->crew);
    c->stream_bytes = s->read_bytes;
    c->expert_bytes = s->wanted_bytes;
    c->n_reads = s->n_reads;
    c->n_read_errors = s->n_errors;
    if (reset) s->read_bytes = s->wanted_bytes = s->n_reads = s->n_errors = 0;
    aios__crew_unlock(&s->crew);
}
static aios_status aios__stream_open(aios__stream *s, uint32_t lent, int32_t n_readers,
                                     uint32_t async, aios_error *err) {
    s->how = lent || n_readers ? AIOS__READ_THREADS : async ? AIOS__READ_ASYNC : AIOS__READ_INLINE;
    s->hold = 1; /* until the first step */
    aios_status st = aios__crew_start(&s->crew, n_readers, aios__stream_serve, s, err);
    if (st) s->n_all = 0;
    return st;
}
/* Lent threads return, and those that come later do at once, or may stay again. */
static void aios__stream_lent(aios__stream *s, int32_t ended) {
    aios__crew_lock(&s->crew);
    s->ended = ended;
    aios__crew_call(&s->crew);
    aios__crew_unlock(&s->crew);
}
/* Nothing reads into the ring any more when this returns. */
static void aios__stream_stop(aios__stream *s) {
    if (!s->n_all) return;
    if (!aios__crew_stop(&s->crew)) return;
    for (uint32_t i = 0; i < s->n_all; i++)
        while (s->how == AIOS__READ_ASYNC && s->slot[i].state == AIOS__SLOT_READING &&
               s->slot[i].ticket != AIOS__NO_TICKET) {
            s->hold = 1;
            aios__stream_reap(s, s->slot[i].part, AIOS__FOREVER);
        }
}

/* ======== memory/rows.c ======== */
/* rows.c: tables that are not resident and of which tokens read a row: embeddings, learned
 * positions. An op that takes rows goes through the tokens of a pass in rounds; for each, what
 * it needs is asked for, and what the next round needs too, and in the end what the next pass
 * will begin with. Rows go through slots of the stream behind those of the ring and of experts,
 * before anything that is read ahead. A row that is in a slot still is not read again. */

enum { AIOS__ROW_SLOTS = 32 };
/* its first n_resident rows are in memory */
typedef struct aios__table {
    uint64_t off, row_bytes;
    uint32_t part, n_resident;
} aios__table;

typedef struct aios__rows {
    aios__stream *s;
    aios__table table[AIOS__N_TABLES];
    /* tokens of a round: all of a pass, or half of what there are slots for */
    int32_t n_slots, per_round;
    /* [n_slots] slot of the row of token t0 + i; -1 = none yet, -2 = it is in memory */
    int32_t *at;
    /* what was asked for last: of which table, for tokens from t0 on, how many */
    int32_t now, t0, n;
    const int32_t *row; /* [t0 + n] the rows of a pass's tokens, or soon */
    /* [n_slots] row * N_TABLES + table of what is in a slot, or on its way; -1 = nothing */
    int64_t *key;
    uint8_t *busy; /* [n_slots] 1 = was asked for */
    int32_t next;  /* where the search for a slot to give away begins */
    int32_t *soon; /* [n_slots] of tokens that come next, n_soon of them */
    int32_t n_soon;
} aios__rows;

static void aios__rows_layout(aios__rows *r, aios__bump *b, uint64_t n_slots) {
    r->key = (int64_t *)aios__take(b, n_slots * 8, 8);
    r->at = (int32_t *)aios__take(b, n_slots * 4, 8);
    r->soon = (int32_t *)aios__take(b, n_slots * 4, 8);
    r->busy = (uint8_t *)aios__take(b, n_slots, 8);
}
static inline aios__slot *aios__rows_slot(const aios__rows *r, int32_t i) {
    return &r->s->slot[r->s->row0 + (uint32_t)i];
}
static void aios__rows_start(aios__rows *r, aios__stream *s, const aios__table *table,
                             int32_t n_batch, char *base, uint64_t slot_bytes) {
    r->s = s;
    r->per_round = r->n_slots == n_batch ? n_batch : r->n_slots / 2;
    memcpy(r->table, table, sizeof r->table);
    for (int32_t i = 0; i < r->n_slots; i++) {
        r->key[i] = -1;
        aios__rows_slot(r, i)->dst = base + (uint64_t)i * slot_bytes;
    }
}
/* How many of these are not in memory. */
static uint64_t aios__rows_streamed(const aios__table *x, const int32_t *row, int32_t n) {
    uint64_t k = 0;
    for (int32_t i = 0; i < n; i++) k += (uint32_t)row[i] >= x->n_resident;
    return k;
}
static inline aios__unit aios__rows_unit(const aios__table *x, int32_t row) {
    aios__unit u;
    u.off = x->off + (uint64_t)row * x->row_bytes;
    u.n_bytes = (uint32_t)x->row_bytes;
    u.part = x->part;
    return u;
}
/* Where nobody reads ahead, the io is told. */
static void aios__rows_hint(const aios__rows *r, const aios__unit *u) {
    const aios_io *io = &r->s->io[u->part];
    if (r->s->how == AIOS__READ_INLINE && io->soon)
        io->soon(io->user, aios__unit_start(u, io), aios__unit_read_bytes(u, io));
}
/* The slot that a row is in, or will be; -1 = none. */
static int32_t aios__rows_find(const aios__rows *r, int64_t key) {
    int32_t i;
    for (i = 0; i < r->n_slots && r->key[i] != key; i++) {}
    return i < r->n_slots ? i : -1;
}
/* A slot that nobody waits for and nothing is read into, -1 = none now. */
static int32_t aios__rows_victim(aios__rows *r) {
    for (int32_t i = 0; i < r->n_slots; i++) {
        int32_t k = r->next;
        r->next = k + 1 < r->n_slots ? k + 1 : 0;
        if (!r->busy[k] && aios__rows_slot(r, k)->state != AIOS__SLOT_READING &&
            aios__rows_slot(r, k)->state != AIOS__SLOT_WANTED)
            return k;
    }
    return -1;
}
/* Finds slots for rows that have none yet, and asks for them. 0 = not for all: something that
 * nobody waits for any more is still being read. */
static int32_t aios__rows_assign(aios__rows *r) {
    const aios__table *x = &r->table[r->now];
    for (int32_t i = 0; i < r->n; i++) {
        int64_t key = (int64_t)r->row[r->t0 + i] * AIOS__N_TABLES + r->now;
        aios__slot *slot;
        aios__unit u;
        /* the same row may have been asked for just now */
        if (r->at[i] != -1 || (r->at[i] = aios__rows_find(r, key)) >= 0) continue;
        if ((r->at[i] = aios__rows_victim(r)) < 0) return 0;
        r->key[r->at[i]] = key;
        r->busy[r->at[i]] = 1;
        slot = aios__rows_slot(r, r->at[i]);
        u = aios__rows_unit(x, r->row[r->t0 + i]);
        slot->part = u.part;
        slot->off = aios__unit_start(&u, &r->s->io[u.part]);
        slot->want = aios__unit_read_bytes(&u, &r->s->io[u.part]);
        aios__rows_hint(r, &u);
        aios__stream_want(r->s, slot);
    }
    return 1;
}
/* Asks for the rows row[t0 ..] of a table, as many of the n as there are slots, and forgets what
 * was asked for before. */
static void aios__rows_ask(aios__rows *r, int32_t table, const int32_t *row, int32_t t0,
                           int32_t n) {
    aios__crew_lock(&r->s->crew);
    r->now = table;
    r->row = row;
    r->t0 = t0;
    r->n = n < r->n_slots ? n : r->n_slots;
    memset(r->busy, 0, (size_t)r->n_slots);
    for (int32_t i = 0; i < r->n; i++) { /* what is there, before slots are given away */
        aios__slot *slot;
        r->at[i] = (uint32_t)row[t0 + i] < r->table[table].n_resident
                       ? -2
                       : aios__rows_find(r, (int64_t)row[t0 + i] * AIOS__N_TABLES + table);
        if (r->at[i] < 0) continue;
        slot = aios__rows_slot(r, r->at[i]);
        r->busy[r->at[i]] = 1;
        if (slot->state == AIOS__SLOT_EMPTY || slot->state == AIOS__SLOT_FAILED)
            aios__stream_want(r->s, slot);
    }
    aios__rows_assign(r);
    aios__stream_pump(r->s);
    aios__crew_unlock(&r->s->crew);
}
/* The same for the tokens that come next. */
static void aios__rows_ahead(aios__rows *r) {
    const aios__table *x = &r->table[AIOS__EMBD_TABLE];
    if (!x->row_bytes) return;
    if (r->s->how != AIOS__READ_INLINE) {
        aios__rows_ask(r, AIOS__EMBD_TABLE, r->soon, 0, r->n_soon);
        return;
    }
    for (int32_t i = 0; i < r->n_soon; i++) {
        aios__unit u = aios__rows_unit(x, r->soon[i]);
        if ((uint32_t)r->soon[i] >= x->n_resident) aios__rows_hint(r, &u);
    }
}
/* Are the rows of this round there? 1 = yes; 0 = not yet; AIOS_ERR_*: one cannot be read. */
static int32_t aios__rows_try(aios__rows *r, uint64_t timeout_ns) {
    int32_t res = 0;
    aios__crew_lock(&r->s->crew);
    for (int32_t moved = 0;; moved = 1) {
        const aios__slot *wait = NULL;
        int32_t all = aios__rows_assign(r);
        for (int32_t i = 0; i < r->n && i < r->per_round && !wait; i++)
            if (r->at[i] >= 0 && aios__rows_slot(r, r->at[i])->state != AIOS__SLOT_READY)
                wait = aios__rows_slot(r, r->at[i]);
        if (wait && wait->state == AIOS__SLOT_FAILED) {
            r->s->bad = wait;
            res = AIOS_ERR_IO;
        }
        if (!wait && all) res = 1;
        if (res || moved) break;
        for (int32_t i = 0; !wait && i < r->n_slots; i++)
            if (aios__rows_slot(r, i)->state == AIOS__SLOT_READING) wait = aios__rows_slot(r, i);
        aios__stream_move(r->s, wait ? wait->part : 0, timeout_ns);
    }
    aios__crew_unlock(&r->s->crew);
    return res;
}
/* Where the row of a pass's token t lies; NULL: with those in memory. */
static inline const char *aios__rows_data(const aios__rows *r, int32_t t) {
    const aios__table *x = &r->table[r->now];
    if (r->at[t - r->t0] < 0) return NULL;
    const aios__slot *slot = aios__rows_slot(r, r->at[t - r->t0]);
    return slot->dst + (x->off + (uint64_t)r->row[t] * x->row_bytes - slot->off);
}

AIOS__SMALL_END

/* ======== memory/moe.c ======== */
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

/* ======== memory/experts.c ======== */
/* experts.c: experts that are not resident: a cache of slots beside the ring of stream.c. Behind
 * moe.c, whose lists say which experts a layer wants.
 *
 * A bundle is what one expert of one layer has: its rows of gate, up and down. Bundles live in a
 * cache of slots; what a layer wants and the cache lacks is read. A layer works on its experts
 * in one order: first those that are there, then the others, each kind ascending; it takes as
 * many of them at a time as are there, waiting for the first. Who is through gives its slot to
 * the next that has none, so one slot is enough for any prompt, and each bundle is read once in
 * a pass at the most.
 *
 * What leaves: the bundle that was used the least, uses counting half after as many layers as it
 * takes to use every slot once; among equals the one whose use is the longest ago, among these
 * the first. No expert of the layer at work leaves before it is through. Of made traces (16
 * layers, 8 of 64 experts; uniform or Zipf, with and without experts that stay from token to
 * token, and with favourites that change every 40 to 200 tokens; room for 12, 25, 50, 75 % of
 * all) this half-life never has fewer hits than least recently used: 0 to 6 points more, 5 to 25
 * at 12 %. A longer one has up to 10 more while favourites stay, and 18 to 27 fewer when they
 * change. From 25 % on (two tokens' worth) at most 3 % of what is missing was used by the token
 * before: too little to be read ahead on a guess.
 *
 * The policy looks at routes alone, not at the time, so the same tokens have the same hits
 * whoever reads, if no read fails. */

/* The matrix of one expert, where each is a tensor of its own: in memory (NULL: not resident),
 * in a file. */
typedef struct aios__expert {
    const void *p;
    uint64_t off;
    uint32_t part, reserved;
} aios__expert;

AIOS__SMALL_BEGIN
enum { AIOS__EXPERT_USE = 256 };
/* Of a layer. each: NULL, or where each expert's matrix is; else they lie one after the other,
 * off is that of expert 0. */
typedef struct aios__bundle {
    const aios__expert *each[AIOS__N_EXPERT_MATRICES];
    uint64_t off[AIOS__N_EXPERT_MATRICES];
    uint32_t part[AIOS__N_EXPERT_MATRICES], n_bytes[AIOS__N_EXPERT_MATRICES];
} aios__bundle;
static inline aios__unit aios__bundle_unit(const aios__bundle *l, int32_t expert, int32_t which) {
    const aios__expert *p = l->each[which] ? &l->each[which][expert] : NULL;
    aios__unit u;
    u.off = p ? p->off : l->off[which] + (uint64_t)expert * l->n_bytes[which];
    u.part = p ? p->part : l->part[which];
    u.n_bytes = l->n_bytes[which];
    return u;
}

typedef struct aios__expert_cache {
    aios__stream *s;
    aios__moe *moe;
    aios__bundle *layer; /* [n_layer] */
    /* half: log2 of the layers after which a use counts half, rounded down */
    uint32_t n_slots, half;
    uint64_t slot_bytes, matrix_off[AIOS__N_EXPERT_MATRICES];
    char *base;
    int32_t *slot_of;            /* [n_layer * n_expert] slot of a bundle, or -1 */
    uint32_t *uses, *last;       /* [n_layer * n_expert] of what is in no slot: uses, when last */
    int32_t *in;                 /* [n_slots] the bundle in a slot, or -1 */
    uint32_t *in_uses, *in_last; /* [n_slots] of that bundle */
    uint8_t *busy;               /* [n_slots] 1 = of the layer at work */
    uint32_t clock;              /* layers so far */
    int32_t at, n, done, due, asked; /* layer; its experts: all, through, at work, with slots */
    int32_t given;                   /* of those that are through, whose slots have gone on */
    uint64_t n_hits, n_misses;
} aios__expert_cache;

static void aios__expert_cache_layout(aios__expert_cache *c, aios__bump *b, uint64_t n_layer,
                                      uint64_t n_expert, uint64_t n_slots) {
    uint64_t n = n_slots ? n_layer * n_expert : 0;
    c->layer = (aios__bundle *)aios__take(b, n_slots ? n_layer * sizeof *c->layer : 0, 8);
    c->slot_of = (int32_t *)aios__take(b, n * 4, 8);
    c->uses = (uint32_t *)aios__take(b, n * 4, 8);
    c->last = (uint32_t *)aios__take(b, n * 4, 8);
    c->in = (int32_t *)aios__take(b, n_slots * 4, 8);
    c->in_uses = (uint32_t *)aios__take(b, n_slots * 4, 8);
    c->in_last = (uint32_t *)aios__take(b, n_slots * 4, 8);
    c->busy = (uint8_t *)aios__take(b, n_slots, 8);
}
static void aios__expert_cache_start(aios__expert_cache *c, aios__stream *s, aios__moe *m,
                                     int32_t n_layer) {
    c->s = s;
    c->moe = m;
    for (uint32_t i = 0; i < (uint32_t)n_layer * (uint32_t)m->n_expert; i++) c->slot_of[i] = -1;
    for (uint32_t i = 0; i < c->n_slots; i++) c->in[i] = -1;
    for (c->half = 0; 2u << c->half <= c->n_slots / (uint32_t)m->n_used; c->half++) {}
}
static inline aios__slot *aios__expert_cache_reads(const aios__expert_cache *c, int32_t slot) {
    return &c->s->slot[c->s->n_slots + (uint32_t)slot * AIOS__N_EXPERT_MATRICES];
}
/* Is a bundle in a slot, or on its way there? */
static int32_t aios__expert_cache_has(const aios__expert_cache *c, int32_t bundle) {
    if (c->slot_of[bundle] < 0) return 0;
    const aios__slot *r = aios__expert_cache_reads(c, c->slot_of[bundle]);
    return r[0].state != AIOS__SLOT_EMPTY && r[0].state != AIOS__SLOT_FAILED &&
           r[1].state != AIOS__SLOT_EMPTY && r[1].state != AIOS__SLOT_FAILED &&
           r[2].state != AIOS__SLOT_EMPTY && r[2].state != AIOS__SLOT_FAILED;
}
static uint32_t aios__expert_cache_aged(const aios__expert_cache *c, uint32_t uses, uint32_t last) {
    uint32_t age = (c->clock - last) >> c->half;
    return age > 31 ? 0 : uses >> age;
}
/* The slot that is given away next, -1 = none can be now. */
static int32_t aios__expert_cache_victim(const aios__expert_cache *c) {
    uint32_t k, best_uses = 0, best_last = 0;
    int32_t best = -1;
    for (uint32_t i = 0; i < c->n_slots; i++) {
        uint32_t uses, last;
        if (c->busy[i]) continue;
        uses = c->in[i] < 0 ? 0 : aios__expert_cache_aged(c, c->in_uses[i], c->in_last[i]);
        last = c->in[i] < 0 ? 0 : c->in_last[i];
        if (best >= 0 && (uses > best_uses || (uses == best_uses && last >= best_last))) continue;
        /* of a pass that was dropped */
        for (k = 0; k < AIOS__N_EXPERT_MATRICES; k++)
            if (aios__expert_cache_reads(c, (int32_t)i)[k].state == AIOS__SLOT_READING) break;
        if (k < AIOS__N_EXPERT_MATRICES) continue;
        best = (int32_t)i;
        best_uses = uses;
        best_last = last;
    }
    return best;
}
/* Asks for a bundle of the layer at work, in a slot. */
static void aios__expert_cache_ask(aios__expert_cache *c, int32_t expert, int32_t slot) {
    int32_t bundle = c->at * c->moe->n_expert + expert, old = c->in[slot];
    const aios__bundle *l = &c->layer[c->at];
    aios__slot *r = aios__expert_cache_reads(c, slot);
    if (old != bundle) {
        if (old >= 0) {
            c->slot_of[old] = -1;
            c->uses[old] = c->in_uses[slot];
            c->last[old] = c->in_last[slot];
        }
        c->in[slot] = bundle;
        c->slot_of[bundle] = slot;
        c->in_uses[slot] =
            aios__expert_cache_aged(c, c->uses[bundle], c->last[bundle]) + AIOS__EXPERT_USE;
        c->in_last[slot] = c->clock;
        for (int32_t k = 0; k < AIOS__N_EXPERT_MATRICES; k++) {
            aios__unit u = aios__bundle_unit(l, expert, k);
            r[k].state = AIOS__SLOT_EMPTY;
            r[k].part = u.part;
            r[k].off = aios__unit_start(&u, &c->s->io[u.part]);
            r[k].want = aios__unit_read_bytes(&u, &c->s->io[u.part]);
            r[k].dst = c->base + (uint64_t)slot * c->slot_bytes + c->matrix_off[k];
        }
    }
    c->busy[slot] = 1;
    for (int32_t k = 0; k < AIOS__N_EXPERT_MATRICES; k++)
        if (r[k].state == AIOS__SLOT_EMPTY || r[k].state == AIOS__SLOT_FAILED)
            aios__stream_want(c->s, &r[k]);
}
/* Asks for as many as there are slots. */
static void aios__expert_cache_asks(aios__expert_cache *c) {
    for (; c->asked < c->n; c->asked++) {
        int32_t e = c->moe->order[c->asked], slot = c->slot_of[c->at * c->moe->n_expert + e];
        if (slot < 0)
            slot = c->given < c->done
                       ? c->slot_of[c->at * c->moe->n_expert + c->moe->order[c->given]]
                       : aios__expert_cache_victim(c);
        if (slot < 0) return;
        if (c->given < c->done && c->in[slot] == c->at * c->moe->n_expert + c->moe->order[c->given])
            c->given++;
        aios__expert_cache_ask(c, e, slot);
    }
}
/* A layer begins: puts its experts in order, what is there first, and asks for the others. */
static void aios__expert_cache_begin(aios__expert_cache *c, int32_t layer) {
    aios__moe *m = c->moe;
    int32_t n = 0;
    aios__crew_lock(&c->s->crew);
    memset(c->busy, 0, c->n_slots);
    c->clock++;
    c->at = layer;
    c->n = m->n_active;
    c->done = c->due = c->given = 0;
    for (int32_t i = 0; i < c->n; i++) {
        int32_t e = m->order[i], bundle = layer * m->n_expert + e, slot = c->slot_of[bundle];
        if (slot >= 0) {
            c->in_uses[slot] =
                aios__expert_cache_aged(c, c->in_uses[slot], c->in_last[slot]) + AIOS__EXPERT_USE;
            c->in_last[slot] = c->clock;
        }
        if (!aios__expert_cache_has(c, bundle)) {
            c->n_misses++;
            continue;
        }
        /* one that a dropped pass left empty is not: the expert before it may need the room */
        c->busy[slot] = 1;
        c->n_hits++;
        for (int32_t k = i; k > n; k--) m->order[k] = m->order[k - 1];
        m->order[n++] = e;
    }
    c->asked = n;
    aios__expert_cache_asks(c);
    aios__stream_pump(c->s);
    aios__crew_unlock(&c->s->crew);
}
/* Are the next experts there? Takes all that are, as the blocks that are due. 1 = yes; 0 = not
 * yet; AIOS_ERR_*: they cannot be read. */
static int32_t aios__expert_cache_try(aios__expert_cache *c, uint64_t timeout_ns) {
    aios__moe *m = c->moe;
    int32_t k, r = 0, moved = 0;
    aios__crew_lock(&c->s->crew);
    for (c->due = c->done;;) {
        const aios__slot *wait = NULL, *s;
        aios__expert_cache_asks(c);
        if (c->due == c->asked && c->due > c->done) break;
        if (c->due < c->asked) {
            s = aios__expert_cache_reads(c, c->slot_of[c->at * m->n_expert + m->order[c->due]]);
            for (k = 0; k < AIOS__N_EXPERT_MATRICES; k++) {
                if (s[k].state == AIOS__SLOT_FAILED && c->due == c->done) {
                    c->s->bad = &s[k];
                    r = AIOS_ERR_IO;
                }
                if (s[k].state != AIOS__SLOT_READY && (!wait || s[k].state == AIOS__SLOT_READING))
                    wait = &s[k];
            }
            if (!wait) {
                c->due++;
                continue;
            }
        } else
            for (k = 0; k < (int32_t)(c->n_slots * AIOS__N_EXPERT_MATRICES);
                 k++) /* all slots wait for a pass that was dropped */
                if (aios__expert_cache_reads(c, 0)[k].state == AIOS__SLOT_READING)
                    wait = &aios__expert_cache_reads(c, 0)[k];
        if (c->due > c->done || r || moved || !wait) break;
        moved = 1;
        aios__stream_move(c->s, wait->part, timeout_ns);
    }
    if (c->due > c->done) {
        r = 1;
        for (k = c->done, m->block1 = m->block0; m->block1 < m->n_blocks; m->block1++)
            if (m->block[m->block1].expert != m->order[k] && ++k == c->due) break;
    }
    aios__crew_unlock(&c->s->crew);
    return r;
}
AIOS__SMALL_END
/* Where a matrix of an expert that is due lies. */
static inline const void *aios__expert_cache_data(const aios__expert_cache *c, int32_t expert,
                                                  int32_t which) {
    int32_t slot = c->slot_of[c->at * c->moe->n_expert + expert];
    aios__unit u = aios__bundle_unit(&c->layer[c->at], expert, which);
    return c->base + (uint64_t)slot * c->slot_bytes + c->matrix_off[which] +
           (u.off - aios__unit_start(&u, &c->s->io[u.part]));
}
AIOS__SMALL_BEGIN
/* Those that were due are through. 1 = there are more. */
static int32_t aios__expert_cache_next(aios__expert_cache *c) {
    aios__crew_lock(&c->s->crew);
    c->done = c->due;
    c->moe->block0 = c->moe->block1;
    c->moe->block1 = c->moe->n_blocks; /* until it is known which are there */
    aios__expert_cache_asks(c);
    aios__stream_pump(c->s);
    aios__crew_unlock(&c->s->crew);
    return c->done < c->n;
}
AIOS__SMALL_END

/* ======== kv/kv.c ======== */
/* kv.c: where the cache is. Knows pages, tables and who sees what; not what is in a tile.
 *
 * A position of a sequence has a cell; 64 cells are a tile; a page holds the tiles of 64 cells
 * for every head of a group of layers: [layer][head][tile]. Layers with a sliding window are a
 * group of their own, so that they hold no more than they see. A tile can exist in up to three
 * forms, each in pages of its own pool, found through a table per sequence:
 *
 *   OPEN     as positions are written: f16 (or f32), rotated where the type is a coded one
 *   SEALED   of the type that was planned, made when all 64 positions are there
 *   OLD      of a cheaper type, made when the tile is more than `recent` tiles back
 *
 * Which form a query sees follows from its cell alone, so that no chunking and no company
 * changes a bit: its own tile and the first `keep` ones open, the others sealed, those far back
 * old (aios__kv_look). A type that is not coded has open tiles alone.
 *
 * Pages are counted: a fork shares those of its source, and who writes into a shared one gets a
 * copy first. An open page whose tile is sealed stays as a spare until its room is needed: a
 * sequence that is cut back a little goes on at once.
 *
 * Slots are positions until tokens are taken out of the middle (aios__kv_remove): then spans say
 * which cells are alive, and by how much a query is to be turned before it meets their keys. */

enum { AIOS__NO_PAGE = -1 };
enum {
    AIOS__KV_OPEN = 0,
    AIOS__KV_SEALED = 1,
    AIOS__KV_OLD = 2,
    AIOS__N_FORMS = 3,
    AIOS__N_GROUPS = 2,
    AIOS__MAX_SPANS = 16
};
enum { AIOS__ROTATED_K = 1, AIOS__ROTATED_V = 2 };

typedef struct aios__pages {
    int32_t n, n_free;
    uint64_t bytes; /* of one */
    char *base;
    int32_t *free_page; /* [n] stack of those not in use */
    int32_t *refs;      /* [n] tables that name it */
} aios__pages;

/* Slots from .. to-1 are alive. off: position that their keys were turned for, minus the one
 * they have. */
typedef struct aios__span {
    int32_t from, to, off;
} aios__span;
typedef struct aios__kv_seq {
    int32_t n_spans, n_spilled, n_spares[AIOS__N_GROUPS];
    /* of the next cell; past the last that has pages; first that is not old yet */
    int32_t tile, top, aged;
    aios__span span[AIOS__MAX_SPANS];
} aios__kv_seq;

/* Work that a pass does on whole tiles: the open tile was shared, from = page to copy */
typedef struct aios__kv_copy {
    int32_t g, seq, t, from;
} aios__kv_copy;
/* OPEN -> SEALED, then SEALED -> OLD */
typedef struct aios__kv_seal {
    int32_t seq, t, seal, age;
} aios__kv_seal;

typedef struct aios__kv {
    const aios__hp_layer *layer; /* [n_layer] the model's */
    int32_t n_layer, n_seq, seq_tiles;
    int32_t coded;                  /* tiles are sealed */
    int32_t keep;                   /* first tiles that stay open */
    int32_t recent;                 /* tiles before the query's own that are not old */
    int32_t sinks[AIOS__N_GROUPS];  /* first tiles that are always seen */
    int32_t behind[AIOS__N_GROUPS]; /* tiles before the query's own that are seen */
    int32_t heavy;                  /* and tiles between, in group 0: those with the most mass */
    int32_t n_jobs;                 /* most seals of a pass */
    aios__pages pool[AIOS__N_GROUPS][AIOS__N_FORMS];
    int32_t *page[AIOS__N_GROUPS][AIOS__N_FORMS]; /* [n_seq][seq_tiles], or AIOS__NO_PAGE */
    uint8_t *group;                               /* [n_layer] */
    uint8_t *rotated;                             /* [n_layer] AIOS__ROTATED_* */
    int32_t *type[AIOS__N_FORMS];                 /* [n_layer] */
    /* [n_layer] the layer's tiles in a page */
    uint64_t *tile_bytes[AIOS__N_FORMS], *tile_off[AIOS__N_FORMS];
    aios__kv_seq *seq;   /* [n_seq] */
    aios__kv_copy *copy; /* [n_seq * N_GROUPS] */
    aios__kv_seal *seal; /* [n_jobs] */
    int32_t n_copies, n_seals;
    uint64_t *mass;    /* [n_seq][seq_tiles] attention that a tile has got; NULL unless heavy */
    int32_t *mass_now; /* the same of the pass under way */
    uint64_t bytes, pos_bytes; /* of all pools; of one position in all layers */
} aios__kv;

static int32_t aios__kv_group(const aios_model *m, int32_t layer) {
    return m->hp.layer[layer].window != 0;
}

AIOS__SMALL_BEGIN
/* ---- sizes ---- */
enum { AIOS__ALL = 1 << 28 }; /* more tiles than there can be */
static int32_t aios__tiles(int64_t n) { return (int32_t)((n + AIOSK_TILE - 1) / AIOSK_TILE); }
static int32_t aios__coded(int32_t type) {
    return aiosk_kv_coded(aiosk_kv_k(type)) || aiosk_kv_coded(aiosk_kv_v(type));
}
/* The type of a layer's tiles in a form. */
static int32_t aios__kv_type(const aios_plan *p, int32_t layer, int32_t form) {
    int32_t t =
        p->kv_layer_type && p->kv_layer_type[layer] >= 0 ? p->kv_layer_type[layer] : p->kv_type;
    if (form == AIOS__KV_OPEN) return p->kv_type == AIOSK_KV_F32 ? AIOSK_KV_F32 : AIOSK_KV_F16;
    return form == AIOS__KV_OLD && p->kv_old_type > 0 &&
                   aiosk_tile_bytes(p->kv_old_type, 64, 64) < aiosk_tile_bytes(t, 64, 64)
               ? p->kv_old_type
               : t;
}
/* Of one key/value head of a layer. */
static uint64_t aios__tile_bytes(const aios_model *m, int32_t layer, int32_t type) {
    return aiosk_tile_bytes(type, m->hp.layer[layer].hd_k, m->hp.layer[layer].hd_v);
}
static int32_t aios__kv_is_coded(const aios_model *m, const aios_plan *p) {
    int32_t any = 0;
    for (int32_t l = 0; l < m->hp.n_layer; l++)
        any |= aios__coded(aios__kv_type(p, l, AIOS__KV_SEALED)) ||
               aios__coded(aios__kv_type(p, l, AIOS__KV_OLD));
    return any;
}
static void aios__kv_arrays(aios__kv *kv, aios__bump *meta) {
    uint64_t n_layer = (uint64_t)kv->n_layer, n_seq = (uint64_t)kv->n_seq,
             n = n_seq * (uint64_t)kv->seq_tiles;
    kv->group = (uint8_t *)aios__take(meta, n_layer, 8);
    kv->rotated = (uint8_t *)aios__take(meta, n_layer, 8);
    kv->seq = (aios__kv_seq *)aios__take(meta, n_seq * sizeof *kv->seq, 8);
    kv->copy = (aios__kv_copy *)aios__take(meta, n_seq * AIOS__N_GROUPS * sizeof *kv->copy, 8);
    kv->seal = (aios__kv_seal *)aios__take(meta, (uint64_t)kv->n_jobs * sizeof *kv->seal, 8);
    if (kv->heavy) {
        kv->mass = (uint64_t *)aios__take(meta, n * 8, 8);
        kv->mass_now = (int32_t *)aios__take(meta, n * 4, 8);
    }
    for (int32_t f = 0; f < AIOS__N_FORMS; f++) {
        kv->type[f] = (int32_t *)aios__take(meta, n_layer * 4, 8);
        kv->tile_bytes[f] = (uint64_t *)aios__take(meta, n_layer * 8, 8);
        kv->tile_off[f] = (uint64_t *)aios__take(meta, n_layer * 8, 8);
        for (int32_t g = 0; g < AIOS__N_GROUPS; g++) {
            aios__pages *p = &kv->pool[g][f];
            if (!p->n) continue;
            uint64_t n_pages = (uint64_t)p->n;
            kv->page[g][f] = (int32_t *)aios__take(meta, n * 4, 8);
            p->free_page = (int32_t *)aios__take(meta, n_pages * 4, 8);
            p->refs = (int32_t *)aios__take(meta, n_pages * 4, 8);
        }
    }
}

/* The widest window of a group's layers; -1 when it has none. */
static int32_t aios__kv_widest(const aios_model *m, int32_t g) {
    int32_t widest = -1;
    for (int32_t l = 0; l < m->hp.n_layer; l++)
        if (aios__kv_group(m, l) == g && m->hp.layer[l].window > widest)
            widest = m->hp.layer[l].window;
    return widest;
}
/* Bytes of a group's pages by form. 0 when they cannot be counted. */
static int32_t aios__kv_page_bytes(const aios_model *m, const aios_plan *p, int32_t g,
                                   uint64_t bytes[AIOS__N_FORMS]) {
    memset(bytes, 0, AIOS__N_FORMS * sizeof *bytes);
    for (int32_t l = 0; l < m->hp.n_layer; l++) {
        if (aios__kv_group(m, l) != g) continue;
        for (int32_t f = 0; f < AIOS__N_FORMS; f++) {
            uint64_t tile;
            if (!aios__mul(aios__tile_bytes(m, l, aios__kv_type(p, l, f)),
                           (uint64_t)m->hp.layer[l].n_head_kv, &tile) ||
                !aios__add(bytes[f], tile, &bytes[f]))
                return 0;
        }
    }
    return 1;
}
/* Tiles that a pass fills, at most. */
static int64_t aios__kv_filled(const aios_plan *p) {
    int64_t together = p->n_seq < p->n_batch ? p->n_seq : p->n_batch;
    return (p->n_batch + 63 * together) / AIOSK_TILE;
}
/* Pages of a group by form: what all sequences see, and what a pass has under way. */
static void aios__kv_page_counts(const aios__kv *kv, const aios_plan *p, int32_t g,
                                 int64_t n[AIOS__N_FORMS]) {
    int64_t together = p->n_seq < p->n_batch ? p->n_seq : p->n_batch;
    /* tiles that a pass begins, but for one of each sequence */
    int64_t begun = (p->n_batch + 62 * together) / AIOSK_TILE, filled = aios__kv_filled(p);
    /* its own tile, and one that a little cutting back needs */
    int64_t sees = (int64_t)kv->sinks[g] + kv->behind[g] + (g == 0 ? kv->heavy : 0) + 2;
    if (sees > kv->seq_tiles) sees = kv->seq_tiles;
    n[AIOS__KV_OPEN] = sees * p->n_seq + begun;
    n[AIOS__KV_SEALED] = n[AIOS__KV_OLD] = 0;
    if (kv->coded) {
        int64_t sealed = sees - kv->keep;
        /* sequences that do not begin with another's first tile */
        int64_t firsts =
            p->kv_positions ? (p->kv_positions + (int64_t)p->n_ctx - 1) / p->n_ctx : p->n_seq;
        if (firsts > p->n_seq) firsts = p->n_seq;
        n[AIOS__KV_OPEN] = p->n_seq + kv->keep * firsts + begun;
        /* one that ages in the next pass, one that a little cutting back needs */
        if (kv->recent < sealed) {
            n[AIOS__KV_OLD] = (sealed - kv->recent) * p->n_seq + filled;
            if (sealed > kv->recent + 2) sealed = kv->recent + 2;
        }
        n[AIOS__KV_SEALED] = sealed * p->n_seq + filled;
    }
    int64_t most = (int64_t)kv->seq_tiles * p->n_seq,
            cap = p->kv_positions ? aios__tiles(p->kv_positions) : most;
    if (cap > most) cap = most;
    for (int32_t f = 0; f < AIOS__N_FORMS; f++) {
        int64_t top = f == AIOS__KV_OPEN && kv->coded ? most : cap;
        if (n[f] > top) n[f] = top;
    }
}
/* What the plan's numbers mean in tiles, and how many pages that takes. 0 when it cannot be
 * counted. */
static int32_t aios__kv_size(aios__kv *kv, const aios_model *m, const aios_plan *p) {
    int64_t together = p->n_seq < p->n_batch ? p->n_seq : p->n_batch;
    memset(kv, 0, sizeof *kv);
    kv->layer = m->hp.layer;
    kv->n_layer = m->hp.n_layer;
    kv->n_seq = p->n_seq;
    kv->seq_tiles = aios__tiles(p->n_ctx);
    if ((int64_t)kv->seq_tiles * p->n_seq > INT32_MAX) return 0;
    kv->coded = aios__kv_is_coded(m, p);
    kv->keep = kv->coded ? 1 : 0;
    kv->heavy = aios__tiles(p->kv_heavy);
    kv->recent = kv->coded && p->kv_old_type > 0 ? aios__tiles(p->kv_recent) : (int32_t)AIOS__ALL;
    kv->n_jobs = (int32_t)(2 * aios__kv_filled(p) + 2 * together + 2);
    if (p->kv_window && p->kv_sinks >= 0) kv->sinks[0] = aios__tiles(p->kv_sinks ? p->kv_sinks : 1);
    kv->behind[0] = p->kv_window ? aios__tiles(p->kv_window) : (int32_t)AIOS__ALL;
    for (int32_t g = 0; g < AIOS__N_GROUPS; g++) {
        int32_t widest = aios__kv_widest(m, g);
        if (g) kv->behind[g] = (widest + 62) / AIOSK_TILE;
        if (widest < 0) continue;
        uint64_t bytes[AIOS__N_FORMS], all;
        int64_t n[AIOS__N_FORMS];
        if (!aios__kv_page_bytes(m, p, g, bytes)) return 0;
        aios__kv_page_counts(kv, p, g, n);
        for (int32_t f = 0; f < AIOS__N_FORMS; f++) {
            kv->pool[g][f].n = (int32_t)n[f];
            kv->pool[g][f].bytes = bytes[f];
            if (!aios__mul(bytes[f], (uint64_t)kv->pool[g][f].n, &all) ||
                !aios__add(kv->bytes, all, &kv->bytes))
                return 0;
        }
        kv->pos_bytes += bytes[kv->coded ? AIOS__KV_SEALED : AIOS__KV_OPEN] / AIOSK_TILE;
    }
    return 1;
}
/* Of positions a .. b-1, those that are seen when the first `sinks` are, and all from `from` on. */
static int64_t aios__kv_seen_of(int64_t sinks, int64_t from, int64_t a, int64_t b) {
    int64_t first = (sinks < b ? sinks : b) - a, rest = b - (from > a ? from : a);
    return (first > 0 ? first : 0) + (rest > 0 ? rest : 0);
}
/* Positions that the last of n sees in a layer, by their form. */
static void aios__kv_seen(const aios__kv *kv, int32_t window, int64_t n,
                          int64_t seen[AIOS__N_FORMS]) {
    int64_t own = (n - 1) / AIOSK_TILE * AIOSK_TILE, keep = (int64_t)kv->keep * AIOSK_TILE,
            old = own - (int64_t)kv->recent * AIOSK_TILE;
    if (!kv->coded || keep > own) keep = own;
    if (old < keep) old = keep;
    /* heavy tiles: as if they were the next ones */
    int64_t sinks = window ? 0 : (int64_t)kv->sinks[0] * AIOSK_TILE,
            from = window ? n - window : own - ((int64_t)kv->behind[0] + kv->heavy) * AIOSK_TILE;
    if (from < sinks) from = sinks;
    seen[AIOS__KV_OPEN] =
        aios__kv_seen_of(sinks, from, 0, keep) + aios__kv_seen_of(sinks, from, own, n);
    seen[AIOS__KV_SEALED] = aios__kv_seen_of(sinks, from, old, own);
    seen[AIOS__KV_OLD] = aios__kv_seen_of(sinks, from, keep, old);
}
/* Bytes that the query at the end of a full context reads: kv of aios__kv_size. */
static uint64_t aios__kv_read_bytes(const aios__kv *kv, const aios_model *m, const aios_plan *p) {
    uint64_t sum = 0;
    for (int32_t l = 0; l < m->hp.n_layer; l++) {
        int64_t seen[AIOS__N_FORMS];
        aios__kv_seen(kv, m->hp.layer[l].window, p->n_ctx, seen);
        for (int32_t f = 0; f < AIOS__N_FORMS; f++)
            sum += (uint64_t)seen[f] * (uint64_t)m->hp.layer[l].n_head_kv *
                   (aios__tile_bytes(m, l, aios__kv_type(p, l, f)) / AIOSK_TILE);
    }
    return sum;
}
static void aios__kv_clear_seq(aios__kv_seq *s) {
    memset(s, 0, sizeof *s);
    s->n_spans = 1;
    s->span[0].to = INT32_MAX;
}
static void aios__kv_start(aios__kv *kv, const aios_model *m, const aios_plan *p, void *base) {
    char *at = (char *)base;
    for (int32_t i = 0; i < kv->n_seq; i++) aios__kv_clear_seq(&kv->seq[i]);
    for (int32_t g = 0; g < AIOS__N_GROUPS; g++)
        for (int32_t f = 0; f < AIOS__N_FORMS; f++) {
            aios__pages *x = &kv->pool[g][f];
            uint64_t off = 0;
            for (int32_t l = 0; l < kv->n_layer; l++) {
                if (aios__kv_group(m, l) != g) continue;
                kv->group[l] = (uint8_t)g;
                kv->type[f][l] = aios__kv_type(p, l, f);
                if (kv->coded && aiosk_kv_coded(aiosk_kv_k(kv->type[f][l])))
                    kv->rotated[l] |= AIOS__ROTATED_K;
                if (kv->coded && aiosk_kv_coded(aiosk_kv_v(kv->type[f][l])))
                    kv->rotated[l] |= AIOS__ROTATED_V;
                kv->tile_bytes[f][l] = aios__tile_bytes(m, l, kv->type[f][l]);
                kv->tile_off[f][l] = off;
                off += kv->tile_bytes[f][l] * (uint64_t)kv->layer[l].n_head_kv;
            }
            if (!x->n) continue;
            x->base = at;
            at += x->bytes * (uint64_t)x->n;
            x->n_free = x->n;
            for (int32_t i = 0; i < x->n; i++) {
                x->free_page[i] = x->n - 1 - i;
                x->refs[i] = 0;
            }
            for (int32_t i = 0; i < kv->n_seq * kv->seq_tiles; i++)
                kv->page[g][f][i] = AIOS__NO_PAGE;
        }
}

AIOS__SMALL_END
/* ---- pages ---- */
/* Where a sequence begins in what is [n_seq][seq_tiles]. */
static int64_t aios__kv_first(const aios__kv *kv, int32_t seq) {
    return (int64_t)seq * kv->seq_tiles;
}
static int32_t *aios__kv_row(const aios__kv *kv, int32_t g, int32_t form, int32_t seq) {
    return kv->page[g][form] ? kv->page[g][form] + aios__kv_first(kv, seq) : NULL;
}
static int32_t aios__page_at(const aios__kv *kv, int32_t g, int32_t form, int32_t seq, int32_t t) {
    const int32_t *row = aios__kv_row(kv, g, form, seq);
    return row ? row[t] : (int32_t)AIOS__NO_PAGE;
}
static void *aios__tile_of(const aios__kv *kv, int32_t g, int32_t form, int32_t page, int32_t layer,
                           int32_t head) {
    return kv->pool[g][form].base + (uint64_t)page * kv->pool[g][form].bytes +
           kv->tile_off[form][layer] + (uint64_t)head * kv->tile_bytes[form][layer];
}

/* ---- who sees what ---- */
/* The form in which a query of tile own sees tile t. */
static int32_t aios__kv_rule(const aios__kv *kv, int32_t own, int32_t t) {
    return !kv->coded || t == own || t < kv->keep ? AIOS__KV_OPEN
           : own - t > kv->recent                 ? AIOS__KV_OLD
                                                  : AIOS__KV_SEALED;
}
/* The tile t that a query of tile own sees, in *form; NULL when it sees none. What the rule asks
 * for may be gone after tokens were taken out: then it sees what there is. */
static void *aios__kv_look(const aios__kv *kv, int32_t seq, int32_t layer, int32_t head,
                           int32_t own, int32_t t, int32_t *form) {
    int32_t g = kv->group[layer];
    if (t >= kv->sinks[g] && own - t > kv->behind[g] && (g || !kv->heavy)) return NULL;
    int32_t f = aios__kv_rule(kv, own, t);
    int32_t page = aios__page_at(kv, g, f, seq, t);
    if (page == AIOS__NO_PAGE && t != own)
        for (f = AIOS__KV_SEALED;
             f < AIOS__N_FORMS && (page = aios__page_at(kv, g, f, seq, t)) == AIOS__NO_PAGE; f++) {}
    if (page == AIOS__NO_PAGE) return NULL;
    *form = f;
    return aios__tile_of(kv, g, f, page, layer, head);
}
/* Where a position is written. */
static void *aios__kv_open_tile(const aios__kv *kv, int32_t seq, int32_t layer, int32_t head,
                                int32_t cell) {
    int32_t g = kv->group[layer];
    return aios__tile_of(kv, g, AIOS__KV_OPEN,
                         aios__page_at(kv, g, AIOS__KV_OPEN, seq, cell / AIOSK_TILE), layer, head);
}
/* Slot of a position, which may be the next one after the last. */
static int32_t aios__kv_cell(const aios__kv_seq *s, int32_t pos) {
    int32_t i, n;
    for (i = 0; i < s->n_spans - 1 && pos >= (n = s->span[i].to - s->span[i].from); i++) pos -= n;
    return s->span[i].from + pos;
}
static int32_t aios__kv_off(const aios__kv_seq *s) { return s->span[s->n_spans - 1].off; }

AIOS__SMALL_BEGIN
/* Was nothing taken out? */
static int32_t aios__kv_whole(const aios__kv_seq *s) {
    return s->n_spans == 1 && s->span[0].off == 0;
}
/* The cell behind the first n positions. */
static int32_t aios__kv_end(const aios__kv_seq *s, int32_t n) {
    return n ? aios__kv_cell(s, n - 1) + 1 : 0;
}
/* Position of the first cell that is alive and not before cell. */
static int32_t aios__kv_pos(const aios__kv_seq *s, int32_t cell) {
    int32_t i, pos = 0;
    for (i = 0; i < s->n_spans - 1 && cell >= s->span[i].to; i++)
        pos += s->span[i].to - s->span[i].from;
    return cell < s->span[i].from ? pos : pos + cell - s->span[i].from;
}

/* ---- pages that come and go ---- */
/* Takes the page of an entry away; the page is free when no table names it any more. */
static void aios__page_drop(aios__kv *kv, int32_t g, int32_t form, int32_t *entry) {
    aios__pages *p = &kv->pool[g][form];
    if (*entry == AIOS__NO_PAGE) return;
    if (--p->refs[*entry] == 0) p->free_page[p->n_free++] = *entry;
    *entry = AIOS__NO_PAGE;
}
/* Is the open page of a tile a spare one? Not while the pass that seals it is under way. */
static int32_t aios__kv_spare(const aios__kv *kv, int32_t g, int32_t seq, int32_t t) {
    return t < kv->seq[seq].tile && aios__page_at(kv, g, AIOS__KV_OPEN, seq, t) >= 0 &&
           (aios__page_at(kv, g, AIOS__KV_SEALED, seq, t) != AIOS__NO_PAGE ||
            aios__page_at(kv, g, AIOS__KV_OLD, seq, t) != AIOS__NO_PAGE);
}
/* Gives up the spare open pages of a sequence. */
static void aios__kv_unspare(aios__kv *kv, int32_t g, int32_t seq) {
    aios__kv_seq *s = &kv->seq[seq];
    for (int32_t t = s->tile < kv->seq_tiles ? s->tile : kv->seq_tiles - 1;
         t >= 0 && s->n_spares[g]; t--)
        if (aios__kv_spare(kv, g, seq, t)) {
            aios__page_drop(kv, g, AIOS__KV_OPEN, aios__kv_row(kv, g, AIOS__KV_OPEN, seq) + t);
            s->n_spares[g]--;
        }
}
/* Takes a page for an entry; the room must be there (aios__kv_fits). */
static void aios__page_take(aios__kv *kv, int32_t g, int32_t form, int32_t *entry) {
    aios__pages *p = &kv->pool[g][form];
    for (int32_t s = 0; !p->n_free && s < kv->n_seq; s++) aios__kv_unspare(kv, g, s);
    *entry = p->free_page[--p->n_free];
    p->refs[*entry] = 1;
}
static int32_t aios__kv_pages(const aios__kv *kv) {
    int32_t n = 0;
    for (int32_t g = 0; g < AIOS__N_GROUPS; g++)
        for (int32_t f = 0; f < AIOS__N_FORMS; f++) n += kv->pool[g][f].n;
    return n;
}

/* ---- growing and cutting ---- */
/* What cells from .. upto-1 of a sequence ask for, counted into need; or, with need NULL, taken. */
static void aios__kv_touch(aios__kv *kv, int32_t seq, int32_t from, int32_t upto,
                           int32_t (*need)[AIOS__N_FORMS]) {
    aios__kv_seq *s = &kv->seq[seq];
    int32_t first = from / AIOSK_TILE, last = (upto - 1) / AIOSK_TILE;
    for (int32_t g = 0; g < AIOS__N_GROUPS; g++) {
        int32_t *open = aios__kv_row(kv, g, AIOS__KV_OPEN, seq),
                *sealed = aios__kv_row(kv, g, AIOS__KV_SEALED, seq),
                *old = aios__kv_row(kv, g, AIOS__KV_OLD, seq);
        if (!open) continue;
        for (int32_t t = first; t <= last; t++) {
            int32_t shared =
                        open[t] != AIOS__NO_PAGE && kv->pool[g][AIOS__KV_OPEN].refs[open[t]] > 1,
                    seal = sealed && t >= kv->keep && (t + 1) * AIOSK_TILE <= upto;
            if (need) {
                need[g][AIOS__KV_OPEN] += shared || open[t] == AIOS__NO_PAGE;
                need[g][AIOS__KV_SEALED] += seal;
                continue;
            }
            if (shared) {
                aios__kv_copy *c = &kv->copy[kv->n_copies++];
                /* the table's count goes over to the job */
                c->g = g;
                c->seq = seq;
                c->t = t;
                c->from = open[t];
            }
            if (shared || open[t] == AIOS__NO_PAGE) aios__page_take(kv, g, AIOS__KV_OPEN, &open[t]);
            if (seal) aios__page_take(kv, g, AIOS__KV_SEALED, &sealed[t]);
        }
        for (int32_t t = s->aged > kv->keep ? s->aged : kv->keep; old && t < last - kv->recent;
             t++) {
            if (need)
                need[g][AIOS__KV_OLD] += t >= first || sealed[t] != AIOS__NO_PAGE;
            else if (sealed[t] != AIOS__NO_PAGE)
                aios__page_take(kv, g, AIOS__KV_OLD, &old[t]);
        }
    }
}
/* Is there room for cells from .. upto-1? If not, the first pool that is short, in *g and *f,
 * looking from the one that they name. */
static int32_t aios__kv_room(aios__kv *kv, int32_t seq, int32_t from, int32_t upto, int32_t *g,
                             int32_t *f) {
    int32_t need[AIOS__N_GROUPS][AIOS__N_FORMS];
    memset(need, 0, sizeof need);
    aios__kv_touch(kv, seq, from, upto, need);
    for (; *g < AIOS__N_GROUPS; ++*g, *f = 0)
        for (; *f < AIOS__N_FORMS; ++*f) {
            int32_t have = kv->pool[*g][*f].n_free;
            for (int32_t s = 0; *f == AIOS__KV_OPEN && have < need[*g][*f] && s < kv->n_seq; s++)
                have += kv->seq[s].n_spares[*g];
            if (have < need[*g][*f]) return 0;
        }
    return 1;
}
static int32_t aios__kv_fits(aios__kv *kv, int32_t seq, int32_t from, int32_t upto) {
    int32_t g = 0, f = 0;
    return aios__kv_room(kv, seq, from, upto, &g, &f);
}
/* Gives cells from .. upto-1 their pages, for a pass that will write them, and notes what it has
 * to copy, to seal and to age. */
static void aios__kv_grow(aios__kv *kv, int32_t seq, int32_t from, int32_t upto) {
    aios__kv_seq *s = &kv->seq[seq];
    int32_t first = from / AIOSK_TILE, last = (upto - 1) / AIOSK_TILE;
    aios__kv_touch(kv, seq, from, upto, NULL);
    if (s->top <= last) s->top = last + 1;
    for (int32_t t = s->aged > kv->keep ? s->aged : kv->keep; kv->coded && t <= last; t++) {
        aios__kv_seal *j = &kv->seal[kv->n_seals];
        j->seq = seq;
        j->t = t;
        j->age = t < last - kv->recent;
        j->seal = t >= first && (t + 1) * AIOSK_TILE <= upto;
        if (!j->age && t < first)
            t = first - 1;
        else
            kv->n_seals += j->age || j->seal;
    }
}
/* A tile in no form any more. */
static void aios__tile_drop(aios__kv *kv, int32_t g, int32_t seq, int32_t t) {
    if (g == 0 && kv->heavy) kv->mass[aios__kv_first(kv, seq) + t] = 0;
    kv->seq[seq].n_spares[g] -= aios__kv_spare(kv, g, seq, t);
    for (int32_t f = 0; f < AIOS__N_FORMS; f++)
        if (kv->page[g][f]) aios__page_drop(kv, g, f, aios__kv_row(kv, g, f, seq) + t);
}
/* Is a tile there in any form? */
static int32_t aios__kv_has(const aios__kv *kv, int32_t g, int32_t seq, int32_t t) {
    for (int32_t f = 0; f < AIOS__N_FORMS; f++)
        if (aios__page_at(kv, g, f, seq, t) != AIOS__NO_PAGE) return 1;
    return 0;
}
/* Between the sinks and what is behind the next query, the tiles with the most mass stay; the
 * newer of two equal ones. */
static void aios__kv_thin(aios__kv *kv, int32_t seq, int32_t own) {
    const uint64_t *mass = kv->mass + aios__kv_first(kv, seq);
    for (;;) {
        int32_t t, n = 0, least = -1;
        for (t = kv->sinks[0]; t < own - kv->behind[0]; t++)
            if (aios__kv_has(kv, 0, seq, t)) {
                n++;
                if (least < 0 || mass[t] < mass[least]) least = t;
            }
        if (n <= kv->heavy) return;
        aios__tile_drop(kv, 0, seq, least);
    }
}
/* How many cells from this one on a pass may write: with heavy tiles, what one tile sees is
 * settled before the next begins. */
static int32_t aios__kv_stride(const aios__kv *kv, int32_t cell) {
    /* behind: AIOS__ALL where all are seen */
    int64_t whole = ((int64_t)kv->sinks[0] + kv->behind[0] + kv->heavy + 1) * AIOSK_TILE;
    return !kv->heavy || whole - cell > INT32_MAX ? INT32_MAX
           : cell < whole                         ? (int32_t)(whole - cell)
                                                  : AIOSK_TILE - cell % AIOSK_TILE;
}
/* The pass has written cells below upto: what no later query needs goes. */
static void aios__kv_done(aios__kv *kv, int32_t seq, int32_t upto) {
    aios__kv_seq *s = &kv->seq[seq];
    int32_t was = s->tile, own = upto / AIOSK_TILE, aged = (upto - 1) / AIOSK_TILE - kv->recent;
    s->tile = own;
    for (int32_t g = 0; g < AIOS__N_GROUPS; g++) {
        int32_t *sealed = aios__kv_row(kv, g, AIOS__KV_SEALED, seq);
        if (!kv->pool[g][AIOS__KV_OPEN].n) continue;
        /* one tile more than the rules ask for stays, so that a sequence can be cut back by that
         * much */
        for (int32_t t = was; t < own; t++) s->n_spares[g] += aios__kv_spare(kv, g, seq, t);
        for (int32_t t = was - kv->behind[g] - 2; t < own - kv->behind[g] - 1; t++)
            if (t >= kv->sinks[g] && t >= 0 && (g || !kv->heavy)) aios__tile_drop(kv, g, seq, t);
        if (g == 0 && kv->heavy) {
            uint64_t *mass = kv->mass + aios__kv_first(kv, seq);
            int32_t *now = kv->mass_now + aios__kv_first(kv, seq);
            for (int32_t t = 0; t < s->top; t++) {
                mass[t] += (uint64_t)now[t];
                now[t] = 0;
            }
            if (own > was) aios__kv_thin(kv, seq, own);
        }
        for (int32_t t = s->aged - 1; t < aged - 1; t++)
            if (t >= kv->keep && aios__page_at(kv, g, AIOS__KV_OLD, seq, t) != AIOS__NO_PAGE)
                aios__page_drop(kv, g, AIOS__KV_SEALED, &sealed[t]);
    }
    if (aged > s->aged) s->aged = aged;
}
/* Is a tile that a query of tile own sees gone? exact: in the form that it wants. */
static int32_t aios__kv_gone(const aios__kv *kv, int32_t g, int32_t seq, int32_t own,
                             int32_t exact) {
    int32_t f, some;
    for (int32_t t = 0; t < own; t++) {
        if (t >= kv->sinks[g] && own - t > kv->behind[g]) continue;
        for (some = f = 0; f < AIOS__N_FORMS; f++)
            some |= aios__page_at(kv, g, f, seq, t) != AIOS__NO_PAGE &&
                    (!exact || f == aios__kv_rule(kv, own, t));
        if (!some) return 1;
    }
    return 0;
}
/* Forgets cells from n on. Gives the cell to go on from: n, or one before it when what was
 * written behind it is gone: then the tokens from there on have to go through the model again. */
static int32_t aios__kv_cut(aios__kv *kv, int32_t seq, int32_t n) {
    aios__kv_seq *s = &kv->seq[seq];
    int32_t own = n / AIOSK_TILE, at = n, whole = s->span[0].off == 0 && s->span[0].to >= n;
    /* queries come again that saw other tiles than the next one would have */
    int32_t back = own < s->tile || s->span[s->n_spans - 1].from >= n;
    for (int32_t g = 0; g < AIOS__N_GROUPS; g++) {
        if (!kv->pool[g][AIOS__KV_OPEN].n) continue;
        for (int32_t t = s->top - 1; t >= own + (n % AIOSK_TILE != 0); t--)
            aios__tile_drop(kv, g, seq, t);
        for (int32_t t = s->aged > 0 ? s->aged : 0; t < s->top; t++)
            if (kv->page[g][AIOS__KV_OLD])
                aios__page_drop(kv, g, AIOS__KV_OLD, aios__kv_row(kv, g, AIOS__KV_OLD, seq) + t);
        if (n % AIOSK_TILE) {
            s->n_spares[g] -= aios__kv_spare(kv, g, seq, own);
            if (kv->page[g][AIOS__KV_SEALED])
                aios__page_drop(kv, g, AIOS__KV_SEALED,
                                aios__kv_row(kv, g, AIOS__KV_SEALED, seq) + own);
            if (kv->page[g][AIOS__KV_OLD])
                aios__page_drop(kv, g, AIOS__KV_OLD, aios__kv_row(kv, g, AIOS__KV_OLD, seq) + own);
            if (aios__page_at(kv, g, AIOS__KV_OPEN, seq, own) == AIOS__NO_PAGE &&
                at > own * AIOSK_TILE)
                at = own * AIOSK_TILE;
        }
        /* further back than what was kept for it: all anew. Where tokens were taken out, only a
         * model's own window cannot do without */
        if (back && (whole || g > 0) && (g > 0 || !kv->heavy) &&
            aios__kv_gone(kv, g, seq, own, whole))
            at = 0;
    }
    s->top = own + (n % AIOSK_TILE != 0);
    if (s->tile > own) s->tile = own;
    if (s->aged > own) s->aged = own;
    while (s->n_spans > 1 && s->span[s->n_spans - 1].from >= n) s->n_spans--;
    /* in a gap: what is before it */
    if (s->span[s->n_spans - 1].to < at) at = s->span[s->n_spans - 1].to;
    s->span[s->n_spans - 1].to = INT32_MAX;
    if (n == 0) aios__kv_clear_seq(s);
    return at == n ? n : aios__kv_cut(kv, seq, at);
}
/* A pass that is dropped: tables are as before it, but for pages that aios__kv_cut takes away. */
static void aios__kv_undo(aios__kv *kv) {
    for (int32_t i = 0; i < kv->n_copies; i++) {
        aios__kv_copy *c = &kv->copy[i];
        int32_t *open = aios__kv_row(kv, c->g, AIOS__KV_OPEN, c->seq) + c->t;
        aios__page_drop(kv, c->g, AIOS__KV_OPEN, open);
        *open = c->from;
    }
    kv->n_copies = kv->n_seals = 0;
}
/* What it has looked at counts for nothing. */
static void aios__kv_unread(aios__kv *kv, int32_t seq) {
    if (kv->heavy) memset(kv->mass_now + aios__kv_first(kv, seq), 0, (size_t)kv->seq_tiles * 4);
}
/* A pass that is finished. */
static void aios__kv_settle(aios__kv *kv) {
    for (int32_t i = 0; i < kv->n_copies; i++)
        aios__page_drop(kv, kv->copy[i].g, AIOS__KV_OPEN, &kv->copy[i].from);
    kv->n_copies = kv->n_seals = 0;
}

/* ---- sharing ---- */
/* dst, which is empty, shares the first n cells of src. Gives the cell that dst goes on from, as
 * aios__kv_cut does. */
static int32_t aios__kv_fork(aios__kv *kv, int32_t dst, int32_t src, int32_t n) {
    aios__kv_seq *s = &kv->seq[src], *d = &kv->seq[dst];
    int32_t own = n / AIOSK_TILE, top = own + (n % AIOSK_TILE != 0);
    if (top > s->top) top = s->top;
    *d = *s;
    d->top = top;
    if (kv->heavy)
        memcpy(kv->mass + aios__kv_first(kv, dst), kv->mass + aios__kv_first(kv, src),
               (size_t)top * 8);
    for (int32_t g = 0; g < AIOS__N_GROUPS; g++) {
        d->n_spares[g] = 0;
        for (int32_t f = 0; f < AIOS__N_FORMS; f++) {
            int32_t *from = aios__kv_row(kv, g, f, src), *to = aios__kv_row(kv, g, f, dst);
            for (int32_t t = 0; from && t < top; t++) {
                if (from[t] == AIOS__NO_PAGE || (f == AIOS__KV_OLD && t >= s->aged) ||
                    (f == AIOS__KV_OPEN && t < own && aios__kv_spare(kv, g, src, t)))
                    continue;
                to[t] = from[t];
                /* a copy that a pass has yet to make, or may drop */
                for (int32_t i = 0; f == AIOS__KV_OPEN && i < kv->n_copies; i++)
                    if (kv->copy[i].g == g && kv->copy[i].seq == src && kv->copy[i].t == t)
                        to[t] = kv->copy[i].from;
                kv->pool[g][f].refs[to[t]]++;
            }
        }
        /* a spare is nobody else's; aios__kv_cut makes it an open tile */
        for (int32_t t = own; t < top; t++)
            if (aios__kv_spare(kv, g, dst, t)) {
                d->n_spares[g]++;
                s->n_spares[g]--;
                aios__page_drop(kv, g, AIOS__KV_OPEN, aios__kv_row(kv, g, AIOS__KV_OPEN, src) + t);
            }
    }
    return aios__kv_cut(kv, dst, n);
}

/* Takes positions a .. b-1 (all written, others behind them) out of the middle: later ones move
 * down. Tiles that are wholly dead go, and so do their cells. 0: the sequence would fall into
 * more pieces than are kept. */
static int32_t aios__kv_remove(aios__kv *kv, int32_t seq, int32_t a, int32_t b) {
    aios__kv_seq *s = &kv->seq[seq];
    aios__span x[AIOS__MAX_SPANS + 1];
    int32_t from = aios__kv_cell(s, a), to = aios__kv_cell(s, b - 1) + 1, n = 0, at = 0;
    for (int32_t i = 0; i < s->n_spans; i++) {
        aios__span p = s->span[i];
        if (p.from < from) {
            x[n] = p;
            if (p.to > from) x[n].to = from;
            n++;
        }
        if (p.to > to) {
            x[n] = p;
            x[n].off += b - a;
            if (p.from < to) x[n].from = to;
            n++;
        }
    }
    if (n > AIOS__MAX_SPANS) return 0;
    while (x[at].from < to) at++; /* the first piece behind the gap */
    int32_t t0 = at ? (x[at - 1].to + AIOSK_TILE - 1) / AIOSK_TILE : 0;
    int32_t t1 = x[at].from / AIOSK_TILE;
    int32_t k = t1 > t0 ? t1 - t0 : 0;
    for (int32_t g = 0; k && g < AIOS__N_GROUPS; g++) {
        if (!kv->pool[g][AIOS__KV_OPEN].n) continue;
        for (int32_t t = t0; t < t1; t++) aios__tile_drop(kv, g, seq, t);
        for (int32_t f = 0; f < AIOS__N_FORMS; f++) {
            int32_t *row = aios__kv_row(kv, g, f, seq);
            if (!row) continue;
            for (int32_t t = t0; t + k < s->top; t++) {
                row[t] = row[t + k];
                row[t + k] = AIOS__NO_PAGE;
            }
        }
        if (g == 0 && kv->heavy) {
            uint64_t *mass = kv->mass + aios__kv_first(kv, seq);
            for (int32_t t = t0; t + k < s->top; t++) {
                mass[t] = mass[t + k];
                mass[t + k] = 0;
            }
        }
    }
    for (int32_t i = at; i < n; i++) {
        x[i].from -= k * AIOSK_TILE;
        if (x[i].to != INT32_MAX) x[i].to -= k * AIOSK_TILE;
    }
    if (k) s->tile -= k;
    /* its spare page is nothing to count on, though a first tile would be seen open */
    for (int32_t g = 0; k && g < AIOS__N_GROUPS; g++)
        for (int32_t t = t0; t < kv->keep; t++)
            if (aios__kv_spare(kv, g, seq, t)) {
                aios__page_drop(kv, g, AIOS__KV_OPEN, aios__kv_row(kv, g, AIOS__KV_OPEN, seq) + t);
                s->n_spares[g]--;
            }
    if (k) {
        s->top -= k;
        s->aged = s->aged >= t1 ? s->aged - k : s->aged > t0 ? t0 : s->aged;
    }
    memcpy(s->span, x, (size_t)n * sizeof *x);
    s->n_spans = n;
    return 1;
}
AIOS__SMALL_END

AIOS__SMALL_BEGIN

/* ======== run/op.h ======== */
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

/* ======== run/op_basic.c ======== */
/* op_basic.c: ops that work on a token's row: tables, angles, norms, heads, activations, sums.
 * Also the cache's own: copies of pages, and sealing. */

static int32_t aios__tasks_rows(const aios__op *o, const aios__run *r) {
    return aios__op_rows(o, r);
}

/* ---- tables ---- */
/* Which row of a table each token of a pass takes. */
static inline const int32_t *aios__table_ids(const aios__op_table *x, const aios__pass *p) {
    return x->which == AIOS__EMBD_TABLE ? p->id : p->pos;
}
/* The row of token t, dequantised: stored (where it comes from storage), or resident. */
static void aios__table_row(const aios__op *o, const aios__run *r, int32_t t, const char *stored,
                            int32_t worker) {
    const aios__op_table *x = &o->u.table;
    uint64_t n = (uint64_t)x->n;
    int32_t i = aios__table_ids(x, r->pass)[t];
    float *y = x->y + (uint64_t)t * x->y_stride, *to = x->add ? aios__work_f32(r, worker) : y;
    char *tmp = x->add ? (char *)(to + n) : aios__work(r, worker);
    const char *w = (const char *)x->w, *row = stored;
    if (!row && x->layout == AIOSK_ROWS) row = w + (uint64_t)i * x->row_bytes;
    if (!row) {
        w += (uint64_t)(i / 16) * aiosk_layout_bytes(o->type, AIOSK_PANELS, 16, n);
        aiosk_unpack_panel_row(o->type, w, i % 16, n, tmp);
        row = tmp;
    }
    aiosk_unpack(o->type, row, n, to);
    if (x->scale != 1.0f) r->k->scale(to, x->scale, x->n, to);
    if (x->add) r->k->add(y, to, x->n, y);
}
static void aios__op_table_run(const aios__op *o, const aios__run *r, int32_t t, int32_t worker) {
    aios__table_row(o, r, t, NULL, worker);
}
static void aios__table_read(const aios__op *o, const aios__run *r, aios_counters *c) {
    aios__count_read(c, o->tier, o->w_bytes * (uint64_t)r->pass->n);
}
static void aios__table_wrote(const aios__op *o, aios__acts *a) {
    aios__wrote_f32(a, o->u.table.y, o->u.table.y_stride, o->u.table.n);
}
/* clang-format off */
static const aios__op_kind aios__kind_table = { "table", aios__op_table_run, aios__tasks_rows, aios__table_read,
    aios__table_wrote, 0, AIOS__PLAIN };
/* clang-format on */

/* The same of a table that is not resident, or not all of it: the rows of as many tokens at a
 * time as rows.c has places for. */
static int32_t aios__stored_first(const aios__run *r) { return r->round * r->rows->per_round; }
static void aios__op_stored_run(const aios__op *o, const aios__run *r, int32_t t, int32_t worker) {
    t += aios__stored_first(r);
    aios__table_row(o, r, t, aios__rows_data(r->rows, t), worker);
}
static int32_t aios__stored_tasks(const aios__op *o, const aios__run *r) {
    int32_t n = r->pass->n - aios__stored_first(r);
    (void)o;
    return n < r->rows->per_round ? n : r->rows->per_round;
}
static int32_t aios__stored_rounds(const aios__op *o, const aios__run *r) {
    (void)o;
    return (r->pass->n + r->rows->per_round - 1) / r->rows->per_round;
}
static void aios__stored_enter(const aios__op *o, aios__run *r) {
    int32_t t = aios__stored_first(r);
    aios__rows_ask(r->rows, o->u.table.which, aios__table_ids(&o->u.table, r->pass), t,
                   r->pass->n - t);
}
static int32_t aios__stored_ready(const aios__op *o, aios__run *r, uint64_t timeout_ns) {
    (void)o;
    return aios__rows_try(r->rows, timeout_ns);
}
static void aios__stored_leave(const aios__op *o, aios__run *r) {
    if (o->u.table.last && r->round + 1 == aios__stored_rounds(o, r)) aios__rows_ahead(r->rows);
}
static void aios__stored_read(const aios__op *o, const aios__run *r, aios_counters *c) {
    const aios__op_table *x = &o->u.table;
    uint64_t n = (uint64_t)r->pass->n,
             stored = aios__rows_streamed(&r->rows->table[x->which], aios__table_ids(x, r->pass),
                                          r->pass->n);
    aios__count_read(c, AIOS_TIER_STREAM, o->w_bytes * stored);
    aios__count_read(c, o->tier, o->w_bytes * (n - stored));
}
/* clang-format off */
static const aios__op_kind aios__kind_stored_table = { "stored_table", aios__op_stored_run,
    aios__stored_tasks, aios__stored_read, aios__table_wrote, 1, aios__stored_rounds,
    aios__stored_enter, aios__stored_ready, aios__stored_leave, NULL, NULL };
/* clang-format on */

/* ---- rows of numbers ---- */
static void aios__op_angles_run(const aios__op *o, const aios__run *r, int32_t t, int32_t worker) {
    const aios__op_angles *x = &o->u.angles;
    float *y = x->y + (int64_t)t * 2 * x->n;
    (void)worker;
    for (int32_t i = 0; i < x->n; i++) {
        double s, c;
        aios__sincos((double)r->pass->turn[t] * x->freq[i], &s, &c);
        y[2 * i] = (float)(c * (double)x->mult);
        y[2 * i + 1] = (float)(s * (double)x->mult);
    }
}
static void aios__op_norm_run(const aios__op *o, const aios__run *r, int32_t t, int32_t worker) {
    const aios__op_norm *n = &o->u.norm;
    const float *x = n->x + (int64_t)(o->rows == AIOS__OF_OUTPUTS ? r->pass->out[t] : t) * n->n;
    float *y = n->out.p[AIOSK_FLT] ? (float *)(void *)aios__form(&n->out, AIOSK_FLT, t)
                                   : aios__work_f32(r, worker);
    if (n->kind == AIOS__NORM_RMS)
        r->k->rms_norm(x, n->w, n->eps, n->n, y);
    else
        r->k->layer_norm(x, n->w, n->b, n->eps, n->n, y);
    if (n->add) {
        float *z = n->add + (int64_t)t * n->n;
        r->k->add(z, y, n->n, z);
    } else
        aios__forms(r, &n->out, t, y);
}
/* The first values of a row, in place. */
static void aios__op_act_run(const aios__op *o, const aios__run *r, int32_t t, int32_t worker) {
    const aios__op_act *a = &o->u.act;
    (void)worker;
    if (a->pairs) t += aios__moe_col0(r->moe);
    float *x = a->x + (uint64_t)t * a->x_stride;
    if (a->up)
        r->k->act_gated(a->act, x, a->up + (uint64_t)t * a->x_stride, a->n, x);
    else
        r->k->act(a->act, x, a->n, x);
    aios__forms(r, &a->out, t, x);
}
static int32_t aios__act_tasks(const aios__op *o, const aios__run *r) {
    return o->u.act.pairs ? aios__moe_cols(r->moe) : aios__op_rows(o, r);
}
static void aios__op_scale_run(const aios__op *o, const aios__run *r, int32_t t, int32_t worker) {
    const aios__op_scale *s = &o->u.scale;
    float *x = s->x + (int64_t)t * s->n;
    (void)worker;
    r->k->scale(x, s->scale, s->n, x);
}
static void aios__op_cap_run(const aios__op *o, const aios__run *r, int32_t t, int32_t worker) {
    const aios__op_scale *s = &o->u.scale;
    float *x = s->x + (int64_t)t * s->n;
    (void)worker;
    r->k->softcap(x, s->scale, s->n, x);
}
static void aios__op_add_run(const aios__op *o, const aios__run *r, int32_t t, int32_t worker) {
    const aios__op_scale *s = &o->u.scale;
    float *x = s->x + (int64_t)t * s->n, *y = s->y + (int64_t)t * s->n;
    (void)worker;
    r->k->scale(x, s->scale, s->n, x);
    r->k->add(y, x, s->n, y);
}
static void aios__angles_wrote(const aios__op *o, aios__acts *a) {
    aios__wrote_f32(a, o->u.angles.y, (uint64_t)o->u.angles.n * 2, o->u.angles.n * 2);
}
static void aios__norm_wrote(const aios__op *o, aios__acts *a) {
    *a = o->u.norm.out;
    if (o->u.norm.add) aios__wrote_f32(a, o->u.norm.add, (uint64_t)o->u.norm.n, o->u.norm.n);
}
static void aios__act_wrote(const aios__op *o, aios__acts *a) {
    *a = o->u.act.out;
    aios__wrote_f32(a, o->u.act.x, o->u.act.x_stride, o->u.act.n);
}
/* SCALE, CAP: x; ADD: y. */
static void aios__scale_wrote(const aios__op *o, aios__acts *a) {
    const aios__op_scale *s = &o->u.scale;
    aios__wrote_f32(a, s->y ? s->y : s->x, (uint64_t)s->n, s->n);
}
/* clang-format off */
#define AIOS__ROW_KIND(name, wrote) \
    static const aios__op_kind aios__kind_##name = { #name, aios__op_##name##_run, \
        aios__tasks_rows, NULL, wrote, 0, AIOS__PLAIN }
AIOS__ROW_KIND(angles, aios__angles_wrote);
AIOS__ROW_KIND(norm, aios__norm_wrote);
AIOS__ROW_KIND(scale, aios__scale_wrote);
AIOS__ROW_KIND(cap, aios__scale_wrote);
AIOS__ROW_KIND(add, aios__scale_wrote);
static const aios__op_kind aios__kind_act = { "act", aios__op_act_run, aios__act_tasks, NULL,
    aios__act_wrote, 0, AIOS__PLAIN };
/* clang-format on */

/* ---- the cache ---- */
/* Open pages that were shared are copied before they are written: a task is a piece of one. */
enum { AIOS__COPY_BYTES = 1 << 17 };
static int32_t aios__copy_pieces(const aios__kv *kv, const aios__kv_copy *c) {
    return (int32_t)((kv->pool[c->g][AIOS__KV_OPEN].bytes + AIOS__COPY_BYTES - 1) /
                     AIOS__COPY_BYTES);
}
static int32_t aios__copy_tasks(const aios__op *o, const aios__run *r) {
    int32_t n = 0;
    (void)o;
    for (int32_t i = 0; i < r->kv->n_copies; i++) n += aios__copy_pieces(r->kv, &r->kv->copy[i]);
    return n;
}
static void aios__op_copy_run(const aios__op *o, const aios__run *r, int32_t task, int32_t worker) {
    const aios__kv_copy *c = r->kv->copy;

    int32_t pieces;
    (void)o;
    (void)worker;
    for (; task >= (pieces = aios__copy_pieces(r->kv, c)); c++) task -= pieces;
    const aios__pages *p = &r->kv->pool[c->g][AIOS__KV_OPEN];
    uint64_t at = (uint64_t)task * AIOS__COPY_BYTES;
    uint64_t n = aios__min_u64(p->bytes - at, AIOS__COPY_BYTES);
    memcpy(p->base + (uint64_t)aios__page_at(r->kv, c->g, AIOS__KV_OPEN, c->seq, c->t) * p->bytes +
               at,
           p->base + (uint64_t)c->from * p->bytes + at, (size_t)n);
}
/* clang-format off */
static const aios__op_kind aios__kind_copy = { "copy", aios__op_copy_run, aios__copy_tasks, NULL, NULL, 0,
    AIOS__PLAIN };
/* clang-format on */

/* One head of a tile that is full: open to sealed, sealed to old. */
static void aios__op_seal_run(const aios__op *o, const aios__run *r, int32_t task, int32_t worker) {
    const aios__kv *kv = r->kv;
    const aios__hp_layer *h = &r->hp->layer[o->layer];
    const aios__kv_seal *j = &kv->seal[task / h->n_head_kv];
    int32_t head = task % h->n_head_kv, g = kv->group[o->layer], page[AIOS__N_FORMS];
    for (int32_t f = 0; f < AIOS__N_FORMS; f++) page[f] = aios__page_at(kv, g, f, j->seq, j->t);
    for (int32_t f = AIOS__KV_SEALED; f < AIOS__N_FORMS; f++) {
        if (!(f == AIOS__KV_SEALED ? j->seal : j->age) || page[f] == AIOS__NO_PAGE ||
            page[f - 1] == AIOS__NO_PAGE)
            continue;
        r->k->kv_convert(kv->type[f - 1][o->layer],
                         aios__tile_of(kv, g, f - 1, page[f - 1], o->layer, head),
                         kv->type[f][o->layer], aios__tile_of(kv, g, f, page[f], o->layer, head),
                         h->hd_k, h->hd_v, aios__work(r, worker));
    }
}
static int32_t aios__seal_tasks(const aios__op *o, const aios__run *r) {
    return r->kv->n_seals * r->hp->layer[o->layer].n_head_kv;
}
/* clang-format off */
static const aios__op_kind aios__kind_seal = { "seal", aios__op_seal_run, aios__seal_tasks, NULL, NULL, 0,
    AIOS__PLAIN };
/* clang-format on */

/* Norms and turns the heads of one token, then writes its keys and values into the cache. */
static void aios__op_heads_run(const aios__op *o, const aios__run *r, int32_t t, int32_t worker) {
    const aios__op_heads *x = &o->u.heads;
    const aios__hp_layer *l = &r->hp->layer[o->layer];
    float *q = x->x + (uint64_t)t * x->x_stride, *k = q + (int64_t)l->n_head * l->hd_k,
          *v = k + (int64_t)l->n_head_kv * l->hd_k;
    int32_t cell = r->pass->cell[t], rotated = r->kv->rotated[o->layer],
            type = r->kv->type[AIOS__KV_OPEN][o->layer];
    (void)worker;
    if (x->q_norm)
        for (int32_t h = 0; h < l->n_head * l->hd_k; h += x->q_norm_n)
            r->k->rms_norm(q + h, x->q_norm, x->eps, x->q_norm_n, q + h);
    if (x->k_norm)
        for (int32_t h = 0; h < l->n_head_kv * l->hd_k; h += x->k_norm_n)
            r->k->rms_norm(k + h, x->k_norm, x->eps, x->k_norm_n, k + h);
    if (l->rope >= 0) { /* keys follow the queries */
        const aios__rope *rope = &r->hp->rope[l->rope];
        r->k->rope(rope->kind, q, l->n_head + l->n_head_kv, l->hd_k, rope->n_rot,
                   x->cs + (int64_t)t * rope->n_rot);
    }
    /* queries are rotated where they are used */
    if (rotated & AIOS__ROTATED_K) r->k->rotate(k, l->n_head_kv, l->hd_k, 0);
    if (rotated & AIOS__ROTATED_V) r->k->rotate(v, l->n_head_kv, l->hd_v, 0);
    for (int32_t h = 0; h < l->n_head_kv; h++)
        r->k->store[type](aios__kv_open_tile(r->kv, r->pass->seq[t], o->layer, h, cell),
                          cell % AIOSK_TILE, k + (int64_t)h * l->hd_k, v + (int64_t)h * l->hd_v,
                          l->hd_k, l->hd_v);
}
static void aios__heads_wrote(const aios__op *o, aios__acts *a) {
    aios__wrote_f32(a, o->u.heads.x, o->u.heads.x_stride, (int32_t)o->u.heads.x_stride);
}
/* clang-format off */
AIOS__ROW_KIND(heads, aios__heads_wrote);
/* clang-format on */

/* ======== run/op_matrix.c ======== */
/* op_matrix.c: products with a matrix: of rows that are resident, or that are streamed unit by
 * unit. A task is some rows and some columns (tokens), up to as many as kernels keep sums of:
 * short ones, whatever the batch. Tasks that follow each other go down the rows, so the same
 * activations (0.4 MiB at 2048 inputs) meet all weights of a worker before it turns to the next
 * columns. */

/* A task: about 64 KiB of weights (some microseconds), and of the order of 16 M products (some
 * tenths of a millisecond). */
enum { AIOS__TASK_BYTES = 65536, AIOS__TASK_PRODUCTS = 1 << 24, AIOS__TASK_COLS = 32 };
/* Rows of a task that meets cols columns: whole pairs of panels, which kernels for many columns
 * take together. */
static int32_t aios__task_rows(uint64_t row_bytes, int64_t n_in, int64_t n_out, int64_t cols) {
    int64_t rows = (int64_t)(AIOS__TASK_BYTES / row_bytes),
            most = cols ? AIOS__TASK_PRODUCTS / (n_in * cols) : n_out;
    if (rows > most) rows = most;
    if (rows > n_out) rows = n_out;
    return rows < 32 ? 32 : (int32_t)(rows / 32 * 32);
}
/* Columns of a task of so many rows, of which there are n in all. Long rows: fewer columns, while
 * unpacking a weight for so few costs next to nothing: at 64 nothing that can be measured, at 32
 * some percent of the product, at 16 twenty. */
static int32_t aios__task_cols(int64_t rows, int64_t n_in, int64_t n) {
    int32_t cols = AIOSK__MAX_COLS;
    while (cols > AIOS__TASK_COLS && rows * n_in * (cols < n ? cols : n) > AIOS__TASK_PRODUCTS)
        cols /= 2;
    return cols;
}

/* n_rows of the matrix m->w stands for, in the task's place; m->y and m->bias are those of its
 * first row. */
static void aios__matrix_task(const aios__op *o, const aios__run *r, aiosk_matmul *m,
                              int32_t n_rows, int32_t task, int32_t worker) {
    const aios__op_matrix *x = &o->u.matrix;
    int32_t blocks = (n_rows + x->rows_per_task - 1) / x->rows_per_task,
            col = task / blocks * x->cols_per_task, n = aios__op_rows(o, r);
    m->n_in = x->n_in;
    m->x = x->x + (uint64_t)col * x->x_stride;
    m->x_stride = x->x_stride;
    m->y += (uint64_t)col * x->y_stride;
    m->y_stride = x->y_stride;
    m->row0 = task % blocks * x->rows_per_task;
    m->row1 = n_rows - m->row0 < x->rows_per_task ? n_rows : m->row0 + x->rows_per_task;
    m->n_cols = n - col < x->cols_per_task ? n - col : x->cols_per_task;
    m->flags = x->add ? (uint32_t)AIOSK_MM_ADD : 0;
    if (x->mm)
        x->mm(m);
    else
        aiosk_matmul_reference(o->type, m, aios__work_f32(r, worker));
}
static int32_t aios__matrix_cut(const aios__op *o, const aios__run *r, int32_t n_rows) {
    const aios__op_matrix *x = &o->u.matrix;
    return (aios__op_rows(o, r) + x->cols_per_task - 1) / x->cols_per_task *
           ((n_rows + x->rows_per_task - 1) / x->rows_per_task);
}
static void aios__op_matrix_run(const aios__op *o, const aios__run *r, int32_t task,
                                int32_t worker) {
    aiosk_matmul m;
    memset(&m, 0, sizeof m);
    m.w = o->u.matrix.w;
    m.bias = o->u.matrix.bias;
    m.y = o->u.matrix.y;
    aios__matrix_task(o, r, &m, o->u.matrix.n_out, task, worker);
}
static int32_t aios__matrix_tasks(const aios__op *o, const aios__run *r) {
    return aios__matrix_cut(o, r, o->u.matrix.n_out);
}
/* All weights are read once for each block of columns. */
static void aios__matrix_read(const aios__op *o, const aios__run *r, aios_counters *c) {
    uint64_t cols = (uint64_t)o->u.matrix.cols_per_task;
    aios__count_read(c, o->tier, o->w_bytes * (((uint64_t)aios__op_rows(o, r) + cols - 1) / cols));
}
static void aios__matrix_wrote(const aios__op *o, aios__acts *a) {
    aios__wrote_f32(a, o->u.matrix.y, o->u.matrix.y_stride, o->u.matrix.n_out);
}
/* clang-format off */
static const aios__op_kind aios__kind_matrix = { "matrix", aios__op_matrix_run, aios__matrix_tasks,
    aios__matrix_read, aios__matrix_wrote, 0, AIOS__PLAIN };
/* clang-format on */

/* ---- streamed ---- */
static int32_t aios__unit_rows_now(const aios__op *o, const aios__run *r) {
    int32_t left = o->u.matrix.n_out - r->round * o->u.matrix.unit_rows;
    return left < o->u.matrix.unit_rows ? left : o->u.matrix.unit_rows;
}
static void aios__op_streamed_run(const aios__op *o, const aios__run *r, int32_t task,
                                  int32_t worker) {
    int32_t row0 = r->round * o->u.matrix.unit_rows;
    aiosk_matmul m;
    memset(&m, 0, sizeof m);
    m.w = r->streamed; /* this round's rows are the matrix */
    m.bias = o->u.matrix.bias ? o->u.matrix.bias + row0 : NULL;
    m.y = o->u.matrix.y + row0;
    aios__matrix_task(o, r, &m, aios__unit_rows_now(o, r), task, worker);
}
static int32_t aios__streamed_tasks(const aios__op *o, const aios__run *r) {
    return aios__matrix_cut(o, r, aios__unit_rows_now(o, r));
}
static int32_t aios__streamed_rounds(const aios__op *o, const aios__run *r) {
    (void)r;
    return o->n_units;
}
static int32_t aios__streamed_ready(const aios__op *o, aios__run *r, uint64_t timeout_ns) {
    int32_t there = aios__stream_try(r->stream, timeout_ns);
    (void)o;
    if (there != 1) return there;
    r->streamed = aios__stream_data(r->stream);
    r->count->n_units++;
    return 1;
}
static void aios__streamed_leave(const aios__op *o, aios__run *r) {
    (void)o;
    aios__stream_pass(r->stream);
}
/* Nobody wants these rows now. */
static void aios__streamed_skip(const aios__op *o, aios__run *r) {
    for (int32_t i = 0; i < o->n_units; i++) aios__stream_pass(r->stream);
}
/* clang-format off */
static const aios__op_kind aios__kind_streamed_matrix = { "streamed_matrix", aios__op_streamed_run,
    aios__streamed_tasks, aios__matrix_read, aios__matrix_wrote, 1, aios__streamed_rounds, NULL,
    aios__streamed_ready, aios__streamed_leave, aios__streamed_skip, NULL };
/* clang-format on */

/* ======== run/op_attend.c ======== */
/* op_attend.c: attention over the cache.
 *
 * It is cut into tasks of (block of tokens of one sequence and one tile, key/value head, slice of
 * its query heads, run of keys), so that a tile is read once for up to AIOS__MAX_Q queries. A
 * run is 512 cells; what is alive and seen of it may be in several stretches, which are put
 * together in ascending order, and so are a token's runs, always. There are two ways, which give
 * the same bits:
 *   spread  few tokens: all runs at once, each leaves a result of its own; ATTEND_END merges
 *           those of a token
 *   rounds  many tokens: the phase runs once for each run, and its tasks merge into what the
 *           rounds before them left, so that the room needed does not grow with the context. A
 *           round has a task for each block and head */
enum { AIOS__MAX_Q = 32, AIOS__RUN_POS = AIOSK_RUN * AIOSK_TILE };

/* How the query heads of one key/value head are divided. */
static int32_t aios__attend_slices(const aios__hp_layer *h) {
    return (h->n_head / h->n_head_kv + AIOS__MAX_Q - 1) / AIOS__MAX_Q;
}
static int32_t aios__attend_heads(const aios__hp_layer *h) {
    int32_t g = h->n_head / h->n_head_kv, n = aios__attend_slices(h);
    return (g + n - 1) / n;
}
/* Tokens of a block: as many as the layer with the most heads of a slice can take. */
static int32_t aios__attend_tokens(const aios__hp *hp) {
    int32_t most = 1;
    for (int32_t l = 0; l < hp->n_layer; l++) {
        int32_t n = hp->layer[l].recurrent ? 1 : aios__attend_heads(&hp->layer[l]);
        if (n > most) most = n;
    }
    return AIOS__MAX_Q / most;
}
/* Results of single runs that a context has room for: four tokens may be spread over 16 Ki
 * positions, one over any number. */
static int32_t aios__attend_most_partials(int32_t n_ctx) {
    int32_t runs = (int32_t)(((int64_t)n_ctx + AIOS__RUN_POS - 1) / AIOS__RUN_POS);
    return runs < 2 ? 0 : runs > 128 ? runs : 4 * runs > 128 ? 128 : 4 * runs;
}
/* The first cell that a token sees, but for sinks and tiles that a policy hides. */
static inline int32_t aios__attend_first(const aios__kv *kv, int32_t seq, int32_t window,
                                         int32_t pos) {
    return window && pos >= window ? aios__kv_cell(&kv->seq[seq], pos - window + 1) : 0;
}
/* The runs that a token sees are the first *sinks ones, and those from *from on up to its own.
 * Gives how many. */
static int32_t aios__attend_seen(const aios__kv *kv, int32_t window, int32_t seq, int32_t pos,
                                 int32_t cell, int32_t *sinks, int32_t *from) {
    int32_t first = kv->heavy ? 0 : cell / AIOSK_TILE - kv->behind[0];
    *sinks = window ? 0 : (kv->sinks[0] + AIOSK_RUN - 1) / AIOSK_RUN;
    *from = window      ? aios__attend_first(kv, seq, window, pos) / AIOS__RUN_POS
            : first > 0 ? first / AIOSK_RUN
                        : 0;
    if (*sinks > cell / AIOS__RUN_POS) *sinks = cell / AIOS__RUN_POS;
    if (*from < *sinks) *from = *sinks;
    return *sinks + cell / AIOS__RUN_POS - *from + 1;
}
static inline int32_t aios__attend_n_runs(const aios__op *o, const aios__run *r) {
    return r->pass->n_runs[o->u.attend.window != 0];
}
static inline int32_t aios__attend_spread(const aios__op *o, const aios__run *r) {
    int32_t n = aios__attend_n_runs(o, r);
    return n > 1 && n <= o->u.attend.n_partials / r->pass->n;
}
/* Runs that one task takes when they are spread: enough that memory is read in long stretches,
 * few enough that each worker gets several tasks. */
static inline int32_t aios__attend_chunk(const aios__op *o, const aios__run *r) {
    const aios__hp_layer *h = &r->hp->layer[o->layer];
    int64_t n = (int64_t)aios__attend_n_runs(o, r) * r->pass->n_blocks * h->n_head_kv *
                aios__attend_slices(h) / ((int64_t)8 * r->n_threads);
    return n < 1 ? 1 : n > 8 ? 8 : (int32_t)n;
}

/* What a worker needs for a task. */
typedef struct aios__attend_work {
    float *q, *o[2], *m[2], *l[2], *d8, *cs, *sum;
    void *scratch;
    int8_t *q8;
    int32_t *low, *high;
} aios__attend_work;
/* n_t: tokens of a block; n_rot: channels that turn. */
static void aios__attend_layout(aios__attend_work *w, aios__bump *b, const aios__hp_layer *h,
                                int32_t n_t, int32_t n_rot) {
    uint64_t n = (uint64_t)(aios__attend_heads(h) * n_t);
    w->q = (float *)aios__take(b, n * (uint64_t)h->hd_k * 4, 64);
    for (int32_t i = 0; i < 2; i++) { /* a run, and a stretch of it that is not the first */
        w->o[i] = (float *)aios__take(b, n * aios__round_up((uint64_t)h->hd_v, 16) * 4, 64);
        w->m[i] = (float *)aios__take(b, n * 4, 64);
        w->l[i] = (float *)aios__take(b, n * 4, 64);
    }
    w->q8 = (int8_t *)aios__take(b, n * aios__round_up((uint64_t)h->hd_k, 16), 64);
    w->scratch = aios__take(b, AIOSK_ATTEND_SCRATCH(n, h->hd_k > h->hd_v ? h->hd_k : h->hd_v), 64);
    w->d8 = (float *)aios__take(b, n * 4, 64);
    w->cs = (float *)aios__take(b, (uint64_t)n_rot * 4, 64);
    w->sum = (float *)aios__take(b, n * AIOSK_RUN * 4, 64);
    w->low = (int32_t *)aios__take(b, n * 4, 64);
    w->high = (int32_t *)aios__take(b, n * 4, 64);
}

/* A piece of a run that one call takes: alive, of one turn, and coded in one way. */
typedef struct aios__stretch {
    const void *tile[AIOSK_RUN];
    int32_t from, to, off, type;
    uint32_t open;
    uint64_t bytes;
} aios__stretch;
/* The next piece between cells at and end, which are of the run that starts at base. 0 = there
 * is none. */
static int32_t aios__attend_stretch(const aios__kv *kv, int32_t seq, int32_t layer, int32_t head,
                                    int32_t own, int32_t base, int32_t at, int32_t end,
                                    aios__stretch *x) {
    const aios__kv_seq *s = &kv->seq[seq];
    int32_t form = 0, upto;
    const void *p = NULL;
    memset(x, 0, sizeof *x);
    x->from = end;
    x->type = -1;
    for (int32_t i = 0; i < s->n_spans && s->span[i].from < end; i++) {
        if (s->span[i].to <= at) continue;
        if (at < s->span[i].from) at = s->span[i].from;
        if (x->from < end && (x->to != at || x->off != s->span[i].off)) break;
        for (; at < end && at < s->span[i].to; at = x->to = upto) {
            int32_t t = at / AIOSK_TILE;
            upto = (t + 1) * AIOSK_TILE;
            if (upto > end) upto = end;
            if (upto > s->span[i].to) upto = s->span[i].to;
            p = aios__kv_look(kv, seq, layer, head, own, t, &form);
            if (p && x->from < end && form != AIOS__KV_OPEN && x->type >= 0 &&
                kv->type[form][layer] != x->type)
                return 1;
            if (!p && x->from < end) return 1;
            if (!p) {
                x->to = upto;
                continue;
            }
            if (x->from == end) {
                x->from = at;
                x->off = s->span[i].off;
            }
            if (form == AIOS__KV_OPEN)
                x->open |= 1u << (t - base / AIOSK_TILE);
            else
                x->type = kv->type[form][layer];
            x->tile[t - base / AIOSK_TILE] = p;
            x->bytes += kv->tile_bytes[form][layer] * (uint64_t)(upto - at) / AIOSK_TILE;
        }
    }
    return x->from < end;
}
/* What a task has: n_t tokens from t0 on, n_h query heads from h0 on, runs run0 .. run1 - 1 of
 * those that the block sees. */
typedef struct aios__attend_task {
    int32_t t0, n_t, h0, n_h, kvh, run0, run1, spread, n_runs;
    int32_t seq, own;   /* the block's sequence; the tile that it is in */
    int32_t first, end; /* cells that it sees, but for sinks and tiles that a policy hides */
    int32_t sinks, from, n_seen;
} aios__attend_task;
static void aios__attend_task_of(const aios__op *o, const aios__run *r, int32_t task,
                                 aios__attend_task *x) {
    const aios__hp_layer *h = &r->hp->layer[o->layer];
    const aios__pass *ps = r->pass;
    int32_t slices = aios__attend_slices(h), heads = aios__attend_heads(h),
            n_q = h->n_head / h->n_head_kv;
    x->spread = aios__attend_spread(o, r);
    x->n_runs = x->spread ? aios__attend_n_runs(o, r) : 1;
    int32_t chunk = x->spread ? aios__attend_chunk(o, r) : 1;
    int32_t chunks = (x->n_runs + chunk - 1) / chunk;
    x->run0 = x->spread ? task % chunks * chunk : r->round;
    x->run1 = x->spread && x->run0 + chunk > x->n_runs ? x->n_runs : x->run0 + chunk;
    int32_t slice = task / chunks % slices;
    x->kvh = task / chunks / slices % h->n_head_kv;
    int32_t block = task / chunks / slices / h->n_head_kv;
    x->h0 = x->kvh * n_q + slice * heads;
    x->n_h = n_q - slice * heads < heads ? n_q - slice * heads : heads;
    x->t0 = ps->block[block];
    x->n_t = ps->block[block + 1] - x->t0;
    int32_t last = x->t0 + x->n_t - 1;
    x->seq = ps->seq[x->t0];
    x->own = ps->cell[x->t0] / AIOSK_TILE;
    x->first = aios__attend_first(r->kv, x->seq, o->u.attend.window, ps->pos[x->t0]);
    x->end = ps->cell[last] + 1;
    x->n_seen = aios__attend_seen(r->kv, o->u.attend.window, x->seq, ps->pos[x->t0],
                                  ps->cell[x->t0], &x->sinks, &x->from);
}
/* The first cell of a run. */
static inline int32_t aios__attend_base(const aios__attend_task *x, int32_t run) {
    return (run < x->sinks ? run : x->from + run - x->sinks) * AIOS__RUN_POS;
}
static inline int32_t aios__attend_upto(const aios__attend_task *x, int32_t base) {
    return x->end < base + AIOS__RUN_POS ? x->end : base + AIOS__RUN_POS;
}
/* Results of single runs: where their maxima stand, and behind them their sums. */
static inline float *aios__partial_max(const aios__op *o, const aios__hp_layer *h) {
    return o->u.attend.partial +
           (int64_t)o->u.attend.n_partials * h->n_head * ((h->hd_v + 15) / 16 * 16);
}
static inline float *aios__partial_sum(const aios__op *o, const aios__hp_layer *h) {
    return aios__partial_max(o, h) + (int64_t)o->u.attend.n_partials * h->n_head;
}
static inline float *aios__state_sum(const aios__op *o, const aios__hp_layer *h) {
    return o->u.attend.state + (int64_t)o->u.attend.n_batch * h->n_head;
}
/* Empty results, for the first round and for runs that others see but not this block. */
static void aios__attend_clear(const aios__op *o, const aios__hp_layer *h,
                               const aios__attend_task *x) {
    size_t n = (size_t)x->n_h * 4;
    for (int32_t t = x->t0; t < x->t0 + x->n_t; t++) {
        for (int32_t i = x->run0; x->spread && i < x->run1; i++)
            memset(aios__partial_sum(o, h) + ((int64_t)t * x->n_runs + i) * h->n_head + x->h0, 0,
                   n);
        if (!x->spread && x->run0 == 0)
            memset(aios__state_sum(o, h) + (int64_t)t * h->n_head + x->h0, 0, n);
    }
}
/* The block's queries as keys of a turn want them: turned by `turn` positions more than they
 * are, rotated, quantised. */
static void aios__attend_queries(const aios__op *o, const aios__run *r, const aios__attend_work *w,
                                 const aios__attend_task *x, int32_t turn) {
    const aios__hp_layer *l = &r->hp->layer[o->layer];
    const aios__op_attend *a = &o->u.attend;
    int32_t n = x->n_t * x->n_h, hp_k = (l->hd_k + 15) / 16 * 16;
    for (int32_t t = 0; t < x->n_t; t++)
        memcpy(w->q + (int64_t)t * x->n_h * l->hd_k,
               a->x + (uint64_t)(x->t0 + t) * a->x_stride + (int64_t)x->h0 * l->hd_k,
               (size_t)x->n_h * (size_t)l->hd_k * 4);
    if (turn && l->rope >= 0) {
        const aios__rope *rope = &r->hp->rope[l->rope];
        for (int32_t i = 0; i < rope->n_rot / 2; i++) {
            double s, c;
            aios__sincos((double)turn * a->freq[i], &s, &c);
            w->cs[2 * i] = (float)c;
            w->cs[2 * i + 1] = (float)s;
        }
        r->k->rope(rope->kind, w->q, n, l->hd_k, rope->n_rot, w->cs);
    }
    if (!(r->kv->rotated[o->layer] & AIOS__ROTATED_K)) return;
    r->k->rotate(w->q, n, l->hd_k, 0);
    for (int32_t h = 0; h < n; h++)
        r->k->quantize_head(w->q + (int64_t)h * l->hd_k, l->hd_k, w->q8 + (int64_t)h * hp_k,
                            &w->d8[h], w->q + (int64_t)h * l->hd_k);
}
/* Tiles of a stretch that it has nothing of stand for its first. */
static inline void aios__attend_fill(aios__stretch *s, int32_t base) {
    for (int32_t i = 0; i < AIOSK_RUN; i++)
        if (!s->tile[i]) s->tile[i] = s->tile[(s->from - base) / AIOSK_TILE];
}
/* The sums of a stretch's tiles, for aios__attend_mass. Of a tile in two pieces, the last. */
static void aios__attend_note_mass(const aios__op *o, const aios__run *r,
                                   const aios__attend_task *x, const aiosk_attend *a, int32_t base,
                                   int32_t from) {
    int32_t n_head = r->hp->layer[o->layer].n_head;
    for (int32_t i = 0; i < a->n_q; i++) {
        float *got =
            o->u.attend.mass +
            (((int64_t)(x->t0 + i / x->n_h) * n_head + x->h0 + i % x->n_h) * r->kv->seq_tiles +
             base / AIOSK_TILE) *
                2;
        for (int32_t t = (from - base) / AIOSK_TILE; t < a->n_tiles; t++) {
            got[2 * t] = a->tile_sum[i * a->n_tiles + t];
            got[2 * t + 1] = a->m[i];
        }
    }
}
/* One stretch s of the run that starts at cell base, into results `which` of w. next: the first
 * tiles of what comes after it, or NULL. */
static void aios__attend_piece(const aios__op *o, const aios__run *r, const aios__attend_work *w,
                               const aios__attend_task *x, aiosk_attend *a, aios__stretch *s,
                               int32_t base, int32_t which, const void *const *next,
                               int32_t worker) {
    const aios__pass *ps = r->pass;
    int32_t t, i;
    aios__attend_fill(s, base);
    a->m = w->m[which];
    a->l = w->l[which];
    a->o = w->o[which];
    a->tile = s->tile;
    a->n_tiles = (s->to - base + AIOSK_TILE - 1) / AIOSK_TILE;
    a->open = s->open;
    a->next = next;
    a->type = s->type >= 0 ? s->type : r->kv->type[AIOS__KV_OPEN][o->layer];
    for (t = i = 0; t < x->n_t; t++) {
        int32_t cell = ps->cell[x->t0 + t],
                low = aios__attend_first(r->kv, x->seq, o->u.attend.window, ps->pos[x->t0 + t]),
                high = cell + 1 < s->to ? cell + 1 : s->to;
        if (low < s->from) low = s->from;
        for (int32_t h = 0; h < x->n_h; h++, i++) {
            w->low[i] = low < high ? low - base : 0;
            w->high[i] = low < high ? high - base : 0;
        }
    }
    a->tile_sum = o->u.attend.mass ? w->sum : NULL;
    r->k->attend(a);
    if (a->tile_sum) aios__attend_note_mass(o, r, x, a, base, s->from);
    r->kv_read[(int64_t)worker * 8] += s->bytes;
}
/* The result of a run: kept for ATTEND_END, or merged into what the rounds before it left. */
static void aios__attend_keep(const aios__op *o, const aios__run *r, const aios__attend_work *w,
                              const aios__attend_task *x, int32_t run) {
    const aios__hp_layer *h = &r->hp->layer[o->layer];
    int32_t hp_v = (h->hd_v + 15) / 16 * 16, t, i;
    for (t = x->t0, i = 0; t < x->t0 + x->n_t; t++, i += x->n_h) {
        const float *partial = w->o[0] + (int64_t)i * hp_v;
        if (x->spread) {
            int64_t at = ((int64_t)t * x->n_runs + run) * h->n_head + x->h0;
            memcpy(o->u.attend.partial + at * hp_v, partial, (size_t)x->n_h * (size_t)hp_v * 4);
            memcpy(aios__partial_max(o, h) + at, w->m[0] + i, (size_t)x->n_h * 4);
            memcpy(aios__partial_sum(o, h) + at, w->l[0] + i, (size_t)x->n_h * 4);
        } else {
            int64_t at = (int64_t)t * h->n_head + x->h0;
            r->k->attend_merge(x->n_h, h->hd_v, o->u.attend.state + at, aios__state_sum(o, h) + at,
                               o->u.attend.y + at * h->hd_v, h->hd_v, w->m[0] + i, w->l[0] + i,
                               partial, hp_v);
        }
    }
}
static void aios__op_attend_run(const aios__op *o, const aios__run *r, int32_t task,
                                int32_t worker) {
    const aios__hp_layer *h = &r->hp->layer[o->layer];
    int32_t hp_v = (h->hd_v + 15) / 16 * 16, turned = 0, ready = 0;
    aios__attend_task x;
    aios__attend_work w;
    aios__bump b;
    aiosk_attend a;
    aios__attend_task_of(o, r, task, &x);
    aios__attend_clear(o, h, &x);
    if (x.run0 >= x.n_seen) return;
    b.base = aios__work(r, worker);
    b.used = 0;
    aios__attend_layout(&w, &b, h, x.n_t, h->rope >= 0 ? r->hp->rope[h->rope].n_rot : 0);
    memset(&a, 0, sizeof a);
    a.q = w.q;
    a.q8 = w.q8;
    a.q8_d = w.d8;
    a.scratch = w.scratch;
    a.low = w.low;
    a.high = w.high;
    a.scale = h->score_scale;
    a.softcap = r->hp->score_cap;
    a.n_q = x.n_h * x.n_t;
    a.hd_k = h->hd_k;
    a.hd_v = h->hd_v;
    a.q_stride = h->hd_k;
    int32_t off = aios__kv_off(&r->kv->seq[x.seq]);
    for (int32_t run = x.run0; run < x.run1 && run < x.n_seen; run++) {
        int32_t base = aios__attend_base(&x, run), to = aios__attend_upto(&x, base),
                at = x.first > base ? x.first : base, some = 0;
        aios__stretch s, next;
        for (; aios__attend_stretch(r->kv, x.seq, o->layer, x.kvh, x.own, base, at, to, &s);
             at = s.to, some = 1) {
            const void *const *ahead = NULL;
            if (!ready || s.off != off + turned) {
                turned = s.off - off;
                ready = 1;
                aios__attend_queries(o, r, &w, &x, turned);
            }
            if (s.to == base + AIOS__RUN_POS && run + 1 < x.run1 && run + 1 > x.sinks &&
                aios__attend_stretch(r->kv, x.seq, o->layer, x.kvh, x.own, s.to, s.to,
                                     aios__attend_upto(&x, s.to), &next)) {
                aios__attend_fill(&next, s.to);
                ahead = next.tile;
            }
            aios__attend_piece(o, r, &w, &x, &a, &s, base, some, ahead, worker);
            if (some)
                r->k->attend_merge(a.n_q, h->hd_v, w.m[0], w.l[0], w.o[0], hp_v, w.m[1], w.l[1],
                                   w.o[1], hp_v);
        }
        if (some) aios__attend_keep(o, r, &w, &x, run);
    }
}
static int32_t aios__attend_tasks(const aios__op *o, const aios__run *r) {
    const aios__hp_layer *h = &r->hp->layer[o->layer];
    int32_t n = r->pass->n_blocks * h->n_head_kv * aios__attend_slices(h);
    if (!aios__attend_spread(o, r)) return n;
    int32_t c = aios__attend_chunk(o, r);
    return n * ((aios__attend_n_runs(o, r) + c - 1) / c);
}
static int32_t aios__attend_rounds(const aios__op *o, const aios__run *r) {
    return aios__attend_spread(o, r) ? 1 : aios__attend_n_runs(o, r);
}
/* What it wrote is whole at its end. */
/* clang-format off */
static const aios__op_kind aios__kind_attend = { "attend", aios__op_attend_run, aios__attend_tasks, NULL,
    NULL, 1, aios__attend_rounds, NULL, NULL, NULL, NULL, NULL };
/* clang-format on */

/* How much of a token's attention went to each tile it sees, in parts of 65536 for all its
 * heads and layers together: whole numbers, so that adding them up in any order gives the same.
 * m, l: of the token's heads. */
AIOSK__STRICT static void aios__attend_mass(const aios__op *o, const aios__run *r, int32_t token,
                                            const float *m, const float *l) {
    const aios__kv *kv = r->kv;
    int32_t n_head = r->hp->layer[o->layer].n_head, seq = r->pass->seq[token],
            own = r->pass->cell[token] / AIOSK_TILE,
            *now = kv->mass_now + (int64_t)seq * kv->seq_tiles, form;
    float scale = 65536.0f / (float)(n_head * r->hp->n_layer);
    for (int32_t t = 0; t <= own; t++) {
        float sum = 0;
        if (!aios__kv_look(kv, seq, o->layer, 0, own, t, &form)) continue;
        for (int32_t h = 0; h < n_head; h++) {
            const float *x =
                o->u.attend.mass + (((int64_t)token * n_head + h) * kv->seq_tiles + t) * 2;
            float e = x[1] - m[h];
            r->k->exp(&e, 1, &e);
            e = e * x[0];
            sum = sum + e / l[h];
        }
        sum = sum * scale;
        if (sum > 0 && sum <= 65536.0f) aios__fetch_add(&now[t], (int32_t)(sum + 0.5f));
    }
}
/* The end of attention for one token: merges its runs if they were spread, divides by the sum,
 * and makes the forms. */
static void aios__op_attend_end_run(const aios__op *o, const aios__run *r, int32_t t,
                                    int32_t worker) {
    const aios__hp_layer *l = &r->hp->layer[o->layer];
    int32_t hp_v = (l->hd_v + 15) / 16 * 16,
            n = aios__attend_spread(o, r) ? aios__attend_n_runs(o, r) : 0;
    float *y = o->u.attend.y + (int64_t)t * l->n_head * l->hd_v,
          *max = o->u.attend.state + (int64_t)t * l->n_head,
          *sum = aios__state_sum(o, l) + (int64_t)t * l->n_head;
    (void)worker;
    if (n) memset(sum, 0, (size_t)l->n_head * 4);
    for (int32_t i = 0; i < n; i++) {
        int64_t at = ((int64_t)t * n + i) * l->n_head;
        r->k->attend_merge(l->n_head, l->hd_v, max, sum, y, l->hd_v, aios__partial_max(o, l) + at,
                           aios__partial_sum(o, l) + at, o->u.attend.partial + at * hp_v, hp_v);
    }
    if (o->u.attend.mass) aios__attend_mass(o, r, t, max, sum);
    for (int32_t h = 0; h < l->n_head; h++)
        r->k->scale(y + (int64_t)h * l->hd_v, 1.0f / sum[h], l->hd_v, y + (int64_t)h * l->hd_v);
    if (r->kv->rotated[o->layer] & AIOS__ROTATED_V) r->k->rotate(y, l->n_head, l->hd_v, 1);
    aios__forms(r, &o->u.attend.out, t, y);
}
static void aios__attend_end_wrote(const aios__op *o, aios__acts *a) {
    const aios__op_attend *x = &o->u.attend;
    *a = x->out;
    aios__wrote_f32(a, x->y, (uint64_t)x->out.n, x->out.n);
}
/* clang-format off */
AIOS__ROW_KIND(attend_end, aios__attend_end_wrote);
/* clang-format on */

/* ======== run/op_moe.c ======== */
/* op_moe.c: ops of feed-forwards of experts. The lists that they work by are made in moe.c. */

static void aios__op_route_run(const aios__op *o, const aios__run *r, int32_t t, int32_t worker) {
    aios__moe *m = r->moe;
    (void)worker;
    aios__moe_choose(r->k, o->u.moe.logit + (uint64_t)t * o->u.moe.logit_stride, m->n_expert,
                     m->n_used, r->hp->exp_norm, r->hp->exp_scale,
                     m->chosen + (int64_t)t * m->n_used, m->weight + (int64_t)t * m->n_used);
}
static void aios__op_group_run(const aios__op *o, const aios__run *r, int32_t t, int32_t worker) {
    (void)t;
    (void)worker;
    aios__moe_count(r->moe, r->pass->n);
    if (r->expert_cache) aios__expert_cache_begin(r->expert_cache, o->layer);
    aios__moe_place(r->moe, r->pass->n, o->layer);
}
static int32_t aios__group_tasks(const aios__op *o, const aios__run *r) {
    (void)o;
    (void)r;
    return 1;
}
/* The input of one pair, beside those of the same expert. With one token there is nothing to
 * gather: all pairs read its column. */
static void aios__op_gather_run(const aios__op *o, const aios__run *r, int32_t c, int32_t worker) {
    const aios__op_gather *x = &o->u.gather;
    (void)worker;
    for (int32_t k = 0; k < AIOSK_N_ACTS; k++)
        if (x->out.p[k])
            memcpy(aios__form(&x->out, k, c), aios__form(&x->in, k, r->moe->token[c]),
                   (size_t)x->in.stride[k]);
}
static int32_t aios__gather_tasks(const aios__op *o, const aios__run *r) {
    (void)o;
    return r->pass->n == 1 ? 0 : aios__moe_cols(r->moe);
}
/* The sum of what a token's experts gave, and the shared one's, into the residual. */
AIOSK__STRICT static void aios__op_combine_run(const aios__op *o, const aios__run *r, int32_t t,
                                               int32_t worker) {
    const aios__op_moe *x = &o->u.moe;
    const aios__moe *m = r->moe;
    const int32_t *col = m->col + (int64_t)t * m->n_used;
    const float *weight = m->weight + (int64_t)t * m->n_used;
    float *sum = aios__work_f32(r, worker), *one = sum + x->n, *y = x->y + (int64_t)t * x->n;
    r->k->scale(x->x + (int64_t)col[0] * x->n, weight[0], x->n, sum);
    for (int32_t j = 1; j < m->n_used; j++) {
        r->k->scale(x->x + (int64_t)col[j] * x->n, weight[j], x->n, one);
        r->k->add(sum, one, x->n, sum);
    }
    if (x->shared) {
        const float *shared = x->shared + (int64_t)t * x->n;
        if (x->gate) { /* 1 / (1 + exp(-x)) */
            float g = -x->logit[(uint64_t)t * x->logit_stride + (uint64_t)m->n_expert];
            r->k->exp(&g, 1, &g);
            r->k->scale(shared, 1.0f / (1.0f + g), x->n, one);
            shared = one;
        }
        r->k->add(sum, shared, x->n, sum);
    }
    if (x->scale != 1.0f) r->k->scale(sum, x->scale, x->n, sum);
    r->k->add(y, sum, x->n, y);
}
static void aios__route_wrote(const aios__op *o, aios__acts *a) {
    aios__wrote_f32(a, o->u.moe.logit, o->u.moe.logit_stride, o->u.moe.n);
}
static void aios__combine_wrote(const aios__op *o, aios__acts *a) {
    aios__wrote_f32(a, o->u.moe.y, (uint64_t)o->u.moe.n, o->u.moe.n);
}
/* clang-format off */
AIOS__ROW_KIND(route, aios__route_wrote);
AIOS__ROW_KIND(combine, aios__combine_wrote);
static const aios__op_kind aios__kind_group = { "group", aios__op_group_run, aios__group_tasks, NULL,
    NULL, 0, AIOS__PLAIN };
static const aios__op_kind aios__kind_gather = { "gather", aios__op_gather_run, aios__gather_tasks, NULL,
    NULL, 0, AIOS__PLAIN };
/* clang-format on */

/* ---- matrices of experts: a task is rows of one, times the columns of a block ---- */
static void aios__experts_task(const aios__op *o, const aios__run *r, const void *w,
                               const aios__cols *b, int32_t rows, int32_t worker) {
    const aios__op_experts *x = &o->u.experts;
    aiosk_matmul m;
    memset(&m, 0, sizeof m);
    m.w = w;
    m.n_in = x->n_in;
    m.x = x->alone && r->pass->n == 1 ? x->alone : x->x + (uint64_t)b->col * x->x_stride;
    m.x_stride = x->x_stride;
    m.y = x->y + (uint64_t)b->col * x->y_stride;
    m.y_stride = x->y_stride;
    m.row0 = rows * x->rows_per_task;
    m.row1 = x->n_out - m.row0 < x->rows_per_task ? x->n_out : m.row0 + x->rows_per_task;
    m.n_cols = b->n;
    if (x->mm)
        x->mm(&m);
    else
        aiosk_matmul_reference(o->type, &m, aios__work_f32(r, worker));
}
/* Tasks of one block. */
static inline int32_t aios__expert_tasks(const aios__op *o) {
    return (o->u.experts.n_out + o->u.experts.rows_per_task - 1) / o->u.experts.rows_per_task;
}
static void aios__op_experts_run(const aios__op *o, const aios__run *r, int32_t task,
                                 int32_t worker) {
    const aios__op_experts *x = &o->u.experts;
    int32_t n = aios__expert_tasks(o);
    const aios__cols *b = &r->moe->block[r->moe->block0 + task / n];
    const void *w =
        x->each ? x->each[b->expert].p : (const char *)x->w + (uint64_t)b->expert * x->expert_bytes;
    aios__experts_task(o, r, w, b, task % n, worker);
}
static int32_t aios__experts_tasks(const aios__op *o, const aios__run *r) {
    return (r->moe->block1 - r->moe->block0) * aios__expert_tasks(o);
}
static void aios__experts_read(const aios__op *o, const aios__run *r, aios_counters *c) {
    aios__count_read(c, o->tier, o->u.experts.expert_bytes * (uint64_t)r->moe->n_read[o->layer]);
}
static void aios__experts_wrote(const aios__op *o, aios__acts *a) {
    aios__wrote_f32(a, o->u.experts.y, o->u.experts.y_stride, o->u.experts.n_out);
}
/* clang-format off */
static const aios__op_kind aios__kind_experts = { "experts", aios__op_experts_run, aios__experts_tasks,
    aios__experts_read, aios__experts_wrote, 0, AIOS__PLAIN };
/* clang-format on */

/* Experts that come and go: the first of their ops waits for some, those up to the last work on
 * them, and from there it goes back to the first while there are more. */
static void aios__op_cached_run(const aios__op *o, const aios__run *r, int32_t task,
                                int32_t worker) {
    int32_t n = aios__expert_tasks(o);
    const aios__cols *b = &r->moe->block[r->moe->block0 + task / n];
    aios__experts_task(o, r,
                       aios__expert_cache_data(r->expert_cache, b->expert, o->u.experts.which), b,
                       task % n, worker);
}
static int32_t aios__cached_ready(const aios__op *o, aios__run *r, uint64_t timeout_ns) {
    (void)o;
    return aios__expert_cache_try(r->expert_cache, timeout_ns);
}
static int32_t aios__cached_again(const aios__op *o, aios__run *r) {
    return aios__expert_cache_next(r->expert_cache) ? o->u.experts.back : 0;
}
/* clang-format off */
static const aios__op_kind aios__kind_cached_experts[] = {
    { "first_cached_experts", aios__op_cached_run, aios__experts_tasks, aios__experts_read,
      aios__experts_wrote, 0, NULL, NULL, aios__cached_ready, NULL, NULL, NULL },
    { "cached_experts", aios__op_cached_run, aios__experts_tasks, aios__experts_read,
      aios__experts_wrote, 0, AIOS__PLAIN },
    { "last_cached_experts", aios__op_cached_run, aios__experts_tasks, aios__experts_read,
      aios__experts_wrote, 0, NULL, NULL, NULL, NULL, NULL, aios__cached_again }
};
/* clang-format on */

/* ======== run/program.c ======== */
/* program.c: the graph of a model and a plan -> a flat array of ops (op.h). Each op holds its
 * pointers, kernels, shapes and byte counts; running is a loop over it (exec.c) that looks up no
 * name, chooses no path and takes no memory. The same walk counts and builds, so that the plan
 * knows the program's size to the byte.
 *
 * An op joins the phase before it when it reads nothing that this writes, writes nothing that it
 * touches, and neither goes in rounds. A value has its place in scratch memory from the phase
 * that makes it to the last one that reads it: what is free then goes to the next value, the
 * smallest that is large enough, or else the largest, which grows. */

/* ---- rope frequencies ---- */
/* Each pair i turns by pos * freq[i]: every scaling method comes down to another table. Returns
 * what cos and sin are multiplied with in *mult_out. From: linear (Chen 2023), YaRN (Peng 2023),
 * LongRoPE (Ding 2024), as GGUF writes their parameters. */
AIOSK__STRICT static aios_status aios__rope_freqs(const aios_model *m, const aios__rope *p,
                                                  int32_t n_ctx, double *freq, float *mult_out,
                                                  aios_error *err) {
    int32_t n = p->n_rot / 2, r = AIOS__ROLE_ROPE_FREQS;
    double log_base = aios__log(p->base), mult = p->attn_factor, low = 0, high = 0;
    if (p->scaling == AIOS__SCALE_YARN) {
        double d = (double)p->n_rot / (2 * log_base), two_pi = 6.283185307179586;
        low = aios__floor(d * aios__log((double)p->orig_ctx / (p->beta_fast * two_pi)));
        high = -aios__floor(-d * aios__log((double)p->orig_ctx / (p->beta_slow * two_pi)));
        if (low < 0) low = 0;
        if (high > p->n_rot - 1) high = p->n_rot - 1;
        if (high - low < 0.001) high = low + 0.001;
        if (p->ext != 0) mult *= 1 + 0.1 * aios__log(p->factor);
    }
    if (m->role[AIOS__ROLE_ROPE_LONG].w >= 0 && m->role[AIOS__ROLE_ROPE_SHORT].w >= 0)
        r = n_ctx > p->orig_ctx ? AIOS__ROLE_ROPE_LONG : AIOS__ROLE_ROPE_SHORT;
    const float *div =
        p->divide && m->role[r].w >= 0 ? (const float *)m->place[m->role[r].w].p : NULL;
    for (int32_t i = 0; i < n; i++) {
        double f = aios__exp(-(double)(2 * i) / (double)p->n_rot * log_base);
        if (div) {
            if (!(div[i] >= 1e-6f && div[i] <= 1e6f))
                return aios__fail2(err, AIOS_ERR_MODEL,
                                   m->gguf.tensor[m->role[r].w].off + (uint64_t)i * 4, 0,
                                   (uint64_t)i, "factor % of tensor % makes no sense", aios__i(i),
                                   aios__s(m->gguf.tensor[m->role[r].w].name));
            f /= (double)div[i];
        }
        if (p->scaling == AIOS__SCALE_LINEAR) f /= p->factor;
        if (p->scaling == AIOS__SCALE_YARN) {
            double ramp = ((double)i - low) / (high - low), keep;
            ramp = ramp < 0 ? 0 : ramp > 1 ? 1 : ramp;
            /* 1 = the fast pairs turn as trained, 0 = slowed down */
            keep = (1 - ramp) * p->ext;
            f = f / p->factor * (1 - keep) + f * keep;
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

/* ---- the program ---- */
typedef struct aios__program {
    aios__op *op;       /* [n_ops] */
    aios__unit *unit;   /* [n_units] what is streamed, in the order of use */
    aios__expert *each; /* [n_split of the model] */
    double *freq;       /* of all ropes, one after the other: [n_rot / 2] */
    float rope_mult[AIOS__MAX_ROPES];
    uint32_t n_ops, n_phases, n_units, n_each;
    uint64_t slot_bytes;                            /* of the largest unit */
    uint64_t matrix_bytes[AIOS__N_EXPERT_MATRICES]; /* of a slot for experts: the widest */
    aios__table table[AIOS__N_TABLES];              /* tables of which rows are read from storage */
    int32_t n_tables;
    uint64_t row_slot_bytes, row_align; /* of the longest row */
    /* per decoded token: weights, activations; from storage; of these, of experts */
    uint64_t w_bytes, act_bytes, stream_bytes, expert_bytes;
    uint64_t scratch_bytes, work_bytes; /* of all; of one worker */
    char *work;
    const float *logits, *embedding; /* [n_outputs][n_vocab], [n_outputs][n_embd] */
} aios__program;

/* A place in scratch memory. */
typedef struct aios__buffer {
    uint64_t bytes;
    int32_t value, form; /* of which it has the rows; -1 = it is free */
} aios__buffer;
enum { AIOS__MAX_BUFFERS = 64 };

/* A walk over the graph. */
typedef struct aios__emitter {
    const aios_model *m;
    const aios__graph *g;
    const aiosk_isa *k;
    aios__program *p;
    int32_t n_ctx, n_seq, n_batch, n_outputs, n_threads, numerics;
    int32_t coded, heavy; /* tiles of the cache are sealed; some stay for the attention they get */
    aios__cut cut;
    int32_t n_block; /* tokens that attention takes together */
    char *base;      /* of scratch memory; NULL = count */
    aios__moe *moe;
    aios__bundle *bundle; /* [n_layer] where experts are cached */
    int32_t first_node;   /* of the current phase; -1 = it takes no more */
    int32_t first_expert; /* op of a layer that waits for experts */
    int32_t last_table;   /* op that takes rows from storage, -1 = none */
    int32_t full;
    aios__buffer buffer[AIOS__MAX_BUFFERS];
    uint64_t off[AIOS__MAX_BUFFERS];
    int32_t n_buffers;
    aios__op local;
} aios__emitter;

/* ---- values in scratch memory ---- */
/* The forms in which a value is read. */
static uint32_t aios__mask(const aios__emitter *e, int32_t v) {
    return e->numerics == AIOS_REFERENCE ? 1u << AIOSK_FLT : e->g->value[v].forms;
}
/* The form in which a matrix reads its input. */
static int32_t aios__form_read(const aios__emitter *e, const aios__tensor *t) {
    return e->numerics == AIOS_REFERENCE ? (int32_t)AIOSK_FLT
                                         : (int32_t)aiosk_type_info((int32_t)t->type)->family;
}
static uint64_t aios__value_rows(const aios__emitter *e, const aios__value *v) {
    uint64_t n = (uint64_t)e->n_batch;
    switch (v->rows) {
    case AIOS__OF_TOKENS: return n;
    case AIOS__OF_OUTPUTS: return (uint64_t)e->n_outputs;
    case AIOS__OF_PAIRS: return n * (uint64_t)e->m->hp.n_used;
    case AIOS__OF_PARTIALS: return (uint64_t)aios__attend_most_partials(e->n_ctx);
    case AIOS__OF_MASSES: return e->heavy ? n * (uint64_t)aios__tiles(e->n_ctx) : 0;
    default: return 0;
    }
}
static uint64_t aios__row_stride(int32_t width, int32_t form) {
    return form == AIOSK_FLT ? (uint64_t)width * 4
                             : aios__round_up(aiosk_act_bytes(form, (uint64_t)width), 64);
}
/* A free buffer for so many bytes: -1 = a new one. */
static int32_t aios__buffer_find(const aios__emitter *e, uint64_t bytes) {
    int32_t best = -1;
    for (int32_t i = 0; i < e->n_buffers; i++) {
        const aios__buffer *b = &e->buffer[i], *than = best < 0 ? NULL : &e->buffer[best];
        if (b->value >= 0) continue;
        if (!than || (than->bytes < bytes ? b->bytes > than->bytes
                                          : b->bytes >= bytes && b->bytes < than->bytes))
            best = i;
    }
    return best;
}
/* Where the rows of a value are, in one of its forms; they get a place when they have none yet.
 * NULL while counting, and where the plan has no rows of it. */
static char *aios__rows_at(aios__emitter *e, int32_t v, int32_t form, uint64_t *stride) {
    const aios__value *x = &e->g->value[v];
    uint64_t at = 0;
    int32_t i;
    if (form == AIOSK_FLT && x->base >= 0) { /* views have their f32 in place */
        at = (uint64_t)x->at * 4;
        v = x->base;
        x = &e->g->value[v];
    }
    *stride = aios__row_stride(x->width, form);
    uint64_t bytes = aios__round_up(*stride * aios__value_rows(e, x), 64);
    if (!bytes) return NULL;
    for (i = 0; i < e->n_buffers; i++)
        if (e->buffer[i].value == v && e->buffer[i].form == form)
            return e->base ? e->base + e->off[i] + at : NULL;
    i = aios__buffer_find(e, bytes);
    if (i < 0 && e->n_buffers == AIOS__MAX_BUFFERS) {
        e->full = 1;
        return NULL;
    }
    if (i < 0) {
        i = e->n_buffers++;
        e->buffer[i].bytes = 0;
    }
    if (e->buffer[i].bytes < bytes) e->buffer[i].bytes = bytes;
    e->buffer[i].value = v;
    e->buffer[i].form = form;
    return e->base ? e->base + e->off[i] + at : NULL;
}
static float *aios__f32_at(aios__emitter *e, int32_t v, uint64_t *floats) {
    uint64_t stride = 0;
    if (v < 0) return NULL;
    float *p = (float *)(void *)aios__rows_at(e, v, AIOSK_FLT, &stride);
    if (floats) *floats = stride / 4;
    return p;
}
/* All forms of mask; gives the bytes of a row of them. */
static uint64_t aios__acts_at(aios__emitter *e, int32_t v, uint32_t mask, aios__acts *a) {
    uint64_t bytes = 0;
    a->n = e->g->value[v].width;
    for (int32_t k = 0; k < AIOSK_N_ACTS; k++) {
        if (!(mask & 1u << k)) continue;
        a->p[k] = aios__rows_at(e, v, k, &a->stride[k]);
        bytes += a->stride[k];
    }
    return bytes;
}
/* The next phase begins with a node: what nobody reads any more is free. */
static void aios__buffers_free(aios__emitter *e, int32_t node) {
    for (int32_t i = 0; i < e->n_buffers; i++)
        if (e->buffer[i].value >= 0 && e->g->value[e->buffer[i].value].last < node)
            e->buffer[i].value = -1;
}

/* ---- phases ---- */
static int32_t aios__overlap_values(const aios__graph *g, int32_t a, int32_t b) {
    if (a < 0 || b < 0) return 0;
    if (a == b) return 1;
    const aios__value *x = &g->value[a];
    const aios__value *y = &g->value[b];
    if ((x->base < 0 ? a : x->base) != (y->base < 0 ? b : y->base)) return 0;
    return x->base < 0 || y->base < 0 || (x->at < y->at + y->width && y->at < x->at + x->width);
}
/* Does one write what the other touches? */
static int32_t aios__nodes_meet(const aios__graph *g, const aios__node *a, const aios__node *b) {
    for (int32_t i = 0; i < AIOS__MAX_OUT; i++) {
        for (int32_t k = 0; k < AIOS__MAX_IN; k++)
            if (aios__overlap_values(g, a->out[i], b->in[k]) ||
                aios__overlap_values(g, b->out[i], a->in[k]))
                return 1;
        for (int32_t k = 0; k < AIOS__MAX_OUT; k++)
            if (aios__overlap_values(g, a->out[i], b->out[k])) return 1;
    }
    return 0;
}
static int32_t aios__joins(const aios__emitter *e, int32_t node, const aios__op_kind *kind) {
    if (e->first_node < 0 || kind->alone) return 0;
    for (int32_t i = e->first_node; i < node; i++)
        if (aios__nodes_meet(e->g, &e->g->node[i], &e->g->node[node])) return 0;
    return 1;
}
/* An op of a node, in the current phase or the next one. */
static aios__op *aios__op_new(aios__emitter *e, const aios__node *n, const aios__op_kind *kind) {
    aios__program *p = e->p;
    aios__op *o = e->base ? &p->op[p->n_ops] : &e->local;
    int32_t node = (int32_t)(n - e->g->node);
    memset(o, 0, sizeof *o);
    if (!aios__joins(e, node, kind)) {
        aios__buffers_free(e, node);
        e->first_node = kind->alone ? -1 : node;
        p->n_phases++;
    }
    p->n_ops++;
    o->kind = kind;
    o->name = n->name;
    o->layer = n->layer;
    o->phase = (int32_t)p->n_phases - 1;
    o->type = o->tier = -1;
    if (n->out[0] >= 0) o->rows = e->g->value[n->out[0]].rows;
    return o;
}
/* Its byte counts are known. work: what a worker needs for a task of it. */
static void aios__op_done(aios__emitter *e, const aios__op *o, uint64_t work) {
    e->p->w_bytes += o->w_bytes;
    e->p->act_bytes += o->act_bytes;
    if (work > e->p->work_bytes) e->p->work_bytes = work;
}
static const float *aios__vec(const aios__emitter *e, int32_t tensor) {
    return tensor < 0 ? NULL : (const float *)e->m->place[tensor].p;
}
static uint64_t aios__vec_bytes(const aios__emitter *e, int32_t tensor) {
    return tensor < 0 ? 0 : e->m->gguf.tensor[tensor].n[0] * 4;
}

/* ---- a node's ops ---- */
static void aios__emit_copy(aios__emitter *e, const aios__node *n) {
    if (e->n_seq > 1) aios__op_done(e, aios__op_new(e, n, &aios__kind_copy), 0);
}
/* A table of which not all rows are resident: what reading one takes. */
static void aios__emit_stored(aios__emitter *e, aios__op *o, const aios__tensor *t,
                              const aios__place *at) {
    aios__program *p = e->p;
    aios__table *x = &p->table[o->u.table.which];
    uint64_t most = aios__most_read_bytes(t->row_bytes, &e->m->io[t->part]);
    x->off = t->off;
    x->row_bytes = t->row_bytes;
    x->part = t->part;
    x->n_resident = at->rows;
    if (!at->rows) o->tier = AIOS_TIER_STREAM;
    e->last_table = (int32_t)p->n_ops - 1;
    p->n_tables++;
    if (aios__stream_align(&e->m->io[t->part]) > 1) p->row_align = AIOS__STREAM_ALIGN;
    p->row_slot_bytes =
        aios__round_up(most > p->row_slot_bytes ? most : p->row_slot_bytes, p->row_align);
    p->stream_bytes += most;
}
static void aios__emit_table(aios__emitter *e, const aios__node *n) {
    const aios__tensor *t = &e->m->gguf.tensor[n->w.w];
    uint64_t off[2] = { 0, 0 };
    aios__place at = aios__place_of(e->m, &e->cut, (uint32_t)n->w.w, off);
    int32_t stored = at.rows < t->n[1];
    aios__op *o = aios__op_new(e, n, stored ? &aios__kind_stored_table : &aios__kind_table);
    aios__op_table *x = &o->u.table;
    o->type = (int32_t)t->type;
    o->tier = at.tier;
    x->w = at.p;
    x->layout = at.layout;
    x->row_bytes = t->row_bytes;
    x->n = (int32_t)t->n[0];
    x->which = n->which;
    x->scale = n->scale;
    x->add = n->in[0] >= 0;
    x->y = aios__f32_at(e, n->out[0], &x->y_stride);
    if (stored) aios__emit_stored(e, o, t, &at);
    o->w_bytes = t->row_bytes;
    o->act_bytes = (uint64_t)x->n * 4;
    /* the row, then the same dequantised */
    aios__op_done(e, o, t->row_bytes + (uint64_t)x->n * 4);
}
static const double *aios__rope_freq(const aios__emitter *e, int32_t rope) {
    const double *freq = e->p->freq;
    if (rope < 0 || !freq) return NULL;
    for (int32_t i = 0; i < rope; i++) freq += e->m->hp.rope[i].n_rot / 2;
    return freq;
}
static void aios__emit_angles(aios__emitter *e, const aios__node *n) {
    aios__op *o = aios__op_new(e, n, &aios__kind_angles);
    aios__op_angles *x = &o->u.angles;
    x->n = e->m->hp.rope[n->which].n_rot / 2;
    x->freq = aios__rope_freq(e, n->which);
    x->mult = e->p->rope_mult[n->which];
    x->y = aios__f32_at(e, n->out[0], NULL);
    o->act_bytes = (uint64_t)x->n * 8;
    aios__op_done(e, o, 0);
}
static void aios__emit_norm(aios__emitter *e, const aios__node *n) {
    aios__op *o = aios__op_new(e, n, &aios__kind_norm);
    aios__op_norm *x = &o->u.norm;
    uint64_t bytes = 0;
    x->kind = e->m->arch->norm;
    x->eps = e->m->hp.norm_eps;
    x->n = e->g->value[n->in[0]].width;
    x->w = aios__vec(e, n->w.w);
    x->b = aios__vec(e, n->w.b);
    x->x = aios__f32_at(e, n->in[0], NULL);
    if (n->in[1] >= 0)
        x->add = aios__f32_at(e, n->in[1], NULL);
    else
        bytes = aios__acts_at(e, n->out[0], aios__mask(e, n->out[0]), &x->out);
    o->w_bytes = aios__vec_bytes(e, n->w.w) + aios__vec_bytes(e, n->w.b);
    o->act_bytes = (uint64_t)x->n * (n->in[1] < 0 ? 4 : 12) + bytes;
    aios__op_done(e, o, (uint64_t)x->n * 4);
}

/* Rows row0 .. row1-1 of a matrix: those that are resident, or those that are not. */
static aios__op *aios__emit_rows(aios__emitter *e, const aios__node *n, const aios__op_kind *kind,
                                 const aios__place *at, int32_t layout, uint32_t row0,
                                 uint32_t row1) {
    const aios__tensor *t = &e->m->gguf.tensor[n->w.w];
    aios__op *o = aios__op_new(e, n, kind);
    aios__op_matrix *x = &o->u.matrix;
    int32_t form = aios__form_read(e, t),
            most = o->rows == AIOS__OF_OUTPUTS ? e->n_outputs : e->n_batch,
            cols = most < AIOSK__MAX_COLS ? most : (int32_t)AIOSK__MAX_COLS;
    o->type = (int32_t)t->type;
    o->tier = kind == &aios__kind_matrix ? (int32_t)at->tier : (int32_t)AIOS_TIER_STREAM;
    x->w = at->p;
    x->bias = aios__vec(e, n->w.b);
    if (x->bias) x->bias += row0;
    if (e->numerics != AIOS_REFERENCE) x->mm = e->k->matmul[o->type][layout];
    /* asks the CPU: not while counting */
    if (e->base && e->numerics == AIOS_FAST && layout == AIOSK_ROWS)
        x->mm = aiosk_matmul_fast(e->k, o->type);
    x->x = aios__rows_at(e, n->in[0], form, &x->x_stride);
    x->y = aios__f32_at(e, n->out[0], &x->y_stride);
    if (x->y) x->y += row0;
    x->n_in = (int32_t)t->n[0];
    x->n_out = (int32_t)(row1 - row0);
    x->add = n->in[1] >= 0;
    x->rows_per_task = aios__task_rows(t->row_bytes, x->n_in, x->n_out, cols);
    x->cols_per_task = aios__task_cols(x->rows_per_task, x->n_in, cols);
    o->w_bytes =
        aios__rows_bytes(t, layout, row1 - row0) + (n->w.b < 0 ? 0 : (uint64_t)(row1 - row0) * 4);
    o->act_bytes = x->x_stride + (uint64_t)x->n_out * (x->add ? 8 : 4);
    /* the reference dequantises a row */
    aios__op_done(e, o, e->numerics == AIOS_REFERENCE ? (uint64_t)x->n_in * 4 : 0);
    return o;
}
/* What is resident of a matrix, then what is streamed, in a phase of its own with a round for
 * each unit. */
static void aios__emit_matrix(aios__emitter *e, const aios__node *n) {
    const aios__tensor *t = &e->m->gguf.tensor[n->w.w];
    uint64_t off[2] = { 0, 0 };
    aios__place at = aios__place_of(e->m, &e->cut, (uint32_t)n->w.w, off);
    aios__source from = aios__source_of(e->m, &e->cut, (uint32_t)n->w.w);
    aios__program *p = e->p;
    uint32_t row = at.rows, n_rows = (uint32_t)t->n[1];
    if (row) aios__emit_rows(e, n, &aios__kind_matrix, &at, at.layout, 0, row);
    if (row == n_rows) return;
    aios__op *o = aios__emit_rows(e, n, &aios__kind_streamed_matrix, &at, from.layout, row, n_rows);
    uint32_t unit_rows = aios__unit_rows(t, e->cut.unit_bytes);
    o->u.matrix.unit_rows = (int32_t)unit_rows;
    for (; row < n_rows; row += unit_rows, p->n_units++, o->n_units++) {
        aios__unit u;
        u.off = from.off + aios__rows_bytes(t, from.layout, row);
        u.part = from.io;
        u.n_bytes =
            (uint32_t)aios__rows_bytes(t, from.layout, aios__min_u64(unit_rows, n_rows - row));
        uint64_t n_read = aios__unit_read_bytes(&u, &e->m->io[u.part]);
        if (n_read > p->slot_bytes) p->slot_bytes = n_read;
        p->stream_bytes += n_read;
        if (e->base) p->unit[p->n_units] = u;
    }
}

static void aios__emit_heads(aios__emitter *e, const aios__node *n) {
    aios__op *o = aios__op_new(e, n, &aios__kind_heads);
    aios__op_heads *x = &o->u.heads;
    int32_t q = e->m->layer[n->layer][AIOS__ROLE_ATTN_Q_NORM].w,
            k = e->m->layer[n->layer][AIOS__ROLE_ATTN_K_NORM].w;
    x->x = aios__f32_at(e, n->in[0], &x->x_stride);
    x->cs = aios__f32_at(e, n->in[1], NULL);
    x->q_norm = aios__vec(e, q);
    x->k_norm = aios__vec(e, k);
    x->q_norm_n = (int32_t)(aios__vec_bytes(e, q) / 4);
    x->k_norm_n = (int32_t)(aios__vec_bytes(e, k) / 4);
    x->eps = e->m->hp.norm_eps;
    o->w_bytes = aios__vec_bytes(e, q) + aios__vec_bytes(e, k);
    o->act_bytes = x->x_stride * 8;
    aios__op_done(e, o, 0);
}
static void aios__emit_seal(aios__emitter *e, const aios__node *n) {
    const aios__hp_layer *h = &e->m->hp.layer[n->layer];
    if (e->coded)
        aios__op_done(e, aios__op_new(e, n, &aios__kind_seal),
                      AIOSK_CONVERT_SCRATCH(h->hd_k > h->hd_v ? h->hd_k : h->hd_v));
}
/* The buffers that both ops of attention know. v: y, state, partials, masses. */
static void aios__attend_buffers(aios__emitter *e, const aios__node *n, const int16_t *v,
                                 aios__op_attend *x) {
    x->window = e->m->hp.layer[n->layer].window;
    x->n_batch = e->n_batch;
    x->n_partials = aios__attend_most_partials(e->n_ctx);
    x->y = aios__f32_at(e, v[0], NULL);
    x->state = aios__f32_at(e, v[1], NULL);
    x->partial = aios__f32_at(e, v[2], NULL);
    x->mass = aios__f32_at(e, v[3], NULL);
}
static void aios__emit_attend(aios__emitter *e, const aios__node *n) {
    const aios__hp_layer *h = &e->m->hp.layer[n->layer];
    aios__op *o = aios__op_new(e, n, &aios__kind_attend);
    aios__op_attend *x = &o->u.attend;
    aios__attend_work w;
    aios__bump work = { NULL, 0 };
    x->x = aios__f32_at(e, n->in[0], &x->x_stride);
    x->freq = aios__rope_freq(e, h->rope);
    aios__attend_buffers(e, n, n->out, x);
    aios__attend_layout(&w, &work, h, e->n_block, h->rope >= 0 ? e->m->hp.rope[h->rope].n_rot : 0);
    o->act_bytes = (uint64_t)(h->n_head * (h->hd_k + h->hd_v)) * 4;
    aios__op_done(e, o, work.used);
}
static void aios__emit_attend_end(aios__emitter *e, const aios__node *n) {
    aios__op *o = aios__op_new(e, n, &aios__kind_attend_end);
    uint32_t mask = aios__mask(e, n->out[0]) & ~(1u << AIOSK_FLT);
    aios__attend_buffers(e, n, n->in, &o->u.attend);
    o->act_bytes = (uint64_t)e->g->value[n->out[0]].width * 8 +
                   aios__acts_at(e, n->out[0], mask, &o->u.attend.out);
    aios__op_done(e, o, 0);
}
static void aios__emit_act(aios__emitter *e, const aios__node *n) {
    aios__op *o = aios__op_new(e, n, &aios__kind_act);
    aios__op_act *x = &o->u.act;
    uint32_t mask = aios__mask(e, n->out[0]) & ~(1u << AIOSK_FLT);
    x->x = aios__f32_at(e, n->in[0], &x->x_stride);
    x->up = aios__f32_at(e, n->in[1], NULL);
    x->n = e->g->value[n->out[0]].width;
    x->act = e->m->arch->act;
    x->pairs = o->rows == AIOS__OF_PAIRS;
    o->later = x->pairs && e->cut.experts;
    o->act_bytes =
        (uint64_t)x->n * (n->in[1] >= 0 ? 12 : 8) + aios__acts_at(e, n->out[0], mask, &x->out);
    if (x->pairs) o->act_bytes *= (uint64_t)e->m->hp.n_used;
    aios__op_done(e, o, 0);
}
static void aios__emit_rescale(aios__emitter *e, const aios__node *n, const aios__op_kind *kind) {
    aios__op *o = aios__op_new(e, n, kind);
    aios__op_scale *x = &o->u.scale;
    x->x = aios__f32_at(e, n->in[0], NULL);
    x->y = aios__f32_at(e, n->in[1], NULL);
    x->n = e->g->value[n->in[0]].width;
    x->scale = n->scale;
    o->act_bytes = (uint64_t)x->n * (n->in[1] < 0 ? 8 : 16);
    aios__op_done(e, o, 0);
}
static void aios__emit_scale(aios__emitter *e, const aios__node *n) {
    aios__emit_rescale(e, n, &aios__kind_scale);
}
static void aios__emit_cap(aios__emitter *e, const aios__node *n) {
    aios__emit_rescale(e, n, &aios__kind_cap);
}
static void aios__emit_add(aios__emitter *e, const aios__node *n) {
    aios__emit_rescale(e, n, &aios__kind_add);
}

/* ---- experts ---- */
static void aios__emit_route(aios__emitter *e, const aios__node *n) {
    aios__op *o = aios__op_new(e, n, &aios__kind_route);
    o->u.moe.logit = aios__f32_at(e, n->in[0], &o->u.moe.logit_stride);
    o->u.moe.n = e->m->hp.n_expert;
    o->act_bytes = (uint64_t)e->m->hp.n_expert * 12 + (uint64_t)e->m->hp.n_used * 8;
    aios__op_done(e, o, 0);
}
static void aios__emit_group(aios__emitter *e, const aios__node *n) {
    aios__op_done(e, aios__op_new(e, n, &aios__kind_group), 0);
}
static void aios__emit_gather(aios__emitter *e, const aios__node *n) {
    aios__op *o = aios__op_new(e, n, &aios__kind_gather);
    uint32_t mask = aios__mask(e, n->out[0]);
    aios__acts_at(e, n->in[0], mask, &o->u.gather.in);
    aios__acts_at(e, n->out[0], mask, &o->u.gather.out);
    aios__op_done(e, o, 0);
}
/* Where the experts' matrices are that are tensors of their own; first: that of expert 0. */
static const aios__expert *aios__emit_each(aios__emitter *e, int32_t first) {
    aios__expert *each = e->p->each + e->p->n_each;
    for (int32_t i = first; i >= 0; i = e->m->place[i].next) {
        aios__source from = aios__source_of(e->m, &e->cut, (uint32_t)i);
        aios__expert *x = &e->p->each[e->p->n_each++];
        x->p = e->m->place[i].p;
        x->off = from.off;
        x->part = from.io;
    }
    return each;
}
/* The most that is read for a matrix of one expert. */
static uint64_t aios__expert_read_bytes(const aios__emitter *e, int32_t first, uint64_t n_bytes) {
    uint64_t most = 0;
    aios__source from = aios__source_of(e->m, &e->cut, (uint32_t)first);
    if (!e->m->place[first].split) {
        uint64_t align = aios__stream_align(&e->m->io[from.io]);
        return aios__round_up(n_bytes + (from.off % align || n_bytes % align ? align - 1 : 0),
                              align);
    }
    for (int32_t i = first; i >= 0; i = e->m->place[i].next) {
        aios__unit u;
        from = aios__source_of(e->m, &e->cut, (uint32_t)i);
        u.off = from.off;
        u.part = from.io;
        u.n_bytes = (uint32_t)n_bytes;
        uint64_t n = aios__unit_read_bytes(&u, &e->m->io[u.part]);
        if (n > most) most = n;
    }
    return most;
}
static void aios__emit_cached(aios__emitter *e, aios__op *o, const aios__node *n) {
    aios__program *p = e->p;
    const aios__op_experts *x = &o->u.experts;
    aios__source from = aios__source_of(e->m, &e->cut, (uint32_t)n->w.w);
    uint64_t n_read = aios__expert_read_bytes(e, n->w.w, x->expert_bytes),
             read = n_read * (uint64_t)e->m->hp.n_used;
    o->tier = AIOS_TIER_STREAM;
    o->later = 1;
    o->gone = n->which == AIOS__EXPERT_GATE;
    if (n_read > p->matrix_bytes[x->which])
        p->matrix_bytes[x->which] = aios__round_up(n_read, AIOS__STREAM_ALIGN);
    p->stream_bytes += read;
    p->expert_bytes += read;
    if (e->base) {
        aios__bundle *b = &e->bundle[n->layer];
        b->each[x->which] = x->each;
        b->off[x->which] = from.off;
        b->part[x->which] = from.io;
        b->n_bytes[x->which] = (uint32_t)x->expert_bytes;
    }
}
static void aios__emit_experts(aios__emitter *e, const aios__node *n) {
    const aios__tensor *t = &e->m->gguf.tensor[n->w.w];
    uint64_t off[2] = { 0, 0 }, used = (uint64_t)e->m->hp.n_used;
    aios__place at = aios__place_of(e->m, &e->cut, (uint32_t)n->w.w, off);
    aios__op *o = aios__op_new(
        e, n, e->cut.experts ? &aios__kind_cached_experts[n->which] : &aios__kind_experts);
    aios__op_experts *x = &o->u.experts;
    int32_t form = aios__form_read(e, t);
    o->type = (int32_t)t->type;
    o->tier = at.tier;
    x->w = at.p;
    x->mm = e->numerics == AIOS_REFERENCE ? NULL : e->k->matmul[o->type][at.layout];
    if (e->base && e->numerics == AIOS_FAST && at.layout == AIOSK_ROWS)
        x->mm = aiosk_matmul_fast(e->k, o->type);
    x->x = aios__rows_at(e, n->in[0], form, &x->x_stride);
    if (n->in[2] >= 0) x->alone = aios__rows_at(e, n->in[2], form, &x->x_stride);
    x->y = aios__f32_at(e, n->out[0], &x->y_stride);
    x->n_in = (int32_t)t->n[0];
    x->n_out = (int32_t)t->n[1];
    x->rows_per_task = aios__task_rows(t->row_bytes, x->n_in, x->n_out, 0);
    x->which = n->which;
    if (n->which == AIOS__EXPERT_GATE) e->first_expert = (int32_t)e->p->n_ops - 1;
    x->back = (int32_t)e->p->n_ops - 1 - e->first_expert;
    x->expert_bytes = aios__rows_bytes(t, at.layout, t->n[1]);
    if (e->base && at.split) x->each = aios__emit_each(e, n->w.w);
    if (e->cut.experts) aios__emit_cached(e, o, n);
    o->w_bytes = x->expert_bytes * used;
    o->act_bytes = (x->x_stride + (uint64_t)x->n_out * 4) * used;
    aios__op_done(e, o, e->numerics == AIOS_REFERENCE ? (uint64_t)x->n_in * 4 : 0);
}
static void aios__emit_combine(aios__emitter *e, const aios__node *n) {
    aios__op *o = aios__op_new(e, n, &aios__kind_combine);
    aios__op_moe *x = &o->u.moe;
    uint64_t width = (uint64_t)e->g->value[n->in[0]].width;
    x->x = aios__f32_at(e, n->in[0], NULL);
    x->logit = aios__f32_at(e, n->in[1], &x->logit_stride);
    x->y = aios__f32_at(e, n->in[3], NULL);
    x->shared = aios__f32_at(e, n->in[4], NULL);
    x->n = (int32_t)width;
    x->gate = n->which;
    x->scale = n->scale;
    o->act_bytes = width * 4 * ((uint64_t)e->m->hp.n_used + 2 + (uint64_t)(n->in[4] >= 0));
    aios__op_done(e, o, width * 8);
}

/* ---- the walk ---- */
static void aios__walk(aios__emitter *e) {
    static void (*const emit[])(aios__emitter * e, const aios__node *n) = {
#define AIOS__X(N, n) aios__emit_##n,
        AIOS__NODES(AIOS__X)
#undef AIOS__X
    };
    aios__program *p = e->p;
    aios__bump lists;
    uint64_t at;
    uint32_t i;
    p->n_ops = p->n_phases = p->n_units = p->n_each = 0;
    p->n_tables = 0;
    p->w_bytes = p->act_bytes = p->stream_bytes = p->expert_bytes = 0;
    p->slot_bytes = p->work_bytes = p->row_slot_bytes = 0;
    p->row_align = 64;
    memset(p->matrix_bytes, 0, sizeof p->matrix_bytes);
    memset(p->table, 0, sizeof p->table);
    e->n_buffers = 0;
    e->first_node = e->last_table = -1;
    for (i = 0; i < e->g->n_nodes; i++) emit[e->g->node[i].kind](e, &e->g->node[i]);
    lists.base = e->base;
    lists.used = 0;
    if (e->m->hp.n_expert)
        aios__moe_layout(e->moe, &lists, (uint64_t)e->n_batch, (uint64_t)e->m->hp.n_layer);
    at = aios__round_up(lists.used, 64);
    for (i = 0; i < (uint32_t)e->n_buffers; i++) {
        e->off[i] = at;
        at += e->buffer[i].bytes;
    }
    p->work_bytes = aios__round_up(p->work_bytes, 64);
    p->work = e->base ? e->base + at : NULL;
    p->scratch_bytes = at + p->work_bytes * (uint64_t)e->n_threads;
}
/* Counts what a program takes. 0: the model has more values at a time than there are buffers. */
static int32_t aios__program_count(aios__emitter *e) {
    e->base = NULL;
    aios__walk(e);
    return !e->full;
}
/* Builds it over scratch memory, with p's arrays in their places and the model's tensors in
 * theirs. */
static void aios__program_build(aios__emitter *e, char *scratch) {
    aios__program *p = e->p;
    aios__program_count(e); /* where the buffers are */
    e->base = scratch;
    aios__walk(e);
    if (e->last_table >= 0) p->op[e->last_table].u.table.last = 1;
    p->logits = aios__f32_at(e, e->g->logits, NULL);
    p->embedding = aios__f32_at(e, e->g->embedding, NULL);
}

AIOS__SMALL_END

/* ======== run/exec.c ======== */
/* exec.c: runs the program over one pass: phase by phase, task by task, until done or until the
 * deadline. The position (phase, round, next task of every share) is all the state there is: a
 * run that was stopped goes on where it was. Each worker has its share of a phase, tasks that
 * follow each other in memory, and helps with the others' when it is through: which worker runs
 * what is left to chance, and no result depends on it. What kinds of ops there are, this file
 * does not know. */

/* tasks next..end-1 are to be taken */
typedef struct aios__share {
    int32_t next, end;
    char apart[56];
} aios__share;

typedef struct aios__exec {
    const aios__program *p;
    aios__run run;
    aios__pool pool;
    aios__stream stream;
    aios__rows rows; /* of tables that are not resident */
    aios__moe moe;
    aios__expert_cache expert_cache; /* of experts that are not resident */
    uint64_t (*now_ns)(void *user);
    void *now_user;
    aios_parallel_for parallel_for; /* NULL: the pool's threads */
    void *parallel_user;
    aios_trace_fn trace; /* NULL = nobody looks */
    void *trace_user;
    int32_t profile;
    uint64_t *busy_ns; /* [n_ops] of the phase that begins with an op, with profile */
    /* where the run stands */
    int32_t unready;    /* the current round waits for what it reads; 2: and had to */
    aios_status failed; /* why it will not come */
    uint32_t op0, op1;  /* ops of the current phase */
    int32_t n_tasks;
    uint64_t deadline; /* 0 = none */
    uint64_t since;    /* when the current phase began, or the step */
    int32_t n_threads;
    int32_t n_workers;  /* that take part: 1..n_threads */
    aios__share *share; /* [n_threads] */
    char apart0[64];
    int32_t stop;              /* time is up, cancelled or interrupted */
    int32_t cancel, interrupt; /* set from any thread */
    int32_t halt;              /* decided by the last worker at a barrier: all leave */
    char apart1[64];
} aios__exec;

static uint64_t aios__now(const aios__exec *e) { return e->now_ns(e->now_user); }
/* Does somebody want the step to return, whatever the time? */
static int32_t aios__stop_wanted(const aios__exec *e) {
    return aios__load(&e->cancel) | aios__load(&e->interrupt);
}
static int32_t aios__time_up(const aios__exec *e, uint64_t deadline) {
    return deadline && aios__now(e) >= deadline;
}

/* Deals the tasks of a phase, or of its next round, out to the workers. How many they are may
 * change before the phase is done: whoever is there takes what is left of any share. */
static void aios__deal(aios__exec *e) {
    int32_t n = e->n_workers;
    for (int32_t w = 0; w < e->n_threads; w++) {
        /* nobody works now */
        e->share[w].next = w < n ? (int32_t)((int64_t)e->n_tasks * w / n) : 0;
        e->share[w].end = w < n ? (int32_t)((int64_t)e->n_tasks * (w + 1) / n) : 0;
    }
}
static int32_t aios__all_taken(const aios__exec *e) {
    for (int32_t w = 0; w < e->n_threads; w++)
        if (aios__load(&e->share[w].next) < e->share[w].end) return 0;
    return 1;
}
/* Counts the tasks of a round and deals them out. */
static void aios__round_deal(aios__exec *e) {
    const aios__op *o = e->p->op;
    e->n_tasks = 0;
    for (uint32_t i = e->op0; i < e->op1; i++) e->n_tasks += o[i].kind->tasks(&o[i], &e->run);
    aios__deal(e);
}
/* Begins a round of the current phase. */
static void aios__round_enter(aios__exec *e, int32_t round) {
    const aios__op *o = &e->p->op[e->op0];
    e->run.round = round;
    if (o->kind->enter) o->kind->enter(o, &e->run);
    e->unready = o->kind->ready != NULL;
    aios__round_deal(e);
}
/* Makes the phase that starts at op the current one, passing over phases without tasks. */
static void aios__phase_enter(aios__exec *e, uint32_t op) {
    const aios__program *p = e->p;
    for (;; op = e->op1) {
        e->op0 = op;
        if (op >= p->n_ops) return;
        e->op1 = op + 1;
        while (e->op1 < p->n_ops && p->op[e->op1].phase == p->op[op].phase) e->op1++;
        aios__round_enter(e, 0);
        if (e->n_tasks) return;
        if (p->op[op].kind->skip) p->op[op].kind->skip(&p->op[op], &e->run);
    }
}
/* Waits until what the current round reads is there (1), or time is up, or it cannot be read. */
static int32_t aios__phase_ready(aios__exec *e) {
    const aios__op *o = &e->p->op[e->op0];
    int32_t r, own = e->stream.how == AIOS__READ_INLINE, waited = 0;
    uint64_t t0, reads = own ? e->stream.n_reads : 0, now;
    if (!e->unready) return 1;
    for (now = t0 = aios__now(e);; now = aios__now(e)) {
        /* cancelling is heard within 2 ms */
        uint64_t slice = e->deadline && e->deadline > now && e->deadline - now < 2000000
                             ? e->deadline - now
                             : 2000000;
        r = o->kind->ready(o, &e->run, waited ? slice : 0);
        /* what the worker read itself, it waited for */
        waited |= !r || (own && e->stream.n_reads != reads);
        if (waited && e->unready == 1) {
            e->run.count->n_stalls++;
            e->unready = 2;
        }
        if (r) break;
        if (aios__stop_wanted(e) || aios__time_up(e, e->deadline)) {
            aios__store(&e->stop, 1);
            break;
        }
    }
    if (waited) e->run.count->stall_ns += aios__now(e) - t0;
    /* the read was the worker's own */
    if (r == 1 && own && (aios__stop_wanted(e) || aios__time_up(e, e->deadline)))
        aios__store(&e->stop, 1);
    if (r < 0) e->failed = r;
    if (r != 1) return 0;
    e->unready = 0;
    aios__round_deal(e); /* how many there are may have been unknown */
    return 1;
}
static int32_t aios__exec_done(const aios__exec *e) { return e->op0 >= e->p->n_ops; }

/* Takes tasks of the current phase until there are none or time is up. */
static void aios__phase_work(aios__exec *e, int32_t worker) {
    int32_t w = worker;
    for (int32_t i = 0; i < e->n_threads; i++, w = w + 1 < e->n_threads ? w + 1 : 0) {
        aios__share *s = &e->share[w];
        while (aios__load(&s->next) < s->end && !aios__load(&e->stop)) {
            const aios__op *o = &e->p->op[e->op0];
            int32_t t = aios__fetch_add(&s->next, 1), n;
            if (t >= s->end) break;
            while (t >= (n = o->kind->tasks(o, &e->run))) {
                t -= n;
                o++;
            }
            o->kind->run(o, &e->run, t, worker);
            if (aios__stop_wanted(e) || aios__time_up(e, e->deadline)) aios__store(&e->stop, 1);
        }
    }
}
/* The time since the phase, or this step of it, began. */
static void aios__book(aios__exec *e) {
    if (!e->profile) return;
    uint64_t now = aios__now(e);
    if (now > e->since) e->busy_ns[e->op0] += now - e->since;
    e->since = now;
}
/* Shows what an op wrote, in all its forms. */
static void aios__trace_op(const aios__exec *e, uint32_t op) {
    const aios__op *o = &e->p->op[op];
    const aios__pass *ps = e->run.pass;
    aios__acts a;
    aios_trace t;
    if (!o->kind->wrote || o->gone) return;
    memset(&a, 0, sizeof a);
    memset(&t, 0, sizeof t);
    o->kind->wrote(o, &a);
    t.struct_size = (uint32_t)sizeof t;
    t.op = op;
    t.name = o->name;
    t.layer = o->layer;
    t.n = a.n;
    t.n_tokens = aios__op_rows(o, &e->run);
    t.n_per_token = o->rows == AIOS__OF_PAIRS ? e->run.moe->n_used : 1;
    t.n_rows = t.n_tokens * t.n_per_token;
    t.token = o->rows == AIOS__OF_OUTPUTS ? ps->out : NULL;
    t.seq = ps->seq;
    t.pos = ps->pos;
    if (o->rows == AIOS__OF_PAIRS) t.row = e->run.moe->col;
    for (int32_t k = 0; k < AIOSK_N_ACTS && t.n_rows; k++) {
        if (!a.p[k]) continue;
        t.form = k;
        t.data = a.p[k];
        t.stride = a.stride[k];
        e->trace(e->trace_user, &t);
    }
}
/* Those of the current phase, or, when ops that run again and again are through, of all of them. */
static void aios__trace(const aios__exec *e, int32_t more) {
    uint32_t op = e->op0;
    if (!e->trace) return;
    if (e->p->op[op].later) {
        if (more || !e->p->op[op].kind->again) return;
        while (op > 0 && e->p->op[op - 1].later) op--;
    }
    for (; op < e->op1; op++) aios__trace_op(e, op);
}
/* After all workers have left the phase: goes to the next round or phase if it is finished. A
 * phase of one task is done here and now: the others would wait for it all the same, and a
 * barrier is saved. */
static void aios__phase_leave(aios__exec *e, int32_t worker) {
    int32_t ready = 1;
    while (aios__all_taken(e)) {
        const aios__op *o = &e->p->op[e->op0];
        int32_t back = 0;
        e->run.count->n_tasks += (uint64_t)e->n_tasks;
        aios__book(e);
        if (o->kind->leave) o->kind->leave(o, &e->run);
        if (o->kind->rounds && e->run.round + 1 < o->kind->rounds(o, &e->run))
            aios__round_enter(e, e->run.round + 1);
        else {
            if (o->kind->again) back = o->kind->again(o, &e->run);
            aios__trace(e, back);
            aios__phase_enter(e, back ? e->op0 - (uint32_t)back : e->op1);
        }
        if (aios__exec_done(e) || aios__load(&e->stop)) break; /* nothing is read past the end */
        ready = aios__phase_ready(e);
        /* waiting is nobody's work */
        if (e->profile) e->since = aios__now(e);
        if (!ready || e->n_tasks > 1) break;
        aios__phase_work(e, worker);
    }
    if (!aios__exec_done(e)) aios__book(e);
    e->halt = aios__load(&e->stop) || aios__exec_done(e) || !ready;
}

/* One worker of our own pool: all that have joined walk through the phases together. */
static void aios__exec_walk(void *arg, int32_t worker) {
    aios__exec *e = (aios__exec *)arg;
    uint64_t fp = aiosk_fp_begin();
    int32_t gen, over = 0;
    while (!over) {
        aios__phase_work(e, worker);
        if (aios__barrier_arrive(&e->pool, &gen)) {
            aios__phase_leave(e, worker);
            over = e->halt;
            /* the step may be over for its caller from here on: e is not ours */
            aios__barrier_release(&e->pool, over);
        } else
            over = aios__barrier_wait(&e->pool, gen);
    }
    aiosk_fp_end(fp);
}
/* The host's job system: one call per phase; its tasks are workers that take ours. */
static void aios__exec_lent(void *arg, int32_t i, int32_t worker) {
    uint64_t fp = aiosk_fp_begin();
    (void)i;
    aios__phase_work((aios__exec *)arg, worker);
    aiosk_fp_end(fp);
}

/* Runs until the pass is done (1) or stopped (0). */
static int32_t aios__exec_run(aios__exec *e, uint64_t deadline) {
    e->deadline = deadline;
    e->halt = 0;
    e->failed = AIOS_OK;
    aios__store(&e->stop, aios__stop_wanted(e));
    if (aios__load(&e->stop) || !aios__phase_ready(e) || aios__load(&e->stop)) return 0;
    if (e->profile) e->since = aios__now(e);
    if (e->pool.n > 1 && e->n_workers > 1) {
        aios__pool_run(&e->pool, aios__exec_walk, e);
        return aios__exec_done(e);
    }
    uint64_t fp = aiosk_fp_begin();
    do {
        int32_t n = e->n_workers < e->n_tasks ? e->n_workers : e->n_tasks;
        if (e->parallel_for && n > 1)
            e->parallel_for(e->parallel_user, n, aios__exec_lent, e);
        else
            aios__phase_work(e, 0);
        aios__phase_leave(e, 0);
    } while (!e->halt);
    aiosk_fp_end(fp);
    return aios__exec_done(e);
}

/* ======== context/context.h ======== */
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

AIOS__SMALL_BEGIN

/* ======== context/spill.c ======== */
/* spill.c: pages of sequences that wait for nothing go to the host when others need the room,
 * and come back before their sequence goes on. Which ones go follows from the order of steps
 * alone; bits do not depend on it. A page that several tables name stays. */

enum { AIOS__SPILLED = -2 }; /* entry of a table whose page is with the host */

static uint64_t aios__spill_key(int32_t g, int32_t f, int32_t seq, int32_t t) {
    return (uint64_t)(g * AIOS__N_FORMS + f) << 56 | (uint64_t)(uint32_t)seq << 28 |
           (uint64_t)(uint32_t)t;
}

/* The sequence that has been idle longest, or, with waits, that waits since the longest time, of
 * those that have a page of pool (g, f) to give: tile *at. -1: none has. */
static int32_t aios__spill_victim(const aios_context *c, int32_t g, int32_t f, int32_t waits,
                                  int32_t *at) {
    const aios__kv *kv = &c->kv;
    const aios__pages *p = &kv->pool[g][f];
    int32_t victim = -1;
    for (int32_t s = 0; s < kv->n_seq; s++) {
        const aios__sequence *q = &c->seq[s];
        if ((q->n_done < q->n_fed) != waits || q->pinned || q->held || aios__in_pass(c, s, 0) ||
            (victim >= 0 && q->used >= c->seq[victim].used))
            continue;
        const int32_t *row = aios__kv_row(kv, g, f, s);
        int32_t t = 0;
        while (t < kv->seq[s].top && !(row[t] >= 0 && p->refs[row[t]] == 1)) t++;
        if (t == kv->seq[s].top) continue;
        victim = s;
        *at = t;
    }
    return victim;
}
/* Takes a page of pool (g, f) from the sequence that has been idle longest; any: or, when none
 * is idle, from one that waits. *took: there was one to take. */
static aios_status aios__spill_one(aios_context *c, int32_t g, int32_t f, int32_t any,
                                   int32_t *took, aios_error *err) {
    *took = 0;
    if (!c->spill.put || (!any && c->no_idle[g][f])) return AIOS_OK;
    int32_t at = -1, victim = aios__spill_victim(c, g, f, 0, &at);
    c->no_idle[g][f] = victim < 0;
    if (victim < 0 && any) victim = aios__spill_victim(c, g, f, 1, &at);
    if (victim < 0) return AIOS_OK;
    aios__kv *kv = &c->kv;
    aios__pages *p = &kv->pool[g][f];
    int32_t *row = aios__kv_row(kv, g, f, victim) + at;
    if (c->spill.put(c->spill.user, aios__spill_key(g, f, victim, at),
                     p->base + (uint64_t)*row * p->bytes, p->bytes))
        return aios__fail2(err, AIOS_ERR_IO, AIOS__NO_OFF, p->bytes, 0,
                           "the host did not take a page of % bytes of sequence %",
                           aios__u(p->bytes), aios__i(victim));
    kv->seq[victim].n_spares[g] -= f == AIOS__KV_OPEN && aios__kv_spare(kv, g, victim, at);
    aios__page_drop(kv, g, f, row);
    *row = AIOS__SPILLED;
    kv->seq[victim].n_spilled++;
    c->count.n_spilled++;
    c->count.spill_bytes += p->bytes;
    *took = 1;
    return AIOS_OK;
}
/* Is a page free in the pool, or a spare one? */
static int32_t aios__spill_room(const aios_context *c, int32_t g, int32_t f) {
    if (c->kv.pool[g][f].n_free) return 1;
    for (int32_t s = 0; f == AIOS__KV_OPEN && s < c->kv.n_seq; s++)
        if (c->kv.seq[s].n_spares[g]) return 1;
    return 0;
}
/* Takes a page, which must be free, for tile t and fills it with what the host has. */
static aios_status aios__spill_get(aios_context *c, int32_t g, int32_t f, int32_t seq, int32_t t,
                                   aios_error *err) {
    aios__kv *kv = &c->kv;
    aios__pages *p = &kv->pool[g][f];
    int32_t *row = aios__kv_row(kv, g, f, seq) + t;
    aios__page_take(kv, g, f, row);
    if (c->spill.get(c->spill.user, aios__spill_key(g, f, seq, t),
                     p->base + (uint64_t)*row * p->bytes, p->bytes)) {
        aios__page_drop(kv, g, f, row);
        *row = AIOS__SPILLED;
        return aios__fail2(err, AIOS_ERR_IO, AIOS__NO_OFF, p->bytes, 0,
                           "the host did not give back a page of % bytes of sequence %",
                           aios__u(p->bytes), aios__i(seq));
    }
    kv->seq[seq].n_spilled--;
    c->count.n_fetched++;
    c->count.fetch_bytes += p->bytes;
    return AIOS_OK;
}
static aios_status aios__spill_fetch(aios_context *c, int32_t seq, int32_t any, uint64_t deadline,
                                     int32_t *done, int32_t *room, aios_error *err) {
    const aios__kv *kv = &c->kv;
    *room = 1;
    for (int32_t g = 0; g < AIOS__N_GROUPS; g++)
        for (int32_t f = 0; f < AIOS__N_FORMS; f++) {
            const int32_t *row = aios__kv_row(kv, g, f, seq);
            for (int32_t t = 0; row && kv->seq[seq].n_spilled && t < kv->seq[seq].top; t++) {
                if (row[t] != AIOS__SPILLED) continue;
                aios_status st;
                for (;;) {
                    if (*done && aios__time_up(&c->exec, deadline)) return AIOS_MORE;
                    if (aios__spill_room(c, g, f)) break;
                    st = aios__spill_one(c, g, f, any, room, err);
                    if (st || !*room) return st;
                    *done = 1;
                }
                st = aios__spill_get(c, g, f, seq, t, err);
                if (st) return st;
                *done = 1;
            }
        }
    return AIOS_OK;
}
/* Brings back what was spilled of a sequence, page by page. *room: there was room for all of it.
 * AIOS_MORE when time is up first, but not before something is done (*done). */
static aios_status aios__spill_bring(aios_context *c, int32_t seq, int32_t any, uint64_t deadline,
                                     int32_t *done, int32_t *room, aios_error *err) {
    c->seq[seq].held++; /* room is made at the cost of others */
    aios_status st = aios__spill_fetch(c, seq, any, deadline, done, room, err);
    c->seq[seq].held--;
    return st;
}
/* For verbs that work on a whole sequence. */
static aios_status aios__spill_whole(aios_context *c, int32_t seq, uint64_t deadline,
                                     aios_error *err) {
    memset(c->no_idle, 0, sizeof c->no_idle);
    if (!c->kv.seq[seq].n_spilled) return AIOS_OK;
    int32_t done = 0, room;
    aios_status st = aios__spill_bring(c, seq, 0, deadline, &done, &room, err);
    return st || room ? st
                      : aios__fail1(err, AIOS_ERR_FULL, AIOS__NO_OFF,
                                    "the cache has no room to bring sequence % back", aios__i(seq));
}
/* A sequence that is given up: the host need not keep its pages. */
static void aios__spill_forget(aios_context *c, int32_t seq) {
    aios__kv *kv = &c->kv;
    for (int32_t g = 0; g < AIOS__N_GROUPS; g++)
        for (int32_t f = 0; f < AIOS__N_FORMS; f++) {
            int32_t *row = aios__kv_row(kv, g, f, seq);
            for (int32_t t = 0; row && kv->seq[seq].n_spilled && t < kv->seq[seq].top; t++) {
                if (row[t] != AIOS__SPILLED) continue;
                row[t] = AIOS__NO_PAGE;
                kv->seq[seq].n_spilled--;
                if (c->spill.drop) c->spill.drop(c->spill.user, aios__spill_key(g, f, seq, t));
            }
        }
}
/* Brings a waiting sequence back and makes room for its tokens. *room: some of them have it.
 * AIOS_MORE when time is up (something has been done). */
static aios_status aios__spill_ready(aios_context *c, int32_t s, int32_t any, uint64_t deadline,
                                     int32_t *done, int32_t *room, aios_error *err) {
    aios_status st = aios__spill_bring(c, s, any, deadline, done, room, err);
    if (st || !*room) return st;
    aios__sequence *q = &c->seq[s];
    int32_t cell = aios__kv_cell(&c->kv.seq[s], q->n_done), n = q->n_fed - q->n_done, g = 0, f = 0;
    if (n > c->plan.n_batch) n = c->plan.n_batch;
    q->held++;
    while (!st && !aios__kv_room(&c->kv, s, cell, cell + n, &g, &f)) {
        int32_t took = 0;
        if (*done && aios__time_up(&c->exec, deadline))
            st = AIOS_MORE;
        else
            st = aios__spill_one(c, g, f, any, &took, err);
        *done |= took;
        if (!st && !took) f++; /* this pool stays short: the next one */
    }
    q->held--;
    *room = aios__kv_fits(&c->kv, s, cell, cell + 1);
    return st;
}
/* Can a waiting sequence go on as things are? */
static int32_t aios__spill_can_go_on(aios_context *c) {
    for (int32_t s = 0; s < c->plan.n_seq; s++) {
        int32_t cell = aios__kv_cell(&c->kv.seq[s], c->seq[s].n_done);
        if (c->seq[s].n_done < c->seq[s].n_fed && !c->kv.seq[s].n_spilled &&
            aios__kv_fits(&c->kv, s, cell, cell + 1))
            return 1;
    }
    return 0;
}
/* The waiting sequence that comes after `last` in the order of (used, s); the first one after -1.
 * -1: there is none. */
static int32_t aios__spill_next(const aios_context *c, int32_t last) {
    const aios__sequence *q = c->seq;
    int32_t next = -1;
    for (int32_t s = 0; s < c->plan.n_seq; s++) {
        if (q[s].n_done == q[s].n_fed ||
            (last >= 0 && (q[s].used < q[last].used || (q[s].used == q[last].used && s <= last))))
            continue;
        if (next < 0 || q[s].used < q[next].used) next = s;
    }
    return next;
}
/* Before a pass: what the waiting sequences have spilled comes back, and room is made for their
 * tokens. AIOS_OK, AIOS_MORE when time is up (something has been done), or an error; a sequence
 * for which there is no room stays as it is. When all of them wait for each other's room, the
 * one that has been idle longest gets it; when time is up before it has all, it is the first in
 * the next step, before that room goes to others again. */
static aios_status aios__spill_prepare(aios_context *c, uint64_t deadline, aios_error *err) {
    if (!c->spill.put) return AIOS_OK;
    memset(c->no_idle, 0, sizeof c->no_idle);
    aios_status st;
    int32_t next = c->rescued - 1, last = -1, done = 0, room = 0;
    c->rescued = 0;
    if (next >= 0 && c->seq[next].n_done < c->seq[next].n_fed) {
        st = aios__spill_ready(c, next, 1, deadline, &done, &room, err);
        if (st < 0) return st;
        if (!st && room && !(done && aios__time_up(&c->exec, deadline))) return AIOS_OK;
        if (st || room) {
            c->rescued = next + 1;
            return AIOS_MORE;
        }
        last = next;
    }
    for (int32_t s = 0; s < c->plan.n_seq; s++) {
        if (c->seq[s].n_done == c->seq[s].n_fed) continue;
        st = aios__spill_ready(c, s, 0, deadline, &done, &room, err);
        if (st) return st;
    }
    /* looked at now: what comes back takes room as well */
    int32_t ready = aios__spill_can_go_on(c);
    while (!ready && (next = aios__spill_next(c, last)) >= 0) {
        st = aios__spill_ready(c, next, 1, deadline, &done, &room, err);
        if (st < 0) return st;
        if (st || room) c->rescued = next + 1;
        if (st) return st;
        ready = room;
        last = next;
    }
    if (ready && done && aios__time_up(&c->exec, deadline)) return AIOS_MORE;
    c->rescued = 0;
    return AIOS_OK;
}

/* ======== context/pass.c ======== */
/* pass.c: which tokens go through the program together, and what becomes of them: gathers
 * waiting tokens, finishes a pass or drops it, and steps from pass to pass until the deadline. */

/* Which sequences have a part in the next pass: all that wait, or as many as it has places,
 * those that were left out first. Gives how many. */
static int32_t aios__pass_choose(aios_context *c) {
    int32_t i, s, n = 0,
                  most = c->plan.n_batch < c->plan.n_outputs ? c->plan.n_batch : c->plan.n_outputs;
    for (s = 0; s < c->plan.n_seq; s++)
        n += c->seq[s].its_turn = c->seq[s].n_done < c->seq[s].n_fed && !c->kv.seq[s].n_spilled;
    if (n <= most) return n;
    for (i = n = 0, s = c->next_turn; i < c->plan.n_seq;
         i++, s = s + 1 < c->plan.n_seq ? s + 1 : 0) {
        if (!c->seq[s].its_turn) continue;
        if (n == most)
            c->seq[s].its_turn = 0;
        else if (++n == most)
            c->next_turn = s + 1 < c->plan.n_seq ? s + 1 : 0;
    }
    return n;
}
/* How many waiting tokens of sequence s go into the pass, of which `later` more sequences are to
 * have a part: each has a place. */
static int32_t aios__pass_room(aios_context *c, int32_t s, int32_t later) {
    const aios__sequence *q = &c->seq[s];
    int32_t n = c->pass.n, cell = aios__kv_cell(&c->kv.seq[s], q->n_done);
    int32_t most = c->plan.n_batch - later > n ? c->plan.n_batch - later : n + 1;
    if (most > c->plan.n_batch) most = c->plan.n_batch;
    int32_t room = most - n < q->n_fed - q->n_done ? most - n : q->n_fed - q->n_done;
    if (room > aios__kv_stride(&c->kv, cell)) room = aios__kv_stride(&c->kv, cell);
    /* down to the end of the tile before, or but one */
    while (room > 0 && !aios__kv_fits(&c->kv, s, cell, cell + room)) {
        int32_t over = (cell + room) % AIOSK_TILE;
        /* a tile's last token may be the one for whose sealing there is no room */
        room -= over ? over : 1;
    }
    return room;
}
/* Puts n waiting tokens of sequence s into the pass, or fewer when the output rows are full. */
static void aios__pass_add(aios_context *c, int32_t s, int32_t n) {
    aios__pass *p = &c->pass;
    const aios__sequence *q = &c->seq[s];
    int32_t per_block = aios__attend_tokens(&c->model->hp), in_block = 0;
    int32_t first = aios__kv_cell(&c->kv.seq[s], q->n_done), cell = first;
    for (int32_t i = q->n_done; n > 0; n--, i++, cell++) {
        if (q->want[i] && p->n_out == c->plan.n_outputs) break;
        if (in_block == 0 || cell % AIOSK_TILE == 0) {
            p->block[p->n_blocks++] = p->n;
            in_block = 0;
        }
        in_block = (in_block + 1) % per_block;
        if (q->want[i]) p->out[p->n_out++] = p->n;
        p->id[p->n] = q->token[i];
        p->seq[p->n] = s;
        p->pos[p->n] = i;
        p->cell[p->n] = cell;
        p->turn[p->n] = i + aios__kv_off(&c->kv.seq[s]);
        p->n++;
    }
    if (cell > first) aios__kv_grow(&c->kv, s, first, cell);
}
/* The most runs of the cache that a block of the pass sees: without a window, and with it. */
static void aios__pass_count_runs(aios_context *c) {
    aios__pass *p = &c->pass;
    for (int32_t w = 0; w < 2; w++) {
        p->n_runs[w] = 1;
        for (int32_t i = 0; i < p->n_blocks; i++) {
            int32_t t0 = p->block[i], sinks, from;
            int32_t n = aios__attend_seen(&c->kv, w ? c->model->hp.window : 0, p->seq[t0],
                                          p->pos[t0], p->cell[t0], &sinks, &from);
            if (n > p->n_runs[w]) p->n_runs[w] = n;
        }
    }
}
/* Gathers waiting tokens: sequences in ascending order, until the batch or the output rows are
 * full, but so that each that waits gets at least one token in if there is room: a long prompt
 * does not hold up its neighbours. One whose tokens find no room in the cache gets as many in as
 * do. */
static void aios__pass_gather(aios_context *c) {
    aios__pass *p = &c->pass;
    int32_t later = aios__pass_choose(c);
    p->n = p->n_out = p->n_blocks = 0;
    for (int32_t s = 0; s < c->plan.n_seq; s++)
        if (c->seq[s].its_turn) aios__pass_add(c, s, aios__pass_room(c, s, --later));
    p->block[p->n_blocks] = p->n;
    aios__pass_count_runs(c);
}
/* Tokens that are not in the pass: the next one will want their rows. */
static void aios__soon(aios_context *c) {
    aios__rows *r = &c->exec.rows;
    int32_t i, k = 0;
    r->n_soon = 0;
    for (int32_t s = 0; r->n_slots && s < c->plan.n_seq; s++) {
        const aios__sequence *q = &c->seq[s];
        for (i = q->n_done; c->running && k < c->pass.n && c->pass.seq[k] == s; k++)
            i = c->pass.pos[k] + 1;
        for (; i < q->n_fed && r->n_soon < r->n_slots; i++) r->soon[r->n_soon++] = q->token[i];
    }
}
static void aios__pass_finish(aios_context *c) {
    const aios__pass *p = &c->pass;

    for (uint32_t i = 0; i < (uint32_t)p->n; i++) {
        c->seq[p->seq[i]].used = c->n_passed;
        c->seq[p->seq[i]].n_done = p->pos[i] + 1;
        if (i + 1 == (uint32_t)p->n || p->seq[i + 1] != p->seq[i])
            aios__kv_done(&c->kv, p->seq[i], p->cell[i] + 1);
    }
    aios__kv_settle(&c->kv);
    for (uint32_t i = 0; i < c->prog.n_ops; i++) {
        const aios__op *o = &c->prog.op[i];
        int32_t n = aios__op_rows(o, &c->exec.run);
        if (o->kind->read)
            o->kind->read(o, &c->exec.run, &c->count);
        else if (n)
            aios__count_read(&c->count, AIOS_TIER_HOT, o->w_bytes);
        c->count.act_bytes += o->act_bytes * (uint64_t)n;
    }
    for (int32_t w = 0; w < c->plan.n_threads; w++) {
        c->count.kv_bytes += c->exec.run.kv_read[w * 8];
        c->exec.run.kv_read[w * 8] = 0;
    }
    c->count.n_tokens += (uint64_t)p->n;
    c->count.n_passes++;
    c->n_passed++;
    c->n_out_ready = p->n_out;
    c->running = 0;
}
static int32_t aios__waiting(const aios_context *c) {
    for (int32_t s = 0; s < c->plan.n_seq; s++)
        if (c->seq[s].n_done < c->seq[s].n_fed) return 1;
    return 0;
}
/* A sequence of which the cells before `cell` are left, n positions at the most, goes on from
 * there. */
static void aios__seq_resume(aios_context *c, int32_t s, int32_t cell, int32_t n) {
    int32_t at = aios__kv_pos(&c->kv.seq[s], cell);
    if (at > n) at = n;
    c->seq[s].n_done = at;
    /* goes through the model again, for the cache alone */
    for (; at < n; at++) c->seq[s].want[at] = 0;
}
/* The first n positions of a sequence stay in the cache, or as many as one can go on from. */
static void aios__seq_cut(aios_context *c, int32_t s, int32_t n) {
    aios__seq_resume(c, s, aios__kv_cut(&c->kv, s, aios__kv_end(&c->kv.seq[s], n)), n);
}
/* Drops a pass that is under way; the sequences stand as before it. */
static void aios__pass_drop(aios_context *c) {
    const aios__pass *p = &c->pass;
    c->running = 0;
    for (int32_t w = 0; w < c->plan.n_threads; w++) c->exec.run.kv_read[w * 8] = 0;
    aios__kv_undo(&c->kv);
    for (int32_t i = 0; i < p->n; i++)
        if (i == 0 || p->seq[i] != p->seq[i - 1]) {
            aios__kv_unread(&c->kv, p->seq[i]);
            aios__seq_cut(c, p->seq[i], c->seq[p->seq[i]].n_done);
        }
}

static aios_status aios__cancelled(aios_context *c, aios_error *err) {
    if (c->running) aios__pass_drop(c);
    aios__store(&c->exec.cancel, 0);
    return aios__fail(err, AIOS_ERR_CANCELLED, AIOS__NO_OFF, "the step was cancelled");
}
/* What the current phase waits for cannot be read. Nothing more is asked for until the next
 * step, which begins anew. */
static aios_status aios__unread(aios_context *c, aios_error *err) {
    aios__stream *s = &c->exec.stream;
    aios__crew_lock(&s->crew);
    aios__slot slot = *s->bad;
    s->hold = 1;
    aios__crew_unlock(&s->crew);
    aios__pass_drop(c);
    aios__fail2(err, AIOS_ERR_IO, slot.off + slot.done, slot.want - slot.done, (uint64_t)slot.got,
                slot.got < 0 ? "reading % bytes of weights failed: the reader returned %"
                             : "% bytes of weights to read, but the reader returned %",
                aios__u(slot.want - slot.done), aios__i(slot.got));
    return AIOS_ERR_IO;
}
static aios_status aios__step(aios_context *c, uint64_t deadline, aios_error *err) {
    if (aios__load(&c->exec.cancel)) return aios__cancelled(c, err);
    if (!c->running) c->n_out_ready = 0;
    while (c->running || aios__waiting(c)) {
        if (!c->running) {
            aios_status st = aios__spill_prepare(c, deadline, err);
            if (st) return st;
            aios__pass_gather(c);
            if (!c->pass.n)
                return aios__fail1(
                    err, AIOS_ERR_FULL, AIOS__NO_OFF,
                    "the cache has no room for any waiting token: pages of the kind they need "
                    "are taken, of % in all",
                    aios__i(aios__kv_pages(&c->kv)));
            aios__stream_start(&c->exec.stream);
            c->running = 1;
            aios__soon(c);
            aios__phase_enter(&c->exec, 0);
        }
        if (!aios__exec_run(&c->exec, deadline)) {
            if (aios__load(&c->exec.cancel)) return aios__cancelled(c, err);
            return c->exec.failed ? aios__unread(c, err) : AIOS_MORE;
        }
        aios__pass_finish(c);
        if (c->n_out_ready || aios__time_up(&c->exec, deadline))
            return aios__waiting(c) ? AIOS_MORE : AIOS_OK;
    }
    return AIOS_OK;
}

AIOS__SMALL_END

/* ======== context/sampler.c ======== */
/* sampler.c: logits -> token. The last step of the flow; knows nothing of contexts, vocabularies
 * or threads.
 *
 * The same token on every machine: exp is the kernels' canonical one, sums are double and run in
 * a fixed order, the random number is a hash of (seed, pos). Candidates stand in the order
 * (logit descending, id ascending), so ties have one answer.
 *
 *     logits -> x -> stage -> stage -> ... -> draw
 *
 * A stage is a row of aios__sample_stages and a function of the draw; the host may set their order.
 * There are two kinds. Some change logits: of any token, looking at the history if they want. The
 * others leave candidates out, and every one of them keeps a piece of the ranking: the likeliest
 * (top-k, top-p, min-p, top-n-sigma), all but the likeliest (XTC), those around one likelihood
 * (typical). So the candidates are two ranks, [first, end), and nothing is moved.
 *
 * Nothing is sorted that nobody looks at. With top-k, a heap holds the k best. Without,
 * candidates are taken in bands of falling likelihood, and a band is a heap that is popped only
 * as far as a filter or the draw asks; most draws end in the first. A filter that cuts the tail
 * notes its limit, and one walk finds where the first of them bites. A vocabulary of 151936 takes
 * 1.0 ms (EPYC with AVX-512, one core), 12 when top-p ranks tens of thousands. */

/* Below exp(-64) of the best a candidate cannot be drawn: over 2^31 of them together still weigh
 * less than 2^-53, the step of the uniform number. Keeps the exponential away from underflow. */
#define AIOS__SAMPLE_FLOOR (-64.0f)
#define AIOS__SAMPLE_BAND \
    (-4.0) /* where the first band ends; each further one reaches twice as deep */
#define AIOS__SAMPLE_ALL 1e300 /* more than any sum or logit */

/* What the stages work on. Candidate i of the vocabulary is { i, x[i], e[i] }.
 *   x     [n_vocab]  by id: the logit as the stages left it, AIOSK_NEG_INF = cannot be drawn
 *   e     [n_vocab]  by id: exp((x - max) / temperature), the probability times the sum of all
 *   key   [n_vocab]  one u64 per candidate: logit in an order-preserving code, inverted, above the
 *                    id; ascending key is the order above. Rank r, once popped, lies at
 *                    [n_vocab - 1 - r]; below the popped ones the heap, [low, low + n_heap) */
typedef struct aios__draw {
    const aiosk_isa *k;
    const aios_sampler *s;
    const int32_t *recent; /* [n_recent] ids, the newest last: what a stage may know of the text */
    uint64_t n_recent, pos;
    uint64_t *key;
    float *x, *e;
    int32_t n_vocab;
    /* the candidates; end may be beyond what weighs anything until they are weighed */
    int32_t first, end;
    int32_t best; /* the id at first, -1 = not asked yet */
    /* weights: set when weighed. sum: of e over the candidates. n: ranks that weigh something */
    int32_t weighed, n;
    float temperature, max;
    double sum;
    /* limits that wait for the walk: candidates end where those before weigh enough, or below
     * least, or where end was moved to after the sum was taken */
    int32_t limited;
    float least;
    double enough;
    /* the ranking: candidates of a logit from taken on are in key */
    int32_t low, n_heap;
    double taken, band;
} aios__draw;

/* finaliser of splitmix64 (Steele, Lea, Flood 2014; Stafford's variant 13) */
static uint64_t aios__mix64(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}
/* Uniform in [0, 1), 53 bits: number pos of the splitmix64 stream that starts at the mixed seed. */
static double aios__uniform(uint64_t seed, uint64_t pos) {
    uint64_t z = aios__mix64(seed + 0x9E3779B97F4A7C15u);
    z = aios__mix64(z + (pos + 1) * 0x9E3779B97F4A7C15u);
    return (double)(z >> 11) * (1.0 / 9007199254740992.0);
}

static uint64_t aios__draw_key(float x, int32_t id) {
    uint32_t u;
    x += 0.0f; /* -0 ties with +0 */
    memcpy(&u, &x, 4);
    u = u & 0x80000000u ? u : ~u & 0x7FFFFFFFu; /* larger logit, smaller code */
    return (uint64_t)u << 32 | (uint32_t)id;
}
static void aios__draw_sift(uint64_t *key, int32_t n, int32_t i) {
    uint64_t v = key[i];
    while (i < n / 2) {
        int32_t c = 2 * i + 1;
        if (c + 1 < n && key[c + 1] < key[c]) c++;
        if (v <= key[c]) break;
        key[i] = key[c];
        i = c;
    }
    key[i] = v;
}
static void aios__draw_heapify(uint64_t *key, int32_t n) {
    for (int32_t i = n / 2 - 1; i >= 0; i--) aios__draw_sift(key, n, i);
}
/* Takes the next band into the heap, which is empty: those below the last one, down to a depth
 * that doubles. Where bands end decides how much is ranked, never how. */
static void aios__draw_take(aios__draw *d) {
    const double above = d->taken;
    const int32_t end = d->low;

    d->band = d->band < 0 ? 2 * d->band : AIOS__SAMPLE_BAND;
    double from = (double)d->max + (double)d->temperature * d->band;
    d->taken = from < above ? from : above;
    for (int32_t i = 0; i < d->n_vocab; i++) {
        const double x = (double)d->x[i];
        if (x < above && x >= from) d->key[--d->low] = aios__draw_key(d->x[i], i);
    }
    d->n_heap = end - d->low;
    aios__draw_heapify(d->key + d->low, d->n_heap);
}
/* The id at a rank, 0 = most likely; pops what is missing. rank is below the number of ids. */
static int32_t aios__draw_rank(aios__draw *d, int32_t rank) {
    while (d->n_vocab - d->low - d->n_heap <= rank) {
        uint64_t *heap = d->key + d->low, best;
        if (d->n_heap == 0) {
            aios__draw_take(d);
            continue;
        }
        best = heap[0];
        d->n_heap--;
        heap[0] = heap[d->n_heap];
        heap[d->n_heap] = best;
        if (d->n_heap > 1) aios__draw_sift(heap, d->n_heap, 0);
    }
    return (int32_t)(d->key[d->n_vocab - 1 - rank] & 0x7FFFFFFFu);
}
/* The likeliest candidate. */
static int32_t aios__draw_best(aios__draw *d) {
    if (d->best < 0)
        d->best = d->first ? aios__draw_rank(d, d->first) : d->k->argmax(d->x, d->n_vocab);
    return d->best;
}
/* How far below the best, in units of the exponential; AIOS__SAMPLE_FLOOR * 2 for what cannot be
 * drawn. */
static inline float aios__draw_depth(const aios__draw *d, int32_t i) {
    float t = (d->x[i] - d->max) / d->temperature;
    return d->x[i] > AIOSK_NEG_INF && t >= AIOS__SAMPLE_FLOOR ? t : 2 * AIOS__SAMPLE_FLOOR;
}

/* Leaves the k smallest of n keys at [0, k), in no particular order (but always the same one).
 * Their complements are a heap, so the worst of the k best so far lies on top; few of a long
 * list get past it. */
static void aios__draw_top(uint64_t *key, int32_t n, int32_t k) {
    for (int32_t i = 0; i < k; i++) key[i] = ~key[i];
    aios__draw_heapify(key, k);
    for (int32_t i = k; i < n; i++) {
        if (~key[i] <= key[0]) continue;
        key[0] = ~key[i];
        aios__draw_sift(key, k, 0);
    }
    for (int32_t i = 0; i < k; i++) key[i] = ~key[i];
}
/* Takes the end best in, where nothing is ranked yet; a heap they become once they are summed. e:
 * depths, at least AIOS__SAMPLE_FLOOR; of those at the floor alone it is asked if they count. */
static void aios__draw_list(aios__draw *d) {
    const int32_t end = d->end;
    int32_t n = 0;
    for (int32_t i = 0; i < d->n_vocab; i++)
        if (d->e[i] > AIOS__SAMPLE_FLOOR || aios__draw_depth(d, i) >= AIOS__SAMPLE_FLOOR)
            d->key[n++] = aios__draw_key(d->x[i], i);
    aios__draw_top(d->key, n, end);
    d->low = d->n_vocab - end;
    d->n_heap = end;
    d->taken = AIOSK_NEG_INF;
    memmove(d->key + d->low, d->key, (size_t)end * sizeof *d->key);
}
/* The sum of e over the candidates: by rank, or by id where no tail is left out, since that ranks
 * nothing. That order is fixed too; four sums, for speed. What was left out above weighs 0. */
static double aios__draw_sum(aios__draw *d) {
    const float *e = d->e;
    double lane[4] = { 0, 0, 0, 0 };
    int32_t i;
    if (d->end < d->n) {
        for (i = d->first; i < d->end; i++) lane[0] += (double)e[aios__draw_rank(d, i)];
        return lane[0];
    }
    for (i = 0; i + 4 <= d->n_vocab; i += 4) {
        lane[0] += (double)e[i];
        lane[1] += (double)e[i + 1];
        lane[2] += (double)e[i + 2];
        lane[3] += (double)e[i + 3];
    }
    for (; i < d->n_vocab; i++) lane[0] += (double)e[i];
    return (lane[0] + lane[1]) + (lane[2] + lane[3]);
}

/* ---- what stages ask for ---- */
/* Weighs the candidates: e, max, sum, n. Returns how many there are, before limits that wait; with
 * fewer than two there is nothing to decide and nothing was weighed. */
static int32_t aios__draw_weigh(aios__draw *d) {
    float *e = d->e;
    int32_t i;
    if (d->weighed) return d->end - d->first;
    d->max = d->x[aios__draw_best(d)];
    if (d->end - d->first < 2) return d->end - d->first;
    for (i = 0, d->n = 0; i < d->n_vocab; i++) {
        float t = aios__draw_depth(d, i);
        d->n += t >= AIOS__SAMPLE_FLOOR;
        e[i] = t >= AIOS__SAMPLE_FLOOR ? t : AIOS__SAMPLE_FLOOR;
    }
    int32_t listed = d->end < d->n && d->low == d->n_vocab;
    if (listed) aios__draw_list(d);
    d->k->exp(e, d->n_vocab, e);
    d->weighed = 1;
    for (i = 0; i < d->first; i++) e[aios__draw_rank(d, i)] = 0;
    if (listed) {
        for (i = 0, d->sum = 0; i < d->n_heap; i++)
            d->sum += (double)e[d->key[d->low + i] & 0x7FFFFFFFu];
        aios__draw_heapify(d->key + d->low, d->n_heap);
    } else {
        if (d->end > d->n) d->end = d->n;
        d->sum = aios__draw_sum(d);
    }
    return d->end - d->first;
}
/* The same, with the limits that wait carried out: end and sum are what they are. */
static int32_t aios__draw_count(aios__draw *d) {
    int32_t i;
    if (aios__draw_weigh(d) < 2 || !d->limited) return d->end - d->first;
    for (i = d->first, d->sum = 0; i < d->end && d->sum < d->enough; i++) {
        float w = d->e[aios__draw_rank(d, i)];
        if (i > d->first && w < d->least) break;
        d->sum += (double)w;
    }
    d->end = i;
    d->limited = 0;
    d->least = 0;
    d->enough = AIOS__SAMPLE_ALL;
    return d->end - d->first;
}
/* Leaves the candidates before rank first out; the sum is the caller's. */
static void aios__draw_from(aios__draw *d, int32_t first) {
    for (; d->first < first; d->first++) d->e[aios__draw_rank(d, d->first)] = 0;
    d->best = -1;
}
/* Every id is a candidate, even where x is AIOSK_NEG_INF; nothing is ranked. */
static void aios__draw_all(aios__draw *d) {
    d->first = d->weighed = d->limited = d->n_heap = 0;
    d->end = d->low = d->n_vocab;
    d->best = -1;
    d->least = 0;
    d->band = 0;
    d->enough = AIOS__SAMPLE_ALL;
    d->taken = AIOS__SAMPLE_ALL;
}
/* Before x or key are written: what was left out becomes AIOSK_NEG_INF, all are candidates. */
static void aios__draw_restart(aios__draw *d) {
    if (d->first > 0 || d->end < d->n_vocab || d->limited) {
        aios__draw_count(d);
        memset(d->e, 0, (size_t)d->n_vocab * sizeof *d->e);
        for (int32_t i = d->first; i < d->end; i++) d->e[aios__draw_rank(d, i)] = 1;
        for (int32_t i = 0; i < d->n_vocab; i++)
            if (d->e[i] == 0) d->x[i] = AIOSK_NEG_INF;
    }
    aios__draw_all(d);
}

static float aios__finite(float x) { /* NaN and -infinity: AIOSK_NEG_INF */
    return x > AIOSK_NEG_INF ? (x > -AIOSK_NEG_INF ? -AIOSK_NEG_INF : x) : AIOSK_NEG_INF;
}

static void aios__draw_begin(aios__draw *d, const float *logits) {
    for (int32_t i = 0; i < d->n_vocab; i++) d->x[i] = aios__finite(logits[i]);
    d->temperature = 1;
    aios__draw_all(d);
}

/* ---- stages ---- */
AIOS__SMALL_BEGIN
static void aios__sample_bias(aios__draw *d) {
    const aios_sampler *s = d->s;
    aios__draw_restart(d);
    for (uint32_t i = 0; i < s->n_bias;
         i++) { /* what cannot be drawn stays so, whatever is added */
        float *v = &d->x[s->bias[i].id];
        if (*v > AIOSK_NEG_INF) *v = aios__finite(*v + s->bias[i].bias);
    }
}
/* Keskar et al. 2019 (CTRL, arXiv 1909.05858), section 4.1;
 * what is negative is multiplied. */
static void aios__sample_repeat(aios__draw *d) {
    const float penalty = d->s->repeat_penalty;
    const uint64_t n = aios__min_u64(d->n_recent, (uint64_t)d->s->repeat_last);
    uint8_t *seen = (uint8_t *)d->key; /* a bit per id; a repeated id is punished once */
    aios__draw_restart(d);
    memset(seen, 0, (size_t)d->n_vocab / 8 + 1);
    for (uint64_t i = d->n_recent - n; i < d->n_recent; i++) {
        const int32_t id = d->recent[i];
        const uint8_t bit = (uint8_t)(1 << (id & 7));
        float *v = &d->x[id];
        if (seen[id >> 3] & bit) continue;
        seen[id >> 3] = (uint8_t)(seen[id >> 3] | bit);
        if (*v > AIOSK_NEG_INF) *v = aios__finite(*v > 0 ? *v / penalty : *v * penalty);
    }
}
/* Top-n-sigma (Tang et al. 2024, arXiv 2411.07641): logits down to n standard deviations below the
 * best one, whatever the temperature. In distances u from the best, so that one pass is exact
 * enough: none is longer than sqrt(n_vocab) deviations (Samuelson 1968). */
AIOSK__STRICT static void aios__sample_top_n_sigma(aios__draw *d) {
    const double n = (double)d->s->top_n_sigma;
    double sum[4] = { 0, 0, 0, 0 }, square[4] = { 0, 0, 0, 0 };
    int32_t n_alive = 0;
    aios__draw_restart(d);
    float max = d->x[aios__draw_best(d)];
    for (int32_t i = 0; i < d->n_vocab; i++) {
        double u = (double)max - (double)d->x[i];
        if (!(d->x[i] > AIOSK_NEG_INF)) continue;
        n_alive++;
        sum[i & 3] += u;
        square[i & 3] += u * u;
    }
    if (n_alive < 2) return;
    double mean = ((sum[0] + sum[1]) + (sum[2] + sum[3])) / (double)n_alive;
    double limit =
        ((square[0] + square[1]) + (square[2] + square[3])) / (double)n_alive - mean * mean;
    limit = limit > 0 ? n * n * limit : 0;
    for (int32_t i = 0; i < d->n_vocab; i++) {
        double u = (double)max - (double)d->x[i];
        if (u * u > limit) d->x[i] = AIOSK_NEG_INF;
    }
}
static void aios__sample_top_k(aios__draw *d) {
    if (d->s->top_k >= d->end - d->first) return;
    d->end = d->first + d->s->top_k;
    d->limited = d->weighed;
}
/* 0: the likeliest alone. */
static void aios__sample_temperature(aios__draw *d) {
    if (d->weighed) aios__draw_count(d); /* limits of before are of that temperature */
    if (d->s->temperature > 0) {
        d->temperature = d->s->temperature;
        d->weighed = 0;
    } else if (d->end > d->first) {
        d->end = d->first + 1;
    }
}
/* Locally typical sampling (Meister et al. 2022, arXiv 2202.00666): those whose surprise -log p is
 * nearest to the entropy, until they make up typical_p. With p = e / sum and t = log e,
 * |-log p - H| is |mean t - t|: no logarithm is taken, and the nearest ones are a piece of the
 * ranking, which grows from where t passes its mean. Of two that are as near the likelier comes
 * first; of equal logits the one that is nearer by rank. */
AIOSK__STRICT static void aios__sample_typical_p(aios__draw *d) {
    double mean = 0, mass = 0;
    if (aios__draw_count(d) < 2) return;
    if (d->end < d->n) {
        for (int32_t i = d->first; i < d->end; i++) {
            const int32_t id = aios__draw_rank(d, i);
            mean += (double)d->e[id] * (double)aios__draw_depth(d, id);
        }
    } else {
        for (int32_t i = 0; i < d->n_vocab; i++) {
            const float t = aios__draw_depth(d, i);
            if (t >= AIOS__SAMPLE_FLOOR) mean += (double)d->e[i] * (double)t;
        }
    }
    mean /= d->sum;
    int32_t first = d->first;
    while (first < d->end && (double)aios__draw_depth(d, aios__draw_rank(d, first)) >= mean)
        first++;
    int32_t end = first;
    while (mass < (double)d->s->typical_p * d->sum && (first > d->first || end < d->end)) {
        int32_t up = first > d->first;
        if (up && end < d->end)
            up = (double)aios__draw_depth(d, aios__draw_rank(d, first - 1)) - mean <=
                 mean - (double)aios__draw_depth(d, aios__draw_rank(d, end));
        mass += (double)d->e[aios__draw_rank(d, up ? --first : end++)];
    }
    aios__draw_from(d, first);
    d->end = end;
    d->sum = mass;
}
/* Top-p, nucleus sampling (Holtzman et al. 2020, arXiv 1904.09751): those that make up top_p. */
static void aios__sample_top_p(aios__draw *d) {
    if (aios__draw_count(d) < 2) return;
    d->enough = (double)d->s->top_p * d->sum;
    d->limited = 1;
}
/* Min-p (Nguyen et al. 2024, arXiv 2407.01082): those at least p times as likely as the first. */
static void aios__sample_min_p(aios__draw *d) {
    if (aios__draw_weigh(d) < 2) return;
    d->least = d->s->min_p * d->e[aios__draw_rank(d, d->first)];
    d->limited = 1;
}
/* XTC, "exclude top choices" (P. E. Weidmann 2024, text-generation-webui 6335): of the candidates
 * of a probability of at least the threshold only the least likely stays. Whether at all is
 * decided per token, by a random number of its own. */
static void aios__sample_xtc(aios__draw *d) {
    const float threshold = d->s->xtc_threshold > 0 ? d->s->xtc_threshold : 0.1f;

    if (aios__uniform(~d->s->seed, d->pos) >= (double)d->s->xtc_probability) return;
    if (aios__draw_count(d) < 2) return;
    double least = (double)threshold * d->sum;
    int32_t last = d->first;
    while (last + 1 < d->end && (double)d->e[aios__draw_rank(d, last + 1)] >= least) last++;
    if (last == d->first) return;
    aios__draw_from(d, last);
    d->sum = aios__draw_sum(d);
}

/* The token, -1 = there is none that can be drawn. */
static int32_t aios__draw_pick(aios__draw *d) {
    double part = 0;
    int32_t i;
    if (aios__draw_count(d) < 2) {
        i = aios__draw_best(d);
        return d->x[i] > AIOSK_NEG_INF ? i : -1;
    }
    double r = aios__uniform(d->s->seed, d->pos) * d->sum;
    for (i = d->first; i < d->end - 1; i++) {
        part += (double)d->e[aios__draw_rank(d, i)];
        if (part > r) break;
    }
    return aios__draw_rank(d, i);
}

/* ---- the table ---- */
/* A field of aios_sampler: f = a number from 0 to max, i = a count of at least 0, u = any count. */
typedef struct aios__param {
    const char *name;
    uint16_t at;
    char kind;
    float max;
} aios__param;
/* A stage runs when the first field that it takes is neither of off. */
typedef struct aios__sample_stage {
    uint32_t id;
    const char *name;
    void (*fn)(aios__draw *d);
    float off[2];
    aios__param takes[2];
} aios__sample_stage;
/* In the order that an aios_sampler.order of zeros means. A new stage: its function above, a row
 * here, its AIOS_STAGE_* and fields in api.h. */
/* clang-format off */
#define AIOS__F(field, max) { #field, (uint16_t)offsetof(aios_sampler, field), 'f', max }
#define AIOS__N(field, kind) { #field, (uint16_t)offsetof(aios_sampler, field), kind, 0 }
#define AIOS__ANY (-AIOSK_NEG_INF)
static const aios__sample_stage aios__sample_stages[] = {
    { AIOS_STAGE_BIAS,         "bias",        aios__sample_bias,        { 0, 0 },
      { AIOS__N(n_bias, 'u') } },
    { AIOS_STAGE_REPEAT,       "repeat",      aios__sample_repeat,      { 0, 1 },
      { AIOS__F(repeat_penalty, AIOS__ANY), AIOS__N(repeat_last, 'i') } },
    { AIOS_STAGE_TOP_N_SIGMA,  "top_n_sigma", aios__sample_top_n_sigma, { 0, 0 },
      { AIOS__F(top_n_sigma, AIOS__ANY) } },
    { AIOS_STAGE_TOP_K,        "top_k",       aios__sample_top_k,       { 0, 0 },
      { AIOS__N(top_k, 'i') } },
    { AIOS_STAGE_TEMPERATURE,  "temperature", aios__sample_temperature, { 1, 1 },
      { AIOS__F(temperature, AIOS__ANY) } },
    { AIOS_STAGE_TYPICAL_P,    "typical_p",   aios__sample_typical_p,   { 0, 1 },
      { AIOS__F(typical_p, 1) } },
    { AIOS_STAGE_TOP_P,        "top_p",       aios__sample_top_p,       { 0, 1 },
      { AIOS__F(top_p, 1) } },
    { AIOS_STAGE_MIN_P,        "min_p",       aios__sample_min_p,       { 0, 0 },
      { AIOS__F(min_p, 1) } },
    { AIOS_STAGE_XTC,          "xtc",         aios__sample_xtc,         { 0, 0 },
      { AIOS__F(xtc_probability, 1), AIOS__F(xtc_threshold, 1) } }
};
/* clang-format on */
#undef AIOS__F
#undef AIOS__N
#undef AIOS__ANY
enum { AIOS__N_SAMPLE_STAGES = sizeof aios__sample_stages / sizeof *aios__sample_stages };

static const aios__sample_stage *aios__sample_stage_of(uint32_t id) {
    for (int32_t i = 0; i < AIOS__N_SAMPLE_STAGES; i++)
        if (aios__sample_stages[i].id == id) return &aios__sample_stages[i];
    return NULL;
}
AIOS_API const char *aios_stage_name(int32_t id) {
    const aios__sample_stage *t = aios__sample_stage_of((uint32_t)id);
    return t ? t->name : NULL;
}
static double aios__param_of(const aios_sampler *s, const aios__param *p) {
    const char *at = (const char *)s + p->at;
    float number;
    int32_t count;
    memcpy(&number, at, 4);
    memcpy(&count, at, 4);
    return p->kind == 'f'   ? (double)number
           : p->kind == 'i' ? (double)count
                            : (double)(uint32_t)count;
}
static int32_t aios__sample_stage_on(const aios__sample_stage *t, const aios_sampler *s) {
    const double v = aios__param_of(s, &t->takes[0]);
    return v != (double)t->off[0] && v != (double)t->off[1];
}

/* Each stage once, no gap, and none left out that a field asks for. */
static aios_status aios__order_check(const aios_sampler *s, aios_error *err) {
    const uint32_t n_order = sizeof s->order;
    uint32_t n = 0;
    while (n < n_order && s->order[n]) n++;
    for (uint32_t i = n; i < n_order; i++)
        if (s->order[i])
            return aios__fail2(err, AIOS_ERR_ARG, AIOS__NO_OFF, 0, s->order[i],
                               "sampler.order ends with its first 0, at %, but % has a stage",
                               aios__u(n), aios__u(i));
    for (uint32_t i = 0; i < n; i++) {
        const aios__sample_stage *t = aios__sample_stage_of(s->order[i]);
        if (!t)
            return aios__fail2(err, AIOS_ERR_ARG, AIOS__NO_OFF, 0, s->order[i],
                               "sampler.order[%] is %, which is no stage", aios__u(i),
                               aios__u(s->order[i]));
        for (uint32_t k = 0; k < i; k++)
            if (s->order[k] == s->order[i])
                return aios__fail1(err, AIOS_ERR_ARG, AIOS__NO_OFF, "sampler.order names % twice",
                                   aios__z(t->name));
    }
    for (uint32_t k = 0; n && k < AIOS__N_SAMPLE_STAGES; k++) {
        const aios__sample_stage *t = &aios__sample_stages[k];
        if (!aios__sample_stage_on(t, s) || memchr(s->order, (int)t->id, n)) continue;
        return aios__fail2(err, AIOS_ERR_ARG, AIOS__NO_OFF, 0, 0,
                           "sampler.order leaves out %, which sampler.% asks for", aios__z(t->name),
                           aios__z(t->takes[0].name));
    }
    return AIOS_OK;
}
static aios_status aios__sampler_check(const aios_sampler *s, int32_t n_vocab, aios_error *err) {
    for (uint32_t i = 0; i < AIOS__N_SAMPLE_STAGES; i++)
        for (uint32_t k = 0; k < 2; k++) {
            const aios__param *p = &aios__sample_stages[i].takes[k];
            const double v = p->name ? aios__param_of(s, p) : 0;
            if (p->kind == 'f' && !(v >= 0 && v <= (double)p->max))
                return aios__fail1(err, AIOS_ERR_ARG, AIOS__NO_OFF,
                                   p->max == 1 ? "sampler.% is not a number from 0 to 1"
                                               : "sampler.% is not a finite number of at least 0",
                                   aios__z(p->name));
            if (p->kind == 'i' && v < 0)
                return aios__fail2(err, AIOS_ERR_ARG, AIOS__NO_OFF, 0, 0, "sampler.% is %, below 0",
                                   aios__z(p->name), aios__i((int64_t)v));
        }
    if (s->flags)
        return aios__fail1(err, AIOS_ERR_ARG, AIOS__NO_OFF,
                           "sampler.flags is %; this version knows no flag", aios__u(s->flags));
    if (s->n_bias && !s->bias)
        return aios__fail1(err, AIOS_ERR_ARG, AIOS__NO_OFF, "sampler.n_bias is %, but bias is NULL",
                           aios__u(s->n_bias));
    for (uint32_t i = 0; i < s->n_bias; i++) {
        if (s->bias[i].id < 0 || s->bias[i].id >= n_vocab)
            return aios__fail2(err, AIOS_ERR_ARG, AIOS__NO_OFF, (uint64_t)n_vocab,
                               (uint64_t)s->bias[i].id,
                               "sampler.bias names token %, but the vocabulary has %",
                               aios__i(s->bias[i].id), aios__i(n_vocab));
        if (s->bias[i].bias != s->bias[i].bias)
            return aios__fail1(err, AIOS_ERR_ARG, AIOS__NO_OFF,
                               "sampler.bias of token % is not a number", aios__i(s->bias[i].id));
    }
    return aios__order_check(s, err);
}

AIOS_API uint64_t aios_sample_work_bytes(int32_t n_vocab) {
    return n_vocab > 0
               ? aios__round_up((uint64_t)n_vocab * (sizeof(uint64_t) + 2 * sizeof(float)), 64)
               : 0;
}

/* From logits to candidates: the stages that are on, in their order. */
static void aios__sample_chain(aios__draw *d, const float *logits) {
    const aios_sampler *s = d->s;
    aios__draw_begin(d, logits);
    for (int32_t i = 0; i < AIOS__N_SAMPLE_STAGES; i++) {
        const aios__sample_stage *t =
            s->order[0] ? aios__sample_stage_of(s->order[i]) : &aios__sample_stages[i];
        if (t && aios__sample_stage_on(t, s)) t->fn(d);
    }
}

/* aios_sample_logits with the kernels of a set that the caller has picked. */
static aios_status aios__sample(const aiosk_isa *k, const aios_sampler *sampler,
                                const float *logits, int32_t n_vocab, const int32_t *recent,
                                uint64_t n_recent, uint64_t pos, void *work, int32_t *id,
                                aios_error *err) {
    aios_sampler s;
    aios__draw d;
    aios_status st;
    if (!id) return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF, "id is NULL");
    *id = -1;
    if ((st = aios__desc_copy(AIOS__ID_aios_sampler, &s, sampler, err)) != AIOS_OK) return st;
    if ((st = aios__unused(s.reserved, "aios_sampler", err)) != AIOS_OK) return st;
    if (n_vocab < 1 || !logits)
        return aios__fail1(err, AIOS_ERR_ARG, AIOS__NO_OFF,
                           "there are no logits to draw from (n_vocab is %)", aios__i(n_vocab));
    if (!work || (uintptr_t)work % 8)
        return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF, "work is NULL or not 8-byte aligned");
    if (n_recent && !recent)
        return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF, "n_recent is set, but recent is NULL");
    if ((st = aios__sampler_check(&s, n_vocab, err)) != AIOS_OK) return st;
    if (s.repeat_last == 0) s.repeat_last = 64;
    /* how limit back the stages read: further than that, nobody looks */
    uint64_t n_read = aios__sample_stage_on(aios__sample_stage_of(AIOS_STAGE_REPEAT), &s)
                          ? (uint64_t)s.repeat_last
                          : 0;
    for (uint64_t i = n_recent - aios__min_u64(n_recent, n_read); i < n_recent; i++)
        if (recent[i] < 0 || recent[i] >= n_vocab)
            return aios__fail2(err, AIOS_ERR_ARG, AIOS__NO_OFF, (uint64_t)n_vocab,
                               (uint64_t)recent[i],
                               "recent names token %, but the vocabulary has %", aios__i(recent[i]),
                               aios__i(n_vocab));
    d.k = k;
    d.s = &s;
    d.recent = recent;
    d.n_recent = n_recent;
    d.pos = pos;
    d.key = (uint64_t *)work;
    d.x = (float *)(void *)(d.key + n_vocab);
    d.e = d.x + n_vocab;
    d.n_vocab = n_vocab;
    uint64_t fp = aiosk_fp_begin();
    aios__sample_chain(&d, logits);
    *id = aios__draw_pick(&d);
    aiosk_fp_end(fp);
    if (*id < 0)
        return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF,
                          "no token can be drawn: every logit is -infinity or not a number");
    return AIOS_OK;
}

AIOS_API aios_status aios_sample_logits(const aios_sampler *s, const float *logits, int32_t n_vocab,
                                        const int32_t *recent, uint64_t n_recent, uint64_t pos,
                                        void *work, int32_t *id, aios_error *err) {
    return aios__sample(aiosk_select(AIOSK_ISA_BEST), s, logits, n_vocab, recent, n_recent, pos,
                        work, id, err);
}
AIOS__SMALL_END

AIOS__SMALL_BEGIN

/* ======== context/layout.c ======== */
/* layout.c: the memory of a context but for its program's scratch and its cache: all its arrays, out
 * of one block. */

/* Channels that turn, of all ropes. */
static uint64_t aios__rope_channels(const aios__hp *hp) {
    uint64_t n = 0;
    for (int32_t i = 0; i < hp->n_ropes; i++) n += (uint64_t)hp->rope[i].n_rot;
    return n;
}
/* Lays a context out. With meta->base NULL it counts. */
static aios_context *aios__context_layout(const aios_model *m, const aios_plan *p, aios__bump *meta,
                                          aios_context *into) {
    aios_context *c = (aios_context *)aios__take(meta, sizeof(aios_context), 64), *x = c ? c : into;
    uint64_t n_batch = (uint64_t)p->n_batch, n_ctx = (uint64_t)p->n_ctx;
    x->seq = (aios__sequence *)aios__take(meta, (uint64_t)p->n_seq * sizeof *x->seq, 8);
    x->pass.id = (int32_t *)aios__take(meta, n_batch * 4, 8);
    x->pass.seq = (int32_t *)aios__take(meta, n_batch * 4, 8);
    x->pass.pos = (int32_t *)aios__take(meta, n_batch * 4, 8);
    x->pass.cell = (int32_t *)aios__take(meta, n_batch * 4, 8);
    x->pass.turn = (int32_t *)aios__take(meta, n_batch * 4, 8);
    x->pass.block = (int32_t *)aios__take(meta, (n_batch + 1) * 4, 8);
    x->pass.out = (int32_t *)aios__take(meta, (uint64_t)p->n_outputs * 4, 8);
    x->exec.run.kv_read = (uint64_t *)aios__take(meta, (uint64_t)p->n_threads * 64, 64);
    x->exec.share =
        (aios__share *)aios__take(meta, (uint64_t)p->n_threads * sizeof(aios__share), 64);
    x->prog.freq = (double *)aios__take(meta, aios__rope_channels(&m->hp) / 2 * 8, 8);
    x->prog.op = (aios__op *)aios__take(meta, (uint64_t)p->n_ops * sizeof(aios__op), 64);
    x->exec.busy_ns = (uint64_t *)aios__take(meta, (uint64_t)p->n_ops * 8, 8);
    x->prog.unit = (aios__unit *)aios__take(meta, (uint64_t)p->n_units * sizeof(aios__unit), 8);
    x->prog.each = (aios__expert *)aios__take(meta, (uint64_t)m->n_split * sizeof(aios__expert), 8);
    x->exec.stream.slot = (aios__slot *)aios__take(
        meta,
        ((uint64_t)p->n_slots + (uint64_t)p->n_expert_slots * AIOS__N_EXPERT_MATRICES +
         p->n_row_slots) *
            sizeof(aios__slot),
        64);
    x->exec.stream.queue = (uint32_t *)aios__take(
        meta, ((uint64_t)p->n_expert_slots * AIOS__N_EXPERT_MATRICES + p->n_row_slots) * 4, 8);
    aios__rows_layout(&x->exec.rows, meta, p->n_row_slots);
    aios__expert_cache_layout(&x->exec.expert_cache, meta, (uint64_t)m->hp.n_layer,
                              (uint64_t)m->hp.n_expert, p->n_expert_slots);
    x->sample_work = aios__take(meta, aios_sample_work_bytes(m->hp.n_vocab), 64);
    for (int32_t s = 0; s < p->n_seq; s++) {
        int32_t *tok = (int32_t *)aios__take(meta, n_ctx * 4, 8);
        uint8_t *want = (uint8_t *)aios__take(meta, n_ctx, 8);
        if (c) {
            c->seq[s].token = tok;
            c->seq[s].want = want;
        }
    }
    aios__kv_arrays(&x->kv, meta);
    aios__threads_layout(&x->exec.pool, &x->exec.stream.crew, meta,
                         p->flags & AIOS_PLAN_LENT_THREADS ? 1 : p->n_threads, p->n_readers);
    return c;
}

/* ======== context/plan.c ======== */
/* plan.c: what will be asked for, to the byte, before anything is taken. Pure arithmetic on the
 * header: it runs the same layout code as opening does, over bumps that only count, so a plan
 * cannot differ from what opening takes. */

static uint64_t aios__plan_stacks(const aios_plan *p) {
    return aios__stacks((p->flags & AIOS_PLAN_LENT_THREADS ? 0 : p->n_threads - 1) + p->n_readers);
}
static aios__cut aios__plan_cut(const aios_plan *p) {
    aios__cut c;
    c.rows = p->numerics == AIOS_REFERENCE;
    c.level = p->stream_level;
    c.warm = p->warm_steps;
    c.experts = p->n_expert_slots > 0;
    c.tables = (p->rungs & AIOS_RUNG_ROWS) != 0;
    c.mapped = (p->flags & AIOS_PLAN_IN_PLACE) != 0 || (p->rungs & AIOS_RUNG_IN_PLACE) != 0;
    c.unit_bytes = p->unit_bytes;
    return c;
}
/* Two cuts that put every weight in the same place. */
static int32_t aios__cut_same(const aios__cut *a, const aios__cut *b) {
    return a->rows == b->rows && a->level == b->level && a->experts == b->experts &&
           a->tables == b->tables && a->warm == b->warm && a->mapped == b->mapped &&
           (!a->level || a->unit_bytes == b->unit_bytes);
}
/* For single rows no thread is worth its stack. */
static int32_t aios__plan_wants_readers(const aios_plan *p) {
    return p->n_units || p->n_expert_slots;
}
static int32_t aios__plan_streams(const aios_plan *p) {
    return aios__plan_wants_readers(p) || p->n_row_slots;
}
/* Streams through the io's submit and wait. */
static uint32_t aios__plan_async(const aios_model *m, const aios_plan *p) {
    return m->async && !p->n_readers && !(p->flags & AIOS_PLAN_LENT_READERS);
}
/* A plan from the caller. One of a header that knew no tiers has all weights in the first. */
static aios_status aios__plan_copy(aios_plan *p, const aios_plan *from, aios_error *err) {
    aios_status st = aios__desc_copy(AIOS__ID_aios_plan, p, from, err);
    if (!st && from->struct_size <= offsetof(aios_plan, tier_bytes))
        p->tier_bytes[AIOS_TIER_HOT] = p->request_bytes[AIOS_MEM_WEIGHTS];
    return st;
}
/* A walk over the model's graph as the plan has it, into p. */
static void aios__emitter_start(aios__emitter *e, const aios_model *m, const aios_plan *plan,
                                const aiosk_isa *k, aios__program *p, aios__moe *moe) {
    const aios__hp *hp = &m->hp;
    memset(e, 0, sizeof *e);
    e->m = m;
    e->g = &m->graph;
    e->k = k;
    e->p = p;
    e->moe = moe;
    e->cut = aios__plan_cut(plan);
    e->n_ctx = plan->n_ctx;
    e->n_seq = plan->n_seq;
    e->n_batch = plan->n_batch;
    e->n_outputs = plan->n_outputs;
    e->n_threads = plan->n_threads;
    e->numerics = plan->numerics;
    e->coded = aios__kv_is_coded(m, plan);
    e->heavy = plan->kv_heavy > 0;
    e->n_block = aios__attend_tokens(hp);
    moe->n_expert = hp->n_expert;
    moe->n_used = hp->n_used;
    moe->block_cols =
        aios__task_cols(32, hp->n_ff_exp > hp->n_embd ? hp->n_ff_exp : hp->n_embd, AIOSK__MAX_COLS);
}

enum {
    AIOS__DEFAULT_CTX = 4096,
    AIOS__MAX_READERS = 64,
    AIOS__MAX_SLOTS = 4096,
    AIOS__PLAN_FLAGS = AIOS_PLAN_LENT_THREADS | AIOS_PLAN_LENT_READERS | AIOS_PLAN_IN_PLACE |
                       AIOS_PLAN_PIN | AIOS_PLAN_KEEP_BATCH | AIOS_PLAN_NO_STREAM |
                       AIOS_PLAN_MAY_KV_TYPE | AIOS_PLAN_MAY_CTX | AIOS_PLAN_MAY_KV_CODES
};
#define AIOS__MAX_UNIT ((uint64_t)4 << 20) /* large enough that storage is not asked too often */

/* Experts of all layers that can be read one by one; 0 = none. */
static uint64_t aios__n_experts(const aios_model *m) {
    uint64_t n = 0;
    for (int32_t l = 0; l < m->hp.n_layer; l++) {
        if (m->layer[l][AIOS__ROLE_FFN_ROUTER].w < 0) continue;
        for (int32_t k = AIOS__ROLE_FFN_GATE_EXPS; k <= AIOS__ROLE_FFN_DOWN_EXPS; k++)
            /* a slot counts in 32 bits, panels that are not full included */
            if (m->gguf.tensor[m->layer[l][k].w].row_bytes * m->gguf.tensor[m->layer[l][k].w].n[1] >
                UINT32_MAX / 32)
                return 0;
        n += (uint64_t)m->hp.n_expert;
    }
    return n;
}
static aios_status aios__plan_check_ranges(const aios_plan *p, aios_error *err) {
    static const struct {
        const char *name;
        uint32_t at;
        int32_t least, most;
    } rule[] = {
#define AIOS__X(field, least, most) { #field, offsetof(aios_plan, field), least, most }
        AIOS__X(n_ctx, 1, 1 << 28),
        AIOS__X(n_seq, 1, 1 << 20),
        AIOS__X(n_batch, 1, 4096),
        AIOS__X(n_outputs, 1, 4096),
        AIOS__X(n_threads, 1, 1024),
        AIOS__X(numerics, 0, AIOS_REFERENCE),
        AIOS__X(isa, 0, AIOSK_N_ISA - 1),
        AIOS__X(stream_level, 0, AIOS__LEVELS),
        AIOS__X(warm_steps, 0, 4 * 4096),
        AIOS__X(n_readers, 0, AIOS__MAX_READERS),
        AIOS__X(n_slots, 0, AIOS__MAX_SLOTS),
        AIOS__X(kv_positions, 0, 1 << 30),
        AIOS__X(kv_recent, 0, 1 << 28),
        AIOS__X(kv_window, 0, 1 << 28),
        AIOS__X(kv_sinks, -1, 1 << 28),
        AIOS__X(kv_heavy, 0, 1 << 28),
#undef AIOS__X
    };
    for (uint32_t i = 0; i < sizeof rule / sizeof *rule; i++) {
        int32_t is;
        memcpy(&is, (const char *)p + rule[i].at, sizeof is);
        if (is >= rule[i].least && is <= rule[i].most) continue;
        return aios__fail2(err, AIOS_ERR_ARG, AIOS__NO_OFF, (uint64_t)rule[i].most,
                           (uint64_t)(is < 0 ? 0 : is), "the plan's % is %, out of range",
                           aios__z(rule[i].name), aios__i(is));
    }
    return AIOS_OK;
}
static aios_status aios__plan_check_kv(const aios_model *m, const aios_plan *p, aios_error *err) {
    for (int32_t i = -2; i < (p->kv_layer_type ? m->hp.n_layer : 0); i++) {
        int32_t t = i == -2 ? p->kv_type : i == -1 ? p->kv_old_type : p->kv_layer_type[i];
        if (i == -2 ? aiosk_kv_ok(t)
            : i == -1
                ? t == 0 || (aiosk_kv_ok(t) && p->kv_type != AIOSK_KV_F32)
                : t == -1 || (aiosk_kv_ok(t) && t != AIOSK_KV_F32 && p->kv_type != AIOSK_KV_F32))
            continue;
        return aios__fail2(
            err, AIOS_ERR_ARG, AIOS__NO_OFF, 0, (uint64_t)(int64_t)t,
            "the plan's % is %, which is no type of cache, or does not go with one of f32",
            aios__z(i == -2   ? "kv_type"
                    : i == -1 ? "kv_old_type"
                              : "kv_layer_type"),
            aios__i(t));
    }
    if ((p->kv_heavy || p->kv_sinks) && !p->kv_window)
        return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF,
                          "the plan's kv_heavy and kv_sinks go with kv_window");
    if (p->kv_recent && !p->kv_old_type)
        return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF,
                          "the plan's kv_recent goes with kv_old_type");
    return AIOS_OK;
}
static aios_status aios__plan_check_stream(const aios_model *m, const aios_plan *p,
                                           aios_error *err) {
    if (p->unit_bytes > AIOS__MAX_UNIT)
        return aios__fail2(err, AIOS_ERR_ARG, AIOS__NO_OFF, AIOS__MAX_UNIT, p->unit_bytes,
                           "the plan's unit_bytes is %, out of range", aios__u(p->unit_bytes),
                           aios__u(0));
    if (p->n_expert_slots > p->n_experts || p->n_experts > aios__n_experts(m))
        return aios__fail2(err, AIOS_ERR_ARG, AIOS__NO_OFF, aios__n_experts(m), p->n_expert_slots,
                           "the plan has % slots for % experts", aios__u(p->n_expert_slots),
                           aios__u(aios__n_experts(m)));
    if (p->n_units && p->n_slots < 1)
        return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF,
                          "the plan streams through a ring without slots");
    return AIOS_OK;
}
/* Can this build, on this machine, run the model so? */
static aios_status aios__plan_check_run(const aios_model *m, const aios_plan *p, aios_error *err) {
    /* AIOS_FAST differs from AIOS_CANONICAL in the kernels of float matrices alone
     * (aiosk_matmul_fast): no layout, no size */
    if (p->numerics == AIOS_REFERENCE && p->kv_type != AIOSK_KV_F32)
        return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF,
                          "AIOS_REFERENCE numerics go with an f32 cache");
    if ((uint64_t)p->n_batch * (uint64_t)m->hp.n_head > (uint64_t)1 << 28)
        return aios__fail2(err, AIOS_ERR_LIMIT, AIOS__NO_OFF, (uint64_t)1 << 28,
                           (uint64_t)p->n_batch * (uint64_t)m->hp.n_head,
                           "a batch of % tokens of % heads is too large: plan a smaller n_batch",
                           aios__i(p->n_batch), aios__i(m->hp.n_head));
    if (m->role[AIOS__ROLE_POS_EMBD].w >= 0 && p->n_ctx > m->hp.n_ctx_train)
        return aios__fail2(err, AIOS_ERR_ARG, AIOS__NO_OFF, (uint64_t)m->hp.n_ctx_train,
                           (uint64_t)p->n_ctx,
                           "n_ctx % is past the % positions that the model has learned",
                           aios__i(p->n_ctx), aios__i(m->hp.n_ctx_train));
    if (!aiosk_select(p->isa))
        return aios__fail1(err, AIOS_ERR_UNSUPPORTED, AIOS__NO_OFF,
                           "instruction set % is not in this machine or this build",
                           aios__i(p->isa));
#ifdef AIOS_NO_THREADS
    if (p->flags & AIOS_PLAN_LENT_READERS)
        return aios__fail(
            err, AIOS_ERR_UNSUPPORTED, AIOS__NO_OFF,
            "this build has no locks (AIOS_NO_THREADS), which threads that read need");
#endif
    return AIOS_OK;
}
/* Are a loaded model's weights divided as the plan wants them? */
static aios_status aios__plan_check_loaded(const aios_model *m, const aios_plan *p,
                                           aios_error *err) {
    if (!m->loaded) return AIOS_OK;
    aios__cut cut = aios__plan_cut(p);
    if (m->cut.rows != cut.rows)
        return aios__fail(
            err, AIOS_ERR_STATE, AIOS__NO_OFF,
            "the model's weights are laid out for other numerics: open the model a second time");
    if (!aios__cut_same(&cut, &m->cut))
        return aios__fail(
            err, AIOS_ERR_STATE, AIOS__NO_OFF,
            "the model's weights are divided in another way: plan again without, or open the "
            "model a second time");
    return AIOS_OK;
}
/* The choices of a plan, whether made here or handed in. */
static aios_status aios__plan_check(const aios_model *m, const aios_plan *p, aios_error *err) {
    aios_status st = aios__flags(p->flags, AIOS__PLAN_FLAGS, "aios_plan", err);
    if (!st) st = aios__plan_check_ranges(p, err);
    if (!st) st = aios__plan_check_kv(m, p, err);
    if (!st) st = aios__plan_check_stream(m, p, err);
    if (!st) st = aios__plan_check_run(m, p, err);
    return st ? st : aios__plan_check_loaded(m, p, err);
}

/* The sizes of a plan whose choices are made. 0 when something overflows. */
static int32_t aios__plan_sizes(const aios_model *m, aios_plan *p, const aiosk_isa *k) {
    aios__emitter e;
    aios__program b;
    aios__moe moe;
    aios__kv kv;
    aios_context tmp;
    aios__bump meta = { NULL, 0 };
    aios__weights_size w;
    uint64_t i;
    memset(&b, 0, sizeof b);
    memset(&moe, 0, sizeof moe);
    aios__emitter_start(&e, m, p, k, &b, &moe);
    if (!aios__program_count(&e)) return 0;
    aios__cut cut = e.cut;
    if (!aios__kv_size(&kv, m, p)) return 0;
    p->n_ops = b.n_ops;
    p->n_phases = b.n_phases;
    p->n_units = b.n_units;
    p->slot_bytes = aios__round_up(b.slot_bytes, AIOS__STREAM_ALIGN);
    p->expert_slot_bytes = b.matrix_bytes[AIOS__EXPERT_GATE] + b.matrix_bytes[AIOS__EXPERT_UP] +
                           b.matrix_bytes[AIOS__EXPERT_DOWN];
    p->n_row_slots = !b.n_tables                    ? 0
                     : p->n_batch < AIOS__ROW_SLOTS ? (uint32_t)p->n_batch
                                                    : (uint32_t)AIOS__ROW_SLOTS;
    p->row_slot_bytes = b.row_slot_bytes;
    memset(&tmp, 0, sizeof tmp);
    tmp.kv = kv;
    aios__context_layout(m, p, &meta, &tmp);
    aios__weights_measure(m, &cut, &w);
    uint64_t load_tmp = m->loaded ? 0 : aios__weights_tmp(m, &cut);
    for (i = 0; i < 2; i++) p->tier_bytes[i] = m->loaded ? 0 : w.tier[i];
    if (!aios__mul(p->slot_bytes, p->n_slots, &p->tier_bytes[AIOS_TIER_STREAM]) ||
        !aios__mul(p->expert_slot_bytes, p->n_expert_slots, &i) ||
        !aios__add(p->tier_bytes[AIOS_TIER_STREAM], i, &p->tier_bytes[AIOS_TIER_STREAM]) ||
        !aios__mul(p->row_slot_bytes, p->n_row_slots, &i) ||
        !aios__add(p->tier_bytes[AIOS_TIER_STREAM], i, &p->tier_bytes[AIOS_TIER_STREAM]))
        return 0;
    p->request_bytes[AIOS_MEM_META] = aios__round_up(meta.used, 64);
    p->request_bytes[AIOS_MEM_SCRATCH] =
        aios__round_up(b.scratch_bytes > load_tmp ? b.scratch_bytes : load_tmp, 64);
    p->request_bytes[AIOS_MEM_KV] = kv.bytes;
    p->request_bytes[AIOS_MEM_WEIGHTS] = 0;
    for (i = 0, p->n_requests = 3; i < 3; i++) {
        if (!aios__add(p->request_bytes[AIOS_MEM_WEIGHTS], p->tier_bytes[i],
                       &p->request_bytes[AIOS_MEM_WEIGHTS]))
            return 0;
        p->n_requests += p->tier_bytes[i] != 0;
    }
    p->total_bytes = 0;
    for (i = 0; i < AIOS_N_MEM; i++)
        if (!aios__add(p->total_bytes, p->request_bytes[i], &p->total_bytes)) return 0;
    p->weight_bytes_packed = w.packed;
    p->weight_bytes_rows = w.rows;
    p->weight_bytes_mapped = w.mapped;
    p->token_weight_bytes = b.w_bytes;
    p->token_act_bytes = b.act_bytes;
    p->token_stream_bytes = b.stream_bytes;
    p->token_expert_bytes = b.expert_bytes;
    p->token_kv_pos_bytes = kv.pos_bytes;
    p->token_kv_bytes = aios__kv_read_bytes(&kv, m, p);
    return 1;
}

/* ---- the ladder ---- */
typedef struct aios__ladder {
    const aios_model *m;
    const aios_plan_desc *d;
    const aiosk_isa *k;
    int32_t can_map;         /* the io maps all matrices */
    uint32_t n_slots;        /* of a ring that has units enough */
    uint32_t experts;        /* that a cache may hold; 0 = they stay resident */
    uint32_t rows, may_rows; /* AIOS_RUNG_ROWS or 0: rows of tables are read, or may be */
    uint64_t least_unit;     /* bytes of a unit, so that rounding adds a percent at the most */
    int32_t n_readers;
} aios__ladder;

/* Sizes, with a ring that has no more slots than it needs. */
static int32_t aios__ladder_sizes(const aios__ladder *l, aios_plan *p) {
    p->n_slots = l->n_slots;
    p->n_readers = l->n_readers;
    p->rungs |= AIOS_RUNG_STREAM | AIOS_RUNG_EXPERTS | l->rows;
    if (!p->n_expert_slots) p->rungs &= ~(uint32_t)AIOS_RUNG_EXPERTS;
    if (!aios__plan_sizes(l->m, p, l->k)) return 0;
    if (!p->n_row_slots) p->rungs &= ~(uint32_t)AIOS_RUNG_ROWS;
    if (p->n_units >= p->n_slots && p->n_units) return 1;
    p->n_slots = p->n_units;
    if (!p->n_units) {
        p->stream_level = 0;
        p->rungs &= ~(uint32_t)AIOS_RUNG_STREAM;
    }
    if (!aios__plan_wants_readers(p)) p->n_readers = 0;
    return aios__plan_sizes(l->m, p, l->k);
}
static int32_t aios__fits(const aios__ladder *l, aios_plan *p) {
    int32_t low = 0, high = aios__warm_steps(l->m), level = p->stream_level;
    if (!aios__ladder_sizes(l, p)) return 0;
    if (l->d->hot_bytes && !l->m->loaded &&
        !((p->flags & AIOS_PLAN_IN_PLACE) || (p->rungs & AIOS_RUNG_IN_PLACE)))
        while (low < high) { /* what is too much for the hot tier is warm */
            p->warm_steps = low + (high - low) / 2;
            p->stream_level = level;
            if (!aios__ladder_sizes(l, p)) return 0;
            if (p->tier_bytes[AIOS_TIER_HOT] <= l->d->hot_bytes)
                high = p->warm_steps;
            else
                low = p->warm_steps + 1;
            if (low == high && p->warm_steps != high) {
                p->warm_steps = high;
                p->stream_level = level;
                aios__ladder_sizes(l, p);
            }
        }
    if (l->d->budget_bytes && (p->total_bytes > l->d->budget_bytes ||
                               p->held_bytes > l->d->budget_bytes - p->total_bytes))
        return 0;
    if (l->d->hot_bytes && p->tier_bytes[AIOS_TIER_HOT] > l->d->hot_bytes) return 0;
    return !l->d->warm_bytes || p->tier_bytes[AIOS_TIER_WARM] <= l->d->warm_bytes;
}
/* No pass has more tokens than the sequences hold. */
static int32_t aios__batch_of(const aios_plan *p, int32_t n) {
    int64_t most = (int64_t)p->n_ctx * p->n_seq;
    return n < most ? n : (int32_t)most;
}
static void aios__set_batch(const aios__ladder *l, aios_plan *p, int32_t n) {
    if (n < p->n_batch) p->rungs |= AIOS_RUNG_BATCH;
    p->n_batch = n;
    p->n_outputs = l->d->n_outputs ? l->d->n_outputs : p->n_seq;
    if (p->n_outputs > n) p->n_outputs = n;
}
/* How many tokens share a pass, so that each of a prompt moves the fewest bytes: its part of the
 * weights, and what of the activations does not stay in the caches. Larger passes than 64 take
 * no more room than a sixteenth of what the weights do. */
static int32_t aios__best_batch(const aios__ladder *l, const aios_plan *p) {
    uint64_t cache = l->d->l2_bytes + l->d->l3_bytes, fewest = UINT64_MAX;
    int32_t best = aios__batch_of(p, 64);
    if (!cache) cache = 1 << 20;
    for (int32_t n = 32; n <= 512 && n <= aios__batch_of(p, n); n *= 2) {
        aios_plan x = *p;
        uint64_t room, moved;
        aios__set_batch(l, &x, n);
        if (!aios__plan_sizes(l->m, &x, l->k)) break;
        room = x.request_bytes[AIOS_MEM_SCRATCH];
        if (n > 64 && room > l->m->gguf.tensor_bytes / 16) break;
        moved = x.token_weight_bytes / (uint64_t)n +
                (room > cache ? x.token_act_bytes * ((room - cache) >> 10) / (room >> 10) : 0);
        if (moved < fewest) {
            fewest = moved;
            best = n;
        }
    }
    return best;
}
/* A ring of n_slots units and the threads that fill it; one slot where reading waits for
 * computing. */
static void aios__set_ring(aios__ladder *l, const aios_plan *p, uint32_t n_slots) {
    int32_t n = l->d->n_readers, async = (int32_t)l->m->async,
            lent = (p->flags & AIOS_PLAN_LENT_READERS) != 0;
    if (n == 0 && !async && p->n_threads > 1 && !(p->flags & AIOS_PLAN_LENT_THREADS)) n = 2;
#ifdef AIOS_NO_THREADS
    n = 0;
#endif
    l->n_readers = lent || n < 0 ? 0 : n;
    l->n_slots = l->n_readers || lent || async ? n_slots : 1;
}
/* The next type of cache down that the plan may take, for which all of the cache is smaller; -1
 * = none. */
static int32_t aios__kv_less(const aios__ladder *l, const aios_plan *p) {
    static const int32_t types[] = { AIOSK_KV_F16, AIOSK_KV_I8, AIOSK_KV(AIOSK_KV_I8, AIOSK_KV_C4),
                                     AIOSK_KV(AIOSK_KV_C5, AIOSK_KV_C4),
                                     AIOSK_KV(AIOSK_KV_C4, AIOSK_KV_C4) };
    int32_t n = p->numerics == AIOS_REFERENCE       ? 0
                : p->flags & AIOS_PLAN_MAY_KV_CODES ? 5
                : p->flags & AIOS_PLAN_MAY_KV_TYPE  ? 2
                                                    : 0;
    aios_plan less = *p;
    aios__kv now, then;
    for (int32_t i = 0; i < n; i++) {
        less.kv_type = types[i];
        if (aios__tile_bytes(l->m, 0, types[i]) >= aios__tile_bytes(l->m, 0, p->kv_type) ||
            !aios__kv_size(&then, l->m, &less))
            continue;
        if (!aios__kv_size(&now, l->m, p) || then.bytes < now.bytes) return types[i];
    }
    return -1;
}
/* The smallest of 1 .. most that fits, in *x, which is a field of p; 0 when none does. What fits
 * is taken to go on fitting. */
static int32_t aios__least_fit(const aios__ladder *l, aios_plan *p, int32_t *x, int32_t most,
                               uint64_t unit_bytes) {
    int32_t low = 0, high = most, at; /* low does not fit */
    p->unit_bytes = unit_bytes;
    *x = most;
    if (!aios__fits(l, p)) return 0;
    while (high - low > 1) {
        *x = at = low + (high - low) / 2;
        if (aios__fits(l, p))
            high = at;
        else
            low = at;
    }
    *x = high;
    return aios__fits(l, p);
}
/* Experts in a cache: as many as fit, so that what is left is theirs. 0 = not even one; then one
 * for each that a token uses, in case other matrices can make room. */
static int32_t aios__most_experts(aios__ladder *l, aios_plan *p) {
    uint32_t low = 0, high = l->experts + 1; /* low fits, high does not */
    aios__set_ring(l, p, 4);
    while (high - low > 1) {
        p->n_expert_slots = low + (high - low) / 2;
        if (aios__fits(l, p))
            low = p->n_expert_slots;
        else
            high = p->n_expert_slots;
    }
    p->n_expert_slots = low ? low : (uint32_t)l->m->hp.n_used;
    return low && aios__fits(l, p);
}
/* Takes to reading rows of tables, unless the room for rows is more than the tables. */
static int32_t aios__rows_pay(aios__ladder *l, aios_plan *p) {
    if (!aios__ladder_sizes(l, p)) return 0;
    uint64_t before = p->total_bytes;
    l->rows = l->may_rows;
    if (aios__ladder_sizes(l, p) && p->total_bytes <= before) return l->rows != 0;
    l->rows = 0;
    p->rungs &= ~(uint32_t)AIOS_RUNG_ROWS;
    aios__ladder_sizes(l, p);
    return 0;
}
/* The smallest of all: everything given up that may be, and as little resident as it takes.
 * Small units need a small ring and long tables, and a ring can be larger than what it saves:
 * all ways are weighed. */
static int32_t aios__bottom(aios__ladder *l, aios_plan *p) {
    int32_t type;
    if (!(p->flags & AIOS_PLAN_KEEP_BATCH)) aios__set_batch(l, p, 1);
    if (p->flags & AIOS_PLAN_MAY_CTX) {
        int32_t least = l->d->n_ctx_min ? l->d->n_ctx_min : 64;
        if (least < p->n_ctx) {
            p->n_ctx = least;
            p->rungs |= AIOS_RUNG_CTX;
        }
    }
    while ((type = aios__kv_less(l, p)) >= 0) {
        p->kv_type = type;
        p->rungs |= AIOS_RUNG_KV_TYPE;
    }
    aios__set_ring(l, p, 2);
    if (l->m->loaded) return aios__ladder_sizes(l, p); /* the weights are where they are */
    aios__rows_pay(l, p);
    if (l->can_map) {
        p->rungs |= AIOS_RUNG_IN_PLACE;
        p->warm_steps = aios__warm_steps(l->m);
    }
    p->stream_level = 0;
    if (!aios__ladder_sizes(l, p)) return 0;
    aios_plan best = *p;
    for (p->n_expert_slots = 0;
         !l->can_map && !(p->flags & AIOS_PLAN_NO_STREAM) && p->n_expert_slots <= (l->experts > 0);
         p->n_expert_slots++) {
        p->stream_level = 0;
        if (p->n_expert_slots && aios__ladder_sizes(l, p) && p->total_bytes < best.total_bytes)
            best = *p;
        for (int32_t level = AIOS__LEVEL; level <= AIOS__LEVELS; level += AIOS__LEVEL)
            for (uint64_t unit = l->least_unit; unit <= AIOS__MAX_UNIT; unit *= 2) {
                p->stream_level = level;
                p->unit_bytes = unit;
                if (aios__ladder_sizes(l, p) && p->total_bytes < best.total_bytes) best = *p;
            }
    }
    *p = best;
    return 1;
}
/* A batch that shares what a pass streams. A pass reads all that is streamed, so many tokens
 * should share it: as many as were asked for (n_asked), or up to 512, if the room that they need
 * is no more than a sixteenth of the memory. */
static void aios__stream_batch(const aios__ladder *l, aios_plan *p, int32_t n_asked) {
    uint64_t budget = l->d->budget_bytes;
    int32_t batch = aios__batch_of(p, l->d->n_batch ? n_asked : 512);
    p->rungs &= ~(uint32_t)AIOS_RUNG_BATCH;
    p->n_batch = batch;
    for (;;) {
        aios__set_batch(l, p, batch);
        if (batch <= 16 || !budget ||
            (aios__ladder_sizes(l, p) && p->request_bytes[AIOS_MEM_SCRATCH] <= budget / 16))
            break;
        batch /= 2;
    }
    if (!l->d->n_batch) p->rungs &= ~(uint32_t)AIOS_RUNG_BATCH;
}
/* The rungs of the batch and the cache: the weights stay where they are. */
static int32_t aios__descend_resident(aios__ladder *l, aios_plan *p) {
    int32_t least_ctx = l->d->n_ctx_min ? l->d->n_ctx_min : 64, type;
    if (aios__fits(l, p)) return 1;
    if (!l->m->loaded && aios__rows_pay(l, p) && aios__fits(l, p)) return 1;
    while (!(p->flags & AIOS_PLAN_KEEP_BATCH) && p->n_batch > 16) {
        aios__set_batch(l, p, p->n_batch / 2 > 16 ? p->n_batch / 2 : 16);
        if (!l->rows && !l->m->loaded) aios__rows_pay(l, p);
        if (aios__fits(l, p)) return 1;
    }
    while ((type = aios__kv_less(l, p)) >= 0) {
        p->kv_type = type;
        p->rungs |= AIOS_RUNG_KV_TYPE;
        if (aios__fits(l, p)) return 1;
    }
    while (p->flags & AIOS_PLAN_MAY_CTX && p->n_ctx > least_ctx) {
        p->n_ctx = p->n_ctx / 2 > least_ctx ? p->n_ctx / 2 : least_ctx;
        p->rungs |= AIOS_RUNG_CTX;
        if (aios__fits(l, p)) return 1;
    }
    return 0;
}
/* The rungs of streaming: experts in a cache, then parts of all matrices through a ring. */
static int32_t aios__descend_stream(aios__ladder *l, aios_plan *p, int32_t n_asked) {
    uint64_t budget = l->d->budget_bytes;
    if (!(p->flags & AIOS_PLAN_KEEP_BATCH)) aios__stream_batch(l, p, n_asked);
    if (l->experts && aios__most_experts(l, p)) return 1;
    /* the largest units of which four fit in a sixteenth of the memory; then smaller ones */
    aios__set_ring(l, p, 4);
    for (uint64_t unit = AIOS__MAX_UNIT; unit >= l->least_unit; unit /= 2) {
        if (budget && unit * 4 > budget / 16 && unit > l->least_unit) continue;
        if (aios__least_fit(l, p, &p->stream_level, AIOS__LEVELS, unit)) return 1;
    }
    if (!(p->flags & AIOS_PLAN_KEEP_BATCH)) aios__set_batch(l, p, 1);
    aios__set_ring(l, p, 2);
    if (p->n_expert_slots) p->n_expert_slots = 1;
    return aios__least_fit(l, p, &p->stream_level, AIOS__LEVELS, l->least_unit);
}
/* Goes down the ladder, one rung after the other and each no further than needed. p as asked
 * for. 0 = does not fit. */
static int32_t aios__descend(aios__ladder *l, aios_plan *p) {
    int32_t n_asked = p->n_batch;
    if (aios__descend_resident(l, p)) return 1;
    if (l->m->loaded) return 0;
    if (l->can_map) {
        p->rungs |= AIOS_RUNG_IN_PLACE;
        return aios__least_fit(l, p, &p->warm_steps, aios__warm_steps(l->m), 0);
    }
    return p->flags & AIOS_PLAN_NO_STREAM ? 0 : aios__descend_stream(l, p, n_asked);
}

/* As many threads as there are fast cores, or less where a container allows less of their time. */
static int32_t aios__own_threads(void) {
    int32_t n = 1;
#ifndef AIOS_NO_THREADS
    aios_hardware h;
    aios_hardware_init(&h);
    if (aios_hardware_detect(&h) == AIOS_OK) n = h.n_performance;
    if (h.quota_milli && n > h.quota_milli / 1000) n = h.quota_milli / 1000;
#endif
    return n < 1 ? 1 : n > 1024 ? 1024 : n;
}

/* ---- making a plan ---- */
static aios_status aios__plan_desc_copy(aios_plan_desc *d, const aios_plan_desc *from,
                                        aios_error *err) {
    aios_status st = aios__desc_copy(AIOS__ID_aios_plan_desc, d, from, err);
    if (!st) st = aios__flags(d->flags, AIOS__PLAN_FLAGS, "aios_plan_desc", err);
    if (!st) st = aios__unused((uint32_t)d->reserved, "aios_plan_desc", err);
    if (!st && (d->n_readers > AIOS__MAX_READERS || d->n_ctx_min < 0))
        st = aios__fail2(err, AIOS_ERR_ARG, AIOS__NO_OFF, AIOS__MAX_READERS, (uint64_t)d->n_readers,
                         "aios_plan_desc: n_readers % or n_ctx_min % is out of range",
                         aios__i(d->n_readers), aios__i(d->n_ctx_min));
    return st;
}
/* Nothing is planned that the caller's aios_plan, of plan_size bytes, cannot say. */
static aios_status aios__plan_limit_to_header(aios_plan_desc *d, uint32_t plan_size,
                                              aios_error *err) {
    if (plan_size <= offsetof(aios_plan, tier_bytes)) {
        d->flags |= AIOS_PLAN_NO_STREAM;
        d->flags &= ~(uint32_t)AIOS_PLAN_IN_PLACE;
        d->hot_bytes = d->warm_bytes = 0;
    }
    if (plan_size <= offsetof(aios_plan, kv_layer_type) &&
        (d->kv_positions || d->kv_old_type || d->kv_window || d->kv_layer_type))
        return aios__fail(
            err, AIOS_ERR_DESC, AIOS__NO_OFF,
            "this aios_plan is of a header that knows no rules of the cache: compile with one "
            "header");
    return AIOS_OK;
}
static void aios__ladder_start(aios__ladder *l, const aios_model *m, const aios_plan_desc *d,
                               uint32_t plan_size) {
    memset(l, 0, sizeof *l);
    l->m = m;
    l->d = d;
    if (plan_size > offsetof(aios_plan, n_expert_slots))
        l->experts = (uint32_t)aios__min_u64(aios__n_experts(m), INT32_MAX);
    l->may_rows = d->flags & AIOS_PLAN_NO_STREAM ? 0 : (uint32_t)AIOS_RUNG_ROWS;
    l->least_unit = 65536;
    for (uint64_t i = 0; i < m->n_parts + (m->io[m->n_parts].read != NULL); i++)
        if (!(m->io[i].flags & AIOS_IO_ANY_OFFSET)) l->least_unit = 524288;
    l->can_map = plan_size > offsetof(aios_plan, tier_bytes);
    for (uint64_t i = 0; i < m->gguf.n_tensors; i++)
        l->can_map &= m->place[i].use != AIOS__IS_MATRIX || m->place[i].can_map != 0;
}
/* As the desc asks, the rest by default. */
static void aios__plan_defaults(aios_plan *p, const aios_model *m, const aios_plan_desc *d) {
    memset(p, 0, sizeof *p);
    p->struct_size = (uint32_t)sizeof *p;
    p->flags = d->flags;
    p->n_ctx = d->n_ctx                                ? d->n_ctx
               : m->hp.n_ctx_train < AIOS__DEFAULT_CTX ? m->hp.n_ctx_train
                                                       : AIOS__DEFAULT_CTX;
    p->n_seq = d->n_seq ? d->n_seq : 1;
    p->n_batch = d->n_batch ? d->n_batch : aios__batch_of(p, 64);
    p->n_threads = d->n_threads                        ? d->n_threads
                   : d->flags & AIOS_PLAN_LENT_THREADS ? 1
                                                       : aios__own_threads();
    p->kv_type = d->numerics == AIOS_REFERENCE && !d->kv_type ? (int32_t)AIOSK_KV_F32 : d->kv_type;
    p->numerics = d->numerics;
    p->isa = d->isa;
    p->numa_node_1 = d->numa_node_1;
    p->kv_positions = d->kv_positions;
    p->kv_old_type = d->kv_old_type;
    p->kv_recent = d->kv_recent;
    p->kv_window = d->kv_window;
    p->kv_sinks = d->kv_sinks;
    p->kv_heavy = d->kv_heavy;
    p->kv_layer_type = d->kv_layer_type;
    if (d->flags & AIOS_PLAN_IN_PLACE) p->warm_steps = aios__warm_steps(m);
}
/* The weights of a loaded model are divided already. */
static void aios__plan_as_loaded(aios__ladder *l, aios_plan *p) {
    const aios__cut *cut = &l->m->cut;
    p->stream_level = cut->level;
    p->warm_steps = cut->warm;
    if (cut->mapped) p->rungs |= AIOS_RUNG_IN_PLACE;
    if (cut->tables) p->rungs |= AIOS_RUNG_ROWS;
    p->unit_bytes = cut->unit_bytes;
    aios__set_ring(l, p, 4);
    if (cut->experts) p->n_expert_slots = 1;
}
/* The least that would do for p, if the budget has room for it. */
static aios_status aios__plan_least(aios__ladder *l, const aios_plan *p, aios_plan *least,
                                    aios_error *err) {
    uint64_t budget = l->d->budget_bytes;
    aios_plan asked = *p;
    *least = *p;
    if (p->n_expert_slots) asked.n_expert_slots = l->experts;
    if (!aios__ladder_sizes(l, &asked) || !aios__bottom(l, least))
        return aios__fail(
            err, AIOS_ERR_LIMIT, AIOS__NO_OFF,
            "the cache for this context and these sequences is too large to be counted");
    if (least->total_bytes > asked.total_bytes) *least = asked;
    if (budget && (least->total_bytes > budget || least->held_bytes > budget - least->total_bytes))
        return aios__fail2(err, AIOS_ERR_MEMORY, AIOS__NO_OFF, p->held_bytes + least->total_bytes,
                           budget, "this plan needs % bytes in all; the least that would do is %",
                           aios__u(p->held_bytes + asked.total_bytes),
                           aios__u(p->held_bytes + least->total_bytes));
    return AIOS_OK;
}
/* Gives up of p, which is as asked for, what it takes to fit. */
static aios_status aios__plan_choose(aios__ladder *l, aios_plan *p, aios_error *err) {
    uint32_t rows = p->rungs & AIOS_RUNG_ROWS;
    aios_plan least;
    l->rows = rows;
    aios_status st = aios__plan_least(l, p, &least, err);
    if (st) return st;
    l->rows = rows;
    if (l->m->loaded) aios__set_ring(l, p, 4);
    if (l->m->loaded && p->n_expert_slots) aios__most_experts(l, p);
    if (!aios__descend(l, p)) {
        *p = least;
        l->rows = p->rungs & AIOS_RUNG_ROWS;
        aios__set_ring(l, p, 2);
        if (!aios__fits(l, p))
            return aios__fail2(
                err, AIOS_ERR_MEMORY, AIOS__NO_OFF, p->tier_bytes[AIOS_TIER_HOT], l->d->hot_bytes,
                "the weights do not fit in hot_bytes and warm_bytes: at the least % bytes are "
                "hot and % warm",
                aios__u(p->tier_bytes[AIOS_TIER_HOT]), aios__u(p->tier_bytes[AIOS_TIER_WARM]));
    }
    p->min_bytes = aios__min_u64(least.total_bytes, p->total_bytes);
    return AIOS_OK;
}
/* Tokens per second that memory or storage, by their bandwidths, allow at the most. */
static void aios__plan_bound(aios_plan *p, const aios_plan_desc *d) {
    uint64_t mem = p->token_weight_bytes + p->token_kv_bytes;
    if (d->read_bandwidth && d->read_bandwidth < UINT64_MAX / 1000) {
        p->tok_s_bound_milli = d->read_bandwidth * 1000 / (mem ? mem : 1);
        p->bound = AIOS_BOUND_MEMORY;
    }
    if (d->stream_bandwidth && d->stream_bandwidth < UINT64_MAX / 1000 && p->token_stream_bytes) {
        uint64_t in_cache =
            p->n_expert_slots ? p->token_expert_bytes / p->n_experts * p->n_expert_slots : 0;
        uint64_t read = p->token_stream_bytes - in_cache;
        uint64_t bound = d->stream_bandwidth * 1000 / (read ? read : 1);
        if (!p->tok_s_bound_milli || bound < p->tok_s_bound_milli) {
            p->tok_s_bound_milli = bound;
            p->bound = AIOS_BOUND_STORAGE;
        }
    }
}

AIOS_API aios_status aios_plan_make(const aios_model *m, const aios_plan_desc *desc, aios_plan *out,
                                    aios_error *err) {
    aios__clear(err);
    if (!m || !out)
        return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF, "aios_plan_make: an argument is NULL");
    if (!m->arch)
        return aios__fail(
            err, AIOS_ERR_STATE, AIOS__NO_OFF,
            "the model was opened to be looked at, or for its vocabulary: it does not run");
    aios_plan_desc d;
    uint32_t plan_size;
    memcpy(&plan_size, out, 4);
    aios_status st = aios__plan_desc_copy(&d, desc, err);
    if (!st) st = aios__plan_limit_to_header(&d, plan_size, err);
    if (st) return st;

    aios_plan p;
    aios__ladder l;
    aios__plan_defaults(&p, m, &d);
    aios__ladder_start(&l, m, &d, plan_size);
    p.n_experts = l.experts;
    aios__set_batch(&l, &p, p.n_batch);
    if (m->loaded) aios__plan_as_loaded(&l, &p);
    if ((st = aios__plan_check(m, &p, err)) != 0) return st;
    l.k = aiosk_select(p.isa);
    if (!d.n_batch) aios__set_batch(&l, &p, p.n_batch = aios__best_batch(&l, &p));
    p.held_bytes = m->req.bytes;
    for (int32_t i = 0; i < 2; i++)
        if (m->weights[i]) p.held_bytes += m->weights_req[i].bytes;
    p.model_hash = m->gguf.hash;
    if (m->loaded && m->cut.experts && !l.experts)
        return aios__fail(
            err, AIOS_ERR_STATE, AIOS__NO_OFF,
            "the model's experts are in a cache, of which this aios_plan knows nothing");
    if ((st = aios__plan_choose(&l, &p, err)) != 0) return st;
    p.flags = d.flags;
    aios__plan_bound(&p, &d);
    if (p.n_ctx > m->hp.n_ctx_train)
        aios__note2(&m->log,
                    "a context of % positions is longer than the % that the model was trained for",
                    aios__i(p.n_ctx), aios__i(m->hp.n_ctx_train));
    return aios__desc_fill(AIOS__ID_aios_plan, out, &p)
               ? aios__fail(err, AIOS_ERR_DESC, AIOS__NO_OFF,
                            "aios_plan was not initialised: call aios_plan_init first")
               : AIOS_OK;
}

/* The order in which a context takes its memory: what stays with the model comes first, so that
 * the rest is given back in reverse order, as an allocator that is a stack wants it. */
static const uint8_t aios__request_order[][2] = { /* kind, tier */
                                                  { AIOS_MEM_WEIGHTS, AIOS_TIER_HOT },
                                                  { AIOS_MEM_WEIGHTS, AIOS_TIER_WARM },
                                                  { AIOS_MEM_META, AIOS_TIER_HOT },
                                                  { AIOS_MEM_SCRATCH, AIOS_TIER_HOT },
                                                  { AIOS_MEM_KV, AIOS_TIER_HOT },
                                                  { AIOS_MEM_WEIGHTS, AIOS_TIER_STREAM }
};

AIOS_API aios_status aios_plan_request(const aios_plan *plan, uint32_t i, aios_mem_req *out) {
    aios_mem_req r;
    aios_plan p;
    uint32_t n = 0;
    if (aios__plan_copy(&p, plan, NULL)) return AIOS_ERR_ARG;
    for (uint32_t k = 0; k < sizeof aios__request_order / sizeof *aios__request_order; k++) {
        aios__plan_req(&p, aios__request_order[k][0], aios__request_order[k][1], &r);
        if ((r.bytes || r.kind != AIOS_MEM_WEIGHTS) && n++ == i)
            return aios__desc_fill(AIOS__ID_aios_mem_req, out, &r);
    }
    return AIOS_ERR_ARG;
}

AIOS_API aios_status aios_plan_get_tensor(const aios_model *m, const aios_plan *plan, uint32_t i,
                                          aios_tensor_place *out) {
    aios_tensor_place x;
    aios_plan p;

    uint64_t off[2] = { 0, 0 };
    int32_t id = (int32_t)i;
    if (!m || !m->arch || aios__desc_copy(AIOS__ID_aios_plan, &p, plan, NULL) ||
        i >= m->gguf.n_tensors || p.unit_bytes > AIOS__MAX_UNIT)
        return AIOS_ERR_ARG;
    aios__cut cut = aios__plan_cut(&p);
    aios__place at = aios__place_of(m, &cut, i, off);
    memset(&x, 0, sizeof x);
    x.tier = at.rows < m->gguf.tensor[i].n[1] ? (uint32_t)AIOS_TIER_STREAM : at.tier;
    x.layout = at.layout;
    x.mapped = at.mapped;
    x.n_bytes = at.n_bytes;
    x.resident_tier = at.tier;
    x.stream_bytes = at.use
                         ? aios__rows_bytes(&m->gguf.tensor[i], aios__source_of(m, &cut, i).layout,
                                            m->gguf.tensor[i].n[1] - at.rows) *
                               m->gguf.tensor[i].n[2]
                         : 0;
    x.token_bytes = at.use == AIOS__IS_TABLE ? 0 : at.n_bytes + x.stream_bytes;
    x.token_bytes = aios__token_share(m, i, x.token_bytes);
    if (id == m->role[AIOS__ROLE_TOKEN_EMBD].w || id == m->role[AIOS__ROLE_POS_EMBD].w)
        x.token_bytes += m->gguf.tensor[i].row_bytes;
    /* read once, at opening */
    if (id == m->role[AIOS__ROLE_ROPE_FREQS].w || id == m->role[AIOS__ROLE_ROPE_LONG].w ||
        id == m->role[AIOS__ROLE_ROPE_SHORT].w)
        x.token_bytes = 0;
    return aios__desc_fill(AIOS__ID_aios_tensor_place, out, &x);
}

/* ======== context/sequence.c ======== */
/* sequence.c: what can be done with whole sequences: cut back, fork, find, take out of the
 * middle, save and restore. Above exec, which runs their tokens; the pages are kv.c's. */

static int32_t aios__seq_ok(const aios_context *c, int32_t seq) {
    return c && seq >= 0 && seq < c->plan.n_seq;
}
static aios_status aios__seq_fail(const aios_context *c, int32_t seq, aios_error *err) {
    if (!c) return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF, "the context is NULL");
    return aios__fail2(err, AIOS_ERR_ARG, AIOS__NO_OFF, (uint64_t)c->plan.n_seq, (uint64_t)seq,
                       "there is no sequence %: the plan has %", aios__i(seq),
                       aios__i(c->plan.n_seq));
}
AIOS_API int32_t aios_seq_length(const aios_context *c, int32_t seq) {
    return aios__seq_ok(c, seq) ? c->seq[seq].n_fed : 0;
}
AIOS_API int32_t aios_seq_processed(const aios_context *c, int32_t seq) {
    return aios__seq_ok(c, seq) ? c->seq[seq].n_done : 0;
}
AIOS_API const int32_t *aios_seq_tokens(const aios_context *c, int32_t seq) {
    return aios__seq_ok(c, seq) ? c->seq[seq].token : NULL;
}
AIOS_API aios_status aios_seq_truncate(aios_context *c, int32_t seq, int32_t n, aios_error *err) {
    aios_status st;
    aios__clear(err);
    if (!aios__seq_ok(c, seq)) return aios__seq_fail(c, seq, err);
    aios__sequence *q = &c->seq[seq];
    if (n < 0 || n > q->n_fed)
        return aios__fail2(err, AIOS_ERR_ARG, AIOS__NO_OFF, (uint64_t)q->n_fed, (uint64_t)n,
                           "cannot cut a sequence of % to %", aios__i(q->n_fed), aios__i(n));
    if (n == 0)
        aios__spill_forget(c, seq);
    else if (q->n_done > n && (st = aios__spill_whole(c, seq, 0, err)) != 0)
        return st;
    /* only a pass that works on what goes is dropped */
    if (aios__in_pass(c, seq, n)) aios__pass_drop(c);
    q->n_fed = n;
    if (q->n_done >= n && !c->kv.seq[seq].n_spilled && !aios__in_pass(c, seq, 0))
        aios__seq_cut(c, seq, n);
    return AIOS_OK;
}
AIOS_API aios_status aios_seq_fork(aios_context *c, int32_t dst, int32_t src, int32_t n,
                                   aios_error *err) {
    aios_status st;
    aios__clear(err);
    if (!aios__seq_ok(c, src)) return aios__seq_fail(c, src, err);
    if (!aios__seq_ok(c, dst)) return aios__seq_fail(c, dst, err);
    aios__sequence *s = &c->seq[src];
    aios__sequence *d = &c->seq[dst];
    if (n < 0 || n > s->n_fed)
        return aios__fail2(err, AIOS_ERR_ARG, AIOS__NO_OFF, (uint64_t)s->n_fed, (uint64_t)n,
                           "cannot fork % tokens of a sequence of %", aios__i(n),
                           aios__i(s->n_fed));
    if (d->n_fed)
        return aios__fail2(
            err, AIOS_ERR_STATE, AIOS__NO_OFF, 0, (uint64_t)d->n_fed,
            "sequence % has % tokens: cut it to none before something is forked into it",
            aios__i(dst), aios__i(d->n_fed));
    if ((st = aios__spill_whole(c, src, 0, err)) != 0) return st;
    memcpy(d->token, s->token, (size_t)n * 4);
    memcpy(d->want, s->want, (size_t)n);
    d->n_fed = n;
    d->used = s->used;
    int32_t done = s->n_done < n ? s->n_done : n;
    aios__seq_resume(c, dst, aios__kv_fork(&c->kv, dst, src, aios__kv_end(&c->kv.seq[src], done)),
                     done);
    return AIOS_OK;
}
AIOS_API aios_status aios_seq_pin(aios_context *c, int32_t seq, int32_t on, aios_error *err) {
    aios__clear(err);
    if (!aios__seq_ok(c, seq)) return aios__seq_fail(c, seq, err);
    c->seq[seq].pinned = on != 0;
    return AIOS_OK;
}
AIOS_API aios_status aios_seq_fetch(aios_context *c, int32_t seq, uint64_t deadline_ns,
                                    aios_error *err) {
    aios__clear(err);
    if (!aios__seq_ok(c, seq)) return aios__seq_fail(c, seq, err);
    aios_status st = aios__spill_whole(c, seq, deadline_ns, err);
    /* what came back is not the first to go again */
    if (st == AIOS_OK || st == AIOS_MORE) c->seq[seq].used = c->n_passed;
    return st;
}
AIOS_API int32_t aios_seq_find(const aios_context *c, const int32_t *ids, uint64_t n,
                               int32_t *n_same) {
    int32_t i, best = -1, most = 0;
    for (int32_t s = 0; c && ids && s < c->plan.n_seq; s++) {
        const aios__sequence *q = &c->seq[s];
        for (i = 0; i < q->n_done && (uint64_t)i < n && q->token[i] == ids[i]; i++) {}
        /* one that tokens were taken out of knows more than it shows */
        if (aios__kv_whole(&c->kv.seq[s]) && i > most) {
            most = i;
            best = s;
        }
    }
    if (n_same) *n_same = most;
    return best;
}
AIOS_API aios_status aios_seq_remove(aios_context *c, int32_t seq, int32_t from, int32_t to,
                                     aios_error *err) {
    aios_status st;
    aios__clear(err);
    if (!aios__seq_ok(c, seq)) return aios__seq_fail(c, seq, err);
    aios__sequence *q = &c->seq[seq];
    if (from < 0 || from > to || to > q->n_fed)
        return aios__fail2(err, AIOS_ERR_ARG, AIOS__NO_OFF, (uint64_t)q->n_fed, (uint64_t)to,
                           "cannot take tokens % to % out of a sequence", aios__i(from),
                           aios__i(to));
    if (from == to) return AIOS_OK;
    if ((st = aios__spill_whole(c, seq, 0, err)) != 0) return st;
    if (aios__in_pass(c, seq, 0)) aios__pass_drop(c);
    if (to < q->n_done) {
        if (c->model->role[AIOS__ROLE_POS_EMBD].w >= 0)
            return aios__fail(
                err, AIOS_ERR_UNSUPPORTED, AIOS__NO_OFF,
                "this family has learned positions: what follows tokens that are taken out "
                "cannot move down");
        if (!aios__kv_remove(&c->kv, seq, from, to))
            return aios__fail1(err, AIOS_ERR_LIMIT, AIOS__NO_OFF,
                               "a sequence can be in % pieces at the most",
                               aios__i(AIOS__MAX_SPANS));
        q->n_done -= to - from;
    } else if (from < q->n_done)
        aios__seq_cut(c, seq, from);
    int32_t n = q->n_fed - to;
    memmove(q->token + from, q->token + to, (size_t)n * 4);
    memmove(q->want + from, q->want + to, (size_t)n);
    q->n_fed -= to - from;
    return AIOS_OK;
}
AIOS_API aios_status aios_cache_get_info(const aios_context *c, aios_cache_info *out) {
    aios_cache_info x;
    if (!c) return AIOS_ERR_ARG;
    memset(&x, 0, sizeof x);
    for (int32_t g = 0; g < AIOS__N_GROUPS; g++)
        for (int32_t f = 0; f < AIOS__N_FORMS; f++) {
            const aios__pages *p = &c->kv.pool[g][f];
            x.n_pages += (uint32_t)p->n;
            x.n_free += (uint32_t)p->n_free;
            x.bytes += (uint64_t)p->n * p->bytes;
            x.free_bytes += (uint64_t)p->n_free * p->bytes;
            for (int32_t i = 0; i < p->n; i++)
                if (p->refs[i] > 1) {
                    x.n_shared++;
                    x.saved_bytes += (uint64_t)(p->refs[i] - 1) * p->bytes;
                }
        }
    for (int32_t i = 0; i < c->plan.n_seq; i++) x.n_spilled += (uint32_t)c->kv.seq[i].n_spilled;
    for (int32_t i = 0; i < c->plan.n_seq; i++)
        for (int32_t g = 0; g < AIOS__N_GROUPS; g++)
            x.n_spare += (uint32_t)c->kv.seq[i].n_spares[g];
    return aios__desc_fill(AIOS__ID_aios_cache_info, out, &x);
}

/* ======== context/state.c ======== */
/* state.c: a sequence as bytes in the caller's memory, and back.
 *
 *     header                          aios__state_head
 *     spans    i32 [n_spans][3]
 *     tokens   i32 [n_tokens - base_tiles * 64], the first ones being those of the base
 *     wants    u8  [n_tokens - n_done], padded with zeros to 8
 *     mass     u64 [top], where the cache keeps tiles for it
 *     pages    u8  [group][form][top] 0 none, 1 here, 2 shared with the base; padded to 8
 *     then the pages that are here, in that order
 *
 * Nothing is trusted: sizes are compared with what the header says, and the checksum covers
 * every byte, before anything is touched. */

enum { AIOS__STATE_VERSION = 2 };
typedef struct aios__state_head {
    char magic[8];
    uint32_t version, n_tokens;
    uint64_t n_bytes, sum;            /* sum: of the whole with this field as zero */
    uint64_t model_hash, layout_hash; /* of the model's header; of how the cache is laid out */
    uint64_t base_hash;               /* of the base's tokens */
    uint32_t n_done, n_spans, top, base_tiles;
    uint32_t tile, aged;
} aios__state_head;

/* What two contexts must have in common for their pages to mean the same. */
static uint64_t aios__layout_hash(const aios_context *c) {
    const aios__kv *kv = &c->kv;
    const aios__hp *hp = &c->model->hp;
    int32_t v[7];
    uint64_t h = AIOS__ART_SEED;
    v[0] = kv->n_layer;
    v[1] = kv->keep;
    v[2] = kv->recent;
    v[3] = kv->coded;
    v[4] = c->plan.numerics;
    v[5] = AIOSK_TILE;
    v[6] = kv->heavy;
    h = aios__art_sum(h, v, sizeof v);
    h = aios__art_sum(h, kv->layer, (uint64_t)kv->n_layer * sizeof *kv->layer);
    h = aios__art_sum(h, kv->sinks, sizeof kv->sinks);
    h = aios__art_sum(h, kv->behind, sizeof kv->behind);
    h = aios__art_sum(h, kv->group, (uint64_t)kv->n_layer);
    for (int32_t f = 0; f < AIOS__N_FORMS; f++)
        h = aios__art_sum(h, kv->type[f], (uint64_t)kv->n_layer * 4);
    /* long and short contexts can turn differently */
    h = aios__art_sum(h, c->prog.freq, aios__rope_channels(hp) / 2 * 8);
    return aios__art_sum(h, c->prog.rope_mult, (uint64_t)hp->n_ropes * 4);
}
/* Leading tiles that a sequence shares with its base, in all forms. */
static int32_t aios__base_tiles(const aios_context *c, int32_t seq, int32_t base) {
    const aios__kv *kv = &c->kv;
    int32_t g, t, some;
    if (base < 0) return 0;
    int32_t n = c->seq[seq].n_done < c->seq[base].n_done ? c->seq[seq].n_done : c->seq[base].n_done;
    if (!aios__kv_whole(&kv->seq[base]) || kv->seq[seq].span[0].off || kv->seq[seq].span[0].to < n)
        return 0;
    for (t = 0; t < n / AIOSK_TILE; t++) {
        for (some = g = 0; g < AIOS__N_GROUPS; g++)
            for (int32_t f = 0; f < AIOS__N_FORMS; f++) {
                int32_t a = aios__page_at(kv, g, f, seq, t), b = aios__page_at(kv, g, f, base, t);
                if (f == AIOS__KV_OPEN && aios__kv_spare(kv, g, seq, t)) continue;
                if (a != AIOS__NO_PAGE && a != b) return t;
                some |= a != AIOS__NO_PAGE;
            }
        if (!some) break;
    }
    return t;
}
/* Does a page of tile t go into the blob? */
static int32_t aios__state_page(const aios_context *c, int32_t g, int32_t f, int32_t seq, int32_t t,
                                int32_t base_tiles) {
    const aios__kv *kv = &c->kv;
    if (aios__page_at(kv, g, f, seq, t) == AIOS__NO_PAGE ||
        (f == AIOS__KV_OPEN && aios__kv_spare(kv, g, seq, t)))
        return 0;
    return t < base_tiles ? 2 : 1;
}
/* Forms that a cache of this kind can have, whatever its size: those that the map of pages tells
 * of. */
static int32_t aios__state_form(const aios__kv *kv, int32_t g, int32_t f) {
    return kv->page[g][AIOS__KV_OPEN] &&
           (f == AIOS__KV_OPEN || (kv->coded && (f == AIOS__KV_SEALED || kv->recent < AIOS__ALL)));
}
/* A blob: its header, and where its parts begin, counted in bytes from there. */
typedef struct aios__state {
    aios__state_head head;
    uint64_t n_tokens; /* that are there: not those of the base */
    uint64_t spans, tokens, wants, mass, map, pages;
} aios__state;

/* Places the parts as the header tells. */
static void aios__state_place(const aios_context *c, aios__state *x) {
    const aios__state_head *h = &x->head;
    uint64_t maps = 0;
    for (int32_t g = 0; g < AIOS__N_GROUPS; g++)
        for (int32_t f = 0; f < AIOS__N_FORMS; f++)
            maps += aios__state_form(&c->kv, g, f) ? h->top : 0;
    x->n_tokens = (uint64_t)h->n_tokens - (uint64_t)h->base_tiles * AIOSK_TILE;
    x->spans = sizeof *h;
    x->tokens = x->spans + (uint64_t)h->n_spans * 12;
    x->wants = x->tokens + x->n_tokens * 4;
    x->mass = x->wants + aios__round_up(h->n_tokens - h->n_done, 8);
    x->map = x->mass + (c->kv.heavy ? (uint64_t)h->top * 8 : 0);
    x->pages = x->map + aios__round_up(maps, 8);
}
static aios_status aios__state_of(aios_context *c, int32_t seq, int32_t base, aios__state *x,
                                  aios_error *err) {
    aios__clear(err);
    if (!aios__seq_ok(c, seq)) return aios__seq_fail(c, seq, err);
    if (base >= 0 && !aios__seq_ok(c, base)) return aios__seq_fail(c, base, err);
    c->seq[seq].held++;
    aios_status st = aios__spill_whole(c, seq, 0, err);
    if (!st && base >= 0) st = aios__spill_whole(c, base, 0, err);
    c->seq[seq].held--;
    if (st) return st;
    if (aios__in_pass(c, seq, 0)) aios__pass_drop(c);
    const aios__kv *kv = &c->kv;
    aios__state_head *h = &x->head;
    memset(h, 0, sizeof *h);
    memcpy(h->magic, "AIOSSEQ1", 8);
    h->version = AIOS__STATE_VERSION;
    h->n_tokens = (uint32_t)c->seq[seq].n_fed;
    h->n_done = (uint32_t)c->seq[seq].n_done;
    h->model_hash = c->model->gguf.hash;
    h->layout_hash = aios__layout_hash(c);
    h->n_spans = (uint32_t)kv->seq[seq].n_spans;
    h->top = (uint32_t)kv->seq[seq].top;
    h->tile = (uint32_t)kv->seq[seq].tile;
    h->aged = (uint32_t)(kv->seq[seq].aged > 0 ? kv->seq[seq].aged : 0);
    h->base_tiles = (uint32_t)aios__base_tiles(c, seq, base);
    if (h->base_tiles)
        h->base_hash = aios__art_sum(AIOS__ART_SEED, c->seq[base].token,
                                     (uint64_t)h->base_tiles * AIOSK_TILE * 4);
    aios__state_place(c, x);
    h->n_bytes = x->pages;
    for (int32_t g = 0; g < AIOS__N_GROUPS; g++)
        for (int32_t f = 0; f < AIOS__N_FORMS; f++)
            for (int32_t t = 0; t < kv->seq[seq].top; t++)
                if (aios__state_page(c, g, f, seq, t, (int32_t)h->base_tiles) == 1)
                    h->n_bytes += kv->pool[g][f].bytes;
    return AIOS_OK;
}
AIOS_API aios_status aios_seq_save(aios_context *c, int32_t seq, int32_t base, void *dst,
                                   uint64_t cap, uint64_t *n_bytes, aios_error *err) {
    aios__state x;
    aios_status st = aios__state_of(c, seq, base, &x, err);
    if (st) return st;
    aios__state_head *h = &x.head;
    if (n_bytes) *n_bytes = h->n_bytes;
    if (!dst) return AIOS_OK;
    if (cap < h->n_bytes)
        return aios__fail2(err, AIOS_ERR_FULL, AIOS__NO_OFF, h->n_bytes, cap,
                           "% bytes are too few: the sequence takes %", aios__u(cap),
                           aios__u(h->n_bytes));
    const aios__kv *kv = &c->kv;
    const aios__sequence *q = &c->seq[seq];
    uint8_t *p = (uint8_t *)dst, *map = p + x.map, *to = p + x.pages;
    memset(p, 0, (size_t)x.pages);
    memcpy(p + x.spans, kv->seq[seq].span, (size_t)h->n_spans * 12);
    memcpy(p + x.tokens, q->token + h->base_tiles * AIOSK_TILE, (size_t)x.n_tokens * 4);
    memcpy(p + x.wants, q->want + h->n_done, (size_t)(h->n_tokens - h->n_done));
    if (kv->heavy) memcpy(p + x.mass, kv->mass + aios__kv_first(kv, seq), (size_t)h->top * 8);
    for (int32_t g = 0; g < AIOS__N_GROUPS; g++)
        for (int32_t f = 0; f < AIOS__N_FORMS; f++)
            for (int32_t t = 0; aios__state_form(kv, g, f) && t < (int32_t)h->top; t++) {
                const aios__pages *pool = &kv->pool[g][f];
                *map = (uint8_t)aios__state_page(c, g, f, seq, t, (int32_t)h->base_tiles);
                if (*map++ != 1) continue;
                memcpy(to, pool->base + (uint64_t)aios__page_at(kv, g, f, seq, t) * pool->bytes,
                       (size_t)pool->bytes);
                to += pool->bytes;
            }
    memcpy(p, h, sizeof *h);
    h->sum = aios__art_sum(AIOS__ART_SEED, p, h->n_bytes);
    memcpy(p, h, sizeof *h);
    return AIOS_OK;
}
static aios_status aios__state_bad(aios_error *err, const char *what) {
    return aios__fail1(err, AIOS_ERR_FORMAT, AIOS__NO_OFF,
                       "this is no whole sequence as aios_seq_save wrote it: %", aios__z(what));
}

/* Can a sequence have tile t in a form when it is saved? A tile that is full and not kept open
 * has no open page but a spare one. */
static int32_t aios__state_due(const aios__kv *kv, const aios__state_head *h, int32_t f,
                               uint32_t t) {
    if (!kv->coded) return f == AIOS__KV_OPEN;
    return f == AIOS__KV_OPEN ? t >= h->tile || t < (uint32_t)kv->keep
                              : t < h->tile && (f == AIOS__KV_SEALED || t < h->aged);
}

/* Is it all of a sequence of this library? */
static aios_status aios__state_check_head(const uint8_t *p, uint64_t n, aios__state_head *h,
                                          aios_error *err) {
    if (n < sizeof *h) return aios__state_bad(err, "it is shorter than its header");
    memcpy(h, p, sizeof *h);
    if (memcmp(h->magic, "AIOSSEQ1", 8) != 0)
        return aios__state_bad(err, "it does not begin like one");
    if (h->version != AIOS__STATE_VERSION)
        return aios__fail2(err, AIOS_ERR_UNSUPPORTED, AIOS__NO_OFF, AIOS__STATE_VERSION, h->version,
                           "the sequence is of version %, this library reads version %",
                           aios__u(h->version), aios__u(AIOS__STATE_VERSION));
    if (h->n_bytes != n)
        return aios__fail2(err, AIOS_ERR_FORMAT, AIOS__NO_OFF, h->n_bytes, n,
                           "% bytes were given of a sequence of % bytes", aios__u(n),
                           aios__u(h->n_bytes));
    uint64_t sum = h->sum;
    h->sum = 0;
    if (aios__art_sum(aios__art_sum(AIOS__ART_SEED, h, sizeof *h), p + sizeof *h, n - sizeof *h) !=
        sum)
        return aios__state_bad(err, "its checksum does not fit");
    return AIOS_OK;
}
/* Is it of this model and this kind of cache, and do its counts go together? */
static aios_status aios__state_check_counts(const aios_context *c, aios__state *x,
                                            aios_error *err) {
    const aios__state_head *h = &x->head;
    if (h->model_hash != c->model->gguf.hash)
        return aios__fail2(err, AIOS_ERR_MODEL, AIOS__NO_OFF, c->model->gguf.hash, h->model_hash,
                           "the sequence belongs to another model", aios__u(0), aios__u(0));
    if (h->layout_hash != aios__layout_hash(c))
        return aios__fail2(
            err, AIOS_ERR_MODEL, AIOS__NO_OFF, aios__layout_hash(c), h->layout_hash,
            "the sequence was saved from another kind of cache (types, window, rope or numerics)",
            aios__u(0), aios__u(0));
    if (h->n_tokens > (uint32_t)c->plan.n_ctx)
        return aios__fail2(err, AIOS_ERR_FULL, AIOS__NO_OFF, (uint64_t)c->plan.n_ctx, h->n_tokens,
                           "the sequence has % tokens, and this context has room for %",
                           aios__u(h->n_tokens), aios__i(c->plan.n_ctx));
    int32_t fit = h->n_done <= h->n_tokens && h->n_spans >= 1 && h->n_spans <= AIOS__MAX_SPANS &&
                  h->top <= 1u << 28 && h->aged <= h->top &&
                  (uint64_t)h->base_tiles * AIOSK_TILE <= h->n_done && h->base_tiles <= h->top;
    if (fit) aios__state_place(c, x);
    return fit && x->pages <= h->n_bytes
               ? AIOS_OK
               : aios__state_bad(err, "its numbers contradict each other");
}
/* Do the spans follow each other, hold the tokens, and have room here? */
static aios_status aios__state_check_spans(const aios_context *c, const uint8_t *p,
                                           const aios__state *x, aios_error *err) {
    const aios__state_head *h = &x->head;
    aios__span span[AIOS__MAX_SPANS];
    memcpy(span, p + x->spans, (size_t)h->n_spans * 12);
    int32_t last = 0;
    int64_t cell = h->n_done; /* of the next token: in the last span */
    for (uint32_t i = 0; i < h->n_spans; i++) {
        const aios__span *s = &span[i];
        int32_t is_last = i + 1 == h->n_spans;
        if (s->from < last || s->from / AIOSK_TILE > aios__tiles(last) || s->to <= s->from ||
            is_last != (s->to == INT32_MAX) || s->off < 0 || s->off > 1 << 28)
            return aios__state_bad(err, "its spans contradict each other");
        last = is_last ? s->from : s->to;
        cell += is_last ? s->from : s->from - s->to;
    }
    int64_t need = cell + h->n_tokens - h->n_done, have = (int64_t)c->kv.seq_tiles * AIOSK_TILE;
    if (need > have)
        return aios__fail2(
            err, AIOS_ERR_FULL, AIOS__NO_OFF, (uint64_t)have, (uint64_t)need,
            "the sequence takes % places with what was taken out of it, and this context has %",
            aios__i(need), aios__i(have));
    if (cell < last || (cell && !h->n_done) || h->tile != (uint64_t)cell / AIOSK_TILE ||
        h->top != h->tile + (cell % AIOSK_TILE != 0))
        return aios__state_bad(err, "its spans do not hold its tokens");
    /* one pass has no room to make up for that */
    if ((int64_t)h->aged < (cell - 1) / AIOSK_TILE - c->kv.recent)
        return aios__state_bad(err, "its tiles are not as old as they should be");
    return AIOS_OK;
}
static aios_status aios__state_check_tokens(const aios_context *c, const uint8_t *p,
                                            const aios__state *x, aios_error *err) {
    for (uint64_t i = 0; i < x->n_tokens; i++) {
        int32_t id;
        memcpy(&id, p + x->tokens + i * 4, 4);
        if (id < 0 || id >= c->model->hp.n_vocab)
            return aios__state_bad(err, "it holds a token that the model does not have");
    }
    return AIOS_OK;
}
/* Does the base begin with what the sequence was saved over? */
static aios_status aios__state_check_base(const aios_context *c, int32_t base,
                                          const aios__state_head *h, aios_error *err) {
    if (!h->base_tiles) return AIOS_OK;
    if (!aios__seq_ok(c, base) || (uint32_t)c->seq[base].n_done < h->base_tiles * AIOSK_TILE ||
        !aios__kv_whole(&c->kv.seq[base]) ||
        aios__art_sum(AIOS__ART_SEED, c->seq[base].token,
                      (uint64_t)h->base_tiles * AIOSK_TILE * 4) != h->base_hash)
        return aios__fail1(
            err, AIOS_ERR_STATE, AIOS__NO_OFF,
            "the sequence was saved over a prefix of % tokens, which the base does not begin with",
            aios__u((uint64_t)h->base_tiles * AIOSK_TILE));
    return AIOS_OK;
}
/* Has the base a page to share of tile t in a form? */
static int32_t aios__state_shares(const aios__kv *kv, int32_t g, int32_t f, int32_t base,
                                  int32_t t) {
    if (aios__page_at(kv, g, f, base, t) == AIOS__NO_PAGE) return 0;
    return f == AIOS__KV_OPEN ? !aios__kv_spare(kv, g, base, t)
                              : f != AIOS__KV_OLD || t < kv->seq[base].aged;
}
/* The map of one pool. open: that of the group's open tiles. *need: pages that it asks for. */
static aios_status aios__state_check_map(const aios__kv *kv, int32_t g, int32_t f, int32_t base,
                                         const aios__state_head *h, const uint8_t *map,
                                         const uint8_t *open, int32_t *need, aios_error *err) {
    for (uint32_t t = 0; t < h->top; t++) {
        if (map[t] > 2 || (map[t] == 2) > (t < h->base_tiles) || (map[t] == 1 && t < h->base_tiles))
            return aios__state_bad(err, "its pages contradict each other");
        if (map[t] && (!aios__state_due(kv, h, f, t) || (f != AIOS__KV_OPEN && open[t])))
            return aios__state_bad(err, "it holds a tile in a form that its place does not have");
        if (map[t] == 2 && !aios__state_shares(kv, g, f, base, (int32_t)t))
            return aios__fail1(err, AIOS_ERR_STATE, AIOS__NO_OFF,
                               "the base no longer has tile % in the form that the sequence needs",
                               aios__u(t));
        *need += map[t] == 1;
    }
    if (f == AIOS__KV_OPEN && h->top > h->tile && map[h->top - 1] != 1)
        return aios__state_bad(err, "its newest tile is missing");
    return AIOS_OK;
}
/* Are the pages those that the sequence has, and is there room for them? */
static aios_status aios__state_check_pages(const aios_context *c, int32_t base, const uint8_t *p,
                                           const aios__state *x, aios_error *err) {
    const aios__kv *kv = &c->kv;
    const uint8_t *map = p + x->map, *open = map;
    uint64_t bytes = 0;
    for (int32_t g = 0; g < AIOS__N_GROUPS; g++)
        for (int32_t f = 0; f < AIOS__N_FORMS; f++) {
            if (!aios__state_form(kv, g, f)) continue;
            if (f == AIOS__KV_OPEN) open = map;
            int32_t need = 0, have = kv->pool[g][f].n_free;
            aios_status st = aios__state_check_map(kv, g, f, base, &x->head, map, open, &need, err);
            if (st) return st;
            map += x->head.top;
            bytes += (uint64_t)need * kv->pool[g][f].bytes;
            for (int32_t s = 0; f == AIOS__KV_OPEN && s < kv->n_seq; s++)
                have += kv->seq[s].n_spares[g];
            if (need > have)
                return aios__fail2(err, AIOS_ERR_FULL, AIOS__NO_OFF, (uint64_t)have, (uint64_t)need,
                                   "the sequence needs % pages of the cache, and % are free",
                                   aios__i(need), aios__i(have));
        }
    return x->pages + bytes == x->head.n_bytes ? AIOS_OK
                                               : aios__state_bad(err, "its length does not fit");
}
/* Checks all of a blob against the context, and tells where its parts are. */
static aios_status aios__state_check(const aios_context *c, int32_t base, const uint8_t *p,
                                     uint64_t n, aios__state *x, aios_error *err) {
    aios_status st = aios__state_check_head(p, n, &x->head, err);
    if (!st) st = aios__state_check_counts(c, x, err);
    if (!st) st = aios__state_check_spans(c, p, x, err);
    if (!st) st = aios__state_check_tokens(c, p, x, err);
    if (!st) st = aios__state_check_base(c, base, &x->head, err);
    if (!st) st = aios__state_check_pages(c, base, p, x, err);
    return st;
}
AIOS_API aios_status aios_seq_restore(aios_context *c, int32_t seq, int32_t base, const void *src,
                                      uint64_t n_bytes, aios_error *err) {
    aios__clear(err);
    if (!aios__seq_ok(c, seq)) return aios__seq_fail(c, seq, err);
    if (base >= 0 && !aios__seq_ok(c, base)) return aios__seq_fail(c, base, err);
    if (!src) return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF, "aios_seq_restore: src is NULL");
    if (c->seq[seq].n_fed)
        return aios__fail2(err, AIOS_ERR_STATE, AIOS__NO_OFF, 0, (uint64_t)c->seq[seq].n_fed,
                           "sequence % has % tokens: cut it to none before one is restored into it",
                           aios__i(seq), aios__i(c->seq[seq].n_fed));
    aios_status st = aios__seq_ok(c, base) ? aios__spill_whole(c, base, 0, err) : AIOS_OK;
    if (st) return st;
    aios__state x;
    const uint8_t *p = (const uint8_t *)src;
    st = aios__state_check(c, base, p, n_bytes, &x, err);
    if (st) return st;
    const aios__state_head *h = &x.head;
    aios__kv *kv = &c->kv;
    aios__kv_seq *s = &kv->seq[seq];
    aios__sequence *q = &c->seq[seq];
    aios__kv_clear_seq(s);
    s->n_spans = (int32_t)h->n_spans;
    s->top = (int32_t)h->top;
    s->tile = (int32_t)h->tile;
    s->aged = (int32_t)h->aged;
    memcpy(s->span, p + x.spans, (size_t)h->n_spans * 12);
    if (h->base_tiles) memcpy(q->token, c->seq[base].token, (size_t)h->base_tiles * AIOSK_TILE * 4);
    memcpy(q->token + h->base_tiles * AIOSK_TILE, p + x.tokens, (size_t)x.n_tokens * 4);
    memset(q->want, 0, (size_t)h->n_done);
    for (uint32_t i = 0; i < h->n_tokens - h->n_done; i++)
        q->want[h->n_done + i] = p[x.wants + i] != 0;
    if (kv->heavy) memcpy(kv->mass + aios__kv_first(kv, seq), p + x.mass, (size_t)h->top * 8);
    const uint8_t *map = p + x.map, *from = p + x.pages;
    for (int32_t g = 0; g < AIOS__N_GROUPS; g++)
        for (int32_t f = 0; f < AIOS__N_FORMS; f++)
            for (int32_t t = 0; aios__state_form(kv, g, f) && t < (int32_t)h->top; t++, map++) {
                aios__pages *pool = &kv->pool[g][f];
                int32_t *to = *map ? aios__kv_row(kv, g, f, seq) + t : NULL;
                if (*map == 2) pool->refs[ *to = aios__page_at(kv, g, f, base, t)]++;
                if (*map != 1) continue;
                aios__page_take(kv, g, f, to);
                memcpy(pool->base + (uint64_t)*to * pool->bytes, from, (size_t)pool->bytes);
                from += pool->bytes;
            }
    q->n_fed = (int32_t)h->n_tokens;
    q->n_done = (int32_t)h->n_done;
    q->used = c->n_passed;
    return AIOS_OK;
}

/* ======== context/context.c ======== */
/* context.c: the public verbs of a running model: they check arguments and call what stands
 * above. */

/* Gives back what the context took, in reverse order; the weights stay with the model. */
static void aios__context_release(aios_context *c) {
    aios_allocator mem = c->mem;
    aios_mem_req meta = c->req[AIOS_MEM_META];
    aios__pool_stop(&c->exec.pool);
    aios__stream_stop(&c->exec.stream);
    if (c->block[AIOS_MEM_WEIGHTS])
        mem.free(mem.user, c->block[AIOS_MEM_WEIGHTS], &c->req[AIOS_MEM_WEIGHTS]);
    if (c->block[AIOS_MEM_KV]) mem.free(mem.user, c->block[AIOS_MEM_KV], &c->req[AIOS_MEM_KV]);
    if (c->block[AIOS_MEM_SCRATCH])
        mem.free(mem.user, c->block[AIOS_MEM_SCRATCH], &c->req[AIOS_MEM_SCRATCH]);
    mem.free(mem.user, c, &meta);
}

/* Wishes of a request that did not come true, where the allocator tells. */
static uint64_t aios__denied(const aios_allocator *mem, void *p, const aios_mem_req *req) {
    return p && req->flags && mem->granted && (req->flags & ~mem->granted(mem->user, p, req)) != 0;
}

/* The arguments of aios_context_open, copied and checked. */
typedef struct aios__open_args {
    aios_plan plan;
    aios_context_desc desc;
    aios_allocator mem;
    aios_spill spill;
} aios__open_args;

/* META: the context itself and all its tables, laid out and filled in. */
static aios_status aios__context_new(aios_model *m, const aios__open_args *a, aios_context **out,
                                     aios_error *err) {
    const aios_plan *p = &a->plan;
    aios_mem_req req;
    aios__plan_req(p, AIOS_MEM_META, AIOS_TIER_HOT, &req);
    void *block = NULL;
    aios_status st = aios__alloc(&a->mem, &req, "context", &block, err);
    if (st) return st;
    aios__bump meta = { NULL, 0 };
    meta.base = (char *)block;
    memset(block, 0, (size_t)(req.bytes - aios__plan_stacks(p))); /* stacks need no zeros */
    aios_context *c = (aios_context *)block;
    aios__kv_size(&c->kv, m, p);
    aios__context_layout(m, p, &meta, NULL);
    c->mem = a->mem;
    c->model = m;
    c->plan = *p;
    c->desc = a->desc;
    c->spill = a->spill;
    c->k = aiosk_select(p->isa);
    c->exec.n_workers = p->n_threads;
    if (!c->desc.now_ns) c->desc.now_ns = aios__system_ns;
    for (uint32_t i = 0; i < AIOS_N_MEM; i++)
        aios__plan_req(p, i, i == AIOS_MEM_WEIGHTS ? AIOS_TIER_STREAM : AIOS_TIER_HOT, &c->req[i]);
    c->block[AIOS_MEM_META] = c;
    *out = c;
    return AIOS_OK;
}
/* The frequencies of all ropes. */
static aios_status aios__context_ropes(aios_context *c, aios_error *err) {
    const aios__hp *hp = &c->model->hp;
    double *freq = c->prog.freq;
    aios_status st = AIOS_OK;
    for (int32_t i = 0; i < hp->n_ropes && !st; freq += hp->rope[i++].n_rot / 2)
        st = aios__rope_freqs(c->model, &hp->rope[i], c->plan.n_ctx, freq, &c->prog.rope_mult[i],
                              err);
    return st;
}
/* Can the heads of all layers be rotated, as coded caches want it? */
static aios_status aios__context_rotates(const aios_context *c, aios_error *err) {
    const aios__hp *hp = &c->model->hp;
    float *work = (float *)(void *)c->prog.work;
    for (int32_t l = 0; c->kv.coded && l < hp->n_layer; l++)
        if (!aiosk_rotate_ok(c->k, hp->layer[l].hd_k, work) ||
            !aiosk_rotate_ok(c->k, hp->layer[l].hd_v, work))
            return aios__fail1(err, AIOS_ERR_UNSUPPORTED, AIOS__NO_OFF,
                               "heads of % channels cannot be rotated", aios__i(hp->layer[l].hd_k));
    return AIOS_OK;
}
/* What reads from storage while the model runs, over the block of what is streamed: the ring, then
 * slots of experts, then those of rows. */
static void aios__context_stream(aios_context *c) {
    aios__exec *e = &c->exec;
    const aios_plan *p = &c->plan;
    char *base = (char *)c->block[AIOS_MEM_WEIGHTS]; /* NULL: nothing is read */
    uint64_t experts = p->slot_bytes * p->n_slots,
             rows = experts + p->expert_slot_bytes * p->n_expert_slots;
    e->stream.io = c->model->io;
    e->stream.unit = c->prog.unit;
    e->stream.n_units = c->prog.n_units;
    e->stream.n_slots = p->n_slots;
    e->stream.slot_bytes = p->slot_bytes;
    e->stream.base = base;
    e->stream.row0 = p->n_slots + p->n_expert_slots * AIOS__N_EXPERT_MATRICES;
    e->stream.n_all = e->stream.row0 + p->n_row_slots;
    e->run.stream = &e->stream;
    if ((e->rows.n_slots = (int32_t)p->n_row_slots) > 0) {
        aios__rows_start(&e->rows, &e->stream, c->prog.table, p->n_batch, base + rows,
                         p->row_slot_bytes);
        e->run.rows = &e->rows;
    }
    if ((e->expert_cache.n_slots = p->n_expert_slots) > 0) {
        e->expert_cache.slot_bytes = p->expert_slot_bytes;
        e->expert_cache.matrix_off[AIOS__EXPERT_UP] = c->prog.matrix_bytes[AIOS__EXPERT_GATE];
        e->expert_cache.matrix_off[AIOS__EXPERT_DOWN] =
            c->prog.matrix_bytes[AIOS__EXPERT_GATE] + c->prog.matrix_bytes[AIOS__EXPERT_UP];
        e->expert_cache.base = base + experts;
        aios__expert_cache_start(&e->expert_cache, &e->stream, &e->moe, c->model->hp.n_layer);
        e->run.expert_cache = &e->expert_cache;
    }
}
static void aios__context_exec(aios_context *c) {
    aios__exec *e = &c->exec;
    e->p = &c->prog;
    e->now_ns = c->desc.now_ns;
    e->now_user = c->desc.now_user;
    e->parallel_for = c->desc.parallel_for;
    e->parallel_user = c->desc.parallel_user;
    e->trace = c->desc.trace;
    e->trace_user = c->desc.trace_user;
    e->profile = (c->desc.flags & AIOS_CONTEXT_PROFILE) != 0;
    e->n_threads = e->run.n_threads = c->plan.n_threads;
    e->run.k = c->k;
    e->run.hp = &c->model->hp;
    e->run.kv = &c->kv;
    e->run.pass = &c->pass;
    e->run.count = &c->count;
    e->run.moe = &e->moe;
    e->run.work = c->prog.work;
    e->run.work_bytes = c->prog.work_bytes;
}
/* The program, over blocks and weights that are there. */
static aios_status aios__context_build(aios_context *c, aios_error *err) {
    aios__emitter e;
    aios_status st;
    aios__kv_start(&c->kv, c->model, &c->plan, c->block[AIOS_MEM_KV]);
    if ((st = aios__context_ropes(c, err)) != 0) return st;
    aios__emitter_start(&e, c->model, &c->plan, c->k, &c->prog, &c->exec.moe);
    e.bundle = c->exec.expert_cache.layer;
    aios__program_build(&e, (char *)c->block[AIOS_MEM_SCRATCH]);
    aios__context_stream(c);
    aios__context_exec(c);
    return aios__context_rotates(c, err);
}

/* ---- opening ---- */
static aios_status aios__open_check_model(const aios_model *m, aios_error *err) {
    if (m && m->dying)
        return aios__fail(err, AIOS_ERR_STATE, AIOS__NO_OFF,
                          "the model was freed: it lives on for its other contexts alone");
    if (!m)
        return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF, "aios_context_open: the model is NULL");
    if (!m->arch)
        return aios__fail(
            err, AIOS_ERR_ARG, AIOS__NO_OFF,
            "the model was opened to be looked at, or for its vocabulary: it does not run");
    return AIOS_OK;
}
static aios_status aios__spill_copy(aios_spill *s, const aios_spill *from, aios_error *err) {
    memset(s, 0, sizeof *s);
    if (!from) return AIOS_OK;
    aios_status st = aios__desc_copy(AIOS__ID_aios_spill, s, from, err);
    if (!st) st = aios__flags(s->flags, 0, "aios_spill", err);
    if (!st && (!s->put || !s->get))
        st = aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF, "aios_spill needs put and get");
    return st;
}
static aios_status aios__open_copy(const aios_model *m, const aios_plan *plan,
                                   const aios_context_desc *desc, aios__open_args *a,
                                   aios_error *err) {
    aios_status st = aios__plan_copy(&a->plan, plan, err);
    if (!st) st = aios__desc_copy(AIOS__ID_aios_context_desc, &a->desc, desc, err);
    if (!st) st = aios__flags(a->desc.flags, AIOS_CONTEXT_PROFILE, "aios_context_desc", err);
    if (st) return st;
    a->mem = m->mem;
    if (a->desc.mem) st = aios__allocator_copy(&a->mem, a->desc.mem, "aios_context_desc", err);
    return st ? st : aios__spill_copy(&a->spill, a->desc.spill, err);
}
/* Was the plan made for this model, and does it go with the desc? */
static aios_status aios__open_check_plan(const aios_model *m, const aios__open_args *a,
                                         aios_error *err) {
    const aios_plan *p = &a->plan;
    if (p->model_hash != m->gguf.hash)
        return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF,
                          p->model_hash ? "the plan was made for another model"
                                        : "the plan was not made: call aios_plan_make first");
    aios_status st = aios__plan_check(m, p, err);
    if (st) return st;
    if (p->flags & AIOS_PLAN_LENT_THREADS && !a->desc.parallel_for && p->n_threads > 1)
        return aios__fail2(err, AIOS_ERR_ARG, AIOS__NO_OFF, 1, (uint64_t)p->n_threads,
                           "the plan counts on % lent threads, but parallel_for is NULL",
                           aios__i(p->n_threads), aios__u(0));
    return AIOS_OK;
}
static int32_t aios__plan_same_sizes(const aios_plan *a, const aios_plan *b) {
    return !memcmp(a->request_bytes, b->request_bytes, sizeof a->request_bytes) &&
           !memcmp(a->tier_bytes, b->tier_bytes, sizeof a->tier_bytes) && a->n_ops == b->n_ops &&
           a->n_units == b->n_units && a->slot_bytes == b->slot_bytes &&
           a->expert_slot_bytes == b->expert_slot_bytes;
}
/* Compares the plan with what would be taken now, and completes it. */
static aios_status aios__open_compare(const aios_model *m, aios_plan *p, aios_error *err) {
    /* another context may have taken them since */
    for (int32_t t = 0; m->loaded && t < 2; t++) {
        p->request_bytes[AIOS_MEM_WEIGHTS] -= p->tier_bytes[t];
        p->tier_bytes[t] = 0;
    }
    aios_plan now = *p;
    int32_t counted = aios__plan_sizes(m, &now, aiosk_select(p->isa));
    /* it was to load too */
    if (m->loaded && now.request_bytes[AIOS_MEM_SCRATCH] < p->request_bytes[AIOS_MEM_SCRATCH])
        now.request_bytes[AIOS_MEM_SCRATCH] = p->request_bytes[AIOS_MEM_SCRATCH];
    if (!counted || !aios__plan_same_sizes(&now, p))
        return aios__fail2(
            err, AIOS_ERR_ARG, AIOS__NO_OFF, now.total_bytes, p->total_bytes,
            "the plan (% bytes) is not what would be taken now (% bytes): plan again",
            aios__u(p->total_bytes), aios__u(now.total_bytes));

    /* a plan of an older header does not have them */
    p->n_row_slots = now.n_row_slots;
    p->row_slot_bytes = now.row_slot_bytes;
    if (aios__plan_streams(p) && aios__plan_async(m, p) && m->n_async)
        return aios__fail(
            err, AIOS_ERR_STATE, AIOS__NO_OFF,
            "another context of this model streams through the io's submit and wait, which serve "
            "one: open the model a second time, or plan reading threads");
    return AIOS_OK;
}
/* All memory but META, and the threads. */
static aios_status aios__context_take(aios_context *c, aios_error *err) {
    const aios_context_desc *d = &c->desc;
    aios_status st = aios__alloc(&c->mem, &c->req[AIOS_MEM_SCRATCH], "scratch",
                                 &c->block[AIOS_MEM_SCRATCH], err);
    if (!st) st = aios__alloc(&c->mem, &c->req[AIOS_MEM_KV], "cache", &c->block[AIOS_MEM_KV], err);
    if (!st && c->plan.tier_bytes[AIOS_TIER_STREAM])
        st = aios__alloc(&c->mem, &c->req[AIOS_MEM_WEIGHTS], "ring", &c->block[AIOS_MEM_WEIGHTS],
                         err);
    if (!st && !d->parallel_for)
        st = aios__pool_start(&c->exec.pool, c->plan.n_threads, d->thread_start, d->thread_user,
                              err);
    return st;
}
/* The model's weights, with the scratch block as room to work in. */
static aios_status aios__context_load(aios_context *c, aios_error *err) {
    aios__cut cut = aios__plan_cut(&c->plan);
    return aios__weights_load(c->model, &cut, (char *)c->block[AIOS_MEM_SCRATCH],
                              c->plan.request_bytes[AIOS_MEM_SCRATCH], c->desc.progress,
                              c->desc.progress_user, err);
}
static aios_status aios__context_stream_open(aios_context *c, aios_error *err) {
    const aios_plan *p = &c->plan;
    if (!aios__plan_streams(p)) return AIOS_OK;
    return aios__stream_open(&c->exec.stream,
                             aios__plan_wants_readers(p) ? p->flags & AIOS_PLAN_LENT_READERS : 0,
                             p->n_readers, aios__plan_async(c->model, p), err);
}
static void aios__context_count_denied(aios_context *c, int32_t loaded) {
    const aios_model *m = c->model;
    uint64_t *n = &c->count.n_wishes_denied;
    for (int32_t t = 0; loaded && t < 2; t++)
        *n += aios__denied(&m->mem, m->weights[t], &m->weights_req[t]);
    for (int32_t i = 0; i < AIOS_N_MEM; i++) *n += aios__denied(&c->mem, c->block[i], &c->req[i]);
}

AIOS_API aios_status aios_context_open(aios_model *m, const aios_plan *plan,
                                       const aios_context_desc *desc, aios_context **out,
                                       aios_error *err) {
    if (!out) return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF, "out is NULL");
    *out = NULL;
    aios__clear(err);
    aios__open_args a;
    aios_status st = aios__open_check_model(m, err);
    if (!st) st = aios__open_copy(m, plan, desc, &a, err);
    if (!st) st = aios__open_check_plan(m, &a, err);
    if (!st) st = aios__open_compare(m, &a.plan, err);
    if (st) return st;

    int32_t load = !m->loaded;
    if (load && (st = aios__weights_take(m, &a.plan, err)) != 0) return st;
    aios_context *c = NULL;
    uint64_t fp = aiosk_fp_begin(); /* the host's rounding mode is not ours */
    st = aios__context_new(m, &a, &c, err);
    if (!st) st = aios__context_take(c, err);
    if (!st && load) st = aios__context_load(c, err);
    if (!st) st = aios__context_build(c, err);
    if (!st) st = aios__context_stream_open(c, err);
    aiosk_fp_end(fp);
    if (st) {
        if (c) aios__context_release(c);
        if (load) aios__weights_give(m);
        return st;
    }
    m->n_async += c->exec.stream.n_all && c->exec.stream.how == AIOS__READ_ASYNC;
    aios__context_count_denied(c, load);
    m->n_contexts++;
    *out = c;
    return AIOS_OK;
}
AIOS_API void aios_context_free(aios_context *c) {
    if (!c) return;
    for (int32_t s = 0; s < c->plan.n_seq; s++) aios__spill_forget(c, s);
    aios_model *m = c->model;
    m->n_async -= c->exec.stream.n_all && c->exec.stream.how == AIOS__READ_ASYNC;
    aios__context_release(c);
    if (--m->n_contexts == 0 && m->dying) aios_model_free(m);
}

/* ---- running ---- */
AIOS_API aios_status aios_feed(aios_context *c, int32_t seq, const int32_t *ids, uint64_t n,
                               uint32_t flags, aios_error *err) {
    aios__clear(err);
    if (!aios__seq_ok(c, seq)) return aios__seq_fail(c, seq, err);
    if (!ids && n) return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF, "ids is NULL");
    if (flags > AIOS_FEED_NO_LOGITS)
        return aios__fail2(err, AIOS_ERR_ARG, AIOS__NO_OFF, AIOS_FEED_NO_LOGITS, flags,
                           "aios_feed: flags % are none, or contradict each other", aios__u(flags),
                           aios__u(0));
    aios__sequence *q = &c->seq[seq];
    int32_t room = c->plan.n_ctx - q->n_fed;
    /* fewer after tokens were taken out of the middle of tiles */
    int32_t cells = c->kv.seq_tiles * AIOSK_TILE - aios__kv_cell(&c->kv.seq[seq], q->n_fed);
    if (cells < room) room = cells;
    if (n > (uint64_t)room)
        return aios__fail2(err, AIOS_ERR_FULL, AIOS__NO_OFF, (uint64_t)room, n,
                           "% tokens do not fit: the sequence has room for %", aios__u(n),
                           aios__i(room));
    for (uint64_t i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= c->model->hp.n_vocab)
            return aios__fail2(err, AIOS_ERR_ARG, AIOS__NO_OFF, (uint64_t)c->model->hp.n_vocab,
                               (uint64_t)ids[i], "token id % is not in the vocabulary of %",
                               aios__i(ids[i]), aios__i(c->model->hp.n_vocab));
    for (uint64_t i = 0; i < n; i++, q->n_fed++) {
        q->token[q->n_fed] = ids[i];
        q->want[q->n_fed] = (uint8_t)(flags & AIOS_FEED_ALL_LOGITS  ? 1
                                      : flags & AIOS_FEED_NO_LOGITS ? 0
                                                                    : i + 1 == n);
    }
    if (!c->running && c->exec.rows.n_slots) {
        aios__soon(c);
        aios__rows_ahead(&c->exec.rows);
    }
    return AIOS_OK;
}
AIOS_API aios_status aios_step(aios_context *c, uint64_t deadline_ns, aios_error *err) {
    aios__clear(err);
    if (!c) return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF, "the context is NULL");
    uint64_t t0 = aios__now(&c->exec);
    aios_status st = aios__step(c, deadline_ns, err);
    aios__store(&c->exec.interrupt, 0); /* it has had what it wanted, however the step ended */
    uint64_t t1 = aios__now(&c->exec);
    if (t1 > t0) c->count.busy_ns += t1 - t0; /* a host's clock may be set back */
    return st;
}
AIOS_API void aios_cancel(aios_context *c) {
    if (c) aios__store(&c->exec.cancel, 1);
}
AIOS_API void aios_interrupt(aios_context *c) {
    if (c) aios__store(&c->exec.interrupt, 1);
}
AIOS_API aios_status aios_set_workers(aios_context *c, int32_t n, aios_error *err) {
    aios__clear(err);
    if (!c) return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF, "the context is NULL");
    if (n < 1 || n > c->plan.n_threads)
        return aios__fail2(err, AIOS_ERR_ARG, AIOS__NO_OFF, (uint64_t)c->plan.n_threads,
                           (uint64_t)(n < 0 ? 0 : n), "% workers: the plan has 1 to %", aios__i(n),
                           aios__i(c->plan.n_threads));
    if (n != c->exec.n_workers && c->exec.pool.n > 1) aios__pool_bound(&c->exec.pool, n);
    c->exec.n_workers = n;
    return AIOS_OK;
}
AIOS_API uint64_t aios_now_ns(const aios_context *c) { return c ? aios__now(&c->exec) : 0; }

AIOS_API int32_t aios_output_count(const aios_context *c) { return c ? c->n_out_ready : 0; }
AIOS_API aios_status aios_output_get(const aios_context *c, int32_t i, aios_output *out) {
    aios_output o;
    if (!c || i < 0 || i >= c->n_out_ready) return AIOS_ERR_ARG;
    memset(&o, 0, sizeof o);
    int32_t t = c->pass.out[i];
    o.seq = c->pass.seq[t];
    o.pos = c->pass.pos[t];
    o.token = c->pass.id[t];
    o.logits = c->prog.logits + (uint64_t)i * (uint64_t)c->model->hp.n_vocab;
    o.embedding = c->prog.embedding + (uint64_t)i * (uint64_t)c->model->hp.n_embd;
    return aios__desc_fill(AIOS__ID_aios_output, out, &o);
}
/* The newest output row of a sequence, -1 = none. */
static int32_t aios__output_row(const aios_context *c, int32_t seq) {
    int32_t i;
    for (i = c->n_out_ready - 1; i >= 0; i--)
        if (c->pass.seq[c->pass.out[i]] == seq) break;
    return i;
}
AIOS_API const float *aios_logits(const aios_context *c, int32_t seq) {
    int32_t i = aios__seq_ok(c, seq) ? aios__output_row(c, seq) : -1;
    return i < 0 ? NULL : c->prog.logits + (uint64_t)i * (uint64_t)c->model->hp.n_vocab;
}

AIOS_API aios_status aios_counters_get(const aios_context *c, aios_counters *out) {
    if (!c) return AIOS_ERR_ARG;
    aios_counters x = c->count;
    if (c->exec.stream.n_all) aios__stream_count((aios__stream *)(uintptr_t)&c->exec.stream, &x, 0);
    x.n_expert_hits = c->exec.expert_cache.n_hits;
    x.n_expert_misses = c->exec.expert_cache.n_misses;
    return aios__desc_fill(AIOS__ID_aios_counters, out, &x);
}
AIOS_API void aios_counters_reset(aios_context *c) {
    if (!c) return;
    uint64_t denied = c->count.n_wishes_denied;
    if (c->exec.stream.n_all) aios__stream_count(&c->exec.stream, &c->count, 1);
    c->exec.expert_cache.n_hits = c->exec.expert_cache.n_misses = 0;
    memset(&c->count, 0, sizeof c->count);
    c->count.n_wishes_denied = denied;
}
AIOS_API uint32_t aios_op_count(const aios_context *c) { return c ? c->prog.n_ops : 0; }
AIOS_API aios_status aios_op_get(const aios_context *c, uint32_t i, aios_op_info *out) {
    aios_op_info x;
    if (!c || i >= c->prog.n_ops) return AIOS_ERR_ARG;
    const aios__op *o = &c->prog.op[i];
    memset(&x, 0, sizeof x);
    x.layer = o->layer;
    x.name = o->name;
    x.type = o->type;
    x.tier = o->tier;
    x.phase = o->phase;
    x.n_units = o->n_units;
    x.weight_bytes = o->w_bytes;
    x.act_bytes = o->act_bytes;
    x.busy_ns = c->exec.busy_ns[i];
    return aios__desc_fill(AIOS__ID_aios_op_info, out, &x);
}
AIOS_API void aios_serve_reads(aios_context *c) {
    if (c && c->plan.flags & AIOS_PLAN_LENT_READERS && c->exec.stream.how == AIOS__READ_THREADS)
        aios__stream_serve(&c->exec.stream);
}
AIOS_API void aios_end_reads(aios_context *c, int32_t end) {
    if (c && c->plan.flags & AIOS_PLAN_LENT_READERS && c->exec.stream.how == AIOS__READ_THREADS)
        aios__stream_lent(&c->exec.stream, end != 0);
}

AIOS_API aios_status aios_sample(aios_context *c, int32_t seq, const aios_sampler *s, int32_t *id,
                                 aios_error *err) {
    aios__clear(err);
    if (!aios__seq_ok(c, seq)) return aios__seq_fail(c, seq, err);
    int32_t i = aios__output_row(c, seq);
    if (i < 0)
        return aios__fail1(err, AIOS_ERR_STATE, AIOS__NO_OFF,
                           "the last step left no logits for sequence %", aios__i(seq));
    int32_t pos = c->pass.pos[c->pass.out[i]] + 1;
    if (pos > c->seq[seq].n_done)
        return aios__fail2(
            err, AIOS_ERR_STATE, AIOS__NO_OFF, (uint64_t)c->seq[seq].n_done, (uint64_t)pos,
            "the token at position % that the logits followed is no longer in sequence %",
            aios__i(pos - 1), aios__i(seq));
    return aios__sample(c->k, s, aios_logits(c, seq), c->model->hp.n_vocab, c->seq[seq].token,
                        (uint64_t)pos, (uint64_t)pos, c->sample_work, id, err);
}

AIOS__SMALL_END

/* ======== blocks.c ======== */
/* blocks.c: the block face, for hosts with an engine of their own: a logical block id becomes a
 * pointer. Stands beside model.c to context.c, not on them: it needs io.c and the scanner of
 * gguf.c alone, keeps neither keys nor vocabulary, and knows no family.
 *
 * The directory is read three times through a page of stack: sums, sizes (aios__blk_decide and a
 * placement that only counts), and once the memory is there the same placement again, into the
 * tables. One placement for both, so that what is asked for and what is used cannot differ;
 * whatever a file does in between, no index leaves its table. The hot path is one lookup and one
 * counter. Each entry's base is published by a release store, so that a block that comes into a
 * slot of the ring while other threads resolve is seen whole or not at all. */

/* How often a token reads a block. SMALL and EACH: every time; SMALL are those of tensors of a
 * few pages, which are placed first. */
enum {
    AIOS__BLK_SMALL = 0,
    AIOS__BLK_EACH = 1,
    AIOS__BLK_SOME = 2,
    AIOS__BLK_ROWS = 3,
    AIOS__BLK_N_USE = 4
};
enum {
    AIOS__BLK_KV = 0,
    AIOS__BLK_META = 1,
    AIOS__BLK_HOT = 2,
    AIOS__BLK_WARM = 3,
    AIOS__BLK_RING = 4,
    AIOS__BLK_N_REQ = 5
};
enum {
    AIOS__BLK_MIN = 64 * 1024,
    AIOS__BLK_MAX = 1024 * 1024,
    AIOS__BLK_DEFAULT = 256 * 1024,
    /* blocks that stay or go together where not all fit: 4 MiB of reading at a stretch */
    AIOS__BLK_RUN = 16,
    AIOS__BLK_PAGE = 4096,
    AIOS__BLK_STRIPES = 64 /* of the counters, 8 KiB */
};
#define AIOS__BLK_NONE UINT32_MAX

/* ---- counters and published pointers ---- */
/* A counter of the machine's word (it wraps at 2^32 on 32-bit machines); relaxed: it orders
 * nothing. */
typedef size_t aios__tally;
#if defined(__GNUC__) || defined(__clang__)
static inline void aios__tally_add(aios__tally *p, aios__tally n) {
    __atomic_fetch_add(p, n, __ATOMIC_RELAXED);
}
static inline aios__tally aios__tally_get(const aios__tally *p) {
    return __atomic_load_n(p, __ATOMIC_RELAXED);
}
#if UINTPTR_MAX > UINT32_MAX
static inline void aios__total_add(uint64_t *p, uint64_t n) {
    __atomic_store_n(p, *p + n, __ATOMIC_RELAXED);
}
static inline uint64_t aios__total_get(const uint64_t *p) {
    return __atomic_load_n(p, __ATOMIC_RELAXED);
}
#else
static inline void aios__total_add(uint64_t *p, uint64_t n) { *p += n; }
static inline uint64_t aios__total_get(const uint64_t *p) { return *p; }
#endif
static inline const void *aios__base_get(const void *const *p) {
    return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}
static inline void aios__base_set(const void **p, const void *v) {
    __atomic_store_n(p, v, __ATOMIC_RELEASE);
}
#else
#if defined(_WIN64)
static inline void aios__tally_add(aios__tally *p, aios__tally n) {
    _InterlockedExchangeAdd64((volatile __int64 *)p, (__int64)n);
}
#else
static inline void aios__tally_add(aios__tally *p, aios__tally n) {
    _InterlockedExchangeAdd((volatile long *)p, (long)n);
}
#endif
static inline aios__tally aios__tally_get(const aios__tally *p) {
    return *(const volatile aios__tally *)p;
}
static inline void aios__total_add(uint64_t *p, uint64_t n) { *(volatile uint64_t *)p = *p + n; }
static inline uint64_t aios__total_get(const uint64_t *p) { return *(const volatile uint64_t *)p; }
static inline const void *aios__base_get(const void *const *p) {
    const void *v = *(const void *const volatile *)p;
#if defined(_M_ARM64)
    __dmb(_ARM64_BARRIER_ISH);
#else
    _ReadWriteBarrier();
#endif
    return v;
}
static inline void aios__base_set(const void **p, const void *v) {
    _InterlockedExchangePointer((void *volatile *)p, (void *)(uintptr_t)v);
}
#endif

/* What the hot path counts. A thread adds to one of several stripes, two cache lines each,
 * chosen by where its stack is: threads share one by chance only, and since adding is atomic a
 * shared stripe costs time and no count. */
typedef struct aios__blk_stripe {
    aios__tally tier[4] /* stream, hot, warm; missed */, skipped;
    char apart[128 - 5 * sizeof(aios__tally)];
} aios__blk_stripe;
static inline aios__blk_stripe *aios__blk_mine(aios__blk_stripe *s) {
    char here;
    uint64_t a = (uint64_t)(uintptr_t)&here >> 14; /* stacks are 16 KiB apart at the least */
    return s + (a * 0x9E3779B97F4A7C15u >> 58);    /* 64 = 2^6 */
}

AIOS__SMALL_BEGIN
/* ---- tables ---- */
typedef struct aios__blk_tensor {
    char name[64];
    uint64_t off, n_bytes, row_bytes;    /* off: in its part */
    uint64_t unit_bytes;                 /* blocks begin anew here: a matrix, or all of it */
    uint64_t block_bytes;                /* of all blocks of a unit but the last */
    uint32_t first, n_blocks, part, use; /* use: AIOS__BLK_SMALL ... */
    int32_t layer;
    uint32_t type;
} aios__blk_tensor;

typedef struct aios__blk_slot {
    uint32_t id, want;
} aios__blk_slot;

/* All that is counted. */
typedef struct aios__blk_sums {
    uint64_t tier[4], skipped, n_tokens, n_prefetched, prefetch_bytes, prefetch_ns;
} aios__blk_sums;

struct aios_blocks {
    aios_block_entry *entry; /* [n_blocks]; the hot path reads these five and no others */
    uint32_t n_blocks, n_mask_layers, n_mask_rows, mask_words;
    const uint32_t *mask;
    aios__blk_stripe *stripe; /* [AIOS__BLK_STRIPES] */
    char apart[128];          /* what follows is written while others resolve */
    aios_blocks_plan plan;
    aios_blocks_desc desc;
    aios_hardware hw;
    aios_allocator mem;
    aios_mem_req req[AIOS__BLK_N_REQ];
    void *got[AIOS__BLK_N_REQ];
    aios_io *io; /* [n_parts] */
    uint32_t n_parts, own_files;
    aios__blk_tensor *tensor; /* [n_tensors] */
    aios__blk_slot *slot;     /* [n_slots], behind the slots */
    uint64_t slot_bytes;
    uint32_t want, victim;     /* of the ring: the present call, where the last search ended */
    uint32_t seen_first, seen; /* touched where mapped: so many blocks from there on */
    uint32_t mapped, mem_flags;
    aios__tally n_tokens, n_prefetched;
    /* written by who prefetches, in one piece on 64-bit machines */
    uint64_t prefetch_bytes, prefetch_ns;
    aios__blk_sums from; /* of the last reset */
};

/* ---- the directory, read again and again ---- */
/* end: of tensor data, from data_off */
typedef struct aios__blk_part {
    uint64_t data_off, end;
    const char *map;
} aios__blk_part;

typedef struct aios__blk_pass {
    aios__opening *o;
    aios_blocks_desc d;
    int32_t phase; /* 0 sums, 1 placement */
    /* sums */
    uint32_t n_tensors, n_blocks, layer_blocks, max_layer_blocks, has_output;
    int32_t layer;
    uint64_t total[AIOS__BLK_N_USE]; /* bytes, each block's rounded up to 64 */
    /* embd: of the token embedding, whose use is known at the end */
    uint64_t embd, max_len, all_bytes;
    uint32_t embd_use, mapped;
    /* decisions */
    uint64_t fit[AIOS__BLK_N_USE]; /* of total, resident */
    uint64_t cap;                  /* for resident weights; all bytes that are left */
    uint64_t slot_bytes;
    aios_blocks_plan plan;
    /* placement */
    uint32_t at_tensor, at_block;
    uint64_t sum[AIOS__BLK_N_USE], taken[AIOS__BLK_N_USE]; /* so far */
    uint64_t used[2];                                      /* of the HOT and the WARM memory */
    uint64_t run_end; /* file offset where the last copied block ended, in its part */
    uint32_t run_part, run_tier;
    aios_blocks *b; /* NULL: count */
    aios__blk_part part[AIOS__MAX_PARTS];
} aios__blk_pass;

static int32_t aios__blk_has(aios__str s, const char *z) { /* is z in s? */
    uint64_t i, n = strlen(z);
    for (i = 0; i + n <= s.n; i++)
        if (!memcmp(s.p + i, z, (size_t)n)) return 1;
    return 0;
}
/* N of "blk.N.", else -1 */
static int32_t aios__blk_layer(aios__str s) {
    uint64_t i;
    int32_t n = 0;
    if (s.n < 6 || memcmp(s.p, "blk.", 4)) return -1;
    for (i = 4; i < s.n && i < 10 && s.p[i] >= '0' && s.p[i] <= '9'; i++)
        n = n * 10 + (s.p[i] - '0');
    return i > 4 && i < s.n && s.p[i] == '.' ? n : -1;
}
/* Matrices of experts, or that of one: "ffn_up_exps.weight", "ffn_up.3.weight". */
static int32_t aios__blk_experts(aios__str s) {
    static const char *const names[] = { ".ffn_gate.", ".ffn_up.", ".ffn_down." };
    uint64_t n, k;
    for (uint64_t i = 0; i < 3; i++)
        for (k = 0, n = strlen(names[i]); k + n < s.n; k++)
            if (!memcmp(s.p + k, names[i], (size_t)n))
                return s.p[k + n] >= '0' && s.p[k + n] <= '9';
    return aios__blk_has(s, "_exps.");
}
static uint32_t aios__blk_use(const aios__blk_pass *x, aios__str s, uint64_t n_bytes) {
    if (aios__str_eq(s, "token_embd.weight")) return x->embd_use;
    if (aios__str_eq(s, "position_embd.weight") || aios__str_eq(s, "token_types.weight") ||
        aios__str_eq(s, "per_layer_token_embd.weight"))
        return AIOS__BLK_ROWS;
    if (aios__blk_experts(s)) return AIOS__BLK_SOME;
    return n_bytes <= 4 * AIOS__BLK_PAGE ? AIOS__BLK_SMALL : AIOS__BLK_EACH;
}
/* How a tensor is cut. 0: a row is too large. More than INT32_MAX blocks count as one more than
 * that, which no limit allows. */
static int32_t aios__blk_cut(aios__blk_tensor *t, uint64_t matrix_bytes, uint64_t target) {
    uint64_t rows = target / t->row_bytes;
    if (rows > 16) rows -= rows % 16; /* whole panels, for engines that work on them */
    if (rows < 1) rows = 1;
    t->block_bytes = rows * t->row_bytes;
    t->unit_bytes = matrix_bytes >= AIOS__BLK_MIN ? matrix_bytes : t->n_bytes;
    uint64_t n = t->unit_bytes / t->block_bytes + (t->unit_bytes % t->block_bytes != 0);
    if (t->block_bytes > INT32_MAX) return 0;
    /* of several units each is 64 KiB at the least, and so is every second block */
    if (n <= INT32_MAX) n *= t->n_bytes / t->unit_bytes;
    t->n_blocks = (uint32_t)aios__min_u64(n, (uint64_t)INT32_MAX + 1);
    return 1;
}
static uint64_t aios__blk_len(const aios__blk_tensor *t, uint32_t j, uint64_t *off) {
    uint64_t per = t->unit_bytes / t->block_bytes + (t->unit_bytes % t->block_bytes != 0),
             k = j % per;
    *off = j / per * t->unit_bytes + k * t->block_bytes;
    return aios__min_u64(t->block_bytes, t->unit_bytes - k * t->block_bytes);
}
/* a * b / c for b <= c, c > 0, rounded down by a little more than needed when the numbers are
 * large */
static uint64_t aios__blk_share(uint64_t a, uint64_t b, uint64_t c) {
    uint32_t s = 0;
    if (b >= c) return a;
    while ((a >> s) >> 32) s++;
    /* c upwards, so that the share is none too large */
    for (; c >> 32; b >>= 1) c = (c >> 1) + (c & 1);
    return c ? (((a >> s) * b) / c) << s : 0;
}

/* Decides on one block, in the file's order: its tier and, where it is copied, its place. */
static aios_status aios__blk_place(aios__blk_pass *x, const aios__blk_tensor *t, uint64_t off,
                                   uint64_t len) {
    uint32_t use = t->use, tier = AIOS_TIER_STREAM, copied = 0;
    uint64_t need = aios__round_up(len, 64), at = 0;
    const char *map = x->part[t->part].map;
    /* where not all fit, a run may take what its share of the bytes is up to its end */
    uint64_t upto = aios__round_up(x->sum[use] + need, (uint64_t)AIOS__BLK_RUN * x->d.block_bytes);
    upto = upto > x->total[use] ? x->fit[use] : aios__blk_share(upto, x->fit[use], x->total[use]);
    x->sum[use] += need;
    if (x->fit[use] == x->total[use] || x->taken[use] + need <= upto) {
        tier = use <= AIOS__BLK_EACH ? AIOS_TIER_HOT : AIOS_TIER_WARM;
        x->taken[use] += need;
        copied = !x->mapped || (tier == AIOS_TIER_HOT && !(x->d.flags & AIOS_BLOCKS_IN_PLACE));
    }
    if (copied) {
        uint32_t m = tier == AIOS_TIER_WARM;
        /* what follows in the file follows in memory, so that it is read in one piece */
        if (x->run_end != t->off + off || x->run_part != t->part || x->run_tier != tier)
            x->used[m] = aios__round_up(x->used[m], 64);
        at = x->used[m];
        x->used[m] += len;
        x->run_end = t->off + off + len;
        x->run_part = t->part;
        x->run_tier = tier;
    } else
        x->run_part = AIOS__BLK_NONE;
    if (tier == AIOS_TIER_HOT)
        x->plan.hot_bytes += len;
    else if (tier == AIOS_TIER_WARM)
        x->plan.warm_bytes += len;
    else
        x->plan.stream_bytes += len;
    if (use <= AIOS__BLK_EACH) {
        x->plan.token_bytes += len;
        if (tier == AIOS_TIER_STREAM) x->plan.token_stream_bytes += len;
    }
    if (x->mapped && !copied) x->plan.mapped_bytes += len;
    if (x->b) {
        aios_block_entry *e;
        if (x->at_block >= x->b->n_blocks ||
            at + len >
                (copied ? x->b->req[tier == AIOS_TIER_HOT ? AIOS__BLK_HOT : AIOS__BLK_WARM].bytes
                        : UINT64_MAX))
            return AIOS_ERR_IO;
        e = &x->b->entry[x->at_block];
        memset(e, 0, sizeof *e);
        e->n_bytes = (uint32_t)len;
        e->flags = AIOS_BLOCK_CANONICAL | (tier == AIOS_TIER_HOT    ? (uint32_t)AIOS_BLOCK_HOT
                                           : tier == AIOS_TIER_WARM ? (uint32_t)AIOS_BLOCK_WARM
                                                                    : 0);
        if (copied)
            e->base =
                (char *)x->b->got[tier == AIOS_TIER_HOT ? AIOS__BLK_HOT : AIOS__BLK_WARM] + at;
        else if (x->mapped)
            e->base = map + (t->off - x->part[t->part].data_off + off);
    }
    x->at_block++;
    return AIOS_OK;
}

static aios_status aios__blk_visit(aios__scan *s, const aios__tensor *g) {
    aios__blk_pass *x = (aios__blk_pass *)s->visit_user;
    aios__blk_part *p = &x->part[s->part];
    aios__blk_tensor t;
    aios__str name;
    uint64_t off, len;
    aios_status st = AIOS_OK;
    name.p = s->name;
    name.n = s->n_name;
    memset(&t, 0, sizeof t);
    memcpy(t.name, s->name, (size_t)aios__min_u64(s->n_name, sizeof t.name - 1));
    t.n_bytes = g->n_bytes;
    t.row_bytes = g->row_bytes;
    t.part = s->part;
    t.type = g->type;
    t.use = aios__blk_use(x, name, t.n_bytes);
    t.layer = aios__blk_layer(name);
    if (t.n_bytes > s->io->n_bytes)
        return aios__scan_bad(s, g->dir_off, s->io->n_bytes, t.n_bytes,
                              "its data lies outside the file");
    if (!aios__blk_cut(&t, g->row_bytes * g->n[1], x->d.block_bytes))
        return aios__scan_fail(s, AIOS_ERR_LIMIT, g->dir_off, INT32_MAX, t.row_bytes,
                               "its rows are too large for blocks", "");
    if (x->phase == 0) {
        uint64_t n = t.unit_bytes / t.block_bytes, rest = t.unit_bytes % t.block_bytes, bytes,
                 most = aios__min_u64(s->lim.max_blocks, INT32_MAX);
        /* also what keeps a hostile directory from naming the same bytes often: tensors of a
         * part together are no larger than it */
        if (g->off < p->end)
            return aios__scan_fail(s, AIOS_ERR_UNSUPPORTED, g->dir_off, p->end, g->off,
                                   "its data lie before those of the tensor before it", "");
        if (!aios__add(g->off, g->n_bytes, &p->end) || p->end > s->io->n_bytes)
            return aios__scan_bad(s, g->dir_off, s->io->n_bytes, p->end,
                                  "its data lies outside the file");
        if (x->n_blocks + (uint64_t)t.n_blocks > most)
            return aios__scan_fail(s, AIOS_ERR_LIMIT, g->dir_off, most,
                                   x->n_blocks + (uint64_t)t.n_blocks,
                                   "more blocks than limits.max_blocks allows", "");
        if (aios__str_eq(name, "output.weight")) x->has_output = 1;
        if (t.layer != x->layer) {
            x->layer = t.layer;
            x->layer_blocks = 0;
        }
        x->layer_blocks += t.n_blocks;
        if (t.layer >= 0 && x->layer_blocks > x->max_layer_blocks)
            x->max_layer_blocks = x->layer_blocks;
        x->all_bytes += t.n_bytes;
        bytes = (n * aios__round_up(t.block_bytes, 64) + aios__round_up(rest, 64)) *
                (t.n_bytes / t.unit_bytes);
        len = n ? t.block_bytes : rest;
        if (len > x->max_len) x->max_len = len;
        if (aios__str_eq(name, "token_embd.weight"))
            x->embd += bytes;
        else
            x->total[t.use] += bytes;
        x->n_tensors++;
        x->n_blocks += t.n_blocks;
        return AIOS_OK;
    }
    t.off = p->data_off + g->off;
    if (x->at_tensor >= x->n_tensors || (uint64_t)x->at_block + t.n_blocks > x->n_blocks ||
        g->off + g->n_bytes > p->end)
        return aios__scan_changed(s);
    t.first = x->at_block;
    if (x->b) x->b->tensor[x->at_tensor] = t;
    x->at_tensor++;
    for (uint32_t j = 0; j < t.n_blocks && !st; j++) {
        len = aios__blk_len(&t, j, &off);
        st = aios__blk_place(x, &t, off, len);
    }
    return st ? aios__scan_changed(s) : AIOS_OK;
}

static aios_status aios__blk_walk(aios__blk_pass *x, int32_t phase, aios_blocks *b,
                                  aios_error *err) {
    aios_limits l = x->o->lim;
    x->phase = phase;
    x->b = b;
    x->at_tensor = x->at_block = 0;
    x->run_part = AIOS__BLK_NONE;
    for (uint32_t j = 0; j < AIOS__BLK_N_USE; j++) x->sum[j] = x->taken[j] = 0;
    x->used[0] = x->used[1] = 0;
    x->plan.hot_bytes = x->plan.warm_bytes = x->plan.stream_bytes = x->plan.mapped_bytes =
        x->plan.token_bytes = x->plan.token_stream_bytes = 0;
    for (uint32_t i = 0; i < x->o->n_parts; i++) {
        aios__scan s;
        aios_status st;
        aios__scan_init(&s, x->o->io, i, x->o->n_parts, &l, err);
        s.visit = aios__blk_visit;
        s.visit_user = x;
        if ((st = aios__scan_windowed(&s, 0)) != AIOS_OK) return st;
        if ((st = aios__scan_split(&s)) != AIOS_OK) return st;
        if (phase == 0)
            x->part[i].data_off = s.n_tensors ? s.data_off : 0;
        else if (s.n_tensors && s.data_off != x->part[i].data_off)
            return aios__scan_changed(&s);
        l.max_tensors -= s.n_tensors;
        l.max_header_bytes -= s.pos;
    }
    if (phase && (x->at_tensor != x->n_tensors || x->at_block != x->n_blocks))
        return aios__fail(err, AIOS_ERR_IO, 0, "header: the file changed while it was being read");
    return AIOS_OK;
}

/* ---- decisions ---- */
static aios_blocks *aios__blk_layout(aios__bump *m, uint64_t n_parts, uint64_t n_tensors,
                                     uint64_t n_blocks, aios_blocks *into) {
    aios_blocks *b = (aios_blocks *)aios__take(m, sizeof(aios_blocks), 128), *x = b ? b : into;
    x->stripe = (aios__blk_stripe *)aios__take(m, AIOS__BLK_STRIPES * sizeof *x->stripe, 128);
    x->entry = (aios_block_entry *)aios__take(m, n_blocks * sizeof *x->entry, 64);
    x->tensor = (aios__blk_tensor *)aios__take(m, n_tensors * sizeof *x->tensor, 8);
    x->io = (aios_io *)aios__take(m, n_parts * sizeof *x->io, 8);
    return b;
}
static uint64_t aios__blk_ring(const aios__blk_pass *x, uint64_t n) {
    return n * x->slot_bytes + aios__round_up(n * sizeof(aios__blk_slot), 64);
}

/* Who is resident, and how long the ring is; all from sums. */
static aios_status aios__blk_decide(aios__blk_pass *x, aios_error *err) {
    uint64_t all = 0, ram = x->d.ram_bytes, kv = x->d.kv_reserve_bytes, want, w = 0;
    uint32_t dist = x->d.prefetch_distance;
    aios__bump m = { NULL, 0 };
    aios_blocks tmp;
    aios_blocks_plan *p = &x->plan;
    aios__blk_layout(&m, x->o->n_parts, x->n_tensors, x->n_blocks, &tmp);
    uint64_t meta = aios__round_up(m.used, 128);
    for (uint32_t i = 0; i < AIOS__BLK_N_USE; i++) all += x->total[i];
    uint64_t each = x->total[AIOS__BLK_SMALL] + x->total[AIOS__BLK_EACH];
    x->slot_bytes = aios__round_up(x->max_len + AIOS__BLK_PAGE - 1, AIOS__BLK_PAGE);
    p->n_tensors = x->n_tensors;
    p->n_blocks = x->n_blocks;
    p->max_block_bytes = (uint32_t)x->max_len;
    p->degraded = 0;
    p->n_slots = 0;
    p->request_bytes[AIOS__BLK_KV] = kv;
    p->request_bytes[AIOS__BLK_META] = meta;
    if (kv > UINT64_MAX / 4)
        return aios__fail1(err, AIOS_ERR_ARG, AIOS__NO_OFF,
                           "kv_reserve_bytes is %: no machine has that", aios__u(kv));

    /* The least: tables and two slots; or, in small models, all of it resident. Percentages
     * round in our favour: the smallest rest of which max_rws_percent is all. */
    uint64_t n = x->n_blocks < 2 ? x->n_blocks : 2;
    uint64_t least = meta + (x->mapped ? 0 : aios__blk_ring(x, n));
    uint64_t fits =
        all / x->d.max_rws_percent * 100 +
        (all % x->d.max_rws_percent * 100 + x->d.max_rws_percent - 1) / x->d.max_rws_percent;
    if (fits < meta + all) fits = meta + all;
    p->min_bytes = kv + aios__min_u64(least, fits);
    p->prefetch_distance = x->d.flags & AIOS_BLOCKS_NO_PREFETCH ? 0 : dist;
    if (ram && ram < p->min_bytes)
        return aios__fail2(err, AIOS_ERR_MEMORY, AIOS__NO_OFF, p->min_bytes, ram,
                           "ram_bytes is %, but the least that works with this file is %",
                           aios__u(ram), aios__u(p->min_bytes));
    if (!ram || ram - kv >= fits) {
        memcpy(x->fit, x->total, sizeof x->fit);
        return AIOS_OK;
    }
    uint64_t cap =
        (ram - kv) / 100 * x->d.max_rws_percent + (ram - kv) % 100 * x->d.max_rws_percent / 100;
    uint64_t rest = ram - kv - meta; /* >= least - meta */
    uint64_t quarter = cap / 4;
    uint64_t floor_bytes = aios__min_u64(x->all_bytes / 100 * x->d.hot_floor_percent +
                                             x->all_bytes % 100 * x->d.hot_floor_percent / 100,
                                         each);
    if (x->d.flags & AIOS_BLOCKS_NO_PREFETCH) dist = 0;
    /* A longer ring leaves less for resident blocks, so that more has to go through it: a few
     * turns, upwards only. */
    for (uint32_t turn = 0;; turn++) {
        w = aios__min_u64(cap, rest - (x->mapped ? 0 : aios__blk_ring(x, n)));
        if (each && aios__min_u64(each, w) < floor_bytes) {
            w = 0;
            quarter = rest / 2;
        }
        uint64_t some = each - aios__min_u64(each, w);
        if (x->mapped || turn == 8) break;
        for (;; dist /= 2) {
            want = 2;
            if (some && !(x->d.flags & AIOS_BLOCKS_NO_PREFETCH))
                want += aios__blk_share((uint64_t)x->max_layer_blocks * (dist + 1), some, each) + 1;
            if (want > x->n_blocks) want = x->n_blocks;
            if (want <= n || aios__blk_ring(x, want) <= quarter || dist == 0) break;
            p->degraded |= AIOS_DEGRADED_PREFETCH;
        }
        while (want > n && aios__blk_ring(x, want) > quarter) want--;
        if (want <= n) break;
        n = want;
    }
    if (!(x->d.flags & AIOS_BLOCKS_NO_PREFETCH)) p->prefetch_distance = dist;
    if (!x->mapped) p->n_slots = (uint32_t)n;
    if (w < each) p->degraded |= AIOS_DEGRADED_HOT;
    if (w == 0 && each) p->degraded |= AIOS_DEGRADED_STREAM;
    for (uint32_t i = 0; i < AIOS__BLK_N_USE; i++) {
        x->fit[i] = aios__min_u64(x->total[i], w);
        w -= x->fit[i];
        if (x->fit[i] < x->total[i]) {
            w = 0; /* what is read more often goes first */
            if (i > AIOS__BLK_EACH) p->degraded |= AIOS_DEGRADED_WARM;
        }
    }
    return AIOS_OK;
}

static void aios__blk_req(const aios_blocks_plan *p, uint32_t k, aios_mem_req *r) {
    static const uint8_t kind[AIOS__BLK_N_REQ] = { AIOS_MEM_KV, AIOS_MEM_META, AIOS_MEM_WEIGHTS,
                                                   AIOS_MEM_WEIGHTS, AIOS_MEM_SCRATCH };
    static const uint8_t tier[AIOS__BLK_N_REQ] = { AIOS_TIER_HOT, AIOS_TIER_HOT, AIOS_TIER_HOT,
                                                   AIOS_TIER_WARM, AIOS_TIER_STREAM };
    aios__req_fill(r, kind[k], tier[k], p->request_bytes[k]);
    if (k == AIOS__BLK_META) r->align = 128;
    if (k >= AIOS__BLK_HOT) r->align = AIOS__BLK_PAGE;
    if (k == AIOS__BLK_HOT)
        r->flags |= AIOS_MEM_PIN | (r->bytes >= (uint64_t)2 << 20 ? (uint32_t)AIOS_MEM_HUGE : 0);
}

/* Everything up to the requests: desc checked, parts open, sums, decisions, sizes. */
static aios_status aios__blk_start(aios__blk_pass *x, aios__opening *o,
                                   const aios_blocks_desc *desc, aios_error *err) {
    aios_model_desc md;
    aios_status st;
    memset(x, 0, sizeof *x);
    memset(o, 0, sizeof *o);
    aios__clear(err);
    x->o = o;
    x->layer = -2;
    if ((st = aios__desc_copy(AIOS__ID_aios_blocks_desc, &x->d, desc, err)) != 0) return st;
    if ((st = aios__flags(x->d.flags,
                          AIOS_BLOCKS_IN_PLACE | AIOS_BLOCKS_NO_PREFETCH | AIOS_BLOCKS_NO_SPARSITY,
                          "aios_blocks_desc", err)) != 0)
        return st;
    if ((st = aios__unused(x->d.reserved, "aios_blocks_desc", err)) != 0) return st;
    if (!x->d.block_bytes) x->d.block_bytes = AIOS__BLK_DEFAULT;
    if (x->d.block_bytes < AIOS__BLK_MIN || x->d.block_bytes > AIOS__BLK_MAX)
        return aios__fail2(err, AIOS_ERR_ARG, AIOS__NO_OFF,
                           x->d.block_bytes < AIOS__BLK_MIN ? AIOS__BLK_MIN : AIOS__BLK_MAX,
                           x->d.block_bytes, "block_bytes is %, not 64 KiB to 1 MiB",
                           aios__u(x->d.block_bytes), aios__u(0));
    if (x->d.max_rws_percent > 100 || x->d.hot_floor_percent > 100)
        return aios__fail2(
            err, AIOS_ERR_ARG, AIOS__NO_OFF, 100,
            x->d.max_rws_percent > 100 ? x->d.max_rws_percent : x->d.hot_floor_percent,
            "% is above 100",
            aios__z(x->d.max_rws_percent > 100 ? "max_rws_percent" : "hot_floor_percent"),
            aios__u(0));
    if (x->d.prefetch_distance > 65536)
        return aios__fail2(err, AIOS_ERR_ARG, AIOS__NO_OFF, 65536, x->d.prefetch_distance,
                           "prefetch_distance is %, out of range", aios__u(x->d.prefetch_distance),
                           aios__u(0));
    if (!x->d.max_rws_percent) x->d.max_rws_percent = 65;
    if (!x->d.hot_floor_percent) x->d.hot_floor_percent = 20;
    if (!x->d.prefetch_distance) x->d.prefetch_distance = 2;
    if (!x->d.now_ns) x->d.now_ns = aios__system_ns;
    if (!x->d.io && !x->d.path)
        return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF, "aios_blocks_desc needs io or path");
    aios_model_desc_init(&md);
    md.io = x->d.io;
    md.path = x->d.path;
    md.limits = x->d.limits;
    md.n_parts = x->d.n_parts;
    if ((st = aios__opening_start(o, &md, err)) != 0) return st;
    x->embd_use = AIOS__BLK_ROWS;
    if ((st = aios__blk_walk(x, 0, NULL, err)) != 0) return st;
    if (!x->n_blocks)
        return aios__fail(err, AIOS_ERR_MODEL, AIOS__NO_OFF, "the file has no tensors");
    if (!x->has_output) x->embd_use = AIOS__BLK_EACH; /* tied: the output matrix too */
    x->total[x->embd_use] += x->embd;
    x->mapped = 1;
    for (uint32_t i = 0; i < o->n_parts && x->mapped; i++) {
        aios__blk_part *p = &x->part[i];
        if (!p->end) continue;
        p->map = (const char *)aios__io_map(&o->io[i], p->data_off, p->end);
        if (!p->map) x->mapped = 0;
    }
    if ((st = aios__blk_decide(x, err)) != 0) return st;
    if ((st = aios__blk_walk(x, 1, NULL, err)) != 0) return st;
    x->plan.struct_size = (uint32_t)sizeof x->plan;
    x->plan.request_bytes[AIOS__BLK_HOT] = aios__round_up(x->used[0], 64);
    x->plan.request_bytes[AIOS__BLK_WARM] = aios__round_up(x->used[1], 64);
    x->plan.request_bytes[AIOS__BLK_RING] =
        x->plan.n_slots ? aios__blk_ring(x, x->plan.n_slots) : 0;
    for (uint32_t i = 0; i < AIOS__BLK_N_REQ; i++) {
        x->plan.total_bytes += x->plan.request_bytes[i];
        x->plan.n_requests += x->plan.request_bytes[i] != 0;
    }
    return AIOS_OK;
}

AIOS_API aios_status aios_blocks_measure(const aios_blocks_desc *desc, aios_blocks_plan *out,
                                         aios_error *err) {
    aios__opening o;
    aios__blk_pass x;
    aios_status st = aios__blk_start(&x, &o, desc, err);
    aios__opening_end(&o);
    if (st) return st;
    return aios__desc_fill(AIOS__ID_aios_blocks_plan, out, &x.plan)
               ? aios__fail(err, AIOS_ERR_DESC, AIOS__NO_OFF,
                            "out is NULL or was not initialised: call aios_blocks_plan_init first")
               : AIOS_OK;
}
AIOS_API aios_status aios_blocks_request(const aios_blocks_plan *plan, uint32_t i,
                                         aios_mem_req *out) {
    aios_blocks_plan p;
    aios_mem_req r;
    if (aios__desc_copy(AIOS__ID_aios_blocks_plan, &p, plan, NULL)) return AIOS_ERR_ARG;
    for (uint32_t k = 0; k < AIOS__BLK_N_REQ; k++)
        if (p.request_bytes[k] && i-- == 0) {
            aios__blk_req(&p, k, &r);
            return aios__desc_fill(AIOS__ID_aios_mem_req, out, &r);
        }
    return AIOS_ERR_ARG;
}

/* ---- opening ---- */
/* Reads what was placed, as many blocks at a time as follow each other in file and memory. */
static aios_status aios__blk_load(aios_blocks *b, aios_error *err) {
    uint64_t done = 0, total = b->plan.request_bytes[AIOS__BLK_HOT] ? b->plan.hot_bytes : 0;
    uint32_t n;
    if (b->plan.request_bytes[AIOS__BLK_WARM]) total += b->plan.warm_bytes;
    for (uint32_t i = 0; i < b->plan.n_tensors; i++) {
        const aios__blk_tensor *t = &b->tensor[i];
        for (uint32_t j = 0; j < t->n_blocks; j += n) {
            aios_block_entry *e = &b->entry[t->first + j];
            uint64_t off, next, len = aios__blk_len(t, j, &off);
            int32_t hot = (e->flags & AIOS_BLOCK_HOT) && b->got[AIOS__BLK_HOT],
                    warm = (e->flags & AIOS_BLOCK_WARM) && b->got[AIOS__BLK_WARM];
            aios_status st;
            n = 1;
            if (!hot && !warm) continue;
            while (j + n < t->n_blocks && len < (uint64_t)64 << 20 && e[n].flags == e->flags &&
                   (const char *)e[n].base == (const char *)e->base + len)
                len += aios__blk_len(t, j + n++, &next);
            if ((st = aios__io_read(&b->io[t->part], t->off + off, (void *)(uintptr_t)e->base, len,
                                    err)) != 0)
                return st;
            done += len;
            if (b->desc.progress && b->desc.progress(b->desc.progress_user, done, total))
                return aios__fail(err, AIOS_ERR_CANCELLED, AIOS__NO_OFF,
                                  "loading was stopped by the progress callback");
        }
    }
    return AIOS_OK;
}

/* Gives back what was taken, last first. */
static void aios__blk_give(aios_allocator mem, void *const *got, const aios_mem_req *req) {
    for (uint32_t k = AIOS__BLK_N_REQ; k-- > 0;)
        if (got[k]) mem.free(mem.user, got[k], &req[k]);
}

AIOS_API aios_status aios_blocks_open(const aios_blocks_desc *desc, aios_blocks **out,
                                      aios_error *err) {
    static const char *const names[AIOS__BLK_N_REQ] = { "KV reserve", "block tables", "HOT blocks",
                                                        "WARM blocks", "ring" };
    aios__opening o;
    aios__blk_pass x;
    aios_allocator mem;
    aios_mem_req req[AIOS__BLK_N_REQ];
    void *got[AIOS__BLK_N_REQ] = { NULL, NULL, NULL, NULL, NULL };
    aios_hardware hw;
    aios__bump m = { NULL, 0 };
    aios_blocks *b = NULL;

    if (!out) return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF, "out is NULL");
    *out = NULL;
    aios_hardware_init(&hw);
    memset(&mem, 0, sizeof mem);
    aios_status st = aios__blk_start(&x, &o, desc, err);
    aios_blocks_plan plan = x.plan;
    if (!st) st = aios__allocator_copy(&mem, x.d.mem, "aios_blocks_desc", err);
    if (!st && x.d.hardware) st = aios__desc_copy(AIOS__ID_aios_hardware, &hw, x.d.hardware, err);
    for (uint32_t k = 0; k < AIOS__BLK_N_REQ; k++) {
        aios__blk_req(&plan, k, &req[k]);
        if (!st && req[k].bytes) st = aios__alloc(&mem, &req[k], names[k], &got[k], err);
    }
    if (!st) {
        m.base = (char *)got[AIOS__BLK_META];
        memset(m.base, 0, (size_t)req[AIOS__BLK_META].bytes);
        b = aios__blk_layout(&m, o.n_parts, plan.n_tensors, plan.n_blocks, NULL);
        b->n_blocks = plan.n_blocks;
        b->plan = plan;
        b->desc = x.d;
        b->mem = mem;
        b->hw = hw;
        memcpy(b->req, req, sizeof req);
        memcpy(b->got, got, sizeof got);
        memcpy(b->io, o.io, o.n_parts * sizeof *o.io);
        b->n_parts = o.n_parts;
        b->own_files = o.own_files;
        b->mapped = x.mapped;
        b->slot_bytes = x.slot_bytes;
        b->hw.struct_size = (uint32_t)sizeof b->hw;
        if (x.d.ram_bytes) b->hw.ram_bytes = x.d.ram_bytes;
        aios__hw_isa(&b->hw);
        b->slot = plan.n_slots ? (aios__blk_slot *)(void *)((char *)got[AIOS__BLK_RING] +
                                                            plan.n_slots * x.slot_bytes)
                               : NULL;
        for (uint32_t i = 0; i < plan.n_slots; i++) {
            b->slot[i].id = AIOS__BLK_NONE;
            b->slot[i].want = 0;
        }
        st = aios__blk_walk(&x, 1, b, err);
        if (!st && (x.plan.hot_bytes != plan.hot_bytes || x.plan.warm_bytes != plan.warm_bytes ||
                    x.plan.stream_bytes != plan.stream_bytes))
            st =
                aios__fail(err, AIOS_ERR_IO, 0, "header: the file changed while it was being read");
        if (!st) st = aios__blk_load(b, err);
        /* the caller's, for this call */
        b->desc.mem = NULL;
        b->desc.io = NULL;
        b->desc.path = NULL;
        b->desc.limits = NULL;
        b->desc.hardware = NULL;
        b->desc.progress = NULL;
    }
    if (st) {
        aios__blk_give(mem, got, req);
        aios__opening_end(&o);
        return st;
    }
    *out = b;
    return AIOS_OK;
}
AIOS_API void aios_blocks_free(aios_blocks *b) {
    void *got[AIOS__BLK_N_REQ];
    aios_mem_req req[AIOS__BLK_N_REQ];
    if (!b) return;
    if (b->own_files) aios__parts_close(b->io, b->n_parts);
    memcpy(got, b->got, sizeof got); /* b lies in what is given back */
    memcpy(req, b->req, sizeof req);
    aios__blk_give(b->mem, got, req);
}
AIOS_API void *aios_blocks_kv(const aios_blocks *b, uint64_t *n_bytes) {
    if (n_bytes) *n_bytes = b ? b->req[AIOS__BLK_KV].bytes : 0;
    return b ? b->got[AIOS__BLK_KV] : NULL;
}

AIOS__SMALL_END
/* ---- the hot path ---- */
AIOS_API aios_status aios_resolve_block(aios_blocks *b, uint32_t id, const void **data,
                                        uint32_t *n_bytes) {
    if (id >= b->n_blocks) return AIOS_ERR_ARG;
    const aios_block_entry *e = &b->entry[id];
    const void *p = aios__base_get(&e->base);
    *data = p;
    *n_bytes = e->n_bytes;
    /* HOT is bit 3, WARM bit 4 */
    aios__tally_add(&aios__blk_mine(b->stripe)->tier[p ? e->flags >> 3 & 3 : 3], 1);
    return p ? AIOS_OK : AIOS_MORE;
}
AIOS_API int32_t aios_is_active(aios_blocks *b, uint32_t layer, uint32_t row) {
    if (layer >= b->n_mask_layers || row >= b->n_mask_rows) return 1; /* no mask: no layers */
    if (b->mask[(size_t)layer * b->mask_words + row / 32] >> (row % 32) & 1) return 1;
    aios__tally_add(&aios__blk_mine(b->stripe)->skipped, 1);
    return 0;
}

AIOS__SMALL_BEGIN
/* ---- blocks by name and number ---- */
AIOS_API uint32_t aios_blocks_count(const aios_blocks *b) { return b ? b->n_blocks : 0; }

AIOS_API int64_t aios_blocks_at(const aios_blocks *b, uint32_t tensor, uint64_t off) {
    if (!b || tensor >= b->plan.n_tensors || off >= b->tensor[tensor].n_bytes) return AIOS_ERR_ARG;
    const aios__blk_tensor *t = &b->tensor[tensor];
    uint64_t per = t->unit_bytes / t->block_bytes + (t->unit_bytes % t->block_bytes != 0);
    return (int64_t)(t->first + off / t->unit_bytes * per + off % t->unit_bytes / t->block_bytes);
}
AIOS_API int64_t aios_blocks_find(const aios_blocks *b, const char *name, uint64_t off) {
    if (b && name)
        for (uint32_t i = 0; i < b->plan.n_tensors; i++)
            if (!strcmp(b->tensor[i].name, name)) return aios_blocks_at(b, i, off);
    return AIOS_ERR_ARG;
}
/* The tensor of a block: first ascends. */
static uint32_t aios__blk_of(const aios_blocks *b, uint32_t id) {
    uint32_t low = 0, high = b->plan.n_tensors;
    while (high - low > 1) {
        uint32_t mid = low + (high - low) / 2;
        if (b->tensor[mid].first <= id)
            low = mid;
        else
            high = mid;
    }
    return low;
}
AIOS_API aios_status aios_block_get(const aios_blocks *b, uint32_t id, aios_block_entry *out) {
    if (!b || !out || id >= b->n_blocks) return AIOS_ERR_ARG;
    out->base = aios__base_get(&b->entry[id].base);
    out->n_bytes = b->entry[id].n_bytes;
    out->flags = b->entry[id].flags;
    out->delta = NULL;
    out->delta_bytes = 0;
    out->reserved = 0;
    return AIOS_OK;
}
AIOS_API aios_status aios_block_get_info(const aios_blocks *b, uint32_t id, aios_block_info *out) {
    aios_block_info x;
    if (!b || id >= b->n_blocks) return AIOS_ERR_ARG;
    memset(&x, 0, sizeof x);
    x.tensor = aios__blk_of(b, id);
    const aios__blk_tensor *t = &b->tensor[x.tensor];
    memcpy(x.name, t->name, sizeof x.name);
    x.n_bytes = aios__blk_len(t, id - t->first, &x.offset);
    x.file_offset = t->off + x.offset;
    x.first_row = x.offset / t->row_bytes;
    x.n_rows = x.n_bytes / t->row_bytes;
    x.part = t->part;
    x.layer = t->layer;
    x.type = (int32_t)t->type;
    x.tier = b->entry[id].flags & AIOS_BLOCK_HOT    ? AIOS_TIER_HOT
             : b->entry[id].flags & AIOS_BLOCK_WARM ? AIOS_TIER_WARM
                                                    : AIOS_TIER_STREAM;
    return aios__desc_fill(AIOS__ID_aios_block_info, out, &x);
}

/* ---- the ring, and pages of a map ---- */
/* Walks the blocks from id on, around the end, as far as the prefetch distance goes: id itself,
 * then those that every token reads and that lie in the file. */
typedef struct aios__blk_step {
    uint32_t id, first, n, tensor, layers;
    int32_t layer;
} aios__blk_step;
static void aios__blk_first(const aios_blocks *b, uint32_t id, aios__blk_step *s) {
    s->id = s->first = id;
    s->n = 0; /* how far id is from first */
    s->tensor = aios__blk_of(b, id);
    s->layer = b->tensor[s->tensor].layer;
    s->layers = 0;
}
static int32_t aios__blk_next(const aios_blocks *b, aios__blk_step *s) {
    if (b->desc.flags & AIOS_BLOCKS_NO_PREFETCH) return 0;
    while (++s->n < b->n_blocks) {
        const aios__blk_tensor *t;
        if (++s->id == b->n_blocks) {
            s->id = 0;
            s->tensor = 0;
        } else if (s->id - b->tensor[s->tensor].first == b->tensor[s->tensor].n_blocks)
            s->tensor++;
        t = &b->tensor[s->tensor];
        if (t->layer != s->layer) {
            s->layer = t->layer;
            if (++s->layers > b->plan.prefetch_distance) return 0;
        }
        if (t->use <= AIOS__BLK_EACH && !(b->entry[s->id].flags & AIOS_BLOCK_HOT)) return 1;
    }
    return 0;
}
/* The slot that a block's bytes are in; they are in one. */
static aios__blk_slot *aios__blk_slot_of(const aios_blocks *b, const void *p) {
    return &b->slot[(uint64_t)((const char *)p - (const char *)b->got[AIOS__BLK_RING]) /
                    b->slot_bytes];
}
static aios_status aios__blk_bring(aios_blocks *b, uint32_t id, const aios__blk_tensor *t,
                                   aios_error *err) {
    aios_block_entry *e = &b->entry[id];
    aios__blk_slot *s;
    const aios_io *io = &b->io[t->part];
    uint64_t off, len = aios__blk_len(t, id - t->first, &off);
    aios_status st;
    /* fewer are wanted than there are */
    while (s = &b->slot[b->victim], s->want == b->want)
        b->victim = (b->victim + 1) % b->plan.n_slots;
    if (s->id != AIOS__BLK_NONE) aios__base_set(&b->entry[s->id].base, NULL);
    s->id = AIOS__BLK_NONE;
    char *dst = (char *)b->got[AIOS__BLK_RING] + b->victim * b->slot_bytes;
    off += t->off;
    /* whole pages, for readers that go past the page cache */
    uint64_t from = off / AIOS__BLK_PAGE * AIOS__BLK_PAGE;
    uint64_t to = aios__min_u64(aios__round_up(off + len, AIOS__BLK_PAGE), io->n_bytes);
    if ((st = aios__io_read(io, from, dst, to - from, err)) != 0) return st;
    s->id = id;
    s->want = b->want;
    b->victim = (b->victim + 1) % b->plan.n_slots; /* the oldest goes next */
    aios__base_set(&e->base, dst + (off - from));
    aios__tally_add(&b->n_prefetched, 1);
    aios__total_add(&b->prefetch_bytes, to - from);
    return AIOS_OK;
}
static int32_t aios__blk_late(const aios_blocks *b, uint64_t deadline) {
    return deadline && b->desc.now_ns(b->desc.now_user) >= deadline;
}

static aios_status aios__blk_ring_fill(aios_blocks *b, uint32_t id, uint64_t deadline,
                                       aios_error *err) {
    aios__blk_step s;
    uint32_t n, most = b->plan.n_slots;
    aios_status st;
    if (!++b->want) { /* once around: no old mark may look new */
        for (n = 0; n < most; n++) b->slot[n].want = 0;
        b->want = 1;
    }
    aios__blk_first(b, id, &s);
    for (n = 0; n < most;) { /* what is wanted and there stays */
        const void *p = b->entry[s.id].base;
        if (!(b->entry[s.id].flags & (AIOS_BLOCK_HOT | AIOS_BLOCK_WARM))) {
            n++;
            if (p) aios__blk_slot_of(b, p)->want = b->want;
        }
        if (!aios__blk_next(b, &s)) break;
    }
    most = n;
    aios__blk_first(b, id, &s);
    for (n = 0; n < most;) {
        if (!(b->entry[s.id].flags & (AIOS_BLOCK_HOT | AIOS_BLOCK_WARM))) {
            n++;
            if (!b->entry[s.id].base) {
                if ((st = aios__blk_bring(b, s.id, &b->tensor[s.tensor], err)) != 0) return st;
                if (n < most && aios__blk_late(b, deadline)) return AIOS_MORE;
            }
        }
        if (!aios__blk_next(b, &s)) break;
    }
    return AIOS_OK;
}
/* Where the io maps: the first byte of every page, so that the fault is taken here. */
static aios_status aios__blk_touch(aios_blocks *b, uint32_t id, uint64_t deadline) {
    aios__blk_step s;
    uint32_t skip = (id + b->n_blocks - b->seen_first) % b->n_blocks;
    aios_status st = AIOS_OK;
    /* so many from id on were touched by the call before */
    skip = skip < b->seen ? b->seen - skip : 0;
    aios__blk_first(b, id, &s);
    do {
        const aios_block_entry *e = &b->entry[s.id];
        uint64_t i;
        if (s.n < skip || ((e->flags & AIOS_BLOCK_HOT) && b->got[AIOS__BLK_HOT])) continue;
        for (i = 0; i < e->n_bytes; i += AIOS__BLK_PAGE)
            (void)*((const volatile char *)e->base + i);
        aios__tally_add(&b->n_prefetched, 1);
        aios__total_add(&b->prefetch_bytes, e->n_bytes);
        if (aios__blk_late(b, deadline)) {
            s.n++;
            st = AIOS_MORE;
            break;
        }
    } while (aios__blk_next(b, &s));
    b->seen_first = id;
    b->seen = s.n > skip ? s.n : skip;
    return st;
}
AIOS_API aios_status aios_blocks_prefetch(aios_blocks *b, uint32_t id, uint64_t deadline_ns,
                                          aios_error *err) {
    aios_status st = AIOS_OK;
    aios__clear(err);
    if (!b || id >= (b ? b->n_blocks : 0))
        return aios__fail2(err, AIOS_ERR_ARG, AIOS__NO_OFF, b ? b->n_blocks : 0, id,
                           "there is no block %", aios__u(id), aios__u(0));
    if (!b->plan.n_slots && !b->mapped) return AIOS_OK; /* all is resident */
    uint64_t t0 = b->desc.now_ns(b->desc.now_user);
    st = b->plan.n_slots ? aios__blk_ring_fill(b, id, deadline_ns, err)
                         : aios__blk_touch(b, id, deadline_ns);
    aios__total_add(&b->prefetch_ns, b->desc.now_ns(b->desc.now_user) - t0);
    return st;
}
AIOS_API aios_status aios_blocks_read(const aios_blocks *b, uint32_t id, uint64_t offset, void *dst,
                                      uint64_t n, aios_error *err) {
    uint64_t off;
    aios__clear(err);
    if (!b || id >= (b ? b->n_blocks : 0) || (!dst && n))
        return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF,
                          "aios_blocks_read: there is no such block, or dst is NULL");
    const aios__blk_tensor *t = &b->tensor[aios__blk_of(b, id)];
    uint64_t len = aios__blk_len(t, id - t->first, &off);
    if (offset > len || n > len - offset)
        return aios__fail2(err, AIOS_ERR_ARG, AIOS__NO_OFF, len, offset,
                           "a block of % bytes has none from byte % on, or too few", aios__u(len),
                           aios__u(offset));
    return aios__io_read(&b->io[t->part], t->off + off + offset, dst, n, err);
}

/* ---- sparsity ---- */
AIOS_API aios_status aios_blocks_set_mask(aios_blocks *b, const uint32_t *bits, uint32_t n_layers,
                                          uint32_t n_rows, aios_error *err) {
    aios__clear(err);
    if (!b) return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF, "the controller is NULL");
    if (bits && b->desc.flags & AIOS_BLOCKS_NO_SPARSITY)
        return aios__fail(err, AIOS_ERR_STATE, AIOS__NO_OFF,
                          "the controller was opened with AIOS_BLOCKS_NO_SPARSITY");
    if (bits && (!n_layers || !n_rows))
        return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF,
                          "a mask has one layer and one row at the least");
    b->mask = bits;
    b->n_mask_layers = bits ? n_layers : 0;
    b->n_mask_rows = bits ? n_rows : 0;
    b->mask_words = n_rows / 32 + (n_rows % 32 != 0);
    for (uint32_t i = 0; i < b->plan.n_tensors; i++) {
        const aios__blk_tensor *t = &b->tensor[i];
        aios__str name;
        int32_t of_rows;
        name.p = t->name;
        name.n = strlen(t->name);
        of_rows =
            t->layer >= 0 && (uint32_t)t->layer < b->n_mask_layers &&
            t->n_bytes / t->row_bytes == n_rows &&
            (aios__blk_has(name, ".ffn_up.weight") || aios__blk_has(name, ".ffn_gate.weight"));
        for (uint32_t j = 0; j < t->n_blocks; j++) {
            aios_block_entry *e = &b->entry[t->first + j];
            uint64_t off, len = aios__blk_len(t, j, &off), r = off / t->row_bytes,
                          end = (off + len) / t->row_bytes;
            e->flags &= ~(uint32_t)AIOS_BLOCK_SPARSE;
            if (!of_rows) continue;
            while (r < end && !(bits[(size_t)t->layer * b->mask_words + r / 32] >> (r % 32) & 1))
                r++;
            if (r == end) e->flags |= AIOS_BLOCK_SPARSE;
        }
    }
    return AIOS_OK;
}

/* ---- telemetry ---- */
AIOS_API void aios_blocks_set_memory(aios_blocks *b, uint32_t flags) {
    if (b) b->mem_flags = flags;
}
AIOS_API void aios_blocks_token(aios_blocks *b) {
    if (b) aios__tally_add(&b->n_tokens, 1);
}

AIOS_API aios_status aios_get_hardware_profile(const aios_blocks *b, aios_hardware *out) {
    return b ? aios__desc_fill(AIOS__ID_aios_hardware, out, &b->hw) : AIOS_ERR_ARG;
}
static void aios__blk_sum(const aios_blocks *b, aios__blk_sums *s) {
    memset(s, 0, sizeof *s);
    for (uint32_t i = 0; i < AIOS__BLK_STRIPES; i++) {
        for (uint32_t k = 0; k < 4; k++) s->tier[k] += aios__tally_get(&b->stripe[i].tier[k]);
        s->skipped += aios__tally_get(&b->stripe[i].skipped);
    }
    s->n_tokens = aios__tally_get(&b->n_tokens);
    s->n_prefetched = aios__tally_get(&b->n_prefetched);
    s->prefetch_bytes = aios__total_get(&b->prefetch_bytes);
    s->prefetch_ns = aios__total_get(&b->prefetch_ns);
}
AIOS_API aios_status aios_get_telemetry(const aios_blocks *b, aios_telemetry *out) {
    aios_telemetry t;
    aios__blk_sums s;
    if (!b) return AIOS_ERR_ARG;
    memset(&t, 0, sizeof t);
    aios__blk_sum(b, &s);
    t.degraded = b->plan.degraded;
    t.n_tokens = s.n_tokens - b->from.n_tokens;
    t.n_stream = s.tier[0] - b->from.tier[0];
    t.n_hot = s.tier[1] - b->from.tier[1];
    t.n_warm = s.tier[2] - b->from.tier[2];
    t.n_missed = s.tier[3] - b->from.tier[3];
    t.n_skipped = s.skipped - b->from.skipped;
    t.n_resolved = t.n_hot + t.n_warm + t.n_stream;
    t.hot_ratio = t.n_resolved ? (double)t.n_hot / (double)t.n_resolved : 0;
    t.n_prefetched = s.n_prefetched - b->from.n_prefetched;
    t.prefetch_bytes = s.prefetch_bytes - b->from.prefetch_bytes;
    t.prefetch_ns = s.prefetch_ns - b->from.prefetch_ns;
    t.isa_tier = (uint32_t)b->hw.isa_tier;
    t.sparsity = b->mask != NULL;
    t.prefetch = !(b->desc.flags & AIOS_BLOCKS_NO_PREFETCH);
    t.pinned = (b->mem_flags & AIOS_MEM_PIN) != 0;
    t.huge_pages = (b->mem_flags & AIOS_MEM_HUGE) != 0;
    return aios__desc_fill(AIOS__ID_aios_telemetry, out, &t);
}
/* The counters themselves are not touched: other threads may be adding to them, and nothing is
 * lost or counted twice. */
AIOS_API void aios_reset_telemetry(aios_blocks *b) {
    if (b) aios__blk_sum(b, &b->from);
}
AIOS__SMALL_END

#if defined(__clang__)
#pragma clang fp contract(on)           /* what follows is the host's */
#endif
#endif

/*
 * aios.h is available under two licences; choose the one that you prefer.
 *
 * ------------------------------------------------------------------------------
 * ALTERNATIVE A - MIT License
 *
 * Copyright (c) the aios.h authors
 *
 * Permission is hereby granted, free of charge, to any person obtaining a copy of
 * this software and associated documentation files (the "Software"), to deal in
 * the Software without restriction, including without limitation the rights to
 * use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies
 * of the Software, and to permit persons to whom the Software is furnished to do
 * so, subject to the following conditions:
 *
 * The above copyright notice and this permission notice shall be included in all
 * copies or substantial portions of the Software.
 *
 * THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
 * IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
 * FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
 * AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
 * LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
 * OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
 * SOFTWARE.
 *
 * ------------------------------------------------------------------------------
 * ALTERNATIVE B - Public Domain (www.unlicense.org)
 *
 * This is free and unencumbered software released into the public domain.
 *
 * Anyone is free to copy, modify, publish, use, compile, sell, or distribute this
 * software, either in source code form or as a compiled binary, for any purpose,
 * commercial or non-commercial, and by any means.
 *
 * In jurisdictions that recognize copyright laws, the author or authors of this
 * software dedicate any and all copyright interest in the software to the public
 * domain. We make this dedication for the benefit of the public at large and to
 * the detriment of our heirs and successors. We intend this dedication to be an
 * overt act of relinquishment in perpetuity of all present and future rights to
 * this software under copyright law.
 *
 * THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
 * IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
 * FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
 * AUTHORS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN
 * ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION
 * WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
 */
