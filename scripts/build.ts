// `npm run build`: the program as one file, dist/fairway.js, for the image and for a quick start. koffi stays outside,
// for it is a binary.

import { rm, stat } from 'node:fs/promises';
import { build } from 'esbuild';
import { crdTexts } from '../src/cli/crds.ts';

const root = new URL('..', import.meta.url).pathname;

await rm(`${root}dist`, { recursive: true, force: true });
await build({
  absWorkingDir: root,
  entryPoints: ['src/main.ts'],
  outfile: 'dist/fairway.js',
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
const { size } = await stat(`${root}dist/fairway.js`);
console.log(`dist/fairway.js: ${(size / 1024).toFixed(0)} KiB`);
