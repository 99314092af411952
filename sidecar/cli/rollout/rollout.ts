import { setTimeout as delay } from 'node:timers/promises';
import { readAddress } from '../../config/codecs/address.js';
import type { Address } from '../../config/model.js';
import { isOver, type RolloutView } from '../../core/models/rollout.js';
import { askAdmin } from '../admin-client.js';
import { CommandFailure, oneLine } from '../failure.js';
import { endRequests } from '../signals.js';
import { paletteFor } from '../terminal.js';
import { type RunNote, runningMeshes } from '../up/run-directory.js';
import { progressLine, rolloutText } from './rollout-text.js';

export interface RolloutPlace {
  /** The service whose replicas are meant. */
  readonly service: string;
  /** Admin addresses; empty: those of every mesh that `up` runs on this machine. */
  readonly admin: readonly string[];
  readonly json: boolean;
}

export interface RolloutOptions extends RolloutPlace {
  readonly model: string;
  readonly version: string;
  readonly canary?: string;
  readonly window?: string;
  /** Returns once it has begun. */
  readonly detach: boolean;
}

const TIMEOUT_MS = 5_000;
const PERIOD_MS = 500;

/**
 * `outrider rollout`: begins a rollout and prints how it goes on until it is over. Ctrl-C ends the command and not the
 * rollout, which belongs to the replicas.
 *
 * @returns the exit code: 0 when every replica serves the version, or with `detach` when it has begun; 1 otherwise.
 */
export async function rolloutCommand(options: RolloutOptions): Promise<number> {
  const target = await find(options);
  const { model, version, canary, window } = options;
  const query = new URLSearchParams({
    ...{ model, version },
    ...(canary === undefined ? {} : { canary }),
    ...(window === undefined ? {} : { window }),
  });
  await post(target, query);
  if (options.detach) return print(await show(target), options);
  const ends = endRequests();
  let last = '';
  for (;;) {
    const view = await show(target);
    const line = progressLine(view);
    if (!options.json && line !== last) process.stdout.write(`${line}\n`);
    last = line;
    if (view.record !== undefined && isOver(view.record)) {
      if (options.json) process.stdout.write(`${JSON.stringify(view)}\n`);
      ends.release();
      return view.record.state === 'done' ? 0 : 1;
    }
    if ((await Promise.race([ends.first, delay(PERIOD_MS)])) === undefined) continue;
    process.stderr.write(
      `the rollout goes on; \`outrider rollout status ${options.service}\` shows it, \`outrider rollout abort ${options.service}\` ends it\n`,
    );
    return 1;
  }
}

/** `outrider rollout status`: what is or was rolled out last. */
export async function rolloutStatusCommand(place: RolloutPlace): Promise<number> {
  return print(await show(await find(place)), place);
}

/** `outrider rollout pause|resume|abort`. */
export async function rolloutChangeCommand(
  command: 'pause' | 'resume' | 'abort',
  place: RolloutPlace,
): Promise<number> {
  const target = await find(place);
  await post(target, new URLSearchParams({ command }));
  return print(await show(target), place);
}

function print(view: RolloutView, { json }: RolloutPlace): number {
  const palette = paletteFor(process.stdout, process.env);
  process.stdout.write(json ? `${JSON.stringify(view)}\n` : `${rolloutText(view, palette)}\n`);
  return 0;
}

/** The admin address of a replica of the service. @throws CommandFailure where there is none, or two meshes have such a service. */
async function find({ service, admin }: RolloutPlace): Promise<Address> {
  const meshes = admin.length > 0 ? [] : runningMeshes();
  const texts = admin.length > 0 ? admin : meshes.flatMap((mesh) => Object.values(mesh.admin));
  if (texts.length === 0)
    throw new CommandFailure(
      'no mesh of `outrider up` runs here; name a replica of the service with --admin HOST:PORT',
    );
  const services = new Set<string>();
  let problem = '';
  for (const text of texts) {
    const address = addressOf(text);
    try {
      const { body } = await askAdmin(address, '/endpoints', { timeoutMs: TIMEOUT_MS });
      const report = JSON.parse(body) as { service: string; model?: unknown };
      if (report.service === service) {
        requireOneMesh(service, meshes);
        return address;
      }
      if (report.model !== undefined) services.add(report.service);
    } catch (error) {
      problem = `; ${text}: ${oneLine(error)}`;
    }
  }
  const known = services.size === 0 ? 'none' : [...services].sort().join(', ');
  throw new CommandFailure(`found no replica of ${service}; services with models here: ${known}${problem}`);
}

/** A version must not be brought into another mesh than is meant. */
export function requireOneMesh(
  service: string,
  meshes: readonly Pick<RunNote, 'admin' | 'meshFile'>[],
): void {
  const isReplica = (name: string) => name.replace(/-\d+$/, '') === service;
  const having = meshes.flatMap(({ admin, meshFile }) => {
    const [, address] = Object.entries(admin).find(([name]) => isReplica(name)) ?? [];
    return address === undefined ? [] : [`${address} of ${meshFile}`];
  });
  if (having.length < 2) return;
  throw new CommandFailure(
    `several meshes here have a service ${service}: ${having.join(', ')}: which one, by --admin HOST:PORT?`,
    2,
  );
}

function addressOf(text: string): Address {
  const read = readAddress(text.replace(/^http:\/\//, '').replace(/\/$/, ''));
  if (!read.ok) throw new CommandFailure(`--admin: ${read.problem}`, 2);
  return read.value;
}

async function show(target: Address): Promise<RolloutView> {
  const { status, body } = await askAdmin(target, '/rollout', { timeoutMs: TIMEOUT_MS });
  if (status !== 200) throw new CommandFailure(body.trim());
  return JSON.parse(body) as RolloutView;
}

async function post(target: Address, query: URLSearchParams): Promise<void> {
  const request = { method: 'POST', timeoutMs: TIMEOUT_MS } as const;
  const { status, body } = await askAdmin(target, `/rollout?${query}`, request);
  if (status >= 300) throw new CommandFailure(body.trim(), status === 400 ? 2 : 1);
}
