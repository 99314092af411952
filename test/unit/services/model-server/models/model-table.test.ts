import assert from 'node:assert/strict';
import { status } from '@grpc/grpc-js';
import type { Model } from '../../../../../services/model-server/models/model.js';
import { ModelTable } from '../../../../../services/model-server/models/model-table.js';
import type { RpcError } from '../../../../../services/model-server/rpc.js';

const model = (name: string, version: string, state = 'ready') =>
  ({ name, version, state }) as unknown as Model;
const asIs = (text: string) => text;

describe('the table of models', () => {
  it('finds a version, and without one the highest that is ready', () => {
    const [two, ten, eleven] = [model('m', '2'), model('m', '10'), model('m', '11', 'failed')];
    const table = new ModelTable([two, ten, eleven]);
    assert.equal(table.find('m', '2', asIs), two);
    assert.equal(table.find('m', '', asIs), ten);
    assert.equal(table.find('m', undefined, asIs), ten);
  });

  it('finds the highest where none is ready, so that its reason is told', () => {
    const [one, two] = [model('m', '1', 'failed'), model('m', '2', 'loading')];
    assert.equal(new ModelTable([two, one]).find('m', '', asIs), two);
  });

  it('answers for what it does not have with NOT_FOUND, and the versions that it has', () => {
    const table = new ModelTable([model('m', '1'), model('m', '3'), model('n', '')]);
    const refused = (words: string) => (error: RpcError) => {
      assert.deepEqual([error.code, error.message], [status.NOT_FOUND, words]);
      return true;
    };
    const shorten = (text: string) => text.slice(0, 3);
    assert.throws(
      () => table.find('unknown', '', shorten),
      refused("Request for unknown model: 'unk' is not found"),
    );
    assert.throws(
      () => table.find('m', '2', asIs),
      refused("Request for unknown model: 'm' version 2 is not found (version 1, 3 is served)"),
    );
    assert.throws(() => table.find('n', '2', asIs), /\(version none is served\)/);
  });

  it('has the one that took the place of another, and forgets a name with its last version', () => {
    const [old, next, other] = [model('m', '1'), model('m', '1'), model('m', '2')];
    const table = new ModelTable([old, other]);
    table.add(next);
    assert.deepEqual([table.has(old), table.has(next), table.all('m')], [false, true, [next, other]]);
    table.remove(next);
    table.remove(other);
    assert.deepEqual([table.names(), table.all('m'), table.all()], [[], [], []]);
  });
});
