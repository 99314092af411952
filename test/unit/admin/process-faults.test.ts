import assert from 'node:assert/strict';
import { addFault, clearFaults, type FaultAdmin } from '../../../sidecar/admin/faults.js';
import {
  addProcessFault,
  type ProcessFaultAdmin,
  type ProcessStrike,
} from '../../../sidecar/admin/process-faults.js';
import { FakeView, NO_PROCESS_FAULTS } from '../../kit/stack/admin-view.js';

/** Notes what it is told to do. */
class Desk implements ProcessFaultAdmin {
  isAllowed = true;
  found = 'processes';
  readonly models = ['digits', 'pages'];
  readonly struck: unknown[] = [];
  isBusy = false;
  thawed = 0;

  list = () => [];
  strike(process: 'kill' | 'freeze', leftMs: number, model?: string): ProcessStrike {
    if (this.isBusy) return { kind: 'refused', why: 'process 7 is frozen already' };
    this.struck.push([process, leftMs, model]);
    return { kind: 'struck', fault: { process, pid: 7, leftMs } };
  }
  thaw(): number {
    this.thawed++;
    return 1;
  }
}

describe('/faults about model processes', () => {
  let desk: Desk;
  beforeEach(() => {
    desk = new Desk();
  });
  const add = (query: string) => addProcessFault(desk, new URLSearchParams(query));

  for (const [query, struck] of [
    ['process=kill', ['kill', 5_000, undefined]],
    ['process=freeze', ['freeze', 5_000, undefined]],
    ['process=freeze&for=1.5s&model=pages', ['freeze', 1_500, 'pages']],
    ['process=freeze&for=60s', ['freeze', 60_000, undefined]],
  ] as const)
    it(`takes ${query}`, () => {
      assert.equal(add(query).status, 201);
      assert.deepEqual(desk.struck, [struck]);
    });

  for (const [query, said] of [
    ['process=stop', /^process: found "stop"; expected kill or freeze$/],
    ['process=kill&for=5s', /^for: a process that was killed/],
    ['process=freeze&for=61s', /^for: found "61s"; expected at least 1ms and at most 1m$/],
    ['process=freeze&for=soon', /^for: /],
    ['process=freeze&model=page', /^model: found "page"; expected "pages"$/],
    ['process=freeze&model=x', /^model: found "x"; expected digits, pages$/],
    ['process=kill&process=kill', /^process: found it twice/],
    ['process=kill&pid=1', /^found the parameter "pid"; expected process, model, for$/],
    ['process=kill&upstream=digits', /^found the parameter "upstream"/],
  ] as const)
    it(`refuses ${query}, and says why`, () => {
      const { status, body } = add(query);
      assert.equal(status, 400);
      assert.match(String(body).trim(), said);
      assert.deepEqual(desk.struck, []);
    });

  it('says when a process cannot be struck now', () => {
    desk.isBusy = true;
    assert.deepEqual(add('process=kill'), { status: 409, body: 'process 7 is frozen already\n' });
  });

  it('does nothing unless the file allows it; the answer names field, found and expected', () => {
    desk.isAllowed = false;
    desk.found = 'true';
    for (const query of ['process=kill', 'process=nonsense']) {
      const { status, body } = add(query);
      assert.equal(status, 403);
      assert.match(String(body), /^fault_injection: found true; expected processes/);
    }
    assert.deepEqual(desk.struck, []);
  });

  it('are reached by the same path, and end with all others', () => {
    const admin: FaultAdmin = { ...new FakeView().faultDesk, isAllowed: true, processes: desk };
    assert.equal(addFault(admin, new URLSearchParams('process=kill')).status, 201);
    assert.deepEqual(clearFaults(admin, new URLSearchParams()).body, { cleared: 1 });
    assert.equal(desk.thawed, 1);
    // By its number one fault of calls ends, and nothing else.
    assert.equal(clearFaults(admin, new URLSearchParams('id=1')).status, 404);
    assert.equal(desk.thawed, 1);
    const closed: FaultAdmin = { ...admin, processes: NO_PROCESS_FAULTS };
    assert.equal(addFault(closed, new URLSearchParams('process=kill')).status, 403);
  });
});
