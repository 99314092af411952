/**
 * Our own sidecar, compiled: as it is by default with deadlines, least-loaded balancing, ejection, attempt timeouts,
 * replay for retries and response holding (in the pair also intentions and the queue); with every decision switched on;
 * and another build of it, to compare with.
 */

import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from '../../kit/process/free-port.js';
import {
  BEFORE,
  type Decisions,
  EVERYTHING,
  EVERYTHING_BEFORE,
  identityBlock,
  inboundBlocks,
  outboundBlocks,
  PLAIN,
} from './outrider-config.js';
import { pairOf, type Running, type Subject, scratch, startProcess, type Target } from './subject.js';
import { gitRevision } from './tools.js';

/** Of the same build as the benchmark. */
const MAIN = join(dirname(fileURLToPath(import.meta.url)), '../../../sidecar/main.js');

interface Build {
  readonly main: string;
  readonly decisions: Decisions;
  /** For Node, such as those that make it leave a profile. */
  readonly flags: readonly string[];
  /** Blocks for each of its sidecar files beside those of the benchmark. */
  readonly more?: object;
}

async function start(build: Build, port: number, service: string, blocks: object): Promise<Running> {
  const dir = scratch();
  const file = join(dir, `${service}.yaml`);
  const common = { service, log: { level: 'warn' }, limits: { max_concurrent_streams: 512 } };
  writeFileSync(file, JSON.stringify({ ...common, ...blocks, ...build.more }));
  const flags = [...ownFlags(build.main), ...build.flags];
  const command = [process.execPath, ...flags, build.main, 'sidecar', '-c', file];
  return startProcess({ command, port, dir });
}

/** A sidecar of this build with these blocks, once its port takes connections. @param flags of Node */
export function startSidecar(
  service: string,
  port: number,
  flags: readonly string[],
  blocks: object,
): Promise<Running> {
  const build: Build = { main: MAIN, decisions: 'plain', flags };
  const missing = problemOf(build);
  if (missing !== undefined) throw new Error(missing);
  return start(build, port, service, blocks);
}

/** Flags of Node that a build runs with when it is called by its name: those of its first line. */
function ownFlags(main: string): string[] {
  const [first = ''] = readFileSync(main, 'utf8').split('\n', 1);
  return (/^#!.* node (.*)$/.exec(first)?.[1] ?? '').split(' ').filter((flag) => flag !== '');
}

/** The sidecar of the caller; `identity`: its block, where the endpoint wants mutual TLS. */
async function startCaller(
  build: Build,
  asidePort: number,
  endpoint: number,
  identity?: object,
): Promise<Running> {
  const port = await freePort();
  const spare = [await freePort(), await freePort()] as const;
  const tls = identity === undefined ? 'plaintext' : 'mesh';
  const file = { port, tls, endpoint, aside: asidePort, spare } as const;
  return start(build, port, 'caller', { ...identity, ...outboundBlocks(file, build.decisions) });
}

async function startPair(build: Build, { certs, backendPort, asidePort }: Target): Promise<Running> {
  const endpoint = await freePort();
  const inbound = inboundBlocks(endpoint, backendPort, build.decisions);
  const inner = await start(build, endpoint, 'echo', { ...identityBlock(certs, 'echo'), ...inbound });
  return pairOf(inner, () => startCaller(build, asidePort, endpoint, identityBlock(certs, 'caller')));
}

/** Why a build cannot be measured; undefined: it can. */
function problemOf({ main }: Build): string | undefined {
  if (!existsSync(main)) return 'run `npm run build`';
  // As sidecar/main.ts: an old bundle is not used, and the program in its single files is not what is installed.
  const changedMs = (path: string) =>
    statSync(join(dirname(main), path), { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const isOld =
    Math.max(changedMs('main.js'), changedMs('../.tsbuildinfo')) > changedMs('../bundle/program.js');
  return isOld
    ? `its bundle is older than its other files (a copy?): run \`npm run build\` there`
    : undefined;
}

function subject(name: string, build: Build, version: string): Subject {
  const missing = problemOf(build);
  return {
    name,
    isPeer: false,
    version: missing === undefined ? { found: version } : { missing },
    start: ({ backendPort, asidePort }) => startCaller(build, asidePort, backendPort),
    startPair: (target) => startPair(build, target),
  };
}

/** The sidecar of this build. `flags`: of Node. */
export function outrider(decisions: Decisions, flags: readonly string[] = []): Subject {
  return subject(nameOf(decisions), { main: MAIN, decisions, flags }, gitRevision());
}

/** The sidecar of this build as by default, with more blocks in its file. */
export function outriderWith(name: string, more: object, flags: readonly string[] = []): Subject {
  return subject(name, { main: MAIN, decisions: 'plain', flags, more }, gitRevision());
}

function nameOf(decisions: Decisions): string {
  if (decisions === 'plain') return PLAIN;
  return decisions.everythingBut === '' ? EVERYTHING : `${EVERYTHING}-but-${decisions.everythingBut}`;
}

/** The build in another clone of the repository. */
export function outriderBefore(clone: string, decisions: Decisions): Subject {
  const main = join(clone, 'dist/sidecar/main.js');
  return subject(decisions === 'plain' ? BEFORE : EVERYTHING_BEFORE, { main, decisions, flags: [] }, clone);
}
