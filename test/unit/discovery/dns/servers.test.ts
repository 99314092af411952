/** Several DNS servers of a test, each on loopback, on a manual clock: time passes where one is silent. */
import assert from 'node:assert/strict';
import { ROUND_LIMIT_MS } from '../../../../sidecar/core/discovery/round-time.js';
import { DnsServers } from '../../../../sidecar/discovery/dns/servers.js';
import { afterTest } from '../../../kit/mocha/after-test.js';
import { DnsServer, type Says } from '../../../kit/process/dns-server.js';
import { ManualClock } from '../../../kit/time/manual-clock.js';

describe('The DNS servers of a round', () => {
  let clock: ManualClock;
  beforeEach(() => {
    clock = new ManualClock();
  });
  /** The time of the query that runs is over. */
  const pass = (): void => {
    if (clock.pending() > 0) clock.advance(clock.nextDueMs() - clock.now());
  };

  async function start(...says: Says[]): Promise<DnsServer[]> {
    return await Promise.all(
      says.map(async (each) => {
        const server = await DnsServer.start();
        afterTest(() => server.close());
        server.says = each;
        server.onSilence = pass;
        return server;
      }),
    );
  }
  const serversOf = (servers: readonly DnsServer[], patience = { tryMs: 1_000, tries: 2 }) =>
    new DnsServers(
      servers.map(({ address }) => address),
      patience,
      { clock, timers: clock },
    );
  const FOUND = { kind: 'addresses', addresses: ['10.0.0.1'] };

  it('are asked in order, the next one where one fails or refuses', async () => {
    const servers = await start('SERVFAIL', 'REFUSED', ['10.0.0.1'], ['10.0.0.2']);
    assert.deepEqual(await serversOf(servers).ask('digits.test', 'a'), FOUND);
    assert.deepEqual(
      servers.map(({ asked }) => asked.length),
      [1, 1, 1, 0],
    );
  });

  it('are not asked further once one says that there is no such name, or no such record', async () => {
    const [no, , none, other] = await start('NXDOMAIN', ['10.0.0.1'], [], ['10.0.0.1']);
    assert.equal((await serversOf([no!, other!]).ask('digits.test', 'a')).kind, 'none');
    assert.equal((await serversOf([none!, other!]).ask('digits.test', 'a')).kind, 'none');
    assert.deepEqual(other!.asked, []);
  });

  it('are asked again where they were silent, not where they failed, and then all reasons are told', async () => {
    const servers = await start('SERVFAIL', 'silence');
    const answer = await serversOf(servers).ask('digits.test', 'a');
    assert.ok(answer.kind === 'failed');
    assert.match(answer.why, /SERVFAIL\) \[127\.0\.0\.1:\d+\]; no DNS server answered in time \[127/);
    assert.deepEqual(
      servers.map(({ asked }) => asked.length),
      [1, 2],
    );
    const [same, again] = await start('SERVFAIL', 'SERVFAIL');
    const common = await serversOf([same!, again!]).ask('digits.test', 'a');
    assert.deepEqual(common, { kind: 'failed', why: 'the DNS server could not find out (SERVFAIL)' });
  });

  it('come last for the rest of the round once they were silent', async () => {
    const servers = await start('silence', ['10.0.0.1']);
    const round = serversOf(servers);
    for (let i = 0; i < 3; i++) assert.deepEqual(await round.ask(`d${i}.test`, 'a'), FOUND);
    assert.equal(servers[0]!.asked.length, 1);
  });

  it('are asked once for each further name once they were silent', async () => {
    const [server] = await start('silence');
    const round = serversOf([server!]);
    assert.equal((await round.ask('one.test', 'a', 1)).kind, 'failed');
    assert.equal((await round.ask('two.test', 'a')).kind, 'failed');
    assert.deepEqual(server!.asked, ['one.test A', 'one.test A', 'two.test A']);
  });

  it('are asked for the last of many names within the round, although they are silent about those before it', async () => {
    for (const patience of [
      { tryMs: 1_000, tries: 2 },
      { tryMs: 30_000, tries: 5 },
    ])
      for (const says of [['silence'], ['silence', 'SERVFAIL', 'silence']] as const) {
        const servers = await start(...says);
        for (const { names } of servers) names.set('whole.test', ['10.0.0.1']);
        const began = clock.now();
        const round = serversOf(servers, patience);
        for (let after = 32; after > 0; after--)
          assert.equal((await round.ask(`d${after}.test`, 'a', after)).kind, 'failed');
        assert.ok(servers.every(({ asked }) => asked.includes('d1.test A')));
        assert.deepEqual(await round.ask('whole.test', 'a'), FOUND);
        assert.ok(clock.now() - began < ROUND_LIMIT_MS, `${clock.now() - began} ms`);
      }
  });

  it('that do not listen are passed by', async () => {
    const [gone, there] = await start([], ['10.0.0.1']);
    const { address } = gone!;
    gone!.close();
    const servers = [address, there!.address];
    const round = new DnsServers(servers, { tryMs: 1_000, tries: 1 }, { clock, timers: clock });
    assert.deepEqual(await round.ask('digits.test', 'a'), FOUND);
  });

  it('are not believed where the id or the question is another, or what comes back is no DNS', async () => {
    const [forger, other] = await start(['10.0.0.9'], ['10.0.0.1']);
    // What the forger sends is read in the next turns of the event loop, and what is not believed is silence.
    const afterReading = async (): Promise<void> => {
      for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate);
    };
    for (const spoil of [
      (answer: Buffer) => answer.writeUInt16BE(answer.readUInt16BE(0) ^ 1, 0),
      // The first letter of the name in the question.
      (answer: Buffer) => answer.write('x', 13),
      // More records than there are.
      (answer: Buffer) => answer.writeUInt16BE(9, 6),
    ]) {
      const { length } = forger!.asked;
      forger!.forge = (answer) => {
        spoil(answer);
        void afterReading().then(pass);
        return answer;
      };
      assert.deepEqual(await serversOf([forger!, other!]).ask('digits.test', 'a'), FOUND);
      assert.equal(forger!.asked.length, length + 1);
    }
  });

  it('are not asked after the end', async () => {
    const servers = await start('silence', 'silence');
    for (const server of servers) server.onSilence = () => {};
    const round = serversOf(servers, { tryMs: 30_000, tries: 5 });
    const running = round.ask('digits.test', 'a');
    setImmediate(() => round.cancel());
    assert.equal((await running).kind, 'failed');
    assert.equal((await round.ask('letters.test', 'a')).kind, 'failed');
    assert.ok(servers.every(({ asked }) => !asked.includes('letters.test A')));
    assert.deepEqual(servers[1]!.asked, []);
  });
});
