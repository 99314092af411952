import { Agent, type IncomingMessage, request as plainRequest } from 'node:http';
import { Agent as TlsAgent, request as tlsRequest } from 'node:https';
import { rejectedSpans } from './otlp-request.js';
import {
  type CollectorSettings,
  MAX_ANSWER_BYTES,
  SEND_TIMEOUT_MS,
  type SendResult,
  type SpanSender,
} from './span-sender.js';

/** Statuses after which a request is tried again (OTLP specification, OTLP/HTTP response). */
const RETRIED: ReadonlySet<number> = new Set([429, 502, 503, 504]);

/** OTLP/HTTP with protobuf bodies, on one connection that is kept. */
export class OtlpHttpSender implements SpanSender {
  private readonly url: URL;
  private readonly agent: Agent;
  private readonly request: typeof plainRequest;

  constructor(private readonly settings: CollectorSettings) {
    this.url = tracesUrl(settings.endpoint);
    const isTls = this.url.protocol === 'https:';
    this.agent = new (isTls ? TlsAgent : Agent)({ keepAlive: true, maxSockets: 1 });
    this.request = isTls ? tlsRequest : plainRequest;
  }

  send(body: Buffer): Promise<SendResult> {
    return new Promise((resolve) => {
      const failed = (error: Error): void => resolve({ kind: 'failed', why: error.message });
      const request = this.request(
        this.url,
        {
          method: 'POST',
          agent: this.agent,
          headers: {
            ...this.settings.headers,
            'content-type': 'application/x-protobuf',
            'content-length': body.length,
          },
          timeout: SEND_TIMEOUT_MS,
        },
        (response) => readAnswer(response, resolve, failed),
      );
      request.on('timeout', () => request.destroy(new Error(`no answer within ${SEND_TIMEOUT_MS} ms`)));
      request.on('error', failed);
      request.end(body);
    });
  }

  close(): void {
    this.agent.destroy();
  }
}

/** A URL without a path gets the usual one. */
export function tracesUrl(endpoint: string): URL {
  const url = new URL(endpoint);
  if (url.pathname === '/') url.pathname = '/v1/traces';
  return url;
}

/** All of it, up to a bound: the connection is used again. */
function readAnswer(
  response: IncomingMessage,
  resolve: (result: SendResult) => void,
  failed: (error: Error) => void,
): void {
  const chunks: Buffer[] = [];
  let bytes = 0;
  response.on('error', failed);
  response.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > MAX_ANSWER_BYTES) response.destroy(new Error(`an answer of over ${MAX_ANSWER_BYTES} bytes`));
    else chunks.push(chunk);
  });
  response.on('end', () => resolve(resultOf(response, Buffer.concat(chunks))));
}

/** `retry-after` in seconds is honoured; a date is not worth its code. */
function resultOf({ statusCode = 0, headers }: IncomingMessage, body: Buffer): SendResult {
  if (statusCode >= 200 && statusCode < 300) return { kind: 'taken', rejected: rejectedSpans(body) };
  const why = `HTTP status ${statusCode}`;
  if (!RETRIED.has(statusCode)) return { kind: 'refused', why };
  const seconds = Number(headers['retry-after']);
  return seconds > 0 ? { kind: 'failed', why, waitMs: seconds * 1_000 } : { kind: 'failed', why };
}
