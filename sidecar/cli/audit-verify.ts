import { X509Certificate } from 'node:crypto';
import { createReadStream, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { type ChainHead, parseEntry } from '../telemetry/audit/chain.js';
import { type AuditReport, AuditVerifier } from '../telemetry/audit/verify.js';
import { CommandFailure, oneLine } from './failure.js';

/** As on the command line. */
export interface AuditVerifyOptions {
  readonly roots?: string;
  readonly seen?: string;
  readonly json?: true;
}

/**
 * `outrider audit verify FILE…`: says whether the lines of an audit log are those that its sidecar wrote, and names the first one that is
 * not.
 *
 * @returns the exit code: 0 unbroken, 1 not. Throws `CommandFailure` for files and options that cannot be used.
 */
export async function auditVerifyCommand(
  files: readonly string[],
  { roots, seen, json }: AuditVerifyOptions,
  print: (line: string) => void = (line) => void process.stdout.write(`${line}\n`),
): Promise<number> {
  const verifier = new AuditVerifier({
    ...(roots === undefined ? {} : { roots: readRoots(roots) }),
    ...(seen === undefined ? {} : { seen: readHead(seen) }),
  });
  for (const file of await inOrder(files))
    await eachLine(file, (text, line) => {
      verifier.add(text, { file, line });
      return true;
    });
  const report = verifier.end();
  if (json === true) print(JSON.stringify(report, null, 2));
  else for (const line of describe(report)) print(line);
  return report.fault === undefined ? 0 : 1;
}

/** What the report says, for people. */
function describe(report: AuditReport): string[] {
  const { fault, first, head, checkpoints, unsigned, missing, signers } = report;
  if (fault !== undefined) return [`${fault.file}:${fault.line}: ${fault.why}`];
  if (head.n === 0) return ['no lines'];
  const lines = [`unbroken: numbers ${first} to ${head.n}, the last one ${head.hash}`];
  const by =
    checkpoints === 0
      ? 'no checkpoint is signed'
      : `${checkpoints} checkpoints signed by ${signers.join(', ')}`;
  lines.push(`${by}; ${unsigned} lines after the last one`);
  if (first > 1) lines.push(`the log began before: numbers 1 to ${first - 1} are not in these files`);
  if (missing > 0) lines.push(`${missing} decisions could not be kept, as the log itself says`);
  return lines;
}

/** By the number of their first lines, as they were written. */
async function inOrder(files: readonly string[]): Promise<string[]> {
  const known: { file: string; first: number }[] = [];
  for (const file of files) {
    let first = Number.POSITIVE_INFINITY;
    await eachLine(file, (text) => {
      first = parseEntry(text)?.n ?? first;
      return false;
    });
    known.push({ file, first });
  }
  return known.sort((a, b) => a.first - b.first).map(({ file }) => file);
}

/** Calls `take` with each line and its number, until it returns false. */
async function eachLine(file: string, take: (text: string, line: number) => boolean): Promise<void> {
  const input = createReadStream(file, 'utf8');
  try {
    let line = 0;
    for await (const text of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY }))
      if (!take(text, ++line)) return;
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

/** Throws `CommandFailure` with the option and what was found. */
function readRoots(file: string): X509Certificate[] {
  try {
    const texts = readFileSync(file, 'utf8').match(
      /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g,
    );
    if (texts === null) throw new Error('found no certificate; expected PEM');
    return texts.map((text) => new X509Certificate(text));
  } catch (error) {
    throw new CommandFailure(`--roots ${file}: ${oneLine(error)}`, 2);
  }
}

/** `N:HASH`, or JSON with both. */
function readHead(text: string): ChainHead {
  const plain = /^(\d+):([0-9a-f]{64})$/.exec(text);
  if (plain !== null) return { n: Number(plain[1]), hash: plain[2]! };
  try {
    const { n, hash } = JSON.parse(text) as Partial<ChainHead>;
    if (Number.isSafeInteger(n) && /^[0-9a-f]{64}$/.test(hash ?? '')) return { n: n!, hash: hash! };
  } catch {
    // Neither form.
  }
  throw new CommandFailure(
    `--seen: found ${JSON.stringify(text)}; expected N:HASH, or JSON with n and hash`,
    2,
  );
}
