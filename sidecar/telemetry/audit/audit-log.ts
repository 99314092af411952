import type { TimeDeps } from '../../runtime/deps.js';
import { type Logger, redact } from '../../runtime/log/logger.js';
import { messageOf } from '../../runtime/log/message-of.js';
import { LockHeldError } from '../../runtime/process/lock-file.js';
import type { Timer } from '../../runtime/time/timers.js';
import type { AuditFile } from './audit-file.js';
import { AuditMark, type ChainHead, EMPTY_CHAIN, headAt, nextLine, signedText } from './chain.js';
import { type AuditSigner, signatureOf } from './signature.js';
import type { AuditTrail } from './trail.js';

/** Decisions that wait for a disk that is full or slow; an entry takes about 300 bytes. */
const MAX_WAITING = 10_000;
/** After a failed write the next one comes this much later, ms. */
const REST_MS = 1_000;
/** Lines since the last checkpoint are signed after this, ms, or when there are so many. */
const SIGNED_MS = 60_000;
const SIGNED_LINES = 256;
/** At the end of the process the disk has this long, ms. */
const CLOSE_MS = 1_000;

/** What an audit log is made with. */
export interface AuditLogOptions extends TimeDeps {
  /** Instance id of the sidecar. */
  readonly sidecar: string;
  readonly file: AuditFile;
  readonly logger: Logger;
  /** Undefined while there is no identity: checkpoints are then lines without a signature. */
  signer(): AuditSigner | undefined;
}

/** A decision that has no place in the chain yet. */
interface Waiting {
  readonly kind: string;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly at: string;
}

/**
 * The audit log of one sidecar. Nothing is dropped in silence: a decision waits in memory until the disk has taken its line, and what
 * finds no room there is counted in a line of its own (`gap`) that comes before the next one. Writes never hold up a call.
 */
export class AuditLog implements AuditTrail {
  /** Lines written since the start, and decisions that a `gap` stands for. */
  written = 0;
  missed = 0;
  private chain: ChainHead = EMPTY_CHAIN;
  /** This process has the file. */
  private isOpen = false;
  /** They get their place in the chain when they are written, so that the chain is what the file has. */
  private waiting: Waiting[] = [];
  /** Decisions without room since the last line. */
  private gap: { missing: number; since: string } | undefined;
  /** Since the last checkpoint, those that wait among them. */
  private unsignedLines = 0;
  private isWriting: Promise<void> | undefined;
  private isFailing = false;
  private isWaitingForFile = false;
  private isClosed = false;
  private closing: Promise<void> | undefined;
  /** Refreshes the lock. */
  private keeping: Timer | undefined;
  /** Until it fires nothing is written. */
  private retry: Timer | undefined;
  /** Of the next checkpoint. */
  private signing: Timer | undefined;

  constructor(private readonly options: AuditLogOptions) {}

  /** Where the written chain ends: what another place may keep, so that a cut tail is noticed. */
  get head(): ChainHead {
    return this.chain;
  }

  /** Decisions that the disk has not taken yet. */
  get waitingLines(): number {
    return this.waiting.length;
  }

  /** One decision. Returns at once; `fields` are kept without what may be a credential. */
  record(kind: string, fields: Readonly<Record<string, unknown>>): void {
    if (this.isClosed) return;
    if (this.waiting.length >= MAX_WAITING) {
      this.missed++;
      this.gap ??= { missing: 0, since: this.now() };
      this.gap.missing++;
      return;
    }
    this.closeGap();
    this.add(kind, redact(fields) as typeof fields);
    this.signing ??= this.options.timers.after(SIGNED_MS, () => this.checkpoint(), { unref: true });
  }

  /** Signs what has been recorded so far, where anything has. */
  checkpoint(): void {
    this.signing?.cancel();
    this.signing = undefined;
    if (this.unsignedLines > 0) this.add(AuditMark.checkpoint, {});
  }

  /** Signs, writes what is there, for 1 s at most, and lets another process have the file. */
  close(): Promise<void> {
    this.closing ??= this.closeNow();
    return this.closing;
  }

  private async closeNow(): Promise<void> {
    this.closeGap();
    this.checkpoint();
    this.isClosed = true;
    this.retry?.cancel();
    this.retry = undefined;
    let limit: Timer | undefined;
    const late = new Promise<void>((resolve) => {
      limit = this.options.timers.after(CLOSE_MS, resolve);
    });
    this.pump();
    await Promise.race([this.isWriting ?? Promise.resolve(), late]);
    limit?.cancel();
    this.keeping?.cancel();
    if (this.isOpen) this.options.file.release();
  }

