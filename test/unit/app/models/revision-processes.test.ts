/** The sockets of processes of single models. */
import assert from 'node:assert/strict';
import { RevisionProcesses } from '../../../../sidecar/app/models/revision-processes.js';
import { ofGeneration } from '../../../../sidecar/cli/sidecar/command-override.js';
import { defaultModelProcess } from '../../../../sidecar/config/options/model-process.js';
import { anAppContext } from '../../../kit/stack/app-context.js';
import { aConfig } from '../../../kit/stack/sidecar-in-memory.js';
import { anInbound } from '../../../kit/stack/stack.js';

describe('the processes of a version', () => {
  const local: { readonly kind: 'unix'; readonly path: string } = { kind: 'unix', path: '/run/model.sock' };
  const base = { directory: '/models', local, instances: 1, isVersioned: false, initial: 1 };
  const make = (over: Partial<typeof base>) => new RevisionProcesses({ ...base, ...over }, anAppContext());
  const revision = { name: 'digits', version: '2', fingerprint: 'a' };
  const paths = (processes: RevisionProcesses) =>
    processes.hostsOf(revision).map(({ address }) => (address.kind === 'unix' ? address.path : ''));

  it('of the only model without instances are at the socket that is named', () => {
    assert.deepEqual(paths(make({})), ['/run/model.sock']);
  });

  it('have sockets beside it, never the same twice', () => {
    const processes = make({ initial: 4, instances: 2 });
    assert.deepEqual(paths(processes), ['/run/model.sock.1', '/run/model.sock.2']);
    assert.deepEqual(paths(processes), ['/run/model.sock.3', '/run/model.sock.4']);
    assert.deepEqual(paths(make({ isVersioned: true })), ['/run/model.sock.1'], 'others may come');
  });

  it('have sockets that no process of another generation has', () => {
    const process = { ...defaultModelProcess(), command: ['serve', '{socket}'] };
    const config = aConfig({ inbound: anInbound({ local }), model: process });
    const localOf = (generation: number) => ofGeneration(config, generation).inbound!.local as typeof local;
    const taken = new Set<string>();
    let sockets = 0;
    for (let generation = 1; generation <= 12; generation++)
      for (const over of [{}, { instances: 13, initial: 2 }]) {
        const own = paths(make({ local: localOf(generation), ...over }));
        for (const path of own) taken.add(path);
        sockets += own.length;
      }
    assert.equal(taken.size, sockets);
  });

  it('are told their model and version, and their number where there are several', () => {
    const said = (over: Partial<typeof base>) =>
      make(over)
        .hostsOf(revision)
        .map(({ model, version, instance }) => [model, version, instance]);
    assert.deepEqual(said({}), [['digits', '2', undefined]]);
    assert.deepEqual(said({ instances: 2 }), [
      ['digits', '2', 1],
      ['digits', '2', 2],
    ]);
  });

  it('are told apart by version where versions come and go', () => {
    const served = (isVersioned: boolean) => {
      const processes = make({ isVersioned });
      return processes.servedBy(revision, processes.hostsOf(revision)).version;
    };
    assert.deepEqual([served(true), served(false)], ['2', undefined]);
  });
});
