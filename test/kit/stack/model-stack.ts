import type { PeerOptions, PeerStream } from '../http2/scripted-peer.js';
import type { Application, Backend, CallOptions, InboundOptions, InboundStackOptions } from './stack.js';
import { anInbound, type InboundStack, Stack } from './stack.js';

export interface ModelStackOptions extends InboundStackOptions {
  /** How the model speaks HTTP/2. */
  readonly peer?: Omit<PeerOptions, 'role'>;
}

/** The inbound side of one sidecar, the model `digits` behind it, and `app`, a peer that calls it. */
export class ModelStack extends Stack {
  readonly side: InboundStack;
  readonly peer: Application;

  constructor(over: InboundOptions = {}, options: ModelStackOptions = {}) {
    super();
    this.backend('model').peerOptions = options.peer ?? {};
    this.side = this.inbound(anInbound(over), options);
    this.peer = this.caller('app');
  }

  get model(): Backend {
    return this.side.model;
  }
  /** The requests that reached the model, in order. */
  get requests(): PeerStream[] {
    return this.model.requests;
  }

  /** Another peer, which has proved this identity, or none. */
  caller(service?: string, options: Omit<PeerOptions, 'role'> = {}): Application {
    return this.app(this.side.listener, service, options);
  }

  /** A call of a peer, `app` by default; whatever follows at once has happened when it returns. */
  call(options: CallOptions = {}, from = this.peer): PeerStream {
    return this.settle(from.call(options));
  }

  /** The sidecar takes over another configuration. */
  reload(over: InboundOptions): void {
    const { inbound, intentions, listener } = this.side;
    const config = anInbound(over);
    this.settle(inbound.state.update(config, intentions(config.intentions), listener.sessions));
  }
}
