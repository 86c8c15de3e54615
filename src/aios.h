#include "api.h"

#if defined(AIOS_IMPLEMENTATION) && !defined(AIOS_EXTERNAL) && !defined(AIOS__IMPLEMENTED)
#define AIOS__IMPLEMENTED
#ifndef AIOSK_IMPLEMENTATION
#define AIOSK_IMPLEMENTATION
#endif
#include "aios_kernels.h"
#include "base.h"
#include "status.c"
#include "job.c"
#include "io.c"
#include "hardware.c"
#include "gguf.h"
#include "gguf.c"
#include "unicode.h"
#include "vocab.c"
#include "arch.c"
#include "model.c"
#include "kv.c"
#include "artifact.c"
#include "open.c"
#include "memory.c"
#include "stream.c"
#include "dmath.h"
#include "experts.c"
#include "ops.c"
#include "program.c"
#include "exec.c"
#include "spill.c"
#include "pass.c"
#include "plan.c"
#include "sampler.c"
#include "sequence.c"
#include "state.c"
#include "context.c"
#include "blocks.c"
#if defined(__clang__)
#pragma clang fp contract(on)           /* what follows is the host's */
#endif
#endif
