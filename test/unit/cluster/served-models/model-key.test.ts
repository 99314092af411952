import assert from 'node:assert/strict';
import fc from 'fast-check';
import { protocols } from '../../../../proto/load.js';
import type { ModelInferRequest } from '../../../../proto/messages.js';
import {
  LONGEST_VERSION,
  ModelView,
  VIEW_BYTES,
} from '../../../../sidecar/cluster/served-models/model-key.js';
import { encodeInferRequest } from '../../../../sidecar/codec/inference.js';
import { MessageWriter } from '../../../../sidecar/codec/protobuf.js';
import { LONGEST_MODEL_NAME } from '../../../../sidecar/core/routing/method.js';
import { ChunkList } from '../../../../sidecar/transport/chunk-list.js';
import { grpcMessage } from '../../../kit/http2/h2-frames.js';

const { ModelInfer } = protocols().inference;
const view = new ModelView();

/** As it came in reads of so many bytes, the last number for all that follow. */
function inPieces(body: Buffer, sizes: readonly number[] = [body.length]): ChunkList {
  const pieces = new ChunkList();
  for (let at = 0, i = 0; at < body.length; i++) {
    const end = Math.min(body.length, at + Math.max(1, sizes[Math.min(i, sizes.length - 1)]!));
    pieces.add(body, at, end);
    at = end;
  }
  return pieces;
}

/** `name version`; empty: none. */
function seen(body: Buffer, sizes?: readonly number[]): string {
  if (!view.read(inPieces(body, sizes))) return 'cut off';
  if (view.length === 0) return '';
  const bytes = Buffer.from(view.copy());
  const nameEnd = 1 + bytes[0]!;
  return `${bytes.toString('utf8', 1, nameEnd)} ${bytes.toString('utf8', nameEnd)}`;
}

const message = (): MessageWriter => new MessageWriter();
const of = (writer: MessageWriter): Buffer => grpcMessage(writer.finish());
const raw = (...bytes: number[]): Buffer => grpcMessage(Buffer.from(bytes));
/** A field of `bytes` in all. */
const filler = (bytes: number): Buffer => {
  const content = Buffer.alloc(bytes - (bytes > 130 ? 3 : 2));
  return message().bytes(9, content).finish();
};
const joined = (...parts: Uint8Array[]): Buffer => grpcMessage(Buffer.concat(parts));
const named = (name: string): Buffer => message().text(1, name).finish();

const TOO_LONG = '1'.repeat(LONGEST_VERSION + 1);
const PIXELS = { name: 'pixels', datatype: 'UINT8', shape: [1, 28, 28], raw: Buffer.alloc(784, 10) } as const;
const USUAL = encodeInferRequest('digits', '3', [PIXELS], ['scores']);

