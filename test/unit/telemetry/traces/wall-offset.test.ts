import assert from 'node:assert/strict';
import { WallOffset } from '../../../../sidecar/telemetry/traces/wall-offset.js';

/** A clock whose wall counts whole milliseconds, as the system's does. */
class Wall {
  nowMs = 0;
  epochMs = 1_000_000.4;
  now(): number {
    return this.nowMs;
  }
  wallNow(): number {
    return Math.floor(this.epochMs + this.nowMs);
  }
}

describe('the offset of the wall clock', () => {
  it('comes close to what the whole milliseconds hide', () => {
    const clock = new Wall();
    const offset = new WallOffset(clock);
    let found = 0;
    for (let i = 0; i < 50; i++) {
      clock.nowMs += 3.3;
      found = offset.read();
    }
    assert.ok(found <= clock.epochMs && found > clock.epochMs - 0.11, `${found}`);
  });

  it('follows a clock that was set back, within half a minute', () => {
    const clock = new Wall();
    const offset = new WallOffset(clock);
    offset.read();
    clock.epochMs -= 5_000;
    clock.nowMs += 1_000;
    assert.ok(offset.read() > clock.epochMs + 1_000, 'a single look is not believed');
    for (let i = 0; i < 31; i++) {
      clock.nowMs += 1_000;
      offset.read();
    }
    assert.ok(offset.read() <= clock.epochMs);
  });

  it('follows one that was set forward at once', () => {
    const clock = new Wall();
    const offset = new WallOffset(clock);
    offset.read();
    clock.epochMs += 5_000;
    assert.ok(offset.read() > clock.epochMs - 1);
  });
});
