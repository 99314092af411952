import assert from 'node:assert/strict';
import fc from 'fast-check';
import { contentFields } from '../../../proto/datatypes.js';
import { decodeInferRequest } from '../../../proto/infer-request.js';
import { describedDefinitions, protocols } from '../../../proto/load.js';
import type { DecodedContents, InferTensorContents, ModelInferRequest } from '../../../proto/messages.js';
import { LimitError, WireError } from '../../../proto/wire.js';
import { runs } from '../../kit/mocha/effort.js';

/** How the library that reads .proto files decodes the message: the reference. */
const reference = describedDefinitions()['inference.ModelInferRequest'] as unknown as {
  deserialize(bytes: Buffer): ModelInferRequest;
};

/**
 * Where the library goes wrong itself: it fails on a parameter without a value, and takes every number of 32 bits that has
 * more than 5 bytes for one of 10.
 */
function byReference(bytes: Buffer): ModelInferRequest | 'fails' {
  if (/[\x80-\xff]{5}/.test(bytes.toString('latin1'))) return 'fails';
  try {
    return reference.deserialize(bytes);
  } catch (error) {
    assert.ok(error instanceof TypeError, String(error));
    return 'fails';
  }
}

const uint64 = fc.bigInt(0n, 2n ** 64n - 1n).map(String);
const buffers = fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes));
const list = <T>(of: fc.Arbitrary<T>) => fc.array(of, { maxLength: 9 });

/** Requests made of these texts and numbers. */
function requests(
  text: fc.Arbitrary<string>,
  int64: fc.Arbitrary<string>,
  int32: fc.Arbitrary<number>,
): fc.Arbitrary<ModelInferRequest> {
  const name = fc.oneof(text, fc.constantFrom('', '__proto__', 'x'));
  const parameter = fc.oneof(
    fc.boolean().map((bool_param) => ({ bool_param })),
    int64.map((int64_param) => ({ int64_param })),
    name.map((string_param) => ({ string_param })),
    fc.double().map((double_param) => ({ double_param })),
    uint64.map((uint64_param) => ({ uint64_param })),
  );
  const parameters = fc.dictionary(text, parameter, { maxKeys: 4 });
  const contents = fc.record(
    {
      bool_contents: list(fc.boolean()),
      int_contents: list(int32),
      int64_contents: list(int64),
      uint_contents: list(fc.nat(0xffffffff)),
      uint64_contents: list(uint64),
      fp32_contents: list(fc.float()),
      fp64_contents: list(fc.double()),
      bytes_contents: list(buffers),
    },
    { requiredKeys: [] },
  );
  const input = { name, datatype: name, shape: list(int64), parameters, contents };
  const output = fc.record({ name, parameters }, { requiredKeys: ['name'] });
  return fc.record(
    {
      ...{ model_name: name, model_version: name, id: name, parameters },
      inputs: list(fc.record(input, { requiredKeys: ['name', 'datatype', 'shape'] })),
      outputs: list(output),
      raw_input_contents: list(buffers),
    },
    { requiredKeys: ['model_name'] },
  ) as fc.Arbitrary<ModelInferRequest>;
}

const request = requests(
  fc.string({ maxLength: 12, unit: 'grapheme' }),
  fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n).map(String),
  fc.integer(),
);
/** Few bytes of 0x80 and more, so that it can be compared when it is damaged. */
const plainRequest = requests(fc.string({ maxLength: 12 }), fc.nat().map(String), fc.nat());

/** As the reference writes it: lists for typed arrays, decimal strings for 64 bits, every field present. */
function asLists(decoded: ModelInferRequest): unknown {
  const inputs = decoded.inputs?.map(({ contents, ...input }) => ({
    ...input,
    contents:
      contents == null
        ? null
        : Object.fromEntries(contentFields.map((name) => [name, listIn(contents, name)])),
  }));
  return plain({ ...decoded, inputs });
}

function listIn(contents: DecodedContents | InferTensorContents, name: keyof InferTensorContents): unknown[] {
  const values = Array.from<unknown>(contents[name] ?? []);
  if (name === 'bool_contents') return values.map(Boolean);
  return name.includes('int64') ? values.map(String) : values;
}

/** Without prototypes and undefined. Signs of zero and NaN stay what they are. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (Array.isArray(value)) return value.map(plain);
  if (value === null || typeof value !== 'object') return value;
  return Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, item]) => [key, plain(item)]);
}

/** Undefined for bytes that are refused. Fails where they fail otherwise. */
function decodedOrRefused(bytes: Uint8Array): ModelInferRequest | undefined {
  try {
    return decodeInferRequest(bytes);
  } catch (error) {
    assert.ok(error instanceof WireError || error instanceof LimitError, String(error));
    return undefined;
  }
}

const encode = (message: ModelInferRequest) => protocols().inference.ModelInfer.requestSerialize(message);
const field = (number: number, ...content: (Uint8Array | readonly number[])[]): Buffer => {
  const bytes = Buffer.concat(content.map((c) => Buffer.from(c as Uint8Array)));
  assert.ok(bytes.length < 128);
  return Buffer.concat([Buffer.from([number * 8 + 2, bytes.length]), bytes]);
};

function refuses(wrong: readonly [Buffer, RegExp][]): void {
  for (const [bytes, says] of wrong) assert.throws(() => decodeInferRequest(bytes), says);
}

