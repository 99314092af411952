import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { MessageWriter } from '../../../../sidecar/codec/protobuf.js';
import { Status } from '../../../../sidecar/core/outcome/status.js';
import type { Identity } from '../../../../sidecar/identity/identity.js';
import { MappedIds } from '../../../../sidecar/identity/mapped-ids.js';
import { SpireIdentitySource } from '../../../../sidecar/identity/spire/spire-source.js';
import type { WorkloadApi, WorkloadEvents } from '../../../../sidecar/identity/spire/workload-api.js';
import { certificatesFromPem } from '../../../../sidecar/identity/x509/pem.js';
import { spiffeUri, TestAuthority, type TestLeaf, TRUST_DOMAIN } from '../../../kit/identity/certificates.js';
import { afterTest } from '../../../kit/mocha/after-test.js';
import { ManualClock } from '../../../kit/time/manual-clock.js';
import { seeded } from '../../../kit/time/seeded-random.js';

const MINUTE = 60_000;
/** The beginning of the manual clock. */
const START = Date.UTC(2026, 0, 1);
const LONG = { notBeforeMs: Date.UTC(2025, 0, 1), notAfterMs: Date.UTC(2036, 0, 1) };

/** An agent that says what the test says. */
class ScriptedAgent implements WorkloadApi {
  calls = 0;
  /** Of the open call. */
  events: WorkloadEvents | undefined;
  /** What `fetch` throws. */
  unusable: string | undefined;

  fetch(events: WorkloadEvents): () => void {
    this.calls++;
    if (this.unusable !== undefined) throw new Error(this.unusable);
    this.events = events;
    return () => {
      if (this.events === events) this.events = undefined;
    };
  }
}

/** An X509SVIDResponse with one SVID. */
function response(leaf: TestLeaf, spiffeId = spiffeUri('web'), broken: readonly string[] = []): Buffer {
  const der = (pem: string) => Buffer.concat(certificatesFromPem(pem));
  const svid = new MessageWriter()
    .text(1, spiffeId)
    .bytes(2, der(leaf.certChainPem))
    .bytes(3, createPrivateKey(leaf.keyPem).export({ format: 'der', type: 'pkcs8' }))
    .bytes(4, der(leaf.rootsPem));
  const writer = new MessageWriter().message(1, svid);
  for (const id of broken)
    writer.message(3, new MessageWriter().text(1, id).bytes(2, Buffer.from('garbage')));
  return writer.finish();
}

/** Counts how often a certificate is judged. */
class CountingIds extends MappedIds {
  judged = 0;

  override binds(service: string): boolean {
    this.judged++;
    return super.binds(service);
  }
}

/** Closed after the test. */
function rig(ids?: MappedIds) {
  const clock = new ManualClock(0);
  const api = new ScriptedAgent();
  const problems: string[] = [];
  const recoveries: number[] = [];
  const source = new SpireIdentitySource({
    ...{ api, where: 'unix:/agent.sock', trustDomain: TRUST_DOMAIN, service: 'web', ids },
    ...{ clock, timers: clock, random: seeded(1) },
    onProblem: (problem) => problems.push(problem),
    onRecovery: () => recoveries.push(clock.now()),
  });
  const told: Identity[] = [];
  source.subscribe((next) => told.push(next));
  afterTest(() => source.close());
  return { clock, api, problems, recoveries, source, told };
}

