import { setTimeout as delay } from 'node:timers/promises';
import type { StatusReport } from '../../admin/status.js';
import type { Address } from '../../config/model.js';
import { present } from '../../config/present.js';
import { systemClock } from '../../runtime/time/clock.js';
import { adminAddressOf, askAdmin } from '../admin-client.js';
import { AskedAgent } from '../consul/asked-agent.js';
import { CommandFailure, oneLine } from '../failure.js';
import { parsePeerJson } from '../peer-json.js';
import { endRequests } from '../signals.js';
import { paletteFor } from '../terminal.js';
import { meshesHere } from '../up/chosen-meshes.js';
import type { RunNote } from '../up/run-directory.js';
import { namedSidecars } from '../up/running-sidecars.js';
import { catalogInstances } from './catalog.js';
import { CallRates } from './rates.js';
import type { Rates, SidecarStatus } from './sidecar-table.js';
import { statusTables } from './tables.js';

export interface StatusOptions {
  /** Sidecars or services to show in detail; empty: all, without their methods. */
  readonly names: readonly string[];
  /** Admin addresses; empty: the mesh of `mesh`. */
  readonly admin: readonly string[];
  /** Mesh file of a mesh that `up` runs here; absent: the mesh of this folder. */
  readonly mesh?: string;
  /** Address of a Consul agent, whose catalogue is listed; `true`: the one of the environment. */
  readonly consul?: string | true;
  /** Draw again every second until Ctrl-C. */
  readonly watch: boolean;
  readonly json: boolean;
}

/** An admin server to ask. */
export interface Target {
  readonly name: string;
  readonly address: Address;
  /** Log file of it and its models, where it is known. */
  readonly log?: string;
  /** Several meshes have a sidecar of this name; `name` says which one it is. */
  readonly isOfSeveral?: true;
  /** `name` is only its address. */
  readonly isUnnamed?: true;
}

/** An admin server answers in milliseconds; one that takes longer is shown as not answering. */
const TIMEOUT_MS = 2_000;
const PERIOD_MS = 1_000;

/**
 * `outrider status`: prints what admin servers report of sidecars, models, queues, endpoints and
 * Consul; with `consul`, what the catalogue has of sidecars on all machines.
 *
 * @returns the exit code: 0 when every sidecar answered, or passes in Consul; 1 when one did not.
 */
export async function statusCommand(options: StatusOptions): Promise<number> {
  const see = await source(options);
  const rates = new CallRates();
  if (!options.watch) return print(await see(), options, new Map());
  const { first } = endRequests();
  const clear = process.stdout.isTTY ? '\x1b[H\x1b[2J' : '';
  process.stdout.on('error', () => process.exit(0)); // the reader left
  for (;;) {
    const seen = await see();
    process.stdout.write(clear);
    print(seen, options, rates.of(seen, systemClock.now()));
    if ((await Promise.race([first, delay(PERIOD_MS)])) !== undefined) return 0;
  }
}

/** What is asked each time. */
async function source({
  admin,
  mesh,
  consul,
  names,
}: StatusOptions): Promise<() => Promise<SidecarStatus[]>> {
  if (consul !== undefined) {
    if (admin.length > 0) throw new CommandFailure('--admin and --consul: expected one of them', 2);
    const agent = AskedAgent.open(consul === true ? undefined : consul);
    return async () => chosen(await fromCatalog(agent), names);
  }
  const targets = await namedTargets(adminTargets({ admin, ...present('mesh', mesh) }));
  return async () => chosen(await fetchAll(targets), names);
}

/** Those that are named, by sidecar or by service. @throws CommandFailure where a name fits none. */
function chosen(seen: readonly SidecarStatus[], names: readonly string[]): SidecarStatus[] {
  const isCalled = (each: SidecarStatus, name: string) =>
    each.name === name ||
    each.name.startsWith(`${name} (`) ||
    ('report' in each && (each.report.instance === name || each.report.service === name)) ||
    ('catalog' in each && each.catalog.service === name);
  const missing = names.find((name) => !seen.some((each) => isCalled(each, name)));
  if (missing !== undefined) {
    const known = seen.map(({ name }) => name).join(', ');
    throw new CommandFailure(`there is no sidecar or service "${missing}"; there are: ${known || 'none'}`);
  }
  return names.length === 0 ? [...seen] : seen.filter((each) => names.some((name) => isCalled(each, name)));
}

/** Which sidecars a command is about, as its options say it. */
export interface AdminChoice {
  /** Addresses of `--admin`; empty: those of `mesh`. */
  readonly admin: readonly string[];
  /** Of `--mesh`; absent: the mesh of this folder. */
  readonly mesh?: string | undefined;
}

