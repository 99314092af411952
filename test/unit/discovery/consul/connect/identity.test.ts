import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ConsulConfig } from '../../../../../sidecar/config/model.js';
import { ConnectIdentity } from '../../../../../sidecar/discovery/consul/connect/identity.js';
import type { Identity } from '../../../../../sidecar/identity/identity.js';
import { leafAnswer, rootsAnswer } from '../../../../kit/consul/connect-answers.js';
import { type Kit, kit } from '../../../../kit/consul/scripted-agent.js';
import { TestAuthority, type TestLeaf, TRUST_DOMAIN } from '../../../../kit/identity/certificates.js';
import { afterTest } from '../../../../kit/mocha/after-test.js';
import { scratchForTest } from '../../../../kit/mocha/scratch.js';

const ROOTS = '/agent/connect/ca/roots';
const LEAF = '/agent/connect/ca/leaf/digits';
const HOUR = 3_600_000;
const LONG = { notBeforeMs: Date.UTC(2025, 0, 1), notAfterMs: Date.UTC(2036, 0, 1) };
/** The beginning of the manual clock. */
const START = Date.UTC(2026, 0, 1);

/** Closed after the test. */
function rig(config: Partial<ConsulConfig> = {}) {
  const base = kit(config);
  const problems: string[] = [];
  const onProblem = (problem: string) => void problems.push(problem);
  const identity = new ConnectIdentity(base.watches, { ...base.deps, service: 'digits', onProblem });
  const told: Identity[] = [];
  identity.subscribe((next) => told.push(next));
  const close = (): void => {
    identity.close();
    base.close();
  };
  afterTest(close);
  return { ...base, identity, told, problems, close };
}

