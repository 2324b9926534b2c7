// What a person can do while the demo runs: one key each. Called by cluster.ts; where there is no terminal the same
// letters are read from standard input.

import type { Stage } from './stage.ts';
import type { Board } from './watch.ts';

export const HELP =
  '1 2 3: choose a node   k: kill it   d: drain it   b: bring it back   a: cut or mend the API   q: end';

/** Resolves at `q` or Ctrl-C. */
export function obey(stage: Stage, board: Board): Promise<void> {
  const { stdin } = process;
  const names = [...stage.nodes.keys()];
  let chosen = names[0] ?? '';
  let working: Promise<void> = Promise.resolve();
  const tell = (): void => {
    board.hint = `  |  keys for ${chosen}`;
  };
  const act = async (name: string, what: string, isUp: boolean, work: () => Promise<void>): Promise<void> => {
    const is = stage.nodes.get(name);
    if ((is === 'up') !== isUp) return board.say(`${name} is ${is}`);
    board.say(`${name} ${what}`);
    await work();
  };
  const deeds: Readonly<Record<string, (name: string) => Promise<void>>> = {
    k: (name) => act(name, 'is killed: its power goes', true, () => stage.kill(name)),
    d: (name) => act(name, 'is drained: its speaker leaves, then all the rest', true, () => stage.drain(name)),
    b: (name) => act(name, 'is brought back', false, async () => stage.bringBack(name)),
    a: async () => {
      stage.cutApi(!stage.apiIsCut);
      board.say(stage.apiIsCut ? 'the API is cut from all nodes' : 'the API is mended');
    },
  };
  return new Promise((resolve, reject) => {
    if (stdin.isTTY) stdin.setRawMode(true);
    tell();
    stdin.on('data', (data: Buffer) => {
      for (const key of data.toString()) {
        // Ctrl-C, which is a letter like others on a raw terminal
        if (key === 'q' || key === '\x03') resolve();
        else if (names.includes(`n${key}`)) {
          chosen = `n${key}`;
          tell();
        } else {
          const deed = deeds[key];
          const name = chosen;
          // one after the other, however fast they are pressed
          if (deed !== undefined) working = working.then(() => deed(name)).catch(reject);
        }
      }
    });
  });
}

/** The terminal as it was. */
export function letGo(): void {
  const { stdin } = process;
  if (stdin.isTTY) stdin.setRawMode(false);
  stdin.pause();
}
