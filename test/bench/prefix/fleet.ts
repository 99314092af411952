/** Engines and the sidecars of their callers, in simulated time: the real choice of an endpoint and the real keeping of reports. */
import { LoadAverages } from '../../../sidecar/core/admission/load-averages.js';
import { type Balancer, CallKind, EndpointLoad } from '../../../sidecar/core/balancing/balancer.js';
import { hashNumbers, hashText } from '../../../sidecar/core/balancing/hash.js';
import { blocksOf } from '../../../sidecar/core/balancing/prompt-blocks.js';
import { ReportedLoad } from '../../../sidecar/core/balancing/reported-load.js';
import { Agenda } from '../../kit/time/agenda.js';
import { seeded } from '../../kit/time/seeded-random.js';
import { CACHE_BLOCK, cacheKeys } from './block-cache.js';
import { ENGINE, Engine } from './engine.js';
import type { PromptCall, Workload } from './workloads.js';

/** How a sidecar chooses. */
export interface Policy {
  readonly name: string;
  readonly make: (random: () => number) => Balancer;
  /** What keeps calls together. */
  readonly by: 'nothing' | 'beginning' | 'session' | 'prompt';
}

export interface FleetPlan {
  readonly workload: Workload;
  readonly policy: Policy;
  readonly engines: number;
  readonly callers: number;
  readonly forMs: number;
  /** Calls that come before do not count. */
  readonly warmMs: number;
  readonly seed: number;
  /** Offered load over that of the workload. */
  readonly load?: number;
}

/** What became of the calls. */
export interface FleetFigures {
  readonly calls: number;
  /** Tokens of prompts that were in the cache of their engine, over all of them; and in one cache that holds everything. */
  readonly cached: number;
  readonly ideal: number;
  readonly ttftP50Ms: number;
  readonly ttftP99Ms: number;
  /** Calls in flight at the busiest engine over those of the mean one, in the mean of the time. */
  readonly maxOverMean: number;
  /** Share of the time in which engines work. */
  readonly busy: number;
}

/** As sidecars tell them: at an interval, and a change early. */
const INTERVAL_MS = 1_000;
const CHANGE_MS = 250;
const SAMPLE_MS = 100;
const BEGINNING = 256;

interface Caller {
  readonly endpoints: readonly EndpointLoad[];
  readonly balancer: Balancer;
}

/** Simulates; the same seed brings the same prompts, and those of a client after the end of its one before. */
export function runFleet(plan: FleetPlan): FleetFigures {
  return new Fleet(plan).run();
}

class Fleet {
  private nowMs = 0;
  private readonly agenda = new Agenda();
  private readonly engines: readonly Engine[];
  private readonly averages: readonly LoadAverages[];
  private readonly callers: readonly Caller[];
  private readonly arrivals = seeded(this.plan.seed);
  private readonly chance = seeded(this.plan.seed + 10_000);
  private readonly draw = this.plan.workload.make(this.plan.seed);
  private readonly seen = new Set<number>();
  private readonly times: number[] = [];
  private readonly sums: Float64Array;
  private calls = 0;
  private promptTokens = 0;
  private cachedTokens = 0;
  private idealTokens = 0;

  constructor(private readonly plan: FleetPlan) {
    const { engines, callers, policy, seed } = plan;
    this.engines = Array.from({ length: engines }, () => new Engine(this.agenda, () => this.nowMs));
    this.averages = this.engines.map(() => new LoadAverages());
    this.sums = new Float64Array(engines);
    this.callers = Array.from({ length: callers }, (_, i) => ({
      endpoints: this.engines.map((_, at) =>
        Object.assign(new EndpointLoad(), { label: `10.0.0.${at + 1}:8000` }),
      ),
      balancer: policy.make(seeded(seed * 1_000 + i)),
    }));
  }

  run(): FleetFigures {
    const { forMs, warmMs } = this.plan;
    this.at(0, () => this.arrive());
    this.at(warmMs, () => this.sample());
    for (const caller of this.callers)
      this.engines.forEach(
        (_, at) => void this.at(this.chance() * INTERVAL_MS, () => this.watch(caller, at, -1, 0)),
      );
    for (;;) {
      const { atMs, happen } = this.agenda.take();
      if (atMs > forMs) break;
      this.nowMs = atMs;
      happen();
    }
    const sorted = Float64Array.from(this.times).sort();
    const sum = this.sums.reduce((total, one) => total + one, 0);
    return {
      calls: this.calls,
      cached: this.cachedTokens / this.promptTokens,
      ideal: this.idealTokens / this.promptTokens,
      ttftP50Ms: sorted[Math.floor(sorted.length * 0.5)]!,
      ttftP99Ms: sorted[Math.floor(sorted.length * 0.99)]!,
      maxOverMean: (Math.max(...this.sums) * this.sums.length) / sum,
      busy: this.engines.reduce((total, { busyMs }) => total + busyMs, 0) / forMs / this.engines.length,
    };
  }

