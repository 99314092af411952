/**
 * One run of the load against one port: warm-up, then a measured part, on the same connections. Closed loop (a call
 * that ends is followed by the next at once) or open loop (calls start at Poisson-distributed times, and latency
 * counts from the intended start, so that a stall is seen by every call it delays).
 */

import { residentBytes } from '../../kit/process/processes.js';
import { cpuNs } from './cpu.js';
import { Histogram } from './histogram.js';
import { type ConnectionEvents, LoadConnection } from './load-connection.js';
import { type LoadSpec, messageOf } from './protocol.js';
import { xorshift } from './request-encoder.js';

const STALL_MS = 15_000;
const CHURN_SAMPLE_MS = 1000;
/** Of `warmMs`: how long a warm-up by calls may take. */
const LONGEST_WARM_UP = 10;

type Part = 'connecting' | 'warm' | 'measured' | 'ending';

/** What one run measured. */
export type LoadResult = Awaited<ReturnType<Run['go']>>;

/** One run of the load over all its connections. */
export class Run implements ConnectionEvents {
  private readonly connections: LoadConnection[] = [];
  private readonly latency = new Histogram();
  /** Of paced calls: from when one was due until it was sent. */
  private readonly lateness = new Histogram();
  private readonly failures = new Map<string, number>();
  private readonly request =
    this.spec.call === undefined
      ? messageOf(this.spec.requestBytes)
      : Buffer.from(this.spec.call.message, 'base64');
  private part: Part = 'connecting';
  private ready = 0;
  private issued = 0;
  private ok = 0;
  private abandoned = 0;
  private measured = 0;
  private startMs = 0;
  /** Where the measured part begins, and where it ends. */
  private from = { ms: 0, cpuNs: 0, loadCpuNs: 0 };
  private to = this.from;
  private nextMs = 0;
  private turn = 0;
  private seed = this.spec.seed | 1;
  private lastEndMs = 0;
  private readonly rssSamples: { calls: number; bytes: number }[] = [];
  private timers: NodeJS.Timeout[] = [];
  private finish = (): void => {};

  constructor(
    private readonly spec: LoadSpec,
    private readonly now: () => number,
    private readonly executions: () => number,
  ) {}

  async go() {
    const before = this.executions();
    this.lastEndMs = this.now();
    for (let i = 0; i < this.spec.connections; i++) this.connect();
    this.timers.push(setInterval(() => this.checkStall(), 1000));
    if (this.spec.churn !== undefined)
      this.timers.push(setInterval(() => this.sampleMemory(), CHURN_SAMPLE_MS));
    await new Promise<void>((resolve) => {
      this.finish = resolve;
    });
    return {
      /** Calls started, warm-up included. */
      issued: this.issued,
      /** Calls that ended with grpc-status 0 and exactly the expected messages. */
      ok: this.ok,
      /** Calls given up on purpose (churn). */
      abandoned: this.abandoned,
      failures: Object.fromEntries(this.failures) as Readonly<Record<string, number>>,
      /** Calls the backend executed during the run. */
      executions: this.executions() - before,
      /** The measured part: calls, or messages of `tokens`. */
      measured: this.measured,
      seconds: (this.to.ms - this.from.ms) / 1000,
      cpuNs: this.to.cpuNs - this.from.cpuNs,
      /** CPU time of the load process itself, to show that it was not the bottleneck. */
      loadCpuNs: this.to.loadCpuNs - this.from.loadCpuNs,
      p50Us: this.latency.quantile(0.5),
      p99Us: this.latency.quantile(0.99),
      maxUs: this.latency.max,
      /** Of paced calls: how late they were sent, which is part of their latency and the fault of the load. */
      lateP99Us: this.lateness.quantile(0.99),
      /** Resident bytes of the processes, sampled once a second (churn runs only). */
      rssSamples: this.rssSamples,
    };
  }

  onReady(connection: LoadConnection): void {
    this.ready++;
    if (this.part !== 'connecting') {
      this.fill(connection);
      return;
    }
    if (this.ready < this.spec.connections) return;
    this.part = 'warm';
    this.startMs = this.now();
    this.nextMs = this.startMs;
    if (this.spec.ratePerSecond !== undefined) {
      this.pace();
      return;
    }
    for (const c of this.connections) {
      this.fill(c);
      c.flush();
    }
  }

  onEnd(connection: LoadConnection, startMs: number, failure: string): void {
    const now = connection.nowMs;
    this.lastEndMs = now;
    if (failure === '') this.ok++;
    else if (failure === 'abandoned') this.abandoned++;
    else this.failures.set(failure, (this.failures.get(failure) ?? 0) + 1);
    const isCounted = failure === '' && this.spec.kind !== 'tokens';
    if (isCounted && this.part === 'measured') this.measured++;
    // A paced call that was due in the measured part has its latency, however late it ends.
    const isPaced = this.spec.ratePerSecond !== undefined;
    if (isCounted && (this.part === 'measured' || (isPaced && this.part === 'ending')))
      this.latency.add((now - startMs) * 1000);
    this.advance(now);
    if (this.part === 'ending') {
      this.endIfDone();
      return;
    }
    if (this.spec.ratePerSecond === undefined && connection.isOpen) this.next(connection, now);
  }

