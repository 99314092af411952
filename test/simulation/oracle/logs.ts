/** What sidecars write and count agrees with what happened. */
import { createHash } from 'node:crypto';
import { DISK_FAULTS, type FaultKind } from '../plan/plan.js';
import type { CallRecord } from '../world/records.js';
import type { SimSidecar } from '../world/sim-sidecar.js';
import type { World } from '../world/world.js';

const NAMES =
  'OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS PERMISSION_DENIED RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED INTERNAL UNAVAILABLE DATA_LOSS UNAUTHENTICATED'.split(
    ' ',
  );
const REQUEST_ID = 'x-request-id';
const PERMISSION_DENIED = 7;
const NO_LINE = '0'.repeat(64);

interface Line {
  readonly direction?: string;
  readonly requestId?: string;
  readonly status?: string;
  readonly mirrored?: boolean;
}

interface Entry {
  readonly n: number;
  readonly kind: string;
  readonly prev: string;
  readonly [field: string]: unknown;
}

export function judgeLogs(world: World): void {
  for (const sidecar of world.sidecars) {
    const { file } = [...world.plan.replicas, ...world.plan.callers].find(
      ({ name }) => name === sidecar.name,
    )!;
    if ('access_log' in file) judgeAccessLog(world, sidecar);
    if ('audit' in file) judgeAudit(world, sidecar);
  }
}

function hasFault(world: World, name: string, kinds: readonly FaultKind[]): boolean {
  return world.plan.faults.some(({ kind, target }) => target === name && kinds.includes(kind));
}

function linesOf<T>(world: World, name: string, path: string): T[] {
  // Who waits for a slow disk waits a second: what it has taken of a line by then stays.
  const isCut = hasFault(world, name, ['disk-slow']) && hasFault(world, name, ['disk-ragged']);
  const isWhole = !isCut && !hasFault(world, name, ['kill-sidecar']);
  return world.disk
    .text(path)
    .split('\n')
    .filter((line) => line !== '')
    .flatMap((line) => {
      try {
        return [JSON.parse(line) as T];
      } catch {
        if (isWhole) world.find('logs', `${name}: ${path} has a line that is no JSON: ${line.slice(0, 100)}`);
        return [];
      }
    });
}

function judgeAccessLog(world: World, sidecar: SimSidecar): void {
  const { name } = sidecar;
  const lines = linesOf<Line>(world, name, `/sim/${name}/access.log`);
  const isLossy = hasFault(world, name, ['kill-sidecar', ...DISK_FAULTS]) || isSampled(world, name);
  const byId = new Map<string, Line[]>();
  for (const line of lines) {
    const key = `${line.direction} ${line.requestId}`;
    if (line.mirrored !== true) byId.set(key, [...(byId.get(key) ?? []), line]);
  }
  const index = world.plan.callers.findIndex((each) => each.name === name);
  for (const record of world.records) {
    if (index === record.plan.caller) judgeCall(world, record, byId, isLossy);
    if (!isLossy) judgeExecutions(world, record, byId, name);
  }
  if (!isLossy) judgeCounts(world, sidecar, lines);
}

/** Of the calls that ended well, some files want a share only. */
function isSampled({ plan }: World, name: string): boolean {
  const files = [
    ...[...plan.replicas, ...plan.callers].filter((each) => each.name === name).map(({ file }) => file),
    ...plan.faults.flatMap(({ target, file }) => (target === name && file !== undefined ? [file] : [])),
  ] as { access_log?: { sample_ratio?: number } }[];
  return files.some(({ access_log }) => (access_log?.sample_ratio ?? 1) < 1);
}

/** Of each call that was answered there is one line, with the status that the caller saw. */
function judgeCall(
  world: World,
  { plan, trailers, status }: CallRecord,
  byId: Map<string, Line[]>,
  isLossy: boolean,
): void {
  const id = plan.metadata[REQUEST_ID];
  if (id === undefined) return;
  const lines = byId.get(`outbound ${id}`) ?? [];
  const isAnswered = Object.keys(trailers).length > 0;
  if (isAnswered && !isLossy && lines.length !== 1)
    world.find('logs', `call ${plan.id} was answered, and has ${lines.length} lines in the access log`, [
      plan.id,
    ]);
  if (!isAnswered || lines.length !== 1 || lines[0]!.status === NAMES[status]) return;
  const found = `call ${plan.id} ended with ${NAMES[status]}, and its line in the access log says ${lines[0]!.status}`;
  world.find('logs', found, [plan.id]);
}

