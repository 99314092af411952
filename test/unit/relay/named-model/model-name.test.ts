/** The name of the model is found in any message, however it is cut; what is no message is not taken for one. */
import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { protocols } from '../../../../proto/load.js';
import { MessageWriter } from '../../../../sidecar/codec/protobuf.js';
import { inflatedPrefixes, MAX_INFLATED_BYTES } from '../../../../sidecar/relay/inflate-prefix.js';
import { NameReader, Naming } from '../../../../sidecar/relay/named-model/model-name.js';
import { grpcMessage } from '../../../kit/http2/h2-frames.js';
import { runs } from '../../../kit/mocha/effort.js';

const { ModelInfer } = protocols().inference;

/** In pieces of these lengths, in turn. */
function read(reader: NameReader, bytes: Buffer, cuts: readonly number[]): void {
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const end = Math.min(bytes.length, at + (cuts[i % cuts.length] ?? bytes.length));
    for (let from = at; from < end && reader.naming === Naming.reading; )
      from = reader.feed(bytes, from, end);
    at = end;
  }
}

describe('the name of a model', () => {
  const name = fc.string({ unit: 'grapheme', maxLength: 80 });
  const cuts = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 8 });

  it('the model name is read as an independent encoder wrote it, however the bytes are split', () => {
    const request = fc.record({
      model_name: name,
      model_version: name,
      id: name,
      raw_input_contents: fc.array(
        fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
        { maxLength: 5 },
      ),
    });
    fc.assert(
      fc.property(request, cuts, (each, lengths) => {
        const reader = new NameReader();
        read(reader, grpcMessage(ModelInfer.requestSerialize({ ...each, inputs: [] })), lengths);
        assert.equal(reader.name, each.model_name);
        assert.equal(reader.version, each.model_name === '' ? '' : each.model_version);
        // An empty name may be said or left out.
        if (each.model_name !== '') assert.equal(reader.naming, Naming.found);
        else assert.ok(reader.naming === Naming.found || reader.naming === Naming.absent);
      }),
    );
  });

  it('the model name is read from each message of a body', () => {
    const names = fc.uniqueArray(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 80 }), {
      minLength: 1,
      maxLength: 6,
    });
    fc.assert(
      fc.property(names, cuts, (all, lengths) => {
        const encoded = all.map((each) =>
          grpcMessage(ModelInfer.requestSerialize({ model_name: each, inputs: [], raw_input_contents: [] })),
        );
        const body = Buffer.concat(encoded);
        const reader = new NameReader();
        const seen = new Set<string>();
        for (let at = 0, i = 0; at < body.length; i++) {
          const end = Math.min(body.length, at + lengths[i % lengths.length]!);
          while (at < end) {
            at = reader.feed(body, at, end);
            if (reader.naming === Naming.found) seen.add(reader.name);
          }
        }
        assert.deepEqual([...seen], all);
      }),
    );
  });

  it('read whole, a message has the name that a decoder takes, or is said to have more than one', () => {
    const { requestSerialize: encode, requestDeserialize: decode } = ModelInfer;
    const field = fc.oneof(
      fc.uint8Array({ maxLength: 12 }),
      name.map((text) => encode({ model_name: text, inputs: [], raw_input_contents: [] })),
      name.map((text) =>
        encode({ model_name: '', model_version: text, inputs: [], raw_input_contents: [Buffer.alloc(9)] }),
      ),
    );
    let twice = 0;
    fc.assert(
      fc.property(fc.array(field, { maxLength: 5 }), cuts, (fields, lengths) => {
        const message = Buffer.concat(fields);
        const reader = new NameReader('whole');
        const body = grpcMessage(message);
        for (let at = 0, i = 0; at < body.length; i++) {
          const end = Math.min(body.length, at + lengths[i % lengths.length]!);
          while (at < end && reader.naming !== Naming.twice) at = reader.feed(body, at, end);
          if (reader.naming === Naming.twice) break;
        }
        if (reader.naming === Naming.twice) twice++;
        if (reader.naming !== Naming.found) return;
        let decoded: string;
        try {
          decoded = decode(message).model_name as string;
        } catch {
          return; // no decoder takes it
        }
        assert.equal(reader.name, decoded);
      }),
      { numRuns: runs(500) },
    );
    assert.ok(twice > 0);
  });

  it('read for versions, a message has the version that a decoder takes too, in whatever order its fields stand', () => {
    const { requestDeserialize: decode } = ModelInfer;
    const text = (tag: number) =>
      fc.string({ maxLength: 9 }).map((each) => {
        const bytes = Buffer.from(each);
        return Buffer.concat([Buffer.from([tag, bytes.length]), bytes]);
      });
    const field = fc.oneof(text(0x0a), text(0x12), text(0x1a), fc.constant(Buffer.from([0x3a, 2, 0x12, 0])));
    const seen = { early: 0, unclear: 0 };
    fc.assert(
      fc.property(fc.array(field, { minLength: 1, maxLength: 5 }), cuts, (fields, lengths) => {
        const message = Buffer.concat(fields);
        const body = grpcMessage(message);
        const reader = new NameReader('versions');
        for (let at = 0, i = 0; at < body.length; i++) {
          const end = Math.min(body.length, at + lengths[i % lengths.length]!);
          while (at < end && reader.naming !== Naming.twice) at = reader.feed(body, at, end);
          if (reader.naming === Naming.twice) break;
        }
        if (reader.naming === Naming.twice) seen.unclear++;
        if (reader.naming !== Naming.found) return;
        const { model_name, model_version } = decode(message);
        assert.deepEqual([reader.name, reader.version], [model_name, model_version]);
        if (message[0] === 0x12 && reader.version !== '') seen.early++;
      }),
      { numRuns: runs(500) },
    );
    assert.ok(seen.early > 0 && seen.unclear > 0, JSON.stringify(seen));
  });

  it('bytes that are no message have no model name, and nothing is thrown', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), cuts, (bytes, lengths) => {
        const reader = new NameReader();
        const body = grpcMessage(bytes);
        read(reader, body, lengths);
        let decoded: string | undefined;
        try {
          decoded = ModelInfer.requestDeserialize(Buffer.from(bytes)).model_name;
        } catch {
          return; // it may be found in what comes before the fault
        }
        if (reader.naming === Naming.malformed || decoded === undefined) return;
        assert.ok(reader.naming === Naming.found || reader.naming === Naming.absent);
      }),
    );
  });
});

