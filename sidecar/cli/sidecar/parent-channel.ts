import type { TakeoverAnswer } from '../../admin/view.js';
import type { IdentityFeed, IdentityParts } from '../../identity/identity.js';
import { attempt } from '../../runtime/attempt.js';
import type { Unreached } from '../../runtime/process/inherited-sockets.js';
import type { ModelReport } from '../../telemetry/reports.js';

/**
 * What a sidecar sends to the `up` that started it: one JSON object per line on its standard
 * output.
 */
export type SidecarEvent =
  | { readonly event: 'listening'; readonly addresses: unknown }
  /** Reasons, each in one sentence; empty when ready. `unreached`: what a successor need not reach. */
  | { readonly event: 'readiness'; readonly notReady: readonly string[]; readonly unreached: Unreached }
  /** `report`: of all models together, `models`: of each. */
  | { readonly event: 'model'; readonly report: ModelReport; readonly models: readonly ModelReport[] }
  | { readonly event: 'reloaded'; readonly changes: readonly string[] }
  | { readonly event: 'reload-refused'; readonly problem: string }
  | { readonly event: 'draining' }
  /** The sidecar was asked for a takeover; `up` answers with `hand-over` or `stay`. */
  | { readonly event: 'takeover' }
  /**
   * A signal that is not from `up` ends the sidecar: answered like `takeover`; after `stay` it
   * drains.
   */
  | { readonly event: 'ending' }
  /** A successor has begun to accept. */
  | { readonly event: 'accepting' };

/** What `up` sends to a sidecar: one JSON object per line on its standard input. */
export type ParentMessage =
  | { readonly tell: 'identity'; readonly parts: IdentityParts }
  /** The successor accepts: drain, and leave registration and socket paths to it. */
  | { readonly tell: 'hand-over'; readonly pid: number }
  | { readonly tell: 'stay'; readonly why: string }
  /** The sidecar file changes for a successor: changes are ignored until `stay`. */
  | { readonly tell: 'ignore-file' };

/** Set to `1` by a parent that holds the other end of standard input and reads standard output. */
export const PARENT_MARK = 'OUTRIDER_PARENT_STDIN';
/** Set to `1` by a parent whose first message is the sidecar's identity. */
export const IDENTITY_MARK = 'OUTRIDER_PARENT_IDENTITY';
/** Number of restarts by the parent. */
export const RESTARTS_MARK = 'OUTRIDER_PARENT_RESTARTS';

/** Events beyond this much unread output are dropped. */
const MAX_UNREAD_BYTES = 65_536;
const MAX_LINE_BYTES = 65_536;
/** For the identity of `IDENTITY_MARK`; after it the sidecar starts with the certificate files. */
const IDENTITY_WAIT_MS = 5_000;

/**
 * The sidecar's end of the channel to the `up` that started it. A parent that is stopped (Ctrl-Z)
 * reads nothing: events are then dropped, and the sidecar does not block. The end of standard input
 * means that the parent has exited.
 */
export class ParentChannel {
  readonly identity = new Feed();
  /** Called when the successor accepts. */
  onHandOver: () => void = () => {};
  /** Called with `true` at `ignore-file`, and with `false` at `stay`. */
  onFile: (isIgnored: boolean) => void = () => {};
  private onAnswer: ((answer: TakeoverAnswer) => void) | undefined;
  private isGone = false;
  private onGoneListener: (() => void) | undefined;

  private constructor(private readonly bringsIdentity: boolean) {
    readLines<ParentMessage>(process.stdin, '{"tell":', (message) => this.onMessage(message));
    const over = (): void => {
      this.isGone = true;
      this.onGoneListener?.();
    };
    process.stdin.once('end', over);
    process.stdin.once('error', over);
  }

  /** Undefined for a process that `up` did not start. */
  static open(env: Readonly<Record<string, string | undefined>>): ParentChannel | undefined {
    return env[PARENT_MARK] === '1' ? new ParentChannel(env[IDENTITY_MARK] === '1') : undefined;
  }

  /** Number of restarts of this sidecar by the parent. */
  get restarts(): number {
    return Number(process.env[RESTARTS_MARK] ?? 0);
  }

  /**
   * Resolves when the identity of `IDENTITY_MARK` has arrived, at once without that mark, and after
   * 5 s at most.
   */
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

  /** Sends one event; drops it when the parent does not read. */
  send(event: SidecarEvent): void {
    if (process.stdout.writableLength < MAX_UNREAD_BYTES) process.stdout.write(`${JSON.stringify(event)}\n`);
  }

  /**
   * Sends `takeover` or `ending` and resolves with the parent's answer; after `limitMs` with a refusal, as where another question
   * follows before the answer.
   */
  ask(event: SidecarEvent, limitMs: number): Promise<TakeoverAnswer> {
    this.onAnswer?.({ ok: false, why: `up was asked for something else meanwhile: ${event.event}` });
    return new Promise((resolve) => {
      const silent = { ok: false, why: `up has not answered within ${limitMs / 1000} s` } as const;
      const settle = (answer: TakeoverAnswer): void => {
        clearTimeout(limit);
        this.onAnswer = undefined;
        resolve(answer);
      };
      const limit = setTimeout(() => settle(silent), limitMs);
      this.onAnswer = settle;
      this.send(event);
    });
  }

  /** Calls `fn` once, when the parent has exited, also when that was before this call. */
  onGone(fn: () => void): void {
    this.onGoneListener = fn;
    if (this.isGone) fn();
  }

  private onMessage(message: ParentMessage): void {
    if (message.tell === 'identity') this.identity.push(message.parts);
    if (message.tell === 'ignore-file') this.onFile(true);
    if (message.tell === 'stay') {
      this.onAnswer?.({ ok: false, why: message.why });
      this.onFile(false);
    }
    if (message.tell === 'hand-over') {
      this.onAnswer?.({ ok: true, pid: message.pid });
      this.onHandOver();
    }
  }
}

/** The newest identity that the parent has sent. */
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

/** Sends a message to a sidecar; without effect when its standard input is closed. */
export function sendToSidecar(input: NodeJS.WritableStream | undefined, message: ParentMessage): void {
  input?.write(`${JSON.stringify(message)}\n`);
}

/** Reads the events of one sidecar. Other lines of its output are skipped. */
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
      const message = line.startsWith(start) ? attempt(() => JSON.parse(line) as T, undefined) : undefined;
      if (message !== undefined) onMessage(message);
    }
  });
}
