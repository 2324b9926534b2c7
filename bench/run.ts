// `npm run bench [NAME…]`: each bench measures a promise, with the rivals it is held against in the same run. Medians of
// five. Ends with 1 when a goal was missed, so that a look at the exit code is enough. Needs root for all but `plan` and
// `k8s-cache`. What may be said besides, as `npm run bench -- layer2 --only split --repetitions 2`, is in settings.

import { sweep } from '../test/interop/namespace.ts';
import { readSettings, type Settings } from './settings.ts';

type Bench = (settings: Settings) => boolean | Promise<boolean>;

const BENCHES: Readonly<Record<string, () => Promise<Bench>>> = {
  plan: async () => (await import('./plan.ts')).plan,
  'k8s-cache': async () => (await import('./k8s-cache.ts')).k8sCache,
  start: async () => (await import('./start.ts')).start,
  announce: async () => (await import('./announce.ts')).announce,
  bfd: async () => (await import('./bfd.ts')).bfd,
  layer2: async () => (await import('./layer2.ts')).layer2,
  flood: async () => (await import('./flood.ts')).flood,
  speaker: async () => (await import('./speaker.ts')).speaker,
  controller: async () => (await import('./controller.ts')).controller,
  route: async () => (await import('./route.ts')).route,
};

function commandLine(): ReturnType<typeof readSettings> {
  try {
    return readSettings(process.argv.slice(2));
  } catch (fault) {
    console.error((fault as Error).message);
    process.exit(2);
  }
}

const { names: asked, settings } = commandLine();
const unknown = asked.filter((name) => !Object.hasOwn(BENCHES, name));
if (unknown.length > 0) {
  console.error(`no such bench: ${unknown.join(', ')} (there are ${Object.keys(BENCHES).join(', ')})`);
  process.exit(2);
}
const clear = (): void => {
  sweep(`fairway-lab-${process.pid}`);
};
process.on('exit', clear);
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130));

let met = true;
for (const [name, load] of Object.entries(BENCHES)) {
  if (asked.length > 0 && !asked.includes(name)) continue;
  console.log(`\n== ${name}`);
  const bench = await load();
  met = (await bench(settings)) && met;
}
process.exitCode = met ? 0 : 1;
