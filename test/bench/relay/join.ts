/** Several reports of the relay benchmark as one: the modes are measured in parts where the machine is quiet for a while at a time. */

import { isDeepStrictEqual } from 'node:util';
import { UsageError } from '../../kit/process/command-line.js';
import type { Report } from './main.js';

/**
 * One report with all modes, in the order of the reports; of a mode that is in two the later counts. `texts`: what `--output` wrote, by file.
 * @throws UsageError for a file that is no such report, and for reports of another machine, version or number of runs
 */
export function joinReports(texts: ReadonlyMap<string, string>): Report {
  const reports = [...texts].map(([file, text]) => ({ file, report: parse(file, text) }));
  const [first] = reports;
  if (first === undefined) throw new UsageError('--join: found no file; expected one at least');
  const versions: Record<string, string> = {};
  const modes = new Map<string, Report['modes'][number]>();
  for (const { file, report } of reports) {
    for (const what of ['machine', 'runs'] as const)
      requireSame(file, what, report[what], first.report[what]);
    for (const [name, version] of Object.entries(report.versions)) {
      requireSame(file, `version of ${name}`, version, versions[name] ?? version);
      versions[name] = version;
    }
    for (const mode of report.modes) modes.set(mode.name, mode);
  }
  return { ...first.report, versions, modes: [...modes.values()] };
}

function requireSame(file: string, what: string, found: unknown, expected: unknown): void {
  if (isDeepStrictEqual(found, expected)) return;
  throw new UsageError(
    `--join: ${file}: ${what}: found ${JSON.stringify(found)}; expected ${JSON.stringify(expected)}, as in the others`,
  );
}

function parse(file: string, text: string): Report {
  try {
    const report = JSON.parse(text) as Report;
    if (Array.isArray(report.modes) && report.modes.every((mode) => Array.isArray(mode.subjects)))
      return report;
  } catch {
    // Said below, as for anything else that is no report.
  }
  throw new UsageError(`--join: ${file}: expected what "bench -- relay --output FILE" wrote`);
}
