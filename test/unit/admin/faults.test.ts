import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  addFault,
  clearFaults,
  type FaultAdmin,
  type FaultReport,
  listFaults,
  type SwitchedOn,
} from '../../../sidecar/admin/faults.js';
import type { Reply } from '../../../sidecar/admin/reply.js';
import { type AdminServer, startAdmin } from '../../../sidecar/admin/server.js';
import type { FaultRule } from '../../../sidecar/core/routing/fault-rule.js';
import { FakeView, NO_PROCESS_FAULTS } from '../../kit/stack/admin-view.js';

class Desk implements FaultAdmin {
  isAllowed = true;
  readonly upstreams = ['digits', 'digits-small'];
  readonly processes = NO_PROCESS_FAULTS;
  readonly on: { rule: FaultRule; forMs: number }[] = [];
  isFull = false;
  cleared: (number | undefined)[] = [];

  list(): readonly FaultReport[] {
    return this.on.map(({ rule: { side, method, ratio }, forMs: leftMs }, i) => {
      return { id: i + 1, side, method, ratio, leftMs, injected: 0 };
    });
  }
  switchOn(rule: FaultRule, forMs: number): SwitchedOn {
    if (this.isFull) return { kind: 'refused', why: '32 faults are on already' };
    this.on.push({ rule, forMs });
    return { kind: 'on', fault: this.list().at(-1)! };
  }
  switchOff(id?: number): number {
    this.cleared.push(id);
    return id === 9 ? 0 : 1;
  }
}

