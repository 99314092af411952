import assert from 'node:assert/strict';
import { ProcessFaults } from '../../../sidecar/app/process-fault-control.js';
import type { FaultHit, FaultStrike } from '../../../sidecar/supervise/supervisor.js';
import type { AuditTrail } from '../../../sidecar/telemetry/audit/trail.js';
import type { ModelReport } from '../../../sidecar/telemetry/reports.js';
import { ManualClock } from '../../kit/time/manual-clock.js';

/** A model server whose process answers as the test says. */
class Host {
  readonly seen: string[] = [];
  spared: string | undefined;

  constructor(
    readonly model: string,
    public pid: number,
  ) {}

  report = (): ModelReport => ({ state: 'ready', why: '', restarts: 0, pid: this.pid });
  strike(blow: FaultStrike): FaultHit {
    if (this.spared !== undefined) return { kind: 'spared', why: this.spared };
    this.seen.push(blow);
    return { kind: 'struck', pid: this.pid };
  }
  thaw(pid: number): void {
    this.seen.push(`thaw ${pid}`);
  }
}

describe('faults of model processes', () => {
  let time: ManualClock;
  let digits: Host;
  let pages: Host;
  let audited: string[];

  beforeEach(() => {
    time = new ManualClock();
    digits = new Host('digits', 11);
    pages = new Host('pages', 12);
    audited = [];
  });

  const faultsWith = (permission: true | 'processes' | undefined): ProcessFaults => {
    const audit: AuditTrail = { record: (kind, fields) => audited.push(`${kind} ${JSON.stringify(fields)}`) };
    const logger = { warn: () => {} };
    const context = { deps: { clock: time, timers: time, logger }, dataPlane: { audit } };
    return new ProcessFaults({ permission, context: context as never, hosts: () => [digits, pages] });
  };

  it('freezes one process for its time, and lets it go on by itself', () => {
    const faults = faultsWith('processes');
    const fault = { process: 'freeze', model: 'digits', pid: 11, leftMs: 4_000 };
    assert.deepEqual(faults.strike('freeze', 4_000), { kind: 'struck', fault });
    time.advance(1_000);
    assert.deepEqual(faults.list(), [{ ...fault, leftMs: 3_000 }]);
    // A second one has to wait.
    assert.deepEqual(faults.strike('kill', 0, 'pages'), {
      kind: 'refused',
      why: 'process 11 is frozen already',
    });
    time.advance(3_000);
    assert.deepEqual([digits.seen, pages.seen], [['freeze', 'thaw 11'], []]);
    assert.deepEqual(faults.list(), []);
    assert.deepEqual(audited, [
      `fault-injected ${JSON.stringify({ fault })}`,
      'faults-ended {"gone":1,"left":0,"cause":"time"}',
    ]);
  });

  it('lets a frozen process go on when it is told to, and when the sidecar ends', () => {
    const faults = faultsWith('processes');
    faults.strike('freeze', 4_000);
    assert.deepEqual([faults.thaw(), faults.thaw()], [1, 0]);
    faults.strike('freeze', 4_000);
    faults.stop();
    time.advance(10_000);
    assert.deepEqual(digits.seen, ['freeze', 'thaw 11', 'freeze', 'thaw 11']);
  });

  it('forgets a frozen process that was found to hang, and strikes the next', () => {
    const faults = faultsWith('processes');
    faults.strike('freeze', 60_000);
    digits.pid = 21;
    assert.deepEqual(faults.list(), []);
    assert.equal(faults.strike('kill', 0).kind, 'struck');
    assert.deepEqual(digits.seen, ['freeze', 'thaw 11', 'kill']);
  });

  it('strikes the model that is named, else the first that serves, and says why none was struck', () => {
    const faults = faultsWith('processes');
    faults.strike('kill', 0, 'pages');
    digits.spared = 'no process serves: starting';
    faults.strike('kill', 0);
    assert.deepEqual([digits.seen, pages.seen], [[], ['kill', 'kill']]);
    assert.deepEqual(faults.strike('kill', 0, 'digits'), {
      kind: 'refused',
      why: 'no process serves: starting',
    });
    assert.deepEqual(faults.models, ['digits', 'pages']);
  });

  for (const [permission, found] of [
    [undefined, 'false'],
    [true, 'true'],
  ] as const)
    it(`touches nothing where the file says fault_injection: ${found}`, () => {
      const faults = faultsWith(permission);
      assert.equal(faults.strike('kill', 0).kind, 'refused');
      assert.equal(faults.strike('freeze', 1_000).kind, 'refused');
      assert.deepEqual([faults.isAllowed, faults.found, digits.seen, audited], [false, found, [], []]);
    });
});
