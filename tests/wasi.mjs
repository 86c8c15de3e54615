// wasi.mjs: runs a WebAssembly program under Node, with the files of this folder and its neighbours:
//     node --no-warnings tests/wasi.mjs build/wasm/test_kernels quick
import { readFileSync } from 'node:fs';
import { WASI } from 'node:wasi';

const args = process.argv.slice(2);
const wasi = new WASI({ version: 'preview1', args, env: process.env, preopens: { '.': '.', '..': '..', '/': '/' }, returnOnExit: true });
const { instance } = await WebAssembly.instantiate(readFileSync(args[0]), { wasi_snapshot_preview1: wasi.wasiImport });
process.exitCode = wasi.start(instance);
