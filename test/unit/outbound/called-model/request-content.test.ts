import assert from 'node:assert/strict';
import { MODEL_INFER } from '../../../../sidecar/codec/inference.js';
import { MessageWriter } from '../../../../sidecar/codec/protobuf.js';
import {
  contentOf,
  MAX_FIELDS,
  MAX_PARAMETERS,
} from '../../../../sidecar/outbound/called-model/request-content.js';
import { ChunkList } from '../../../../sidecar/transport/chunk-list.js';
import { grpcMessage } from '../../../kit/http2/h2-frames.js';

const OTHER = '/inference.GRPCInferenceService/ModelReady';

/** The body as it may come, in chunks of `size` bytes. */
function chunked(body: Buffer, size = body.length): ChunkList {
  const list = new ChunkList();
  for (let at = 0; at < body.length; at += size) {
    const part = Buffer.from(body.subarray(at, at + size));
    list.add(part, 0, part.length);
  }
  return list;
}

/** The bytes that count, as text. */
function found(body: Buffer, { path = MODEL_INFER, size = body.length } = {}): string {
  const { bytes, pieces } = contentOf(path, chunked(body, size));
  const all = Buffer.concat(pieces);
  assert.equal(all.length, bytes);
  return all.toString('latin1');
}

const parameter = (name: string, value: string): MessageWriter =>
  new MessageWriter().text(1, name).message(2, new MessageWriter().text(3, value));

interface Said {
  readonly id?: string;
  readonly model?: string;
  readonly version?: string;
  readonly parameters?: readonly MessageWriter[];
  readonly raw?: Buffer;
}

function request({ id = '', model = 'digits', version = '1', parameters = [], raw }: Said = {}): Buffer {
  const message = new MessageWriter().text(1, model).text(2, version).text(3, id);
  for (const each of parameters) message.message(4, each);
  message.message(5, new MessageWriter().text(1, 'x').text(2, 'UINT8').integers(3, [3]));
  return grpcMessage(message.bytes(7, raw ?? Buffer.from('abc')).finish());
}

const greedy = parameter('decoding', 'greedy');
const seed = parameter('seed', '1');

describe('The content of an inference request', () => {
  it('is the same whatever its id', () => {
    const plain = found(request());
    assert.equal(plain, request().subarray(5).toString('latin1'), 'all of the message');
    for (const id of ['1', '22', 'x'.repeat(300)]) assert.equal(found(request({ id })), plain);
  });

  it('is another one with another model, version, parameter or tensor', () => {
    const others: Said[] = [
      ...[{ model: 'words' }, { version: '2' }, { raw: Buffer.from('abd') }, { raw: Buffer.from('abcd') }],
      ...[{ parameters: [greedy] }, { parameters: [seed] }, { parameters: [parameter('seed', '2')] }],
    ];
    const all = [{}, ...others].map((said) => found(request({ id: '1', ...said })));
    assert.equal(new Set(all).size, all.length);
  });

  it('is the same in whatever order its parameters stand', () => {
    const one = found(request({ id: 'a', parameters: [greedy, seed] }));
    assert.equal(found(request({ id: 'b', parameters: [seed, greedy] })), one);
    const many = Array.from({ length: MAX_PARAMETERS + 1 }, (_, i) => parameter(`${i}`, ''));
    const asTheyStand = found(request({ parameters: many }));
    assert.notEqual(found(request({ parameters: many.toReversed() })), asTheyStand, 'beyond the bound');
  });

  it('is found however the body comes', () => {
    const raw = Buffer.alloc(70_000, 'tensor');
    const parameters = [seed, greedy];
    const plain = found(request({ raw, parameters }));
    for (const size of [1, 2, 7, 4_096, 16_384])
      assert.equal(found(request({ id: 'x'.repeat(50), raw, parameters }), { size }), plain, `${size}`);
  });

  it('leaves out an id wherever it stands, and only that', () => {
    const odd = new MessageWriter()
      .text(3, 'a')
      .text(1, 'm')
      .text(3, 'b')
      .number(3, 7)
      .double(9, 1)
      .text(3, 'c');
    const kept = new MessageWriter().text(1, 'm').number(3, 7).double(9, 1);
    assert.equal(found(grpcMessage(odd.finish())), kept.finish().toString('latin1'));
  });
});

describe('The content of any other request is all of it', () => {
  const whole = (body: Buffer, path?: string): void =>
    assert.equal(found(body, path === undefined ? {} : { path }), body.toString('latin1'));

  it('of another method', () => whole(request({ id: '1' }), OTHER));

  it('that is compressed, or not one message', () => {
    const compressed = request({ id: '1' });
    compressed[0] = 1;
    whole(compressed);
    whole(Buffer.concat([request({ id: '1' }), request({ id: '2' })]));
    whole(request({ id: '1' }).subarray(0, -1));
    for (const size of [1, 4]) whole(Buffer.alloc(size));
    assert.deepEqual(contentOf(MODEL_INFER, null), { bytes: 0, pieces: [] });
  });

  it('that is no message of Protocol Buffers', () => {
    const id = new MessageWriter().text(3, 'an id').finish();
    const ends: readonly (readonly number[])[] = [
      ...[[0x3a], [0x3a, 0x05], [0x3a, 0x80], [0x39, 1, 2], [0x3d, 1], [0x08]],
      // A group, a type that there is not, field 0, and a varint of eleven bytes.
      ...[[0x3b], [0x3f], [0x02, 0x00], [0x08, ...Array(10).fill(0xff), 0x01]],
      // A length of 2^64 − 1.
      [0x3a, ...Array(9).fill(0xff), 0x01],
    ];
    for (const end of ends) whole(grpcMessage(Buffer.concat([id, Buffer.from(end)])));
  });

  it('that has too many fields, or is cut into too many ranges', () => {
    const field = new MessageWriter().text(5, 'x').finish();
    const id = new MessageWriter().text(3, 'i').finish();
    const most = Buffer.concat([id, ...Array<Buffer>(MAX_FIELDS - 1).fill(field)]);
    assert.equal(found(grpcMessage(most)).length, most.length - id.length);
    whole(grpcMessage(Buffer.concat([most, field])));
    whole(grpcMessage(Buffer.concat(Array<Buffer>(100).fill(Buffer.concat([field, id])))));
  });
});
