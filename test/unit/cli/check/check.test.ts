/** `outrider check` on a sidecar whose every part is right, and on one that is broken in ten ways at once. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmodSync, mkdirSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import type { FaultReport } from '../../../../sidecar/admin/faults.js';
import { startAdmin } from '../../../../sidecar/admin/server.js';
import { type CheckWorld, findAll } from '../../../../sidecar/cli/check/check.js';
import type { Finding } from '../../../../sidecar/cli/check/finding.js';
import { checkText } from '../../../../sidecar/cli/check/report.js';
import { paletteFor } from '../../../../sidecar/cli/terminal.js';
import { LoopbackAgent } from '../../../kit/consul/loopback-agent.js';
import { TestAuthority, TRUST_DOMAIN } from '../../../kit/identity/certificates.js';
import { afterTest } from '../../../kit/mocha/after-test.js';
import { scratchForEach } from '../../../kit/mocha/scratch.js';
import { freePort } from '../../../kit/process/free-port.js';
import { anEndpoint, FakeView } from '../../../kit/stack/admin-view.js';

const GOLDEN = 'golden:\n  inputs: { x: { shape: [1], values: [1] } }\n  outputs: { y: { values: [2] } }\n';
const HOUR_MS = 3_600_000;
const WORLD: CheckWorld = { wallNow: Date.now, descriptorLimit: 65_536, version: '0.0.0' };

const DRILL: FaultReport = {
  ...{ id: 1, side: 'outbound', upstream: 'digits', method: '*', ratio: 0.3, abort: 'UNAVAILABLE' },
  ...{ leftMs: 60_000, injected: 7 },
};

/** What the agent of this test says; a test changes parts. */
interface Agent {
  version: string;
  date: () => string;
  mayRead: boolean;
  isAllowed: boolean;
  /** Port of the one instance of each upstream; 0: there is none. */
  instance: number;
}

