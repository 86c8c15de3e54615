#include "api.h"

#if defined(AIOS_IMPLEMENTATION) && !defined(AIOS_EXTERNAL) && !defined(AIOS__IMPLEMENTED)
#define AIOS__IMPLEMENTED
#ifndef AIOSK_IMPLEMENTATION
#define AIOSK_IMPLEMENTATION
#endif
#include "aios_kernels.h"
#include "base/base.h"
#include "base/dmath.h"
AIOS__SMALL_BEGIN
#include "base/text.c"
#include "base/error.c"
#include "base/desc.c"
#include "base/alloc.c"
AIOS__SMALL_END
#include "host/atomic.c"
#include "host/clock.c"
#include "host/threads.c"
#include "host/io.c"
AIOS__SMALL_BEGIN
#include "host/hardware.c"
AIOS__SMALL_END
#include "file/gguf.h"
AIOS__SMALL_BEGIN
#include "file/gguf.c"
AIOS__SMALL_END
#include "text/unicode.h"
#include "text/nfc.h"
#include "text/char.c"
#include "text/nfc.c"
#include "text/words.c"
#include "text/vocab.c"
#include "text/encode.c"
#include "text/decode.c"
AIOS__SMALL_BEGIN
#include "model/arch.c"
#include "model/graph.h"
#include "model/model.h"
#include "model/keys.c"
#include "model/layers.c"
AIOS__SMALL_END
#include "model/model.c"
AIOS__SMALL_BEGIN
#include "model/graph.c"
#include "model/artifact.c"
#include "model/open.c"
#include "memory/memory.c"
#include "memory/stream.c"
#include "memory/rows.c"
AIOS__SMALL_END
#include "memory/moe.c"
#include "memory/experts.c"
#include "kv/kv.c"
AIOS__SMALL_BEGIN
#include "run/op.h"
#include "run/op_basic.c"
#include "run/op_matrix.c"
#include "run/op_attend.c"
#include "run/op_moe.c"
#include "run/program.c"
AIOS__SMALL_END
#include "run/exec.c"
#include "context/context.h"
AIOS__SMALL_BEGIN
#include "context/spill.c"
#include "context/pass.c"
AIOS__SMALL_END
#include "context/sampler.c"
AIOS__SMALL_BEGIN
#include "context/layout.c"
#include "context/plan.c"
#include "context/sequence.c"
#include "context/state.c"
#include "context/context.c"
AIOS__SMALL_END
#include "blocks.c"
#if defined(__clang__)
#pragma clang fp contract(on)           /* what follows is the host's */
#endif
#endif
