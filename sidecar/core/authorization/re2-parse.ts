/**
 * Reads the regular expressions of Go and Envoy (RE2, https://github.com/google/re2/wiki/Syntax) into a tree, as far as
 * rules about paths and headers need them: ASCII text, no captures. What is left out is a fault, never guessed at.
 */

import { complement, ESCAPED_SETS, MAX_UNIT, POSIX, type Ranges, ranges, withBothCases } from './re2-sets.js';

export type Node =
  | { readonly kind: 'set'; readonly ranges: Ranges }
  | { readonly kind: 'assert'; readonly what: 'begin' | 'end' | 'word' | 'not-word' }
  | { readonly kind: 'concat' | 'either'; readonly parts: readonly Node[] }
  /** `max` Infinity: no bound. */
  | { readonly kind: 'repeat'; readonly part: Node; readonly min: number; readonly max: number };

/** The message says what is not taken, and where. */
export class Re2Fault extends Error {}

/** RE2's own bounds. */
const MAX_REPEAT = 1000;
const MAX_DEPTH = 100;
const ESCAPED_UNITS: Readonly<Record<string, number>> = { a: 7, f: 12, t: 9, n: 10, r: 13, v: 11 };

/** @throws Re2Fault */
export function parseRe2(pattern: string): Node {
  return new Parser(pattern).run();
}

class Parser {
  private at = 0;
  private depth = 0;
  private ignoresCase = false;
  private dotTakesAll = false;

  constructor(private readonly text: string) {}

  run(): Node {
    const node = this.either();
    if (this.at < this.text.length) throw this.fault('a ")" without "("');
    return node;
  }

  private either(): Node {
    this.depth += 1;
    if (this.depth > MAX_DEPTH) throw this.fault(`groups in groups, more than ${MAX_DEPTH} deep`);
    const parts = [this.concat()];
    while (this.take('|')) parts.push(this.concat());
    this.depth -= 1;
    return parts.length === 1 ? parts[0]! : { kind: 'either', parts };
  }

  private concat(): Node {
    const parts: Node[] = [];
    while (this.at < this.text.length && this.peek() !== '|' && this.peek() !== ')') {
      const atom = this.atom();
      if (atom !== undefined) parts.push(this.repeated(atom));
    }
    return { kind: 'concat', parts };
  }

  private repeated(part: Node): Node {
    const bounds = this.bounds();
    if (bounds === undefined) return part;
    this.take('?'); // as few as possible: the same texts match
    if (this.bounds() !== undefined) throw this.fault('a repetition of a repetition');
    return { kind: 'repeat', part, min: bounds[0], max: bounds[1] };
  }

  private bounds(): [number, number] | undefined {
    if (this.take('*')) return [0, Number.POSITIVE_INFINITY];
    if (this.take('+')) return [1, Number.POSITIVE_INFINITY];
    if (this.take('?')) return [0, 1];
    const match = this.match(/\{(\d+)(,?)(\d*)\}/y);
    if (match === undefined) return undefined;
    const min = Number(match[1]);
    const max = match[2] === '' ? min : match[3] === '' ? Number.POSITIVE_INFINITY : Number(match[3]);
    const most = max === Number.POSITIVE_INFINITY ? min : max;
    if (Math.max(min, most) > MAX_REPEAT) throw this.fault(`more than ${MAX_REPEAT} times`);
    if (max < min) throw this.fault('a repetition that ends before it begins');
    return [min, max];
  }

  /** Undefined: it only set flags. */
  private atom(): Node | undefined {
    const char = this.next();
    switch (char) {
      case '(':
        return this.group();
      case '[':
        return this.set(this.charClass());
      case '.':
        return { kind: 'set', ranges: this.dotTakesAll ? [[0, MAX_UNIT]] : complement([[10, 10]]) };
      case '^':
        return { kind: 'assert', what: 'begin' };
      case '$':
        return { kind: 'assert', what: 'end' };
      case '\\':
        return this.escape();
      case '*':
      case '+':
      case '?':
        this.at -= 1;
        throw this.fault('nothing to repeat');
      default:
        return this.set([[this.unit(char), this.unit(char)]]);
    }
  }

