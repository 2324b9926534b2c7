// `npm run bench bfd`: a path is cut where no carrier is lost: how soon the route is gone in an FRR router and how soon the
// node knows, with FRR and BIRD as the node beside us (part `fail-over`); whether a speaker that parses lists without end loses
// a session (`false downs`: five minutes each, by `--seconds`); and what 500 sessions cost (`sessions`).

import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startBird } from '../test/interop/bird.ts';
import { favour } from '../test/interop/favour.ts';
import { type Frr, startFrr } from '../test/interop/frr.ts';
import { Lab, node, ROUTER } from '../test/interop/lab.ts';
import { bfdProfile, bgpPeer, cluster, type Manifest, ROUTE } from '../test/interop/manifests.ts';
import { until } from '../test/interop/process.ts';
import { untilUp } from '../test/interop/router.ts';
import { IMAGE_FLAGS, Speaker } from '../test/interop/speaker.ts';
import { farAddress, NEAR } from './bfd-sessions.ts';
import { cpuSeconds, type Figures, Measurements, print } from './figures.ts';
import { limit } from './quota.ts';
import { NODE_AS, ROUTER_AS } from './rivals.ts';
import { isAsked, type Settings } from './settings.ts';

const REPETITIONS = 5;
const INTERVALS = [50, 100, 300] as const;
const US = node(1).ipv4;
/** Longer than FRR takes to begin its BFD session anew, and than we doubt a failure. */
const SETTLE_MS = 3_000;
const WATCHED_S = 300;
const LIST_OCTETS = 6_000_000;
const SESSIONS = 500;
const MEASURED_MS = 20_000;

const profileLines = (ms: number) => [`transmit-interval ${ms}`, `receive-interval ${ms}`, 'detect-multiplier 3'];
const frrProfile = (ms: number) => [
  'bfd',
  ' profile p',
  ...profileLines(ms).map((line) => `  ${line}`),
  ' exit',
  'exit',
];

function startRouter(lab: Lab, ms: number): Promise<Frr> {
  const peer = {
    address: US,
    local: ROUTER.ipv4,
    as: NODE_AS,
    families: ['ipv4'],
    extra: ['bfd', 'bfd profile p'],
  } as const;
  return startFrr(lab, { as: ROUTER_AS, peers: [peer], bfd: frrProfile(ms) });
}

function speakerObjects(ms: number): Manifest[] {
  const spec = { myASN: NODE_AS, peerASN: ROUTER_AS, peerAddress: ROUTER.ipv4, bfdProfile: 'fast' };
  return [...cluster(), bfdProfile('fast', { receiveInterval: ms, transmitInterval: ms }), bgpPeer('tor', spec)];
}

function startOurs(lab: Lab, ms: number): Speaker {
  const speaker = new Speaker(lab, 'n1', speakerObjects(ms), []);
  speaker.start(undefined, IMAGE_FLAGS);
  return speaker;
}

/** Answers once BFD is up. */
type Start = (lab: Lab, ms: number) => Promise<void>;

const ours: Start = async (lab, ms) => {
  const speaker = startOurs(lab, ms);
  await speaker.untilBfd('tor', 'Up', 20_000);
};

const NODE = { place: 'n1', as: NODE_AS, routerId: US, announce: [ROUTE.ipv4], kernel: false } as const;
const PEER = { address: ROUTER.ipv4, local: US, as: ROUTER_AS, families: ['ipv4'] } as const;

const bird: Start = async (lab, ms) => {
  const extra = ['protocol bfd {', ` interface "*" { interval ${ms} ms; multiplier 3; };`, '}'];
  const daemon = await startBird(lab, { ...NODE, peers: [{ ...PEER, extra: ['bfd on;'] }], extra });
  await until('BFD is up', async () => (await daemon.bfdPeer(ROUTER.ipv4)).state === 'Up', 20_000);
};

const frr: Start = async (lab, ms) => {
  const peers = [{ ...PEER, extra: ['bfd', 'bfd profile p'] }];
  const daemon = await startFrr(lab, { ...NODE, peers, bfd: frrProfile(ms) });
  await until('BFD is up', async () => (await daemon.bfdPeer(ROUTER.ipv4)).status === 'up', 20_000);
};

const CANDIDATES: readonly (readonly [string, Start])[] = [
  ['ours', ours],
  ['BIRD', bird],
  ['FRR', frr],
];

