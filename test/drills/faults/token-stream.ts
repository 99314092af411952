/** A server stream of numbered messages: what a model of the drills sends, and a caller that checks each message. */

import {
  type Client,
  type ClientReadableStream,
  Metadata,
  type requestCallback,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { followNumbers } from '../../../sidecar/cli/chaos/protocol/call.js';
import { rawMethod } from '../../../sidecar/cli/chaos/protocol/raw-method.js';

/** The request says how many messages, and ms between them: `20 10`. Message i is the text of i. */
export const TELL = rawMethod('/faults.Model/Tell', { responseStream: true });

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
  const numbered = { count: messages, numberIn: (message: Buffer) => Number(message.toString()) };
  followNumbers(stream, numbered, (error, odd) => done(odd === undefined ? error : failure(odd)));
  return stream;
}

function failure(details: string): ServiceError {
  return Object.assign(new Error(details), { code: status.DATA_LOSS, details, metadata: new Metadata() });
}
