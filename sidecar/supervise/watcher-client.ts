import { connect, type Socket } from 'node:net';
import type { WatcherSigns } from '../core/health/hang.js';
import { PhiAccrual } from '../core/health/phi-accrual.js';
import { socketProblem } from '../runtime/process/socket-trust.js';
import type { Clock } from '../runtime/time/clock.js';

/** Period of the beats of a watcher thread. */
export const BEAT_MS = 500;
/** Connection attempts before a server counts as one without a watcher. */
const MOST_TRIES = 5;
const LONGEST_LINE = 1_024;
/** Time that the thread waited for a core is subtracted from its silence, up to this. */
const MOST_STARVED_MS = 60_000;

interface Beat {
  readonly runs: number;
  readonly running: { readonly forMs: number; readonly deadlineInMs: number | null } | null;
  readonly tid?: number;
}

/**
 * Reads the beats of the watcher thread of a model process: every 500 ms one line of JSON on a Unix
 * socket of its own, also while a run blocks the rest of the process:
 *
 *   {"beat":N,"runs":R,"running":{"forMs":…,"deadlineInMs":…|null}|null,"tid":T}
 *
 * Connected once to find out whether there is a watcher, and then only while the process is in
 * doubt: an idle mesh reads no beats. A server of another make has no such socket, and is left
 * alone after 5 attempts.
 */
export class WatcherClient {
  /** Thread id of the watcher (gettid(2)); 0: not known. */
  thread = 0;
  private socket: Socket | undefined;
  private isKnown = false;
  private tries = 0;
  private text = '';
  private last: Beat | null = null;
  /**
   * When the last beat came, or when the silence counted against the watcher began, monotonic ms.
   */
  private lastMs = 0;
  private starvedMs = 0;
  private lookedMs = 0;
  private readonly accrual = new PhiAccrual(BEAT_MS);

  constructor(
    private readonly path: string,
    private readonly clock: Clock,
    /** As of the model's socket. */
    private readonly owner?: number,
  ) {}

  /** Connects, unless connected already or known to have no watcher. */
  open(): void {
    if (this.socket !== undefined || (!this.isKnown && this.tries >= MOST_TRIES)) return;
    this.tries += 1;
    // Another user's beats would hide a hang.
    if (socketProblem(this.path, this.owner) !== undefined) return;
    const socket = connect(this.path);
    socket.unref();
    this.socket = socket;
    this.text = '';
    // The run of the last beat may have ended since.
    if (this.last !== null) this.last = { runs: this.last.runs, running: null };
    this.forgiveStall();
    socket.setEncoding('latin1');
    socket.on('data', (part: string) => this.read(socket, part));
    socket.on('error', () => {}); // `close` follows
    socket.on('close', () => {
      if (this.socket === socket) this.socket = undefined;
    });
  }

  close(): void {
    const { socket } = this;
    this.socket = undefined;
    socket?.destroy();
  }

  /**
   * What the beats show; null without a watcher, or without a connection to it.
   *
   * @param isStarved whether its thread waits for a core now.
   */
  signs(isStarved: boolean): WatcherSigns | null {
    if (!this.isKnown || this.socket === undefined || this.last === null) return null;
    const nowMs = this.clock.now();
    if (isStarved) this.starvedMs += nowMs - this.lookedMs;
    this.lookedMs = nowMs;
    const silentForMs = nowMs - this.lastMs;
    const { runs, running } = this.last;
    return {
      phi: this.accrual.phi(silentForMs - Math.min(this.starvedMs, MOST_STARVED_MS)),
      silentForMs,
      runs,
      runningForMs: running === null ? -1 : running.forMs + silentForMs,
      deadlineInMs: running === null ? 0 : (running.deadlineInMs ?? Number.POSITIVE_INFINITY) - silentForMs,
    };
  }

  /** The silence counts from now: a connection is new, or our own process stalled. */
  forgiveStall(): void {
    this.accrual.pause();
    this.lastMs = this.clock.now();
    this.lookedMs = this.lastMs;
    this.starvedMs = 0;
  }

  private read(socket: Socket, part: string): void {
    if (socket !== this.socket) return;
    const lines = (this.text + part).split('\n');
    this.text = lines.pop() ?? '';
    if (this.text.length > LONGEST_LINE) return this.close();
    for (const line of lines) this.readLine(line);
  }

  private readLine(line: string): void {
    const beat = parseBeat(line);
    if (beat === undefined) return this.close();
    const nowMs = this.clock.now();
    this.accrual.beat(nowMs);
    this.isKnown = true;
    this.last = beat;
    this.lastMs = nowMs;
    this.lookedMs = nowMs;
    this.starvedMs = 0;
    if (beat.tid !== undefined) this.thread = beat.tid;
  }
}

/** Parses one beat; undefined for anything else. The model process is not trusted. */
export function parseBeat(line: string): Beat | undefined {
  let found: unknown;
  try {
    found = JSON.parse(line);
  } catch {
    return undefined;
  }
  const { runs, running, tid } = (found ?? {}) as Record<string, unknown>;
  if (!isAmount(runs)) return undefined;
  const thread = isAmount(tid) && tid > 0 ? { tid } : {};
  if (running === null) return { runs, running, ...thread };
  const { forMs, deadlineInMs } = (running ?? {}) as Record<string, unknown>;
  if (!isAmount(forMs) || !(deadlineInMs === null || Number.isFinite(deadlineInMs))) return undefined;
  return { runs, running: { forMs, deadlineInMs: deadlineInMs as number | null }, ...thread };
}

function isAmount(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && Number.isFinite(value);
}
