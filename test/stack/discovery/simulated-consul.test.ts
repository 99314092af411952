/** Whether the Consul of the simulation answers as the real one does: the same requests to both, and their answers field by field. */
import assert from 'node:assert/strict';
import { ConsulServer, consulOrSkip } from '../../kit/consul/consul.js';
import { until } from '../../kit/process/processes.js';
import { LoneAgent } from '../../simulation/world/consul/lone-agent.js';

interface Answer {
  readonly status: number;
  /** `x-consul-index`; 0: there is none. */
  readonly index: number;
  readonly hash: string;
  readonly body: string;
  readonly tookMs: number;
}

/** A Consul that is asked. */
interface Side {
  ask(method: string, path: string, body?: unknown): Promise<Answer>;
  /** Sends a request, lets `change` happen while it is held, and returns its answer. */
  askDuring(path: string, change: () => Promise<void>): Promise<Answer>;
  setIntention(source: string, destination: string, action: 'allow' | 'deny'): Promise<void>;
  maintain(service: string, isOn: boolean): Promise<void>;
  /** The next requests have rights, or none. */
  setRights(has: boolean): Promise<void>;
  /** What was told the agent has reached the servers. */
  synced(path: string, has: (body: string) => boolean): Promise<void>;
}

type Json = Readonly<Record<string, unknown>>;

const STRANGER = 'stranger';

class Real implements Side {
  private token: string | undefined;

  constructor(
    private readonly server: ConsulServer,
    private readonly nobody: string,
  ) {
    this.token = server.token;
  }

  async ask(method: string, path: string, body?: unknown): Promise<Answer> {
    const sentMs = performance.now();
    const answer = await this.server.request(method, path, body, this.token);
    const { headers, status } = answer;
    return {
      status,
      index: Number(headers['x-consul-index'] ?? 0),
      hash: String(headers['x-consul-contenthash'] ?? ''),
      body: answer.body,
      tookMs: performance.now() - sentMs,
    };
  }

  async askDuring(path: string, change: () => Promise<void>): Promise<Answer> {
    const held = this.ask('GET', path);
    // Consul does not say what it holds. A query of the same that came after it and waits for a moment has been held, and is over.
    await this.ask('GET', path.replace('wait=2s', 'wait=10ms'));
    await change();
    return held;
  }

  async setIntention(SourceName: string, DestinationName: string, Action: string): Promise<void> {
    const wanted = { SourceName, DestinationName, Action, SourceType: 'consul' };
    const all = await this.server.api<(Json & { readonly ID: string })[]>('GET', '/connect/intentions');
    const known = all.find(
      (each) => each['SourceName'] === SourceName && each['DestinationName'] === DestinationName,
    );
    if (known === undefined) await this.server.api('POST', '/connect/intentions', wanted);
    else await this.server.api('PUT', `/connect/intentions/${known.ID}`, wanted);
  }

  async maintain(service: string, isOn: boolean): Promise<void> {
    const reason = encodeURIComponent('by an operator');
    await this.server.api('PUT', `/agent/service/maintenance/${service}?enable=${isOn}&reason=${reason}`);
  }

  async setRights(has: boolean): Promise<void> {
    this.token = has ? this.server.token : this.nobody;
  }

  async synced(path: string, has: (body: string) => boolean): Promise<void> {
    let last = '';
    const look = async (): Promise<boolean> => {
      last = (await this.ask('GET', path)).body;
      return has(last);
    };
    await until(`${path} is as it should be`, look).catch((error: unknown) => {
      throw new Error(`${String(error)}: ${last}`);
    });
  }
}

class Simulated implements Side {
  readonly lone: LoneAgent;

  constructor(node: string) {
    this.lone = new LoneAgent(node);
  }

  async ask(method: string, path: string, body?: unknown): Promise<Answer> {
    return this.begin(method, path, body)();
  }

  private begin(method: string, path: string, body?: unknown): () => Answer {
    const request = this.lone.ask(method, path, body);
    return () => {
      const { status, headers, body: text, tookMs } = request.answer();
      const index = Number(headers.get('x-consul-index') ?? 0);
      return { status, index, hash: headers.get('x-consul-contenthash') ?? '', body: text, tookMs };
    };
  }

  async askDuring(path: string, change: () => Promise<void>): Promise<Answer> {
    const answer = this.begin('GET', path);
    this.lone.pass(300);
    await change();
    return answer();
  }

  async setIntention(source: string, destination: string, action: 'allow' | 'deny'): Promise<void> {
    this.lone.servers.setIntention({ source, destination, action });
  }

  async maintain(service: string, isOn: boolean): Promise<void> {
    this.lone.agent.maintain(service, isOn);
  }

  async setRights(has: boolean): Promise<void> {
    this.lone.servers.hasRights = has;
  }

