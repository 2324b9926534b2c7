import { defineConfig } from 'vitest/config';

// One project a kind of proof, so that each can be run alone: `npx vitest run --project codec`.
const project = (name: string, include: string[], testTimeout = 20_000) => ({
  extends: true as const,
  test: { name, include, testTimeout, hookTimeout: 60_000 },
});
// Real daemons need the processors to themselves: after all others, one file at a time.
const alone = { fileParallelism: false, sequence: { groupOrder: 1 } };

const interop = project('interop', ['test/interop/**/*.test.ts'], 60_000);
const cluster = project('cluster', ['test/cluster/**/*.test.ts'], 120_000);

export default defineConfig({
  test: {
    projects: [
      project('house', ['test/house.test.ts']),
      project('unit', [
        'src/**/*.test.ts',
        'test/{net,l2,links,io,config,cli,k8s,controller,process,manifests}/**/*.test.ts',
      ]),
      project('codec', ['test/codec/**/*.test.ts'], 60_000),
      project('fsm', ['test/fsm/**/*.test.ts']),
      project('plan', ['test/plan/**/*.test.ts']),
      project('sim', ['test/sim/**/*.test.ts'], 120_000),
      { ...cluster, test: { ...cluster.test, ...alone, hookTimeout: 120_000 } },
      { ...interop, test: { ...interop.test, ...alone } },
    ],
  },
});
