/**
 * An endpoint fails for two seconds and works for two seconds, again and again. It is ejected for longer each time
 * instead of oscillating, and callers notice nothing.
 */
import assert from 'node:assert/strict';
import { Mesh } from '../../kit/scenario/mesh-in-memory.js';

describe('Scenario: a flapping endpoint', () => {
  it('is ejected five times a minute at most, and fails no call that may be repeated', () => {
    const mesh = new Mesh({ balance: 'round-robin' });
    const { model } = mesh.replicas[0]!;
    const works = model.answer;
    for (let i = 0; i < 30; i++) {
      model.answer = i % 2 === 0 ? (stream) => stream.fail(14) : works;
      mesh.load(2000, 40);
    }
    mesh.advance(1000);
    assert.deepEqual(mesh.failures(), {});
    const { ejections } = mesh.endpoint(0).ejection;
    assert.ok(ejections >= 1 && ejections <= 5, `${ejections}`);
  });
});
