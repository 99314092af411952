/** A call of the local application and its attempts: what they remember beside what every call does. */

import { NO_KEY } from '../core/balance.js';
import type { RetryState } from '../core/retry.js';
import type { HeaderBlock } from '../http2/hpack/header-list.js';
import { Attempt } from '../relay/attempt.js';
import { Call } from '../relay/call.js';
import type { Match } from '../relay/route-plan.js';
import type { Endpoint } from './endpoint.js';
import type { Upstream } from './upstream.js';

export class OutboundCall extends Call {
  match!: Match;
  upstream!: Upstream;
  /** Hash of what it sticks to. */
  key = NO_KEY;
  retry: RetryState | null = null;
  /** The rules that it was directed by; −1: none. */
  version = -1;
  /** The request as it came, where a rule has changed its path. */
  original: HeaderBlock | null = null;
}

export class OutboundAttempt extends Attempt {
  constructor(
    call: Call,
    readonly endpoint: Endpoint,
    nowMs: number,
  ) {
    super(call, endpoint, nowMs);
  }
}
