/** The messages of the model repository extension, as a client of another make writes and reads them. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { fieldsOf, MessageWriter } from '../../../sidecar/codec/protobuf.js';
import {
  decodeIndex,
  decodeIndexRequest,
  decodeModelRequest,
  encodeIndex,
  writeIndexRequest,
} from '../../../sidecar/codec/repository.js';

describe('messages about a repository', () => {
  it('ask for all models, or those that are ready', () => {
    const asked = (hex: string) => decodeIndexRequest(Buffer.from(hex, 'hex')).ready;
    assert.deepEqual([asked(''), asked('1001'), asked('1000'), asked('0a0178')], [false, true, false, false]);
    for (const ready of [true, false])
      assert.deepEqual(decodeIndexRequest(writeIndexRequest({ ready })), { ready });
  });

  it('name a model and parameters', () => {
    const parameter = (key: string) =>
      new MessageWriter().text(1, key).bytes(2, Buffer.from([0x1a, 1, 0x78]));
    const message = new MessageWriter().text(1, 'repository').text(2, 'digits');
    message.message(3, parameter('config')).message(3, parameter('file:1/model.onnx'));
    const read = decodeModelRequest(message.finish());
    assert.deepEqual(read, { model: 'digits', parameters: ['config', 'file:1/model.onnx'] });
    assert.deepEqual(decodeModelRequest(Buffer.alloc(0)), { model: '', parameters: [] });
  });

  it('list models with name, version, state and reason, without what is empty', () => {
    const entry = { name: 'digits', version: '2', state: 'READY', reason: '' };
    const bad = { ...entry, state: 'UNAVAILABLE', reason: 'golden output differs' };
    const lines = [...fieldsOf(encodeIndex([entry, bad]))].map(({ number, value }) => {
      assert.equal(number, 1);
      return [...fieldsOf(value as Buffer)].map((field) => `${field.number} ${field.value}`);
    });
    assert.deepEqual(lines[0], ['1 digits', '2 2', '3 READY']);
    assert.equal(lines[1]![3], '4 golden output differs');
    assert.deepEqual(decodeIndex(encodeIndex([entry, bad])), [entry, bad]);
    const many = encodeIndex(Array.from({ length: 4_097 }, () => entry));
    assert.throws(() => decodeIndex(many), RangeError);
  });

  it('are read or refused with a RangeError, whatever bytes come', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        for (const read of [decodeIndexRequest, decodeModelRequest, decodeIndex]) {
          try {
            read(Buffer.from(bytes));
          } catch (error) {
            assert.ok(error instanceof RangeError, String(error));
          }
        }
      }),
    );
  });
});