/** Runs in a lab of its own. */
async function inLab(measure: (lab: Lab) => Promise<void>): Promise<void> {
  const lab = new Lab(1);
  lab.up();
  try {
    await measure(lab);
  } finally {
    await lab.stopAll();
    lab.down();
  }
}

/** Prints when no TCP connection with the router's BGP is established any more, in ms since the epoch. */
const CLOSED = `while ss -Htn state established | grep -q ${ROUTER.ipv4}:; do sleep 0.005; done; date +%s%3N`;

/** From the cut until FRR's kernel route is gone, and until the node's own BGP is down; ms. */
async function failOver(who: string, start: Start, ms: number, into: Measurements): Promise<void> {
  await inLab(async (lab) => {
    const router = await startRouter(lab, ms);
    await start(lab, ms);
    await untilUp(router, US);
    await until('the kernel has it', () => lab.kernelRoutes('r', ROUTE.ipv4).length === 1);
    await until('its BFD is up', async () => (await router.bfdPeer(US)).status === 'up');
    await sleep(SETTLE_MS);
    const monitor = lab.spawn('ip-monitor', 'r', ['ip', '-tshort', 'monitor', 'route']);
    await sleep(200);
    const cutAt = Date.now();
    lab.ip('sw', 'link set n1 nomaster');
    // what every daemon does that gives its session up
    const closed = lab.spawn('watch', 'n1', ['sh', '-c', CLOSED]);
    const gone = /\[([^\]]+)\] Deleted 203\.0\.113\.10/;
    const at = await until('the route is gone', () => gone.exec(monitor.log())?.[1], 5_000);
    into.add(`route ${ms}`, who, Date.parse(`${at}Z`) - cutAt);
    await until('the node knows', () => !closed.running, 5_000);
    into.add(`node ${ms}`, who, Number(closed.log()) - cutAt);
  });
}

/**
 * Downs of the session in a time in which the process reads 6 MB of manifests again and again; `msPerSecond`: with so much
 * processor time. Undefined: that cannot be limited here.
 */
async function falseDowns(ms: number, watchedMs: number, msPerSecond?: number): Promise<number | undefined> {
  let downs: number | undefined;
  let unlimit: (() => void) | undefined;
  await inLab(async (lab) => {
    const router = await startRouter(lab, ms);
    const speaker = startOurs(lab, ms);
    await speaker.untilBfd('tor', 'Up', 20_000);
    await untilUp(router, US);
    await sleep(SETTLE_MS);
    if (msPerSecond !== undefined) {
      unlimit = limit(speaker.daemon.pid, msPerSecond);
      if (unlimit === undefined) return;
    }
    const before = (await router.bfdCounters(US))['session-down'] ?? 0;
    const lists = [list(0), list(1)] as const;
    for (let turn = 0, end = performance.now() + watchedMs; performance.now() < end; turn++) {
      speaker.apply(lists[turn % 2 === 0 ? 0 : 1]);
      await sleep(250);
    }
    downs = ((await router.bfdCounters(US))['session-down'] ?? 0) - before;
  });
  unlimit?.();
  return downs;
}

