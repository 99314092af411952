import { setTimeout as delay } from 'node:timers/promises';
import type { StatusReport } from '../../admin/status.js';
import { readAddress } from '../../config/codecs/address.js';
import type { Address } from '../../config/model.js';
import { askAdmin } from '../admin-client.js';
import { CommandFailure, oneLine } from '../failure.js';
import { endRequests } from '../signals.js';
import { paletteFor } from '../terminal.js';
import { runningMeshes } from '../up/run-directory.js';
import { type SidecarStatus, statusTables } from './tables.js';

export interface StatusOptions {
  /** Admin addresses; empty: every mesh that `up` runs on this machine. */
  readonly admin: readonly string[];
  /** Draw again every second until Ctrl-C. */
  readonly watch: boolean;
  readonly json: boolean;
}

interface Target {
  readonly name: string;
  readonly address: Address;
}

const TIMEOUT_MS = 2_000;
const PERIOD_MS = 1_000;

/**
 * `outrider status`: prints what admin servers report of sidecars, models, queues, endpoints and
 * Consul.
 *
 * @returns the exit code: 0 when every sidecar answered, 1 when one did not.
 */
export async function statusCommand(options: StatusOptions): Promise<number> {
  const targets = targetsOf(options.admin);
  if (!options.watch) return print(await fetchAll(targets), options);
  const { first } = endRequests();
  const clear = process.stdout.isTTY ? '\x1b[H\x1b[2J' : '';
  process.stdout.on('error', () => process.exit(0)); // the reader left
  for (;;) {
    const seen = await fetchAll(targets);
    process.stdout.write(clear);
    print(seen, options);
    if ((await Promise.race([first, delay(PERIOD_MS)])) !== undefined) return 0;
  }
}

function targetsOf(admin: readonly string[]): Target[] {
  if (admin.length > 0) return admin.map((text) => ({ name: text, address: addressOf(text) }));
  const found = runningMeshes().flatMap((mesh) => Object.entries(mesh.admin));
  if (found.length === 0)
    throw new CommandFailure('no mesh of `outrider up` runs here; name a sidecar with --admin HOST:PORT');
  return found.map(([name, text]) => ({ name, address: addressOf(text) }));
}

function addressOf(text: string): Address {
  const read = readAddress(text.replace(/^http:\/\//, '').replace(/\/$/, ''));
  if (!read.ok) throw new CommandFailure(`--admin: ${read.problem}`, 2);
  return read.value;
}

function fetchAll(targets: readonly Target[]): Promise<SidecarStatus[]> {
  return Promise.all(
    targets.map(async ({ name, address }) => {
      try {
        const { status, body } = await askAdmin(address, '/endpoints', { timeoutMs: TIMEOUT_MS });
        return status === 200 ? { name, report: asReport(body) } : { name, problem: `answered ${status}` };
      } catch (error) {
        return { name, problem: oneLine(error) };
      }
    }),
  );
}

function asReport(body: string): StatusReport {
  const report = JSON.parse(body) as StatusReport;
  if (!Array.isArray(report.endpoints) || !Array.isArray(report.notReady))
    throw new Error('not an Outrider admin server');
  return report;
}

function print(seen: readonly SidecarStatus[], options: StatusOptions): number {
  const text = options.json
    ? JSON.stringify(seen.map(asJson))
    : statusTables(seen, paletteFor(process.stdout, process.env));
  process.stdout.write(`${text}\n`);
  return seen.every((each) => 'report' in each) ? 0 : 1;
}

function asJson(seen: SidecarStatus): unknown {
  return 'report' in seen ? { name: seen.name, ...seen.report } : seen;
}
