/* tale.h: the small model of models/ as a constant in the program, so that an example needs no file.
 *
 *     tale_gguf, tale_gguf_bytes          the file's bytes, 64-byte aligned
 *
 * GCC and Clang take the file through the assembler while they compile; compile from the root of the repository, or say
 * -DTALE_FILE='"path"'. For other compilers: cc tools/embed.c -o embed && ./embed models/tale.gguf tale_gguf > examples/tale_words.h
 * and -DTALE_WORDS. */
#ifndef TALE_H
#define TALE_H

#if (defined(__GNUC__) || defined(__clang__)) && !defined(TALE_WORDS) && !defined(_MSC_VER)

#ifndef TALE_FILE
#define TALE_FILE "models/tale.gguf"
#endif
#if defined(__APPLE__)
#define TALE__SECTION ".section __TEXT,__const\n"
#elif defined(_WIN32)
#define TALE__SECTION ".section .rdata,\"dr\"\n"
#else
#define TALE__SECTION ".section .rodata\n"
#endif
#define TALE__STR2(x) #x
#define TALE__STR(x) TALE__STR2(x)
#define TALE__NAME(x) TALE__STR(__USER_LABEL_PREFIX__) #x
#if defined(__wasm__)       /* its linker asks for the kind and the size of each symbol */
#undef TALE__SECTION
#define TALE__SECTION ".section .rodata.tale,\"\",@\n"
#define TALE__OBJECT(x, size) ".type " TALE__NAME(x) ",@object\n.size " TALE__NAME(x) "," size "\n"
#else
#define TALE__OBJECT(x, size)
#endif
__asm__(TALE__SECTION
        ".balign 64\n"
        ".globl " TALE__NAME(tale_gguf) "\n"
        TALE__OBJECT(tale_gguf, TALE__NAME(tale_gguf_end) "-" TALE__NAME(tale_gguf))
        TALE__NAME(tale_gguf) ":\n"
        ".incbin \"" TALE_FILE "\"\n"
        ".globl " TALE__NAME(tale_gguf_end) "\n"
        TALE__OBJECT(tale_gguf_end, "1")
        TALE__NAME(tale_gguf_end) ":\n"
        ".byte 0\n"
        ".text\n");
#ifdef __cplusplus
extern "C" {
#endif
extern const unsigned char tale_gguf[], tale_gguf_end[];
#ifdef __cplusplus
}
#endif
#define tale_gguf_bytes ((unsigned long long)(tale_gguf_end - tale_gguf))

#else
#include "tale_words.h"
#endif
#endif
