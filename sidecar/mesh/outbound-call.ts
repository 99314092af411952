/** A call of the local application and its attempts: what they remember beside what every call does. */

import type { RetryState } from '../core/retry.js';
import type { HeaderBlock } from '../http2/hpack/header-list.js';
import { Attempt } from '../relay/attempt.js';
import { Call } from '../relay/call.js';
import type { Match } from '../relay/route-plan.js';
import type { Endpoint } from './endpoint.js';
import type { Upstream } from './upstream.js';

/** What was decided for a call by rules; most calls need none. */
export interface Directed {
  /** The rules it was directed by. */
  readonly version: number;
  /** Hash of what it sticks to; NO_KEY: nothing. */
  readonly key: number;
  /** The request as it came, whose path a rule may have changed. */
  readonly original: HeaderBlock;
}

export class OutboundCall extends Call {
  match!: Match;
  upstream!: Upstream;
  retry: RetryState | null = null;
  directed: Directed | null = null;
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
