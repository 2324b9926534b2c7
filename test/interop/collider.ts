// A neighbour that collides on purpose, with real sockets: it takes the speaker's connection and answers its OPEN, and
// when the speaker confirms that one (OpenConfirm), dials the speaker and sends an OPEN there too (RFC 4271 §6.8).
// `collider.ts AS ROUTER-ID SPEAKER`. Prints `dialled-by-speaker MESSAGE` or `dialled-by-us MESSAGE` for everything that
// it hears, NOTIFICATIONs with their code and subcode.

import { connect, createServer, type Socket } from 'node:net';

const [as = '', routerId = '', speaker = ''] = process.argv.slice(2);
const HEADER = 19;
const NAMES = ['', 'OPEN', 'UPDATE', 'NOTIFICATION', 'KEEPALIVE'];

function open(): Buffer {
  const body = Buffer.from([4, 0, 0, 0, 90, 0, 0, 0, 0, 0]);
  body.writeUInt16BE(Number(as), 1);
  Buffer.from(routerId.split('.').map(Number)).copy(body, 5);
  const header = Buffer.concat([Buffer.alloc(16, 0xff), Buffer.from([0, HEADER + body.length, 1])]);
  return Buffer.concat([header, body]);
}

function hear(socket: Socket, name: string, on: Readonly<Record<number, () => void>>): void {
  let heard = Buffer.alloc(0);
  socket.on('error', () => {});
  socket.on('data', (bytes) => {
    heard = Buffer.concat([heard, bytes]);
    while (heard.length >= HEADER && heard.length >= heard.readUInt16BE(16)) {
      const type = heard[18] ?? 0;
      const detail = type === 3 ? ` ${heard[19]}/${heard[20]}` : '';
      process.stdout.write(`${name} ${NAMES[type] ?? type}${detail}\n`);
      heard = heard.subarray(heard.readUInt16BE(16));
      on[type]?.();
    }
  });
}

let collided = false;
createServer((socket) => {
  const collide = () => {
    if (collided) return;
    collided = true;
    const second = connect(179, speaker, () => second.write(open()));
    hear(second, 'dialled-by-us', {});
  };
  hear(socket, 'dialled-by-speaker', { 1: () => socket.write(open()), 4: collide });
}).listen(179, '::');
