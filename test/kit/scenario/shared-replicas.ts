/**
 * Replicas that several callers share, in simulated time: the real choice of an endpoint and the real keeping of reports, between
 * queues that run so many calls at once. Runs take from a millisecond to seconds, evenly on a logarithmic scale.
 */
import { LoadAverages } from '../../../sidecar/core/admission/load-averages.js';
import { EndpointLoad } from '../../../sidecar/core/balancing/balancer.js';
import { LeastLoaded } from '../../../sidecar/core/balancing/least-loaded.js';
import { ReportedLoad, type SaidLoad } from '../../../sidecar/core/balancing/reported-load.js';
import { Agenda } from '../time/agenda.js';
import { seeded } from '../time/seeded-random.js';

/** `own`: by what each caller knows itself. `reported`: with load reports. `perfect`: the replica that has fewest calls at this moment. */
export type Knowledge = 'own' | 'reported' | 'perfect';

export interface SharedReplicas {
  readonly callers: number;
  readonly replicas: number;
  /** Calls that each replica runs at once. */
  readonly concurrency: number;
  /** Offered load over what the replicas can do. */
  readonly utilization: number;
  readonly shortestMs: number;
  readonly longestMs: number;
  readonly forMs: number;
  readonly seed: number;
  readonly knowledge: Knowledge;
  /** What the first replica reports in the place of the truth; undefined: nothing. */
  readonly lie?: (truth: SaidLoad) => SaidLoad | undefined;
}

/** What became of the calls. */
export interface Waits {
  readonly calls: number;
  readonly meanMs: number;
  readonly p99Ms: number;
  /** Share of the calls that each replica got, over a fair share. */
  readonly shares: readonly number[];
}

/** As sidecars tell them: at an interval, and a change early. */
const INTERVAL_MS = 1_000;
const CHANGE_MS = 250;

/** A call on its way to the end of its run. */
interface Run {
  readonly arrivedMs: number;
  readonly runMs: number;
  readonly end: (waitMs: number) => void;
}

class Replica {
  running = 0;
  readonly line: Run[] = [];
  /** As a queue keeps it. */
  meanRunMs = 0;
  readonly averages = new LoadAverages();

  get calls(): number {
    return this.running + this.line.length;
  }
}

interface Caller {
  readonly endpoints: readonly EndpointLoad[];
  readonly balancer: LeastLoaded;
}

/** Simulates; the same seed brings the same calls at the same times, whatever callers know. */
export function shareReplicas(plan: SharedReplicas): Waits {
  return new Simulation(plan).run();
}

class Simulation {
  private nowMs = 0;
  private readonly agenda = new Agenda();
  private readonly replicas: readonly Replica[];
  private readonly callers: readonly Caller[];
  private readonly arrivals = seeded(this.plan.seed);
  private readonly chance = seeded(this.plan.seed + 10_000);
  private readonly waits: number[] = [];
  private readonly counts: number[];
  private readonly perMs: number;

  constructor(private readonly plan: SharedReplicas) {
    const { callers, replicas, concurrency, utilization, shortestMs, longestMs, seed } = plan;
    this.replicas = Array.from({ length: replicas }, () => new Replica());
    this.counts = this.replicas.map(() => 0);
    this.callers = Array.from({ length: callers }, (_, i) => ({
      endpoints: this.replicas.map((_, at) => Object.assign(new EndpointLoad(), { label: `r${at}` })),
      balancer: new LeastLoaded(seeded(seed * 1_000 + i)),
    }));
    const meanMs = (longestMs - shortestMs) / Math.log(longestMs / shortestMs);
    this.perMs = (utilization * replicas * concurrency) / meanMs;
  }

  run(): Waits {
    const { forMs, knowledge } = this.plan;
    this.at(0, () => this.arrive());
    if (knowledge === 'reported')
      for (const caller of this.callers)
        this.replicas.forEach(
          (_, at) => void this.at(this.chance() * INTERVAL_MS, () => this.watch(caller, at, -1, 0)),
        );
    for (;;) {
      const { atMs, happen } = this.agenda.take();
      if (atMs > forMs) break;
      this.nowMs = atMs;
      happen();
    }
    const sorted = this.waits.sort((a, b) => a - b);
    const calls = this.counts.reduce((sum, count) => sum + count, 0);
    return {
      calls,
      meanMs: sorted.reduce((sum, wait) => sum + wait, 0) / sorted.length,
      p99Ms: sorted[Math.floor(sorted.length * 0.99)]!,
      shares: this.counts.map((count) => (count * this.counts.length) / calls),
    };
  }

