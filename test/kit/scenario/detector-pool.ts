/** An upstream whose endpoints are watched by every detector, on a manual clock: they answer as the test says. */

import { reportOf } from '../../../sidecar/app/endpoint-report.js';
import type { Endpoint } from '../../../sidecar/cluster/endpoint.js';
import type { DetectorsConfig } from '../../../sidecar/config/model.js';
import type { PeerStream } from '../http2/scripted-peer.js';
import {
  type Application,
  anUpstream,
  type CallOptions,
  type OutboundStack,
  Stack,
  type UpstreamOptions,
} from '../stack/stack.js';
import { countBy } from './counts.js';

/** As reading a file fills them in. */
export const DETECTORS: DetectorsConfig = {
  successRatio: { mode: 'enforce', below: 0.8, minCalls: 5 },
  successRate: { mode: 'enforce', factor: 1.9, minPeers: 5, minCalls: 100 },
  failureRatio: { mode: 'off', above: 0.85, minPeers: 5, minCalls: 50 },
  latency: { mode: 'enforce', factor: 3, minCalls: 20 },
  invalidOutput: { mode: 'off', above: 0.5, minSamples: 20, sampleRatio: 0.05 },
};

export const SLOW_START = { minRatio: 0.1, convergedFactor: 1.5, minCalls: 20, maxMs: 60_000 };

export class DetectorPool {
  readonly stack: Stack;
  readonly out: OutboundStack;
  readonly app: Application;

  constructor(
    readonly names: readonly string[],
    over: UpstreamOptions = {},
    seed = 1,
  ) {
    this.stack = new Stack({ seed });
    const ejection = { detectors: DETECTORS, ...over.ejection };
    this.out = this.stack.outbound(anUpstream(names, { ...over, ejection }));
    this.app = this.stack.app(this.out.listener);
    for (const name of names) this.works(name);
  }

  /** Answers with its name after `ms`. */
  works(name: string, ms = 0): void {
    this.stack.backend(name).answer = (stream) => this.later(ms, () => stream.reply(Buffer.from(name)));
  }

  /** Fails with `status`, each call but every `n`th; 0: every call. */
  fails(name: string, n = 0, status = 14): void {
    let calls = 0;
    this.stack.backend(name).answer = (stream) => {
      calls++;
      if (n > 0 && calls % n === 0) stream.reply(Buffer.from(name));
      else stream.fail(status);
    };
  }

  private later(ms: number, fn: () => void): void {
    if (ms === 0) fn();
    else this.stack.clock.after(ms, fn);
  }

  /** A call every `everyMs`; answers counted by their text, failures by their status. */
  load(count: number, everyMs = 10, options: CallOptions = {}): Record<string, number> {
    const sent: PeerStream[] = [];
    for (let i = 0; i < count; i++) {
      sent.push(this.app.call(options));
      this.stack.advance(everyMs);
    }
    return countBy(sent, ({ isOver, status, body }) =>
      isOver ? (status === 0 ? body.toString() : status) : 'open',
    );
  }

  endpoint(name: string): Endpoint {
    return this.out.cluster.endpoints.find(({ id }) => id === name)!;
  }

  report(name: string): ReturnType<typeof reportOf> {
    return reportOf(this.out.cluster, this.endpoint(name), this.stack.clock.now());
  }

  get states(): string[] {
    return this.names.map((name) => this.report(name).state);
  }

  close(): void {
    this.stack.advance(1_000);
    this.stack.close();
  }
}
