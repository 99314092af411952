import { KNOWN_STREAMS, KNOWN_UNARY } from './method.js';

/** Methods by what their service says of them, as paths; a method that is in neither list is not described. */
export interface MethodList {
  /** One message is answered by one. */
  readonly unary: readonly string[];
  /** The caller, the service or both may send several. */
  readonly streaming: readonly string[];
}

/**
 * What is known of a method beside the configuration. `described`: the service says that it is unary, or its definition is
 * published. `single`: so many answers in a row
 * had one message that it is judged as a unary one, and nothing more is made of it. `streaming`: it is none of these, for certain.
 */
export const MethodKind = { unknown: 0, streaming: 1, described: 2, single: 3 } as const;
export type MethodKind = (typeof MethodKind)[keyof typeof MethodKind];

/** One method and what is known of it, for people. */
export interface KnownMethod {
  readonly method: string;
  readonly kind: 'unary' | 'streaming';
  /** `description`: of the service. `answers`: what its answers were like. */
  readonly from: 'description' | 'answers';
}

/** Described methods that are kept of one service. */
export const MAX_DESCRIBED = 256;
/** Methods whose answers are counted. */
const MAX_COUNTED = 64;
/** Methods that are remembered for having sent a second message; once there are more, no answers are counted any more. */
const MAX_REFUTED = 256;
/** Answers of one message in a row that make a method `single`. */
export const ANSWERS_NEEDED = 50;

/**
 * What kind of call each method of a service is, from the descriptions of its endpoints and from answers. A method that has sent a second
 * message is a stream from then on, whatever is said of it.
 */
export class MethodKinds {
  /** What is known has changed. */
  onChange: () => void = () => {};
  /** Methods that were taken to be unary, and sent a second message. */
  unlearned = 0;
  private described: ReadonlyMap<string, MethodKind> = new Map();
  /** Answers of one message in a row. */
  private readonly answers = new Map<string, number>();
  private readonly refuted = new Set<string>();

  /** What is known of a method. */
  of(path: string): MethodKind {
    if (KNOWN_STREAMS.has(path) || this.refuted.has(path)) return MethodKind.streaming;
    // A definition that is published is worth what a description is.
    if (KNOWN_UNARY.has(path)) return MethodKind.described;
    const said = this.described.get(path);
    if (said !== undefined) return said;
    return (this.answers.get(path) ?? 0) >= ANSWERS_NEEDED ? MethodKind.single : MethodKind.unknown;
  }

  /** Whether a method is described, and one of few: its path may be a label of metrics. */
  isDescribed(path: string): boolean {
    return this.described.has(path);
  }

  /**
   * Takes over what the endpoints say now, one list each. A method that one of them calls a stream is one. Without any list, what was
   * said last stays: the endpoints are on their way.
   */
  describe(lists: readonly MethodList[]): void {
    if (lists.length === 0) return;
    const next = new Map<string, MethodKind>();
    for (const { streaming } of lists) keep(next, streaming, MethodKind.streaming);
    for (const { unary } of lists) keep(next, unary, MethodKind.described);
    const isSame =
      next.size === this.described.size && [...next].every(([k, v]) => this.described.get(k) === v);
    if (isSame) return;
    this.described = next;
    this.onChange();
  }

  /** A call of the method had the status OK and one message. Only of methods that are not described. */
  recordSingle(path: string): void {
    const count = this.answers.get(path);
    if (count === undefined && (this.answers.size >= MAX_COUNTED || this.refuted.size >= MAX_REFUTED)) return;
    const next = (count ?? 0) + 1;
    if (next <= ANSWERS_NEEDED) this.answers.set(path, next);
    if (next === ANSWERS_NEEDED) this.onChange();
  }

  /** A call of the method got a second message, or ended well with none. */
  recordStream(path: string): void {
    const before = this.of(path);
    this.answers.delete(path);
    if (before === MethodKind.streaming || this.refuted.size >= MAX_REFUTED) return;
    this.refuted.add(path);
    if (before === MethodKind.unknown) return;
    this.unlearned++;
    this.onChange();
  }

  /** Every method of which something is known, in the order of their names. */
  get known(): readonly KnownMethod[] {
    const said = [...this.described.keys()].map((method) => ({ method, from: 'description' as const }));
    const seen = [...this.answers.keys(), ...this.refuted].map((method) => ({
      method,
      from: 'answers' as const,
    }));
    return [...said.filter(({ method }) => !this.refuted.has(method)), ...seen]
      .flatMap((each): KnownMethod[] => {
        const kind = this.of(each.method);
        if (kind === MethodKind.unknown) return [];
        return [{ ...each, kind: kind === MethodKind.streaming ? 'streaming' : 'unary' }];
      })
      .sort((a, b) => (a.method < b.method ? -1 : 1));
  }
}

function keep(into: Map<string, MethodKind>, paths: readonly string[], kind: MethodKind): void {
  for (const path of paths) if (into.size < MAX_DESCRIBED && !into.has(path)) into.set(path, kind);
}
