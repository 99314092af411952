/** What a fleet tells its sidecars, which are scripts here. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Fleet } from '../../../../sidecar/cli/up/fleet.js';
import { HeldSockets } from '../../../../sidecar/cli/up/listen-sockets.js';
import type { SidecarSpec } from '../../../../sidecar/cli/up/plan.js';
import { parseSidecarFile } from '../../../../sidecar/config/file/parse.js';
import type { SidecarConfig } from '../../../../sidecar/config/model.js';
import type { Handed } from '../../../../sidecar/runtime/process/inherited-sockets.js';
import { scratchForEach } from '../../../kit/mocha/scratch.js';
import { isRunning, until } from '../../../kit/process/processes.js';
import { ManualClock } from '../../../kit/time/manual-clock.js';
import { seeded } from '../../../kit/time/seeded-random.js';

/**
 * Writes what it is told into the file `told` beside its sidecar file, and what it was handed into `handed`. It reaches no upstream, accepts
 * at once where it is a successor, unless there is a file `slow`, and ends when it has one.
 */
const SIDECAR = `
const { appendFileSync, existsSync } = require('node:fs');
const { dirname, join } = require('node:path');
const beside = (name) => join(dirname(process.argv.at(-1)), name);
const handed = process.env.OUTRIDER_SOCKETS;
appendFileSync(beside('handed'), handed + '\\n');
appendFileSync(beside('pids'), process.pid + '\\n');
appendFileSync(beside('told'), '');
const say = (event) => process.stdout.write(JSON.stringify(event) + '\\n');
say({ event: 'readiness', notReady: ['upstream digits'], unreached: { lost: [], never: ['digits'] } });
if (JSON.parse(handed).holdBack && !existsSync(beside('slow'))) say({ event: 'accepting' });
process.stdin.on('data', (part) => {
  appendFileSync(beside('told'), part);
  if (String(part).includes('hand-over')) process.exit(0);
});
`;

describe('a fleet', () => {
  const scratch = scratchForEach();
  let fleet: Fleet;
  let sockets: HeldSockets | undefined;
  let seen: string[];

  function configOf(port: number, more = ''): SidecarConfig {
    const parsed = parseSidecarFile(
      `service: client
admin: 127.0.0.1:1
${more}
outbound:
  upstreams: { digits: { listen: "127.0.0.1:${port}", endpoints: ["127.0.0.1:9"], tls: plaintext } }
`,
      'client.yaml',
    );
    assert.ok(parsed.ok, JSON.stringify(parsed));
    return parsed.config;
  }

  beforeEach(() => {
    const clock = new ManualClock();
    const self = [process.execPath, scratch.write('sidecar.cjs', SIDECAR)];
    const deps = { clock, timers: clock, random: seeded(1), self, env: process.env };
    seen = [];
    sockets = HeldSockets.create();
    fleet = new Fleet([spec(2)], { ...deps, identityOf: () => undefined, sockets }, (event) => {
      seen.push(event.kind);
    });
  });
  afterEach(async () => {
    await fleet.stop();
    sockets?.releaseAll();
  });

  function spec(port: number, more = ''): SidecarSpec {
    const folder = join(scratch.path, 'client');
    mkdirSync(folder, { recursive: true });
    const admin = { kind: 'tcp', host: '127.0.0.1', port: 1 } as const;
    const names = { name: 'client', service: 'client', role: 'caller' } as const;
    return { ...names, folder, file: join(folder, 'sidecar.yaml'), config: configOf(port, more), admin };
  }

  it('tells a successor, and it alone, which upstreams the sidecar before it does not reach', async () => {
    assert.ok(sockets !== undefined);
    fleet.start();
    await until('it has said', () => seen.includes('readiness'));
    const answer = await fleet.replace('client');
    assert.ok(answer.ok, JSON.stringify(answer));
    const lines = readFileSync(join(scratch.path, 'client', 'handed'), 'utf8')
      .trimEnd()
      .split('\n');
    const [first, second] = lines.map((line) => JSON.parse(line) as Handed);
    assert.deepEqual([first!.generation, first!.unreached], [1, undefined]);
    assert.deepEqual([second!.generation, second!.unreached], [2, { lost: [], never: ['digits'] }]);
  });

  const MODEL = `inbound: { listen: "127.0.0.1:0", local: "unix:/tmp/m", mtls: "off" }
model: { command: [serve, "{socket}"] }`;
  for (const [what, more] of [
    ['a sidecar', ''],
    ['a sidecar that owns its model', MODEL],
  ] as const)
    it(`ends the successor that is on its way where the mesh file replaces ${what}`, async () => {
      const at = (name: string) => join(scratch.path, 'client', name);
      const pids = () =>
        existsSync(at('pids')) ? readFileSync(at('pids'), 'utf8').trim().split('\n').map(Number) : [];
      spec(2);
      writeFileSync(at('slow'), '');
      fleet.start();
      await until('it runs', () => pids().length === 1 && seen.includes('readiness'));
      const taken = fleet.replace('client');
      await until('its successor starts', () => pids().length === 2);
      const updated = fleet.update(spec(3, more), () => rmSync(at('slow')));
      const answer = await taken;
      assert.deepEqual(answer, { ok: false, why: 'the mesh file has changed meanwhile' });
      await until('the next one runs', () => pids().length === 3);
      const [, orphan] = pids();
      await until('the successor has ended', () => !isRunning(orphan!));
      if (more === '') assert.equal(await updated, 'followed by a new process');
      else void updated;
    });

  it('ends the successor of a sidecar that is gone from the mesh file before it lets go of its sockets', async () => {
    const at = (name: string) => join(scratch.path, 'client', name);
    spec(2);
    writeFileSync(at('slow'), '');
    fleet.start();
    await until('it runs', () => seen.includes('readiness'));
    const taken = fleet.replace('client');
    const pids = () => readFileSync(at('pids'), 'utf8').trim().split('\n').map(Number);
    await until('its successor starts', () => pids().length === 2);
    await fleet.remove('client');
    assert.deepEqual(
      pids().map((pid) => isRunning(pid)),
      [false, false],
    );
    assert.equal((await taken).ok, false);
  });

  it('has a sidecar read its file again whose next file could not be written', async () => {
    fleet.start();
    const file = join(scratch.path, 'client', 'told');
    await until('it runs', () => existsSync(file));
    const full = new Error('ENOSPC: no space left on device, write');
    const write = (): void => {
      throw full;
    };
    await assert.rejects(fleet.update(spec(3), write), full);
    const told = (): string[] => readFileSync(file, 'utf8').split('\n').filter(Boolean);
    await until('it is told', () => told().length === 2);
    assert.deepEqual(
      told().map((line) => JSON.parse(line)),
      [{ tell: 'ignore-file' }, { tell: 'stay', why: full.message }],
    );
  });
});
