/**
 * Runs h2spec, the HTTP/2 server conformance suite, against one address and reads its report.
 *
 * A skipped case counts as not passed: a case is skipped when the server did not answer as it needed.
 */

import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** Cases of the strict run. */
export const STRICT_CASES = 147;

/** Seconds a case may take: h2spec's own default. */
const CASE_SECONDS = 2;

export interface H2specTarget {
  readonly host: string;
  readonly port: number;
}

export interface H2specFailure {
  readonly section: string;
  readonly title: string;
  /** What was expected and what came, in one line; `skipped` for a skipped case. */
  readonly detail: string;
}

export interface H2specResult {
  readonly total: number;
  readonly passed: number;
  readonly failures: readonly H2specFailure[];
  readonly elapsedMs: number;
}

/** One strict run; throws when h2spec itself could not run. */
export async function runH2spec(binary: string, target: H2specTarget): Promise<H2specResult> {
  const directory = await mkdtemp(path.join(tmpdir(), 'h2spec-'));
  const report = path.join(directory, 'report.xml');
  const startedMs = performance.now();
  try {
    const where = ['-h', target.host, '-p', String(target.port)];
    const output = await execute(binary, ['--strict', ...where, '-j', report, '-o', String(CASE_SECONDS)]);
    const xml = await readFile(report, 'utf8').catch(() => {
      throw new Error(`h2spec left no report: ${output.trim().split('\n').slice(-3).join(' | ')}`);
    });
    return { ...parseReport(xml), elapsedMs: performance.now() - startedMs };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Its exit code says no more than the report does. */
function execute(binary: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve) => {
    execFile(binary, args, { timeout: 400_000, maxBuffer: 32 << 20 }, (_error, stdout, stderr) =>
      resolve(stdout + stderr),
    );
  });
}

const CASE = /<testcase\s([^>]*?)(?:\/>|>([\s\S]*?)<\/testcase>)/g;

function parseReport(xml: string): Omit<H2specResult, 'elapsedMs'> {
  const failures: H2specFailure[] = [];
  let total = 0;
  for (const [, attributes = '', body = ''] of xml.matchAll(CASE)) {
    total += 1;
    const outcome = /<(error|failure|skipped)\b[^>]*?(?:\/>|>([\s\S]*?)<\/\1>)/.exec(body);
    if (outcome === null) continue;
    failures.push({
      section: attribute(attributes, 'package'),
      title: attribute(attributes, 'classname'),
      detail: outcome[1] === 'skipped' ? 'skipped' : oneLine(decodeEntities(outcome[2] ?? '')),
    });
  }
  return { total, passed: total - failures.length, failures };
}

function attribute(attributes: string, name: string): string {
  return decodeEntities(new RegExp(`${name}="([^"]*)"`).exec(attributes)?.[1] ?? '');
}

/** The last line is what came, those before it what would have been right. */
function oneLine(text: string): string {
  const lines = text.trim().split('\n');
  const actual = lines.pop() ?? '';
  return `expected ${lines.join(' or ')}; got ${actual}`;
}

const NAMED = { quot: '"', amp: '&', lt: '<', gt: '>' };
const ENTITIES: Readonly<Record<string, string>> = { ...NAMED, '#34': '"', '#39': "'", '#xA': '\n' };

function decodeEntities(text: string): string {
  return text.replace(/&(#?\w+);/g, (whole, name: string) => ENTITIES[name] ?? whole);
}
