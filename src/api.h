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
