/**
 * The form of the audit log: one JSON object a line, and in each line the SHA-256 of the line before it. A line that is changed,
 * removed or moved breaks the chain at a place that can be named; a chain that is computed anew as a whole fails at the next
 * signed checkpoint. After certificate transparency's and journald's seal, with lines instead of a tree.
 */
import { createHash } from 'node:crypto';

/** What stands for the line before the first one. */
const NO_LINE = '0'.repeat(64);

/** Kinds of lines that speak of the log itself. All others are decisions. */
export const AuditMark = {
  /** First line after a start of the sidecar. */
  started: 'log-started',
  /** Signed by the sidecar's key; all lines before it are covered. */
  checkpoint: 'checkpoint',
  /** Decisions that could not be kept, and how many. */
  gap: 'gap',
  /** The file was not as it was left. */
  changed: 'file-changed',
  rotated: 'rotated',
} as const;

/** Where a chain ends: the number of its last line, from 1, and its hash; 0 and `NO_LINE` before the first. */
export interface ChainHead {
  readonly n: number;
  readonly hash: string;
}

export const EMPTY_CHAIN: ChainHead = { n: 0, hash: NO_LINE };

/** What a line says. */
export interface AuditEntry {
  readonly n: number;
  /** ISO 8601, UTC. */
  readonly at: string;
  readonly kind: string;
  /** Instance id of the sidecar. */
  readonly sidecar: string;
  /** Hash of the line before. */
  readonly prev: string;
  readonly [field: string]: unknown;
}

/** SHA-256 of a line without its newline, lower-case hex. */
export function hashOf(line: string): string {
  return createHash('sha256').update(line).digest('hex');
}

/** The next line of a chain, without its newline. Fields named as those of every line are left out. */
export function nextLine(
  head: ChainHead,
  { at, kind, sidecar }: Pick<AuditEntry, 'at' | 'kind' | 'sidecar'>,
  fields: Readonly<Record<string, unknown>>,
): string {
  return JSON.stringify({ n: head.n + 1, at, kind, sidecar, ...without(fields), prev: head.hash });
}

/** The head of a chain that ends with `line`. */
export function headAt(n: number, line: string): ChainHead {
  return { n, hash: hashOf(line) };
}

/** What a line says; undefined: it is no line of an audit log. */
export function parseEntry(line: string): AuditEntry | undefined {
  let entry: unknown;
  try {
    entry = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (typeof entry !== 'object' || entry === null) return undefined;
  const { n, at, kind, sidecar, prev } = entry as Record<string, unknown>;
  const isWhole =
    Number.isSafeInteger(n) &&
    (n as number) >= 1 &&
    [at, kind, sidecar].every((text) => typeof text === 'string') &&
    typeof prev === 'string' &&
    /^[0-9a-f]{64}$/.test(prev);
  return isWhole ? (entry as AuditEntry) : undefined;
}

/** What a checkpoint signs: the head before it, whose log it is, and when. */
export function signedText(before: ChainHead, { at, sidecar }: Pick<AuditEntry, 'at' | 'sidecar'>): string {
  return `outrider-audit/1\n${sidecar}\n${at}\n${before.n}\n${before.hash}\n`;
}

const OWN_FIELDS: readonly string[] = ['n', 'at', 'kind', 'sidecar', 'prev'];

function without(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([name]) => !OWN_FIELDS.includes(name)));
}
