/** An engine of an upstream in which none has died lately dies so often by chance, ms. */
const USUAL_LIFE_MS = 3_600_000;
/** After this long without a death that holds again, ms. */
const QUIET_MS = 600_000;
/** Deaths that are remembered: those of one request do not push those of others out. */
const MOST_DEATHS = 64;
/** Requests that are remembered of one death: as many as an engine runs at once. Of more, their part in it is not known, which weighs less. */
const MOST_REQUESTS = 1_024;
/** So many of the last ones say how often engines die. */
const COUNTED = 8;
/** A death sooner than this says no more, ms, so that one death never convicts. */
const LEAST_EXPOSURE_MS = 100;
/** Deaths that are less likely than one in e¹² by chance, all together, convict a request. */
const CONVICTION = 12;

/** A request that was in an engine as it died. */
export interface LostRequest {
  /** What it is known by, so that copies of it are the same. It is kept: it must not hold on to the call. */
  readonly request: unknown;
  /** When it was sent to the engine, monotonic ms. */
  readonly sentMs: number;
}

interface Death {
  readonly engine: object | null;
  readonly atMs: number;
  /** Those that were in it then. */
  readonly requests: Set<unknown>;
}

/**
 * How often engines of one upstream die, and what that says of a request that was in several as they died. A request that ends engines
 * was there soon before each death; others were there by chance.
 */
export class EngineDeaths {
  private readonly deaths: Death[] = [];
  private lastMs = Number.NEGATIVE_INFINITY;
  /** Since it was quiet. */
  private count = 0;

  /** An engine has died with a request inside. Requests that were sent before that to the same one were in it as well. */
  record(engine: object | null, { request, sentMs }: LostRequest, nowMs: number): void {
    this.forget(nowMs);
    const known = this.deaths.findLast((each) => each.engine === engine);
    const { requests } = known === undefined || sentMs > known.atMs ? this.begin(engine, nowMs) : known;
    if (requests.size < MOST_REQUESTS) requests.add(request);
  }

  /** It has been quiet for long: nothing of before is kept. */
  private forget(nowMs: number): void {
    if (nowMs - this.lastMs < QUIET_MS) return;
    this.deaths.length = 0;
    this.count = 0;
  }

  private begin(engine: object | null, atMs: number): Death {
    const death = { engine, atMs, requests: new Set() };
    this.deaths.push(death);
    if (this.deaths.length > MOST_DEATHS) this.deaths.shift();
    this.lastMs = atMs;
    this.count++;
    return death;
  }

  /**
   * What the death of one of so many engines says against a request: −ln of the probability that it came by chance in the time since the request
   * was sent there. Of several deaths the sum.
   */
  weigh({ request, sentMs }: LostRequest, engines: number, nowMs: number): number {
    this.forget(nowMs);
    const perLife = Math.max(LEAST_EXPOSURE_MS, nowMs - sentMs) / this.lifeMs(request, engines, nowMs);
    return -Math.log(-Math.expm1(-perLife));
  }

  /** No engine has died lately without this request inside, as far as is remembered. */
  isAlone(request: unknown, nowMs: number): boolean {
    this.forget(nowMs);
    return this.deaths.every(({ requests }) => requests.has(request));
  }

  /** A request that weighs more ends engines. Where many died lately, more requests were there by chance. */
  get limit(): number {
    return CONVICTION + Math.log(Math.max(1, this.count));
  }

  /** The request is known to end engines: those that it has ended did not die by chance. */
  explain(request: unknown): void {
    const left = this.deaths.filter(({ requests }) => !requests.has(request));
    this.deaths.splice(0, this.deaths.length, ...left);
  }

  /** How long an engine lives, by the deaths in which this request had no part. */
  private lifeMs(request: unknown, engines: number, nowMs: number): number {
    const others = this.deaths.filter(({ requests }) => !requests.has(request)).slice(-COUNTED);
    if (others.length === 0) return USUAL_LIFE_MS;
    const gapsMs = others.map(({ atMs }, i) => (others[i + 1]?.atMs ?? nowMs) - atMs);
    gapsMs.sort((a, b) => a - b);
    return Math.min(USUAL_LIFE_MS, Math.max(1, engines * gapsMs[gapsMs.length >> 1]!));
  }
}
