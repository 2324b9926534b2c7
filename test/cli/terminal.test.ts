// What people and pipes get to see.

import { describe, expect, it } from 'vitest';
import { type Output, painterFor, printable, table } from '../../src/cli/terminal.ts';

const output = (isTTY: boolean): Output => ({ write: () => true, isTTY });
const RED = '\u001b[31mx\u001b[39m';

describe('style', () => {
  it('is for terminals alone, and for those who want it', () => {
    expect(painterFor(output(true), {})('red', 'x')).toBe(RED);
    expect(painterFor(output(true), { NO_COLOR: '' })('red', 'x')).toBe(RED);
    expect(painterFor(output(true), { NO_COLOR: '1' })('red', 'x')).toBe('x');
    expect(painterFor(output(true), { TERM: 'dumb' })('red', 'x')).toBe('x');
    expect(painterFor(output(false), {})('red', 'x')).toBe('x');
  });
});

describe('printable', () => {
  it('keeps a text on one line and without control', () => {
    expect(printable('a\nb\r\nc')).toBe('a; b; c');
    expect(printable('\u001b[2J\t\u202e\u2028é漢')).toBe('\\x1b[2J\\x09\\u{202e}\\u{2028}é漢');
  });
});

describe('table', () => {
  it('aligns columns by what is seen, not by what is written', () => {
    const paint = painterFor(output(true), {});
    const rows = [
      ['long-name', { text: 'x', style: 'red' as const }, 'end'],
      ['漢字', 'yy', ''],
      ['e\u0301', '\u001b', '1'],
    ];
    expect(table(['A', 'B', 'C'], rows, paint)).toBe(
      `\u001b[1mA\u001b[22m          \u001b[1mB\u001b[22m     \u001b[1mC\u001b[22m\nlong-name  ${RED}     end\n漢字       yy\ne\u0301          \\x1b  1\n`,
    );
  });

  it('is a header alone when there is nothing', () => {
    expect(table(['A', 'B'], [], painterFor(output(false), {}))).toBe('A  B\n');
  });
});
