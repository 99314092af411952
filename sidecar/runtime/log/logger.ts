import { pino } from 'pino';
import type { Clock } from '../time/clock.js';
import { standardError } from './stderr-writer.js';
import { visibleText } from './visible-text.js';

/** From the least important on. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error';
/** What a line says beside its message. */
export type LogFields = Readonly<Record<string, unknown>>;

/** A log of JSON lines. */
export interface Logger {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
  setLevel(level: LogLevel): void;
  /** Writes what is still in memory. For the end of the process. */
  flush(): void;
}

/** Where whole lines go, each with its newline. */
export interface LogDestination {
  write(line: string): void;
}

/** Levels of a value that are shown; deeper ones read `[deep]`. */
const MAX_DEPTH = 6;
/** What stands in place of a secret. */
export const REDACTED = '[redacted]';

const SECRET_EXACT = new Set(['authorization', 'cookie', 'key', 'pem', 'credentials']);
const SECRET_PART = /token|secret|passw|private-?key|api-?key|authorization|(^|[-_])cookie|-bin$/i;

/**
 * Whether a field of this name must never be shown: credentials, keys, and binary metadata, which
 * may hold either.
 */
export function isSecretName(name: string): boolean {
  return SECRET_EXACT.has(name.toLowerCase()) || SECRET_PART.test(name);
}

/** A copy of `value` without secrets, at most six levels deep and safe for JSON. */
export function redact(value: unknown, depth = 0): unknown {
  if (value === null || typeof value !== 'object') return typeof value === 'bigint' ? String(value) : value;
  if (value instanceof Error) return describeError(value, depth);
  if (depth >= MAX_DEPTH) return '[deep]';
  if (value instanceof Uint8Array) return `[${value.byteLength} bytes]`;
  if (Array.isArray(value)) return value.map((item) => redact(item, depth + 1));
  const copy: Record<string, unknown> = {};
  for (const [name, item] of Object.entries(value))
    copy[name] = isSecretName(name) ? REDACTED : redact(item, depth + 1);
  return copy;
}

/** An error as JSON: name, message, code, stack, and its cause to the same depth. */
function describeError(error: Error, depth: number): unknown {
  const { name, message, stack, cause } = error;
  const code = (error as NodeJS.ErrnoException).code;
  return {
    name,
    message,
    ...(code === undefined ? {} : { code }),
    ...(stack === undefined ? {} : { stack }),
    ...(cause === undefined || depth >= MAX_DEPTH ? {} : { cause: redact(cause, depth + 1) }),
  };
}

class PinoLogger implements Logger {
  constructor(private readonly inner: pino.Logger) {}

  debug(fields: LogFields, message: string): void {
    this.inner.debug(fields, message);
  }
  info(fields: LogFields, message: string): void {
    this.inner.info(fields, message);
  }
  warn(fields: LogFields, message: string): void {
    this.inner.warn(fields, message);
  }
  error(fields: LogFields, message: string): void {
    this.inner.error(fields, message);
  }
  setLevel(level: LogLevel): void {
    this.inner.level = level;
  }
  flush(): void {
    this.inner.flush();
  }
}

/** What a logger is made with. */
export interface LoggerOptions {
  readonly level: LogLevel;
  /** Default: file descriptor 2. */
  readonly destination?: LogDestination;
  /** Added to every line, for example service and instance. */
  readonly fields?: LogFields;
}

/** Where lines about calls go: writing returns at once, and what cannot be taken is counted. */
export interface LineDestination extends LogDestination {
  readonly written: number;
  readonly dropped: number;
  /** The file behind it was moved away. */
  reopen(): void;
  /** Resolves when what was taken so far has been written, or cannot be for now. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

/** Among the other lines, on standard error; what that drops is not told apart. */
export class StandardErrorLines implements LineDestination {
  written = 0;
  private readonly out = standardError();
  private readonly droppedBefore = this.out.dropped;

  write(line: string): void {
    this.written++;
    this.out.write(line);
  }

  get dropped(): number {
    return this.out.dropped - this.droppedBefore;
  }

  reopen(): void {}

  async flush(): Promise<void> {}

  async close(): Promise<void> {}
}

/**
 * Writes records of one kind, a line each, that begin with that kind and the time. For many a
 * second: nothing is looked for in them, so a record must hold only what may be shown.
 */
export function createLineWriter(
  kind: string,
  fields: LogFields,
  destination: LogDestination,
): (record: LogFields) => void {
  const inner = pino(
    {
      base: redact(fields) as Record<string, unknown>,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: () => ({ log: kind }) },
    },
    visibleLines(destination),
  );
  return (record) => inner.info(record);
}

/** JSON leaves characters as they are that a terminal acts on: DEL, C1 and changes of the direction of text. */
function visibleLines(out: LogDestination & { flush?(): void }): LogDestination & { flush(): void } {
  return { write: (line) => out.write(visibleText(line)), flush: () => out.flush?.() };
}

/**
 * A log of JSON lines on stderr, on pino, of which this is the only importer; written without
 * blocking the event loop. Secrets are removed by the name of the field.
 */
export function createLogger({ level, destination, fields = {} }: LoggerOptions): Logger {
  const out = destination ?? standardError();
  const inner = pino(
    {
      level,
      base: redact(fields) as Record<string, unknown>,
      messageKey: 'message',
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: {
        level: (label) => ({ level: label }),
        log: (line) => redact(line) as Record<string, unknown>,
      },
    },
    visibleLines(out),
  );
  return new PinoLogger(inner);
}

/**
 * Lets one message of a kind through per period, for what a peer could otherwise repeat at will.
 *
 * `const held = gate.pass('handshake-failed'); if (held >= 0) logger.warn({ held }, '…')`
 */
export class LogThrottle {
  private readonly kinds = new Map<string, { untilMs: number; held: number }>();

  constructor(
    private readonly clock: Clock,
    private readonly periodMs = 10_000,
    private readonly maxKinds = 1_000,
  ) {}

  /**
   * How many of this kind were held back since the last one let through (≥ 0), or -1 when this one
   * is held back too.
   */
  pass(kind: string): number {
    const nowMs = this.clock.now();
    const seen = this.kinds.get(kind);
    if (seen === undefined) {
      if (this.kinds.size >= this.maxKinds) this.kinds.clear();
      this.kinds.set(kind, { untilMs: nowMs + this.periodMs, held: 0 });
      return 0;
    }
    if (nowMs < seen.untilMs) {
      seen.held += 1;
      return -1;
    }
    const held = seen.held;
    seen.untilMs = nowMs + this.periodMs;
    seen.held = 0;
    return held;
  }
}
