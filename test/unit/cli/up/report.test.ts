import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { paletteFor } from '../../../../sidecar/cli/terminal.js';
import type { SidecarState } from '../../../../sidecar/cli/up/fleet-state.js';
import { UpReport } from '../../../../sidecar/cli/up/report.js';
import type { ModelReport } from '../../../../sidecar/telemetry/reports.js';
import { scratchForTest } from '../../../kit/mocha/scratch.js';

describe('what up shows of Consul', () => {
  const UI = 'http://127.0.0.1:8500/ui/';
  const process: ModelReport = { state: 'ready', why: '', restarts: 0, pid: 7 };
  const admin = { kind: 'tcp', host: 'h', port: 1 };
  const spec = { name: 'client', service: 'client', role: 'caller', folder: '/f', admin, config: {} };
  const state = { spec, process, model: undefined, models: [], notReady: [] };
  const caller = state as unknown as SidecarState;

  function shown(json: boolean): { report: UpReport; lines: () => string[] } {
    let text = '';
    const out = { write: (part: string) => (text += part) };
    const report = new UpReport({ out, json, palette: paletteFor(out, {}), wallNow: () => 0 });
    return { report, lines: () => text.split('\n').slice(0, -1) };
  }

  it('is where its UI is, once the mesh is ready', () => {
    const { report, lines } = shown(false);
    report.ready([caller], '/run', { address: 'http://127.0.0.1:8500', ui: UI, pid: 9 });
    assert.ok(lines().join('\n').includes(UI), lines().join('\n'));
    const other = shown(false);
    other.report.ready([caller], '/run', { address: 'http://10.0.0.1:8500' });
    assert.ok(other.lines().includes('registered with Consul at http://10.0.0.1:8500'));
    const none = shown(false);
    none.report.ready([caller], '/run');
    assert.ok(!none.lines().join().includes('onsul'));
  });

  it('is a line when the agent dies and one when it is back', () => {
    const { report, lines } = shown(false);
    report.consul(process);
    assert.deepEqual(lines(), [], 'nothing before the mesh is ready');
    const named = { ...caller, spec: { ...caller.spec, name: 'demo-client' } };
    report.ready([named], '/run', { address: 'a', ui: UI });
    const before = lines().length;
    report.consul({ state: 'backoff', why: 'killed by SIGKILL; next start in 0.1 s', restarts: 0 });
    report.consul({ state: 'starting', why: '', restarts: 1, pid: 8 });
    report.consul({ state: 'ready', why: '', restarts: 1, pid: 8 });
    const said = lines().slice(before);
    assert.equal(said.length, 2);
    assert.match(said[0]!, /consul {7}agent down: killed by SIGKILL; next start in 0\.1 s$/);
    assert.match(said[1]!, /consul {7}agent ready \(process 8\)$/);
  });

  it('is an object per event as JSON', () => {
    const { report, lines } = shown(true);
    report.consul(process);
    report.ready([caller], '/run', { address: 'a', ui: UI, pid: 9 });
    const [first, second] = lines().map((line) => JSON.parse(line));
    assert.deepEqual(first, { event: 'consul', process });
    assert.deepEqual(second.consul, { address: 'a', ui: UI, pid: 9 });
  });

  it('has a line that asks the first model with a golden input, where there is one', () => {
    const scratch = scratchForTest();
    for (const folder of ['a/1', 'b/2']) mkdirSync(`${scratch.path}/models/${folder}`, { recursive: true });
    scratch.write('models/a/1/model.yaml', 'description: without');
    scratch.write(
      'models/b/2/model.yaml',
      'golden: { inputs: { x: { shape: [1], values: [1] } }, outputs: { y: { values: [2] } } }',
    );
    const upstreams = [{ name: 'mine', listen: { kind: 'tcp', host: '127.0.0.1', port: 8850 } }];
    const calling = { ...caller, spec: { ...caller.spec, config: { outbound: { upstreams } } } };
    const replica = (models: string) => ({
      ...caller,
      spec: {
        ...caller.spec,
        name: 'mine-1',
        service: 'mine',
        role: 'replica',
        config: { inbound: { listen: { kind: 'tcp', host: '127.0.0.1', port: 9 }, golden: { models } } },
      },
    });
    const lineWith = (models: string): string | undefined => {
      const { report, lines } = shown(false);
      report.ready([replica(models), calling] as unknown as SidecarState[], '/run');
      return lines().find((line) => line.includes(' infer '));
    };
    const models = `${scratch.path}/models`;
    assert.ok(
      lineWith(models)?.endsWith(` infer b --input @${models}/b/2/model.yaml --target 127.0.0.1:8850`),
      lineWith(models),
    );
    assert.equal(lineWith(`${models}/a`), undefined);
    assert.equal(lineWith('/no/such/folder'), undefined);
  });

  it('says once that a model is ready, though its report comes again, and again for the next process', () => {
    const { report, lines } = shown(false);
    const ready = (pid: number): ModelReport => ({ state: 'ready', why: '', restarts: 0, pid });
    const spec = {
      ...caller.spec,
      name: 'digits-1',
      service: 'digits',
      role: 'replica',
    } as SidecarState['spec'];
    const of = (model: ModelReport): SidecarState => ({ ...caller, spec, model, models: [model] });
    report.ready([of(ready(8)), caller], '/run');
    const before = lines().length;
    const tell = (model: ModelReport) =>
      report.event({ kind: 'model', state: of(model), changed: [model] }, []);
    tell(ready(8));
    tell({ state: 'backoff', why: 'killed by SIGKILL', restarts: 0 });
    for (let i = 0; i < 3; i++) tell(ready(9));
    const said = lines()
      .slice(before)
      .map((line) => line.slice(10).trim());
    assert.deepEqual(said, ['digits-1  model down: killed by SIGKILL', 'digits-1  model ready (process 9)']);
  });

  it('has the processes of sidecars, where their logs are, the page of the mesh, and a last line', () => {
    const { report, lines } = shown(false);
    report.ready(
      [{ ...caller, process: { ...process, pid: 77 }, spec: { ...caller.spec, folder: '/run/client' } }],
      '/run',
    );
    const text = lines().join('\n');
    assert.match(text, /^service +replica .* sidecar process +model process$/m);
    assert.match(text, /^client +caller .* 77/m);
    assert.match(text, /^logs of sidecars and models: \/run\/REPLICA\/log$/m);
    assert.match(text, /outrider page$|main\.js page$/m);
    const text2 = {
      kind: 'silence',
      state: caller,
      text: 'sidecar (process 77) has not answered for 2 s',
    } as const;
    report.event(text2, []);
    report.stopped();
    assert.match(lines().at(-2)!, /client +sidecar \(process 77\) has not answered for 2 s$/);
    assert.equal(lines().at(-1), 'stopped');
  });

  it('names each model of a replica, and says loudly what is not served', () => {
    const { report, lines } = shown(false);
    const model = (name: string, state: ModelReport['state'], why: string, pid: number) =>
      ({ name, state, why, pid, restarts: 0 }) satisfies ModelReport;
    const models = [
      model('broken', 'failed', 'model.onnx: no such graph', 8),
      model('digits', 'ready', '', 9),
    ];
    const spec = { ...caller.spec, name: 'mine-1', service: 'mine', role: 'replica' } as SidecarState['spec'];
    const state: SidecarState = { ...caller, spec, models, model: { state: 'ready', why: '', restarts: 0 } };
    report.ready([state, caller], '/run');
    const text = lines();
    assert.match(text.join('\n'), /mine-1 .*broken 8, digits 9/);
    assert.ok(text.includes('NOT SERVED: model broken of mine-1: model.onnx: no such graph'));
    const again = model('broken', 'ready', '', 10);
    report.event({ kind: 'model', state: { ...state, models: [again, models[1]!] }, changed: [again] }, []);
    assert.match(lines().at(-1)!, /mine-1 +model broken ready \(process 10\)$/);
  });
});
