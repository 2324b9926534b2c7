// Small programs that stories run inside a namespace, where the test itself is not: `node inside.ts VERB …`.
//   relay SOCKET HOST PORT   a unix socket that leads to a TCP port of the namespace
//   serve NAME PORT          answers every TCP connection with NAME
//   web NAME PORT            answers every request of HTTP with NAME
//   fetch HOST PORT COUNT    connects COUNT times, one after the other; prints how often each answer came, as JSON
//   babble PORT              accepts TCP and talks garbage: headers of BGP with lengths and types that are none

import { rmSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { connect, createServer, type Socket } from 'node:net';
import { pipeline } from 'node:stream';

const [verb, ...rest] = process.argv.slice(2);
const argument = (at: number): string => rest[at] ?? '';

function relay(path: string, host: string, port: number): void {
  rmSync(path, { force: true });
  createServer({ allowHalfOpen: true }, (near) => {
    const far = connect(port, host);
    pipeline(near, far, near, () => {});
  }).listen(path);
}

function serve(name: string, port: number): void {
  createServer((socket) => {
    socket.on('error', () => {});
    socket.end(name);
  }).listen(port, '::');
}

function web(name: string, port: number): void {
  createHttpServer((_, response) => response.end(name)).listen(port, '::');
}

function once(host: string, port: number): Promise<string> {
  return new Promise((resolve) => {
    let answer = '';
    const socket = connect(port, host);
    socket.setTimeout(2_000, () => socket.destroy(new Error('timeout')));
    socket.on('data', (chunk) => {
      answer += chunk.toString();
    });
    socket.on('error', (error) => {
      answer = error.message;
    });
    socket.on('close', () => resolve(answer));
  });
}

async function fetchAll(host: string, port: number, count: number): Promise<void> {
  const answers: Record<string, number> = {};
  for (let i = 0; i < count; i++) {
    const answer = await once(host, port);
    answers[answer] = (answers[answer] ?? 0) + 1;
  }
  process.stdout.write(JSON.stringify(answers));
}

function babble(port: number): void {
  const marker = Buffer.alloc(16, 0xff);
  const nonsense = [
    Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'),
    // a length below the header's own, one beyond every limit, a type that does not exist
    Buffer.concat([marker, Buffer.from([0, 1, 4])]),
    Buffer.concat([marker, Buffer.from([0xff, 0xff, 1]), Buffer.alloc(100_000)]),
    Buffer.concat([marker, Buffer.from([0, 19, 99])]),
    // the beginning of an OPEN that never goes on
    Buffer.concat([marker, Buffer.from([0, 29, 1, 4])]),
    Buffer.alloc(1_000_000, 0x5a),
  ];
  let turn = 0;
  createServer((socket: Socket) => {
    socket.on('error', () => {});
    socket.write(nonsense[turn++ % nonsense.length] ?? marker);
    socket.resume();
  }).listen(port, '::');
}

switch (verb) {
  case 'relay':
    relay(argument(0), argument(1), Number(argument(2)));
    break;
  case 'serve':
    serve(argument(0), Number(argument(1)));
    break;
  case 'web':
    web(argument(0), Number(argument(1)));
    break;
  case 'fetch':
    await fetchAll(argument(0), Number(argument(1)), Number(argument(2)));
    break;
  case 'babble':
    babble(Number(argument(0)));
    break;
  default:
    process.stderr.write(`no such verb: ${verb}\n`);
    process.exitCode = 2;
}
