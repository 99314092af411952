/** What happens while `up` and a sidecar start: edits and SIGHUP are kept, failures leave their evidence, paths may be long. */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { ReloadRequests } from '../../../sidecar/cli/sidecar/reload-requests.js';
import { systemTimers } from '../../../sidecar/runtime/time/timers.js';
import { meshFile } from '../../kit/config/mesh-file.js';
import { afterTest } from '../../kit/mocha/after-test.js';
import { scratchForEach } from '../../kit/mocha/scratch.js';
import {
  Mesh,
  OUTRIDER,
  type Outcome,
  outcomeOf,
  outrider,
  runDirectories,
} from '../../kit/process/outrider.js';
import { isRunning, processesWith, until } from '../../kit/process/processes.js';
import { SidecarProcess, TINY_MODEL } from '../../kit/process/sidecars.js';

describe('the start of a mesh and of a sidecar', function () {
  this.timeout(90_000);

  const scratch = scratchForEach();
  const pids = new Set<number>();

  afterEach(() => {
    for (const pid of pids) if (isRunning(pid)) process.kill(pid, 'SIGKILL');
    pids.clear();
  });

  /** A service whose program the test writes. */
  const service = (
    command: readonly string[],
    model = '',
    more = '',
  ): string => `caller: { name: client, admin: "127.0.0.1:0", upstreams: { tiny: { listen: "127.0.0.1:0" } } }
services:
  tiny:
    command: ${JSON.stringify(command)}
    model: { env: { OUTRIDER_MODEL_LISTEN: "{address}" }${model} }
${more}`;

  it('of a mesh keeps an edit and a SIGHUP, and applies them once it has started', async () => {
    const flag = join(scratch.path, 'serve-now');
    const before = service([...TINY_MODEL, 'serving-when', flag]);
    const mesh = Mesh.start(before);
    afterTest(() => mesh.discard());
    await until('its sidecars start', () => mesh.events.some(({ event }) => event === 'model'), 60_000);
    mesh.signal('SIGHUP');
    const file = join(mesh.temporary, 'mesh.yaml');
    const changed = changeOf(file);
    writeFileSync(file, `${before}\n    queue: { max_waiting: 77 }\n`);
    // An editor's steps are waited for as `up` does: the change is noticed before the mesh is ready.
    await changed;
    writeFileSync(flag, '');
    await mesh.ready();
    const taken = await until('the edit is taken', () =>
      mesh.events.find(
        ({ event, changed }) => event === 'mesh-taken' && (changed as string[]).includes('tiny-1: reloaded'),
      ),
    );
    assert.equal(taken['event'], 'mesh-taken');
  });

  /** Resolves when a watcher like that of `up`, which begins now, has noticed a change. */
  function changeOf(file: string): Promise<void> {
    const requests = new ReloadRequests(file, systemTimers);
    afterTest(() => requests.close());
    const ignored = { onHangup: () => {}, onGone: () => {}, onProblem: () => {} };
    return new Promise((onChange) => requests.follow({ ...ignored, onChange }));
  }

  it('of a sidecar keeps an edit and a SIGHUP', async () => {
    const file = (level: string): string =>
      JSON.stringify({
        service: 'tiny',
        admin: '127.0.0.1:0',
        log: { level },
        outbound: {
          upstreams: { far: { listen: '127.0.0.1:0', tls: 'plaintext', endpoints: ['127.0.0.1:1'] } },
        },
      });
    const path = scratch.write('sidecar.yaml', file('info'));
    let child: ChildProcess | undefined;
    let early = 0;
    let started: SidecarProcess | undefined;
    const onStart = (each: SidecarProcess): void => {
      pids.add(each.pid);
      started = each;
      child = each.child;
    };
    const starting = SidecarProcess.start(path, { onStart });
    // As early as the process can have a handler, and on until it listens.
    const timer = setInterval(() => {
      if (existsSync(`/proc/${child!.pid}/status`) && catchesHangup(child!.pid!)) {
        if (started!.output === '') early++;
        child!.kill('SIGHUP');
      }
    }, 5);
    const sidecar = await starting.finally(() => clearInterval(timer));
    assert.ok(early > 0, 'none came before it listened');
    writeFileSync(path, file('info').replace('"127.0.0.1:1"', '"127.0.0.1:1","127.0.0.1:2"'));
    await until('it reads the file again', () => sidecar.output.includes('configuration reloaded'), 60_000);
    await until('the edit is in force', async () => (await sidecar.report()).endpoints.length === 2);
    assert.equal(await sidecar.stop(), 0);
  });

  /** Whether the process handles SIGHUP (bit 0 of SigCgt, proc(5)): before the program is loaded nothing can. */
  function catchesHangup(pid: number): boolean {
    const caught = /^SigCgt:\s*([0-9a-f]+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '0';
    return (BigInt(`0x${caught}`) & 1n) === 1n;
  }

  async function failing(text: string): Promise<Outcome & { readonly log: string }> {
    const outcome = await outrider(['up', scratch.write('mesh.yaml', text)], { TMPDIR: scratch.path });
    assert.equal(outcome.code, 1, outcome.stderr);
    assert.deepEqual(processesWith(scratch.path), []);
    assert.deepEqual(runDirectories(scratch.path), []);
    const path = /^outrider: the log of tiny-1: (.+)$/m.exec(outcome.stderr)?.[1];
    assert.ok(path !== undefined, outcome.stderr);
    assert.equal(statSync(dirname(path)).mode & 0o777, 0o700);
    return { ...outcome, log: readFileSync(path, 'utf8') };
  }

  it('that fails shows the last lines of the model, and keeps its log', async () => {
    const script = `for i in $(seq 1 30); do echo "step $i" >&2; done
printf 'ImportError: no module \\033[31mtorch\\n' >&2
exit 1`;
    const { stderr, log } = await failing(service(['sh', '-c', script]));
    assert.match(stderr, /^outrider: model of tiny-1: exited with code 1$/m);
    assert.match(stderr, /^outrider: {3}step 30\noutrider: {3}ImportError: no module \\u001b\[31mtorch$/m);
    assert.doesNotMatch(stderr, /step 10$/m);
    assert.match(log, /step 1\n/);
  });

  it('that exceeds start_timeout names it, and shows the last lines of the model', async () => {
    const script = 'echo loading weights >&2; exec sleep 3600';
    const { stderr } = await failing(service(['sh', '-c', script], ', start_timeout: 300ms'));
    assert.match(stderr, /^outrider: model of tiny-1: not ready within 0\.3 s .*`start_timeout`/m);
    assert.match(stderr, /^outrider: {3}loading weights$/m);
  });

  it('works in a temporary directory whose path is too long for a socket', async () => {
    const long = join(scratch.path, 'x'.repeat(100));
    mkdirSync(long);
    const places = () => readdirSync('/tmp').filter((name) => name.startsWith('outrider-up-'));
    const runtime = { TMPDIR: long, XDG_RUNTIME_DIR: '' };
    const args = ['up', '--json', scratch.write('mesh.yaml', meshFile())];
    const [command, ...rest] = [...OUTRIDER, ...args];
    const up = spawn(command!, rest, {
      env: { ...process.env, ...runtime },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    pids.add(up.pid!);
    const outcome = outcomeOf(up);
    let said = '';
    up.stdout.on('data', (part: string) => {
      said += part;
    });
    await until('it is ready', () => said.includes('"event":"up"') || up.exitCode !== null, 60_000);
    const mine = places().filter((name) => name.includes(`-${up.pid}-`));
    assert.equal(mine.length, 1, said);
    up.kill('SIGTERM');
    const { code, stderr } = await outcome;
    assert.equal(code, 0, stderr);
    assert.deepEqual(
      places().filter((name) => mine.includes(name)),
      [],
    );
  });

  it('of a model that was ready and says NOT_SERVING comes again after not_serving_timeout', async () => {
    const flag = scratch.write('serve-now', '');
    const file = {
      service: 'tiny',
      admin: '127.0.0.1:0',
      inbound: {
        listen: '127.0.0.1:0',
        mtls: 'off',
        local: `unix:${join(scratch.path, 'model.sock')}`,
        intentions: [{ from: '*', to: 'tiny', action: 'allow' }],
      },
      model: { not_serving_timeout: '500ms', start_timeout: '10m' },
    };
    const onStart = ({ pid }: SidecarProcess): void => void pids.add(pid);
    const model = [...TINY_MODEL, 'serving-when', flag];
    const path = scratch.write('sidecar.yaml', JSON.stringify(file));
    const sidecar = await SidecarProcess.start(path, { model, onStart });
    await sidecar.ready();
    const { pid } = (await sidecar.report()).model!;
    rmSync(flag);
    await until('it is killed', () => !isRunning(pid!), 20_000);
    await until('it is said', () => /it was ready and has not served for \d/.test(sidecar.output));
    writeFileSync(flag, '');
    await sidecar.ready();
    assert.ok((await sidecar.report()).model!.restarts >= 1);
    await sidecar.stop();
  });
});
