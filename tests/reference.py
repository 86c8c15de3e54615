#!/usr/bin/env python3
"""reference.py SMOLLM2.gguf GEMMA3.gguf TEXT: what tests/real.sh expects, by code that shares nothing with ours.

The file is read and its weights made into floats by the package `gguf`, text becomes tokens by `tokenizers` and
`sentencepiece`, and the model is the few lines of numpy below, all in float64. Prints the variables at the top of real.sh.

    python3 -m venv v && v/bin/pip install numpy gguf tokenizers sentencepiece protobuf
    v/bin/python tests/reference.py build/real/smollm2.gguf build/real/gemma3.gguf models/tale-valid.txt      about 2 minutes
"""
import subprocess
import sys

import numpy as np
from gguf import GGUFReader, dequantize

PROMPTS = ("<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n", "1 2 3 4 5 6 7 8 9 10 11",
           "Mary had a little lamb,", "Water boils at a temperature of")
N_GREEDY = 32


class Llama:
    """Keys and tensors of one file; float64 once and for all."""

    def __init__(self, path):
        r = GGUFReader(path)
        self.key = {k: f.contents() for k, f in r.fields.items()}
        self.w = {t.name: dequantize(t.data, t.tensor_type).astype(np.float64) for t in r.tensors}
        p = self.key['general.architecture'] + '.'
        self.n_layer, self.n_head = self.key[p + 'block_count'], self.key[p + 'attention.head_count']
        self.n_kv, self.eps = self.key[p + 'attention.head_count_kv'], self.key[p + 'attention.layer_norm_rms_epsilon']
        self.base, self.dim = self.key[p + 'rope.freq_base'], self.key[p + 'embedding_length'] // self.n_head

    def logits(self, ids, past=None):
        """[len(ids)][n_vocab]; with past, a dict, the last row alone, and ids go on from the call before."""
        w, n, d = self.w, len(ids), self.dim
        start = len(past[0][0]) if past else 0
        angle = np.outer(np.arange(start, start + n), float(self.base) ** (-np.arange(0, d, 2) / d))[:, None, :]
        cos, sin = np.cos(angle), np.sin(angle)
        future = np.triu(np.full((n, start + n), -np.inf), start + 1)

        def norm(x, name):
            return x / np.sqrt(np.mean(x * x, -1, keepdims=True) + self.eps) * w[name]

        def rope(x):                                # neighbours are a pair: what converters make of llama's halves
            y = np.empty_like(x)
            y[..., 0::2] = x[..., 0::2] * cos - x[..., 1::2] * sin
            y[..., 1::2] = x[..., 0::2] * sin + x[..., 1::2] * cos
            return y

        x = w['token_embd.weight'][ids]
        for i in range(self.n_layer):
            b = 'blk.%d.' % i
            h = norm(x, b + 'attn_norm.weight')
            q = rope((h @ w[b + 'attn_q.weight'].T).reshape(n, self.n_head, d))
            k = rope((h @ w[b + 'attn_k.weight'].T).reshape(n, self.n_kv, d))
            v = (h @ w[b + 'attn_v.weight'].T).reshape(n, self.n_kv, d)
            if past is not None:
                if i in past:
                    k, v = np.concatenate((past[i][0], k)), np.concatenate((past[i][1], v))
                past[i] = k, v
            k, v = (np.repeat(t, self.n_head // self.n_kv, 1) for t in (k, v))
            s = np.einsum('ihd,jhd->hij', q, k) / np.sqrt(d) + future
            s = np.exp(s - s.max(-1, keepdims=True))
            a = np.einsum('hij,jhd->ihd', s / s.sum(-1, keepdims=True), v).reshape(n, -1)
            x = x + a @ w[b + 'attn_output.weight'].T
            h = norm(x, b + 'ffn_norm.weight')
            g = h @ w[b + 'ffn_gate.weight'].T
            x = x + (g / (1 + np.exp(-g)) * (h @ w[b + 'ffn_up.weight'].T)) @ w[b + 'ffn_down.weight'].T
        x = norm(x if past is None else x[-1:], 'output_norm.weight')
        return x @ w.get('output.weight', w['token_embd.weight']).T

    def nats(self, ids, window, n_windows):
        """As `aios ppl` counts: windows side by side, each from nothing, all tokens but its first are scored."""
        total = 0
        for i in range(n_windows):
            t = ids[i * window:(i + 1) * window]
            x = self.logits(t[:-1])
            top = x.max(-1)
            total += np.sum(top + np.log(np.exp(x - top[:, None]).sum(-1)) - x[np.arange(window - 1), t[1:]])
        return total / (n_windows * (window - 1))


def bpe(key):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    t = Tokenizer(models.BPE({s: i for i, s in enumerate(key['tokenizer.ggml.tokens'])},
                             [tuple(m.split(' ')) for m in key['tokenizer.ggml.merges']]))
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True),
                                               pre_tokenizers.ByteLevel(add_prefix_space=False)])
    t.decoder = decoders.ByteLevel()
    t.add_special_tokens([s for s, kind in zip(key['tokenizer.ggml.tokens'], key['tokenizer.ggml.token_type']) if kind == 3])
    return t


