import type { Pool } from '../../../sidecar/transport/pool.js';
import type { PeerStream } from '../http2/scripted-peer.js';
import {
  type Application,
  anUpstream,
  aStreamRoute,
  type Backend,
  type CallOptions,
  type OutboundStack,
  Stack,
  type UpstreamOptions,
} from './stack.js';

/** A route whose calls last as long as they like. */
export const ENDLESS = aStreamRoute({ idleTimeoutMs: 0 });

/** A stack with one endpoint, `a`, which connections are opened to once a test has said how it behaves. */
export class PoolStack extends Stack {
  readonly a: Backend = this.backend('a');
  out!: OutboundStack;
  caller!: Application;

  /** An upstream of `a`, and an application that calls it. */
  open(over: UpstreamOptions = {}): void {
    this.out = this.outbound(anUpstream(['a'], over));
    this.caller = this.app(this.out.listener);
  }

  /** The connections to `a`. */
  get pool(): Pool {
    return this.out.cluster.endpoints[0]!.pool;
  }

  /** A call of the application; whatever follows at once has happened when it returns. */
  call(options: CallOptions = {}): PeerStream {
    return this.settle(this.caller.call(options));
  }

  /** So many calls at once. */
  calls(count: number): PeerStream[] {
    return this.settle(Array.from({ length: count }, () => this.caller.call()));
  }

  /** From now on `a` answers each request at once. */
  answers(): void {
    this.a.answer = (stream) => stream.reply();
  }
}
