import type { ServerResponse } from 'node:http';
import { readDuration } from '../config/codecs/duration.js';
import { quoted } from '../config/codecs/parse-result.js';
import { defined } from '../config/present.js';
import { parseStatus, type Status } from '../core/outcome/status.js';
import { visibleText } from '../runtime/log/visible-text.js';
import type { OpenTap, TapOptions } from '../telemetry/tap/tap.js';
import type { TapFilter } from '../telemetry/tap/tap-filter.js';
import { type Answer, text } from './answers.js';
import { Mistake, mistakeAnswer, numberOf, refuseUnknown } from './query.js';

/** All parameters that `/tap` knows. */
const PARAMETERS = [
  'direction',
  'service',
  'method',
  'model',
  'status',
  'reason',
  'failed',
  'slow',
  'sample',
  'rate',
];
/** Calls per second: what an operator can read for a while, and what a script may ask for. */
const DEFAULT_RATE = 50;
const MOST_RATE = 1_000;
/** Bytes that may wait for a slow reader; beyond it calls are dropped and counted. */
const MAX_WAITING_BYTES = 256 * 1024;
/** A reader that has taken nothing for so many seconds has stopped, and its place is for another one. */
const MAX_FULL_SECONDS = 10;

/**
 * `GET /tap`: calls as they end, as server-sent events until the reader goes: `data` has the fields of an access log line,
 * an event `dropped` the number of calls of the last second that were not shown. A reader whose buffer stays full for
 * `MAX_FULL_SECONDS` is cut off: there are few places, and one that is stopped (SIGSTOP, a paused terminal) would hold its own for ever.
 *
 * @returns the answer where there is no stream: a mistake in the query (400), or too many taps (503).
 */
export function streamTap(
  open: OpenTap,
  query: URLSearchParams,
  response: ServerResponse,
): Answer | undefined {
  let options: TapOptions;
  try {
    options = readOptions(query);
  } catch (error) {
    return mistakeAnswer(error);
  }
  const hasRoom = () => response.writableLength < MAX_WAITING_BYTES;
  let fullSeconds = 0;
  const close = open(options, {
    call: (fields) => {
      if (!hasRoom()) return false;
      response.write(`data: ${visibleText(JSON.stringify(fields))}\n\n`);
      return true;
    },
    // Once a second, also without drops: a reader that is gone is found out by a write.
    dropped: (count) => {
      fullSeconds = hasRoom() ? 0 : fullSeconds + 1;
      if (fullSeconds >= MAX_FULL_SECONDS) response.destroy();
      else if (fullSeconds === 0)
        response.write(count === 0 ? ':\n\n' : `event: dropped\ndata: ${count}\n\n`);
    },
  });
  if (close === undefined) return text(503, 'too many taps are open\n');
  // Also by its connection: a response that waits behind another one there gets no 'close' when it breaks.
  const { socket } = response.req;
  let isOpen = true;
  const end = (): void => {
    socket.off('close', end);
    if (isOpen) close();
    isOpen = false;
  };
  response.on('close', end).on('error', end);
  socket.on('close', end);
  response.writeHead(200, {
    'content-type': 'text/event-stream',
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  });
  response.flushHeaders();
  return undefined;
}

/** Which calls are asked for, and how many. @throws Mistake */
function readOptions(query: URLSearchParams): TapOptions {
  refuseUnknown(query, PARAMETERS);
  const said = (name: string) => query.get(name) ?? undefined;
  const filter: TapFilter = defined({
    direction: directionOf(said('direction')),
    service: said('service'),
    method: said('method'),
    model: said('model'),
    status: statusOf(said('status')),
    reason: said('reason'),
    isFailed: query.has('failed') ? true : undefined,
    slowMs: slowOf(said('slow')),
  });
  return {
    filter,
    sampleRatio: numberOf(query, 'sample', 1) ?? 1,
    perSecond: numberOf(query, 'rate', MOST_RATE) ?? DEFAULT_RATE,
  };
}

/** What is wrong with a query of `/tap`, in one sentence; undefined: nothing. A command asks before it connects. */
export function tapProblem(query: URLSearchParams): string | undefined {
  try {
    readOptions(query);
    return undefined;
  } catch (error) {
    if (error instanceof Mistake) return error.message;
    throw error;
  }
}

/** Calls that come in, or calls that go out; both have a line of their own in a sidecar that does both. */
function directionOf(given: string | undefined): TapFilter['direction'] {
  if (given === undefined || given === 'inbound' || given === 'outbound') return given;
  throw new Mistake(`direction: found ${quoted(given)}; expected inbound or outbound`);
}

/** A gRPC status by name in any case, or by number. */
function statusOf(given: string | undefined): Status | undefined {
  if (given === undefined) return undefined;
  const status = parseStatus(given);
  if (status !== undefined) return status;
  throw new Mistake(`status: found ${quoted(given)}; expected a gRPC status, such as unavailable or 14`);
}

/** A duration as files spell it. */
function slowOf(given: string | undefined): number | undefined {
  if (given === undefined) return undefined;
  const read = readDuration(given);
  if (!read.ok) throw new Mistake(`slow: ${read.problem}`);
  return read.value;
}
