// Regular expressions of Go (RE2's syntax, as its package regexp reads it) as expressions of JavaScript that match the same
// names. What reads otherwise in JavaScript, or not at all, is spelled out: flags, classes, anchors, names of groups. Whether
// something matches is all that is asked: groups capture nothing. Called by exclude-interfaces.

type Range = readonly [from: number, to: number];

/** Code units of JavaScript; names beyond are refused. */
const LAST = 0xffff;
const MOST_REPEATS = 1_000;

const UPPER: Range = [0x41, 0x5a];
const LOWER: Range = [0x61, 0x7a];
const DIGIT: Range = [0x30, 0x39];
const UNDERSCORE: Range = [0x5f, 0x5f];
const WORD: readonly Range[] = [DIGIT, UPPER, UNDERSCORE, LOWER];

// biome-ignore format: a table
const NAMED: Readonly<Record<string, readonly Range[]>> = {
  alnum: [DIGIT, UPPER, LOWER],
  alpha: [UPPER, LOWER],
  ascii: [[0, 0x7f]],
  blank: [[0x09, 0x09], [0x20, 0x20]],
  cntrl: [[0, 0x1f], [0x7f, 0x7f]],
  digit: [DIGIT],
  graph: [[0x21, 0x7e]],
  lower: [LOWER],
  print: [[0x20, 0x7e]],
  punct: [[0x21, 0x2f], [0x3a, 0x40], [0x5b, 0x60], [0x7b, 0x7e]],
  space: [[0x09, 0x0d], [0x20, 0x20]],
  upper: [UPPER],
  word: WORD,
  xdigit: [DIGIT, [0x41, 0x46], [0x61, 0x66]],
};

// biome-ignore format: a table
const PERL: Readonly<Record<string, readonly Range[]>> = {
  d: [DIGIT],
  s: [[0x09, 0x0a], [0x0c, 0x0d], [0x20, 0x20]],
  w: WORD,
};

const CONTROLS: Readonly<Record<string, number>> = { a: 0x07, f: 0x0c, n: 0x0a, r: 0x0d, t: 0x09, v: 0x0b };

/** A group from its `(`, with the flags that hold now, and what was opened for them: closed and opened again at each `|`. */
interface Group {
  readonly flags: ReadonlySet<string>;
  readonly opened: readonly string[];
}

/** The source of a RegExp without flags. Throws an Error that names what is wrong, or what cannot be said in JavaScript. */
export function goExpression(text: string): string {
  return new Translation(text).all();
}

class Translation {
  readonly #text: string;
  readonly #outer: Group[] = [];
  #group: Group = { flags: new Set(), opened: [] };
  #at = 0;
  #out = '';
  /** What an operator of repetition would repeat. */
  #last: 'nothing' | 'atom' | 'repeated' = 'nothing';

  constructor(text: string) {
    this.#text = text;
  }

  all(): string {
    if (/[\ud800-\udfff]/.test(this.#text)) throw new Error('characters above U+FFFF cannot be matched');
    while (this.#at < this.#text.length) this.#next();
    if (this.#outer.length > 0) throw new Error(`missing closing ): ${this.#text}`);
    return this.#out + this.#closed();
  }

  get #folds(): boolean {
    return this.#group.flags.has('i');
  }

  #takes(what: string): boolean {
    if (!this.#text.startsWith(what, this.#at)) return false;
    this.#at += what.length;
    return true;
  }

  /** Throws where it does not match: `fault` and the rest of the text. */
  #match(pattern: RegExp, fault: string): RegExpExecArray {
    const found = this.#peek(pattern);
    if (found === undefined) throw new Error(`${fault}${this.#text.slice(this.#at)}`);
    this.#at += found[0].length;
    return found;
  }

  #peek(pattern: RegExp): RegExpExecArray | undefined {
    return new RegExp(pattern.source, 's').exec(this.#text.slice(this.#at)) ?? undefined;
  }

  #atom(source: string): void {
    this.#out += source;
    this.#last = 'atom';
  }

  #next(): void {
    const repeat = this.#peek(/^(?:[*+?]|\{(\d+)(?:(,)(\d*))?\})/);
    if (repeat !== undefined) {
      this.#repeat(repeat);
      return;
    }
    const char = this.#text.charAt(this.#at++);
    switch (char) {
      case '(':
        this.#open();
        break;
      case ')':
        this.#close();
        break;
      case '|':
        this.#out += `${this.#closed()}|${this.#group.opened.join('')}`;
        this.#last = 'nothing';
        break;
      case '.':
        this.#atom(this.#group.flags.has('s') ? '[^]' : '[^\\n]');
        break;
      // in parentheses, for Go lets anchors be repeated
      case '^':
        this.#atom(this.#group.flags.has('m') ? '(?:(?<![^\\n]))' : '(?:(?<![^]))');
        break;
      case '$':
        this.#atom(this.#group.flags.has('m') ? '(?:(?![^\\n]))' : '(?:(?![^]))');
        break;
      case '[':
        this.#atom(this.#class());
        break;
      case '\\':
        this.#escape();
        break;
      default:
        this.#atom(unit(char.charCodeAt(0)));
    }
  }

