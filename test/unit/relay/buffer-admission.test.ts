import assert from 'node:assert/strict';
import type { OwnedBuffer } from '../../../sidecar/http2/owned-buffer.js';
import {
  BufferAdmission,
  type BufferedRequest,
  type BufferPlace,
} from '../../../sidecar/relay/buffer-admission.js';
import { ChunkList } from '../../../sidecar/transport/chunk-list.js';
import type { DataPlaneContext } from '../../../sidecar/transport/context.js';

const FIRST = 65_536;
const ANNOUNCED = 70_000;

describe('The memory of requests that are buffered whole', () => {
  let admission: BufferAdmission;
  let memory: { used: number; limit: number; isAlarmed: boolean };
  let looks: number;
  let sent: TestRequest[];

  class TestRequest implements BufferedRequest {
    isFinished = false;
    requestEnded = false;
    isUnderWay = false;
    place: BufferPlace | null = null;
    readonly buffered = new ChunkList();

    constructor(readonly holder: object) {
      const head = Buffer.alloc(5);
      head.writeUInt32BE(ANNOUNCED, 1);
      this.buffered.add(head as OwnedBuffer, 0, head.length);
    }
    get requestBytes(): number {
      looks++;
      return FIRST;
    }
    onRequestSent(): void {
      sent.push(this);
    }
    shed(): void {}
  }

  const start = (): void => {
    memory = { used: 0, limit: 256 * 1024 * 1024, isAlarmed: false };
    looks = 0;
    sent = [];
    const context = { nowMs: 0, flushes: { schedule() {} }, wheel: { add() {} }, memory };
    admission = new BufferAdmission(context as unknown as DataPlaneContext, 16 * 1024 * 1024);
  };
  beforeEach(start);

  /** Requests that wait, as there is no memory. */
  const wait = (count: number, connections: number): void => {
    memory.used = memory.limit;
    const holders = Array.from({ length: connections }, () => ({}));
    for (let i = 0; i < count; i++) admission.admits(new TestRequest(holders[i % connections]!));
    // One is let in always.
    assert.equal(admission.waiting, count - 1);
    memory.used = 0;
  };
  const grantAll = (): void => {
    for (let pass = 0; pass < 2; pass++) admission.flush();
  };

  for (const connections of [1, 20])
    it(`is given to all that wait in proportion to how many these are (connections: ${connections})`, () => {
      const looksFor = (count: number): number => {
        start();
        wait(count, connections);
        looks = 0;
        grantAll();
        assert.deepEqual([sent.length, admission.waiting], [count - 1, 0]);
        return looks;
      };
      const few = looksFor(100);
      const many = looksFor(400);
      assert.ok(many <= 8 * few, `${few} looks for 100, ${many} for 400`);
    });

  it('goes to the connection that has least of it reserved, and only as far as there is some', () => {
    wait(10, 2);
    const [first, second] = [{}, {}];
    for (const holder of [first, first, second]) admission.admits(new TestRequest(holder));
    memory.used = memory.limit * 0.75 - 2 * (ANNOUNCED + 5 - FIRST) * 5;
    grantAll();
    assert.ok(sent.length >= 3 && sent.length < 12, `${sent.length}`);
    assert.deepEqual(new Set(sent.slice(0, 3).map(({ holder }) => holder)).size, 3);
    assert.equal(admission.waiting, 12 - sent.length);
  });
});