describe('The model that a request names', () => {
  for (const [what, body, expected] of [
    ['name and version', grpcMessage(USUAL), 'digits 3'],
    ['a name alone', of(message().text(1, 'digits')), 'digits '],
    ['a version alone', of(message().text(2, '3')), ' 3'],
    ['neither', of(message().text(3, 'an id')), ''],
    ['nothing at all', of(message()), ''],
    ['a name in any script', of(message().text(1, 'Ziffern·数字').text(2, 'ü')), 'Ziffern·数字 ü'],
    ['the version first', of(message().text(2, '3').text(1, 'digits')), 'digits 3'],
    ['a number before it', raw(0x40, 0xff, 0x01, 0x0a, 1, 0x61), 'a '],
    ['a negative number before it', raw(0x40, ...Array(9).fill(0xff), 0x01, 0x0a, 1, 0x61), 'a '],
    ['eight bytes before it', raw(0x41, 0x0a, 1, 2, 3, 4, 5, 6, 7, 0x0a, 1, 0x61), 'a '],
    ['four bytes before it', raw(0x45, 0x0a, 1, 2, 3, 0x0a, 1, 0x61), 'a '],
    ['bytes that look like a name', of(message().bytes(4, named('not me')).text(1, 'me')), 'me '],
    ['the field of the name with a number in it', raw(0x08, 5, 0x0a, 1, 0x61), 'a '],
    ['two names: the last one', of(message().text(1, 'one').text(3, 'id').text(1, 'two')), 'two '],
    ['two names, the last one empty', joined(named('one'), Buffer.from([0x0a, 0])), ''],
    [
      'the longest names',
      of(message().text(1, 'n'.repeat(LONGEST_MODEL_NAME))),
      `${'n'.repeat(LONGEST_MODEL_NAME)} `,
    ],
    ['a name too long', of(message().text(1, 'n'.repeat(LONGEST_MODEL_NAME + 1))), ''],
    ['a version too long', joined(named('a'), message().text(2, TOO_LONG).finish()), ''],
    ['a compressed message', grpcMessage(USUAL, USUAL.length, 1), ''],
    ['an unknown flag', grpcMessage(USUAL, USUAL.length, 2), ''],
    ['a group', raw(0x0a, 1, 0x61, 0x43, 0x44), ''],
    ['a wire type that is none', raw(0x0a, 1, 0x61, 0x46), ''],
    ['a field longer than the message', raw(0x0a, 1, 0x61, 0x12, 2, 0x33), ''],
    ['four bytes of which two are there', raw(0x0a, 1, 0x61, 0x45, 1, 2), ''],
    ['a number without an end', raw(0x0a, 1, 0x61, ...Array(11).fill(0xff)), ''],
    ['a number that the message ends in', raw(0x0a, 1, 0x61, 0x40, 0x80), ''],
    ['a length beyond all bounds', raw(0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f), ''],
    ['what comes after the message', Buffer.concat([raw(0x0a, 1, 0x61), raw(0x0a, 1, 0x62)]), 'a '],
    ['a name at the end of what is looked at', joined(filler(VIEW_BYTES - 8), named('a'), filler(9)), 'a '],
    ['a name across that end', joined(filler(VIEW_BYTES - 7), named('a'), filler(9)), ''],
    ['a name beyond that end', joined(filler(VIEW_BYTES), named('a')), ''],
    ['one name before that end, one across it', joined(named('a'), filler(VIEW_BYTES - 10), named('b')), ''],
    ['a field across that end', joined(named('a'), filler(2 * VIEW_BYTES)), 'a '],
    ['a tag across that end', joined(named('a'), filler(VIEW_BYTES - 9), Buffer.alloc(3, 0x80)), 'a '],
    ['a large request', joined(named('a'), filler(600_000)), 'a '],
  ] as const) {
    it(`is found: ${what}`, () => {
      assert.equal(seen(body), expected);
      assert.equal(seen(body, [1]), expected, 'byte by byte');
      assert.equal(seen(body, [5, 4_000, 20_000]), expected, 'the prefix alone');
    });
  }

  it('a message that is cut off names no model', () => {
    const body = grpcMessage(USUAL);
    for (let length = 0; length < body.length; length++) {
      assert.equal(seen(body.subarray(0, length)), 'cut off', `${length}`);
      assert.equal(seen(body.subarray(0, length), [1]), 'cut off', `${length}`);
    }
  });

  it('the model of a large message is read from its first 4 KiB', () => {
    const body = joined(named('a'), filler(600_000));
    assert.equal(seen(body.subarray(0, VIEW_BYTES)), 'a ');
    assert.equal(seen(body.subarray(0, VIEW_BYTES - 1)), 'cut off');
  });

  it('the model of the last request is forgotten', () => {
    assert.equal(seen(of(message().text(1, 'one').text(2, '1'))), 'one 1');
    assert.equal(seen(of(message().text(2, '2'))), ' 2');
    assert.equal(seen(of(message())), '');
  });

  const name = fc.string({ unit: 'grapheme', maxLength: 12 });
  const version = fc.string({ maxLength: 8 });
  const sizes = fc.array(fc.nat({ max: 2_000 }), { minLength: 1, maxLength: 8 });
  const told = ({ model_name, model_version = '' }: ModelInferRequest): string =>
    model_name === '' && model_version === '' ? '' : `${model_name} ${model_version}`;

  it('the model that protobuf wrote is read, however the bytes come in', () => {
    const parameter = fc.record({ string_param: fc.string({ maxLength: 40 }) });
    const shape = fc.array(fc.nat(), { maxLength: 4 });
    const input = fc.record({ name: fc.string(), datatype: fc.constant('FP32'), shape });
    const request = fc.record({
      model_name: name,
      model_version: version,
      id: fc.string({ maxLength: 40 }),
      parameters: fc.dictionary(fc.string({ maxLength: 9 }), parameter, { maxKeys: 4 }),
      inputs: fc.array(input, { maxLength: 3 }),
      raw_input_contents: fc.array(fc.uint8Array({ maxLength: 6_000 }), { maxLength: 3 }),
    });
    fc.assert(
      fc.property(request, sizes, (fields, pieces) => {
        const body = grpcMessage(ModelInfer.requestSerialize(fields as ModelInferRequest));
        assert.equal(seen(body, pieces), told(fields as ModelInferRequest));
      }),
    );
  });

  it('the model read is the one that protobuf reads, for any fields in any order', () => {
    const field = fc.oneof(
      name.map((text) => message().bytes(1, Buffer.from(text)).finish()),
      version.map((text) => message().bytes(2, Buffer.from(text)).finish()),
      fc.string({ maxLength: 300 }).map((text) => message().bytes(3, Buffer.from(text)).finish()),
      fc
        .tuple(fc.integer({ min: 8, max: 15 }), fc.uint8Array({ minLength: 8, maxLength: 8 }))
        .map(([number, bytes]) => Buffer.from([number * 8 + 1, ...bytes])),
      fc.integer({ min: 8, max: 15 }).map((number) => Buffer.from([number * 8, 0x80, 0x01])),
      fc.integer({ min: 8, max: 15 }).map((number) => Buffer.from([number * 8 + 5, 10, 1, 97, 0])),
    );
    fc.assert(
      fc.property(fc.array(field, { maxLength: 12 }), sizes, (fields, pieces) => {
        const bytes = Buffer.concat(fields);
        assert.ok(bytes.length < VIEW_BYTES);
        assert.equal(seen(grpcMessage(bytes), pieces), told(ModelInfer.requestDeserialize(bytes)));
      }),
    );
  });

  it('any bytes give the same model however they come in, and none throw', () => {
    const byte = fc.oneof(fc.constantFrom(0, 1, 2, 0x0a, 0x12, 0x08, 0x80, 0xff), fc.nat({ max: 255 }));
    const bytes = fc.array(byte, { maxLength: 60 });
    fc.assert(
      fc.property(bytes, fc.nat({ max: 70 }), sizes, (all, length, pieces) => {
        const body = grpcMessage(Buffer.from(all), length);
        assert.equal(seen(body, pieces), seen(body));
      }),
      { numRuns: 1_000 },
    );
  });
});

