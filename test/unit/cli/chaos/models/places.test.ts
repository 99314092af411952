import assert from 'node:assert/strict';
import { Places } from '../../../../../sidecar/cli/chaos/models/places.js';

const CALL = { cancelled: false };
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('the places of a model process', () => {
  it('are so many, and the longest waiting call gets the next one that is free', () => {
    const places = new Places(() => 1);
    const begun: string[] = [];
    const done: (() => void)[] = [];
    for (const name of ['a', 'b', 'c'])
      places.take(CALL, (free) => {
        begun.push(name);
        done.push(free);
      });
    assert.deepEqual([begun, places.busy, places.waiting], [['a'], 1, 2]);
    done.shift()!();
    assert.deepEqual([begun, places.busy, places.waiting], [['a', 'b'], 1, 1]);
  });

  it('are not given to a call whose caller has gone, but to the one behind it', async () => {
    const places = new Places(() => 1);
    let free = (): void => {};
    const gone = { cancelled: false };
    const begun: string[] = [];
    places.take(CALL, (done) => {
      free = done;
    });
    places.take(gone, () => void begun.push('gone'));
    places.take(CALL, () => void begun.push('next'));
    gone.cancelled = true;
    free();
    await turn();
    assert.deepEqual(begun, ['next']);
  });
});