describe('the decoder of inference requests', () => {
  it('reads every request as the library does', () =>
    fc.assert(
      fc.property(request, (message) => {
        const bytes = encode(message);
        assert.deepEqual(asLists(decodeInferRequest(bytes)), plain(reference.deserialize(bytes)));
      }),
      { numRuns: runs(100) },
    ));

  it('reads a message that has been damaged as the library does, or refuses it, and never fails otherwise', () => {
    const damage = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 3 });
    let compared = 0;
    fc.assert(
      fc.property(plainRequest, damage, fc.nat(), (message, changes, cut) => {
        const bytes = Buffer.from(encode(message));
        for (const [at, byte] of changes) if (bytes.length > 0) bytes[at % bytes.length] = byte;
        const damaged = cut % 3 === 0 ? bytes.subarray(0, cut % (bytes.length + 1)) : bytes;
        const decoded = decodedOrRefused(damaged);
        if (decoded === undefined) return;
        const expected = byReference(damaged);
        if (expected === 'fails') return;
        assert.deepEqual(asLists(decoded), plain(expected));
        compared++;
      }),
      { numRuns: runs(400) },
    );
    assert.ok(compared > runs(4), `${compared} were compared`);
  });

  it('never fails otherwise on random bytes', () =>
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void decodedOrRefused(bytes)),
      { numRuns: runs(1_000) },
    ));

  it('takes numbers packed, one by one, and in several pieces', () => {
    const one = Buffer.from(new Float32Array([1]).buffer);
    const numbers = Buffer.concat([
      ...[field(6, one, one), Buffer.from([0x35]), one, field(6), field(6, one)],
      ...[Buffer.from([0x18, 0x05]), field(3, [0x07, 0x80, 0x01])],
    ]);
    const { inputs } = decodeInferRequest(field(5, field(5, numbers), [0x18, 0x02], field(3, [0x03])));
    assert.deepEqual(inputs?.[0]?.contents, {
      int64_contents: BigInt64Array.of(5n, 7n, 128n),
      fp32_contents: Float32Array.of(1, 1, 1, 1),
    });
    assert.deepEqual(inputs?.[0]?.shape, ['2', '3']);
  });

  it('reads texts again and again as they are, whatever came before them', () => {
    const alike = ['ab', 'ac', 'b', 'cb', 'ab', 'aäb', 'äb', '', 'x'.repeat(32), 'x'.repeat(33), 'ab'];
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.constantFrom(...alike), fc.string({ maxLength: 3 }))), (texts) => {
        for (const id of texts) assert.equal(decodeInferRequest(encode({ model_name: 'm', id })).id, id);
      }),
    );
    const damaged = Buffer.from([0x1a, 2, 0xc3, 0x61]);
    for (let i = 0; i < 2; i++) assert.throws(() => decodeInferRequest(damaged), /not UTF-8/);
  });

  it('refuses a known field of another wire type, which the library would read as its own', () =>
    refuses([
      [Buffer.from([0x28, 0x02, 0x0a, 0x00]), /inputs at byte 1: found wire type 0, expected 2/],
      [Buffer.from([0x09, 0, 0, 0, 0, 0, 0, 0, 0]), /model_name at byte 1: found wire type 1, expected 2/],
      [
        field(5, field(5, field(5, [1]), [0x30, 1])),
        /fp32_contents at byte 8: found wire type 0, expected 5/,
      ],
      [field(5, field(5, [0x40, 1])), /bytes_contents at byte 5: found wire type 0, expected 2/],
      [field(5, [0x1d, 0, 0, 0, 0]), /inputs.shape at byte 3: found wire type 5, expected 0/],
      [field(4, field(2, field(1, [0, 0]))), /parameters at byte 5: found wire type 2, expected 0/],
    ]));

  it('refuses fields that reach beyond their message, numbers too long and groups', () =>
    refuses([
      [Buffer.from([0x2a, 0x02, 0x0a, 0x02, 0x61, 0x62]), /cut off by the end of its message at 4/],
      [
        field(5, field(5, field(6, [0, 0, 0]))),
        /fp32_contents before byte 9: found 3 bytes, expected a mult/,
      ],
      [field(5, field(5, field(3, [0x80]))), /int64_contents before byte 7: the last number is cut off/],
      [field(5, field(5, field(3, new Array(10).fill(0x80), [0]))), /longer than 10 bytes/],
      [Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0x1f]), /2\^32 or more/],
      [Buffer.from([0x02, 0x00]), /field number 0 at byte 0/],
      [Buffer.from([0x7b, 0x7c]), /wire type 3 at byte 1/],
    ]));

  it('takes as much as its limits say', () => {
    const most = Buffer.concat([
      ...[Buffer.alloc(4096 * 2, Buffer.from([0x2a, 0])), Buffer.alloc(4096 * 2, Buffer.from([0x32, 0]))],
      Buffer.alloc(4096 * 2, Buffer.from([0x3a, 0])),
      ...Array.from({ length: 256 }, (_, i) => field(4, field(1, Buffer.from(`p${i}`)))),
    ]);
    const decoded = decodeInferRequest(most);
    for (const list of ['inputs', 'outputs', 'raw_input_contents'] as const)
      assert.equal(decoded[list]?.length, 4096);
    assert.equal(Object.keys(decoded.parameters ?? {}).length, 256);
    const deep = decodeInferRequest(field(5, field(3, new Array(64).fill(1))));
    assert.equal(deep.inputs?.[0]?.shape.length, 64);
  });
});