  #repeat([operator, least, comma, most]: RegExpExecArray): void {
    if (this.#last === 'nothing') throw new Error(`missing argument to repetition operator: ${operator}`);
    if (this.#last === 'repeated') throw new Error(`invalid nested repetition operator: ${operator}`);
    const [from, to] = [Number(least ?? 0), Number(most || (least ?? 0))];
    if (from > MOST_REPEATS || to > MOST_REPEATS || (comma !== undefined && most !== '' && to < from))
      throw new Error(`invalid repeat count: ${operator}`);
    this.#at += operator.length;
    // a lazy one matches the same names
    this.#takes('?');
    this.#out += operator;
    this.#last = 'repeated';
  }

  #open(): void {
    let flags = this.#group.flags;
    let source = '(?:';
    if (this.#takes('?')) {
      if (this.#peek(/^P?</) !== undefined) this.#match(/^P?<\w+>/, 'invalid named capture: (?');
      else {
        const [, on = '', minus, off = '', end] = this.#match(
          /^([imsU]*)(-)?([imsU]*)([:)])/,
          'invalid or unsupported Perl syntax: (?',
        );
        const isEmpty = (on === '' && off === '' && end === ')') || (minus !== undefined && off === '');
        if (isEmpty) throw new Error(`invalid or unsupported Perl syntax: (?${on}${minus ?? ''}${end}`);
        flags = new Set([...flags, ...on].filter((flag) => !off.includes(flag)));
        source = foldingOf(on, off);
        if (end === ')') {
          this.#group = { flags, opened: [...this.#group.opened, source] };
          this.#out += source;
          this.#last = 'nothing';
          return;
        }
      }
    }
    this.#outer.push(this.#group);
    this.#group = { flags, opened: [] };
    this.#out += source;
    this.#last = 'nothing';
  }

  #close(): void {
    const outer = this.#outer.pop();
    if (outer === undefined) throw new Error(`unexpected ): ${this.#text}`);
    this.#atom(`${this.#closed()})`);
    this.#group = outer;
  }

  #closed(): string {
    return ')'.repeat(this.#group.opened.length);
  }

  /** After the backslash, outside of a class. */
  #escape(): void {
    if (this.#takes('Q')) {
      const end = this.#text.indexOf('\\E', this.#at);
      const literal = this.#text.slice(this.#at, end < 0 ? undefined : end);
      this.#at = end < 0 ? this.#text.length : end + 2;
      for (const char of literal) this.#atom(unit(char.charCodeAt(0)));
    } else if (this.#takes('A')) this.#atom('(?:(?<![^]))');
    else if (this.#takes('z')) this.#atom('(?:(?![^]))');
    else if (this.#takes('b')) this.#atom('(?:\\b)');
    else if (this.#takes('B')) this.#atom('(?:\\B)');
    else this.#atom(classOf(this.#perlClass() ?? only(this.#escaped()), false));
  }

  /** `\d` and its like, and what their capital is; undefined: none of them. */
  #perlClass(): readonly Range[] | undefined {
    const char = this.#text.charAt(this.#at);
    if (char === 'p' || char === 'P') throw new Error(`classes of Unicode cannot be matched: \\${char}`);
    const ranges = PERL[char.toLowerCase()];
    if (ranges === undefined) return undefined;
    this.#at++;
    return char === char.toLowerCase() ? ranges : complement(ranges);
  }

  /** The one character that an escape stands for, after its backslash. */
  #escaped(): number {
    const [, control, hex, braced, octal, punctuation = ''] = this.#match(
      /^(?:([afnrtv])|x([\da-fA-F]{2})|x\{([\da-fA-F]{1,6})\}|(0[0-7]{0,2}|[1-7][0-7]{1,2})|([\0-/:-@[-`{-\x7f]))/,
      'invalid escape sequence: \\',
    );
    if (control !== undefined) return CONTROLS[control] ?? 0;
    const code = Number.parseInt(hex ?? braced ?? '', 16);
    if (code > LAST) throw new Error('characters above U+FFFF cannot be matched');
    if (!Number.isNaN(code)) return code;
    return octal === undefined ? punctuation.charCodeAt(0) : Number.parseInt(octal, 8);
  }

  /** After its `[`. */
  #class(): string {
    const isNegated = this.#takes('^');
    const ranges: Range[] = [];
    for (let isFirst = true; isFirst || !this.#takes(']'); isFirst = false) {
      if (this.#at >= this.#text.length) throw new Error(`missing closing ]: ${this.#text}`);
      const named = this.#peek(/^\[:(\^?)(.*?):\]/);
      if (named !== undefined) {
        ranges.push(...this.#named(named));
        continue;
      }
      if (this.#peek(/^\\[dswDSWpP]/) !== undefined) {
        this.#at++;
        ranges.push(...(this.#perlClass() ?? []));
        continue;
      }
      const from = this.#classChar();
      const isRange = this.#peek(/^-[^\]]/) !== undefined && this.#takes('-');
      const to = isRange ? this.#classChar() : from;
      if (to < from) throw new Error(`invalid character class range: ${this.#text}`);
      ranges.push([from, to]);
    }
    return classOf(ranges, isNegated);
  }

  #named([whole, not, name = '']: RegExpExecArray): readonly Range[] {
    // without case, capitals are small letters too, and so is what is not among them
    const ranges = NAMED[this.#folds && (name === 'upper' || name === 'lower') ? 'alpha' : name];
    if (ranges === undefined) throw new Error(`invalid character class range: ${whole}`);
    this.#at += whole.length;
    return not === '' ? ranges : complement(ranges);
  }

  #classChar(): number {
    if (this.#takes('\\')) return this.#escaped();
    if (this.#at >= this.#text.length) throw new Error(`missing closing ]: ${this.#text}`);
    return this.#text.charCodeAt(this.#at++);
  }
}

/** What JavaScript has of flags in groups is used for case alone. */
function foldingOf(on: string, off: string): string {
  if (off.includes('i')) return '(?-i:';
  return on.includes('i') ? '(?i:' : '(?:';
}

function only(code: number): readonly Range[] {
  return [[code, code]];
}

function complement(ranges: readonly Range[]): readonly Range[] {
  const rest: Range[] = [];
  let next = 0;
  for (const [from, to] of [...ranges].sort(([a], [b]) => a - b)) {
    if (from > next) rest.push([next, from - 1]);
    next = Math.max(next, to + 1);
  }
  if (next <= LAST) rest.push([next, LAST]);
  return rest;
}

function classOf(ranges: readonly Range[], isNegated: boolean): string {
  const listed = ranges.map(([from, to]) => (from === to ? unit(from) : `${unit(from)}-${unit(to)}`));
  return `[${isNegated ? '^' : ''}${listed.join('')}]`;
}

/** Itself where it is a letter or digit, else as an escape, which means nothing but the character. */
function unit(code: number): string {
  const char = String.fromCharCode(code);
  return /^[\dA-Za-z]$/.test(char) ? char : `\\u${code.toString(16).padStart(4, '0')}`;
}
