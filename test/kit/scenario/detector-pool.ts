/** An upstream whose endpoints are watched by every detector, on a manual clock: they answer as the test says. */

import type { DetectorsConfig } from '../../../sidecar/config/model.js';
import type { UpstreamOptions } from '../stack/stack.js';
import { UpstreamStack } from './upstream-stack.js';

/** As reading a file fills them in. */
export const DETECTORS: DetectorsConfig = {
  successRatio: { mode: 'enforce', below: 0.8, minCalls: 5 },
  successRate: { mode: 'enforce', factor: 1.9, minPeers: 5, minCalls: 100 },
  failureRatio: { mode: 'off', above: 0.85, minPeers: 5, minCalls: 50 },
  latency: { mode: 'enforce', factor: 3, minCalls: 20 },
  invalidOutput: { mode: 'off', above: 0.5, minSamples: 5, sampleRatio: 0.05 },
  shortLived: { mode: 'enforce', minConnections: 2 },
};

export const SLOW_START = { minRatio: 0.1, convergedFactor: 1.5, minCalls: 20, maxMs: 60_000 };

export class DetectorPool extends UpstreamStack {
  constructor(names: readonly string[] = ['a', 'b', 'c'], over: UpstreamOptions = {}) {
    super(names, { ...over, ejection: { detectors: DETECTORS, ...over.ejection } });
    this.works();
  }

  /** Fails with `status`, each call but every `n`th; 0: every call. */
  fails(name: string, n = 0, status = 14): void {
    let calls = 0;
    this.answers((stream) => {
      calls++;
      if (n > 0 && calls % n === 0) stream.reply(Buffer.from(name));
      else stream.fail(status);
    }, name);
  }

  override close(): void {
    this.advance(1_000);
    super.close();
  }
}
