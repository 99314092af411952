import assert from 'node:assert/strict';
import { Room } from '../../../../sidecar/core/outlier/room.js';

const roomOf = (...utilizations: readonly (number | undefined)[]): Room => {
  const room = new Room();
  for (const each of utilizations) room.add(each);
  return room;
};

describe('The room of endpoints', () => {
  it('is enough for the share of one more where they stay below 0.7 with it', () => {
    assert.equal(roomOf(0.34).takesOneMore, true);
    assert.equal(roomOf(0.36).takesOneMore, false);
    assert.equal(roomOf(0.46, 0.46).takesOneMore, true);
    assert.equal(roomOf(0.2, 0.8).takesOneMore, false);
  });

  it('is not doubted where none reports, and known by those that do', () => {
    assert.equal(roomOf(undefined, undefined).takesOneMore, true);
    assert.equal(roomOf(undefined, 0.6).takesOneMore, false);
    assert.equal(roomOf().isCrowded, false);
  });

  it('is gone where there are more calls than can run', () => {
    assert.equal(roomOf(0.9, 1.2).isCrowded, true);
    assert.equal(roomOf(0.9, 0.9).isCrowded, false);
  });
});