  onMessage(_connection: LoadConnection, tookMs: number): void {
    if (this.part !== 'measured') return;
    this.measured++;
    this.latency.add(tookMs * 1000);
  }

  onClosed(connection: LoadConnection): void {
    const at = this.connections.indexOf(connection);
    if (at >= 0) this.connections.splice(at, 1);
    if (connection.abandoned && this.part !== 'ending') this.connect();
    if (this.part === 'ending') this.endIfDone();
    else if (this.connections.length === 0) this.end();
  }

  private connect(): void {
    const { request, now } = this;
    const path = this.spec.call === undefined ? {} : { path: this.spec.call.path };
    this.connections.push(
      new LoadConnection({ ...this.spec, ...path, request, seed: this.random32(), now }, this),
    );
  }

  private fill(connection: LoadConnection): void {
    while (connection.inFlight < this.spec.inFlight && this.part !== 'ending')
      this.next(connection, connection.nowMs);
  }

  /** Starts the call that follows one that ended, or gives the connection up when it has had its share (churn). */
  private next(connection: LoadConnection, now: number): void {
    const churn = this.spec.churn;
    if (churn !== undefined && connection.started >= churn.callsPerConnection) {
      if (connection.abrupt || connection.inFlight === 0) connection.destroy();
      return;
    }
    this.issued++;
    connection.start(now);
    if (churn === undefined || this.random() >= churn.resetRatio) return;
    connection.reset(this.issued % 2 === 0 ? 'newest' : 'oldest');
  }

  /** Starts every call whose time has come, then looks again in the next turn of the event loop. */
  private pace(): void {
    const now = this.now();
    if (this.part !== 'ending') this.advance(now);
    if (this.hasEnded()) {
      this.endIfDone();
      return;
    }
    while (this.nextMs <= now) {
      const connection = this.nextWithRoom();
      // It starts later, and its latency counts from now all the same.
      if (connection === undefined) break;
      this.startPaced(connection, this.nextMs, now);
      this.nextMs += (-Math.log(1 - this.random()) * 1000) / this.spec.ratePerSecond!;
    }
    setImmediate(() => this.pace());
  }

  private startPaced(connection: LoadConnection, dueMs: number, now: number): void {
    this.issued++;
    if (this.part === 'measured') this.lateness.add((now - dueMs) * 1000);
    connection.start(dueMs);
    connection.flush();
  }

  private nextWithRoom(): LoadConnection | undefined {
    for (let tried = 0; tried < this.connections.length; tried++) {
      const connection = this.connections[this.turn++ % this.connections.length]!;
      if (connection.inFlight < connection.maxConcurrent) return connection;
    }
    return undefined;
  }

  private advance(now: number): void {
    if (this.part === 'warm' && this.isWarm(now - this.startMs)) {
      this.part = 'measured';
      this.from = this.mark(now);
      return;
    }
    if (this.part !== 'measured') return;
    const { calls, measureMs } = this.spec;
    if (calls !== undefined ? this.measured < calls : now - this.from.ms < measureMs) return;
    this.part = 'ending';
    this.to = this.mark(now);
  }

  private isWarm(spentMs: number): boolean {
    const { warmMs, warmCalls = 0 } = this.spec;
    return spentMs >= warmMs && (this.ok >= warmCalls || spentMs >= LONGEST_WARM_UP * warmMs);
  }

  private mark(ms: number) {
    return { ms, cpuNs: cpuNs(this.spec.pids), loadCpuNs: cpuNs([process.pid]) };
  }

  private hasEnded(): boolean {
    return this.part === 'ending';
  }

  private endIfDone(): void {
    for (const connection of this.connections) if (connection.inFlight > 0) return;
    this.end();
  }

  private end(): void {
    if (this.timers.length === 0) return;
    for (const timer of this.timers) clearInterval(timer);
    this.timers = [];
    this.part = 'ending';
    for (const connection of [...this.connections]) connection.destroy();
    this.finish();
  }

  private checkStall(): void {
    if (this.now() - this.lastEndMs < STALL_MS) return;
    this.failures.set(`nothing ended for ${STALL_MS / 1000} s`, 1);
    this.end();
  }

  private sampleMemory(): void {
    if (this.part === 'measured')
      this.rssSamples.push({ calls: this.measured, bytes: residentBytes(this.spec.pids, 'VmRSS') });
  }

  private random(): number {
    return this.random32() / 0x100000000;
  }

  private random32(): number {
    this.seed = xorshift(this.seed);
    return this.seed >>> 0;
  }
}
