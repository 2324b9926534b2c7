// The front door: one verb a command, loaded only when it is asked for, so that each starts fast. Exit codes: 0 done,
// 1 the answer is no, 2 a wrong call, 70 a bug.

import { Command, CommanderError } from 'commander';
import { VERSION } from './cli/version.ts';

interface Verb {
  readonly summary: string;
  readonly load: () => Promise<Command>;
}

const VERBS: Readonly<Record<string, Verb>> = {
  standalone: {
    summary: 'serve a folder of manifests as a node does: allocate addresses, announce them by BGP',
    load: async () => (await import('./cli/standalone.ts')).standaloneCommand(),
  },
  controller: {
    summary: 'give addresses to the Services of a cluster',
    load: async () => (await import('./cli/controller.ts')).controllerCommand(),
  },
  speaker: {
    summary: 'announce the addresses of Services from a node of a cluster',
    load: async () => (await import('./cli/speaker.ts')).speakerCommand(),
  },
  listen: {
    summary: 'collect what BGP speakers announce to us, and show it',
    load: async () => (await import('./cli/listen.ts')).listenCommand(),
  },
  validate: {
    summary: 'say what is wrong with manifests before a cluster does',
    load: async () => (await import('./cli/validate.ts')).validateCommand(),
  },
  plan: {
    summary: 'say which Service gets which address, who announces it to whom, and why not',
    load: async () => (await import('./cli/plan.ts')).planCommand(),
  },
  convert: {
    summary: 'make custom resources of the ConfigMap that MetalLB read up to v0.12',
    load: async () => (await import('./cli/convert.ts')).convertCommand(),
  },
  demo: {
    summary: 'show a Service reach a router, on this machine alone',
    load: async () => (await import('./cli/demo.ts')).demoCommand(),
  },
};

async function main(argv: readonly string[]): Promise<void> {
  const program = new Command('fairway')
    .description('A bare-metal load balancer for Kubernetes.')
    .version(VERSION, '-V, --version')
    .showHelpAfterError('(fairway --help shows what there is)');
  const asked = argv.find((argument) => Object.hasOwn(VERBS, argument));
  for (const [name, { summary, load }] of Object.entries(VERBS)) {
    const command = name === asked ? (await load()).name(name) : new Command(name);
    program.addCommand(command.summary(summary).exitOverride());
  }
  await program.exitOverride().parseAsync([...argv], { from: 'user' });
}

// whoever read our output has seen enough (`| head`)
process.stdout.on('error', (fault: NodeJS.ErrnoException) => process.exit(fault.code === 'EPIPE' ? 0 : 1));
try {
  await main(process.argv.slice(2));
} catch (fault) {
  if (!(fault instanceof CommanderError)) throw fault;
  // commander has said already what is wrong, or printed the help that was asked for
  process.exitCode = fault.exitCode === 0 ? 0 : 2;
}
