/**
 * Our verdict against Consul's own, for every pair of services, while intentions of every precedence come, flip and go.
 * Consul is asked both ways it has: the check of its servers, and what its agent tells proxies.
 */
import assert from 'node:assert/strict';
import path from 'node:path';
import { IntentionTable } from '../../../sidecar/core/authorization/intentions.js';
import { ConnectIntentions } from '../../../sidecar/discovery/consul/connect/intentions.js';
import { ConsulServer, consulBinary, consulOrSkip } from '../../kit/consul/consul.js';
import { type RealKit, realKit, serviceToken } from '../../kit/consul/real-agent.js';
import { afterTest } from '../../kit/mocha/after-test.js';
import { scratchForTest } from '../../kit/mocha/scratch.js';
import { OUTRIDER } from '../../kit/process/outrider.js';
import { blocksOf, pageText, shellLines } from '../../kit/process/page-lines.js';
import { until } from '../../kit/process/processes.js';
import { ShellIn } from '../../kit/process/shell.js';
import { seeded } from '../../kit/time/seeded-random.js';

const DESTINATIONS = ['digits', 'other'];
const SOURCES = ['web', 'api', 'digits', 'unlisted'];
const PAIRS = DESTINATIONS.flatMap((destination) => SOURCES.map((source) => [source, destination] as const));
type Ends = readonly [source: string, destination: string];
/** Everything that intentions speak of, the most specific first. */
const ENDS: readonly Ends[] = [
  ...PAIRS.slice(0, 6),
  ['*', 'digits'],
  ['*', 'other'],
  ['web', '*'],
  ['api', '*'],
  ['*', '*'],
];
const LIMIT_MS = 10_000;
const STEPS = 30;

interface Listed {
  readonly ID: string;
  readonly SourceName: string;
  readonly DestinationName: string;
  readonly Action: string;
}

class Oracle {
  private readonly kits: RealKit[] = [];
  private readonly ours = new Map<string, ConnectIntentions>();
  private readonly tables = new Map<string, IntentionTable>();

  constructor(readonly server: ConsulServer) {}

  async start(): Promise<void> {
    for (const service of DESTINATIONS) {
      const { server } = this;
      const token = server.token === undefined ? undefined : await serviceToken(server, service);
      const kit = realKit(server, { token });
      const { watches, agent, deps } = kit;
      this.kits.push(kit);
      const take = (table: IntentionTable): void => void this.tables.set(service, table);
      this.ours.set(service, new ConnectIntentions(watches, agent, { ...deps, service }, take));
    }
  }

  close(): void {
    for (const each of this.ours.values()) each.close();
    for (const kit of this.kits) kit.close();
  }

  get output(): string {
    return this.kits.flatMap(({ log }) => log).join('');
  }

  /** Makes the intention, changes it, or takes it away. */
  async set([source, destination]: Ends, action: 'allow' | 'deny' | null): Promise<void> {
    const { server } = this;
    const all = await server.api<Listed[]>('GET', '/connect/intentions');
    const one = all.find((each) => each.SourceName === source && each.DestinationName === destination);
    const body = { SourceName: source, DestinationName: destination, SourceType: 'consul', Action: action };
    if (one !== undefined && action === null) await server.api('DELETE', `/connect/intentions/${one.ID}`);
    else if (one !== undefined) await server.api('PUT', `/connect/intentions/${one.ID}`, body);
    else if (action !== null) await server.api('POST', '/connect/intentions', body);
  }

  verdicts(): string {
    return PAIRS.map(([source, destination]) =>
      said(
        source,
        destination,
        (this.tables.get(destination) ?? IntentionTable.notLoaded(0)).allows(source, destination),
      ),
    ).join('\n');
  }

  async check(): Promise<string> {
    const lines = PAIRS.map(async ([source, destination]) => {
      const path = `/connect/intentions/check?source=${source}&destination=${destination}`;
      return said(source, destination, (await this.server.api<{ Allowed: boolean }>('GET', path)).Allowed);
    });
    return (await Promise.all(lines)).join('\n');
  }

  async authorize(trustDomain: string): Promise<string> {
    const lines = PAIRS.map(async ([source, Target]) => {
      const ClientCertURI = `spiffe://${trustDomain}/ns/default/dc/dc1/svc/${source}`;
      const body = { Target, ClientCertURI, ClientCertSerial: '04' };
      const path = '/agent/connect/authorize';
      const { Authorized } = await this.server.api<{ Authorized: boolean }>('POST', path, body);
      return said(source, Target, Authorized);
    });
    return (await Promise.all(lines)).join('\n');
  }

