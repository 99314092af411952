import assert from 'node:assert/strict';
import { protocols } from '../../../proto/load.js';
import { type ParameterReading, readInferParameter } from '../../../sidecar/codec/infer-parameter.js';
import { MessageWriter } from '../../../sidecar/codec/protobuf.js';

const NAME = 'sequence_id';

const read = (bytes: Buffer, messageBytes = bytes.length) => readInferParameter(bytes, messageBytes, NAME);
const found = (value: string): ParameterReading => ({ kind: 'found', value });

/** A request as a stock client serializes it. */
const request = (parameters: object, inputBytes = 100): Buffer =>
  protocols().inference.ModelInfer.requestSerialize({
    ...{ model_name: 'm', model_version: '1', id: 'id', parameters },
    inputs: [{ name: 'x', datatype: 'UINT8', shape: [inputBytes] }],
    raw_input_contents: [Buffer.alloc(inputBytes)],
  } as never);

const text = (value: string) => new MessageWriter().text(3, value);
const entry = (name: string, value: MessageWriter) => new MessageWriter().text(1, name).message(2, value);
const message = (...entries: MessageWriter[]): Buffer =>
  entries.reduce((writer, each) => writer.message(4, each), new MessageWriter().text(1, 'm')).finish();

describe('a parameter of an inference request', () => {
  it('is read as a text, an int64 or a uint64, wherever it stands in the map', () => {
    const others = { sequence_start: { bool_param: true }, priority: { uint64_param: '7' } };
    assert.deepEqual(read(request({ ...others, [NAME]: { string_param: 'a b' } })), found('a b'));
    assert.deepEqual(read(request({ [NAME]: { int64_param: '-42' }, ...others })), found('-42'));
    const large = '18446744073709551615';
    assert.deepEqual(read(request({ ...others, [NAME]: { uint64_param: large } })), found(large));
  });

  it('is absent where it is not there, or says nothing: 0, an empty text, another type', () => {
    for (const parameters of [
      {},
      { sequence: { string_param: 'x' }, sequence_id2: { string_param: 'x' } },
      { [NAME]: { int64_param: '0' } },
      { [NAME]: { string_param: '' } },
      { [NAME]: { double_param: 1.5 } },
      { [NAME]: { bool_param: true } },
      { [NAME]: {} },
    ])
      assert.deepEqual(read(request(parameters)), { kind: 'absent' }, JSON.stringify(parameters));
    assert.deepEqual(read(Buffer.alloc(0)), { kind: 'absent' });
  });

  it('needs no more of the message than what stands before the inputs', () => {
    const whole = request({ [NAME]: { string_param: 'of a long one' } }, 600_000);
    assert.deepEqual(read(whole.subarray(0, 200), whole.length), found('of a long one'));
    const without = request({}, 600_000);
    assert.deepEqual(read(without.subarray(0, 200), without.length), { kind: 'absent' });
  });

  it('asks for more where the message is cut off anywhere before that, and gives no other answer', () => {
    const whole = request({ a: { string_param: 'b' }, [NAME]: { string_param: 'c' } });
    let first = -1;
    for (let n = 0; n <= whole.length; n++) {
      const { kind } = read(whole.subarray(0, n), whole.length);
      if (kind === 'found' && first < 0) first = n;
      assert.equal(kind, first < 0 ? 'more' : 'found', `after ${n} bytes`);
    }
    assert.ok(first > 0 && first < whole.length);
  });

  it('is the last of several with the name, as in a map', () => {
    const twice = message(entry(NAME, text('first')), entry('x', text('y')), entry(NAME, text('last')));
    assert.deepEqual(read(twice), found('last'));
  });

  it('is not read from bytes that are no message', () => {
    const cut = Buffer.concat([Buffer.from([0x22, 5, 0x0a, 20]), Buffer.from('abc')]);
    assert.deepEqual(read(cut), { kind: 'absent' }, 'an entry of another name, cut off');
    const inside = new MessageWriter()
      .text(1, NAME)
      .bytes(2, Buffer.from([0x1a, 50, 0x61]))
      .finish();
    assert.deepEqual(read(new MessageWriter().bytes(4, inside).finish()), { kind: 'malformed' });
    for (const bytes of [
      [0x00],
      [0x0b, 1],
      [0x22, 200, 1, 0x0a],
      [0x22, 0xff],
      [0xff, 0xff, 0xff, 0xff, 0xff, 1, 1],
    ])
      assert.deepEqual(read(Buffer.from(bytes)), { kind: 'malformed' }, String(bytes));
  });

  it('costs little in a map of very many entries', () => {
    const tiny = Array.from({ length: 15_000 }, () => Buffer.from([0x22, 2, 0x0a, 0]));
    const hostile = Buffer.concat([...tiny, message(entry(NAME, text('z')))]);
    const same = message(...Array.from({ length: 3_000 }, (_, i) => entry(NAME, text(`s${i}`))));
    const beganMs = performance.now();
    for (let i = 0; i < 20; i++) {
      assert.deepEqual(read(hostile), found('z'));
      assert.deepEqual(read(same), found('s2999'));
    }
    assert.ok(performance.now() - beganMs < 2_000);
  });
});