  private at(inMs: number, happen: () => void): void {
    this.agenda.add({ atMs: this.nowMs + inMs, happen });
  }

  private sample(): void {
    this.engines.forEach((engine, at) => {
      this.sums[at]! += engine.calls;
    });
    this.at(SAMPLE_MS, () => this.sample());
  }

  private arrive(): void {
    const perMs = ((this.plan.load ?? 1) * this.plan.workload.perSecond) / 1_000;
    this.at(-Math.log(1 - this.arrivals()) / perMs, () => this.arrive());
    this.begin(this.draw());
  }

  private begin(prompt: PromptCall): void {
    const { ids, promptTokens, next } = prompt;
    const caller = this.callers[Math.floor(this.chance() * this.callers.length)]!;
    const { at, endpoint } = this.choose(caller, prompt);
    const counts = this.nowMs >= this.plan.warmMs;
    const ideal = this.idealOf(ids, promptTokens);
    const beganMs = this.nowMs;
    endpoint.inFlight += 1;
    endpoint.unanswered += 1;
    endpoint.unansweredInRow += 1;
    const onFirstToken = (): void => {
      const tookMs = this.nowMs - beganMs;
      endpoint.unanswered -= 1;
      endpoint.unansweredInRow = 0;
      endpoint.latencyOf(CallKind.stream).record(tookMs, this.nowMs);
      if (counts) this.times.push(tookMs);
    };
    const onEnd = (cached: number): void => {
      endpoint.inFlight -= 1;
      this.report(caller, at);
      if (counts) {
        this.calls += 1;
        this.promptTokens += promptTokens;
        this.cachedTokens += cached;
        this.idealTokens += ideal;
      }
      if (next !== undefined) this.at(next.inMs, () => this.begin(next.call()));
    };
    this.engines[at]!.add({ ids, promptTokens, onFirstToken, onEnd });
  }

  private choose({ endpoints, balancer }: Caller, { ids, promptTokens, session }: PromptCall) {
    const { by } = this.plan.policy;
    const key =
      by === 'beginning'
        ? hashNumbers(ids, Math.min(BEGINNING, promptTokens))
        : by === 'session'
          ? hashText(session)
          : undefined;
    const blocks = by === 'prompt' ? blocksOf(ids, promptTokens) : undefined;
    const endpoint = balancer.pick(endpoints, [], this.nowMs, key, CallKind.stream, blocks)!;
    if (blocks !== undefined) balancer.recordPrompt?.(endpoint, blocks, endpoints.length, this.nowMs);
    return { at: endpoints.indexOf(endpoint), endpoint };
  }

  /** Tokens of the prompt that any call before has had. */
  private idealOf(ids: Uint32Array, promptTokens: number): number {
    const { seen } = this;
    const keys = cacheKeys(ids, ids.length);
    const most = Math.floor((promptTokens - 1) / CACHE_BLOCK);
    let n = 0;
    while (n < most && seen.has(keys[n]!)) n += 1;
    for (let i = n; i < keys.length; i += 1) seen.add(keys[i]!);
    return n * CACHE_BLOCK;
  }

  /** The stream of reports of one engine to one caller. */
  private watch(caller: Caller, at: number, toldCalls: number, toldMs: number): void {
    const { calls } = this.engines[at]!;
    const isDue = calls !== toldCalls || this.nowMs - toldMs >= INTERVAL_MS;
    if (isDue) this.report(caller, at);
    const [told, when] = isDue ? [calls, this.nowMs] : [toldCalls, toldMs];
    this.at(CHANGE_MS, () => this.watch(caller, at, told, when));
  }

  private report({ endpoints }: Caller, at: number): void {
    const { calls } = this.engines[at]!;
    const averages = this.averages[at]!;
    averages.sample(calls, this.nowMs);
    const endpoint = endpoints[at]!;
    endpoint.reported ??= new ReportedLoad();
    const said = { calls, meanCalls: averages.calls, concurrency: ENGINE.places, runMs: 2_000 };
    endpoint.reported.take(said, endpoint.inFlight, this.nowMs);
  }
}
