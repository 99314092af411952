import type { Address } from '../../config/model.js';
import { headerViewOf } from '../../http2/header-view.js';
import type { HeaderBlock } from '../../http2/hpack/header-list.js';
import type { Stream } from '../../http2/stream.js';
import { SOCKET_NAMES } from '../../runtime/process/listen-sockets.js';
import type { Listener } from '../../transport/listener.js';
import { isGrpcRequest, RejectedStream } from '../../transport/not-grpc.js';
import type { Session } from '../../transport/session.js';
import { type AppContext, openListener } from '../context.js';
import { answerScaler, type LastSizes, type ScalerAnswer, type ScalerSources } from './answers.js';
import { ScalerStream } from './scaler-stream.js';

/** Streams of all clients together: KEDA has one for each `external-push` trigger, and a question now and then. */
const MOST_STREAMS = 256;

/** Tells KEDA how much work the upstreams have, on a port of its own: `externalscaler.ExternalScaler`. */
export class Scaler {
  address: Address | undefined;
  private readonly listener: Listener;
  private readonly open = new Set<ScalerStream>();
  private readonly sizes: LastSizes = new Map();

  constructor(
    listen: Address,
    private readonly outbound: Pick<ScalerSources, 'upstreams' | 'uncounted'>,
    private readonly context: AppContext,
  ) {
    this.listener = openListener(context, SOCKET_NAMES.scaler, {
      address: listen,
      onStream: (session, stream, block, ended) => this.accept(session, stream, block, ended),
    });
  }

  async start(): Promise<void> {
    this.address = await this.listener.listen();
  }

  /** Streams end, so that clients ask another replica. */
  drain(): void {
    for (const stream of [...this.open]) stream.leave();
    void this.listener.drain();
  }

  stop(): void {
    for (const stream of [...this.open]) stream.leave();
    this.listener.stop();
  }

  private accept(session: Session, stream: Stream, block: HeaderBlock, ended: boolean): void {
    const view = headerViewOf(block);
    if (!isGrpcRequest(view)) return void new RejectedStream(session, stream, ended);
    const each = new ScalerStream(session, stream, {
      context: this.context.dataPlane,
      path: view.path,
      answer: (body) => this.answer(view.path, body),
      isFull: this.open.size >= MOST_STREAMS,
      onEnd: () => this.open.delete(each),
    });
    this.open.add(each);
    each.begin(ended);
  }

  private answer(path: string, body: Buffer): ScalerAnswer {
    const { outbound, sizes, context } = this;
    const sources: ScalerSources = {
      upstreams: outbound.upstreams,
      uncounted: (name) => outbound.uncounted(name),
      sizes,
    };
    return answerScaler(path, body, sources, context.dataPlane.clock.now());
  }
}