  private at(inMs: number, happen: () => void): void {
    this.agenda.add({ atMs: this.nowMs + inMs, happen });
  }

  private arrive(): void {
    const { arrivals, plan } = this;
    this.at(-Math.log(1 - arrivals()) / this.perMs, () => this.arrive());
    const caller = this.callers[Math.floor(arrivals() * this.callers.length)]!;
    const runMs = plan.shortestMs * (plan.longestMs / plan.shortestMs) ** arrivals();
    const at = this.choose(caller);
    const endpoint = caller.endpoints[at]!;
    const arrivedMs = this.nowMs;
    endpoint.inFlight += 1;
    this.counts[at]! += 1;
    const end = (waitMs: number): void => {
      endpoint.inFlight -= 1;
      endpoint.latency.recordAccepted(this.nowMs);
      endpoint.latency.record(this.nowMs - arrivedMs, this.nowMs);
      if (plan.knowledge === 'reported') this.report(caller, at);
      this.waits.push(waitMs);
    };
    const replica = this.replicas[at]!;
    if (replica.running < plan.concurrency) this.begin(replica, { arrivedMs, runMs, end });
    else replica.line.push({ arrivedMs, runMs, end });
  }

  private choose({ endpoints, balancer }: Caller): number {
    if (this.plan.knowledge !== 'perfect')
      return endpoints.indexOf(balancer.pick(endpoints, [], this.nowMs)!);
    const fewest = Math.min(...this.replicas.map(({ calls }) => calls));
    const least = this.replicas.flatMap(({ calls }, at) => (calls === fewest ? [at] : []));
    return least[Math.floor(this.chance() * least.length)]!;
  }

  private begin(replica: Replica, { arrivedMs, runMs, end }: Run): void {
    replica.running += 1;
    const waitMs = this.nowMs - arrivedMs;
    this.at(runMs, () => {
      replica.running -= 1;
      replica.meanRunMs += (runMs - replica.meanRunMs) * 0.1;
      const next = replica.line.shift();
      if (next !== undefined) this.begin(replica, next);
      end(waitMs);
    });
  }

  /** The stream of reports of one replica to one caller. */
  private watch(caller: Caller, at: number, toldCalls: number, toldMs: number): void {
    const { calls } = this.replicas[at]!;
    const isDue = calls !== toldCalls || this.nowMs - toldMs >= INTERVAL_MS;
    if (isDue) this.report(caller, at);
    const [told, when] = isDue ? [calls, this.nowMs] : [toldCalls, toldMs];
    this.at(CHANGE_MS, () => this.watch(caller, at, told, when));
  }

  private report({ endpoints }: Caller, at: number): void {
    const { calls, averages, meanRunMs: runMs } = this.replicas[at]!;
    averages.sample(calls, this.nowMs);
    const { concurrency, lie } = this.plan;
    const truth = { calls, meanCalls: averages.calls, concurrency, runMs };
    const said = at === 0 && lie !== undefined ? lie(truth) : truth;
    if (said === undefined) return;
    const endpoint = endpoints[at]!;
    endpoint.reported ??= new ReportedLoad();
    endpoint.reported.take(said, endpoint.inFlight, this.nowMs);
  }
}

/** The scene of the design: eight callers, four replicas, runs from 1 ms to 2 s. */
export const EIGHT_CALLERS = {
  ...{ callers: 8, replicas: 4, concurrency: 2, utilization: 0.8 },
  ...{ shortestMs: 1, longestMs: 2_000 },
} as const;

/** Part of the gap between `own` and `perfect` that `reported` closes, of means over several seeds. */
export function gapClosed(own: number, reported: number, perfect: number): number {
  return (own - reported) / (own - perfect);
}
