import { createHash } from 'node:crypto';
import { parseIndex } from '../../../core/discovery/blocking-index.js';
import { messageOf } from '../../../runtime/log/message-of.js';
import type { Timers } from '../../../runtime/time/timers.js';
import { AgentError, type Answer } from '../client/response.js';
import type { QuerySpec } from './query-spec.js';

/** A parser that takes longer is given up on. */
const PARSE_LIMIT_MS = 30_000;
/** Larger bodies are not fingerprinted: it would hold up the event loop for longer than it saves. */
const FINGERPRINT_BYTES = 256 * 1024;

/** Whether Consul says that there is no such thing: a 404 with an index. A 404 of another server has none. */
export function isAbsence(answer: Answer): boolean {
  return answer.status === 404 && indexOf(answer) !== undefined;
}

/** The value of an answer. Rejects when the parser throws, or takes longer than 30 s. */
export function readValue<T>(answer: Answer, spec: QuerySpec<T>, timers: Timers): Promise<T> {
  return new Promise((resolve, reject) => {
    const isAbsent = spec.absent !== undefined && isAbsence(answer);
    const parsed = isAbsent ? spec.absent?.() : spec.parse(answer.body);
    if (!(parsed instanceof Promise)) return resolve(parsed as T);
    const late = new Error(`the answer was not parsed within ${PARSE_LIMIT_MS} ms`);
    const limit = timers.after(PARSE_LIMIT_MS, () => reject(late));
    parsed.then(resolve, reject).finally(() => limit.cancel());
  });
}

/** The index of an answer, from the header where there is one: exact beyond 2^53. */
export function indexOf({ headers, index }: Answer): bigint | undefined {
  const exact = parseIndex(headers['x-consul-index']);
  if (exact !== undefined || index === undefined) return exact;
  return Number.isSafeInteger(index) && index >= 0 ? BigInt(index) : undefined;
}

/**
 * SHA-256 of status and body, to tell whether an answer is news. Undefined over 256 KiB: the hash would cost more
 * than it saves.
 */
export function fingerprintOf({ status, body }: Answer): string | undefined {
  if (body.length > FINGERPRINT_BYTES) return undefined;
  return createHash('sha256').update(`${status} `).update(body).digest('base64');
}

/** Whether the fault is the agent's or its servers' (no answer, or 5xx), and so concerns every query. */
export function isAgentFault(error: unknown): boolean {
  if (!(error instanceof AgentError)) return false;
  return isUnanswered(error) || (error.status ?? 0) >= 500;
}

/** Whether no answer came. */
export function isUnanswered(error: unknown): boolean {
  return error instanceof AgentError && (error.fault === 'unreachable' || error.fault === 'timeout');
}

/** An error in one line, for status and log. It quotes nothing of the answer, which may hold a private key. */
export function problemOf(error: unknown): string {
  if (error instanceof AgentError) return error.message;
  if (error instanceof SyntaxError) return 'the answer cannot be used: it is no valid JSON';
  return `the answer cannot be used: ${(messageOf(error).split('\n', 1)[0] ?? '').slice(0, 200)}`;
}
