import assert from 'node:assert/strict';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { status } from '@grpc/grpc-js';
import type { Model, ModelState } from '../../../../../services/model-server/models/model.js';
import { ModelTable } from '../../../../../services/model-server/models/model-table.js';
import { RepositoryControl } from '../../../../../services/model-server/models/repository-control.js';
import { failure, temporaryDirectory } from '../../../../kit/service/model-server.js';

/** A model whose load ends as `ends` says. */
class StubModel {
  state: ModelState = 'loading';
  why = '';
  released = false;

  constructor(
    readonly name: string,
    readonly version: string,
    private readonly ends: (version: string) => string,
  ) {}

  async load(): Promise<void> {
    this.why = this.ends(this.version);
    this.state = this.why === '' ? 'ready' : 'failed';
  }

  retire(why: string): void {
    this.state = 'unloading';
    this.why = why;
  }

  async release(): Promise<void> {
    this.released = true;
  }
}

describe('loading and unloading in one process', () => {
  let directory: string;
  beforeEach(() => {
    directory = temporaryDirectory();
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  function control(ends: (version: string) => string = () => '') {
    const models = new ModelTable();
    const made: StubModel[] = [];
    const notes: string[] = [];
    let drain: Promise<void> = Promise.resolve();
    const repository = new RepositoryControl({
      modelsDirectory: directory,
      models,
      newModel: ({ name, version }) => {
        const model = new StubModel(name, version, ends);
        made.push(model);
        return model as unknown as Model;
      },
      changed: ({ name, version }, isServed) =>
        notes.push(`${name} ${version} ${isServed ? 'served' : 'gone'}`),
      drained: () => drain,
      log: () => {},
    });
    const put = (version: string, name = 'm') =>
      mkdirSync(join(directory, name, version), { recursive: true });
    const served = () => models.all().map(({ name, version }) => `${name} ${version}`);
    return {
      repository,
      models,
      newModel: (name: string) => new StubModel(name, '1', ends) as unknown as Model,
      made,
      notes,
      put,
      served,
      drainBy: (by: Promise<void>) => {
        drain = by;
      },
    };
  }

  it('a new version takes the place of the old one, which is released once it has drained', async () => {
    const { repository, made, notes, put, served, drainBy } = control();
    put('1');
    await repository.load('m');
    put('2');
    let drained = () => {};
    drainBy(
      new Promise((resolve) => {
        drained = resolve;
      }),
    );
    const loading = repository.load('m');
    while (!notes.includes('m 2 served')) await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual([served(), made[0]!.state, made[0]!.released], [['m 2'], 'unloading', false]);
    await loading;
    assert.equal(made[0]!.released, false, 'the load is answered as soon as the new version is served');
    drained();
    await repository.allReleased();
    assert.equal(made[0]!.released, true);
  });

  it('a model that drains for long keeps no other from being loaded, nor itself from being loaded again', async () => {
    const { repository, made, put, served, drainBy } = control();
    put('1');
    put('1', 'n');
    await repository.load('m');
    let drained = () => {};
    drainBy(
      new Promise((resolve) => {
        drained = resolve;
      }),
    );
    let isUnloaded = false;
    const unloading = repository.unload('m').then(() => {
      isUnloaded = true;
    });
    await repository.load('n');
    await repository.load('m');
    assert.deepEqual([served(), isUnloaded, made[0]!.released], [['n 1', 'm 1'], false, false]);
    drained();
    await unloading;
    assert.deepEqual([served(), made[0]!.released], [['n 1', 'm 1'], true]);
  });

  it('a model that is unloaded before its first turn is not loaded, and one whose load is under way is unloaded after it', async () => {
    const { repository, models, newModel, notes } = control();
    const first = newModel('m');
    const second = newModel('n');
    models.add(first);
    models.add(second);
    const loading = repository.loadFirst(first);
    const unloads = [repository.unload('m'), repository.unload('n')];
    await Promise.all([loading, ...unloads, repository.loadFirst(second)]);
    assert.deepEqual(notes, ['m 1 served', 'm 1 gone', 'n 1 gone']);
    assert.deepEqual([first.state, second.state], ['unloading', 'unloading'], 'none is loaded after its end');
  });

  it('a version that does not load leaves what is served, and its reason is told', async () => {
    const { repository, put, served } = control((version) => (version === '2' ? 'it is broken' : ''));
    put('1');
    await repository.load('m');
    put('2');
    await assert.rejects(repository.load('m'), {
      code: status.FAILED_PRECONDITION,
      message: "failed to load 'm' version 2: it is broken",
    });
    assert.deepEqual(served(), ['m 1']);
    assert.deepEqual(repository.unserved(), [{ name: 'm', version: '2', reason: 'it is broken' }]);
  });

  it('what is not there is NOT_FOUND, for a load and for an unload', async () => {
    const { repository, put } = control();
    put('1');
    assert.equal((await failure(repository.load('n'))).code, status.NOT_FOUND);
    assert.equal((await failure(repository.unload('m'))).code, status.NOT_FOUND);
    assert.deepEqual(repository.unserved(), [{ name: 'm', version: '1', reason: 'it is not loaded' }]);
  });

  it('one load or unload follows the other, also after one that failed', async () => {
    const { repository, put, served } = control((version) => (version === '2' ? 'it is broken' : ''));
    put('2');
    const first = failure(repository.load('m'));
    const second = repository.load('n');
    put('1', 'n');
    const third = repository.unload('n');
    await first;
    await second;
    await third;
    assert.deepEqual(served(), []);
  });

  it('a directory that cannot be read is UNAVAILABLE, and nothing is listed of it', async () => {
    const { repository } = control();
    rmSync(directory, { recursive: true });
    assert.equal((await failure(repository.load('m'))).code, status.UNAVAILABLE);
    assert.deepEqual(repository.unserved(), []);
  });
});