/**
 * The admin servers that `--admin` names; without it those of the mesh that `--mesh` names, or of this folder. One of `--admin` has its
 * address as its name; `namedTargets` asks for a better one.
 * @throws CommandFailure where there is none, or an address is wrong.
 */
export function adminTargets({ admin, mesh }: AdminChoice): Target[] {
  if (admin.length > 0 && mesh !== undefined)
    throw new CommandFailure('--admin and --mesh: expected one of them', 2);
  if (admin.length > 0)
    return admin.map((text) => ({ name: text, address: adminAddressOf(text), isUnnamed: true }));
  const found = sidecarsOf(meshesHere(mesh));
  if (found.length === 0)
    throw new CommandFailure(
      'no mesh of `outrider up` runs here: start one, or name a sidecar with --admin HOST:PORT',
    );
  return found;
}

/** Those of `--admin` by the names that they give themselves; two of one name have their address beside it. One that does not answer keeps its address. */
export async function namedTargets(targets: readonly Target[]): Promise<Target[]> {
  if (!targets.some(({ isUnnamed }) => isUnnamed)) return [...targets];
  const names = (await fetchAll(targets)).map((seen) =>
    'report' in seen ? seen.report.instance : seen.name,
  );
  return targets.map(({ isUnnamed, ...target }, i) => {
    const name = names[i]!;
    if (!isUnnamed || name === target.name) return target;
    const isOfSeveral = names.filter((each) => each === name).length > 1;
    return isOfSeveral ? { ...target, name: `${name} (${target.name})`, isOfSeveral } : { ...target, name };
  });
}

/** The admin servers of meshes of `up`. */
export function sidecarsOf(meshes: readonly RunNote[]): Target[] {
  return namedSidecars(meshes).map(({ admin, ...named }) => ({ ...named, address: adminAddressOf(admin) }));
}

/** Reads the catalogue anew each time. */
async function fromCatalog(agent: AskedAgent): Promise<SidecarStatus[]> {
  try {
    return [...(await catalogInstances(agent))].map(([name, catalog]) => ({ name, catalog }));
  } catch (error) {
    throw agent.failure(error);
  } finally {
    agent.close();
  }
}

/** Asks every admin server for its report, all at once. */
export function fetchAll(targets: readonly Target[]): Promise<SidecarStatus[]> {
  return Promise.all(
    targets.map(async ({ name: told, address, log, isOfSeveral }) => {
      const name = { name: told, ...present('log', log) };
      try {
        const { status, body } = await askAdmin(address, '/endpoints', { timeoutMs: TIMEOUT_MS });
        if (status !== 200) return { ...name, problem: `answered ${status}` };
        const report = asReport(body);
        // Tables and findings name a sidecar by its instance.
        return { ...name, report: isOfSeveral ? { ...report, instance: told } : report };
      } catch (error) {
        return { ...name, problem: oneLine(error) };
      }
    }),
  );
}

/** Tells another server on the same port from an admin server. */
export function asReport(body: string): StatusReport {
  const report = parsePeerJson(body) as StatusReport;
  if (!Array.isArray(report.endpoints) || !Array.isArray(report.notReady))
    throw new Error('not an Outrider admin server');
  return report;
}

function print(seen: readonly SidecarStatus[], options: StatusOptions, rates: Rates): number {
  const isDetailed = options.names.length > 0;
  const text = options.json
    ? JSON.stringify(seen.map((each) => asJson(each, rates)))
    : statusTables(seen, paletteFor(process.stdout, process.env), {
        isDetailed,
        ...(options.watch ? { rates } : {}),
      });
  process.stdout.write(`${text}\n`);
  return seen.every(isGood) ? 0 : 1;
}

/** For the exit code: it answered, or passes. That a sidecar is not ready is shown and is no failure of this command. */
function isGood(seen: SidecarStatus): boolean {
  return 'report' in seen || ('catalog' in seen && seen.catalog.status === 'passing');
}

/** One object for each sidecar: its report as `/endpoints` has it, and the rate where it is known. */
function asJson(seen: SidecarStatus, rates: Rates): unknown {
  const rate = rates.get(seen.name);
  const calls = rate === undefined ? {} : { callsPerSecond: rate };
  if ('report' in seen) {
    const { name, log, report } = seen;
    return { name, ...present('log', log), ...report, ...calls };
  }
  return 'catalog' in seen ? { name: seen.name, ...seen.catalog } : seen;
}
