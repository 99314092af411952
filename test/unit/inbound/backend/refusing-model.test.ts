import assert from 'node:assert/strict';
import { AttemptEnd } from '../../../../sidecar/core/outcome/outcome.js';
import { RefusingModel } from '../../../../sidecar/inbound/backend/refusing-model.js';

const { goawayUnprocessed, refusedStream, connectError, unconnected } = AttemptEnd;

describe('RefusingModel', () => {
  const connections = (n: number) => Array.from({ length: n }, () => ({ refusals: 0 }));

  it('however many calls a connection at its end leaves out, the next one may take them', () => {
    const refusing = new RefusingModel();
    const [leaving] = connections(1);
    for (let i = 0; i < 50; i++) assert.equal(refusing.isPassing(goawayUnprocessed, leaving!), true);
  });

  it('the third connection in a row that takes no call says something about the model', () => {
    const refusing = new RefusingModel();
    const found = connections(4).map((each) => refusing.isPassing(goawayUnprocessed, each));
    assert.deepEqual(found, [true, true, false, false]);
  });

  it('an answer between them begins anew', () => {
    const refusing = new RefusingModel();
    for (const each of connections(10)) {
      assert.equal(refusing.isPassing(refusedStream, each), true);
      refusing.onAnswer();
    }
  });

  it('a connection that resets five calls in a row without an answer says something about the model', () => {
    const refusing = new RefusingModel();
    const connection = { refusals: 0 };
    const found = [1, 2, 3, 4, 5, 6].map((refusals) => {
      connection.refusals = refusals;
      return refusing.isPassing(refusedStream, connection);
    });
    assert.deepEqual(found, [true, true, true, true, false, false]);
  });

  it('a connection that resets every call says it too while others are open there, later', () => {
    const refusing = new RefusingModel();
    const [busy] = connections(1);
    const found = Array.from({ length: 52 }, () => refusing.isPassing(refusedStream, busy!));
    assert.equal(found.indexOf(false), 49);
    assert.equal(found.at(-1), false);
    refusing.onAnswer();
    assert.equal(refusing.isPassing(refusedStream, busy!), true);
  });

  it('a model that cannot be connected is away', () => {
    const refusing = new RefusingModel();
    assert.equal(refusing.isPassing(connectError, null), false);
    assert.equal(refusing.isPassing(unconnected, null), false);
  });
});
