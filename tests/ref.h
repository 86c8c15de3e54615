/* ref.h: the definition of the tensor types and of packed activations (kernels/ref.c, pack.c) as
 * text of a test, private names included. The library that is judged by it is linked; for its
 * public names those of this copy are others. Before "test.h". */
#ifndef AIOS_TEST_REF_H
#define AIOS_TEST_REF_H

#include "aios_kernels.h"
#include "kernels/base.h"

#undef AIOSK_API
#define AIOSK_API              static AIOSK__UNUSED
#define aiosk_type_info        ref_type_info
#define aiosk_row_bytes        ref_row_bytes
#define aiosk_f16_to_f32       ref_f16_to_f32
#define aiosk_f32_to_f16       ref_f32_to_f16
#define aiosk_unpack           ref_unpack
#define aiosk_matmul_reference ref_matmul_reference
#define aiosk_layout_bytes     ref_layout_bytes
#define aiosk_pack_panel       ref_pack_panel
#define aiosk_unpack_panel_row ref_unpack_panel_row
#define aiosk_act_bytes        ref_act_bytes
#define aiosk_act_unpack       ref_act_unpack
#include "kernels/ref.c"
#include "kernels/pack.c"
#undef aiosk_type_info
#undef aiosk_row_bytes
#undef aiosk_f16_to_f32
#undef aiosk_f32_to_f16
#undef aiosk_unpack
#undef aiosk_matmul_reference
#undef aiosk_layout_bytes
#undef aiosk_pack_panel
#undef aiosk_unpack_panel_row
#undef aiosk_act_bytes
#undef aiosk_act_unpack

#endif
