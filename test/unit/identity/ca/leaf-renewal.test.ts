import assert from 'node:assert/strict';
import { lstatSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { LeafRenewal } from '../../../../sidecar/identity/ca/leaf-renewal.js';
import { type IssuedLeaf, LocalCa } from '../../../../sidecar/identity/ca/local-ca.js';
import type { Identity, IdentityPaths } from '../../../../sidecar/identity/identity.js';
import { FileIdentitySource } from '../../../../sidecar/identity/sources/file-source.js';
import { scratchForEach } from '../../../kit/mocha/scratch.js';
import { ManualClock } from '../../../kit/time/manual-clock.js';
import { seeded } from '../../../kit/time/seeded-random.js';

const TRUST_DOMAIN = 'local.outrider';
const HOUR_MS = 3_600_000;

describe('the local issuer', () => {
  const scratch = scratchForEach();
  let clock: ManualClock;
  let ca: LocalCa;
  let issuer: LeafRenewal;
  let problems: string[];

  beforeEach(async () => {
    clock = new ManualClock(0, Date.UTC(2027, 0, 1));
    problems = [];
    const wallNow = () => clock.wallNow();
    ca = await LocalCa.create({ trustDomain: TRUST_DOMAIN, datacenter: 'dc1', wallNow });
    issuer = issuerIn('identity');
  });
  afterEach(async () => {
    await issuer.close();
    assert.equal(clock.pending(), 0);
  });

  function issuerIn(folder: string, leafLifetimeMs?: number): LeafRenewal {
    const onProblem = (problem: string) => problems.push(problem);
    const time = { clock, timers: clock, random: seeded(7) };
    const lifetime = leafLifetimeMs === undefined ? {} : { leafLifetimeMs };
    return new LeafRenewal({ ca, directory: join(scratch.path, folder), ...time, onProblem, ...lifetime });
  }

  function open(paths: IdentityPaths, service = 'digits') {
    return new FileIdentitySource({ paths, trustDomain: TRUST_DOMAIN, service, clock, timers: clock });
  }

  /** Turns of the event loop until the condition holds: files are written by the operating system, not by the clock. */
  async function until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise(setImmediate);
  }

  it('writes a set that a sidecar accepts, which no other user can read', async () => {
    const paths = await issuer.add('digits', 'digits-1');
    const source = open(paths);
    assert.equal(source.current().id.service, 'digits');
    source.close();
    const mode = (path: string) => statSync(path).mode & 0o777;
    assert.deepEqual([paths.cert, paths.key, paths.roots].map(mode), [0o600, 0o600, 0o600]);
    const folder = join(scratch.path, 'identity');
    assert.deepEqual([folder, join(folder, 'digits-1')].map(mode), [0o700, 0o700]);
    assert.ok(lstatSync(join(folder, 'digits-1', '..data')).isSymbolicLink());
  });

  it('issues a leaf again for which there was no place', async () => {
    scratch.write('identity', 'a file where the directory should be');
    await assert.rejects(issuer.add('digits', 'digits-1'), { code: 'EEXIST' });
    rmSync(join(scratch.path, 'identity'));
    const paths = await issuer.add('digits', 'digits-1');
    assert.match(readFileSync(paths.cert, 'utf8'), /BEGIN CERTIFICATE/);
    await assert.rejects(issuer.add('digits', 'digits-1'), /issued twice/);
  });

  it('renews leaves at once when the clock is set back, for they are not valid yet then', async () => {
    await issuer.add('digits', 'digits-1');
    const sets: number[] = [];
    issuer.onSet((instance) => sets.push((issuer.current(instance) as IssuedLeaf).notAfterMs));
    const ofDay = Date.UTC(2026, 0, 1);
    clock.wallNow = () => ofDay + clock.now();
    for (let i = 0; i < 2; i++) {
      clock.advance(11_000);
      await until(() => sets.length > 0);
    }
    assert.equal(sets.length, 1);
    assert.ok(Math.abs(sets[0]! - ofDay - HOUR_MS) < 30_000, String(sets));
  });

  it('forgets a sidecar that is gone, with its key on the disk, and issues it again if it comes back', async () => {
    await issuer.add('digits', 'digits-1');
    await issuer.add('digits', 'digits-2');
    let issued = 0;
    const issue = ca.issueLeaf.bind(ca);
    ca.issueLeaf = (...args) => {
      issued++;
      return issue(...args);
    };
    const told: string[] = [];
    issuer.onSet((instance) => told.push(instance));
    // It is removed in the middle of a renewal.
    const renewing = issuer.renewAll();
    await issuer.remove('digits-2');
    await renewing;
    assert.equal(clock.pending(), 1, 'the timer of the one that stays');
    assert.deepEqual(readdirSync(join(scratch.path, 'identity')), ['digits-1']);
    assert.equal(issuer.current('digits-2'), undefined);
    [issued, told.length] = [0, 0];
    await issuer.renewAll();
    assert.deepEqual([issued, told], [1, ['digits-1']]);
    const paths = await issuer.add('digits', 'digits-2');
    assert.match(readFileSync(paths.cert, 'utf8'), /BEGIN CERTIFICATE/);
    await issuer.remove('no-such');
    assert.deepEqual(problems, []);
  });

  it('renews at 50 to 70 % of the life of a leaf, not all at once', async () => {
    for (let i = 0; i < 8; i++) await issuer.add('digits', `digits-${i}`);
    const times: number[] = [];
    const issue = ca.issueLeaf.bind(ca);
    ca.issueLeaf = (...args) => {
      times.push(clock.now() / HOUR_MS);
      return issue(...args);
    };
    const renewed: string[] = [];
    issuer.onSet((instance) => renewed.push(instance));
    while (times.length < 8) await clock.settle(1_000);
    await until(() => renewed.length === 8);
    assert.ok(Math.min(...times) >= 0.5 && Math.max(...times) <= 0.7, `${times}`);
    assert.ok(new Set(times).size > 4);
  });

  it('renews within ten seconds what is due by a wall clock that has jumped, as after a suspended machine', async () => {
    await issuer.add('digits', 'digits-1');
    const before = issuer.current('digits-1');
    const wallNow = clock.wallNow.bind(clock);
    await clock.settle(60_000);
    assert.equal(issuer.current('digits-1'), before);
    clock.wallNow = () => wallNow() + 12 * HOUR_MS;
    clock.advance(11_000);
    await until(() => issuer.current('digits-1') !== before);
    assert.ok(issuer.current('digits-1') !== undefined);
    // Once, although it was due long ago.
    const after = issuer.current('digits-1');
    await clock.settle(60_000);
    assert.equal(issuer.current('digits-1'), after);
  });

  it('issues a leaf of ten seconds that is not taken for one that runs out', async () => {
    const brief = issuerIn('brief', 10_000);
    const source = open(await brief.add('digits', 'digits-1'));
    clock.advance(6_900); // renewal comes at 70 % at the latest
    assert.equal(source.status().problem, undefined);
    source.close();
    await brief.close();
  });

  it('is followed by a watching source, leaf after leaf', async () => {
    const source = open(await issuer.add('digits', 'digits-1'));
    const serials: string[] = [source.current().serial];
    source.subscribe((identity: Identity) => serials.push(identity.serial));
    for (let i = 0; i < 5; i++) {
      await issuer.renewAll();
      source.refresh();
    }
    assert.equal(new Set(serials).size, 6);
    assert.equal(source.status().problem, undefined);
    source.close();
  });

  it('keeps two sets on disk and no more', async () => {
    await issuer.add('digits', 'digits-1');
    for (let i = 0; i < 5; i++) await issuer.renewAll();
    const names = readdirSync(join(scratch.path, 'identity', 'digits-1')).sort();
    assert.deepEqual(names, ['..data', '..set-5', '..set-6', 'cert.pem', 'key.pem', 'roots.pem']);
  });

  it('keeps a set that cannot be written, tells it at once, says so once, and writes it with backoff', async () => {
    const paths = await issuer.add('digits', 'digits-1');
    const cert = () => readFileSync(paths.cert, 'utf8');
    const before = cert();
    const told: string[] = [];
    issuer.onSet((instance, { certChainPem }) => told.push(`${instance} ${certChainPem}`));
    // Files where the next two sets would have to go.
    for (const name of ['..set-2', '..set-3']) scratch.write(`identity/digits-1/${name}`, '');
    await issuer.renewAll();
    const kept = issuer.current('digits-1')!.certChainPem;
    assert.notEqual(kept, before);
    assert.deepEqual(told, [`digits-1 ${kept}`]);
    assert.match(problems[0] ?? '', /new certificate of digits-1 cannot be written and is kept .*: EEXIST/);
    assert.equal(cert(), before);
    const firstWaitMs = clock.nextDueMs() - clock.now();
    assert.ok(firstWaitMs >= 500 && firstWaitMs <= 1_000, `${firstWaitMs}`);
    clock.advance(firstWaitMs);
    await until(() => clock.pending() === 2);
    const secondWaitMs = clock.nextDueMs() - clock.now();
    assert.ok(secondWaitMs >= 1_000 && secondWaitMs <= 2_000, `${secondWaitMs}`);
    assert.equal(cert(), before);
    clock.advance(secondWaitMs);
    await until(() => cert() !== before);
    assert.equal(cert(), kept);
    assert.equal(problems.length, 1);
    assert.equal(told.length, 1);
  });

  it('says when a leaf cannot be issued, and tries again with backoff', async () => {
    const paths = await issuer.add('digits', 'digits-1');
    const before = readFileSync(paths.cert, 'utf8');
    const issue = ca.issueLeaf.bind(ca);
    ca.issueLeaf = () => Promise.reject(new Error('no entropy'));
    await issuer.renewAll();
    assert.deepEqual(problems, ['certificate of digits was not renewed: no entropy']);
    ca.issueLeaf = issue;
    clock.advance(clock.nextDueMs() - clock.now());
    await until(() => readFileSync(paths.cert, 'utf8') !== before);
  });

  it('tries every second once a leaf has ended, however long the authority was away', async () => {
    const hurried = issuerIn('hurried', 60_000);
    await hurried.add('digits', 'digits-1');
    const issue = ca.issueLeaf.bind(ca);
    ca.issueLeaf = () => Promise.reject(new Error('away'));
    const waits: number[] = [];
    while (problems.length === 0) await clock.settle(1_000);
    let failures = 1;
    // The wait grows while there is time, and shrinks with what is left of it.
    while (clock.now() < 120_000) {
      const waitMs = clock.nextDueMs() - clock.now();
      waits.push(waitMs);
      clock.advance(waitMs);
      failures += 1;
      await until(() => problems.length === failures && clock.pending() === 1);
    }
    assert.ok(Math.max(...waits.slice(1)) > 1_500, `${waits}`);
    assert.ok(
      waits.slice(-20).every((waitMs) => waitMs <= 1_000),
      `${waits}`,
    );
    const ended = hurried.current('digits-1');
    ca.issueLeaf = issue;
    clock.advance(clock.nextDueMs() - clock.now());
    await until(() => hurried.current('digits-1') !== ended);
    await hurried.close();
  });

  it('refuses a name that would leave its directory, and the same name twice', async () => {
    for (const name of ['../x', 'a/b', '', '..', '.hidden'])
      await assert.rejects(issuer.add('digits', name), /not a directory name/, name);
    await issuer.add('digits', 'digits-1');
    await assert.rejects(issuer.add('digits', 'digits-1'), /issued twice/);
  });
});
