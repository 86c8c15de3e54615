# bindings.py LIBRARY MODEL COMMAND: the library as another language sees it: symbols, sizes and structs as the header describes them, nothing compiled.
# Prints "N passed, N failed" last.
import ctypes as C
import subprocess
import sys

lib = C.CDLL(sys.argv[1])
path = sys.argv[2].encode()
passed = failed = 0


def check(ok, what):
    global passed, failed
    passed, failed = passed + bool(ok), failed + (not ok)
    if not ok:
        print("failed:", what)


def fn(name, result, *args):
    f = getattr(lib, name)
    f.restype, f.argtypes = result, args
    return f


u32, i32, u64, i64, f32, ptr, text = C.c_uint32, C.c_int32, C.c_uint64, C.c_int64, C.c_float, C.c_void_p, C.c_char_p
ref = C.POINTER


class Struct(C.Structure):
    """struct_size and zeros, which is all that the library's own *_init does."""
    def __init__(self, **fields):
        super().__init__(struct_size=C.sizeof(self), **fields)


ALLOC = C.CFUNCTYPE(ptr, ptr, ptr)
FREE = C.CFUNCTYPE(None, ptr, ptr, ptr)


class aios_error(C.Structure):
    _fields_ = [("code", i32), ("reserved", u32), ("offset", u64), ("expected", u64), ("got", u64), ("text", C.c_char * 224)]


class aios_allocator(Struct):
    _fields_ = [("struct_size", u32), ("flags", u32), ("alloc", ALLOC), ("free", FREE), ("user", ptr), ("granted", ptr)]


class aios_model_desc(Struct):
    _fields_ = [("struct_size", u32), ("flags", u32), ("mem", ref(aios_allocator)), ("io", ptr), ("path", text), ("limits", ptr), ("n_parts", u32),
                ("reserved", u32), ("log", ptr), ("log_user", ptr), ("artifact", ptr), ("artifact_path", text)]


class aios_sampler(Struct):
    _fields_ = [("struct_size", u32), ("flags", u32), ("seed", u64), ("temperature", f32), ("top_p", f32), ("min_p", f32), ("top_k", i32),
                ("repeat_penalty", f32), ("repeat_last", i32), ("bias", ptr), ("n_bias", u32), ("reserved", u32),
                ("typical_p", f32), ("top_n_sigma", f32), ("xtc_probability", f32), ("xtc_threshold", f32), ("order", C.c_uint8 * 16)]


class aios_key_info(Struct):
    _fields_ = [("struct_size", u32), ("type", u32), ("item_type", u32), ("name_bytes", u32), ("n_items", u64), ("name", ptr), ("data", ptr), ("n_bytes", u64)]


class aios_detok(C.Structure):
    _fields_ = [("bytes", C.c_uint8 * 8), ("n_bytes", u32), ("flags", u32)]


version = fn("aios_version", u32)
size_of = fn("aios_sizeof", u64, text)
model_open = fn("aios_model_open", i32, ptr, ref(ptr), ref(aios_error))
model_free = fn("aios_model_free", None, ptr)
plan_make = fn("aios_plan_make", i32, ptr, ptr, ptr, ref(aios_error))
context_open = fn("aios_context_open", i32, ptr, ptr, ptr, ref(ptr), ref(aios_error))
context_free = fn("aios_context_free", None, ptr)
key_find = fn("aios_key_find", i64, ptr, text)
key_get = fn("aios_key_get", i32, ptr, i64, ref(aios_key_info))
key_str = fn("aios_key_str", i32, ptr, i64, u64, ref(ptr), ref(u64))
key_u64 = fn("aios_key_u64", i32, ptr, i64, u64, ref(u64))
token_find = fn("aios_token_find", i32, ptr, text, u64)
token_text = fn("aios_token_text", ptr, ptr, i32, ref(u64))
tokenize = fn("aios_tokenize", i64, ptr, text, u64, u32, ref(i32), u64, ref(aios_error))
detokenize = fn("aios_detokenize", i64, ptr, ref(aios_detok), i32, ptr, u64)
feed = fn("aios_feed", i32, ptr, i32, ref(i32), u64, u32, ref(aios_error))
step = fn("aios_step", i32, ptr, u64, ref(aios_error))
sample = fn("aios_sample", i32, ptr, i32, ref(aios_sampler), ref(i32), ref(aios_error))
kv_parse = fn("aiosk_kv_parse", i32, text)


def opaque(name):
    """A struct of which no field is wanted: as long as the library says, set up by the library."""
    p = C.create_string_buffer(size_of(name.encode()) + 16)
    p.raw = b"\x55" * len(p)
    fn(name + "_init", None, ptr)(p)
    n = len(p) - 16
    check(int.from_bytes(p.raw[:4], sys.byteorder) == n and p.raw[4:n] == bytes(n - 4) and p.raw[n:] == b"\x55" * 16, name + "_init")
    return p


