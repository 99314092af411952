/**
 * A sidecar before an application is followed by another process under load: by its admin port, by SIGUSR2, and under a
 * service manager that holds its sockets.
 */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { Load, type SentCall } from '../chaos/faults-load.js';
import { Model } from '../chaos/models.js';
import { admin, OUTRIDER, Scratch } from '../support/outrider.js';
import { isRunning, until } from '../support/processes.js';

const PER_SECOND = 200;

describe('a sidecar that another takes over from', function () {
  this.timeout(60_000);

  let scratch: Scratch;
  let model: Model;
  let load: Load | undefined;
  const pids = new Set<number>();

  beforeEach(async () => {
    scratch = new Scratch();
    model = await Model.start({ serviceMs: 5, log: join(scratch.path, 'model.log') });
  });

  afterEach(async () => {
    await load?.stop();
    load = undefined;
    for (const pid of pids) if (isRunning(pid)) process.kill(pid, 'SIGKILL');
    pids.clear();
    await model.kill();
    scratch.remove();
  });

  const file = (): string =>
    scratch.write(
      'sidecar.yaml',
      `service: web
admin: 127.0.0.1:0
log: { level: info }
outbound:
  upstreams:
    far: { listen: "127.0.0.1:0", tls: plaintext, endpoints: ["127.0.0.1:${model.port}"] }
`,
    );

  /** Resolves with where it listens. */
  async function start(): Promise<{ child: ChildProcess; admin: string; far: string }> {
    const [program, ...rest] = [...OUTRIDER, 'sidecar', '-c', file()];
    const child = spawn(program!, rest, { stdio: ['ignore', 'pipe', 'inherit'] });
    pids.add(child.pid!);
    let said = '';
    child.stdout!.setEncoding('utf8').on('data', (part: string) => {
      said += part;
    });
    const at = (what: string) => new RegExp(`${what} on (\\S+?)[,\\s]`).exec(said)?.[1];
    const where = await until(
      'it says where it listens',
      () => at('admin') !== undefined && at('upstream far'),
    );
    return { child, admin: at('admin')!, far: where as string };
  }

  it('loses no call of 200 a second, ten times in a row', async () => {
    const first = await start();
    load = await Load.start({ target: first.far, perSecond: PER_SECOND, deadlineMs: 2_000, isStock: true });
    const fromMs = performance.now();
    let before = first.child.pid!;
    for (let i = 0; i < 10; i++) {
      const { status, body } = await admin(first.admin, '/takeover', 'POST');
      assert.equal(status, 200, body);
      const pid = Number(/process (\d+)/.exec(body)![1]);
      pids.add(pid);
      await until('the predecessor has ended', () => !isRunning(before));
      assert.ok(isRunning(pid));
      before = pid;
    }
    const calls = await load.between(fromMs, performance.now());
    assertNoneFailed(calls);
    assert.ok(calls.length > PER_SECOND);
  });
});

function assertNoneFailed(calls: readonly SentCall[]): void {
  const failed = calls.filter(({ failure }) => failure !== undefined);
  const first = failed
    .slice(0, 3)
    .map(({ failure, sentMs, tookMs }) => `${failure} at ${sentMs} after ${tookMs}`);
  assert.equal(failed.length, 0, `${failed.length} of ${calls.length} failed: ${first.join('; ')}`);
}
