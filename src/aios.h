#include "api.h"

#if defined(AIOS_IMPLEMENTATION) && !defined(AIOS_EXTERNAL) && !defined(AIOS__IMPLEMENTED)
#define AIOS__IMPLEMENTED
#ifndef AIOSK_IMPLEMENTATION
#define AIOSK_IMPLEMENTATION
#endif
#include "aios_kernels.h"
#include "base.h"
AIOS__SMALL_BEGIN
#include "status.c"
AIOS__SMALL_END
#include "job.c"
#include "io.c"
#include "gguf.h"
AIOS__SMALL_BEGIN
#include "hardware.c"
#include "gguf.c"
AIOS__SMALL_END
#include "unicode.h"
#include "nfc.h"
#include "vocab.c"
AIOS__SMALL_BEGIN
#include "arch.c"
AIOS__SMALL_END
#include "model.c"
#include "kv.c"
AIOS__SMALL_BEGIN
#include "artifact.c"
#include "open.c"
#include "memory.c"
#include "stream.c"
#include "rows.c"
AIOS__SMALL_END
#include "dmath.h"
#include "experts.c"
#include "ops.c"
AIOS__SMALL_BEGIN
#include "program.c"
AIOS__SMALL_END
#include "exec.c"
AIOS__SMALL_BEGIN
#include "spill.c"
#include "pass.c"
#include "plan.c"
AIOS__SMALL_END
#include "sampler.c"
AIOS__SMALL_BEGIN
#include "sequence.c"
#include "state.c"
#include "context.c"
AIOS__SMALL_END
#include "blocks.c"
#if defined(__clang__)
#pragma clang fp contract(on)           /* what follows is the host's */
#endif
#endif
