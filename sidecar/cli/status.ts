/**
 * `outrider status`: what the admin servers say of sidecars, models, queues and endpoints, as two tables.
 *
 * Without addresses it finds the meshes that `up` runs on this machine. With --watch it draws again every second.
 */

import { setTimeout as delay } from 'node:timers/promises';
import type { StatusReport } from '../admin/status.js';
import type { Address } from '../config/model.js';
import { readAddress } from '../config/spelling/address.js';
import { askAdmin } from './admin-client.js';
import { CommandFailure, oneLine } from './failure.js';
import { endRequests } from './signals.js';
import { type Palette, paletteFor, table } from './terminal.js';
import { runningMeshes } from './up/run-directory.js';

export interface StatusOptions {
  /** Empty: every mesh that `up` runs here. */
  readonly admin: readonly string[];
  readonly watch: boolean;
  readonly json: boolean;
}

interface Target {
  readonly name: string;
  readonly address: Address;
}

type Seen = { readonly target: Target } & ({ readonly report: StatusReport } | { readonly problem: string });

const TIMEOUT_MS = 2_000;
const PERIOD_MS = 1_000;

/** 0 when every sidecar answered, 1 when one did not. */
export async function statusCommand(options: StatusOptions): Promise<number> {
  const targets = targetsOf(options.admin);
  if (!options.watch) return print(await lookAt(targets), options);
  const { first } = endRequests();
  const clear = process.stdout.isTTY ? '\x1b[H\x1b[2J' : '';
  process.stdout.on('error', () => process.exit(0)); // the reader left
  for (;;) {
    const seen = await lookAt(targets);
    process.stdout.write(clear);
    print(seen, options);
    if ((await Promise.race([first, delay(PERIOD_MS)])) !== undefined) return 0;
  }
}

function targetsOf(admin: readonly string[]): Target[] {
  if (admin.length > 0) return admin.map((text) => ({ name: text, address: addressOf(text) }));
  const found = runningMeshes().flatMap((mesh) => Object.entries(mesh.admin));
  if (found.length === 0) {
    throw new CommandFailure('no mesh of `outrider up` runs here; name a sidecar with --admin HOST:PORT');
  }
  return found.map(([name, text]) => ({ name, address: addressOf(text) }));
}

function addressOf(text: string): Address {
  const read = readAddress(text.replace(/^http:\/\//, '').replace(/\/$/, ''));
  if (!read.ok) throw new CommandFailure(`--admin: ${read.problem}`, 2);
  return read.value;
}

function lookAt(targets: readonly Target[]): Promise<Seen[]> {
  return Promise.all(
    targets.map(async (target) => {
      try {
        const { status, body } = await askAdmin(target.address, '/endpoints', TIMEOUT_MS);
        if (status !== 200) return { target, problem: `answered ${status}` };
        return { target, report: asReport(body) };
      } catch (error) {
        return { target, problem: oneLine(error) };
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

function print(seen: readonly Seen[], options: StatusOptions): number {
  const text = options.json
    ? JSON.stringify(seen.map(asJson))
    : asText(seen, paletteFor(process.stdout, process.env));
  process.stdout.write(`${text}\n`);
  return seen.every((each) => 'report' in each) ? 0 : 1;
}

function asJson(seen: Seen): unknown {
  const { name } = seen.target;
  return 'report' in seen ? { name, ...seen.report } : { name, problem: seen.problem };
}

function asText(seen: readonly Seen[], palette: Palette): string {
  const sidecars = table(
    ['sidecar', 'service', 'state', 'model', 'restarts', 'running', 'waiting', 'why'],
    seen.map((each) => sidecarRow(each, palette)),
    palette,
  );
  const rows = seen.flatMap((each) => ('report' in each ? endpointRows(each.report, palette) : []));
  if (rows.length === 0) return sidecars;
  const header = [
    'caller',
    'upstream',
    'endpoint',
    'state',
    'in flight',
    'latency',
    'attempts',
    'faults',
    'ejections',
    'why',
  ];
  return `${sidecars}\n\n${table(header, rows, palette)}`;
}

function sidecarRow(seen: Seen, palette: Palette): string[] {
  if (!('report' in seen))
    return [seen.target.name, '', palette.red('no answer'), '', '', '', '', seen.problem];
  const { instance, service, ready, notReady, model, queue } = seen.report;
  const state = ready ? palette.green('ready') : palette.yellow('not ready');
  return [
    instance,
    service,
    state,
    model?.state ?? '',
    String(model?.restarts ?? ''),
    String(queue?.running ?? ''),
    String(queue?.waiting ?? ''),
    notReady.join('; '),
  ];
}

function endpointRows(report: StatusReport, palette: Palette): string[][] {
  return report.endpoints.map((row) => [
    report.instance,
    row.upstream,
    row.endpoint,
    row.state === 'eligible' ? palette.green(row.state) : palette.red(row.state),
    String(row.inFlight),
    `${row.ewmaMs.toFixed(1)} ms`,
    String(row.attempts),
    String(row.faults),
    String(row.ejections),
    row.why,
  ]);
}