  async synced(): Promise<void> {
    this.lone.pass(1_000);
  }
}

const SERVICE = {
  ...{ ID: 'web-1', Name: 'web', Tags: ['a'], Meta: { region: 'west' }, Address: '10.1.2.3', Port: 8_080 },
  ...{ Weights: { Passing: 3, Warning: 1 } },
  Checks: [{ CheckID: 'web-1:ttl', Name: 'ready', Notes: 'as it says', TTL: '20s', Status: 'critical' }],
};
const PROXY = {
  ...{
    ID: 'web-1-proxy',
    Name: 'web-proxy',
    Kind: 'connect-proxy',
    Tags: [],
    Meta: {},
    Address: '10.1.2.3',
    Port: 9_443,
  },
  ...{ Weights: { Passing: 1, Warning: 1 } },
  Proxy: { DestinationServiceName: 'web', DestinationServiceID: 'web-1' },
  Checks: [
    { CheckID: 'web-1-proxy:alias', Name: 'as the service', AliasService: 'web-1', Status: 'critical' },
  ],
};
const PASSING = { Status: 'passing', Output: 'it answers' };

/** One request with what is asked of its answer. */
type Step = readonly [what: string, make: (side: Side) => Promise<Answer>];

const get =
  (path: string) =>
  (side: Side): Promise<Answer> =>
    side.ask('GET', path);
const put =
  (path: string, body?: unknown) =>
  (side: Side): Promise<Answer> =>
    side.ask('PUT', path, body);

/** After something else. */
const following =
  (before: (side: Side) => Promise<unknown>, make: (side: Side) => Promise<Answer>) =>
  async (side: Side): Promise<Answer> => {
    await before(side);
    return make(side);
  };

const synced =
  (path: string, has: (body: string) => boolean) =>
  (side: Side): Promise<void> =>
    side.synced(path, has);

/** The index of a read is the next one's question. */
const blocking =
  (path: string, change: (side: Side) => Promise<unknown>) =>
  async (side: Side): Promise<Answer> => {
    const { index } = await side.ask('GET', path);
    const sign = path.includes('?') ? '&' : '?';
    const answer = await side.askDuring(
      `${path}${sign}index=${index}&wait=2s`,
      async () => void (await change(side)),
    );
    // What counts of the numbers: whether it moved, and whether the answer came with the change or after the wait.
    const moved = answer.index > index ? 2 : answer.index === index ? 1 : 3;
    return {
      ...answer,
      index: moved,
      body: `${answer.tookMs < 1_500 ? 'at once' : 'after the wait'}: ${answer.body}`,
    };
  };

const session = { id: '' };
const keyIndex = async (side: Side): Promise<number> => {
  const { body } = await side.ask('GET', '/kv/place/record');
  return (JSON.parse(body) as { ModifyIndex: number }[])[0]!.ModifyIndex;
};
const opened = async (side: Side): Promise<Answer> => {
  const answer = await side.ask('PUT', '/session/create', {
    ...{ Name: 'mine', TTL: '15s', Behavior: 'delete', LockDelay: '0s' },
  });
  session.id = (JSON.parse(answer.body) as { ID: string }).ID;
  return answer;
};
const ofSession =
  (make: (id: string) => readonly [method: string, path: string, body?: unknown]) => (side: Side) =>
    side.ask(...make(session.id));
const transaction = (Session: string, Index: number, Value: string): object[] => [
  { KV: { Verb: 'check-session', Key: 'place/leader', Session } },
  { KV: { Verb: 'cas', Key: 'place/record', Value: Buffer.from(Value).toString('base64'), Index } },
];

const HEALTH = '/health/service/web';
const CONNECT = '/health/connect/web';
const FILTER = `?filter=${encodeURIComponent('ServiceID == "web-1"')}`;
const OWN = `?filter=${encodeURIComponent('ID == "web-1"')}`;
const DESTINATION = `?filter=${encodeURIComponent('DestinationName == "web"')}`;

