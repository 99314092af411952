/**
 * Regular expressions as Go and Envoy understand them, matched in time linear in the text: rules come from a registry,
 * texts from callers, and JavaScript's own engine may take exponential time over either. A set of positions in the
 * expression is moved along the text (Thompson 1968, as RE2 does), and the whole text must match.
 */
import { type Node, parseRe2, Re2Fault } from './re2-parse.js';
import type { Ranges } from './re2-sets.js';

/** Longer expressions are refused. */
const MAX_PATTERN_CHARS = 1024;
/** Steps of the compiled expression: with the longest text, some 10 ms of work. */
const MAX_STEPS = 1000;
/** Longer texts are not judged. */
export const MAX_TEXT_CHARS = 4096;

/** Sub-expressions looked at while compiling: repetitions of nothing make no steps. */
const MAX_EMITTED = 10_000;

interface Step {
  readonly op: 'set' | 'split' | 'jump' | 'assert' | 'match';
  readonly ranges?: Ranges;
  readonly what?: string;
  to: number;
  or: number;
}

export type Re2 = { readonly matches: (text: string) => boolean | undefined };

/** The compiled expression, or what in it is not taken. `matches` gives undefined for a text too long to judge. */
export function compileRe2(pattern: string): Re2 | { readonly fault: string } {
  if (pattern.length > MAX_PATTERN_CHARS) return { fault: `longer than ${MAX_PATTERN_CHARS} characters` };
  try {
    const program = new Program();
    program.emit(parseRe2(pattern));
    program.add({ op: 'match', to: 0, or: 0 });
    return {
      matches: (text) => (text.length > MAX_TEXT_CHARS ? undefined : runs(program.steps, text)),
    };
  } catch (error) {
    if (error instanceof Re2Fault) return { fault: error.message };
    throw error;
  }
}

/** An expression that whole texts must match. */
export class Re2Pattern {
  /** Not seen by comparisons: patterns of one source are equal. */
  readonly #re2: Re2;

  private constructor(
    readonly source: string,
    re2: Re2,
  ) {
    this.#re2 = re2;
  }

  /** What in it is not taken comes back instead. */
  static of(source: string): Re2Pattern | { readonly fault: string } {
    const compiled = compileRe2(source);
    return 'fault' in compiled ? compiled : new Re2Pattern(source, compiled);
  }

  /** Undefined: the text is too long to judge. */
  test(text: string): boolean | undefined {
    return this.#re2.matches(text);
  }
}

class Program {
  readonly steps: Step[] = [];
  private emitted = 0;

  add(step: Step): Step {
    if (this.steps.length >= MAX_STEPS) throw new Re2Fault(`more than ${MAX_STEPS} steps`);
    this.steps.push(step);
    return step;
  }

  private get end(): number {
    return this.steps.length;
  }

  emit(node: Node): void {
    this.emitted += 1;
    if (this.emitted > MAX_EMITTED) throw new Re2Fault('too many repetitions');
    switch (node.kind) {
      case 'set':
        this.add({ op: 'set', ranges: node.ranges, to: 0, or: 0 });
        break;
      case 'assert':
        this.add({ op: 'assert', what: node.what, to: 0, or: 0 });
        break;
      case 'concat':
        for (const part of node.parts) this.emit(part);
        break;
      case 'either':
        this.either(node.parts);
        break;
      case 'repeat':
        this.repeat(node.part, node.min, node.max);
        break;
    }
  }

  private either(parts: readonly Node[]): void {
    const jumps: Step[] = [];
    for (const part of parts.slice(0, -1)) {
      const split = this.add({ op: 'split', to: this.end + 1, or: 0 });
      this.emit(part);
      jumps.push(this.add({ op: 'jump', to: 0, or: 0 }));
      split.or = this.end;
    }
    this.emit(parts.at(-1)!);
    for (const jump of jumps) jump.to = this.end;
  }

  private repeat(part: Node, min: number, max: number): void {
    for (let i = 0; i < min; i++) this.emit(part);
    if (max === Number.POSITIVE_INFINITY) {
      const at = this.end;
      const split = this.add({ op: 'split', to: at + 1, or: 0 });
      this.emit(part);
      this.add({ op: 'jump', to: at, or: 0 });
      split.or = this.end;
      return;
    }
    const splits: Step[] = [];
    for (let i = min; i < max; i++) {
      splits.push(this.add({ op: 'split', to: this.end + 1, or: 0 }));
      this.emit(part);
    }
    for (const split of splits) split.or = this.end;
  }
}

function runs(steps: readonly Step[], text: string): boolean {
  // By step: the position in the text at which it was last reached, so that each is looked at once.
  const reached = new Int32Array(steps.length).fill(-1);
  let now = follow(steps, [0], text, 0, reached);
  for (let at = 0; at < text.length && now.length > 0; at++) {
    const unit = text.charCodeAt(at);
    const next: number[] = [];
    for (const pc of now) {
      const step = steps[pc]!;
      if (step.op === 'set' && within(step.ranges!, unit)) next.push(pc + 1);
    }
    now = follow(steps, next, text, at + 1, reached);
  }
  return now.some((pc) => steps[pc]!.op === 'match');
}

/** The steps that take a character, or the end, to be reached from `from` without taking one. */
function follow(
  steps: readonly Step[],
  from: number[],
  text: string,
  at: number,
  reached: Int32Array,
): number[] {
  const found: number[] = [];
  for (let pc = from.pop(); pc !== undefined; pc = from.pop()) {
    if (reached[pc] === at) continue;
    reached[pc] = at;
    const step = steps[pc]!;
    if (step.op === 'set' || step.op === 'match') found.push(pc);
    else if (step.op === 'jump') from.push(step.to);
    else if (step.op === 'split') from.push(step.or, step.to);
    else if (holds(step.what!, text, at)) from.push(pc + 1);
  }
  return found;
}

function holds(what: string, text: string, at: number): boolean {
  if (what === 'begin') return at === 0;
  if (what === 'end') return at === text.length;
  const isEdge = isWord(text, at - 1) !== isWord(text, at);
  return (what === 'word') === isEdge;
}

function isWord(text: string, at: number): boolean {
  return at >= 0 && at < text.length && /\w/.test(text[at]!);
}

function within(ranges: Ranges, unit: number): boolean {
  for (const [low, high] of ranges) {
    if (unit < low) return false;
    if (unit <= high) return true;
  }
  return false;
}
