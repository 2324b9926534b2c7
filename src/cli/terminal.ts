// What verbs print: style where a person reads, tables, and text that cannot play tricks on a terminal. Scripts and pipes
// get the same words without style. Used by all verbs.

import { styleText } from 'node:util';

/** A stream to print on, as far as it is needed here; process.stdout is one. */
export interface Output {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

export type Environment = Readonly<Record<string, string | undefined>>;

export type Style = Parameters<typeof styleText>[0];

/** Puts a style on a text, or leaves it as it is. */
export type Painter = (style: Style, text: string) => string;

/** Styles are for terminals, unless the user wants none (https://no-color.org) or the terminal has none. */
export function painterFor(output: Output, environment: Environment): Painter {
  const plain = !output.isTTY || Boolean(environment['NO_COLOR']) || environment['TERM'] === 'dumb';
  return plain ? (_, text) => text : (style, text) => styleText(style, text, { validateStream: false });
}

/** On one line and without control characters: a line break becomes `; `, what could steer a terminal is written as \xNN. */
export function printable(text: string): string {
  return text.replace(/\r?\n/g, '; ').replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, (character) => {
    const code = character.codePointAt(0) ?? 0;
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`;
  });
}

/** Text of a cell, and how it is shown. */
export type Cell = string | { readonly text: string; readonly style: Style };

/** Rows under a header, columns as wide as their widest cell; the last one is not padded. Ends with a line break. */
export function table(header: readonly string[], rows: readonly (readonly Cell[])[], paint: Painter): string {
  const cells = rows.map((row) =>
    row.map((cell) => {
      const { text, style } = typeof cell === 'string' ? { text: cell, style: undefined } : cell;
      return { text: printable(text), style };
    }),
  );
  const widths = header.map((title, column) =>
    cells.reduce((widest, row) => Math.max(widest, widthOf(row[column]?.text ?? '')), widthOf(title)),
  );
  const line = (row: readonly { readonly text: string; readonly style?: Style | undefined }[]): string => {
    const padded = row.map(({ text, style }, column) => {
      const gap = column === row.length - 1 ? '' : ' '.repeat((widths[column] ?? 0) - widthOf(text) + 2);
      return `${style === undefined ? text : paint(style, text)}${gap}`;
    });
    return `${padded.join('').trimEnd()}\n`;
  };
  return [header.map((text) => ({ text, style: 'bold' as const })), ...cells].map(line).join('');
}

/** Columns on the screen: a character each, East Asian wide ones two, marks that join none. */
function widthOf(text: string): number {
  let width = 0;
  for (const character of text) {
    if (/\p{Mn}/u.test(character)) continue;
    width +=
      /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\p{Emoji_Presentation}]/u.test(
        character,
      )
        ? 2
        : 1;
  }
  return width;
}
