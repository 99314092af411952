/** The two ways in which a response of the API is read: whole, or line by line as it comes. Both are bounded. */
import type { KubernetesConfig } from '../../config/model.js';
import type { Timer, Timers } from '../../runtime/time/timers.js';
import type { ApiRequest, KubernetesApi } from './api-client.js';

/** What is kept of a response that says what went wrong. */
const MAX_FAULT_BYTES = 4_096;
/** A response has to begin within this, ms. */
export const HEAD_LIMIT_MS = 10_000;
/** And a list to end within this, ms. */
export const LIST_LIMIT_MS = 30_000;
const OK = 200;
const NEWLINE = 0x0a;

/** A response of the API; or, with status 0, why there is none. */
export interface Reply {
  readonly status: number;
  readonly body: string;
  readonly retryAfter: string | undefined;
  /** Why there is no status, where a caller acts by that: nobody answers, or a watch that was open has told nothing for too long. */
  readonly cause?: 'away' | 'silent';
}

/** What a read is made with. */
export interface ReadDeps {
  readonly api: KubernetesApi;
  readonly timers: Timers;
}

interface BodyRead {
  readonly path: string;
  readonly maxBytes: number;
}

/** Reads a response whole. @param done called once, unless it is cancelled; never within this call. @throws as `KubernetesApi.get`. */
export function readBody(
  { api, timers }: ReadDeps,
  config: KubernetesConfig,
  { path, maxBytes }: BodyRead,
  done: (reply: Reply) => void,
): ApiRequest {
  const kept = new KeptBytes();
  let status = 0;
  let retryAfter: string | undefined;
  const finish = (reply: Reply): void => {
    read.cancel();
    done(reply);
  };
  const request = api.get(config, path, {
    head: (code, after) => {
      status = code;
      retryAfter = after;
    },
    data: (chunk) => {
      if (status !== OK) kept.addUpTo(chunk, MAX_FAULT_BYTES);
      else if (kept.length + chunk.length <= maxBytes) kept.add(chunk);
      else finish(noReply(`the response is larger than ${maxBytes} bytes`));
    },
    end: (problem) =>
      finish(problem === undefined ? { status, body: kept.take(), retryAfter } : noReply(problem, 'away')),
  });
  const late = `no whole response within ${LIST_LIMIT_MS / 1_000} s`;
  const limit = timers.after(LIST_LIMIT_MS, () => finish(noReply(late)), { unref: true });
  const read = cancelling(request, limit);
  return read;
}

/** What comes of a watch. */
export interface LineEvents {
  /** It is answered with 200: lines follow. */
  open(): void;
  /** Those that came together. */
  lines(lines: readonly string[]): void;
  /** Once, last. Status 200: it has ended in order. */
  end(reply: Reply): void;
}

interface LineRead {
  readonly path: string;
  readonly maxLineBytes: number;
  /** Without a byte for this long, it is ended. */
  readonly silentMs: number;
}

/** Reads a response line by line, for as long as it lasts. @throws as `KubernetesApi.get`. */
export function readLines(
  { api, timers }: ReadDeps,
  config: KubernetesConfig,
  { path, maxLineBytes, silentMs }: LineRead,
  events: LineEvents,
): ApiRequest {
  const rest = new KeptBytes();
  let status = 0;
  let retryAfter: string | undefined;
  let limit: Timer | undefined;
  let isOver = false;
  const stop = (): void => {
    isOver = true;
    limit?.cancel();
    request.cancel();
  };
  const finish = (reply: Reply): void => {
    if (isOver) return;
    stop();
    events.end(reply);
  };
  const expect = (ms: number, why: string, cause?: Reply['cause']): void => {
    limit?.cancel();
    limit = timers.after(ms, () => finish(noReply(why, cause)), { unref: true });
  };
  const silence = (): void =>
    expect(silentMs, `the watch was silent for ${silentMs / 1_000} s`, status === OK ? 'silent' : undefined);
  const request = api.get(config, path, {
    head: (code, after) => {
      status = code;
      retryAfter = after;
      silence();
      if (code === OK) events.open();
    },
    data: (chunk) => {
      silence();
      if (status !== OK) return rest.addUpTo(chunk, MAX_FAULT_BYTES);
      const lines = split(rest, chunk);
      if (lines.length > 0) events.lines(lines);
      if (rest.length > maxLineBytes)
        finish(noReply(`a line of the watch is larger than ${maxLineBytes} bytes`));
    },
    end: (problem) =>
      finish(problem === undefined ? { status, body: rest.take(), retryAfter } : noReply(problem, 'away')),
  });
  expect(HEAD_LIMIT_MS, `no response within ${HEAD_LIMIT_MS / 1_000} s`, 'away');
  return { cancel: stop };
}

/** The lines that this piece completes; what comes after the last of them stays in `rest`. */
function split(rest: KeptBytes, chunk: Buffer): string[] {
  const lines: string[] = [];
  let from = 0;
  for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, from)) {
    rest.add(chunk.subarray(from, at));
    const line = rest.take();
    if (line.trim() !== '') lines.push(line);
    from = at + 1;
  }
  if (from < chunk.length) rest.add(chunk.subarray(from));
  return lines;
}

/** Pieces of a text: a character may be in two of them. */
class KeptBytes {
  length = 0;
  private pieces: Buffer[] = [];

  add(piece: Buffer): void {
    this.pieces.push(piece);
    this.length += piece.length;
  }

  addUpTo(piece: Buffer, max: number): void {
    if (this.length < max) this.add(piece.subarray(0, max - this.length));
  }

  /** All of it; nothing is left. */
  take(): string {
    const text = Buffer.concat(this.pieces, this.length).toString('utf8');
    this.pieces = [];
    this.length = 0;
    return text;
  }
}

function noReply(why: string, cause?: Reply['cause']): Reply {
  return { status: 0, body: why, retryAfter: undefined, ...(cause === undefined ? {} : { cause }) };
}

function cancelling(request: ApiRequest, limit: Timer): ApiRequest {
  return {
    cancel: () => {
      limit.cancel();
      request.cancel();
    },
  };
}
