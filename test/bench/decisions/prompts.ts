/** What it costs to choose an engine by the beginning of a prompt, from its bytes on. */
import { bodyIn } from '../../../sidecar/codec/body-reader.js';
import { readPromptIds } from '../../../sidecar/codec/engines/prompt-ids.js';
import { VLLM } from '../../../sidecar/codec/engines/vllm.js';
import { framed } from '../../../sidecar/codec/grpc-message.js';
import { CallKind, EndpointLoad, NO_KEY } from '../../../sidecar/core/balancing/balancer.js';
import { Prefix } from '../../../sidecar/core/balancing/prefix.js';
import { BLOCK_TOKENS, blocksOf, MOST_BLOCKS } from '../../../sidecar/core/balancing/prompt-blocks.js';
import { type DecisionCost, option } from './cost.js';

const ENGINES = 16;
/** Of an id in these prompts. */
const ID_BYTES = 3;
/** Beginnings that calls share. */
const BEGINNINGS = 8;

/** The costs of prompts of 4 KB and 220 KB. */
export function benchPrompts(): DecisionCost[] {
  return [
    option('prefix, a prompt of 4 KB, 16 engines', choosing(4_096), 20_000),
    option('prefix, a prompt of 220 KB, 16 engines', choosing(220_000), 500),
  ];
}

/** Of each prompt the second half is new. */
function choosing(bytes: number): (call: number) => unknown {
  const engines = Array.from({ length: ENGINES }, (_, i) =>
    Object.assign(new EndpointLoad(), { label: `10.0.0.${i}:8000` }),
  );
  const balancer = new Prefix(Math.random, { cacheTokens: 262_144 });
  const ids = new Uint32Array(BLOCK_TOKENS * MOST_BLOCKS);
  const request = generateRequest(Math.floor(bytes / ID_BYTES));
  const body = bodyIn(request);
  const first = request.length - Math.floor(bytes / ID_BYTES) * ID_BYTES;
  const middle = first + Math.floor(bytes / ID_BYTES / 2) * ID_BYTES;
  return (call) => {
    request[first] = 0x80 | (call % BEGINNINGS);
    request[middle] = 0x80 | ((call >>> 3) & 0x7f);
    request[middle + 1] = 0x80 | ((call >>> 10) & 0x7f);
    const count = readPromptIds(VLLM, body, ids);
    if (typeof count === 'string') throw new Error(count);
    const blocks = blocksOf(ids, count);
    const engine = balancer.pick(engines, [], call / 10, NO_KEY, CallKind.stream, blocks)!;
    balancer.recordPrompt(engine, blocks, ENGINES, call / 10);
    return engine;
  };
}

/** A request of so many ids, each of three bytes. */
function generateRequest(count: number): Buffer {
  const packed = Buffer.alloc(count * ID_BYTES);
  for (let i = 0; i < count; i += 1)
    packed.set([0x80 | (i & 0x7f), 0x80 | ((i >>> 7) & 0x7f), 1], i * ID_BYTES);
  const inField = (content: Buffer): Buffer =>
    Buffer.concat([Buffer.from([2 * 8 + 2, ...varint(content.length)]), content]);
  return framed(inField(inField(packed)));
}

function varint(value: number): number[] {
  return value < 0x80 ? [value] : [0x80 | (value & 0x7f), ...varint(value >>> 7)];
}