describe('The model in a message of its own (TensorFlow Serving)', () => {
  const varint = (value: number): number[] =>
    value < 128 ? [value] : [(value % 128) + 128, ...varint(Math.floor(value / 128))];
  const specOf = (name: string, version?: number): MessageWriter => {
    const spec = message().text(1, name);
    return version === undefined ? spec : spec.bytes(2, Buffer.from([0x08, ...varint(version)]));
  };
  /** Field 2 is an input there. */
  const request = (spec: MessageWriter, inputBytes = 20): Buffer =>
    of(
      message()
        .message(1, spec)
        .message(2, message().text(1, 'x').bytes(2, Buffer.alloc(inputBytes))),
    );
  const seenIn = (body: Buffer, sizes?: readonly number[]): string => {
    if (!view.read(inPieces(body, sizes), 'spec')) return 'cut off';
    if (view.length === 0) return '';
    const bytes = Buffer.from(view.copy());
    return `${bytes.toString('utf8', 1, 1 + bytes[0]!)} ${bytes.toString('utf8', 1 + bytes[0]!)}`;
  };

  it('is read with its version as a number, in any pieces, and before inputs that are not here', () => {
    for (const sizes of [[1], [3], [7, 4_096], undefined]) {
      assert.equal(seenIn(request(specOf('digits')), sizes), 'digits ');
      assert.equal(seenIn(request(specOf('digits', 10_203_040)), sizes), 'digits 10203040');
    }
    const large = request(specOf('digits', 7), 600_000);
    assert.equal(seenIn(large.subarray(0, VIEW_BYTES)), 'digits 7');
    assert.equal(seenIn(large.subarray(0, 100)), 'cut off');
  });

  it('is none where there is no spec, no name in it, or what is no message', () => {
    for (const each of [
      of(message().bytes(2, Buffer.alloc(9))),
      request(message().text(3, 'serving_default')),
      raw(10, 2, 10, 9),
    ])
      assert.equal(seenIn(each), '');
    assert.equal(seenIn(request(specOf('d'.repeat(LONGEST_MODEL_NAME + 1), 3))), '');
  });

  it('has no version where that is none that a server has', () => {
    assert.equal(
      seenIn(
        request(
          message()
            .text(1, 'digits')
            .bytes(2, Buffer.from([8, 255, 255])),
        ),
      ),
      'digits ',
    );
    assert.equal(seenIn(request(message().text(1, 'digits').text(4, 'stable'))), 'digits ');
  });

  it('has version 0 where its number is left out, as encoders do with 0, or said', () => {
    assert.equal(seenIn(request(message().text(1, 'digits').bytes(2, Buffer.alloc(0)))), 'digits 0');
    assert.equal(seenIn(request(specOf('digits', 0))), 'digits 0');
    assert.equal(seenIn(request(specOf('digits'))), 'digits ');
  });

  it('leaves nothing of it for the next request', () => {
    seenIn(request(specOf('digits', 3)));
    assert.equal(seen(of(message().text(1, 'words'))), 'words ');
  });
});
