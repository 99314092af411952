import type { IncomingMessage, ServerResponse } from 'node:http';
import { visibleText } from '../runtime/log/visible-text.js';
import { processStats } from '../runtime/process/stats.js';
import type { SidecarView } from './view.js';

/** An HTTP answer, before it is written. */
export interface Answer {
  readonly status: number;
  /** Default: plain text. */
  readonly type?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: string;
  /**
   * Writes an answer without an end instead, and returns nothing; or returns the answer that is given in its place. Not called for HEAD.
   */
  readonly stream?: (response: ServerResponse) => Answer | undefined;
}

/** An answer of plain text. */
export function text(status: number, body: string): Answer {
  return { status, body };
}

/** `/live`: the process answers. */
export function live(): Answer {
  return text(200, 'live\n');
}

/** `/ready`: 200, or 503 with one reason in each line. */
export function ready(view: Pick<SidecarView, 'notReady'>): Answer {
  return unless(view.notReady(), 'ready');
}

/** `/started`: 200, or 503 with one reason in each line. */
export function started(view: Pick<SidecarView, 'notStarted'>): Answer {
  return unless(view.notStarted(), 'started');
}

function unless(reasons: readonly string[], state: string): Answer {
  return reasons.length === 0 ? text(200, `${state}\n`) : text(503, `${reasons.join('\n')}\n`);
}

/**
 * `/metrics`. prom-client is loaded by the first scrape: without scrapes a sidecar starts faster
 * and needs less memory.
 */
export async function metrics(view: Pick<SidecarView, 'metrics'>): Promise<Answer> {
  const { expose, EXPOSITION_CONTENT_TYPE } = await import('./exposition.js');
  const body = await expose([...view.metrics(), ...(await processStats())]);
  return { status: 200, type: EXPOSITION_CONTENT_TYPE, body };
}

/** Writes an answer with what all of them have: its length, no caching, no guessing of its type. */
export function writeAnswer(
  { method }: IncomingMessage,
  response: ServerResponse,
  { status, type, headers, body }: Answer,
): void {
  // A page escapes what it shows; the others are read in terminals, too.
  const isPage = type?.startsWith('text/html') === true;
  const bytes = Buffer.from(isPage ? body : visibleText(body));
  response.writeHead(status, {
    'content-type': type ?? 'text/plain; charset=utf-8',
    'content-length': bytes.length,
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...headers,
  });
  response.end(method === 'HEAD' ? undefined : bytes);
}

/** The path of a request, without its query. */
export function pathOf({ url = '/' }: IncomingMessage): string {
  return url.split('?', 1)[0]!;
}
