// `npm run build`: the program as dist/fairway.js, the packet thread as dist/packets.js, and a piece for each verb beside
// them, for the image and for a quick start; a verb loads its pieces alone, which saves the speaker some 30 MB. koffi stays
// outside, for it is a binary.

import { readdir, rm, stat } from 'node:fs/promises';
import { build } from 'esbuild';
import { crdTexts } from '../src/cli/crds.ts';

const root = new URL('..', import.meta.url).pathname;

await rm(`${root}dist`, { recursive: true, force: true });
await build({
  absWorkingDir: root,
  // the second is found by io/packet-thread beside the piece that it is in
  entryPoints: { fairway: 'src/main.ts', packets: 'src/packets.ts' },
  outdir: 'dist',
  entryNames: '[name]',
  splitting: true,
  bundle: true,
  platform: 'node',
  target: 'node22',
  format: 'esm',
  minify: true,
  sourcemap: true,
  legalComments: 'none',
  external: ['koffi'],
  // `validate` has its schemas inside
  define: { FAIRWAY_CRDS: JSON.stringify(crdTexts()) },
  // Some dependencies are CommonJS and ask for Node's own modules by `require`.
  banner: { js: "import{createRequire}from'node:module';const require=createRequire(import.meta.url);" },
  logLevel: 'warning',
});
const pieces = (await readdir(`${root}dist`)).filter((name) => name.endsWith('.js'));
const sizes = await Promise.all(pieces.map(async (name) => (await stat(`${root}dist/${name}`)).size));
const total = sizes.reduce((sum, size) => sum + size, 0);
console.log(`dist/fairway.js and ${pieces.length - 1} pieces: ${(total / 1024).toFixed(0)} KiB`);
