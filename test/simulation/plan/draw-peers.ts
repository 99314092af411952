/** How bytes travel, and how applications and models speak HTTP/2. */
import type { Dice } from '../dice.js';
import type { LinkPlan, QuirksPlan } from './plan.js';

const LEAST_LINK_BYTES_PER_MS = 1_000;

export class PeerDraw {
  /** @param mostBytes of a usual message. */
  constructor(
    private readonly dice: Dice,
    private readonly has: (feature: string) => boolean,
    private readonly mostBytes: number,
  ) {}

  link(delayMs: number): LinkPlan {
    const dice = this.dice.of(`link ${delayMs}`);
    const isSmall = this.has('small-kernels');
    return {
      delayMs,
      kernelBytes: isSmall ? Math.max(dice.logBetween(4_096, 65_536), this.leastKernel(delayMs)) : 262_144,
      takeBytes: isSmall ? dice.logBetween(1_024, 65_536) : 262_144,
      readBytes: this.has('ragged-links') ? dice.logBetween(2_048, 131_072) : 65_536,
      isRagged: this.has('ragged-links'),
    };
  }

  /** As much as is under way in a delay: large messages would otherwise take longer than the run. */
  private leastKernel(delayMs: number): number {
    return this.isLarge ? LEAST_LINK_BYTES_PER_MS * delayMs : 0;
  }

  quirks(name: string): QuirksPlan {
    const dice = this.dice.of(`quirks ${name}`);
    const isOdd = this.has('odd-peers') && dice.chance(0.7);
    const isTiny = this.has('tiny-windows') && dice.chance(0.5);
    return {
      initialWindow: isTiny ? dice.pick([0, 1_000, 16_384]) : dice.pick([65_535, 262_144, 2_147_483_647]),
      ...(isTiny && dice.of('raises').chance(0.5) ? { raisesBySettings: true } : {}),
      ...(this.has('late-credit') && dice.of('late credit').chance(0.6) ? { creditsLate: true } : {}),
      connectionCredit: dice.pick([0, 1_000_000, 16_000_000]),
      maxConcurrentStreams: this.has('few-streams') && dice.chance(0.7) ? dice.pick([2, 4, 16]) : null,
      frameBytes: isOdd ? dice.pick([this.leastFrame, 10 * this.leastFrame, 4_096, 16_384]) : 16_384,
      padding: isOdd && dice.chance(0.5) ? 0.3 : 0,
      headerPart: isOdd && dice.chance(0.5) ? dice.pick([40, 64, 100]) : 16_384,
      settingsEvery: isOdd && dice.chance(0.5) ? dice.between(200, 2_000) : 0,
      emptyFrames: isOdd && dice.chance(0.3) ? 0.002 : 0,
      ...this.tables(dice.of('tables')),
    };
  }

  /** So small that a run has many thousand frames, and not a million. */
  private get leastFrame(): number {
    if (this.isLarge) return 1_000;
    return this.mostBytes <= 500 ? 8 : 200;
  }

  private get isLarge(): boolean {
    return this.has('large-messages') || this.has('large-tokens');
  }

  private tables(dice: Dice): Pick<QuirksPlan, 'indexing' | 'tableBytes'> {
    if (!this.has('header-tables')) return {};
    const sizes = Array.from({ length: 3 }, () => dice.pick([0, 100, 300, 1_000, 4_096, 65_536]));
    return { indexing: dice.pick([0, 0.5, 1]), ...(dice.chance(0.6) ? { tableBytes: sizes } : {}) };
  }
}

/** The last part of the address of a replica: `r1` is 11, `s1` is 101. */
export function hostNumber(name: string): number {
  return (name.startsWith('s') ? 100 : 10) + Number(name.slice(1));
}
