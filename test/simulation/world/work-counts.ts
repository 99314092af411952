/** Work in one turn: V8's own counts of how often each block of the product ran, against the bytes that the turn brought. */
import { type Profiler, Session } from 'node:inspector/promises';
import type { Dice } from '../dice.js';

/** One run in so many is counted, and at its begin one turn in so many of it. */
const RUNS = 20;
const TURNS = 64;
/** After so many counted turns it is one in twice as many, then one in three times as many: V8 walks through its whole heap for each. */
const SPARSER = 8;
/** A block may run so often for each byte: Huffman codes are read bit by bit, and a byte is read and written on both sides. */
const PER_BYTE = 32;
/** And for each call, endpoint and timer that there is. */
const PER_ENTITY = 64;
const ALWAYS = 20_000;

export const isCounted = (seed: number): boolean => seed % RUNS === 0;

/** What a turn had to do with. */
export interface TurnSize {
  readonly bytes: number;
  /** Calls of the run, endpoints and processes. */
  readonly entities: number;
}

export class WorkCounts {
  private readonly session = new Session();
  private next = 0;
  private counted = 0;

  constructor(private readonly dice: Dice) {}

  async start(): Promise<void> {
    this.session.connect();
    await this.session.post('Profiler.enable');
    await this.session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
    this.next = this.dice.between(1, TURNS);
  }

  async stop(): Promise<void> {
    await this.session.post('Profiler.stopPreciseCoverage');
    this.session.disconnect();
  }

  /** Whether the next turn is one that is counted. */
  isDue(): boolean {
    if (--this.next > 0) return false;
    this.counted++;
    this.next = this.dice.between(1, Math.round(2 * TURNS * (1 + this.counted / SPARSER)));
    return true;
  }

  /** Runs a turn. Undefined: its work is in proportion. @param turn gives the size of the turn that it has made. */
  async around(turn: () => TurnSize): Promise<string | undefined> {
    await this.session.post('Profiler.takePreciseCoverage');
    const { bytes, entities } = turn();
    const { result } = await this.session.post('Profiler.takePreciseCoverage');
    const allowed = ALWAYS + PER_BYTE * bytes + PER_ENTITY * entities;
    const { count, where } = most(result);
    if (count <= allowed) return undefined;
    return `${where} ran ${count} times in a turn of ${bytes} bytes and ${entities} calls and endpoints`;
  }
}

/** The block of the product that ran most often. */
function most(scripts: readonly Profiler.ScriptCoverage[]): { count: number; where: string } {
  let found = { count: 0, where: '' };
  for (const { url, functions } of scripts) {
    const [, file] = /\/dist\/(sidecar\/.*)\.js$/.exec(url) ?? [];
    if (file === undefined) continue;
    for (const { functionName, ranges } of functions)
      for (const { count, startOffset } of ranges)
        if (count > found.count)
          found = { count, where: `${file} ${functionName || 'anonymous'} at ${startOffset}` };
  }
  return found;
}