describe('/faults', () => {
  let desk: Desk;
  beforeEach(() => {
    desk = new Desk();
  });

  const add = (query: string): Reply => addFault(desk, new URLSearchParams(query));
  const clear = (query: string) => clearFaults(desk, new URLSearchParams(query));

  for (const [query, rule, forMs] of [
    [
      'upstream=digits&abort=unavailable',
      { side: 'outbound', peer: 'digits', method: '*', ratio: 1, delayMs: 0, abort: 14 },
      60_000,
    ],
    [
      'caller=web&delay=250ms&ratio=0.05&for=5m',
      { side: 'inbound', peer: 'web', method: '*', ratio: 0.05, delayMs: 250 },
      300_000,
    ],
    [
      'side=inbound&abort=8&delay=1.5s&method=/grpc.health.v1.Health/*&for=1h',
      { side: 'inbound', method: '/grpc.health.v1.Health/*', ratio: 1, delayMs: 1500, abort: 8 },
      3_600_000,
    ],
    [
      'side=outbound&upstream=digits-small&abort=DEADLINE_EXCEEDED&ratio=.5&method=/a.B/C',
      { side: 'outbound', peer: 'digits-small', method: '/a.B/C', ratio: 0.5, delayMs: 0, abort: 4 },
      60_000,
    ],
  ] as const)
    it(`takes ${query}`, () => {
      assert.equal(add(query).status, 201);
      assert.deepEqual(desk.on, [{ rule, forMs }]);
    });

  for (const [query, said] of [
    ['', /neither side, caller nor upstream/],
    ['upstream=digits', /neither delay nor abort.*POST \/faults\?/],
    ['caller=web&upstream=digits&abort=14', /found caller and upstream; expected one/],
    ['side=inbound&upstream=digits&abort=14', /found caller and upstream; expected one/],
    ['side=both&abort=14', /^side: found "both"; expected inbound or outbound/],
    ['upstream=digit&abort=14', /^upstream: found "digit"; expected "digits" perhaps/],
    ['upstream=xyz&abort=14', /^upstream: found "xyz"; expected one of digits, digits-small/],
    ['caller=../web&abort=14', /^caller: found "\.\.\/web"; expected the name of a service/],
    ['upstream=digits&abort=ok', /^abort: found "ok"; expected a gRPC status other than OK/],
    ['upstream=digits&abort=99', /^abort: found "99"/],
    ['upstream=digits&abort=', /^abort: found ""/],
    ['upstream=digits&abort=14&ratio=0', /^ratio: found "0"; expected a number above 0, at most 1/],
    ['upstream=digits&abort=14&ratio=1.5', /^ratio: found "1.5"/],
    ['upstream=digits&abort=14&ratio=', /^ratio: found ""/],
    ['upstream=digits&abort=14&ratio=.', /^ratio: found "\."/],
    ['upstream=digits&abort=14&ratio=1e-3', /^ratio: found "1e-3"/],
    ['upstream=digits&delay=200', /^delay: found "200"; expected a duration with its unit/],
    ['upstream=digits&delay=0ms', /^delay: found "0ms"; expected at least 1ms and at most 1m/],
    ['upstream=digits&delay=2h', /^delay: found "2h"; expected at least 1ms and at most 1m/],
    ['upstream=digits&abort=14&for=2h', /^for: found "2h"; expected at least 1ms and at most 1h/],
    ['upstream=digits&abort=14&method=Infer', /^method: found "Infer"; expected "\/package.Service/],
    ['upstream=digits&abort=14&ratoi=0.1', /^found the parameter "ratoi"; did you mean ratio\?/],
    ['upstream=digits&abort=14&x=1', /^found the parameter "x"; expected side, caller/],
    ['upstream=digits&abort=14&ratio=1&ratio=0.1', /^ratio: found it twice/],
  ] as const)
    it(`refuses ${query || 'nothing'}, and says why`, () => {
      const { status, body } = add(query);
      assert.equal(status, 400);
      assert.match(String(body), said);
      assert.equal(String(body).trim().split('\n').length, 1);
      assert.deepEqual(desk.on, []);
    });

  it('says when there are too many', () => {
    desk.isFull = true;
    assert.deepEqual(add('side=inbound&abort=14'), { status: 409, body: '32 faults are on already\n' });
  });

  it('lists and clears them', () => {
    add('side=inbound&abort=14');
    assert.deepEqual(listFaults(desk).body, {
      ...{ allowed: true, faults: desk.list(), processesAllowed: false, processes: [] },
    });
    assert.deepEqual(clear(''), { status: 200, body: { cleared: 1 } });
    assert.deepEqual(clear('id=1'), { status: 200, body: { cleared: 1 } });
    assert.deepEqual(clear('id=9'), { status: 404, body: 'id: no fault 9 is on\n' });
    assert.deepEqual(desk.cleared, [undefined, 1, 9]);
    assert.equal(clear('id=x').status, 400);
    assert.equal(clear('all').status, 400);
  });

  it('does nothing unless the file allows it, but says so', () => {
    desk.isAllowed = false;
    for (const answer of [add('side=inbound&abort=14'), add('nonsense'), clear('')]) {
      assert.equal(answer.status, 403);
      assert.match(String(answer.body), /fault_injection: true/);
    }
    assert.deepEqual([desk.on, desk.cleared], [[], []]);
    assert.deepEqual(listFaults(desk).body, {
      ...{ allowed: false, faults: [], processesAllowed: false, processes: [] },
    });
  });

  it('takes or refuses whatever it is asked, and nothing else', () => {
    const known = fc.constantFrom('side', 'caller', 'abort', '14', 'inbound', '1s', 'for');
    const word = fc.oneof(fc.string(), known);
    fc.assert(
      fc.property(fc.array(fc.tuple(word, word), { maxLength: 5 }), (pairs) => {
        const { status } = addFault(desk, new URLSearchParams(pairs));
        assert.ok([201, 400].includes(status));
      }),
    );
  });
});

describe('the admin server and /faults', () => {
  let admin: AdminServer;
  let desk: Desk;
  let base: string;

  beforeEach(async () => {
    const view = new FakeView();
    desk = new Desk();
    view.faultDesk = desk;
    admin = await startAdmin({ kind: 'tcp', host: '127.0.0.1', port: 0 }, view);
    assert.ok(admin.address.kind === 'tcp');
    base = `http://127.0.0.1:${admin.address.port}/faults`;
  });
  afterEach(() => admin.close());

  it('takes GET, POST and DELETE there', async () => {
    const post = await fetch(`${base}?caller=web&abort=unavailable&ratio=0.1`, { method: 'POST' });
    assert.equal(post.status, 201);
    assert.equal(post.headers.get('content-type'), 'application/json; charset=utf-8');
    const get = (await (await fetch(base)).json()) as { faults: { id: number }[] };
    assert.deepEqual([get.faults.length, get.faults[0]?.id], [1, 1]);
    assert.deepEqual(await (await fetch(`${base}?id=1`, { method: 'DELETE' })).json(), { cleared: 1 });
    const put = await fetch(base, { method: 'PUT' });
    assert.deepEqual([put.status, put.headers.get('allow')], [405, 'GET, HEAD, POST, DELETE']);
  });

  it('lets no other site switch them', async () => {
    for (const method of ['POST', 'DELETE']) {
      const headers = { origin: 'http://evil.example' };
      assert.equal((await fetch(`${base}?side=inbound&abort=14`, { method, headers })).status, 403);
    }
    assert.deepEqual([desk.on, desk.cleared], [[], []]);
  });
});
