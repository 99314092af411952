import { LastValues, trendOf } from './trend.js';

/** Looks, one a second, of which the mean is one value: a queue goes up and down within seconds at any load. */
const LOOKS = 4;
/** Values of a trend: eighty seconds. */
const VALUES = 20;
const SPAN_S = (VALUES - 1) * LOOKS;
/** Rises outnumber falls by so many standard deviations: nearly every value is above those before it. */
const SURE = 5;
/** Trends in a row that are an alarm. It stays at that: queues of nine tenths utilization grow for a minute by chance, a few times a day. */
const IN_A_ROW = 3;
/** Growth over them that counts, in calls, and over what there was at its beginning. */
const LEAST_GROWTH = 8;
const GROWTH_FACTOR = 2;

/**
 * Whether the calls at an endpoint become ever more: it serves fewer than it gets. The slope of means of four seconds over eighty; a
 * burst is over before that.
 */
export class QueueTrend {
  private readonly values = new LastValues(VALUES);
  private sum = 0;
  private looks = 0;
  private found = 0;
  private text = '';
  /** Growth over the last values, calls; 0: not known yet. */
  growth = 0;
  private isDue = false;
  private z = 0;

  /** Calls at the endpoint now; to be called once a second, of all endpoints before `judge` of any. */
  observe(calls: number): void {
    this.sum += calls;
    this.looks += 1;
    this.isDue = this.looks === LOOKS;
    if (!this.isDue) return;
    this.values.add(this.sum / LOOKS);
    this.sum = 0;
    this.looks = 0;
    if (!this.values.isFull) return;
    const { slope, z } = trendOf(this.values.from());
    this.growth = slope * (VALUES - 1);
    this.z = z;
  }

  /** @param common growth that its peers have at the same time: more calls for all are no sign of this endpoint. */
  judge(common: number): void {
    if (!this.isDue || !this.values.isFull) return;
    const own = this.growth - Math.max(0, common);
    const first = Math.max(this.values.from()[0]!, 1);
    const least = Math.max(LEAST_GROWTH, GROWTH_FACTOR * first);
    const isGrowing = this.z >= SURE && own >= least;
    this.found = isGrowing ? Math.min(IN_A_ROW, this.found + 1) : Math.max(0, this.found - 2);
    if (isGrowing)
      this.text = `calls there grew by ${own.toFixed(0)} more than those of its peers, in ${SPAN_S} s`;
  }

  /** 0 to 1: ½ is an alarm. */
  get level(): number {
    return this.found / (2 * IN_A_ROW);
  }

  /** One sentence. */
  get why(): string {
    return this.text;
  }

  forget(): void {
    this.values.clear();
    this.sum = 0;
    this.looks = 0;
    this.found = 0;
    this.growth = 0;
    this.isDue = false;
  }
}
