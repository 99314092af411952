/**
 * How a sidecar that `up` has started speaks with it, in JSON objects, one per line: what it has to tell on standard
 * output, what it is told on standard input. The end of standard input is the news that `up` is gone.
 *
 * A parent that is stopped (Ctrl-Z) reads nothing; the sidecar then drops news rather than wait for it.
 */

import type { TakeoverAnswer } from '../../admin/view.js';
import type { IdentityFeed, IdentityParts } from '../../identity/sources/identity-source.js';
import type { ModelReport } from '../../telemetry/reports.js';

export type SidecarEvent =
  | { readonly event: 'listening'; readonly addresses: unknown }
  /** Reasons, each in one sentence; empty when ready. */
  | { readonly event: 'readiness'; readonly notReady: readonly string[] }
  /** `report`: of all models together, `models`: of each. */
  | { readonly event: 'model'; readonly report: ModelReport; readonly models: readonly ModelReport[] }
  | { readonly event: 'reloaded'; readonly changes: readonly string[] }
  | { readonly event: 'reload-refused'; readonly problem: string }
  | { readonly event: 'draining' }
  /** It shall be followed by a successor; the answer is `hand-over` or `stay`. */
  | { readonly event: 'takeover' }
  /** The same, and after `stay` it drains: something else than `up` asked it to end. */
  | { readonly event: 'ending' }
  /** A successor has begun to accept. */
  | { readonly event: 'accepting' };

/** What `up` tells a sidecar. */
export type ParentMessage =
  | { readonly tell: 'identity'; readonly parts: IdentityParts }
  /** The successor accepts: drain, and leave to it what others know of this sidecar. */
  | { readonly tell: 'hand-over'; readonly pid: number }
  | { readonly tell: 'stay'; readonly why: string }
  /** Its file changes now for its successor, and not for it; until `stay`. */
  | { readonly tell: 'ignore-file' };

/** Set to `1` by a parent that holds the other end of standard input and reads standard output. */
export const PARENT_MARK = 'OUTRIDER_PARENT_STDIN';
/** Set to `1` by a parent whose first message is the sidecar's identity. */
export const IDENTITY_MARK = 'OUTRIDER_PARENT_IDENTITY';
/** How often the parent has started this sidecar again. */
export const RESTARTS_MARK = 'OUTRIDER_PARENT_RESTARTS';

const MAX_UNREAD_BYTES = 65_536;
const MAX_LINE_BYTES = 65_536;
/** For the identity that was promised; afterwards what the files hold must do. */
const IDENTITY_WAIT_MS = 5_000;

export class ParentChannel {
  readonly identity = new Feed();
  /** Called when the successor accepts. */
  onHandOver: () => void = () => {};
  /** Called when the file is not its own any more, and when it is again. */
  onFile: (isIgnored: boolean) => void = () => {};
  private answered: ((answer: TakeoverAnswer) => void) | undefined;
  private gone = false;
  private whenGone: (() => void) | undefined;

  private constructor(private readonly bringsIdentity: boolean) {
    readLines<ParentMessage>(process.stdin, '{"tell":', (message) => this.onMessage(message));
    const over = (): void => {
      this.gone = true;
      this.whenGone?.();
    };
    process.stdin.once('end', over);
    process.stdin.once('error', over);
  }

  /** Undefined when no parent asked for it. */
  static open(env: Readonly<Record<string, string | undefined>>): ParentChannel | undefined {
    return env[PARENT_MARK] === '1' ? new ParentChannel(env[IDENTITY_MARK] === '1') : undefined;
  }

  /** How often the parent has started this sidecar again. */
  get restarts(): number {
    return Number(process.env[RESTARTS_MARK] ?? 0);
  }

  /** Resolves when the parent has brought the identity that it promised, if it did. */
  identityArrived(): Promise<void> {
    if (!this.bringsIdentity || this.identity.current() !== undefined) return Promise.resolve();
    return new Promise((resolve) => {
      const limit = setTimeout(resolve, IDENTITY_WAIT_MS);
      this.identity.subscribe(() => {
        clearTimeout(limit);
        resolve();
      });
    });
  }

  send(event: SidecarEvent): void {
    if (process.stdout.writableLength < MAX_UNREAD_BYTES) process.stdout.write(`${JSON.stringify(event)}\n`);
  }

  /** Sends a question about a successor; its answer, or that there was none in time. */
  ask(event: SidecarEvent, limitMs: number): Promise<TakeoverAnswer> {
    return new Promise((resolve) => {
      const silent = { ok: false, why: `up has not answered within ${limitMs / 1000} s` } as const;
      const limit = setTimeout(() => this.answered?.(silent), limitMs);
      this.answered = (answer) => {
        clearTimeout(limit);
        this.answered = undefined;
        resolve(answer);
      };
      this.send(event);
    });
  }

  /** Calls `fn` once, when the parent has ended in whatever way. */
  onGone(fn: () => void): void {
    this.whenGone = fn;
    if (this.gone) fn();
  }

  private onMessage(message: ParentMessage): void {
    if (message.tell === 'identity') this.identity.push(message.parts);
    if (message.tell === 'ignore-file') this.onFile(true);
    if (message.tell === 'stay') {
      this.answered?.({ ok: false, why: message.why });
      this.onFile(false);
    }
    if (message.tell === 'hand-over') {
      this.answered?.({ ok: true, pid: message.pid });
      this.onHandOver();
    }
  }
}

/** The newest identity that came over the link. */
class Feed implements IdentityFeed {
  private parts: IdentityParts | undefined;
  private readonly listeners: ((parts: IdentityParts) => void)[] = [];

  current(): IdentityParts | undefined {
    return this.parts;
  }

  subscribe(listener: (parts: IdentityParts) => void): void {
    this.listeners.push(listener);
  }

  push(parts: IdentityParts): void {
    this.parts = parts;
    for (const listener of this.listeners) listener(parts);
  }
}

/** Tells a sidecar; without effect when it has closed its standard input. */
export function sendToSidecar(input: NodeJS.WritableStream | undefined, message: ParentMessage): void {
  input?.write(`${JSON.stringify(message)}\n`);
}

/** Reads the events of one sidecar; lines that are none are skipped. */
export function readEvents(output: NodeJS.ReadableStream, onEvent: (event: SidecarEvent) => void): void {
  output.on('error', () => {});
  readLines(output, '{"event":', onEvent);
}

function readLines<T>(input: NodeJS.ReadableStream, start: string, onMessage: (message: T) => void): void {
  let rest = '';
  input.setEncoding('utf8');
  input.on('data', (part: string) => {
    const lines = (rest + part).split('\n');
    rest = lines.pop()!.slice(-MAX_LINE_BYTES);
    for (const line of lines) {
      const message = line.startsWith(start) ? parse<T>(line) : undefined;
      if (message !== undefined) onMessage(message);
    }
  });
}

function parse<T>(line: string): T | undefined {
  try {
    return JSON.parse(line) as T;
  } catch {
    return undefined;
  }
}
