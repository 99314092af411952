import { Meter } from '../../http2/limits.js';
import type { Random } from '../../runtime/random.js';
import type { Suspects } from './suspects.js';

/** Answers looked at in a second. */
const PER_SECOND = 40;
/**
 * So many are looked at whatever the ratio: large calls are few, and a share of few shows nothing for long. Of many calls one each
 * 100 ms, so that one that breaks in the middle of a second need not wait for the next.
 */
const LEAST = { burst: 10, perSecond: 10 };

/**
 * Which answers are looked at: a share of all, a few each second at least and so many at most, and each of a suspect. While there
 * are suspects, half of what is looked at is theirs, and they may have all of it: their verdict is what the others gain from.
 */
export class SampleRate<Member> {
  /** Share of the answers, 0 to 1. */
  ratio = 0;
  private readonly least = new Meter(LEAST);
  private left = PER_SECOND;
  private second = 0;

  constructor(
    private readonly suspects: Suspects<Member>,
    private readonly random: Random,
  ) {}

  /** Whether this answer of `member` is one of the share. */
  wants(member: Member, nowMs: number): boolean {
    return this.suspects.has(member, nowMs) || this.least.take(nowMs) || this.random() < this.ratio;
  }

  /** Takes one of those of this second. False: there is none left for `member`. */
  take(member: Member, nowMs: number): boolean {
    const second = Math.floor(nowMs / 1_000);
    if (second !== this.second) this.left = PER_SECOND;
    this.second = second;
    const kept = this.suspects.has(member, nowMs) || !this.suspects.isAny(nowMs) ? 0 : PER_SECOND / 2;
    if (this.left <= kept) return false;
    this.left--;
    return true;
  }
}