describe('the name of a model in a spec', () => {
  const inner = (name: string, version: number): MessageWriter =>
    new MessageWriter().text(1, name).message(2, new MessageWriter().number(1, version));

  it('is read however the bytes are split, with its version, and what follows is stepped over', () => {
    const body = grpcMessage(
      new MessageWriter().message(1, inner('digits', 300)).bytes(2, Buffer.alloc(90, 0x0a)).finish(),
    );
    for (let length = 1; length <= body.length; length++) {
      const reader = new NameReader('versions', 'spec');
      read(reader, body, [length]);
      assert.deepEqual([reader.naming, reader.name, reader.version], [Naming.found, 'digits', '300']);
    }
  });

  it('is said to be there twice where decoders would put two specs together', () => {
    const two = new MessageWriter().message(1, inner('digits', 3)).message(1, inner('words', 3)).finish();
    const reader = new NameReader('whole', 'spec');
    const body = grpcMessage(two);
    for (let at = 0; at < body.length && reader.naming !== Naming.twice; )
      at = reader.feed(body, at, body.length);
    assert.equal(reader.naming, Naming.twice);
  });

  it('is too late in a spec that is longer than any', () => {
    const reader = new NameReader('beginning', 'spec');
    const long = new MessageWriter().text(1, 'digits').text(3, 's'.repeat(5_000));
    read(reader, grpcMessage(new MessageWriter().message(1, long).finish()), [4_096]);
    assert.equal(reader.naming, Naming.tooLate);
  });
});

describe('the head of a compressed message', () => {
  it('the prefix of a compressed message is bounded, and whole for a small message', () => {
    const filler = fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 255 }));
    fc.assert(
      fc.property(filler, fc.integer({ min: 0, max: 300_000 }), fc.boolean(), (fill, length, isMixed) => {
        const plain = Buffer.alloc(length, fill);
        if (isMixed) for (let i = 0; i < length; i++) plain[i] = (i * 2_654_435_761) >>> 24;
        const packed = gzipSync(plain);
        let last: Buffer = Buffer.alloc(0);
        let tries = 0;
        let isWhole = false;
        for (const head of inflatedPrefixes('gzip', packed.subarray(0, 65_536), packed.length <= 65_536)) {
          tries++;
          isWhole = head.isWhole;
          assert.ok(head.bytes.length <= MAX_INFLATED_BYTES);
          assert.ok(plain.subarray(0, head.bytes.length).equals(head.bytes));
          last = head.bytes;
        }
        assert.ok(tries <= 8, `${tries} tries`);
        if (length < 1_000) assert.ok(isWhole && last.length === length);
      }),
      { numRuns: 60 },
    );
  });
});
