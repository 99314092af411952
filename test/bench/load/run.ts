/**
 * One run of the load against one port: warm-up, then a measured part, on the same connections. Closed loop (a call
 * that ends is followed by the next at once) or open loop (calls start at Poisson-distributed times, and latency
 * counts from the intended start, so that a stall is seen by every call it delays).
 */

import { cpuNs, residentBytes } from './cpu.js';
import { Histogram } from './histogram.js';
import { type ConnectionEvents, LoadConnection } from './load-connection.js';
import type { LoadResult, LoadSpec } from './protocol.js';

const STALL_MS = 15_000;
const CHURN_SAMPLE_MS = 1000;

type Part = 'connecting' | 'warm' | 'measured' | 'ending';

/** One run of the load over all its connections. */
export class Run implements ConnectionEvents {
  private readonly connections: LoadConnection[] = [];
  private readonly latency = new Histogram();
  private readonly failures = new Map<string, number>();
  private readonly request: Buffer;
  private part: Part = 'connecting';
  private ready = 0;
  private issued = 0;
  private ok = 0;
  private abandoned = 0;
  private measured = 0;
  private startMs = 0;
  private fromMs = 0;
  private toMs = 0;
  private cpuFrom = 0;
  private cpuTo = 0;
  private loadCpuFrom = 0;
  private loadCpuTo = 0;
  private nextMs = 0;
  private turn = 0;
  private seed: number;
  private lastEndMs = 0;
  private readonly rssSamples: { calls: number; bytes: number }[] = [];
  private timers: NodeJS.Timeout[] = [];
  private finish: (result: LoadResult) => void = () => {};

  constructor(
    private readonly spec: LoadSpec,
    private readonly now: () => number,
    private readonly executions: () => number,
  ) {
    this.seed = spec.seed | 1;
    this.request = Buffer.alloc(spec.requestBytes, 'outrider ');
    this.request[0] = 0;
    this.request.writeUInt32BE(spec.requestBytes - 5, 1);
  }

  go(): Promise<LoadResult> {
    const before = this.executions();
    this.lastEndMs = this.now();
    for (let i = 0; i < this.spec.connections; i++) this.connect();
    this.timers.push(setInterval(() => this.checkStall(), 1000));
    if (this.spec.churn !== undefined)
      this.timers.push(setInterval(() => this.sampleMemory(), CHURN_SAMPLE_MS));
    return new Promise<LoadResult>((resolve) => {
      this.finish = resolve;
    }).then((result) => ({ ...result, executions: this.executions() - before }));
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
    if (this.part === 'measured' && failure === '') {
      this.measured++;
      this.latency.add((now - startMs) * 1000);
    }
    this.advance(now);
    if (this.part === 'ending') {
      this.endIfDone();
      return;
    }
    if (this.spec.ratePerSecond === undefined && connection.isOpen) this.next(connection, now);
  }

  onClosed(connection: LoadConnection): void {
    const at = this.connections.indexOf(connection);
    if (at >= 0) this.connections.splice(at, 1);
    if (connection.abandoned && this.part !== 'ending') this.connect();
    if (this.part === 'ending') this.endIfDone();
    else if (this.connections.length === 0) this.end();
  }

  private connect(): void {
    const { port, kind, varyingHeaders } = this.spec;
    const options = {
      port,
      kind,
      varyingHeaders,
      request: this.request,
      seed: this.random32(),
      now: this.now,
    };
    this.connections.push(new LoadConnection(options, this));
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
      this.issued++;
      connection.start(this.nextMs);
      connection.flush();
      this.nextMs += (-Math.log(1 - this.random()) * 1000) / this.spec.ratePerSecond!;
    }
    setImmediate(() => this.pace());
  }

  private nextWithRoom(): LoadConnection | undefined {
    for (let tried = 0; tried < this.connections.length; tried++) {
      const connection = this.connections[this.turn++ % this.connections.length]!;
      if (connection.inFlight < connection.maxConcurrent) return connection;
    }
    return undefined;
  }

  private advance(now: number): void {
    if (this.part === 'warm' && now - this.startMs >= this.spec.warmMs) {
      this.part = 'measured';
      this.fromMs = now;
      this.cpuFrom = cpuNs(this.spec.pids);
      this.loadCpuFrom = cpuNs([process.pid]);
      return;
    }
    if (this.part !== 'measured') return;
    const over =
      this.spec.calls !== undefined
        ? this.measured >= this.spec.calls
        : now - this.fromMs >= this.spec.measureMs;
    if (!over) return;
    this.part = 'ending';
    this.toMs = now;
    this.cpuTo = cpuNs(this.spec.pids);
    this.loadCpuTo = cpuNs([process.pid]);
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
    this.finish({
      issued: this.issued,
      ok: this.ok,
      abandoned: this.abandoned,
      failures: Object.fromEntries(this.failures),
      executions: 0,
      measured: this.measured,
      seconds: (this.toMs - this.fromMs) / 1000,
      cpuNs: this.cpuTo - this.cpuFrom,
      loadCpuNs: this.loadCpuTo - this.loadCpuFrom,
      p50Us: this.latency.quantile(0.5),
      p99Us: this.latency.quantile(0.99),
      maxUs: this.latency.max,
      rssSamples: this.rssSamples,
    });
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
    let x = this.seed;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.seed = x;
    return x >>> 0;
  }
}