describe('outrider check', () => {
  const scratch = scratchForEach();
  let authority: TestAuthority;
  let agent: LoopbackAgent;
  let says: Agent;
  before(async () => {
    authority = await TestAuthority.root();
  });
  beforeEach(async () => {
    agent = await LoopbackAgent.start();
    afterTest(() => agent.stop());
    const isUtc = () => new Date().toUTCString();
    says = { version: '1.21.4', date: isUtc, mayRead: true, isAllowed: true, instance: 0 };
    agent.handler = (request, response) => answer(request, response);
  });

  function answer({ url = '' }: IncomingMessage, response: ServerResponse): void {
    response.setHeader('date', says.date());
    const path = url.replace(/^\/v1|\?.*$/g, '');
    const Service = { ID: 'a', Service: 'labels', Address: '127.0.0.1', Port: says.instance };
    const instances = says.instance === 0 ? [] : [{ Node: { Address: '127.0.0.1' }, Service, Checks: [] }];
    const answers: Record<string, unknown> = {
      '/status/leader': '127.0.0.1:8300',
      '/agent/self': { Config: { Version: says.version } },
      '/acl/token/self': { Description: 'of the test' },
      '/connect/ca/roots': { Roots: [{ RootCert: authority.pem, Active: true }] },
      '/connect/intentions/match': {},
      '/connect/intentions/check': { Allowed: says.isAllowed },
      '/health/connect/labels': instances,
    };
    if (path.startsWith('/config/')) response.statusCode = says.mayRead ? 404 : 403;
    response.end(path.startsWith('/config/') ? 'Permission denied' : JSON.stringify(answers[path]));
  }

  /** A server on a port of its own. */
  async function listening(): Promise<number> {
    const server = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1');
    afterTest(() => server.close());
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  }

  async function adminOf(view: FakeView): Promise<string> {
    const server = await startAdmin({ kind: 'tcp', host: '127.0.0.1', port: 0 }, view);
    afterTest(() => server.close());
    return `127.0.0.1:${server.address.kind === 'tcp' ? server.address.port : 0}`;
  }

  /** A sidecar file, with the certificate and the model that it names. */
  async function sidecarFile(of: {
    listen: number;
    endpoint: number;
    notAfterMs: number;
    card: string;
    observe: number;
    collector: number;
    /** Of the file of the admin port's token. */
    token: string;
    accessLog: string;
  }): Promise<string> {
    const leaf = await authority.leaf({
      service: 'digits',
      notBeforeMs: Date.now() - 10 * HOUR_MS,
      notAfterMs: of.notAfterMs,
    });
    scratch.write('leaf.crt', leaf.certChainPem);
    scratch.write('leaf.key', leaf.keyPem);
    scratch.write('roots.crt', leaf.rootsPem);
    chmodSync(join(scratch.path, 'leaf.key'), 0o600);
    chmodSync(scratch.write('admin.token', of.token), 0o600);
    mkdirSync(join(scratch.path, 'models/digits/1'), { recursive: true });
    scratch.write('models/digits/1/model.onnx', 'onnx');
    scratch.write('models/digits/1/model.yaml', of.card);
    return scratch.write(
      'sidecar.yaml',
      `service: digits
trust_domain: ${TRUST_DOMAIN}
admin: 127.0.0.1:0
observe: 127.0.0.1:${of.observe}
admin_token_file: admin.token
access_log: { path: ${of.accessLog} }
audit: { path: audit/digits.jsonl }
traces: { endpoint: "http://127.0.0.1:${of.collector}" }
metrics: { endpoint: "http://127.0.0.1:${of.collector}" }
identity: { cert: leaf.crt, key: leaf.key, roots: roots.crt }
consul: { address: "http://127.0.0.1:${agent.port}", registration: { address: 127.0.0.1 } }
inbound: { listen: "127.0.0.1:${await freePort()}", local: "unix:/m.sock", golden: { models: models } }
outbound:
  upstreams:
    labels: { listen: "127.0.0.1:${of.listen}", consul: {} }
    words: { listen: "127.0.0.1:${await freePort()}", endpoints: [{ address: "127.0.0.1:${of.endpoint}" }] }
`,
    );
  }

  const bad = (findings: readonly Finding[]): Finding[] => findings.filter(({ level }) => level !== 'ok');

  it('has nothing to say against a mesh that is right', async () => {
    says.instance = await listening();
    const view = new FakeView();
    view.rows = [anEndpoint({})];
    view.certificateS = 48 * 3600;
    const file = await sidecarFile({
      listen: await freePort(),
      endpoint: await listening(),
      notAfterMs: Date.now() + 90 * HOUR_MS,
      card: GOLDEN,
      observe: await freePort(),
      collector: await listening(),
      token: 'a-token-of-20-signs!',
      accessLog: 'access.jsonl',
    });
    const findings = await findAll({ mesh: [file], admin: [await adminOf(view)], json: false }, WORLD);
    assert.deepEqual(bad(findings), []);
    const areas = new Set(findings.map(({ area }) => area));
    for (const area of 'files config port certificate admin log model consul clock version acl intention upstream traces metrics sidecar'.split(
      ' ',
    ))
      assert.ok(areas.has(area), area);
  });

  it('warns of a certificate in its last fifth, although the sidecar is ready', async () => {
    const view = new FakeView();
    view.certificateS = 4 * 3600;
    view.oldCertificate = 'our certificate expires in 14400 s; its files hold no new one';
    const found = await findAll({ mesh: [], admin: [await adminOf(view)], json: false }, WORLD);
    assert.deepEqual(
      bad(found)
        .filter(({ area }) => area === 'certificate' || area === 'sidecar')
        .map(({ level, what }) => [level, what]),
      [['warning', `digits-1: ${view.oldCertificate}`]],
    );
  });

  it('warns of an upstream that has never been reached, although the sidecar is ready', async () => {
    const view = new FakeView();
    view.away = ['upstream digits: it has no endpoint'];
    const found = await findAll({ mesh: [], admin: [await adminOf(view)], json: false }, WORLD);
    assert.deepEqual(
      bad(found)
        .filter(({ area }) => area === 'upstream' || area === 'sidecar')
        .map(({ level, what }) => [level, what]),
      [['warning', 'digits-1: upstream digits: it has no endpoint']],
    );
  });

  it('fails for an upstream that was never reached and that calls need, and says only of a ready sidecar that it is', async () => {
    const view = new FakeView();
    view.needed = ['upstream digits: it has no endpoint'];
    view.away = [...view.needed, 'upstream spare: it has no endpoint'];
    const found = async () => {
      const all = await findAll({ mesh: [], admin: [await adminOf(view)], json: false }, WORLD);
      return bad(all)
        .filter(({ area }) => area === 'upstream')
        .map(({ level, what, next }) => `${level}: ${what} → ${next}`);
    };
    const needed =
      'failed: digits-1: upstream digits: it has no endpoint → start what serves it, or take it out of the file';
    const spare =
      'warning: digits-1: upstream spare: it has no endpoint → start what serves it, unless it is meant to have no replica now';
    const isReady = '; the sidecar is ready without it';
    assert.deepEqual(await found(), [`${needed}${isReady}`, `${spare}${isReady}`]);
    view.reasons = ['upstream labels: no endpoint is connected yet'];
    assert.deepEqual(await found(), [needed, spare]);
  });

  it('names everything that is wrong with one that is broken in many ways, each with a next step', async () => {
    Object.assign(says, { version: '1.5.3', mayRead: false, isAllowed: false });
    says.date = () => new Date(Date.now() - 300_000).toUTCString();
    const taken = await listening();
    const observe = await listening();
    const file = await sidecarFile({
      listen: taken,
      endpoint: await freePort(),
      notAfterMs: Date.now() - HOUR_MS,
      card: 'name: digits\n',
      observe,
      collector: await freePort(),
      token: 'short',
      accessLog: 'missing/access.jsonl',
    });
    const wrong = scratch.write('wrong.yaml', 'service: s\nlimit: {}\n');
    const view = new FakeView();
    view.reasons = ['the model is starting'];
    view.rows = [anEndpoint({ upstream: 'labels', state: 'ejected', why: 'faults in a row' })];
    view.certificateS = 0;
    view.faultDesk = { ...view.faultDesk, isAllowed: true, list: () => [DRILL] };
    const gone = `127.0.0.1:${await freePort()}`;
    const options = { mesh: [file, wrong], admin: [await adminOf(view), gone], json: false };
    const findings = await findAll(options, { ...WORLD, descriptorLimit: 256, version: '9.9.9' });
    const found = bad(findings);
    const expected: readonly [level: Finding['level'], area: string, what: RegExp][] = [
      ['failed', 'files', /^only 256 files/],
      ['failed', 'config', /wrong\.yaml:2: limit: unknown option/],
      ['failed', 'config', /wrong\.yaml:1: found neither inbound nor outbound/],
      ['failed', 'port', new RegExp(`:${taken} \\(upstream labels\\) is taken by process ${process.pid} `)],
      ['failed', 'port', new RegExp(`:${observe} \\(observe\\) is taken by process ${process.pid} `)],
      ['failed', 'admin', /^admin_token_file: .*admin\.token holds no token: 16 to 512/],
      ['warning', 'log', /^the access log .*missing\/access\.jsonl cannot be written: ENOENT/],
      ['warning', 'traces', /^the collector http:\/\/127\.0\.0\.1:\d+ cannot be reached \(ECONNREFUSED\)$/],
      ['warning', 'metrics', /^the collector http:\/\/127\.0\.0\.1:\d+ cannot be reached \(ECONNREFUSED\)$/],
      [
        'warning',
        'drill',
        /^digits-1: 30 % of the calls \(digits, \*\) are aborted with UNAVAILABLE, 60 s more/,
      ],
      ['failed', 'certificate', /leaf\.crt: .*expired/],
      ['failed', 'model', /digits, version 1: .*golden: missing/],
      ['failed', 'upstream', /^0 of 1 endpoints of words can be reached; not .*ECONNREFUSED/],
      ['failed', 'clock', /^the clock of the agent http.* is (299|30\d) s behind|ahead/],
      ['failed', 'version', /^Consul is of version 1\.5\.3/],
      ['failed', 'acl', /^digits may not read its configuration: 403/],
      ['failed', 'intention', /^no intention in Consul lets digits call labels$/],
      ['failed', 'upstream', /^Consul has no sidecar of labels$/],
      ['failed', 'sidecar', /^digits-1 is not ready: the model is starting$/],
      ['failed', 'sidecar', new RegExp(`^${gone} does not answer: `)],
      [
        'failed',
        'upstream',
        /^digits-1: 1 of 1 endpoints of labels are out: digits-1 ejected \(faults in a row\)$/,
      ],
      ['failed', 'certificate', /^the certificate of digits-1 has expired$/],
      ['warning', 'version', /^the sidecars are of version 0\.0\.0, this program of 9\.9\.9$/],
    ];
    for (const [level, area, what] of expected) {
      const one = found.find((each) => each.area === area && what.test(each.what));
      assert.equal(one?.level, level, `${area} ${what} in\n${checkText(found, PLAIN)}`);
      assert.ok((one.next ?? '').length > 10, `next step of ${one.what}`);
    }
    assert.deepEqual(
      found.filter(({ area, what }) => !expected.some(([, a, w]) => a === area && w.test(what))),
      [],
    );
  });

  it('compares the clocks of sidecars with that of this machine', async () => {
    const options = { mesh: [], admin: [await adminOf(new FakeView())], json: false };
    const world = { ...WORLD, wallNow: () => Date.now() + 300_000 };
    const [one, ...more] = bad(await findAll(options, world));
    assert.deepEqual([one?.level, one?.area, more], ['failed', 'clock', []]);
    assert.match(one!.what, /^the clock of digits-1 is (299|30\d) s behind ours$/);
  });

  it('looks at the ports and the calls of the registration that a file adopts', async () => {
    const [taken, port] = [await listening(), await freePort()];
    says.instance = await listening();
    const upstream = { DestinationName: 'labels', LocalBindPort: taken, Datacenter: 'dc2' };
    const proxy = { DestinationServiceName: 'web', DestinationServiceID: 'web1', Upstreams: [upstream] };
    const registration = { Kind: 'connect-proxy', ID: 'web1-proxy', Port: port, Proxy: proxy };
    const registered: Record<string, unknown> = {
      '/v1/agent/services': { 'web1-proxy': registration },
      '/v1/agent/service/web1-proxy': registration,
    };
    agent.handler = (request, response) => {
      const body = registered[request.url ?? ''];
      if (body === undefined) answer(request, response);
      else response.end(JSON.stringify(body));
    };
    const at = `address: "http://127.0.0.1:${agent.port}"`;
    const check = (id: string, more = '') => {
      const text = `admin: 127.0.0.1:0\nconsul: { ${at}, adopt: { sidecar_for: ${id} } }\n${more}`;
      const mesh = [scratch.write('adopted.yaml', text)];
      return findAll({ mesh, admin: [], json: false }, WORLD);
    };
    const found = await check('web1');
    const wrong = bad(found).map(({ area, what }) => `${area}: ${what}`);
    assert.equal(wrong.length, 1, wrong.join('\n'));
    assert.match(wrong[0]!, new RegExp(`^port: 127\\.0\\.0\\.1:${taken} \\(upstream labels\\) is taken by`));
    for (const what of ['web may call labels', 'a sidecar of web may do what it needs'])
      assert.ok(
        found.some((each) => each.level === 'ok' && each.what === what),
        what,
      );
    assert.ok(agent.asked.some(({ url }) => url === '/v1/health/connect/labels?dc=dc2'));
    for (const [id, more, why] of [
      ['gone', '', /the agent has no proxy of the service "gone"; expected one$/],
      ['web1', 'service: other\n', /adopted\.yaml and the registration "web1-proxy" do not fit$/],
    ] as const) {
      const [one, ...others] = bad(await check(id, more));
      assert.deepEqual([one?.level, one?.area, others], ['failed', 'consul', []]);
      assert.match(one!.what, why);
    }
  });

  it('stops at an agent that does not answer, and says so once', async () => {
    const gone = `http://127.0.0.1:${await freePort()}`;
    const found = bad(await findAll({ mesh: [], admin: [], consul: gone, json: false }, WORLD));
    assert.deepEqual(
      found.map(({ area, level }) => [area, level]),
      [['consul', 'failed']],
    );
  });

  it('asks the agent of the command line also where the file cannot be read', async () => {
    const gone = `http://127.0.0.1:${await freePort()}`;
    const mesh = [join(scratch.path, 'missing.yaml')];
    const found = bad(await findAll({ mesh, admin: [], consul: gone, json: false }, WORLD));
    assert.deepEqual(
      found.map(({ area }) => area),
      ['config', 'consul'],
    );
  });
});

const PLAIN = paletteFor({ write: () => true }, {});

describe('the text of outrider check', () => {
  it('has a line for each finding, its next step below, and the counts', () => {
    const text = checkText(
      [
        { level: 'ok', area: 'clock', what: 'agrees' },
        { level: 'failed', area: 'port', what: 'taken', next: 'end it' },
      ],
      PLAIN,
    );
    assert.deepEqual(text.split('\n'), [
      'ok       clock  agrees',
      'failed   port   taken',
      '                → end it',
      '',
      '1 ok, 0 warnings, 1 failed',
    ]);
  });
});
