/** What the drills with Toxiproxy call: small requests, requests and answers of 600 KB, and streams, in one load. */

import { Metadata, type requestCallback, type ServiceError } from '@grpc/grpc-js';
import { protocols } from '../../../proto/load.js';
import type { ModelInferRequest, ModelInferResponse } from '../../../proto/messages.js';
import { failureText } from '../../../sidecar/cli/chaos/load/noted-call.js';
import { callUnary } from '../../../sidecar/cli/chaos/protocol/call.js';
import type { SidecarFile } from '../../kit/process/sidecars.js';
import { INFER } from '../decisions/mesh.js';
import { type LoadOptions, REQUEST } from '../faults/load.js';
import { TELL, tell } from '../faults/token-stream.js';

/** How many calls a row counts with each kind of route. */
export const CALLS = 1_000;
export const PER_SECOND = 80;
export const DEADLINE_MS = 15_000;
const LARGE_BYTES = 600_000;
/** Of a hundred calls: 2 large ones, 5 streams. */
const OF = 100;
const LARGE: ReadonlySet<number> = new Set([30, 80]);
const STREAMS: ReadonlySet<number> = new Set([5, 25, 45, 65, 85]);
const STREAM = { messages: 10, everyMs: 20 } as const;

const LARGE_REQUEST: ModelInferRequest = {
  model_name: 'fixed',
  inputs: [{ name: 'x', datatype: 'FP32', shape: ['1', String(LARGE_BYTES / 4)] }],
  raw_input_contents: [new Uint8Array(LARGE_BYTES)],
};

/** An error that says what kind of call it ended. */
type KindError = ServiceError & { kind?: string };

const named =
  <Answer>(kind: string, done: requestCallback<Answer>): requestCallback<Answer> =>
  (error, answer) =>
    error === null ? done(null, answer) : done(Object.assign(error, { kind }), answer);

/** How a failure is noted: status, reason and kind of call. */
export const describeFailure = (error: KindError): string =>
  `${failureText(error)} of a ${error.kind ?? 'small'} call`;

/** Asks the nth call, whose answer has to be whole. */
export const ask: NonNullable<LoadOptions['ask']> = (client, n, told) => {
  if (STREAMS.has(n % OF))
    return tell(client, { ...STREAM, deadlineMs: DEADLINE_MS }, named('streamed', told));
  const isLarge = LARGE.has(n % OF);
  const request = isLarge ? LARGE_REQUEST : REQUEST;
  const sent = request.raw_input_contents![0]!.length;
  const done = named(isLarge ? 'large' : 'small', told);
  return callUnary(
    client,
    protocols().inference.ModelInfer,
    { request, deadlineMs: DEADLINE_MS },
    (error, answer) => {
      const got = (answer as ModelInferResponse | undefined)?.raw_output_contents[0]?.length;
      if (error !== null || got === sent) return done(error, answer);
      const details = `${got} bytes of ${sent}`;
      done(Object.assign(new Error(details), { code: 15, details, metadata: new Metadata() }));
    },
  );
};

/** When the calls of a row are due, ms: evenly, as soon as the toxic is there. */
export const DUE_MS: readonly number[] = Array.from(
  { length: CALLS },
  (_, n) => 300 + (1_000 * n) / PER_SECOND,
);

/** Routes that say that the calls may be made twice; answers of 600 KB are held, and streams go on elsewhere. */
export const IDEMPOTENT: SidecarFile = {
  routes: [
    {
      ...{ methods: [INFER], idempotent: true, hold: '1MiB', replay: '1MiB', attempt_timeout: '3s' },
      retry: { attempts: 3, on: ['unavailable', 'deadline_exceeded'] },
    },
    {
      ...{ methods: [TELL.path], kind: 'streaming', idempotent: true, resumable: true, deterministic: true },
      ...{ first_message_timeout: '3s', message_timeout: '3s' },
      retry: { attempts: 3, on: ['unavailable', 'deadline_exceeded'] },
    },
  ],
};