const STEPS: readonly Step[] = [
  ['of a service that there is not', get(HEALTH)],
  ['of a proxy that there is not', get(CONNECT)],
  ['a registration', put('/agent/service/register', SERVICE)],
  ['the services of the agent', get(`/agent/services${OWN}`)],
  ['the checks of the agent', get(`/agent/checks${FILTER}`)],
  ['the service at the agent', get('/agent/service/web-1')],
  [
    'a critical service',
    following(
      synced(HEALTH, (body) => body.includes('web-1:ttl')),
      get(HEALTH),
    ),
  ],
  ['an update of its check', put('/agent/check/update/web-1:ttl', PASSING)],
  [
    'a passing service',
    following(
      synced(HEALTH, (body) => body.includes('it answers')),
      get(HEALTH),
    ),
  ],
  ['an update of no check', put('/agent/check/update/nothing', PASSING)],
  ['the registration of a proxy', put('/agent/service/register', PROXY)],
  [
    'a proxy',
    following(
      synced(CONNECT, (body) => body.includes('"passing"') && body.includes('All checks')),
      get(CONNECT),
    ),
  ],
  ['a blocking read that nothing ends', blocking(CONNECT, async () => {})],
  [
    'a blocking read that another service does not end',
    blocking(CONNECT, (side) =>
      side.ask('PUT', '/agent/service/register', { ID: 'other-1', Name: 'other', Port: 1 }),
    ),
  ],
  [
    'a blocking read that a check ends',
    blocking(CONNECT, (side) =>
      side.ask('PUT', '/agent/check/update/web-1:ttl', { Status: 'critical', Output: 'no' }),
    ),
  ],
  ['the chain of a service', get('/discovery-chain/web')],
  ['an entry that there is not', get('/config/service-defaults/web')],
  ['no intentions', get(`/connect/intentions${DESTINATION}`)],
  ['a call that no intention is about', get('/connect/intentions/check?source=app&destination=web')],
  [
    'intentions',
    following(
      async (side) => {
        await side.setIntention('app', 'web', 'deny');
        await side.setIntention('*', 'web', 'allow');
        await side.setIntention('app', 'other', 'allow');
      },
      get(`/connect/intentions${DESTINATION}`),
    ),
  ],
  ['intentions that match', get('/connect/intentions/match?by=destination&name=web')],
  ['a call that is denied', get('/connect/intentions/check?source=app&destination=web')],
  ['a call that is allowed', get('/connect/intentions/check?source=else&destination=web')],
  [
    'a blocking read of intentions',
    blocking(`/connect/intentions${DESTINATION}`, (side) => side.setIntention('app', 'web', 'allow')),
  ],
  ['a key that there is not', get('/kv/place/record')],
  ['a first write', put('/kv/place/record?cas=0', { step: 1 })],
  ['a first write again', put('/kv/place/record?cas=0', { step: 'again' })],
  ['a key', get('/kv/place/record')],
  [
    'a write that has read',
    async (side) => side.ask('PUT', `/kv/place/record?cas=${await keyIndex(side)}`, { step: 2 }),
  ],
  ['keys below a place', get('/kv/place/?recurse=')],
  ['keys below no place', get('/kv/nowhere/?recurse=')],
  ['a lock of no session', put('/kv/place/leader?acquire=11111111-1111-1111-1111-111111111111', 'x')],
  ['a session', opened],
  ['a lock', ofSession((id) => ['PUT', `/kv/place/leader?acquire=${id}`, 'one'])],
  ['the lock again', ofSession((id) => ['PUT', `/kv/place/leader?acquire=${id}`, 'one'])],
  ['a key that is locked', get('/kv/place/leader')],
  [
    'a transaction of the one that leads',
    async (side) => side.ask('PUT', '/txn', transaction(session.id, await keyIndex(side), 'three')),
  ],
  [
    'a transaction that comes too late',
    async (side) => side.ask('PUT', '/txn', transaction(session.id, 1, 'four')),
  ],
  ['a renewal', ofSession((id) => ['PUT', `/session/renew/${id}`])],
  ['a release', ofSession((id) => ['PUT', `/kv/place/leader?release=${id}`, 'one'])],
  ['a release again', ofSession((id) => ['PUT', `/kv/place/leader?release=${id}`, 'one'])],
  [
    'a lock before the end of the session',
    ofSession((id) => ['PUT', `/kv/place/leader?acquire=${id}`, 'one']),
  ],
  ['the end of a session', ofSession((id) => ['PUT', `/session/destroy/${id}`])],
  ['a key that went with its session', get('/kv/place/leader')],
  ['a renewal after the end', ofSession((id) => ['PUT', `/session/renew/${id}`])],
  [
    'a service in maintenance',
    following(async (side) => {
      await side.maintain('web-1', true);
      await side.synced(HEALTH, (body) => body.includes('_service_maintenance'));
    }, get(HEALTH)),
  ],
  ['checks of a service in maintenance', get(`/agent/checks${FILTER}`)],
  [
    'a service after maintenance',
    following(async (side) => {
      await side.maintain('web-1', false);
      await side.synced(HEALTH, (body) => !body.includes('_service_maintenance'));
    }, get(HEALTH)),
  ],
  ['without rights: a service', following((side) => side.setRights(false), get(HEALTH))],
  ['without rights: a proxy', get(CONNECT)],
  ['without rights: the services of the agent', get(`/agent/services${OWN}`)],
  ['without rights: the checks of the agent', get(`/agent/checks${FILTER}`)],
  ['without rights: the service at the agent', get('/agent/service/web-1')],
  ['without rights: a registration', put('/agent/service/register', SERVICE)],
  ['without rights: an update of a check', put('/agent/check/update/web-1:ttl', PASSING)],
  ['without rights: a deregistration', put('/agent/service/deregister/web-1')],
  ['without rights: the chain', get('/discovery-chain/web')],
  ['without rights: intentions', get(`/connect/intentions${DESTINATION}`)],
  ['without rights: intentions that match', get('/connect/intentions/match?by=destination&name=web')],
  ['without rights: a key', get('/kv/place/record')],
  ['without rights: a write', put('/kv/place/record?cas=0', 'x')],
  ['without rights: a session', put('/session/create', { TTL: '15s' })],
  ['without rights: itself', get('/agent/self')],
  ['with rights again', following((side) => side.setRights(true), get(`/agent/services${OWN}`))],
  ['a deregistration of the proxy', put('/agent/service/deregister/web-1-proxy')],
  ['a deregistration', put('/agent/service/deregister/web-1')],
  ['a deregistration again', put('/agent/service/deregister/web-1')],
  ['the service at the agent after it', get('/agent/service/web-1')],
  [
    'the service after it',
    following(
      synced(HEALTH, (body) => body.trim() === '[]'),
      get(HEALTH),
    ),
  ],
];

