import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { ChainHead } from '../../telemetry/audit/chain.js';
import { type AuditReport, type AuditTrust, AuditVerifier } from '../../telemetry/audit/verify.js';
import { CommandFailure, oneLine } from '../failure.js';
import { eachLine, type LogFiles, logsOf } from './log-files.js';

/** As on the command line. */
export interface AuditVerifyOptions {
  readonly roots?: string;
  /** `ID`, or `SIDECAR=ID` where there are logs of several sidecars. */
  readonly id?: readonly string[];
  readonly seen?: string;
  readonly json?: true;
}

/**
 * `outrider audit verify FILE…`: says whether the lines of each audit log are those that its sidecar wrote, and names the first one that
 * is not.
 *
 * @returns the exit code: 0 unbroken, 1 not. Throws `CommandFailure` for files and options that cannot be used.
 */
export async function auditVerifyCommand(
  files: readonly string[],
  { roots, id = [], seen, json }: AuditVerifyOptions,
  print: (line: string) => void = (line) => void process.stdout.write(`${line}\n`),
): Promise<number> {
  const trust = {
    ...(roots === undefined ? {} : { roots: readRoots(roots) }),
    ...(seen === undefined ? {} : { seen: readHead(seen) }),
  };
  if (roots !== undefined && id.length === 0)
    throw new CommandFailure(
      '--roots: every sidecar of the mesh has a certificate of these roots; say whose log it is with --id spiffe://…',
      2,
    );
  const logs = await logsOf(files);
  if (seen !== undefined && logs.length > 1)
    throw new CommandFailure(`--seen: found logs of ${nameAll(logs)}; expected the files of one sidecar`, 2);
  const verified: Verified[] = [];
  for (const { sidecar, files: own } of logs) {
    const expected = idFor(sidecar, id, logs);
    const all = expected === undefined ? trust : { ...trust, id: expected };
    verified.push({ sidecar, ...(await verify(own, all)) });
  }
  const [only, ...others] = verified;
  if (json === true) print(JSON.stringify(others.length === 0 ? only : verified, null, 2));
  else if (others.length === 0) for (const line of describe(only!)) print(line);
  else for (const line of verified.flatMap(describeAmong)) print(line);
  return verified.every(({ fault }) => fault === undefined) ? 0 : 1;
}

/** What the log of one sidecar proves. */
type Verified = AuditReport & Pick<LogFiles, 'sidecar'>;

/** The id that has to have signed the log of a sidecar; undefined: none is asked for. */
function idFor(sidecar: string, ids: readonly string[], logs: readonly LogFiles[]): string | undefined {
  if (ids.length === 0) return undefined;
  for (const each of ids)
    if (!ID.test(each)) throw new CommandFailure(`--id: found "${each}"; ${EXPECTED}`, 2);
  const named = ids.find((each) => each.startsWith(`${sidecar}=`));
  if (named !== undefined) return named.slice(sidecar.length + 1);
  const [only, ...others] = ids.filter((each) => each.startsWith('spiffe://'));
  if (only !== undefined && others.length === 0 && logs.length === 1) return only;
  throw new CommandFailure(
    `--id: found logs of ${nameAll(logs)}; expected --id ${sidecar}=spiffe://… for each of them`,
    2,
  );
}

const ID = /^([^=]+=)?spiffe:\/\/[^\s,]+$/;
const EXPECTED = 'expected a SPIFFE id, or SIDECAR=ID';

function nameAll(logs: readonly LogFiles[]): string {
  return logs.map(({ sidecar, files }) => sidecar || files.join(', ')).join(', ');
}

async function verify(files: readonly string[], trust: AuditTrust): Promise<AuditReport> {
  const verifier = new AuditVerifier(trust);
  for (const file of files)
    await eachLine(file, (text, line) => {
      verifier.add(text, { file, line });
      return true;
    });
  return verifier.end();
}

/** The same below the name of the sidecar, where there are several logs. */
function describeAmong(report: Verified): string[] {
  return [report.sidecar || 'no sidecar', ...describe(report).map((line) => `  ${line}`)];
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