/** Of each call that a model answered its sidecar has a line. */
function judgeExecutions(
  world: World,
  { plan, executions }: CallRecord,
  byId: Map<string, Line[]>,
  name: string,
): void {
  const id = plan.metadata[REQUEST_ID];
  if (id === undefined) return;
  const own = executions.filter(({ replica, ended }) => replica === name && ended === 'answered');
  const lines = byId.get(`inbound ${id}`) ?? [];
  if (own.length > lines.length)
    world.find('logs', `${name} answered call ${plan.id} ${own.length} times, and logged ${lines.length}`, [
      plan.id,
    ]);
}

/** What is counted of a process that has never ended is what is logged. */
function judgeCounts(world: World, { name, insides }: SimSidecar, lines: readonly Line[]): void {
  if (insides === undefined || hasFault(world, name, ['drain', 'takeover'])) return;
  // The line of a question between sidecars may be on its way.
  if (world.plan.features.includes('health-checks') || world.plan.features.includes('other-reports')) return;
  const counted = new Map<string, number>();
  for (const { direction, byStatus } of insides.context.dataPlane.stats.calls)
    for (const [status, count] of byStatus.entries()) {
      const key = `${direction} ${NAMES[status]}`;
      counted.set(key, (counted.get(key) ?? 0) + count);
    }
  for (const { direction, status, mirrored } of lines) {
    // Copies are counted by the mirror.
    if (mirrored === true) continue;
    const key = `${direction} ${status}`;
    counted.set(key, (counted.get(key) ?? 0) - 1);
  }
  for (const [key, difference] of counted)
    if (difference !== 0)
      world.find('logs', `${name}: ${key} is counted ${difference} times more than it is logged`);
}

function judgeAudit(world: World, { name }: SimSidecar): void {
  const path = `/sim/${name}/audit/log.jsonl`;
  const isKilled = hasFault(world, name, ['kill-sidecar']);
  const texts = [`${path}.2`, `${path}.1`, path].map((each) => world.disk.text(each)).join('');
  let prev = NO_LINE;
  const entries: Entry[] = [];
  for (const line of texts.split('\n').filter((each) => each !== '')) {
    let entry: Entry;
    try {
      entry = JSON.parse(line) as Entry;
    } catch {
      return world.find('logs', `${name}: the audit log has a line that is no JSON: ${line.slice(0, 100)}`);
    }
    // The lock of the file names a process of the system, and a simulation has one: a successor does not wait for it.
    if (entry.prev !== prev && !hasFault(world, name, ['takeover']))
      return world.find(
        'logs',
        `${name}: line ${entry.n} of the audit log does not follow the one before it`,
      );
    prev = createHash('sha256').update(line).digest('hex');
    entries.push(entry);
  }
  if (isKilled) return;
  for (const { sidecar, label } of world.ejectionsSeen)
    if (
      sidecar === name &&
      !entries.some((each) => each.kind === 'endpoint-ejected' && each['endpoint'] === label)
    )
      world.find('logs', `${name} has ejected ${label}, and its audit log does not say so`);
  for (const record of world.records) {
    if (record.status !== PERMISSION_DENIED || record.executions.length > 0) continue;
    const { service } = world.plan.callers[record.plan.caller]!;
    const own = world.plan.replicas.find((each) => each.name === name)?.service === record.plan.upstream;
    const who = record.trailers['outrider-endpoint'];
    if (!own || who === undefined) continue;
    if (!entries.some((each) => each.kind === 'call-denied' && String(each['source']).endsWith(service)))
      world.find('logs', `${name} may have denied call ${record.plan.id}, and its audit log does not say so`);
  }
}
