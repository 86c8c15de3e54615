# compose.py: cases for canonical composition, what Python says of them, and whether DRIVER says the same; see compose.sh.
#     compose.py DRIVER       compares        compose.py -        prints what tests/test_vocab.c keeps
import subprocess, sys
try:
    import unicodedata2 as ucd      # a later Unicode
except ImportError:
    import unicodedata as ucd

# The same in tests/test_vocab.c: first code point, how many
RANGES = [(0x300, 0x70), (0x300, 0x70), (0x41, 0x3A), (0x41, 0x3A), (0xC0, 0x1C0), (0x1E00, 0x200), (0x1100, 0x100), (0x1160, 0x70), (0xAC00, 0x2BA4),
          (0x590, 0x30), (0x64B, 0x16), (0x915, 0x40), (0x9BE, 0x1A), (0xBBE, 0x1A), (0xF71, 0x15), (0x3099, 2), (0x304B, 0x60), (0x1D157, 0x20),
          (0x11099, 0x22), (0x11347, 0x20), (0xF900, 0x200), (0x2F800, 0x21E), (0x2000, 4), (0x2126, 6), (0x338, 1), (0x3C, 3), (0x20, 1), (0x1F00, 0x100)]
def cases():
    for c in range(0x110000):
        if not 0xD800 <= c < 0xE000:
            yield chr(c)
    r = 1
    def rand(n):
        nonlocal r
        r = (r * 6364136223846793005 + 1442695040888963407) % 2**64
        return (r >> 33) % n
    for i in range(60000):
        s = ""
        for k in range(1 + rand(12)):
            lo, n = RANGES[rand(len(RANGES))]
            s += chr(lo + rand(n))
        yield s

def fnv(texts):
    h = 2166136261
    for t in texts:
        for b in t.encode():
            h = (h ^ b) * 16777619 & 0xFFFFFFFF
    return h

all_ = list(cases())
one, many = all_[:0x110000 - 2048], all_[0x110000 - 2048:]
want = [ucd.normalize("NFC", s) for s in all_]
if sys.argv[1] == "-":
    print("Unicode %s: 0x%08X 0x%08X" % (ucd.unidata_version, fnv(want[:len(one)]), fnv(want[len(one):])))
    sys.exit()
# A version other than the library's knows other characters: only those that this one has
known = [all(ucd.category(c) != "Cn" for c in s) for s in all_]
sep = "\x01"                        # starts a stretch, joins nothing
got = subprocess.run([sys.argv[1]], input=sep.join(all_).encode(), stdout=subprocess.PIPE, check=True).stdout.decode().split(sep)
got[1:3] = [sep]                    # it is a case itself
bad = [(s, w, g) for s, w, g, k in zip(all_, want, got, known) if k and w != g]
assert len(got) == len(all_), (len(got), len(all_))
for s, w, g in bad[:10]:
    print("FAIL", *(" ".join("%04X" % ord(c) for c in x) + ";" for x in (s, w, g)))
print("Unicode %s: %d of %d texts" % (ucd.unidata_version, sum(known) - len(bad), sum(known)))
sys.exit(bool(bad))
