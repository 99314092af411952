/**
 * Ten rolling restarts of each kind, on a real Consul and under load of every kind: unary calls, calls of 600 KB and streams.
 * In `.ci/nightly`, because it takes minutes; `test/e2e/sidecar/takeover` and `outrider chaos rolling-restart` are the short ones.
 */

import { RollingLoad } from '../../drills/rolling/rolling-load.js';
import { type Place, RollingMesh } from '../../drills/rolling/rolling-mesh.js';
import { consulOrSkip } from '../../kit/consul/consul.js';
import { until } from '../../kit/process/processes.js';

/** Ends of a process that come within a minute of each other count as deaths in a row: the wait before the next start grows to 30 s. */
const RESTARTED_MS = 60_000;
const TIMES = Number(process.env['OUTRIDER_RESTARTS'] ?? 10);

describe('rolling restarts under load', function () {
  this.timeout(600_000);
  let mesh: RollingMesh;
  let load: RollingLoad;

  before(async function () {
    await consulOrSkip(this);
    mesh = await RollingMesh.start();
  });
  beforeEach(async () => {
    load = await RollingLoad.start({ target: mesh.target });
  });
  afterEach(() => load?.stop());
  after(() => mesh?.close());

  /** Each place in turn, so many times; the next one when calls of every kind have gone on. */
  const rolling = async (
    places: readonly Place[],
    restart: (place: Place) => Promise<void>,
  ): Promise<void> => {
    const startedMs = performance.now();
    for (let i = 0; i < TIMES; i++)
      for (const place of places) {
        await restart(place);
        await load.goesOn();
      }
    const tookS = Math.round((performance.now() - startedMs) / 1000);
    process.stdout.write(`      ${TIMES} times in ${tookS} s: ${await load.noneFailed()}\n`);
  };
  const modelOf = async (place: Place) => (await place.report()).model!;

  it('of the models, told by SIGTERM: no call fails', () =>
    rolling(mesh.replicas, async (place) => {
      const { pid } = await modelOf(place);
      process.kill(pid!, 'SIGTERM');
      await until(
        `the model of ${place.name} is another one`,
        async () => {
          const now = await modelOf(place);
          return now.pid !== pid && now.state === 'ready';
        },
        RESTARTED_MS,
      );
      await place.ready();
      // The next one would be the last that the caller has: its trials of this one are seconds apart by now.
      await until(
        `the caller takes ${place.name} for one that serves`,
        async () => (await mesh.caller.report()).endpoints.every(({ state }) => state === 'eligible'),
        RESTARTED_MS,
      );
    }));

  it("of the replicas' sidecars, ended and started again: no call fails", () =>
    rolling(mesh.replicas, (place) => place.restart()));

  it("of the replicas' sidecars, by --takeover: no call fails", () =>
    rolling(mesh.replicas, (place) => place.takeOver()));

  it("of the caller's sidecar, by --takeover: no call fails", () =>
    rolling([mesh.caller], (place) => place.takeOver()));
});
