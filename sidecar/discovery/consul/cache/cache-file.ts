import { renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { attempt } from '../../../runtime/attempt.js';
import type { Logger } from '../../../runtime/log/logger.js';
import { messageOf } from '../../../runtime/log/message-of.js';
import type { Timer, Timers } from '../../../runtime/time/timers.js';
import {
  CacheEncoder,
  decodeCache,
  type EncodedCache,
  fileNameOf,
  prepareDirectory,
  readSafely,
  temporaryFor,
  writeDurably,
  writeDurablyNow,
} from './cache-format.js';
import { jsonPieces } from './json-writer.js';

/** A change is written this long after it was saved, together with those that came meanwhile. */
const DEBOUNCE_MS = 1_000;
/** Large sections wait longer: on average at most this many bytes are written per millisecond. */
const BYTES_PER_MS = 256;
/** After a failure, for example of a full disk. */
const RETRY_MS = 60_000;

interface Section {
  readonly name: string;
  readonly path: string;
  /** Absent: the last value is on disk. */
  pending?: { readonly value: unknown };
  timer: Timer | undefined;
  isWriting: boolean;
  /** Moves with every flush and removal: a write that was under way then would bring back something older. */
  generation: number;
  /** Digest and size of what is on disk, as far as known. */
  digest: string;
  bytes: number;
}

/**
 * The last answers of Consul, kept on disk, so that a sidecar that starts while Consul is away knows its peers. One
 * file for each section, 0600 in a directory that only this user writes, replaced whole by a rename once the new one
 * is on disk. A file that is damaged, too large, of another version or writable by others is ignored with a warning
 * and stays until its section is saved again. Values are immutable snapshots: they are written later, in pieces, so
 * that a large one holds up no call.
 */
export class CacheFile {
  private readonly sections = new Map<string, Section>();
  private isClosed = false;
  private problem = '';

  private constructor(
    private readonly dir: string,
    private readonly logger: Logger,
    private readonly timers: Timers,
    private readonly isUsable: boolean,
  ) {}

  /** Never throws: a directory that cannot be used is warned about, and then nothing is kept. */
  static open(dir: string, logger: Logger, timers: Timers): CacheFile {
    const fault = prepareDirectory(dir);
    if (fault !== undefined) logger.warn({ dir }, `the cache is not used: ${fault}`);
    return new CacheFile(dir, logger, timers, fault === undefined);
  }

  /**
   * What was saved last under this name, by this process or one before it; undefined when there is nothing usable.
   * The caller checks its shape.
   */
  load(section: string): unknown {
    const known = this.sectionOf(section);
    if (known.pending !== undefined) return known.pending.value;
    if (!this.isUsable) return undefined;
    try {
      return this.read(known);
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') {
        this.logger.warn({ file: known.path, section }, `a cache file is ignored: ${messageOf(error)}`);
      }
      return undefined;
    }
  }

  /**
   * Keeps `value`, which must not change afterwards and must be fit for JSON. Written about a second later; `flush`
   * hastens.
   */
  save(section: string, value: unknown): void {
    if (!this.isUsable || this.isClosed) return;
    const known = this.sectionOf(section);
    known.pending = { value };
    this.writeLater(known, DEBOUNCE_MS + known.bytes / BYTES_PER_MS);
  }

  /** Forgets a section, on disk too: for what must not be kept any longer. */
  remove(section: string): void {
    const known = this.sectionOf(section);
    known.timer?.cancel();
    known.timer = undefined;
    delete known.pending;
    known.generation += 1;
    known.digest = '';
    if (!this.isUsable) return;
    try {
      rmSync(known.path, { force: true });
    } catch (error) {
      this.logger.warn({ file: known.path, section }, `a cache file cannot be removed: ${messageOf(error)}`);
    }
  }

  /** Writes everything that waits, or is being written, before it returns. */
  flush(): void {
    for (const section of this.sections.values()) {
      section.timer?.cancel();
      section.timer = undefined;
      const { pending } = section;
      if (pending === undefined) continue;
      delete section.pending;
      section.generation += 1;
      try {
        const encoder = new CacheEncoder(section.name);
        for (const piece of jsonPieces(pending.value)) encoder.add(piece);
        this.writeNow(section, encoder.end());
      } catch (error) {
        this.warnOnce(section, error);
      }
    }
  }

  /** `flush`, and nothing is kept from then on. */
  close(): void {
    this.flush();
    this.isClosed = true;
  }

  private sectionOf(name: string): Section {
    let section = this.sections.get(name);
    if (section === undefined) {
      const path = join(this.dir, fileNameOf(name));
      section = { name, path, timer: undefined, isWriting: false, generation: 0, digest: '', bytes: 0 };
      this.sections.set(name, section);
    }
    return section;
  }

  private read(section: Section): unknown {
    const bytes = readSafely(section.path);
    const { digest, body } = decodeCache(section.name, bytes);
    const value = JSON.parse(body.toString('utf8')) as unknown;
    section.digest = digest;
    section.bytes = bytes.length;
    return value;
  }

  /** One after the other, so that a slow one cannot end with something older than the next. Never rejects: nobody waits for it. */
  private async write(section: Section): Promise<void> {
    section.timer = undefined;
    const { pending, generation } = section;
    if (pending === undefined) return;
    if (section.isWriting) return this.writeLater(section, DEBOUNCE_MS);
    section.isWriting = true;
    const temporary = temporaryFor(section.path);
    try {
      await this.writeInPieces(section, pending.value, temporary, generation);
      if (section.pending === pending) delete section.pending;
    } catch (error) {
      // Where the directory is none, or may not be entered, `force` fails too.
      attempt(() => rmSync(temporary, { force: true }), undefined);
      this.warnOnce(section, error);
      if (section.generation === generation && !this.isClosed) this.writeLater(section, RETRY_MS);
    } finally {
      section.isWriting = false;
    }
  }

  private writeLater(section: Section, delayMs: number): void {
    section.timer ??= this.timers.after(delayMs, () => void this.write(section), { unref: true });
  }

  /** Each piece in a turn of its own, then by the thread pool. */
  private async writeInPieces(
    section: Section,
    value: unknown,
    temporary: string,
    overtakings: number,
  ): Promise<void> {
    const encoder = new CacheEncoder(section.name);
    for (const piece of jsonPieces(value)) {
      encoder.add(piece);
      await this.nextTurn();
    }
    const file = encoder.end();
    if (file.digest === section.digest || section.generation !== overtakings) return;
    await writeDurably(temporary, file.chunks);
    if (section.generation === overtakings) this.replace(section, temporary, file);
    else rmSync(temporary, { force: true });
  }

  private writeNow(section: Section, file: EncodedCache): void {
    if (file.digest === section.digest) return;
    const temporary = temporaryFor(section.path);
    writeDurablyNow(temporary, file.chunks);
    this.replace(section, temporary, file);
  }

  private replace(section: Section, temporary: string, file: EncodedCache): void {
    renameSync(temporary, section.path);
    section.digest = file.digest;
    section.bytes = file.bytes;
    this.problem = '';
  }

  /** A full disk fails every write alike: one line until a write succeeds. */
  private warnOnce(section: Section, error: unknown): void {
    const problem = codeOf(error) ?? messageOf(error);
    if (problem === this.problem) return;
    this.problem = problem;
    const fields = { file: section.path, section: section.name };
    this.logger.warn(fields, `the cache cannot be written, what it held stays: ${problem}`);
  }

  private nextTurn(): Promise<void> {
    return new Promise((resolve) => void this.timers.after(0, resolve, { unref: true }));
  }
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException | undefined)?.code;
}