const UUID = /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g;

/** What is another each time, or counts from another begin. */
function plain(value: unknown, key = ''): unknown {
  if (Array.isArray(value)) return value.map((each) => plain(each));
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, plain(each, name)]));
  if (/Index$/.test(key)) return 'an index';
  if (/(Time|At)$/.test(key)) return 'a time';
  if (value === '127.0.0.1' || value === '10.9.0.1') return 'the address of the node';
  if (key === 'ContentHash' || key === 'Hash') return 'a hash';
  return typeof value === 'string' ? value.replace(UUID, 'an id') : value;
}

function parsed({ body }: Answer): unknown {
  const at = /^(at once|after the wait): /.exec(body)?.[0] ?? '';
  try {
    return at === '' ? plain(JSON.parse(body)) : { at, body: plain(JSON.parse(body.slice(at.length))) };
  } catch {
    return body.trim().replace(UUID, 'an id');
  }
}

function differences(real: unknown, simulated: unknown, path: string, found: string[]): void {
  const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null;
  if (!isObject(real) || !isObject(simulated)) {
    if (JSON.stringify(real) !== JSON.stringify(simulated))
      found.push(`${path}: ${JSON.stringify(real)}, simulated: ${JSON.stringify(simulated)}`);
    return;
  }
  if (Array.isArray(real) && Array.isArray(simulated) && real.length !== simulated.length)
    found.push(`${path}: ${real.length} items, simulated: ${simulated.length}`);
  for (const name of new Set([...Object.keys(real), ...Object.keys(simulated)])) {
    const place = Array.isArray(real) ? `${path}[]` : `${path}.${name}`;
    if (name in real && name in simulated) differences(real[name], simulated[name], place, found);
    else if (!Array.isArray(real))
      found.push(
        `${place} is ${name in real ? 'left out' : 'made up'}: ${JSON.stringify(real[name] ?? simulated[name])}`,
      );
  }
}

describe('The simulated Consul beside the real one', function () {
  this.timeout(120_000);

  let server: ConsulServer;
  before(async function () {
    await consulOrSkip(this);
    server = await ConsulServer.start({ acl: true });
  });
  after(() => server?.stop());

  it('answers the same, field by field', async () => {
    const { Config } = await server.api<{ Config: { NodeName: string } }>('GET', '/agent/self');
    const policy = { Name: STRANGER, Rules: 'key "nothing" { policy = "read" }' };
    await server.api('PUT', '/acl/policy', policy);
    const { SecretID } = await server.api<{ SecretID: string }>('PUT', '/acl/token', {
      Policies: [{ Name: STRANGER }],
    });
    const answers: (readonly [what: string, answer: Answer])[][] = [];
    for (const side of [new Real(server, SecretID), new Simulated(Config.NodeName)]) {
      const own: (readonly [string, Answer])[] = [];
      for (const [what, make] of STEPS)
        own.push([
          what,
          await make(side).catch((error: unknown) => {
            throw new Error(`${what}: ${String(error)}; before it: ${JSON.stringify(own)}`);
          }),
        ]);
      answers.push(own);
    }
    const [real, simulated] = answers;
    const found: string[] = [];
    for (const [i, [what, answer]] of real!.entries()) {
      const [, other] = simulated![i]!;
      const [one, two] = [answer, other].map((each) => ({
        status: each.status,
        index: what.startsWith('a blocking') ? each.index : each.index > 0,
        hash: each.hash !== '',
        body: parsed(each),
      }));
      differences(one, two, what, found);
    }
    assert.equal(found.length, 0, `\n${found.join('\n')}`);
  });
});
