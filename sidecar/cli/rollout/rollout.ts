import { setTimeout as delay } from 'node:timers/promises';
import type { Address } from '../../config/model.js';
import { defined } from '../../config/present.js';
import { describeRollout, isOver, type RolloutRecord, type RolloutView } from '../../core/models/rollout.js';
import { adminAddressOf, askAdmin } from '../admin-client.js';
import { CommandFailure, oneLine } from '../failure.js';
import { parsePeerJson } from '../peer-json.js';
import { endRequests } from '../signals.js';
import { paletteFor } from '../terminal.js';
import { meshesHere } from '../up/chosen-meshes.js';
import type { RunNote } from '../up/run-directory.js';
import { progressLine, rolloutText } from './rollout-text.js';

export interface RolloutPlace {
  /** The service whose replicas are meant. */
  readonly service: string;
  /** Mesh file of a mesh that `up` runs on this machine. */
  readonly mesh?: string;
  /** Admin addresses, in place of a mesh that `up` runs. */
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
/** A replica that is started again does not answer meanwhile, nor do others of one machine that starts again. */
const PATIENCE_MS = 60_000;

/**
 * `outrider rollout`: begins a rollout and prints how it goes on until it is over. Ctrl-C ends the command and not the
 * rollout, which belongs to the replicas.
 *
 * @returns the exit code: 0 when every replica serves the version, or with `detach` when it has begun; 1 otherwise.
 */
export async function rolloutCommand(options: RolloutOptions): Promise<number> {
  const replicas = await find(options);
  const { model, version, canary, window } = options;
  const query = new URLSearchParams({ model, version, ...defined({ canary, window }) });
  const begun = parsePeerJson(await post(replicas, query)) as RolloutRecord;
  if (options.detach) return print(await show(replicas), options, replicas.length);
  const ends = endRequests();
  let last = '';
  let heardMs = performance.now();
  for (;;) {
    const view = await show(replicas).catch((error: unknown) => {
      if (performance.now() - heardMs > PATIENCE_MS) throw error;
    });
    if (view !== undefined) {
      heardMs = performance.now();
      const stage = stageOf(view, begun);
      const line = progressLine(view, replicas.length);
      if (!options.json && line !== last && stage !== 'not yet') process.stdout.write(`${line}\n`);
      if (stage !== 'not yet') last = line;
      if (stage === 'over') {
        if (options.json) process.stdout.write(`${JSON.stringify(view)}\n`);
        ends.release();
        return view.record?.state === 'done' ? 0 : 1;
      }
    }
    if ((await Promise.race([ends.first, delay(PERIOD_MS)])) === undefined) continue;
    process.stderr.write(
      `the rollout goes on; \`outrider rollout status ${options.service}\` shows it, \`outrider rollout abort ${options.service}\` ends it\n`,
    );
    return 1;
  }
}

/**
 * What a view says of the rollout that was begun here. `not yet`: the replica still has the one before it.
 *
 * @throws CommandFailure where another one has begun since: how this one has ended is not known.
 */
export function stageOf(
  { record }: Pick<RolloutView, 'record'>,
  begun: RolloutRecord,
): 'not yet' | 'under way' | 'over' {
  if (record === undefined || (record.id !== begun.id && record.startedMs <= begun.startedMs))
    return 'not yet';
  if (record.id !== begun.id)
    throw new CommandFailure(
      `another rollout has begun since: ${describeRollout(record)}; how this one has ended is in the logs`,
    );
  return isOver(record) ? 'over' : 'under way';
}

/** `outrider rollout status`: what is or was rolled out last. */
export async function rolloutStatusCommand(place: RolloutPlace): Promise<number> {
  const replicas = await find(place);
  return print(await show(replicas), place, replicas.length);
}

/** `outrider rollout pause|resume|abort`. */
export async function rolloutChangeCommand(
  command: 'pause' | 'resume' | 'abort',
  place: RolloutPlace,
): Promise<number> {
  const replicas = await find(place);
  await post(replicas, new URLSearchParams({ command }));
  return print(await show(replicas), place, replicas.length);
}

function print(view: RolloutView, { json }: RolloutPlace, found: number): number {
  const palette = paletteFor(process.stdout, process.env);
  process.stdout.write(json ? `${JSON.stringify(view)}\n` : `${rolloutText(view, palette, found)}\n`);
  return 0;
}

/**
 * The admin addresses of the replicas of the service that answer, one at least.
 *
 * @throws CommandFailure where there is none, or two meshes have such a service.
 */
async function find({ service, admin, mesh }: RolloutPlace): Promise<readonly Address[]> {
  const meshes = admin.length > 0 ? [] : meshesHere(mesh);
  const texts = admin.length > 0 ? admin : meshes.flatMap((mesh) => Object.values(mesh.admin));
  if (texts.length === 0)
    throw new CommandFailure(
      mesh === undefined
        ? 'no mesh of `outrider up` runs here; name a replica of the service with --admin HOST:PORT'
        : `no mesh of ${mesh} runs here`,
    );
  const services = new Set<string>();
  let problem = '';
  const asked = texts.map(async (text) => {
    const address = adminAddressOf(text);
    try {
      const { body } = await askAdmin(address, '/endpoints', { timeoutMs: TIMEOUT_MS });
      const report = parsePeerJson(body) as { service: string; model?: unknown };
      if (report.service === service) return [address];
      if (report.model !== undefined) services.add(report.service);
    } catch (error) {
      problem = `; ${text}: ${oneLine(error)}`;
    }
    return [];
  });
  const found = (await Promise.all(asked)).flat();
  if (found.length > 0) requireOneMesh(service, meshes);
  if (found.length > 0) return found;
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
    `several meshes here have a service ${service}: ${having.join(', ')}: name one with --mesh FILE or --admin HOST:PORT`,
    2,
  );
}

/** As the first replica that answers knows it. */
async function show(replicas: readonly Address[]): Promise<RolloutView> {
  const { status, body } = await askAny(replicas, '/rollout', { timeoutMs: TIMEOUT_MS });
  if (status !== 200) throw new CommandFailure(body.trim());
  return parsePeerJson(body) as RolloutView;
}

/** What has been stored, as JSON. */
async function post([first]: readonly Address[], query: URLSearchParams): Promise<string> {
  const request = { method: 'POST', timeoutMs: TIMEOUT_MS } as const;
  const { status, body } = await askAdmin(first!, `/rollout?${query}`, request);
  if (status >= 300) throw new CommandFailure(body.trim(), status === 400 ? 2 : 1);
  return body;
}

/** Asks one address after the other until one answers. */
async function askAny(
  [first, ...others]: readonly Address[],
  ...request: [path: string, options: Parameters<typeof askAdmin>[2]]
): ReturnType<typeof askAdmin> {
  try {
    return await askAdmin(first!, ...request);
  } catch (error) {
    if (others.length === 0) throw error;
    return askAny(others, ...request);
  }
}
