/** Several DNS servers of a test, each on loopback. */
import assert from 'node:assert/strict';
import { DnsServers } from '../../../../sidecar/discovery/dns/servers.js';
import { afterTest } from '../../../kit/mocha/after-test.js';
import { DnsServer, type Says } from '../../../kit/process/dns-server.js';

describe('The DNS servers of a round', () => {
  async function start(...says: Says[]): Promise<DnsServer[]> {
    return await Promise.all(
      says.map(async (each) => {
        const server = await DnsServer.start();
        afterTest(() => server.close());
        server.says = each;
        return server;
      }),
    );
  }
  const serversOf = (servers: readonly DnsServer[], patience = { tryMs: 2_000, tries: 2 }) =>
    new DnsServers(
      servers.map(({ address }) => address),
      patience,
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
    const answer = await serversOf(servers, { tryMs: 300, tries: 2 }).ask('digits.test', 'a');
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
    const round = serversOf(servers, { tryMs: 600, tries: 2 });
    for (let i = 0; i < 3; i++) assert.deepEqual(await round.ask(`d${i}.test`, 'a'), FOUND);
    assert.equal(servers[0]!.asked.length, 1);
  });

  it('that do not listen are passed by', async () => {
    const [gone, there] = await start([], ['10.0.0.1']);
    const { address } = gone!;
    gone!.close();
    const servers = new DnsServers([address, there!.address], { tryMs: 1_000, tries: 1 });
    assert.deepEqual(await servers.ask('digits.test', 'a'), FOUND);
  });

  it('are not believed where the id or the question is another, or what comes back is no DNS', async () => {
    const [forger, other] = await start(['10.0.0.9'], ['10.0.0.1']);
    for (const spoil of [
      (answer: Buffer) => answer.writeUInt16BE(answer.readUInt16BE(0) ^ 1, 0),
      // The first letter of the name in the question.
      (answer: Buffer) => answer.write('x', 13),
      // More records than there are.
      (answer: Buffer) => answer.writeUInt16BE(9, 6),
    ]) {
      forger!.forge = (answer) => {
        spoil(answer);
        return answer;
      };
      assert.deepEqual(
        await serversOf([forger!, other!], { tryMs: 200, tries: 2 }).ask('digits.test', 'a'),
        FOUND,
      );
    }
  });

  it('are not asked after the end', async () => {
    const servers = await start('silence', 'silence');
    const round = serversOf(servers, { tryMs: 30_000, tries: 5 });
    const running = round.ask('digits.test', 'a');
    setImmediate(() => round.cancel());
    assert.equal((await running).kind, 'failed');
    assert.equal((await round.ask('letters.test', 'a')).kind, 'failed');
    assert.ok(servers.every(({ asked }) => !asked.includes('letters.test A')));
    assert.deepEqual(servers[1]!.asked, []);
  });
});
