/** What an application asks of a model all at once: unary calls at a steady rate, calls of 600 KB, and one stream after the other. */

import type { Client, requestCallback } from '@grpc/grpc-js';
import type {
  ModelInferRequest,
  ModelInferResponse,
  ModelStreamInferResponse,
} from '../../../proto/messages.js';
import { failureText } from '../../../sidecar/cli/chaos/load/noted-call.js';
import { inferStream, STOCK_CHANNEL, whenEnded } from '../../../sidecar/cli/chaos/protocol/call.js';
import { digitRequest, MANY_DIGITS, manyDigitsRequest } from '../faults/digit-load.js';
import type { AskedCall } from '../faults/load.js';
import { MixedLoad } from '../faults/mixed-load.js';

/** Messages of a stream, and how far they are apart, ms: two seconds in all. */
const MESSAGES = 40;
const MESSAGE_MS = 50;
/** Looks for the end of the stream before. */
const LOOKS_PER_SECOND = 20;
/** Generous: that a call fails is what matters here, not how long it takes on a busy machine. It is also the limit for each answer of a stream. */
const DEADLINE_MS = 20_000;
/** For a whole stream: a busy machine also slows the messages that it is made of. */
const STREAM_DEADLINE_MS = 60_000;
const CLASSES = 10;

export interface RollingLoadOptions {
  /** `host:port` of the sidecar that is called. */
  readonly target: string;
  /** Unary calls per second; default 200. */
  readonly perSecond?: number;
  /** Calls of 600 KB per second; default 2. */
  readonly largePerSecond?: number;
  /** What the nth unary call asks; default: held-out digits. */
  readonly request?: (n: number) => ModelInferRequest;
}

/** Calls of all three kinds to the model `digits`, until `stop`. */
export class RollingLoad extends MixedLoad<'unary' | '600 KB' | 'stream'> {
  private constructor(
    { target, perSecond = 200, largePerSecond = 2, request = digitRequest }: RollingLoadOptions,
    /** Versions that have answered, in the order in which they first did. */
    readonly versions: string[] = [],
  ) {
    const common = { target, deadlineMs: DEADLINE_MS, channel: STOCK_CHANNEL };
    const judge =
      (pictures: number) =>
      ({ model_version: version, raw_output_contents: [raw] }: ModelInferResponse) => {
        if (!versions.includes(version)) versions.push(version);
        const expected = pictures * CLASSES * 4;
        return raw?.length === expected ? undefined : `${raw?.length} bytes of ${expected}`;
      };
    super({
      unary: { ...common, what: 'unary calls', perSecond, request, judge: judge(1) },
      '600 KB': {
        ...{ ...common, what: 'of 600 KB', perSecond: largePerSecond },
        ...{ request: manyDigitsRequest, judge: judge(MANY_DIGITS) },
      },
      stream: {
        ...{ ...common, deadlineMs: STREAM_DEADLINE_MS, what: 'streams' },
        ...{ perSecond: LOOKS_PER_SECOND, mostOpen: 1, warmCalls: 0, shown: 1 },
        ask: (client, _, done) => askPictures(client, done),
        describe: (error) => `${failureText(error)}: ${error.details}`,
      },
    });
  }

  /** Resolves when unary calls of both kinds have been answered. */
  static start(options: RollingLoadOptions): Promise<RollingLoad> {
    return new RollingLoad(options).begin();
  }
}

/** One stream: a picture each 50 ms, and one answer to each. */
function askPictures(client: Client, done: requestCallback<unknown>): AskedCall {
  const stream = inferStream(client, STREAM_DEADLINE_MS);
  /** When each message was sent that has no answer, by its id. */
  const waiting = new Map<string, number>();
  let [sent, slowestMs] = [0, 0];
  let problem: string | undefined;
  const send = () => {
    const id = String(sent++);
    waiting.set(id, performance.now());
    stream.write({ ...digitRequest(sent), id });
    if (sent < MESSAGES) return;
    clearInterval(timer);
    stream.end();
  };
  const timer = setInterval(send, MESSAGE_MS);
  stream.on('data', ({ error_message, infer_response }: ModelStreamInferResponse) => {
    const id = infer_response?.id ?? '';
    const sentMs = waiting.get(id);
    if (error_message) problem ??= error_message;
    else if (sentMs === undefined) problem ??= `an answer to message ${id}, which has none to come`;
    else slowestMs = Math.max(slowestMs, performance.now() - sentMs);
    waiting.delete(id);
  });
  whenEnded(stream, (error) => {
    clearInterval(timer);
    const answers = sent - waiting.size;
    const progress = `after ${answers} answers to ${sent} messages, the slowest ${Math.round(slowestMs)} ms`;
    if (error !== null)
      return done(Object.assign(error, { details: `${problem ?? error.details}, ${progress}` }));
    if (answers !== MESSAGES) problem ??= `${answers} answers of ${MESSAGES}`;
    if (slowestMs > DEADLINE_MS) problem ??= `an answer took ${Math.round(slowestMs)} ms`;
    done(null, problem);
  });
  send();
  return stream;
}
