/** Checks an audit log, line by line, as a reader without the sidecar can. */
import type { X509Certificate } from 'node:crypto';
import {
  type AuditEntry,
  AuditMark,
  type ChainHead,
  EMPTY_CHAIN,
  hashOf,
  parseEntry,
  signedText,
} from './chain.js';
import { certificatesIn, comesFrom, isSigned, nameOf } from './signature.js';

/** The first line that is not as it was written. */
export interface AuditFault {
  /** As the reader named it. */
  readonly file: string;
  /** From 1, in that file. */
  readonly line: number;
  readonly why: string;
}

/** What a log proves. */
export interface AuditReport {
  readonly fault?: AuditFault;
  /** Number of the first line; above 1 where older files are missing. */
  readonly first: number;
  readonly head: ChainHead;
  readonly checkpoints: number;
  /** Lines after the last checkpoint: whatever can write the file could have written them. */
  readonly unsigned: number;
  /** Decisions that the log itself says it could not keep. */
  readonly missing: number;
  /** SPIFFE ids, or else subjects, of the certificates that signed. */
  readonly signers: readonly string[];
}

/** What a reader knows beside the log. */
export interface AuditTrust {
  /** PEM of the roots that a signer's certificate has to come from; absent: any certificate will do. */
  readonly roots?: readonly X509Certificate[];
  /** SPIFFE id that every signer has to have; absent: any will do. The roots signed for the whole mesh. */
  readonly id?: string;
  /** A head that was seen elsewhere, such as in Consul: the log has to contain it. */
  readonly seen?: ChainHead;
}

/** Lines that a sidecar leaves unsigned at most: `AuditLog` signs every 256, and marks of the file may come between. */
const MOST_UNSIGNED = 512;

/** Reads lines in their order, over all files, and stops judging at the first fault. */
export class AuditVerifier {
  private fault: AuditFault | undefined;
  /** Number of the first line; 0 before it. */
  private first = 0;
  private head: ChainHead = EMPTY_CHAIN;
  private checkpoints = 0;
  /** Number of the last line that a signature covers. */
  private signedTo = 0;
  private missing = 0;
  private hasSeen = false;
  /** Whose log it is, by its first line. */
  private sidecar: string | undefined;
  private last: Place = { file: '', line: 0 };
  /** A checkpoint without a signature, after which none has one. */
  private keyless: Place | undefined;
  /** A line that names another hash for the one before it: the next line tells which of the two was changed. */
  private doubted: { readonly hash: string; readonly at: Place; readonly before: Place } | undefined;
  private readonly signers = new Set<string>();

  constructor(private readonly trust: AuditTrust = {}) {}

  /** @param at of the line, as the reader names it. */
  add(text: string, at: Place): void {
    if (this.fault !== undefined) return;
    const entry = parseEntry(text);
    if (this.doubted !== undefined) return this.settle(this.doubted, entry?.prev);
    const why = entry === undefined ? whyNone(text) : this.whyWrong(entry, text, at);
    if (why !== undefined) this.fault = { ...at, why };
    this.last = at;
  }

  /** All lines have been added. */
  end(): AuditReport {
    const { head, first, checkpoints, missing, trust } = this;
    if (this.doubted !== undefined) this.settle(this.doubted, this.doubted.hash);
    if (this.fault === undefined && trust.seen !== undefined && !this.hasSeen) this.blameTail(trust.seen);
    if (this.fault === undefined && trust.roots !== undefined) this.blameUnsigned();
    const unsigned = head.n === 0 ? 0 : head.n - Math.max(this.signedTo, first - 1);
    const fault = this.fault === undefined ? {} : { fault: this.fault };
    return { ...fault, first, head, checkpoints, unsigned, missing, signers: [...this.signers] };
  }

  /** Undefined: the line goes on where the last one ended, or the next one decides. */
  private whyWrong(entry: AuditEntry, text: string, at: Place): string | undefined {
    if (this.first === 0) this.begin(entry);
    const { head, last } = this;
    const expected = head.n + 1;
    const isNext = entry.n === expected;
    if (entry.prev === head.hash) {
      if (!isNext) return `its number is ${entry.n} where ${expected} follows: it was changed`;
      if (entry.sidecar !== this.sidecar) return `it is of ${entry.sidecar}, and the log of ${this.sidecar}`;
      const why = entry.kind === AuditMark.checkpoint ? this.whyNotSigned(entry, at) : undefined;
      if (why === undefined) this.take(entry, text);
      return why;
    }
    if (entry.n < expected)
      return `its number is ${entry.n} where ${expected} follows: lines were moved or repeated`;
    if (!isNext)
      return `its number is ${entry.n} where ${expected} follows: ${removed(expected, entry.n - 1)}`;
    this.doubted = { hash: hashOf(text), at, before: last };
    return undefined;
  }

