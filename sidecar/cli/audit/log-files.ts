import { createReadStream } from 'node:fs';
import { getOrInsert } from '../../runtime/get-or-insert.js';
import { parseEntry } from '../../telemetry/audit/chain.js';
import { CommandFailure, oneLine } from '../failure.js';

/** A longer line is none of an audit log: what follows in the file is not read, so that no file fills the memory. Characters. */
const LONGEST_LINE = 4 * 1024 * 1024;
/** What a sidecar that runs keeps beside its log, where `LOG*` finds it (`LockFile`). */
const LOCK = /\.lock(\.(old|\d+))*$/;
/** An older file of a log has a number behind its name. */
const ROTATED = /\.\d+$/;

/** The files of one sidecar's log. */
export interface LogFiles {
  /** Instance id, as their first line says; empty: none says it. */
  readonly sidecar: string;
  /** In the order in which they were written. */
  readonly files: readonly string[];
}

/**
 * The logs that these files are of, one at least, each with its own in their order, whatever the order of `files`. Locks of sidecars are
 * left out. Throws `CommandFailure` for a file that cannot be read, and where there are only locks.
 */
export async function logsOf(files: readonly string[]): Promise<readonly LogFiles[]> {
  const known: Beginning[] = [];
  for (const file of files) if (!LOCK.test(file)) known.push(await beginningOf(file));
  if (known.length === 0)
    throw new CommandFailure(`found no log but the lock of a sidecar: ${files.join(', ')}`, 2);
  known.sort((a, b) => a.n - b.n);
  const logs = new Map<string, string[]>();
  // A file whose name says that it goes with another one is of the same log, whatever stands in it.
  for (const { file, stem } of known) {
    const sidecar = known.find((each) => each.stem === stem && each.sidecar !== '')?.sidecar ?? '';
    getOrInsert(logs, sidecar, () => []).push(file);
  }
  const unnamed = logs.get('');
  if (unnamed !== undefined && logs.size === 2) {
    logs.delete('');
    for (const own of logs.values()) own.push(...unnamed);
  }
  return [...logs].map(([sidecar, own]) => ({ sidecar, files: own }));
}

/** A file with what its first line says. */
interface Beginning {
  readonly file: string;
  /** Its path without the number of an older file. */
  readonly stem: string;
  readonly n: number;
  readonly sidecar: string;
}

async function beginningOf(file: string): Promise<Beginning> {
  let first: { n: number; sidecar: string } | undefined;
  await eachLine(file, (text) => {
    first = parseEntry(text);
    return false;
  });
  const { n = Number.POSITIVE_INFINITY, sidecar = '' } = first ?? {};
  return { file, stem: file.replace(ROTATED, ''), n, sidecar };
}

/**
 * Calls `take` with each line and its number, until it returns false. LF alone ends a line.
 */
export async function eachLine(file: string, take: (text: string, line: number) => boolean): Promise<void> {
  const input = createReadStream(file, 'utf8');
  try {
    let line = 0;
    let rest = '';
    for await (const chunk of input as AsyncIterable<string>) {
      const texts = (rest + chunk).split('\n');
      rest = texts.pop()!;
      for (const text of texts) if (!take(text, ++line)) return;
      if (rest.length > LONGEST_LINE) break;
    }
    if (rest !== '') take(rest, ++line);
  } catch (error) {
    const isAbsent = (error as NodeJS.ErrnoException).code === 'ENOENT';
    throw new CommandFailure(
      `${file}: ${isAbsent ? 'no such file' : `cannot be read: ${oneLine(error)}`}`,
      2,
    );
  } finally {
    input.destroy();
  }
}