  private now(): string {
    return new Date(this.options.clock.wallNow()).toISOString();
  }

  /** There is room again: the log says how many decisions are missing at this place. */
  private closeGap(): void {
    const { gap } = this;
    this.gap = undefined;
    if (gap !== undefined) this.add(AuditMark.gap, { ...gap });
  }

  /** A checkpoint is due when there are many lines since the last one. */
  private add(kind: string, fields: Readonly<Record<string, unknown>>): void {
    this.waiting.push({ kind, fields, at: this.now() });
    if (kind === AuditMark.checkpoint) this.unsignedLines = 0;
    else if (++this.unsignedLines >= SIGNED_LINES) this.checkpoint();
    this.pump();
  }

  // ---- writing ----

  private pump(): void {
    if (this.isWriting !== undefined || this.retry !== undefined || this.waiting.length === 0) return;
    // Lines of the same turn go together.
    this.isWriting = Promise.resolve()
      .then(() => this.writeAll())
      .finally(() => {
        this.isWriting = undefined;
        if (!this.isClosed) this.pump();
      });
  }

  /** Never rejects. */
  private async writeAll(): Promise<void> {
    try {
      this.open();
      while (this.waiting.length > 0) await this.writeSome();
      this.recovered();
    } catch (error) {
      this.fail(error);
    }
  }

  /** A predecessor that ends may have the file a moment longer. */
  private open(): void {
    if (this.isOpen) return;
    const { file, timers } = this.options;
    const { head, cutBytes } = file.open();
    this.isOpen = true;
    // The next line waits for the process that has it now, and goes on with its chain.
    this.keeping = file.keepLock(timers, () => {
      this.isOpen = false;
    });
    this.chain = head;
    this.addFirst(AuditMark.started, cutBytes === 0 ? {} : { cut_bytes: cutBytes });
  }

  /** What happened to the file comes before the decisions that wait: some may have been recorded since, and are written after it. */
  private addFirst(kind: string, fields: Readonly<Record<string, unknown>>): void {
    this.waiting.unshift({ kind, fields, at: this.waiting[0]?.at ?? this.now() });
    this.unsignedLines++;
  }

  /** Gives all that waits its place, writes it as a whole, and only then believes that it is in the chain. */
  private async writeSome(): Promise<void> {
    const { file, sidecar } = this.options;
    const entries = [...this.waiting];
    let head = this.chain;
    const lines = entries.map(({ kind, fields, at }) => {
      const signed = kind === AuditMark.checkpoint ? this.signatureAt(head, at) : fields;
      const line = nextLine(head, { at, kind, sidecar }, signed);
      head = headAt(head.n + 1, line);
      return `${line}\n`;
    });
    const { expected, found } = await file.append(lines.join(''));
    this.chain = head;
    this.written += lines.length;
    this.waiting = this.waiting.slice(lines.length);
    const rotated = await file.rotateWhenFull();
    if (expected !== found)
      this.addFirst(AuditMark.changed, { expected_bytes: expected, found_bytes: found });
    if (rotated !== undefined) this.addFirst(AuditMark.rotated, rotated);
    this.closeGap();
  }

  /** The fields of a checkpoint: all before it is signed by the identity that the sidecar has now. */
  private signatureAt(head: ChainHead, at: string): Readonly<Record<string, unknown>> {
    const { sidecar } = this.options;
    try {
      const from = this.options.signer();
      return from === undefined ? { unsigned: true } : signatureOf(from, signedText(head, { at, sidecar }));
    } catch (error) {
      return { unsigned: true, problem: messageOf(error) };
    }
  }

  /** Named once per outage; nothing that waits is lost by it. */
  private fail(error: unknown): void {
    const { logger, timers, file } = this.options;
    if (error instanceof LockHeldError) {
      // A predecessor that drains has the file until its end: what it decides meanwhile belongs there too.
      if (!this.isWaitingForFile)
        logger.info({ path: file.path, problem: error.message }, 'the audit log waits for another process');
      this.isWaitingForFile = true;
    } else if (!this.isFailing)
      logger.error(
        { path: file.path, problem: messageOf(error), waiting: this.waiting.length },
        'the audit log cannot be written; its lines wait',
      );
    this.isFailing ||= !(error instanceof LockHeldError);
    if (this.isClosed) return;
    const again = (): void => {
      this.retry = undefined;
      this.pump();
    };
    this.retry = timers.after(REST_MS, again, { unref: true });
  }

  private recovered(): void {
    if (!this.isFailing) return;
    this.isFailing = false;
    const { missed, options } = this;
    options.logger.info({ path: options.file.path, missed }, 'the audit log is written again');
  }
}