  private group(): Node | undefined {
    const { ignoresCase, dotTakesAll } = this;
    if (this.peek() === '?' && this.match(/\?P?<[A-Za-z_]\w*>/y) === undefined) {
      const flags = this.match(/\?([a-zA-Z]*)(?:-([a-zA-Z]+))?([:)])/y);
      if (flags === undefined) throw this.fault('a group of a kind RE2 does not know');
      this.setFlags(flags[1]!, true);
      this.setFlags(flags[2] ?? '', false);
      if (flags[3] === ')') return undefined; // for the rest of the group around it
    }
    const node = this.either();
    if (!this.take(')')) throw this.fault('a "(" without ")"');
    this.ignoresCase = ignoresCase;
    this.dotTakesAll = dotTakesAll;
    return node;
  }

  private setFlags(flags: string, value: boolean): void {
    for (const flag of flags) {
      if (flag === 'i') this.ignoresCase = value;
      else if (flag === 's') this.dotTakesAll = value;
      // `U` changes what is captured only; `m` nothing where there is one line.
      else if (flag !== 'U' && flag !== 'm') throw this.fault(`the flag "${flag}"`);
    }
  }

  private escape(): Node {
    const char = this.peek();
    if (char === 'Q') throw this.fault('\\Q');
    const what = ({ A: 'begin', z: 'end', b: 'word', B: 'not-word' } as const)[char];
    if (what !== undefined) {
      this.at += 1;
      return { kind: 'assert', what };
    }
    return this.set(this.escapedSet() ?? this.single(this.escapedUnit()));
  }

  /** After the backslash: `\d` and the like. */
  private escapedSet(): Ranges | undefined {
    const char = this.peek();
    const known = Object.hasOwn(ESCAPED_SETS, char.toLowerCase())
      ? ESCAPED_SETS[char.toLowerCase()]
      : undefined;
    if (known === undefined) return undefined;
    this.at += 1;
    return char === char.toLowerCase() ? known : complement(known);
  }

  private escapedUnit(): number {
    const hex = this.match(/x(?:([0-9A-Fa-f]{2})|\{([0-9A-Fa-f]{1,4})\})/y);
    if (hex !== undefined) return Number.parseInt(hex[1] ?? hex[2]!, 16);
    const char = this.next();
    if (Object.hasOwn(ESCAPED_UNITS, char)) return ESCAPED_UNITS[char]!;
    if (!/^[!-/:-@[-`{-~]$/.test(char)) throw this.fault(`the escape "\\${char}"`);
    return this.unit(char);
  }

  private charClass(): Ranges {
    const isNegated = this.take('^');
    const found: [number, number][] = [];
    for (let isFirst = true; isFirst || this.peek() !== ']'; isFirst = false) {
      const set = this.namedSet();
      if (set !== undefined) {
        found.push(...(set as [number, number][]));
        continue;
      }
      const low = this.classUnit();
      let high = low;
      if (this.peek() === '-' && this.text[this.at + 1] !== ']') {
        this.at += 1;
        high = this.classUnit();
      }
      if (high < low) throw this.fault('a range that ends before it begins');
      found.push([low, high]);
    }
    this.at += 1;
    const all = this.ignoresCase ? withBothCases(found) : ranges(...found);
    return isNegated ? complement(all) : all;
  }

  private namedSet(): Ranges | undefined {
    const posix = this.match(/\[:(\^?)(\w+):\]/y);
    if (posix !== undefined) {
      const named = Object.hasOwn(POSIX, posix[2]!) ? POSIX[posix[2]!]! : undefined;
      if (named === undefined) throw this.fault(`the class "${posix[2]}"`);
      return posix[1] === '' ? named : complement(named);
    }
    if (this.peek() !== '\\') return undefined;
    this.at += 1;
    const set = this.escapedSet();
    if (set === undefined) this.at -= 1;
    return set;
  }

  private classUnit(): number {
    const char = this.next();
    return char === '\\' ? this.escapedUnit() : this.unit(char);
  }

  private single(unit: number): Ranges {
    return [[unit, unit]];
  }

  private set(found: Ranges): Node {
    return { kind: 'set', ranges: this.ignoresCase ? withBothCases(found) : found };
  }

  private unit(char: string): number {
    const unit = char.charCodeAt(0);
    if (!(unit < 0x80)) throw this.fault('a character outside ASCII');
    return unit;
  }

  private peek(): string {
    return this.text[this.at] ?? '';
  }

  private next(): string {
    const char = this.text[this.at];
    if (char === undefined) throw this.fault('an end too early');
    this.at += 1;
    return char;
  }

  private take(char: string): boolean {
    if (this.peek() !== char) return false;
    this.at += 1;
    return true;
  }

  private match(sticky: RegExp): RegExpExecArray | undefined {
    sticky.lastIndex = this.at;
    const found = sticky.exec(this.text);
    if (found === null) return undefined;
    this.at = sticky.lastIndex;
    return found;
  }

  private fault(what: string): Re2Fault {
    return new Re2Fault(`${what} at character ${this.at + 1}`);
  }
}
