/**
 * The load of the overload benchmark, a process of its own: a stock gRPC client without any resilience. Latency counts
 * from when a call was due, so that a load that falls behind makes the figures worse, not better.
 */

import { Client, credentials, Metadata } from '@grpc/grpc-js';
import { seeded } from '../support/seeded-random.js';
import { CLASS_KEY, type LoadReply, type Phase, type PhaseCalls, UNARY } from './overload-protocol.js';

const REQUEST = Buffer.alloc(100, 'outrider ');
const asIs = (bytes: Buffer): Buffer => bytes;

class Running {
  private readonly sentMs: number[] = [];
  private readonly tookMs: number[] = [];
  private readonly status: number[] = [];
  private readonly random: () => number;
  private readonly beganMs = performance.now();
  private open = 0;
  private dueMs = 0;
  private finish: (calls: PhaseCalls) => void = () => {};

  constructor(
    private readonly client: Client,
    private readonly phase: Phase,
  ) {
    this.random = seeded(phase.seed);
  }

  run(): Promise<PhaseCalls> {
    const { inFlight, forMs } = this.phase;
    return new Promise((resolve) => {
      this.finish = resolve;
      for (let i = 0; i < (inFlight ?? 0); i++) this.call(0);
      const timer = setInterval(() => {
        this.sendWhatIsDue();
        if (this.elapsed() < forMs) return;
        clearInterval(timer);
        this.endIfDone();
      }, 1);
    });
  }

  private elapsed(): number {
    return performance.now() - this.beganMs;
  }

  private sendWhatIsDue(): void {
    const { perSecond, forMs } = this.phase;
    if (perSecond === undefined) return;
    const untilMs = Math.min(this.elapsed(), forMs);
    for (; this.dueMs <= untilMs; this.dueMs -= (Math.log(1 - this.random()) * 1_000) / perSecond)
      this.call(this.dueMs);
  }

  private call(dueMs: number): void {
    const { deadlineMs, firstClassEvery, inFlight } = this.phase;
    const i = this.sentMs.push(dueMs) - 1;
    const metadata = new Metadata();
    if (firstClassEvery > 0 && i % firstClassEvery === 0) metadata.set(CLASS_KEY, 'first');
    this.open += 1;
    const deadline = Date.now() + deadlineMs;
    this.client.makeUnaryRequest(UNARY, asIs, asIs, REQUEST, metadata, { deadline }, (error) => {
      this.open -= 1;
      this.tookMs[i] = this.elapsed() - dueMs;
      this.status[i] = error === null ? 0 : error.code;
      if (inFlight !== undefined && this.elapsed() < this.phase.forMs) this.call(this.elapsed());
      else this.endIfDone();
    });
  }

  private endIfDone(): void {
    if (this.open > 0 || this.elapsed() < this.phase.forMs) return;
    const { sentMs, tookMs, status } = this;
    this.finish({ sentMs, tookMs, status });
  }
}

/** Warm from one phase to the next. */
let client: { readonly target: string; readonly client: Client } | undefined;

function clientOf(target: string): Client {
  if (client?.target !== target) {
    client?.client.close();
    client = {
      target,
      client: new Client(target, credentials.createInsecure(), { 'grpc.enable_retries': 0 }),
    };
  }
  return client.client;
}

function send(message: LoadReply): void {
  process.send?.(message);
}

process.on('message', (phase: Phase) => {
  new Running(clientOf(phase.target), phase).run().then(
    (calls) => send({ calls }),
    (error: unknown) => send({ error: String(error) }),
  );
});
process.on('disconnect', () => process.exit(0));
send({ ready: true });
