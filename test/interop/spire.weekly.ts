/**
 * Two sidecars whose certificates come from a real SPIRE, server and agent, under calls: `npm run try:spire`. Go builds both the first time,
 * in ten minutes. One process of each kind: the entries of both services fit both sidecars, so that each gets two SVIDs and takes its own.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeAddress } from '../../sidecar/config/codecs/address.js';
import { Load } from '../drills/faults/load.js';
import { Model } from '../drills/faults/model.js';
import { Spire } from '../kit/identity/spire.js';
import { outrider } from '../kit/process/outrider.js';
import { until } from '../kit/process/processes.js';
import { SidecarBench, type SidecarProcess } from '../kit/process/sidecars.js';
import { toolOrSkip } from '../kit/process/tools.js';

const DOMAIN = 'mesh.example';
const IDS = { '/ns/ml/sa/digits': 'digits', '/ns/web/sa/frontend': 'web' } as const;
/** A new SVID after half of it. */
const TTL_S = 24;
const PER_SECOND = 10;
const LIMIT_MS = 90_000;

describe('SPIRE', function () {
  this.timeout(240_000);
  const folder = mkdtempSync(join(tmpdir(), 'spire-'));
  let spire: Spire | undefined;
  let bench: SidecarBench;
  let model: Model;
  let load: Load;
  let sidecars: SidecarProcess[] = [];
  const entries: string[] = [];
  let file: string;

  before(async function () {
    const programs = await toolOrSkip(this, 'spire');
    this.timeout(240_000);
    spire = await Spire.start(programs, folder, { trustDomain: DOMAIN, ttlS: TTL_S });
    bench = await SidecarBench.open();
    model = await Model.start({ serviceMs: 1 });
    const ids = Object.fromEntries(
      Object.entries(IDS).map(([path, name]) => [`spiffe://${DOMAIN}${path}`, name]),
    );
    const common = { trust_domain: DOMAIN, identity: { spire: `unix://${spire.agentSocket}`, ids } };
    const digits = await bench.start('digits', {
      ...{ service: 'digits', ...common },
      inbound: {
        listen: '127.0.0.1:0',
        local: model.address,
        intentions: [{ from: 'web', to: 'digits', action: 'allow' }],
      },
    });
    const endpoints = [writeAddress(digits.address('inbound'))];
    const upstreams = { digits: { listen: '127.0.0.1:0', endpoints } };
    const caller = { service: 'web', ...common, outbound: { upstreams } };
    const web = await bench.start('web', caller);
    file = join(bench.directory, 'web.yaml');
    sidecars = [digits, web];
    const { text } = await web.page('/ready');
    assert.match(text, /has no SVID for this process \(PERMISSION_DENIED: no identity issued\)/);
    for (const path of Object.keys(IDS)) entries.push(await spire.register(path, process.getuid!()));
    await Promise.all(sidecars.map((each) => each.ready(60_000)));
    const target = writeAddress(web.address('upstream digits'));
    load = await Load.start({ target, perSecond: PER_SECOND, deadlineMs: 20_000 });
  });
  after(async () => {
    await load?.stop();
    await bench?.close();
    model?.kill();
    await spire?.close();
    rmSync(folder, { recursive: true, force: true });
  });
  afterEach(function () {
    if (this.currentTest?.state !== 'failed') return;
    process.stderr.write(`${spire?.log('agent')}\n${sidecars.map(({ output }) => output).join('\n')}\n`);
  });

  const rotations = () =>
    Promise.all(sidecars.map((each) => each.metric('outrider_identity_rotations_total')));
  /** Until each sidecar has had so many more new certificates. */
  async function rotated(times: number): Promise<void> {
    const before = await rotations();
    const isDone = async () => (await rotations()).every((count, i) => count >= before[i]! + times);
    await until('certificates are replaced', isDone, LIMIT_MS);
  }
  /** Calls during `act`, and those of them that failed; said in the report. */
  async function counted(what: string, act: () => Promise<unknown>): Promise<number> {
    const [sent, failed] = [load.sent, load.failures.length];
    await act();
    await until('calls go on', () => load.sent > sent + PER_SECOND);
    const failures = load.failures.slice(failed);
    process.stderr.write(`      ${what}: ${load.sent - sent} calls, ${failures.length} failed\n`);
    for (const { failure } of failures) assert.match(failure!, /UNAVAILABLE/);
    return failures.length;
  }
  const pause = (seconds: number) => {
    const from = load.sent;
    return until('time passes', () => load.sent >= from + seconds * PER_SECOND, LIMIT_MS);
  };
  const noneFails = () =>
    until(
      'no call fails',
      async () => {
        const failed = load.failures.length;
        await pause(1);
        return load.failures.length === failed;
      },
      LIMIT_MS,
    );

  it('gives each sidecar its own SVID of two, which outrider check names', async () => {
    const { stdout } = await outrider(['check', '--mesh', file]);
    assert.match(stdout, /unix:.*agent.sock: spiffe:\/\/mesh.example\/ns\/web\/sa\/frontend, ends in 1 min/);
  });

  it('rotates under calls, and loses none', async () => {
    assert.equal(await counted('three rotations', () => rotated(3)), 0);
  });

  it('is killed and comes back: no call is lost, and certificates are replaced again', async () => {
    const failed = await counted('the agent away for 6 s', async () => {
      // Just after a rotation, so that the certificates last.
      await rotated(1);
      await spire!.kill('agent');
      await pause(6);
      await spire!.startAgent();
      await rotated(1);
    });
    assert.equal(failed, 0);
  });

  it('has no server past the end of the certificates: calls are refused, and answered once it is back', async () => {
    await rotated(1);
    await spire!.kill('server');
    const failed = await counted('the server away', async () => {
      await until('calls are refused', () => load.failures.length > PER_SECOND, LIMIT_MS);
      await spire!.startServer();
      await noneFails();
    });
    assert.ok(failed > 0);
    for (const sidecar of sidecars) await sidecar.ready(30_000);
  });

  it('withdraws an id: no call is lost while the certificate is valid, and every one is refused after that', async () => {
    await rotated(1);
    for (const id of entries) await spire!.withdraw(id);
    const ends = Math.min(
      ...(await Promise.all(sidecars.map((each) => each.metric('outrider_identity_expires_seconds')))),
    );
    const valid = Math.floor(ends) - 2;
    assert.ok(valid > 5, `${valid} s`);
    assert.equal(await counted(`withdrawn, ${valid} s of validity`, () => pause(valid - 1)), 0);
    const failed = load.failures.length;
    await counted('after the end', async () => {
      await until('calls are refused', () => load.failures.length > failed, LIMIT_MS);
      await pause(2);
    });
    const answered = load.answered;
    await pause(3);
    assert.equal(load.answered, answered, 'none is answered');
    const [web] = sidecars.slice(1);
    assert.match(web!.output, /PERMISSION_DENIED|none of|cannot be used|gives no usable SVID/);
    entries.length = 0;
    for (const path of Object.keys(IDS)) entries.push(await spire!.register(path, process.getuid!()));
    await noneFails();
  });
});