  async agree(why: string): Promise<void> {
    const expected = await this.check();
    const settled = async () => this.verdicts() === expected;
    await until('our verdicts are those of Consul', settled, LIMIT_MS).catch(() => {});
    assert.equal(this.verdicts(), expected, why);
  }
}

function said(source: string, destination: string, allowed: boolean): string {
  return `${source} → ${destination}: ${allowed ? 'allow' : 'deny'}`;
}

for (const acl of [false, true]) {
  describe(`Intentions of a real Consul, ${acl ? 'ACLs on, default deny' : 'ACLs off'}`, function () {
    this.timeout(120_000);
    let server: ConsulServer;
    let oracle: Oracle;
    let trustDomain: string;

    before(async function () {
      await consulOrSkip(this);
      server = await ConsulServer.start({ acl });
      oracle = new Oracle(server);
      await oracle.start();
      const roots = await server.api<{ TrustDomain: string }>('GET', '/agent/connect/ca/roots');
      trustDomain = roots.TrustDomain;
    });
    after(async () => {
      oracle?.close();
      await server?.stop();
    });

    it('without intentions the default decides', async () => {
      await oracle.agree('no intentions');
      assert.equal(oracle.verdicts().includes(acl ? 'allow' : 'deny'), false);
    });

    it('intentions of every precedence, from the least specific up, each overrule the one below', async () => {
      const [first, second] = acl ? (['allow', 'deny'] as const) : (['deny', 'allow'] as const);
      for (const [source, destination, action] of [
        ['*', '*', first],
        ['web', '*', second],
        ['*', 'digits', first],
        ['web', 'digits', second],
        ['web', 'digits', null],
        ['*', 'digits', null],
        ['*', '*', null],
        ['web', '*', null],
      ] as const) {
        await oracle.set([source, destination], action);
        await oracle.agree(`${source} → ${destination} ${action ?? 'taken away'}`);
      }
    });

    it('intentions may come, flip and go in any order', async () => {
      const random = seeded(acl ? 3 : 4);
      const one = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)]!;
      const done: string[] = [];
      for (let i = 0; i < STEPS; i++) {
        const ends = one(ENDS);
        const action = one(['allow', 'deny', null] as const);
        await oracle.set(ends, action);
        done.push(`${ends.join(' → ')} ${action}`);
        await oracle.agree(done.join(', '));
      }
    });

    it('intentions are the same as the agent gives to proxies', async () => {
      const expected = oracle.verdicts();
      const same = async () => (await oracle.authorize(trustDomain)) === expected;
      await until('the agent has heard of the last change', same, LIMIT_MS).catch(() => {});
      assert.equal(await oracle.authorize(trustDomain), expected);
    });

    it('a flipped intention is in force within 2 s', async () => {
      await oracle.set(['web', 'digits'], 'allow');
      await oracle.agree('before the flips');
      for (const action of ['deny', 'allow'] as const) {
        await oracle.set(['web', 'digits'], action);
        const expected = said('web', 'digits', action === 'allow');
        await until('the flip is in force', async () => oracle.verdicts().includes(expected), 2_000);
      }
    });

    it('no token is in what intentions write to the log', () => {
      assert.ok(oracle.output.length > 0);
      assert.equal(oracle.output.includes(server.token ?? 'x-consul-token'), false);
    });
  });
}