def sentencepiece(key):
    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2 as pb
    m = pb.ModelProto()
    m.trainer_spec.model_type = m.trainer_spec.BPE
    m.trainer_spec.byte_fallback = True
    m.trainer_spec.unk_id = key['tokenizer.ggml.unknown_token_id']
    m.trainer_spec.bos_id, m.trainer_spec.eos_id = key['tokenizer.ggml.bos_token_id'], key['tokenizer.ggml.eos_token_id']
    m.trainer_spec.pad_id = key['tokenizer.ggml.padding_token_id']
    m.normalizer_spec.name = 'identity'
    m.normalizer_spec.add_dummy_prefix = m.normalizer_spec.remove_extra_whitespaces = False
    for s, x, kind in zip(key['tokenizer.ggml.tokens'], key['tokenizer.ggml.scores'], key['tokenizer.ggml.token_type']):
        m.pieces.add(piece=s, score=x, type=kind)
    return sentencepiece.SentencePieceProcessor(model_proto=m.SerializeToString())


def checksum(ids):
    """The count, and `cksum` of what `aios tokenize` prints."""
    line = ' '.join(map(str, ids)) + '\n'
    return '%d %s' % (len(ids), subprocess.run(['cksum'], input=line.encode(), stdout=subprocess.PIPE).stdout.split()[0].decode())


def main():
    text = open(sys.argv[3], encoding='utf-8', newline='').read()
    m = Llama(sys.argv[1])
    t = bpe(m.key)
    ids = t.encode(text).ids
    print("smollm2_ids='%s'" % checksum(ids))
    gemma = {k: f.contents() for k, f in GGUFReader(sys.argv[2]).fields.items() if k.startswith('tokenizer.')}
    print("gemma3_ids='%s'" % checksum(sentencepiece(gemma).encode(text)))
    print('nats_1_32=%.6f\nnats_4_512=%.6f' % (m.nats(ids, 32, 1), m.nats(ids, 512, 4)), flush=True)
    for p in PROMPTS:
        ids, n, margin, past = t.encode(p).ids, 0, 1e9, {}
        while n < N_GREEDY:
            x = m.logits(ids[-1:] if past else ids, past)[0]
            best = np.sort(x)[-2:]
            if x.argmax() == m.key['tokenizer.ggml.eos_token_id']:
                break
            ids, n, margin = ids + [int(x.argmax())], n + 1, min(margin, best[1] - best[0])
        print('# %d tokens, the nearest second choice is %.3f below\n%s' % (n, margin, t.decode(ids, skip_special_tokens=False)), flush=True)


main()
