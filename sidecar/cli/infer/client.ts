import { setTimeout as delay } from 'node:timers/promises';
import { Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import type { Method } from '../../../proto/load.js';
import { MetadataKey } from '../../core/metadata-key.js';
import { CommandFailure } from '../failure.js';

/** A response with its metadata. */
export interface Answer<Response> {
  readonly message: Response;
  /** Response metadata, by key; the last value of each. */
  readonly headers: Readonly<Record<string, string>>;
}

/** Before each further try of a question: a model process that was killed has its replacement, or its peers, by then. */
const PAUSES_MS = [100, 400] as const;

/** A call that failed; exit code 1. */
class InferFailure extends CommandFailure {
  constructor(
    message: string,
    /** A sidecar answered, and says that no endpoint could take the call. */
    readonly isPassing: boolean,
  ) {
    super(message);
  }
}

/** The calls of `outrider infer`, over a stock gRPC client, with hints for calls that fail. */
export class InferClient {
  private readonly target: string;
  private readonly client: Client;
  private readonly metadata: Metadata;
  private readonly deadline: Date;
  private readonly deadlineMs: number;

  /**
   * @param deadlineMs for all calls of this client together. Throws CommandFailure(2) for metadata
   * that gRPC rejects.
   */
  constructor(target: string, deadlineMs: number, metadata: readonly string[]) {
    this.target = target;
    this.deadlineMs = deadlineMs;
    this.deadline = new Date(Date.now() + deadlineMs);
    this.metadata = parseMetadata(metadata);
    this.client = new Client(target, credentials.createInsecure(), {
      'grpc.max_receive_message_length': -1,
      'grpc.max_send_message_length': -1,
      'grpc.enable_http_proxy': 0,
    });
  }

  /**
   * Like `call`, for a question that changes nothing: where a sidecar says that no endpoint took it, it is asked again, since the route of
   * a method that no file names is not retried. Where nothing answers at all it fails at once.
   */
  async question<Request, Response>(
    method: Method<Request, Response>,
    request: Request,
  ): Promise<Answer<Response>> {
    for (const pauseMs of PAUSES_MS) {
      try {
        return await this.call(method, request);
      } catch (error) {
        if (!(error instanceof InferFailure) || !error.isPassing) throw error;
      }
      await delay(pauseMs);
    }
    return this.call(method, request);
  }

  /** Rejects with InferFailure: status, message, `outrider-reason` and a hint. */
  call<Request, Response>(method: Method<Request, Response>, request: Request): Promise<Answer<Response>> {
    return new Promise((resolve, reject) => {
      const headers: Record<string, string> = {};
      const call = this.client.makeUnaryRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        request,
        this.metadata,
        { deadline: this.deadline },
        (error, message) => {
          if (error !== null) reject(this.failure(error));
          else resolve({ message: message as Response, headers });
        },
      );
      call.on('metadata', (received: Metadata) => {
        for (const [key, value] of Object.entries(received.getMap())) headers[key] = String(value);
      });
    });
  }

  /**
   * Sends the requests on one stream and hands over each answer as it comes. Resolves with the response
   * metadata when the server has ended the stream; rejects like `call`, and with what `each` throws.
   */
  stream<Request, Response>(
    method: Method<Request, Response>,
    requests: readonly Request[],
    each: (message: Response) => void,
  ): Promise<Answer<undefined>> {
    return new Promise((resolve, reject) => {
      const headers: Record<string, string> = {};
      const call = this.client.makeBidiStreamRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        this.metadata,
        { deadline: this.deadline },
      );
      call.on('metadata', (received: Metadata) => {
        for (const [key, value] of Object.entries(received.getMap())) headers[key] = String(value);
      });
      call.on('data', (message: Response) => {
        try {
          each(message);
        } catch (error) {
          reject(error);
          call.cancel();
        }
      });
      call.on('error', (error: ServiceError) => reject(this.failure(error)));
      call.on('end', () => resolve({ message: undefined, headers }));
      for (const request of requests) call.write(request);
      call.end();
    });
  }

  close(): void {
    this.client.close();
  }

  private failure(error: ServiceError): InferFailure {
    const isPassing = error.code === status.UNAVAILABLE && reasonOf(error) !== '';
    return new InferFailure(this.explain(error), isPassing);
  }

  private explain(error: ServiceError): string {
    const name = status[error.code];
    const refused = /\b(ECONNREFUSED|ENOENT|EACCES|EHOSTUNREACH|ENOTFOUND|ETIMEDOUT)\b/.exec(
      error.details,
    )?.[1];
    const reason = reasonOf(error);
    if (error.code === status.UNAVAILABLE && reason === '' && refused !== undefined)
      return `${name}: nothing answers at ${this.target} (${refused}): is \`outrider up\` running? (--target ADDR calls another address)`;
    if (error.code === status.DEADLINE_EXCEEDED && error.details.startsWith('Deadline exceeded after'))
      return `${name}: no answer from ${this.target} within ${this.deadlineMs} ms (--deadline DURATION waits longer)`;
    const text = error.details.replace(/\s+/g, ' ').trim();
    const hint = this.hint(error.code, reason) || unknownModelHint(text);
    return [`${name}: ${text}`, reason && ` (outrider-reason: ${reason})`, hint && `; ${hint}`].join('');
  }

  /** What to do; empty when the message is enough. */
  private hint(code: status, reason: string): string {
    if (code === status.UNIMPLEMENTED && reason === '')
      return `does ${this.target} speak the Open Inference Protocol?`;
    if (reason === 'not-allowed') return 'an intention must allow this caller';
    if (reason === 'overloaded' || reason === 'queue-expired')
      return 'the model is busy: try again in a moment';
    if (reason === 'no-endpoint' || reason === 'connect-failed')
      return '`outrider status` shows the endpoints and why they are out';
    if (reason !== '') return `\`outrider explain ${reason}\` says more`;
    return '';
  }
}

/** For Triton's and our own words for a model that the server has not; empty for others. */
function unknownModelHint(said: string): string {
  return /^Request for unknown model: '[^']*' is not found$/.test(said)
    ? 'a model has the name of its folder, which need not be that of the service (`outrider check` lists them)'
    : '';
}

/** Why a sidecar answered instead of the service; empty: it did not. */
function reasonOf(error: ServiceError): string {
  return String(error.metadata?.get(MetadataKey.reason)[0] ?? '');
}

function parseMetadata(pairs: readonly string[]): Metadata {
  const metadata = new Metadata();
  for (const pair of pairs) {
    const at = pair.indexOf('=');
    try {
      if (at <= 0) throw new Error('expected KEY=VALUE');
      metadata.add(pair.slice(0, at), pair.slice(at + 1));
    } catch (error) {
      throw new CommandFailure(`--metadata ${pair}: ${(error as Error).message}`, 2);
    }
  }
  return metadata;
}