describe('A real Consul with ACLs', function () {
  this.timeout(60_000);
  let server: ConsulServer;

  before(async function () {
    await consulOrSkip(this);
    server = await ConsulServer.start({ acl: true });
  });
  after(() => server?.stop());

  it('intentions that the token may not read are not loaded, although Consul answers with an empty list', async () => {
    const kit = realKit(server, { token: await serviceToken(server, 'web') });
    const { watches, agent, deps } = kit;
    const intentions = new ConnectIntentions(watches, agent, { ...deps, service: 'digits' }, () => {});
    afterTest(() => kit.close());
    afterTest(() => intentions.close());
    await until('Consul refuses', async () => intentions.problems().size > 0, 10_000);
    assert.match(
      [...intentions.problems().values()].join(),
      /does not let us read the intentions of digits: 403/,
    );
    assert.equal(intentions.loaded(), false);
  });

  it('intentions stay in force while the token has lost its rights, and once it has them back', async () => {
    const may = 'service_prefix "" { policy = "read" intentions = "read" }';
    const policy = await server.api<{ ID: string }>('PUT', '/acl/policy', { Name: 'lost', Rules: may });
    const grant = (Rules: string) =>
      server.api('PUT', `/acl/policy/${policy.ID}`, { ID: policy.ID, Name: 'lost', Rules });
    const { SecretID: token } = await server.api<{ SecretID: string }>('PUT', '/acl/token', {
      Policies: [{ ID: policy.ID }],
    });
    const intend = (SourceName: string, DestinationName: string, Action: string) =>
      server.api('POST', '/connect/intentions', {
        SourceName,
        DestinationName,
        SourceType: 'consul',
        Action,
      });
    await intend('*', 'digits', 'allow');
    await intend('web', 'digits', 'deny');
    const kit = realKit(server, { token });
    const { watches, agent, deps } = kit;
    const told: IntentionTable[] = [];
    const take = (table: IntentionTable): void => void told.push(table);
    const intentions = new ConnectIntentions(watches, agent, { ...deps, service: 'digits' }, take);
    afterTest(() => kit.close());
    afterTest(() => intentions.close());
    const verdicts = () =>
      ['web', 'api'].map((each) => said(each, 'digits', told.at(-1)!.allows(each, 'digits')));
    const expected = ['web → digits: deny', 'api → digits: allow'];
    await until('they are in force', () => intentions.loaded(), 10_000);
    assert.deepEqual(verdicts(), expected);
    const tables = told.length;
    await grant('service_prefix "" { policy = "read" intentions = "deny" }');
    const isRefused = async () =>
      (await server.request('GET', '/connect/intentions/match?by=destination&name=digits', undefined, token))
        .status === 403;
    await until('Consul refuses', isRefused, 10_000);
    const listed = await server.api('GET', '/connect/intentions', undefined, token);
    assert.deepEqual(listed, [], 'the list looks complete');
    // The query answers as any intention changes, with a list without ours.
    await intend('web', 'other', 'deny');
    await until('the refusal is known', () => intentions.problems().size > 0, 10_000);
    assert.deepEqual(verdicts(), expected);
    await grant(may);
    await until('all is well', () => intentions.problems().size === 0, 20_000);
    assert.deepEqual(verdicts(), expected);
    assert.equal(told.length, tables);
  });

  it('a token made as docs/CONSUL.md says may do what the sidecar of the file does, and nothing as another service', async () => {
    const page = pageText('CONSUL.md');
    const scratch = scratchForTest();
    scratch.write(
      'digits.yaml',
      `service: digits
consul: {}
inbound: { listen: "127.0.0.1:9443", local: "127.0.0.1:8001" }
outbound: { upstreams: { digits-lite: { listen: "127.0.0.1:8801" } } }
`,
    );
    const shell = new ShellIn(scratch.path, {
      PATH: `${path.dirname((await consulBinary()).path)}:${process.env['PATH']}`,
      CONSUL_HTTP_ADDR: server.address,
      CONSUL_HTTP_TOKEN: server.token!,
    });
    let said = '';
    for (const line of shellLines(page).filter((each) => /consul (policy|acl) /.test(each)))
      said = await shell.run(line.replace(/^outrider/, OUTRIDER.join(' ')));
    const rules = await shell.run("grep -v '^#' rules.hcl");
    assert.equal(rules, blocksOf(page, 'hcl')[0], 'the rules that the page shows');

    const token = /^SecretID: +(\S+)$/m.exec(said)![1]!;
    const statusOf = async (method: string, what: string, body?: object) =>
      (await server.request(method, what, body, token)).status;
    const registers = (Name: string) => statusOf('PUT', '/agent/service/register', { Name, Port: 1 });
    for (const name of ['digits', 'digits-sidecar-proxy']) assert.equal(await registers(name), 200, name);
    assert.equal(await registers('digits-lite'), 403);
    assert.equal(await statusOf('GET', '/agent/connect/ca/leaf/digits'), 200);
    assert.equal(await statusOf('GET', '/agent/connect/ca/leaf/digits-lite'), 403);
  });
});
