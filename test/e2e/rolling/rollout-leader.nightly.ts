/**
 * The sidecar that leads a rollout is killed in every state of it, on a real Consul and under load: another one goes on from what
 * is stored. In `.ci/nightly`, because a lock in Consul outlives its holder by up to half a minute.
 */
import assert from 'node:assert/strict';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import type { ModelInferRequest } from '../../../proto/messages.js';
import { isOver, type RolloutPhase, type RolloutRecord } from '../../../sidecar/core/models/rollout.js';
import { readRollout } from '../../../sidecar/core/models/rollout-format.js';
import { RollingLoad } from '../../drills/rolling/rolling-load.js';
import { type Place, RollingMesh, SERVICE } from '../../drills/rolling/rolling-mesh.js';
import { consulOrSkip } from '../../kit/consul/consul.js';
import { until } from '../../kit/process/processes.js';
import { putOddVersion } from '../../kit/service/odd-version.js';

const PREFIX = `/kv/outrider/rollout/${SERVICE}`;
/** For another one to lead: what Consul takes for a session that is over, twice its time of 15 s at most. */
const LEADER_MS = 40_000;
const OVER_MS = 120_000;
const PLACES = ['first', 'second'] as const;

describe('the leader of a rollout that is killed', function () {
  this.timeout(240_000);
  let mesh: RollingMesh;
  let load: RollingLoad;
  let version = 1;

  before(async function () {
    await consulOrSkip(this);
    mesh = await RollingMesh.start({
      rollout: { samples: 30, window: '3s', follow: false, canary: 0.2 },
      retryOn: ['unavailable', 'internal'],
    });
  });
  beforeEach(async () => {
    load = await RollingLoad.start({ target: mesh.target, request });
  });
  afterEach(() => load?.stop());
  after(() => mesh?.close());

  const record = async (): Promise<RolloutRecord | undefined> => {
    const found = await mesh.consul.api<string>('GET', `${PREFIX}/record?raw`).catch(() => undefined);
    return readRollout(found);
  };
  /** The place that leads; undefined: none does. */
  const leader = async (): Promise<Place | undefined> => {
    const [entry] = await mesh.consul
      .api<{ Value: string; Session?: string }[]>('GET', `${PREFIX}/leader`)
      .catch(() => []);
    if (entry?.Session === undefined) return undefined;
    const name = JSON.parse(Buffer.from(entry.Value, 'base64').toString()) as string;
    return mesh.replicas.find((place) => place.name === name);
  };
  const served = async (place: Place): Promise<string> => {
    const { lives = [] } = await place.report();
    const told = lives.filter(({ state }) => state === 'serving' || state === 'draining');
    return told.map(({ version: each, state }) => `${each} ${state}`).join();
  };
  const command = (...args: string[]) => {
    const place = mesh.replicas[0]!;
    return place.command('rollout', ...args, '--admin', place.admin);
  };
  const begin = async (more: readonly string[] = []): Promise<string> => {
    const { code, stderr } = await command(
      SERVICE,
      '--model',
      'digits',
      '--version',
      `${version}`,
      ...more,
      '--detach',
    );
    assert.equal(code, 0, stderr);
    return `${version}`;
  };
  const putGood = () => {
    const [from, to] = [join(mesh.model, '1'), join(mesh.model, `${++version}`)];
    cpSync(from, to, { recursive: true });
  };
  /** Kills the leader as soon as the record is as `is` says; what it was then. */
  const killWhen = async (
    is: (now: RolloutRecord) => boolean,
  ): Promise<{ killed: Place; at: RolloutRecord }> => {
    const [killed, at] = await until(
      'the state in which the leader is killed',
      async () => {
        const [now, leads] = await Promise.all([record(), leader()]);
        return now?.version === `${version}` && is(now) && leads !== undefined && ([leads, now] as const);
      },
      60_000,
    );
    await killed.kill();
    return { killed, at };
  };
  /** Another place leads while the one that was killed stays away; then that comes back. */
  const isFollowed = async (killed: Place): Promise<number> => {
    const sinceMs = performance.now();
    await until(
      'another one leads, or it is over',
      async () => {
        const [now, leads] = await Promise.all([record(), leader()]);
        return (leads !== undefined && leads !== killed) || (now !== undefined && isOver(now));
      },
      LEADER_MS,
    );
    const tookS = (performance.now() - sinceMs) / 1000;
    await killed.start();
    return tookS;
  };
  const ends = async (state: string, serving: string): Promise<void> => {
    const now = await until(
      'it is over',
      async () => {
        const found = await record();
        return found !== undefined && isOver(found) && found;
      },
      OVER_MS,
    );
    assert.equal(now.state, state, now.why);
    for (const place of mesh.replicas)
      await until(
        `${place.name} serves ${serving} alone`,
        async () => (await served(place)) === `${serving} serving`,
        60_000,
      );
  };
  /** A stream of several requests cannot go on elsewhere when its sidecar is killed: that one may end with a status, no other call. */
  const tell = async (what: string, tookS: number): Promise<void> => {
    await load.goesOn();
    await load.stop();
    const broken = load.failures.filter((line) => /^stream: UNAVAILABLE connection-lost/.test(line));
    assert.deepEqual(
      load.failures.filter((line) => !broken.includes(line)),
      [],
      load.summary,
    );
    assert.ok(broken.length <= 1, broken.join());
    const streams = `${broken.length} of them a stream at the killed sidecar`;
    process.stdout.write(
      `      ${what}: followed after ${tookS.toFixed(1)} s; ${load.summary}, ${streams}\n`,
    );
  };
  const phaseOf = ({ replicas }: RolloutRecord, place: number): RolloutPhase | undefined =>
    replicas.filter(({ instance }) => mesh.replicas.some(({ name }) => name === instance))[place]?.phase;

  for (const [place, which] of PLACES.entries())
    for (const phase of ['loading', 'shadow', 'canary', 'watching'] as const)
      it(`in the phase ${phase} of the ${which} replica is followed by another, and every replica serves the version`, async () => {
        putGood();
        await begin();
        const { killed, at } = await killWhen(
          (now) => now.state === 'running' && phaseOf(now, place) === phase,
        );
        const tookS = await isFollowed(killed);
        await ends('done', `${version}`);
        await tell(`${killed.name} in ${phase} of ${at.replicas[place]!.instance}`, tookS);
      });

  it('while it is paused is followed by another, which goes on when it is told to', async () => {
    putGood();
    await begin();
    await until('it is compared', async () => phaseOf((await record())!, 0) === 'shadow', 60_000);
    const paused = await command('pause', SERVICE);
    assert.equal(paused.code, 0, paused.stderr);
    const { killed } = await killWhen((now) => now.state === 'paused');
    const tookS = await isFollowed(killed);
    assert.equal((await record())!.state, 'paused');
    const resumed = await command('resume', SERVICE);
    assert.equal(resumed.code, 0, resumed.stderr);
    await ends('done', `${version}`);
    await tell(`${killed.name} while paused`, tookS);
  });

  it('while replicas go back is followed by another, and every replica serves the version before', async () => {
    const before = `${version}`;
    putOddVersion(mesh.model, '1', `${++version}`, 'fails-later');
    // Long enough for calls to fail in it.
    await begin(['--window', '8s']);
    const { killed } = await killWhen((now) => now.state === 'rolling-back');
    const tookS = await isFollowed(killed);
    await ends('rolled-back', before);
    await tell(`${killed.name} on the way back`, tookS);
  });
});

/** Blank pictures alone make the version fail that is taken back. */
const BLANK: ModelInferRequest = {
  model_name: 'digits',
  inputs: [{ name: 'pixels', datatype: 'FP32', shape: ['1', '784'] }],
  raw_input_contents: [new Uint8Array(784 * 4)],
};
const request = (): ModelInferRequest => BLANK;
