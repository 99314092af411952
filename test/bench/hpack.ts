// Nanoseconds of CPU per header block, best of several short rounds: what tells whether a change to hpack/ is worth keeping.
// Run: node --import tsx test/bench/hpack.ts

import { Decoder } from '../../sidecar/http2/hpack/decoder.js';
import { Encoder } from '../../sidecar/http2/hpack/encoder.js';
import { type HeaderField, makeField } from '../../sidecar/http2/hpack/field.js';
import { StableList } from '../../sidecar/http2/hpack/header-list.js';
import { huffmanEncode, huffmanLength } from '../../sidecar/http2/hpack/huffman.js';
import { writeInteger } from '../../sidecar/http2/hpack/integer.js';

const ROUNDS = 12;
const BLOCKS = 100_000;

const REQUEST: readonly (readonly [string, string])[] = [
  [':method', 'POST'],
  [':scheme', 'http'],
  [':path', '/inference.GRPCInferenceService/ModelInfer'],
  [':authority', '127.0.0.1:9000'],
  ['te', 'trailers'],
  ['content-type', 'application/grpc'],
  ['user-agent', 'grpc-node-js/1.14.7'],
  ['grpc-accept-encoding', 'identity,deflate,gzip'],
  ['accept-encoding', 'identity'],
  ['x-tenant', 'laboratory'],
];

const out = Buffer.alloc(65_536);

function literal(name: string, value: string, first: number): Buffer {
  const bytes = Buffer.alloc(name.length + value.length + 16);
  bytes[0] = first;
  let at = writeText(name, bytes, 1);
  at = writeText(value, bytes, at);
  return bytes.subarray(0, at);
}

function writeText(text: string, bytes: Buffer, at: number): number {
  return huffmanEncode(text, bytes, writeInteger(bytes, at, 0x80, 0x7f, huffmanLength(text)));
}

function newDecoder(): Decoder {
  return new Decoder({ maxTableBytes: 4096, maxListBytes: 16_384, maxFields: 100 });
}

function stableOf(fields: readonly HeaderField[]): StableList {
  return fields.reduce((list, field) => list.with(field), StableList.root());
}

const requestList = stableOf(REQUEST.map(([name, value]) => makeField(name, value)));

/** A decoder that knows the request, and the block of indexes that stands for it. */
function primed(): { decoder: Decoder; block: Buffer } {
  const decoder = newDecoder();
  const encoder = new Encoder();
  for (let round = 0; round < 3; round++) {
    const end = encoder.encode(requestList, [], out, 0);
    decoder.decode(out, 0, end);
  }
  const end = encoder.encode(requestList, [], out, 0);
  return { decoder, block: Buffer.from(out.subarray(0, end)) };
}

function traceparent(call: number): string {
  const id = Math.imul(call + 1, 0x9e3779b1) >>> 0;
  const hex = id.toString(16).padStart(8, '0');
  return `00-${hex}${hex}4bf92f3577b34da6-00f067aa${hex}-01`;
}

function measure(name: string, run: (call: number) => unknown): void {
  let best = Number.POSITIVE_INFINITY;
  let kept: unknown;
  for (let round = 0; round < ROUNDS; round++) {
    const start = process.cpuUsage();
    for (let call = 0; call < BLOCKS; call++) kept = run(call);
    const { user, system } = process.cpuUsage(start);
    best = Math.min(best, ((user + system) * 1000) / BLOCKS);
  }
  console.log(`${name.padEnd(58)} ${best.toFixed(0).padStart(6)} ns${kept === undefined ? '' : ''}`);
}

/** What differs on every call. `first`: how both fields are written. */
function extras(call: number, first: number): Buffer {
  const timeout = literal('grpc-timeout', `${14_000 + (call % 900)}m`, first);
  return Buffer.concat([timeout, literal('traceparent', traceparent(call), first)]);
}

const calls = Array.from({ length: 1024 }, (_, call) => call);

function benchDecode(): void {
  const { decoder, block } = primed();
  measure(`decode, 10 fields, all indexed (${block.length} bytes)`, () =>
    decoder.decode(block, 0, block.length),
  );

  const pathAt = 2;
  const path = [Buffer.from([0x04]), pathValue(REQUEST[pathAt]![1])];
  const withPath = Buffer.concat([block.subarray(0, pathAt), ...path, block.subarray(pathAt + 1)]);
  measure('decode, 10 fields, :path as a literal', () => decoder.decode(withPath, 0, withPath.length));

  const varying = calls.map((call) => Buffer.concat([block, extras(call, 0x00)]));
  measure('decode, 10 indexed + grpc-timeout + traceparent', (call) => {
    const bytes = varying[call & 1023]!;
    return decoder.decode(bytes, 0, bytes.length);
  });
  const indexing = calls.map((call) => extras(call, 0x40));
  const inserting = newDecoder();
  measure('decode, grpc-timeout + traceparent, inserted', (call) => {
    const bytes = indexing[call & 1023]!;
    return inserting.decode(bytes, 0, bytes.length);
  });
}

function pathValue(path: string): Buffer {
  const bytes = Buffer.alloc(path.length + 8);
  return bytes.subarray(0, writeText(path, bytes, 0));
}

function benchEncode(): void {
  const encoder = new Encoder();
  for (let round = 0; round < 3; round++) encoder.encode(requestList, [], out, 0);
  measure('encode, 10 fields, memo', () => encoder.encode(requestList, [], out, 0));
  const others = Array.from({ length: 16 }, (_, at) => requestList.with(makeField('x-variant', `${at}`)));
  for (let round = 0; round < 3; round++) for (const list of others) encoder.encode(list, [], out, 0);
  measure('encode, 11 fields, memo, 16 lists in turn', (call) =>
    encoder.encode(others[call & 15]!, [], out, 0),
  );

  const { decoder } = primed();
  const blocks = calls.map((call) => {
    const bytes = extras(call, 0x00);
    return decoder.decode(bytes, 0, bytes.length).extras;
  });
  measure('encode, memo + forwarded grpc-timeout and traceparent', (call) =>
    encoder.encode(requestList, blocks[call & 1023]!, out, 0),
  );
  measure('encode, memo + forwarded traceparent + made grpc-timeout', (call) => {
    const made = makeField('grpc-timeout', `${14_000 + (call & 511)}m`);
    return encoder.encode(requestList, [blocks[call & 1023]![1]!, made], out, 0);
  });
}

benchDecode();
benchEncode();