describe('ConnectIdentity', () => {
  let root: TestAuthority;
  let next: TestAuthority;
  /** Of `hours` from the manual clock's beginning. */
  const leafOf = (from: TestAuthority, hours = 10, service = 'digits') =>
    from.leaf({ service, notBeforeMs: START - 1000, notAfterMs: START + hours * HOUR - 1000 });

  /** Consul gives the first root, and a leaf: by default one of that root. */
  const issued = async (at: Kit['at'], leaf?: TestLeaf): Promise<void> => {
    await at(ROOTS).answer(7, rootsAnswer([root]));
    await at(LEAF).answer(7, leafAnswer(leaf ?? (await leafOf(root))));
  };

  before(async () => {
    root = await TestAuthority.root({ commonName: 'First root', ...LONG });
    next = await TestAuthority.root({ commonName: 'Next root', ...LONG });
  });

  it('an identity from Connect is there when leaf and roots are, in either order', async () => {
    const leaf = await leafOf(root);
    for (const order of [
      [LEAF, ROOTS],
      [ROOTS, LEAF],
    ]) {
      const { at, identity, told } = rig();
      assert.equal(identity.current(), undefined);
      assert.match(identity.status().problem!, /^Consul has given no leaf yet$/);
      for (const path of order)
        await at(path).answer(7, path === LEAF ? leafAnswer(leaf) : rootsAnswer([root]));
      const made = identity.current()!;
      assert.equal(made.id.service, 'digits');
      assert.deepEqual([told.length, told[0]], [1, made]);
      assert.equal(made.id.trustDomain, TRUST_DOMAIN);
      assert.deepEqual(identity.status(), { notAfterMs: made.notAfterMs });
    }
  });

  it('an identity from Connect trusts every root that is listed, the active one first', async () => {
    const { at, identity } = rig();
    await at(ROOTS).answer(7, rootsAnswer([root, next], { ActiveRootID: 'root-1' }));
    await at(LEAF).answer(7, leafAnswer(await leafOf(root)));
    assert.equal(identity.current()!.rootsPem, next.pem + root.pem);
  });

  it('an identity from Connect follows a rotation of the root step by step, and never hands out what does not fit', async () => {
    const { at, identity, told, problems } = rig();
    await issued(at);
    const before = identity.current()!;
    // The leaf of the new root overtakes the new list of roots.
    const cross = await leafOf(next);
    await at(LEAF).answer(9, leafAnswer(cross));
    assert.equal(identity.current(), before);
    await at(ROOTS).answer(9, rootsAnswer([next, root]));
    assert.equal(identity.current()!.certChainPem, cross.certChainPem);
    assert.equal(identity.current()!.rootsPem, next.pem + root.pem);
    await at(ROOTS).answer(12, rootsAnswer([next]));
    assert.equal(identity.current()!.rootsPem, next.pem);
    assert.deepEqual([told.length, problems], [3, []]);
  });

  it('an identity from Connect reports leaf and roots that do not fit for long, keeps the one before, and recovers when they fit', async () => {
    const { at, identity, clock, problems } = rig();
    await issued(at);
    const before = identity.current()!;
    await at(LEAF).answer(9, leafAnswer(await leafOf(next)));
    await clock.settle(4_900);
    assert.deepEqual(problems, []);
    await clock.settle(200);
    assert.equal(problems.length, 1);
    const [problem] = problems;
    assert.match(problem!, /^the leaf and roots from Consul are not usable, the one before stays in use: /);
    // The one before is good for long: nothing is kept from being ready.
    assert.deepEqual([identity.status().failure, identity.status().problem], [problem, undefined]);
    assert.equal(identity.current(), before);
    assert.equal(at(ROOTS).index, undefined, 'read afresh');
    await at(ROOTS).answer(9, rootsAnswer([next, root]));
    assert.equal(identity.status().failure, undefined);
    assert.notEqual(identity.current(), before);
  });

  const other = async () => ({ PrivateKeyPEM: (await leafOf(root)).keyPem });
  for (const [what, leaf, over, problem] of [
    ['of another service', () => leafOf(root, 10, 'web'), () => ({}), /expected the service "digits"/],
    ['that is over', () => leafOf(root, 0), () => ({}), /clock-expired/],
    ['with the key of another', () => leafOf(root), other, /key: does not belong to the certificate/],
  ] as const) {
    it(`an identity from Connect does not take a leaf ${what}`, async () => {
      const { at, identity, clock } = rig();
      await at(ROOTS).answer(7, rootsAnswer([root]));
      await at(LEAF).answer(7, leafAnswer(await leaf(), await over()));
      await clock.settle(6_000);
      assert.equal(identity.current(), undefined);
      assert.match(identity.status().problem!, problem);
    });
  }

  it('an identity from Connect takes an intermediate from the list of roots where the leaf comes without', async () => {
    const issuer = await root.intermediate(LONG);
    const leaf = await leafOf(issuer);
    const bare = leaf.certChainPem.slice(0, leaf.certChainPem.indexOf('-----END CERTIFICATE-----') + 26);
    const { at, identity } = rig();
    const answer = rootsAnswer([root]) as { Roots: { IntermediateCerts: unknown }[] };
    answer.Roots[0]!.IntermediateCerts = [issuer.pem];
    await at(ROOTS).answer(7, answer);
    await at(LEAF).answer(7, leafAnswer(leaf, { CertPEM: bare }));
    assert.equal(identity.current()!.certChainPem, bare + issuer.pem);
  });

  it('an identity from Connect leaves out a root that cannot be used, and reports which', async () => {
    const { at, identity, problems } = rig();
    const answer = rootsAnswer([root, next]) as { Roots: { RootCert: string }[] };
    answer.Roots[1]!.RootCert = 'nonsense';
    await at(ROOTS).answer(7, answer);
    await at(LEAF).answer(7, leafAnswer(await leafOf(root)));
    assert.equal(identity.current()!.rootsPem, root.pem);
    assert.deepEqual(problems, [
      'a root that Consul lists is not used: no root certificate found; expected PEM',
    ]);
  });

  it('an identity from Connect keeps what it has through garbage, and quotes none of it', async () => {
    const { at, identity, clock, log } = rig();
    const leaf = await leafOf(root);
    await issued(at, leaf);
    const before = identity.current();
    const wrong = ['{"CertPEM":1,"PrivateKeyPEM":{}}', '{"Roots":[]}'];
    const garbage = [leaf.keyPem, 'null', '[]', '{}', ...wrong, ''];
    for (const path of [LEAF, ROOTS]) {
      for (const [i, body] of garbage.entries()) {
        await at(path).answer(100 + i, body);
        await clock.settle(31_000);
      }
    }
    assert.equal(identity.current(), before);
    const secret = leaf.keyPem.split('\n')[1]!.slice(0, 10);
    assert.equal(JSON.stringify(log).includes(secret), false);
    assert.ok(JSON.stringify(log).includes('the leaf: the answer is not JSON'));
  });

  it('an identity from Connect is read again from half of its life on, with a warning from a fifth, and serves until its end', async () => {
    const { at, agent, identity, watches, clock, problems } = rig();
    await issued(at);
    const { certChainPem: CertPEM, keyPem: PrivateKeyPEM } = identity.current()!;
    const bodies: Record<string, object> = {
      [LEAF]: { CertPEM, PrivateKeyPEM },
      [ROOTS]: rootsAnswer([root]),
    };
    // The agent has nothing new, and says so at once to a fresh read.
    agent.onRead = (read) => {
      if (read.index === undefined) void read.answer(7, bodies[read.path]!);
    };
    const rereads = (): number => watches.statuses().find(({ name }) => name === 'leaf')!.rereads;
    const settled = async (ms: number): Promise<number> => {
      const from = rereads();
      for (let i = 0; i < ms / 60_000; i++) await clock.settle(60_000);
      return rereads() - from;
    };
    const fresh = await settled(4.9 * HOUR);
    const renewing = await settled(2.9 * HOUR);
    assert.deepEqual(problems, []);
    const low = await settled(2.1 * HOUR);
    assert.equal(problems.length, 1);
    assert.match(problems[0]!, /^our certificate expires in \d+ s; Consul has given no new one$/);
    assert.notEqual(identity.current(), undefined);
    const expired = await settled(0.2 * HOUR);
    assert.equal(problems.length, 2);
    assert.match(problems[1]!, /^our certificate expired at 2026-01-01T.*Z; Consul has given no new one$/);
    assert.equal(identity.status().problem, problems[1]);
    assert.ok(fresh === 0 && renewing >= 4 && renewing <= 8, `${fresh} fresh, ${renewing} renewing`);
    assert.ok(low >= 15 && low <= 30, `${low} low`);
    assert.ok(expired >= 100, `${expired} expired`);
    agent.onRead = undefined;
    const renewed = await leafOf(root, 20);
    await at(LEAF).answer(20, leafAnswer(renewed));
    assert.equal(identity.current()!.certChainPem, renewed.certChainPem);
    assert.deepEqual(Object.keys(identity.status()), ['notAfterMs']);
  });

  it('an identity from Connect warns at once of a leaf with little of its life left', async () => {
    const { at, problems, identity } = rig();
    const times = { notBeforeMs: START - 9 * HOUR, notAfterMs: START + HOUR };
    const old = await root.leaf({ service: 'digits', ...times });
    await issued(at, old);
    assert.deepEqual(problems, ['our certificate expires in 3599 s; Consul has given no new one']);
    assert.equal(identity.status().warning, problems[0]);
    assert.equal(identity.status().problem, undefined, 'it still works');
  });

  it('an identity from Connect outlives a restart with its key only where the file says so', async () => {
    const leaf = await leafOf(root);
    const dir = scratchForTest().path;
    const hasKey = (cache: string) =>
      readdirSync(cache).some((file) => readFileSync(join(cache, file), 'utf8').includes('PRIVATE KEY'));
    for (const keys of [true, false]) {
      const cache = { dir: join(dir, String(keys)), keys };
      const first = rig({ cache });
      await issued(first.at, leaf);
      first.close();
      assert.equal(hasKey(cache.dir), keys);
      const second = rig({ cache });
      for (const path of [ROOTS, LEAF]) await second.at(path).break('unreachable', 'connection refused');
      assert.equal(second.identity.current()?.certChainPem, keys ? leaf.certChainPem : undefined);
      if (!keys) assert.match(second.identity.status().problem!, /no leaf yet: .*connection refused/);
      second.close();
    }
    // Taken back: the key leaves the disk at once.
    rig({ cache: { dir: join(dir, 'true'), keys: false } }).close();
    assert.equal(hasKey(join(dir, 'true')), false);
  });

  it('an identity from Connect leaves no timer or query behind when closed', async () => {
    const { at, identity, watches, clock } = rig();
    await issued(at, await leafOf(next));
    identity.close();
    watches.close();
    await clock.settle();
    assert.equal(clock.pending(), 0);
  });
});
