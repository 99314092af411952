/** A server stream of numbered messages: what a model of the drills sends, and a caller that checks each message. */

import {
  type Client,
  type ClientReadableStream,
  Metadata,
  type requestCallback,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { rawMethod } from '../../../sidecar/cli/chaos/protocol/raw-method.js';

/** The request says how many messages, and ms between them: `20 10`. Message i is the text of i. */
export const TELL = rawMethod('/faults.Model/Tell', { responseStream: true });

/** What a stream is asked for. */
export interface Telling {
  readonly messages: number;
  readonly everyMs: number;
  readonly deadlineMs: number;
}

/** One stream. It fails where its status is not OK, or a message is missing, out of place or there twice. */
export function tell(
  client: Client,
  { messages, everyMs, deadlineMs }: Telling,
  done: requestCallback<unknown>,
): ClientReadableStream<Buffer> {
  const { path, requestSerialize, responseDeserialize } = TELL;
  const request = Buffer.from(`${messages} ${everyMs}`);
  const options = { deadline: Date.now() + deadlineMs };
  const stream = client.makeServerStreamRequest(
    path,
    requestSerialize,
    responseDeserialize,
    request,
    new Metadata(),
    options,
  );
  const seen: string[] = [];
  stream.on('data', (message: Buffer) => void seen.push(message.toString()));
  stream.on('error', () => {});
  stream.on('status', ({ code, details, metadata }) => {
    const odd = code === status.OK ? firstOdd(seen, messages) : undefined;
    if (odd !== undefined) done(failure(status.DATA_LOSS, odd));
    else if (code === status.OK) done(null, seen);
    else done(Object.assign(new Error(details), { code, details, metadata }) as ServiceError);
  });
  return stream;
}

function firstOdd(seen: readonly string[], messages: number): string | undefined {
  const at = seen.findIndex((text, i) => text !== String(i));
  if (at >= 0) return `message ${at} is ${seen[at]}`;
  return seen.length === messages ? undefined : `${seen.length} messages of ${messages}`;
}

function failure(code: number, details: string): ServiceError {
  return Object.assign(new Error(details), { code, details, metadata: new Metadata() });
}
