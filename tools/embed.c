/* embed.c: turns a file into C, for compilers without .incbin (see examples/tale.h).
 *
 *     cc -std=c99 tools/embed.c -o embed
 *     ./embed models/tale.gguf tale_gguf > examples/tale_words.h
 *
 * The array is made of 64-bit words, eight times fewer for the compiler to read than bytes: 4 MB compile in about a second.
 * Little-endian machines only, like the library. */
#include <stdio.h>

int main(int argc, char **argv) {
    unsigned char b[8];
    unsigned long long n = 0;
    size_t k;
    FILE *f;
    if (argc != 3) { fprintf(stderr, "usage: embed FILE NAME > OUT.h\n"); return 2; }
    if (!(f = fopen(argv[1], "rb"))) { fprintf(stderr, "embed: %s cannot be read\n", argv[1]); return 1; }
    printf("static const unsigned long long %s_words[] = {", argv[2]);
    while ((k = fread(b, 1, sizeof b, f)) > 0) {
        unsigned long long v = 0;
        size_t i;
        for (i = 0; i < k; i++) v |= (unsigned long long)b[i] << (8 * i);
        printf("%s0x%llX,", n % 64 ? "" : "\n", v);
        n += k;
    }
    printf("0};\n#define %s ((const unsigned char *)%s_words)\n#define %s_bytes %lluULL\n", argv[2], argv[2], argv[2], n);
    return ferror(f) != 0;
}
