# nfc.py: writes src/text/nfc.h, what canonical composition needs of Unicode.
#
#     python3 tools/nfc.py >src/text/nfc.h         needs unicodedata2==15.1.0, so that the version is that of src/text/unicode.h
import sys
try:
    import unicodedata2 as ucd
except ImportError:
    import unicodedata as ucd

HANGUL = range(0xAC00, 0xAC00 + 11172)
split = {}
for c in range(0x110000):
    d = ucd.decomposition(chr(c))
    if d and d[0] != "<" and c not in HANGUL:
        split[c] = [int(x, 16) for x in d.split()]
ccc = {c: ucd.combining(chr(c)) for c in range(0x110000) if ucd.combining(chr(c))}
joins = [c for c in sorted(split) if len(split[c]) == 2 and ucd.normalize("NFC", chr(c)) == chr(c)]
pairs = [c for c in sorted(split) if len(split[c]) == 2 and c not in set(joins)]
ones = [c for c in sorted(split) if len(split[c]) == 1]
seconds = sorted({split[c][1] for c in joins + pairs})
jamo = set(range(0x1161, 0x1176)) | set(range(0x11A8, 0x11C3))
behind = {split[c][1] for c in joins} | jamo            # may join with what stands before
odd = set(ccc) | behind | set(pairs) | set(ones)        # all others start a stretch of text that is composed alone, and stay as they are

# What the code in nfc.c relies on
first_of = lambda c: first_of(split[c][0]) if c in split else c
kind = lambda c: "Z" if chr(c).isspace() else ucd.category(chr(c))[0]
assert all(c >> 16 == x >> 16 for c in joins + pairs for x in split[c]) and max(joins) < 0x20000
assert all(x not in split for x in seconds) and not any(first_of(c) in behind or first_of(c) in ccc for c in set(split) - odd)
assert all(kind(c) == kind(split[c][0]) for c in split) and all(kind(c) == "M" for c in ccc)
assert min(odd) >= 0x300 and all(c < 0x20000 or 0x2F800 <= c < 0x2FA20 for c in odd) and not behind & set(range(0x20000, 0x110000))
assert all(split[c][0] >> 16 in (0, 2) for c in ones) and not [c for c in ccc if c in split and not 0x340 <= c <= 0x344]

def runs(cs, base):
    starts = [i for i, c in enumerate(cs) if not i or cs[i - 1] != c - 1]
    return [cs[i] << 12 | base + i for i in starts] + [0xFFFFF << 12 | base + len(cs)]

marks = []
for c in sorted(ccc):
    if marks and marks[-1][0] + marks[-1][1] == c and marks[-1][2] == ccc[c] and marks[-1][1] < 64:
        marks[-1][1] += 1
    else:
        marks.append([c, 1, ccc[c]])

by_second = sorted(range(len(joins)), key=lambda i: (split[joins[i]][1], split[joins[i]][0]))
start = [sum(split[c][1] < x for c in joins) for x in seconds] + [len(joins)]
bits = lambda cs, n: [sum(1 << b for b in range(32) if w * 32 + b in cs) for w in range(n)]
blocks = sorted({c >> 5 for c in odd if c < 0x20000})
planes = bits({i for i, c in enumerate(ones) if split[c][0] >> 16}, (len(ones) + 31) // 32)

size = 0
def table(kind, name, values, hex_=True):
    global size
    size += len(values) * {"uint8_t": 1, "uint16_t": 2, "uint32_t": 4}[kind]
    print("static const %s %s[%d] = {" % (kind, name, len(values)))
    line = "   "
    for v in values:
        t = (" 0x%x," if hex_ else " %d,") % v
        if len(line) + len(t) > 120:
            print(line)
            line = "   "
        line += t
    print(line + "\n};")

print("""/* nfc.h: canonical composition (NFC): what splits into what, what joins to what, and the order of marks. Unicode %s.
 * Tables only; nfc.c looks things up. Written by tools/nfc.py, not edited by hand. Hangul goes by formula. */
#ifndef AIOS__NFC_H
#define AIOS__NFC_H

/* Code points that split in two. Those before N_JOINS join again, the others do not (excluded from composition). Runs: first code point
 * << 12 | its index, which goes on to that of the next run; then what they split into: the low 16 bits of the first half, which is of the
 * same plane, and the index of the second half. */
enum { AIOS__NFC_JOINS = %d, AIOS__NFC_PAIRS = %d, AIOS__NFC_ONES = %d };""" % (ucd.unidata_version, len(joins), len(pairs), len(ones)))
table("uint32_t", "aios__nfc_join_run", runs(joins, 0))
table("uint32_t", "aios__nfc_pair_run", runs(pairs, len(joins)))
table("uint16_t", "aios__nfc_first", [split[c][0] & 0xFFFF for c in joins + pairs])
table("uint8_t", "aios__nfc_second", [seconds.index(split[c][1]) for c in joins + pairs], False)
print("\n/* The second halves; of those that join, where they begin in the list by second and first half. */")
table("uint32_t", "aios__nfc_seconds", seconds)
table("uint16_t", "aios__nfc_start", start, False)
table("uint16_t", "aios__nfc_by_second", by_second, False)
print("\n/* Code points that become another one: the low 16 bits, and a bit where it is in plane 2 and not in plane 0. */")
table("uint32_t", "aios__nfc_one_run", runs(ones, 0))
table("uint16_t", "aios__nfc_one", [split[c][0] & 0xFFFF for c in ones])
table("uint32_t", "aios__nfc_one_plane", planes)
print("\n/* Canonical combining classes other than 0: code point << 14 | how many follow << 8 | class. */")
table("uint32_t", "aios__nfc_mark", [c << 14 | n - 1 << 8 | k for c, n, k in marks])
print("""
/* Which have a class, may join with what stands before them, or do not stay; below U+20000. A bit for 32 code points of which some do, how many
 * such bits there are before each word of them, and for each such bit those code points. */""")
table("uint32_t", "aios__nfc_block", bits(set(blocks), 128))
table("uint8_t", "aios__nfc_rank", [sum(b < w * 32 for b in blocks) for w in range(128)], False)
table("uint32_t", "aios__nfc_odd", [sum(1 << k for k in range(32) if b * 32 + k in odd) for b in blocks])
print("\n#endif")
sys.stderr.write("%d bytes, Unicode %s\n" % (size, ucd.unidata_version))