/** One object of 6 MB that is another one each time. */
function list(turn: number): Manifest {
  const addresses = Array.from({ length: LIST_OCTETS / 150 }, (_, i) => ({
    addresses: [`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`],
    nodeName: 'elsewhere',
    conditions: { ready: (i + turn) % 2 === 0, serving: true, terminating: false },
    zone: `zone-${turn}`,
  }));
  return {
    ...{ apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', addressType: 'IPv4', endpoints: addresses },
    metadata: { name: 'large', namespace: 'app', labels: { 'kubernetes.io/service-name': 'large' } },
    ports: [{ port: 80, protocol: 'TCP' }],
  };
}

/** Who runs one end of 500 sessions, and whether all are up. */
interface Busy {
  readonly pid: number;
  readonly isUp: () => boolean | Promise<boolean>;
}

const sessionsOf = (lab: Lab, place: 'n1' | 'r', side: string) => {
  const program = join(import.meta.dirname, 'bfd-sessions.ts');
  return lab.spawn(`bfd-${side}`, place, [process.execPath, ...IMAGE_FLAGS, program, `${SESSIONS}`, side]);
};

const busy: readonly (readonly [string, (lab: Lab) => Promise<Busy>])[] = [
  [
    'ours',
    async (lab) => {
      const daemon = sessionsOf(lab, 'n1', 'near');
      return { pid: daemon.pid, isUp: () => daemon.log().endsWith(`up ${SESSIONS}\n`) };
    },
  ],
  [
    'BIRD',
    async (lab) => {
      const all = Array.from({ length: SESSIONS }, (_, i) => ` neighbor ${farAddress(i)} dev "eth0" local ${NEAR};`);
      const extra = ['protocol bfd {', ' interface "*" { interval 300 ms; multiplier 3; };', ...all, '}'];
      const other = await startBird(lab, { ...NODE, peers: [], extra });
      const count = async () => [...(await other.ask('show bfd sessions')).matchAll(/ Up /g)].length;
      return { pid: other.daemon.pid, isUp: async () => (await count()) === SESSIONS };
    },
  ],
];

/** Share of a core that one end of 500 sessions takes, in percent. */
async function costOfSessions(start: (lab: Lab) => Promise<Busy>): Promise<number> {
  let percent = Number.NaN;
  await inLab(async (lab) => {
    lab.ip('n1', `addr add ${NEAR}/16 dev eth0`);
    lab.ip('r', ...Array.from({ length: SESSIONS }, (_, i) => `addr add ${farAddress(i)}/16 dev eth0`));
    sessionsOf(lab, 'r', 'far');
    const { pid, isUp } = await start(lab);
    await until('all are up', isUp, 60_000);
    await sleep(2_000);
    const before = cpuSeconds(pid);
    await sleep(MEASURED_MS);
    percent = ((cpuSeconds(pid) - before) / MEASURED_MS) * 100_000;
    if (!(await isUp())) console.log('  sessions failed meanwhile: the figure is of less');
  });
  return percent;
}

/** A packet leaves every 75 to 100 % of the interval, and the cut falls anywhere between two: so much is chance. */
const AS_BIRD = {
  text: 'at most 1.0 x BIRD, with 15 % for chance',
  met: (mine: number, rivals: ReadonlyMap<string, number>) => mine <= 1.15 * (rivals.get('BIRD') ?? 0),
};

async function failOvers(repetitions: number): Promise<boolean> {
  const into = new Measurements();
  for (let turn = 0; turn < repetitions; turn++) {
    console.log(`fail-over, ${turn + 1} of ${repetitions}`);
    for (const ms of INTERVALS) for (const [who, start] of CANDIDATES) await failOver(who, start, ms, into);
  }
  const met: boolean[] = [];
  for (const ms of INTERVALS) {
    const rows = [
      [`path cut → route gone in FRR, ${ms} ms × 3`, `route ${ms}`],
      [`path cut → the node's BGP is down, ${ms} ms × 3`, `node ${ms}`],
    ] as const;
    for (const [what, of] of rows) met.push(print({ what, unit: 'ms', figures: into.of(of), goal: AS_BIRD }));
  }
  return met.every(Boolean);
}

/** One after the other: what they have in common is the machine, and one of them must not have all of it. */
async function noFalseDowns(settings: Settings): Promise<boolean> {
  const seconds = settings.seconds ?? WATCHED_S;
  const none = { text: 'none', met: (count: number) => count === 0 };
  const met: boolean[] = [];
  for (const [ms, msPerSecond, where] of [
    [50, undefined, ''],
    [300, 200, ', with 200 ms of processor time a second'],
  ] as const) {
    const what = `false downs in ${seconds} s of 6 MB lists, ${ms} ms × 3${where}`;
    if (!isAsked(settings, what)) continue;
    console.log(what);
    const downs = await falseDowns(ms, seconds * 1_000, msPerSecond);
    if (downs === undefined) console.log(`\n${what}: not measured, no cgroup can be made here`);
    else met.push(print({ what, unit: '', figures: [{ who: 'ours', values: [downs] }], goal: none }));
  }
  return met.every(Boolean);
}

async function sessions(): Promise<boolean> {
  const cost: Figures[] = [];
  for (const [who, start] of busy) cost.push({ who, values: [await costOfSessions(start)] });
  const tenth = { text: 'at most 10', met: (percent: number) => percent <= 10 };
  return print({ what: `${SESSIONS} sessions at 300 ms`, unit: '% of a core', figures: cost, goal: tenth });
}

export async function bfd(settings: Settings): Promise<boolean> {
  favour();
  const met: boolean[] = [];
  if (isAsked(settings, 'fail-over')) met.push(await failOvers(settings.repetitions ?? REPETITIONS));
  met.push(await noFalseDowns(settings));
  if (isAsked(settings, 'sessions')) met.push(await sessions());
  return met.every(Boolean);
}