describe('SpireIdentitySource', () => {
  let root: TestAuthority;
  before(async () => {
    root = await TestAuthority.root(LONG);
  });
  const leafOf = (minutes: number, from = root) =>
    from.leaf({ notBeforeMs: START - 1_000, notAfterMs: START + minutes * MINUTE });

  it('has the SVID of the first response, and tells of each that differs', async () => {
    const { api, source, told } = rig();
    assert.deepEqual(source.status(), {
      problem: 'the SPIRE agent at unix:/agent.sock has not answered yet',
    });
    const first = await leafOf(10);
    api.events!.message(response(first));
    assert.equal(source.current()!.certChainPem, first.certChainPem);
    assert.deepEqual(source.status(), { notAfterMs: first.notAfterMs });
    api.events!.message(response(first));
    const second = await leafOf(20);
    api.events!.message(response(second));
    assert.deepEqual([told.length, told[1]!.certChainPem], [2, second.certChainPem]);
    assert.equal(api.calls, 1);
  });

  it('asks again while the agent is away, at most 10 s apart, and is ready meanwhile', async () => {
    const { api, clock, source, problems, recoveries } = rig();
    const leaf = await leafOf(60);
    api.events!.message(response(leaf));
    api.events!.end({ status: undefined, message: 'connect ENOENT /agent.sock' });
    assert.deepEqual(problems, [
      `the SPIRE agent at unix:/agent.sock cannot be reached: connect ENOENT /agent.sock; the certificate stays in use until ${new Date(leaf.notAfterMs).toISOString()}`,
    ]);
    for (let i = 0; i < 20; i++) {
      const { calls } = api;
      assert.equal(
        source.status().problem,
        undefined,
        'an agent that is away is no reason against readiness',
      );
      clock.advance(10_000);
      assert.ok(api.calls > calls, 'asked again');
      api.events!.end({ status: undefined, message: 'connect ENOENT /agent.sock' });
    }
    assert.equal(problems.length, 1, 'said once');
    clock.advance(10_000);
    api.events!.message(response(await leafOf(90)));
    clock.advance(9_000);
    assert.equal(recoveries.length, 0, 'it may be gone again at once');
    clock.advance(1_000);
    assert.equal(recoveries.length, 1);
  });

  /** Moves on event by event; the agent answers each new call by `answer`. Returns how often something was due. */
  function run(
    { clock, api }: Pick<ReturnType<typeof rig>, 'clock' | 'api'>,
    ms: number,
    answer: (events: WorkloadEvents) => void,
  ): number {
    const untilMs = clock.now() + ms;
    let wakeUps = 0;
    for (let calls = api.calls; clock.step(untilMs); wakeUps++) {
      assert.ok(wakeUps < 5_000, `${wakeUps} wake-ups by ${clock.now()} ms`);
      if (api.calls !== calls && api.events !== undefined) answer(api.events);
      calls = api.calls;
    }
    clock.advance(untilMs - clock.now());
    return wakeUps;
  }
  const away = (events: WorkloadEvents) =>
    events.end({ status: undefined, message: 'connect ENOENT /agent.sock' });

  it('wakes up for each retry and not between them while the agent is away, also past the expiry', async () => {
    const { api, clock } = rig();
    api.events!.message(response(await leafOf(60)));
    away(api.events!);
    const { calls } = api;
    const wakeUps = run({ api, clock }, 70 * MINUTE, away);
    // One check a minute, and one for each phase.
    assert.ok(wakeUps <= api.calls - calls + 80, `${wakeUps} wake-ups for ${api.calls - calls} calls`);
  });

  it('looks again at a first SVID that is not valid yet, for the clock may be behind', async () => {
    const { api, clock, source } = rig();
    const early = await root.leaf({ notBeforeMs: START + MINUTE, notAfterMs: START + 60 * MINUTE });
    const answer = (events: WorkloadEvents) => events.message(response(early));
    answer(api.events!);
    assert.match(source.status().problem!, /clock-not-yet-valid/);
    run({ api, clock }, MINUTE + 10_000, answer);
    assert.equal(source.current()?.certChainPem, early.certChainPem);
    assert.ok(api.calls < 20, `${api.calls} calls`);
    const { calls } = api;
    run({ api, clock }, 10 * MINUTE, answer);
    assert.equal(api.calls, calls, 'then the call stays open');
  });

  it('looks again at a next SVID that is not valid yet, while the one before is fresh', async () => {
    const { api, clock, source } = rig();
    api.events!.message(response(await leafOf(60)));
    const next = await root.leaf({ notBeforeMs: START + MINUTE, notAfterMs: START + 90 * MINUTE });
    const answer = (events: WorkloadEvents) => events.message(response(next));
    answer(api.events!);
    run({ api, clock }, 3 * MINUTE, answer);
    assert.equal(source.current()!.certChainPem, next.certChainPem);
    assert.ok(api.calls < 20, `${api.calls} calls`);
  });

  it('waits for the answer of a slow agent, also when the certificate has expired', async () => {
    const { api, clock, source } = rig();
    api.events!.message(response(await leafOf(1)));
    clock.advance(2 * MINUTE);
    const { calls } = api;
    while (api.calls === calls) clock.advance(100);
    const { events } = api;
    clock.advance(25_000);
    assert.equal(api.events, events, 'the call is still open');
    const second = await leafOf(20);
    events!.message(response(second));
    assert.equal(source.current()!.certChainPem, second.certChainPem);
  });

  it('backs off from an agent that answers and ends the call at once, and tells it once', async () => {
    const { api, clock, problems, recoveries } = rig();
    const same = response(await leafOf(60));
    const answer = (events: WorkloadEvents) => {
      events.message(same);
      events.end({ status: Status.UNAVAILABLE, message: 'restarting' });
    };
    answer(api.events!);
    run({ api, clock }, 10 * MINUTE, answer);
    assert.ok(api.calls < 140, `${api.calls} calls`);
    assert.deepEqual([problems.length, recoveries.length], [1, 0]);
    run({ api, clock }, 20_000, (events) => events.message(same));
    assert.deepEqual([problems.length, recoveries.length], [1, 1]);
  });

  it('does not judge a response again that is the same as the last good one', async () => {
    const ids = new CountingIds({});
    const { api } = rig(ids);
    const same = response(await leafOf(60));
    api.events!.message(same);
    const { judged } = ids;
    assert.ok(judged > 0);
    api.events!.message(Buffer.from(same));
    assert.equal(ids.judged, judged);
  });

  it('names each bundle that it leaves out, and tells it once', async () => {
    const { api, problems } = rig();
    const broken = ['spiffe://one.example', 'spiffe://two.example'];
    const leaf = await leafOf(60);
    api.events!.message(response(leaf, spiffeUri('web'), broken));
    api.events!.message(response(leaf, spiffeUri('web'), broken.toReversed()));
    assert.equal(problems.length, 1, problems.join('\n'));
    for (const id of broken) assert.ok(problems[0]!.includes(id), problems[0]);
  });

  it('keeps the SVID when the agent refuses, until it ends, and says why it has no other', async () => {
    const { api, clock, source, problems } = rig();
    const leaf = await leafOf(10);
    api.events!.message(response(leaf));
    const refuse = () => api.events?.end({ status: Status.PERMISSION_DENIED, message: 'no identity issued' });
    refuse();
    assert.match(
      problems[0]!,
      /has no SVID for this process \(PERMISSION_DENIED: no identity issued\); expected a registration entry/,
    );
    for (let s = 0; s < 600; s += 5) {
      clock.advance(5_000);
      refuse();
      assert.equal(source.current()!.certChainPem, leaf.certChainPem);
    }
    clock.advance(2_000);
    assert.match(
      source.status().problem!,
      /^our certificate expired at .*; the SPIRE agent has given no new one: .*PERMISSION_DENIED/,
    );
    // Once that it refuses, and once in each phase of the certificate that has no successor.
    assert.deepEqual(problems.length, 3, problems.join('\n'));
  });

  it('gives up a call that is silent, and makes another', () => {
    const { api, clock, source, problems } = rig();
    const { events } = api;
    clock.advance(29_900);
    assert.equal(api.events, events);
    clock.advance(1_000);
    assert.notEqual(api.events, events);
    assert.deepEqual(problems, ['the SPIRE agent at unix:/agent.sock has not answered within 30 s']);
    assert.equal(source.status().problem, problems[0]);
  });

  it('asks anew where an open call says nothing though a new SVID is due, and not before', async () => {
    const { api, clock, source } = rig();
    api.events!.message(response(await leafOf(60)));
    clock.advance(29 * MINUTE);
    assert.equal(api.calls, 1);
    clock.advance(6 * MINUTE);
    assert.ok(api.calls > 1);
    const second = await leafOf(120);
    while (api.events === undefined) clock.advance(1_000);
    api.events.message(response(second));
    assert.equal(source.current()!.certChainPem, second.certChainPem);
  });

  for (const [what, bytes, problem] of [
    ['is no message', async () => Buffer.from('garbage'), /the response is no X509SVIDResponse/],
    ['has no SVID', async () => Buffer.alloc(0), /the response has no SVID/],
    [
      'is of another trust domain',
      async () =>
        response(await (await foreign()).leaf({ ...LONG, trustDomain: 'evil' }), spiffeUri('web', 'evil')),
      /roots: root 1: belongs to the trust domain evil/,
    ],
    ['has expired', async () => response(await leafOf(-1)), /clock-expired/],
    [
      'has another key',
      async () => response({ ...(await leafOf(10)), keyPem: (await leafOf(10)).keyPem }),
      /key: does not belong/,
    ],
    [
      'is of another service',
      async () => response(await root.leaf({ ...LONG, service: 'evil' }), spiffeUri('evil')),
      /expected the service "web"/,
    ],
    [
      'is not of the id that it is said to be of',
      async () => response(await leafOf(10), spiffeUri('other')),
      /is of spiffe:.*web, but is said to be of .*other/,
    ],
  ] as const)
    it(`does not take an SVID that ${what}, and keeps the one before`, async () => {
      const { api, clock, source, problems, recoveries, told } = rig();
      const good = await leafOf(10);
      api.events!.message(await bytes());
      assert.equal(source.current(), undefined);
      assert.match(source.status().problem!, problem);
      api.events!.message(response(good));
      assert.deepEqual(source.status(), { notAfterMs: good.notAfterMs });
      clock.advance(10_000);
      assert.equal(recoveries.length, 1);
      api.events!.message(await bytes());
      assert.equal(source.current()!.certChainPem, good.certChainPem);
      assert.equal(told.length, 1);
      assert.match(problems.at(-1)!, /the certificate stays in use until/);
      assert.notEqual(api.events, undefined, 'the call stays open: the next response may be right');
    });

  const foreign = () => TestAuthority.root({ ...LONG, uris: ['spiffe://evil'] });

  it('says once that the agent gives an SVID that has ended, whatever the time is', async () => {
    const { api, clock, problems } = rig();
    const old = response(await leafOf(-1));
    for (let i = 0; i < 5; i++) {
      api.events!.message(old);
      clock.advance(1_000);
    }
    assert.equal(problems.length, 1, problems.join('\n'));
  });

  it('says why the socket may not be used, and tries again', () => {
    const { api, clock, source } = rig();
    api.unusable = 'it belongs to user 7';
    api.events!.end({ status: undefined, message: 'gone' });
    clock.advance(1_000);
    assert.equal(source.status().problem, 'it belongs to user 7');
    api.unusable = undefined;
    clock.advance(10_000);
    assert.notEqual(api.events, undefined);
  });

  it('ends its call and its timers when it is closed', async () => {
    const { api, clock, source } = rig();
    api.events!.message(response(await leafOf(10)));
    source.close();
    assert.equal(api.events, undefined);
    assert.equal(clock.pending(), 0);
  });
});
