/** A stream of raw messages, and callers that keep some of them open and note how each one ends. */

import {
  Client,
  type ClientDuplexStream,
  credentials,
  Metadata,
  type MethodDefinition,
  status,
} from '@grpc/grpc-js';
import { until } from '../../kit/process/processes.js';
import { LOCAL_CHANNEL, reasonOf } from './call.js';

const asIs = (bytes: Buffer): Buffer => bytes;

export const HOLD: MethodDefinition<Buffer, Buffer> = {
  path: '/faults.Model/Hold',
  requestStream: true,
  responseStream: true,
  ...{ requestSerialize: asIs, requestDeserialize: asIs, responseSerialize: asIs, responseDeserialize: asIs },
};

/** How one stream ended. */
export interface Ending {
  /** `performance.now()`. */
  readonly atMs: number;
  /** Status and reason. */
  readonly what: string;
}

/** Streams that stay open until they are ended from elsewhere. */
export class OpenStreams {
  /** In the order in which they ended. */
  readonly endings: Ending[] = [];
  private readonly streams: ClientDuplexStream<Buffer, Buffer>[] = [];
  private readonly client: Client;
  private answered = 0;

  private constructor(target: string) {
    this.client = new Client(target, credentials.createInsecure(), LOCAL_CHANNEL);
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
    const { path } = HOLD;
    const stream = this.client.makeBidiStreamRequest(path, asIs, asIs, new Metadata(), {});
    this.streams.push(stream);
    stream.once('data', () => {
      this.answered += 1;
    });
    stream.on('data', () => {}).on('error', () => {});
    stream.on('status', ({ code, metadata }) => {
      this.endings.push({ atMs: performance.now(), what: `${status[code]} ${reasonOf(metadata)}` });
    });
    stream.write(Buffer.from('open'));
  }
}
