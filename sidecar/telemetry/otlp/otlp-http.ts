import { Agent, type IncomingMessage, request as plainRequest } from 'node:http';
import { Agent as TlsAgent, request as tlsRequest } from 'node:https';
import type { Socket } from 'node:net';
import { DialledAgent } from '../../runtime/dialled-agent.js';
import type { Timers } from '../../runtime/time/timers.js';
import { partialSuccess } from './otlp-request.js';
import {
  type CollectorSettings,
  MAX_ANSWER_BYTES,
  type OtlpSender,
  SEND_TIMEOUT_MS,
  type SenderOptions,
  type SendResult,
  type Signal,
} from './otlp-sender.js';

/** Statuses after which a request is tried again (OTLP specification, OTLP/HTTP response). */
const RETRIED: ReadonlySet<number> = new Set([429, 502, 503, 504]);

/** OTLP/HTTP with protobuf bodies, on one connection that is kept. */
export class OtlpHttpSender implements OtlpSender {
  private readonly url: URL;
  private readonly agent: Agent;
  private readonly request: typeof plainRequest;
  private readonly timers: Timers;
  private readonly timeoutMs: number;

  constructor(
    private readonly settings: CollectorSettings,
    { signal, timers, timeoutMs = SEND_TIMEOUT_MS, dial }: SenderOptions,
  ) {
    this.url = signalUrl(settings.endpoint, signal);
    const isTls = this.url.protocol === 'https:';
    this.agent = agentFor(isTls, dial);
    this.request = isTls ? tlsRequest : plainRequest;
    this.timers = timers;
    this.timeoutMs = timeoutMs;
  }

  send(body: Buffer): Promise<SendResult> {
    return new Promise((resolve) => {
      const settle = (result: SendResult): void => {
        limit.cancel();
        resolve(result);
      };
      const failed = (error: Error): void => settle({ kind: 'failed', why: error.message });
      const onLate = (): void => {
        const error = new Error(`no answer within ${this.timeoutMs} ms`);
        failed(error);
        request.destroy(error);
      };
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
        },
        (response) => readAnswer(response, settle, failed),
      );
      request.on('error', failed);
      // Of the whole request: a collector that sends a byte now and then would else have it for ever.
      const limit = this.timers.after(this.timeoutMs, onLate, { unref: true });
      request.end(body);
    });
  }

  close(): void {
    this.agent.destroy();
  }
}

/** One connection, which is kept. */
function agentFor(isTls: boolean, dial: (() => Socket) | undefined): Agent {
  const options = { keepAlive: true, maxSockets: 1 };
  if (isTls) return new TlsAgent(options);
  return dial === undefined ? new Agent(options) : new DialledAgent(options, dial);
}

/** A URL without a path gets the usual one. */
export function signalUrl(endpoint: string, { httpPath }: Signal): URL {
  const url = new URL(endpoint);
  if (url.pathname === '/') url.pathname = httpPath;
  return url;
}

/** All of it, up to a bound: the connection is used again. */
function readAnswer(
  response: IncomingMessage,
  settle: (result: SendResult) => void,
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
  response.on('end', () => settle(resultOf(response, Buffer.concat(chunks))));
}

/** `retry-after` in seconds is honoured; a date is not worth its code. */
function resultOf({ statusCode = 0, headers }: IncomingMessage, body: Buffer): SendResult {
  if (statusCode >= 200 && statusCode < 300) return { kind: 'taken', ...partialSuccess(body) };
  const why = `HTTP status ${statusCode}`;
  if (!RETRIED.has(statusCode)) return { kind: 'refused', why };
  const seconds = Number(headers['retry-after']);
  return seconds > 0 ? { kind: 'failed', why, waitMs: seconds * 1_000 } : { kind: 'failed', why };
}
