// A neighbour that throws a table at whoever dials it, made of bytes alone so that it is never the slow side.
// Used by the bench and by the story of a bad neighbour.
// `flooder.ts AS ROUTER-ID ROUTES PER-UPDATE TURNS`: accepts one session on port 179 with a hold time of 3 s; at SIGUSR2
// sends the table TURNS times as fast as TCP takes it, then a ROUTE-REFRESH request. Since a speaker handles what it hears in order, its
// answer to the last says that it is through. Prints one JSON line: ms from the first octet to that answer, and the
// longest silence between two messages of the speaker after the session came up.
// The prefixes are /28s of 10.0.0.0/8; the attributes vary like those of a real table, a path of 4 and 2 communities.

import { createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

const [as = 0, id = 0, routes = 0, perUpdate = 0, turns = 1] = process.argv.slice(2).map((text) => {
  return text.includes('.') ? Buffer.from(text.split('.').map(Number)).readUInt32BE() : Number(text);
});
const HOLD_SECONDS = 3;
const MARKER = Buffer.alloc(16, 0xff);

const say = (line: string): boolean => process.stdout.write(`${line}\n`);

function message(type: number, body: Buffer): Buffer {
  const header = Buffer.alloc(3);
  header.writeUInt16BE(19 + body.length);
  header[2] = type;
  return Buffer.concat([MARKER, header, body]);
}

const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};
const u16 = (value: number): Buffer => Buffer.from([value >> 8, value & 255]);

const KEEPALIVE = message(4, Buffer.alloc(0));
const REFRESH = message(5, Buffer.from([0, 1, 0, 1]));
// capabilities: IPv4 unicast, route refresh, four-octet AS
const CAPABILITIES = Buffer.concat([Buffer.from([1, 4, 0, 1, 0, 1, 2, 0, 65, 4]), u32(as)]);
const OPEN = message(
  1,
  Buffer.concat([
    ...[Buffer.from([4]), u16(as), u16(HOLD_SECONDS), u32(id)],
    ...[Buffer.from([CAPABILITIES.length + 2, 2, CAPABILITIES.length]), CAPABILITIES],
  ]),
);

/** One UPDATE with `count` prefixes from number `first` on. */
function update(first: number, count: number): Buffer {
  const path = [as, 3356, 64_000 + (first % 500), 4_200_000_000 + (first % 9973)];
  const attributes = Buffer.concat([
    Buffer.from([0x40, 1, 1, 0]),
    ...[Buffer.from([0x40, 2, 2 + 4 * path.length, 2, path.length]), ...path.map(u32)],
    ...[Buffer.from([0x40, 3, 4]), u32(id)],
    ...[Buffer.from([0x80, 4, 4]), u32(first % 100)],
    ...[Buffer.from([0xc0, 8, 8]), u32(((3356 << 16) | (first % 200)) >>> 0), u32(((64_512 << 16) | 7) >>> 0)],
  ]);
  const prefixes = Buffer.alloc(5 * count);
  for (let i = 0; i < count; i++) {
    prefixes[5 * i] = 28;
    prefixes.writeUInt32BE(0x0a000000 + (first + i) * 16, 5 * i + 1);
  }
  return message(2, Buffer.concat([u16(0), u16(attributes.length), attributes, prefixes]));
}

function table(): Buffer[] {
  const chunks: Buffer[] = [];
  let waiting: Buffer[] = [];
  for (let first = 0; first < routes; first += perUpdate) {
    waiting.push(update(first, Math.min(perUpdate, routes - first)));
    if (waiting.length === 500) {
      chunks.push(Buffer.concat(waiting));
      waiting = [];
    }
  }
  return [...chunks, Buffer.concat(waiting)];
}

const chunks = table();
let session: Socket | undefined;
let answered: (() => void) | undefined;
let lastAt = 0;
let longestMs = 0;
let heard = Buffer.alloc(0);

/** What the speaker says: its KEEPALIVEs are timed, its OPEN is answered, an UPDATE answers the refresh. */
function hear(socket: Socket, bytes: Buffer): void {
  heard = Buffer.concat([heard, bytes]);
  while (heard.length >= 19 && heard.length >= heard.readUInt16BE(16)) {
    const length = heard.readUInt16BE(16);
    const type = heard[18];
    heard = heard.subarray(length);
    if (type === 1) socket.write(Buffer.concat([OPEN, KEEPALIVE]));
    if (type === 3) say('notified');
    if (type === 4) {
      if (lastAt === 0) say('established');
      else longestMs = Math.max(longestMs, performance.now() - lastAt);
      lastAt = performance.now();
    }
    // its own table comes before SIGUSR2: an UPDATE of 23 octets is an End-of-RIB
    if (type === 2 && length > 23) answered?.();
  }
}

createServer((socket) => {
  session = socket;
  socket.on('error', () => {});
  socket.on('data', (bytes) => hear(socket, bytes));
  const timer = setInterval(() => socket.write(KEEPALIVE), (HOLD_SECONDS * 1000) / 3);
  socket.on('close', () => clearInterval(timer));
}).listen(179, '::');

process.on('SIGUSR2', async () => {
  const socket = session;
  if (socket === undefined) return;
  const began = performance.now();
  const done = new Promise<void>((resolve) => {
    answered = resolve;
  });
  for (let turn = 0; turn < turns; turn++) {
    for (const chunk of chunks) {
      if (!socket.write(chunk)) await new Promise((resolve) => socket.once('drain', resolve));
    }
  }
  socket.write(REFRESH);
  await done;
  const ms = performance.now() - began;
  // one more keepalive shows whether the last ones were late
  await sleep(HOLD_SECONDS * 1000);
  say(JSON.stringify({ ms, longestMs }));
});
say('ready');
