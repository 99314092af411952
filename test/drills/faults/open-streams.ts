/** A stream of raw messages, and callers that keep some of them open and note how each one ends. */

import { type Client, type ClientDuplexStream, Metadata } from '@grpc/grpc-js';
import { failureText } from '../../../sidecar/cli/chaos/load/noted-call.js';
import { clientOf } from '../../../sidecar/cli/chaos/protocol/call.js';
import { rawMethod } from '../../../sidecar/cli/chaos/protocol/raw-method.js';
import { until } from '../../kit/process/processes.js';

export const HOLD = rawMethod('/faults.Model/Hold', { requestStream: true, responseStream: true });

export function hold(client: Client): ClientDuplexStream<Buffer, Buffer> {
  const { path, requestSerialize, responseDeserialize } = HOLD;
  return client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, new Metadata(), {});
}

/** Streams that stay open until they are ended from elsewhere. */
export class OpenStreams {
  /** In the order in which they ended: when (`performance.now()`), and with which status and reason. */
  readonly endings: { readonly atMs: number; readonly what: string }[] = [];
  private readonly streams: ClientDuplexStream<Buffer, Buffer>[] = [];
  private readonly client: Client;
  private answered = 0;

  private constructor(target: string) {
    this.client = clientOf(target);
  }

  /** Resolves when each of `count` streams has had an answer. */
  static async open(target: string, count: number): Promise<OpenStreams> {
    const open = new OpenStreams(target);
    for (let i = 0; i < count; i++) open.begin();
    await until('every stream is open', () => open.answered === count || open.endings.length > 0);
    if (open.endings.length > 0) throw new Error(`a stream could not be opened: ${open.endings[0]!.what}`);
    return open;
  }

  close(): void {
    for (const stream of this.streams) stream.cancel();
    this.client.close();
  }

  private begin(): void {
    const stream = hold(this.client);
    this.streams.push(stream);
    stream.once('data', () => {
      this.answered += 1;
    });
    stream.on('data', () => {}).on('error', () => {});
    stream.on('status', (ended) => {
      this.endings.push({ atMs: performance.now(), what: failureText(ended) });
    });
    stream.write(Buffer.from('open'));
  }
}
