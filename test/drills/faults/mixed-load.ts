/** Calls of several kinds all at once, as an application makes them: each kind has a client and a rate of its own. */

import assert from 'node:assert/strict';
import { until } from '../../kit/process/processes.js';
import { brokenIn, Load, type LoadOptions } from './load.js';

export interface KindOptions extends LoadOptions {
  /** Stands behind the number of its calls. Absent: the name of the kind. */
  readonly what?: string;
  /** So many calls that end show that the kind goes on. Absent: as many as it makes in a quarter of a second. */
  readonly shown?: number;
}

export type Kinds<Name extends string> = Readonly<Record<Name, KindOptions>>;

/** Part of a second: so many more calls than before show that a kind goes on. */
const SHOWN_S = 0.25;
const GOES_ON_MS = 120_000;

export class MixedLoad<Name extends string> {
  private readonly loads = new Map<Name, Load>();
  /** Invariants that calls broke, a line each. Known once it is stopped. */
  private broken: readonly string[] = [];

  constructor(private readonly kinds: Kinds<Name>) {}

  /** Resolves when calls of each kind have been answered. */
  async begin(): Promise<this> {
    for (const [name, options] of this.entries) this.loads.set(name, await Load.start(options));
    return this;
  }

  of(name: Name): Load {
    return this.loads.get(name)!;
  }

  get sent(): number {
    return this.entries.reduce((sum, [name]) => sum + this.of(name).sent, 0);
  }

  /** What did not end well so far, a line each. */
  get failures(): readonly string[] {
    const failed = this.entries.flatMap(([name]) =>
      this.of(name).failures.map(
        ({ startMs, endMs, failure }) => `${name}: ${failure}, after ${Math.round(endMs - startMs)} ms`,
      ),
    );
    return [...failed, ...this.broken];
  }

  /** How many calls of each kind, in words. */
  get counts(): string {
    return this.entries.map(([name, { what = name }]) => `${this.of(name).sent} ${what}`).join(', ');
  }

  get summary(): string {
    return `${this.counts}: ${this.failures.length} failed`;
  }

  /** Resolves when calls of each kind that began after now have ended. */
  async goesOn(): Promise<void> {
    const wanted = this.entries.map(
      ([name, { perSecond, shown = SHOWN_S * perSecond }]) =>
        [this.of(name), this.of(name).sent + shown] as const,
    );
    const doGoOn = () =>
      wanted.every(([load, least]) => {
        const { ok, failed } = load.since(0);
        return ok + failed > least;
      });
    await until('calls of each kind go on', doGoOn, GOES_ON_MS);
  }

  /** Waits for the ends of all that is under way. */
  async stop(): Promise<void> {
    await Promise.all([...this.loads.values()].map((load) => load.stop()));
    this.broken = this.entries.flatMap(([name]) => brokenIn(this.of(name)).map((line) => `${name}: ${line}`));
  }

  /** Stops, and fails where anything has failed; what was called, in words. */
  async noneFailed(): Promise<string> {
    await this.stop();
    const { failures, summary } = this;
    assert.deepEqual(failures.slice(0, 10), [], summary);
    return summary;
  }

  private get entries(): readonly (readonly [Name, KindOptions])[] {
    return Object.entries<KindOptions>(this.kinds) as [Name, KindOptions][];
  }
}
