/**
 * The load of the overload benchmark, a process of its own, whose calls cost so little that what is measured is not the
 * load. Latency counts from when a call was due, so that a load that falls behind makes the figures worse, not better.
 */

import { ONCE } from '../../drills/faults/model-protocol.js';
import { answerRequests } from '../../kit/process/asked-process.js';
import { seeded } from '../../kit/time/seeded-random.js';
import { type ConnectionEvents, LoadConnection } from '../load/load-connection.js';
import { messageOf, SMALL_MESSAGE_BYTES } from '../load/protocol.js';
import { CLASS_KEY, type Phase, type PhaseCalls } from './protocol.js';

const CONNECTIONS = 4;
/** Any other end than a gRPC status. */
const UNKNOWN = 2;

const REQUEST = messageOf(SMALL_MESSAGE_BYTES);

const now = (): number => performance.now();

class Running implements ConnectionEvents {
  private readonly ended: PhaseCalls = { sentMs: [], tookMs: [], status: [], isFirstClass: [] };
  private readonly random = seeded(this.phase.seed);
  private readonly first: LoadConnection;
  private readonly others: readonly LoadConnection[];
  private ready = 0;
  private beganMs = 0;
  private dueMs = 0;
  private issued = 0;
  private timer: NodeJS.Timeout | undefined;
  private finish: (calls: PhaseCalls) => void = () => {};

  constructor(private readonly phase: Phase) {
    const { port, seed, deadlineMs } = phase;
    const timeout = ['grpc-timeout', `${deadlineMs}m`] as const;
    const call = { kind: 'unary', path: ONCE.path, varyingHeaders: false, request: REQUEST } as const;
    const connect = (...more: (readonly [string, string])[]): LoadConnection =>
      new LoadConnection({ ...call, port, seed, now, metadata: [timeout, ...more] }, this);
    this.first = connect([CLASS_KEY, 'first']);
    this.others = Array.from({ length: CONNECTIONS }, () => connect());
  }

  run(): Promise<PhaseCalls> {
    return new Promise((resolve) => {
      this.finish = resolve;
    });
  }

  onReady(): void {
    this.ready += 1;
    if (this.ready <= CONNECTIONS) return;
    this.beganMs = now();
    for (let i = 0; i < (this.phase.inFlight ?? 0); i++) this.call(this.beganMs);
    this.timer = setInterval(() => this.tick(), 1);
  }

  onEnd(connection: LoadConnection, startMs: number, failure: string): void {
    const status = /^grpc-status (\d+)$/.exec(failure)?.[1];
    this.ended.sentMs.push(startMs - this.beganMs);
    this.ended.tookMs.push(connection.nowMs - startMs);
    this.ended.status.push(failure === '' ? 0 : Number(status ?? UNKNOWN));
    this.ended.isFirstClass.push(connection === this.first);
    if (this.phase.inFlight !== undefined && !this.isOver()) this.call(connection.nowMs);
  }

  onClosed(connection: LoadConnection): void {
    if (!connection.abandoned) throw new Error('a connection of the load was lost');
  }

  private isOver(): boolean {
    return now() - this.beganMs >= this.phase.forMs;
  }

  private tick(): void {
    const { perSecond, forMs } = this.phase;
    if (perSecond !== undefined) {
      const untilMs = Math.min(now() - this.beganMs, forMs);
      for (; this.dueMs <= untilMs; this.dueMs -= (Math.log(1 - this.random()) * 1_000) / perSecond)
        this.call(this.beganMs + this.dueMs);
    }
    if (this.isOver() && this.ended.sentMs.length === this.issued) this.end();
  }

  private call(dueMs: number): void {
    const { firstClassEvery } = this.phase;
    const isFirst = firstClassEvery > 0 && this.issued % firstClassEvery === 0;
    const connection = isFirst ? this.first : this.others[this.issued % CONNECTIONS]!;
    this.issued += 1;
    connection.start(dueMs);
    connection.flush();
  }

  private end(): void {
    clearInterval(this.timer);
    for (const connection of [this.first, ...this.others]) connection.destroy();
    this.finish(this.ended);
  }
}

answerRequests<Phase>((phase) => new Running(phase).run());