err = aios_error()
check(version() == 100, "aios_version")
for T in (aios_error, aios_allocator, aios_model_desc, aios_sampler, aios_key_info, aios_detok):
    check(size_of(T.__name__.encode()) == C.sizeof(T), "aios_sizeof " + T.__name__)
check(size_of(b"aios_nothing") == 0, "aios_sizeof of nothing")
check(kv_parse(b"kv84") > 0 and kv_parse(b"kv2") == -1, "aiosk_kv_parse")

# Memory from Python, kept until it is given back
held = {}


def take(user, req):
    n, align = (C.c_uint64 * 2).from_address(req + 8)       # aios_mem_req.bytes, .align
    block = C.create_string_buffer(n + align)
    at = (C.addressof(block) + align - 1) // align * align
    held[at] = block
    return at


def give(user, p, req):
    del held[p]


mem = aios_allocator(alloc=ALLOC(take), free=FREE(give))


def story(mem):
    model, ctx, st = ptr(), ptr(), 0
    desc = aios_model_desc(path=path, mem=mem)
    st = model_open(C.byref(desc), C.byref(model), C.byref(err))
    check(st == 0, "aios_model_open: " + err.text.decode())
    if st:
        return None
    plan = opaque("aios_plan")
    check(plan_make(model, opaque("aios_plan_desc"), plan, C.byref(err)) == 0, "aios_plan_make: " + err.text.decode())
    check(context_open(model, plan, opaque("aios_context_desc"), C.byref(ctx), C.byref(err)) == 0, "aios_context_open: " + err.text.decode())
    prompt = b"Once upon a time"
    ids = (i32 * 64)()
    n = tokenize(model, prompt, len(prompt), 0, ids, 64, C.byref(err))
    check(0 < n < 64, "aios_tokenize")
    greedy, detok, out, said = aios_sampler(), aios_detok(), C.create_string_buffer(1024), b""
    for _ in range(12):
        check(feed(ctx, 0, ids, n, 0, C.byref(err)) == 0 and step(ctx, 0, C.byref(err)) == 0, "aios_step")
        check(sample(ctx, 0, C.byref(greedy), ids, C.byref(err)) == 0, "aios_sample")
        k = detokenize(model, C.byref(detok), ids[0], out, 1024)
        said += out.raw[:k]
        n = 1
    context_free(ctx)
    model_free(model)
    return said


def string(model, key, item=0):
    p, n = ptr(), u64()
    return C.string_at(p.value, n.value) if key_str(model, key, item, C.byref(p), C.byref(n)) == 0 else None


model = ptr()
desc = aios_model_desc(path=path, mem=C.pointer(mem), flags=1)          # AIOS_MODEL_VOCAB_ONLY
check(model_open(C.byref(desc), C.byref(model), C.byref(err)) == 0, "vocabulary: " + err.text.decode())
if model:
    check(string(model, key_find(model, b"general.architecture")) == b"llama", "aios_key_str")
    check(key_find(model, b"general.nothing") == -1 and string(model, -1) is None, "a key that is not there")
    tokens, info, n, layers = key_find(model, b"tokenizer.ggml.tokens"), aios_key_info(), u64(), u64()
    check(key_get(model, tokens, C.byref(info)) == 0 and (info.type, info.item_type) == (9, 8) and info.n_items > 256, "aios_key_get")
    check(C.string_at(info.name, info.name_bytes) == b"tokenizer.ggml.tokens", "the name of a key")
    check(key_u64(model, key_find(model, b"llama.block_count"), 0, C.byref(layers)) == 0 and layers.value > 0, "aios_key_u64")
    for i in (0, 5, info.n_items - 1):
        piece = string(model, tokens, i)
        check(piece and piece == C.string_at(token_text(model, i, C.byref(n)), n.value) and token_find(model, piece, len(piece)) == i, "token %d" % i)
    model_free(model)
desc.struct_size -= 8
check(model_open(C.byref(desc), C.byref(model), C.byref(err)) == -2 and not model, "a struct_size that no version had")

said = story(C.pointer(mem))
check(said and said == story(None), "a story on memory of Python and on malloc")
check(not held, "all memory is given back")
told = subprocess.run([sys.argv[3], "run", "-m", path, "-p", "Once upon a time", "-n", "12", "--greedy"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
check(said and told.strip() == b"Once upon a time" + said.rstrip(), "the command's story: %r, not %r" % (told, said))
print("%d passed, %d failed" % (passed, failed))
sys.exit(failed != 0)