  /** The hash that the next line names fits the doubted line, which is whole then: the one before it was changed. */
  private settle({ hash, at, before }: NonNullable<typeof this.doubted>, nextPrev: string | undefined): void {
    this.doubted = undefined;
    const place = nextPrev === hash ? before : at;
    this.fault = { ...place, why: 'it was changed: the line after it has another hash' };
  }

  /** Older files may be missing: the first line is believed in what it says of the one before. */
  private begin(entry: AuditEntry): void {
    this.first = entry.n;
    this.sidecar = entry.sidecar;
    this.signedTo = entry.n - 1;
    this.head = { n: entry.n - 1, hash: entry.prev };
  }

  /** A line in its place. */
  private take(entry: AuditEntry, text: string): void {
    this.head = { n: entry.n, hash: hashOf(text) };
    const missing = entry['missing'];
    if (entry.kind === AuditMark.gap && typeof missing === 'number') this.missing += missing;
    const { seen } = this.trust;
    if (seen !== undefined && seen.n === entry.n && seen.hash === this.head.hash) this.hasSeen = true;
  }

  /** Undefined: a key signed all lines up to this one. A sidecar without an identity signs nothing, and says so. */
  private whyNotSigned(entry: AuditEntry, at: Place): string | undefined {
    const { certificate, signature } = entry;
    if (typeof certificate !== 'string' || typeof signature !== 'string') {
      this.keyless = at;
      return undefined;
    }
    const chain = certificatesIn(certificate);
    const signer = chain[0];
    if (signer === undefined || !isSigned(signedText(this.head, entry), signer, signature))
      return `its signature does not fit: a line since number ${this.signedTo + 1} was changed, and the hashes after it made anew`;
    const { roots, id } = this.trust;
    if (id !== undefined && nameOf(signer) !== id) return `it is signed by ${nameOf(signer)}, expected ${id}`;
    if (roots !== undefined && !comesFrom(chain, roots))
      return `it is signed by ${nameOf(signer)}, whose certificate does not come from the given roots`;
    this.signers.add(nameOf(signer));
    this.checkpoints++;
    this.signedTo = entry.n;
    this.keyless = undefined;
    return undefined;
  }

  /**
   * Whether a key of the given roots signed all but the few lines that a sidecar has not signed yet. Otherwise signatures may have
   * been left out, and the hashes made anew: that needs no key.
   */
  private blameUnsigned(): void {
    const { head, signedTo, checkpoints, keyless, last } = this;
    if (head.n === 0) return;
    const lines = `numbers ${signedTo + 1} to ${head.n}`;
    if (keyless !== undefined)
      this.fault = {
        ...keyless,
        why: `it is not signed, and nothing after it is: no key vouches for ${lines}`,
      };
    else if (checkpoints === 0)
      this.fault = {
        ...last,
        why: 'no line is signed: nothing shows that the log comes from the given roots',
      };
    else if (head.n - signedTo > MOST_UNSIGNED)
      this.fault = {
        ...last,
        why: `${lines} are not signed; a sidecar signs at least every ${MOST_UNSIGNED}`,
      };
  }

  /** The head that was seen elsewhere is not in the log. */
  private blameTail(seen: ChainHead): void {
    const { head, first } = this;
    const why =
      seen.n > head.n
        ? `the log ends with number ${head.n}, and ${seen.n} was seen: ${removed(head.n + 1, seen.n)}`
        : seen.n < first
          ? `number ${seen.n} was seen, and the files begin with ${first}`
          : `number ${seen.n} is another line than the one that was seen: the log was written anew`;
    this.fault = { ...this.last, why };
  }
}

/** Why a text is no line; the end of a file may be missing, as when it was cut off. */
function whyNone(text: string): string {
  const isCut = text.startsWith('{"n":') && !text.endsWith('}');
  return isCut
    ? 'it breaks off: its end was cut off, or is being written'
    : 'not a line of an audit log; expected the JSON that a sidecar with `audit` writes';
}

/** A line of a file. */
type Place = Omit<AuditFault, 'why'>;

function removed(from: number, to: number): string {
  return from === to ? `number ${from} was removed` : `numbers ${from} to ${to} were removed`;
}
