/** Prompts that begin alike in different ways, of one seed. */
import { seeded } from '../../kit/time/seeded-random.js';

/** A call that comes. */
export interface PromptCall {
  readonly ids: Uint32Array;
  readonly promptTokens: number;
  /** What a client that knows the mesh would put in a metadata key. */
  readonly session: string;
  /** After it has ended: the next call of its client, some time later. */
  readonly next?: { readonly inMs: number; readonly call: () => PromptCall };
}

export interface Workload {
  readonly name: string;
  readonly says: string;
  /** Calls that come by themselves, for a second. */
  readonly perSecond: number;
  readonly make: (seed: number) => () => PromptCall;
}

/** Whole numbers from `least` to `most`, evenly on a logarithmic scale. */
function between(random: () => number, least: number, most: number): number {
  return Math.round(least * (most / least) ** random());
}

function tokens(random: () => number, count: number): Uint32Array {
  return Uint32Array.from({ length: count }, () => Math.floor(random() * 128_000));
}

function joined(...parts: readonly Uint32Array[]): Uint32Array {
  const all = new Uint32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** One of `items`, the first ones more often: the n-th is drawn 1/n times as often as the first. */
function zipf<T>(random: () => number, items: readonly T[]): T {
  const sum = items.reduce((total, _, i) => total + 1 / (i + 1), 0);
  let point = random() * sum;
  for (let i = 0; i < items.length; i += 1) {
    point -= 1 / (i + 1);
    if (point < 0) return items[i]!;
  }
  return items.at(-1)!;
}

/** Chats of many turns: each prompt is the one before, its answer and a new message. Few system prompts are before all of them. */
function chat(seed: number): () => PromptCall {
  const random = seeded(seed);
  const systems = Array.from({ length: 4 }, () => tokens(random, between(random, 300, 1_500)));
  let sessions = 0;
  const turn = (before: Uint32Array, session: string, left: number): PromptCall => {
    const prompt = joined(before, tokens(random, between(random, 20, 600)));
    const ids = joined(prompt, tokens(random, between(random, 50, 400)));
    const call = { ids, promptTokens: prompt.length, session };
    if (left === 0) return call;
    const inMs = 3_000 - Math.log(1 - random()) * 12_000;
    return { ...call, next: { inMs, call: () => turn(ids, session, left - 1) } };
  };
  return () => {
    sessions += 1;
    return turn(zipf(random, systems), `s${sessions}`, between(random, 1, 16) - 1);
  };
}

/** Beginnings of different lengths that many calls share: a preamble of the house, one of some tools or documents, and a question. */
function shared(seed: number): () => PromptCall {
  const random = seeded(seed);
  const house = tokens(random, 300);
  const begins = Array.from({ length: 64 }, (_, i) => ({
    ids: joined(i % 4 === 0 ? new Uint32Array() : house, tokens(random, between(random, 128, 8_192))),
    session: `p${i}`,
  }));
  return () => {
    const { ids: begin, session } = zipf(random, begins);
    const prompt = joined(begin, tokens(random, between(random, 30, 500)));
    const ids = joined(prompt, tokens(random, between(random, 50, 400)));
    return { ids, promptTokens: prompt.length, session };
  };
}

function unshared(seed: number): () => PromptCall {
  const random = seeded(seed);
  let calls = 0;
  return () => {
    calls += 1;
    const promptTokens = between(random, 100, 6_000);
    const ids = tokens(random, promptTokens + between(random, 50, 400));
    return { ids, promptTokens, session: `c${calls}` };
  };
}

export const WORKLOADS: readonly Workload[] = [
  { name: 'chat', says: 'chats of 1 to 16 turns, 4 system prompts', perSecond: 12, make: chat },
  {
    name: 'shared',
    says: '64 beginnings of 128 to 8,500 tokens, most with the same first 300',
    perSecond: 70,
    make: shared,
  },
  { name: 'unshared', says: 'no two prompts begin alike', perSecond: 70, make: unshared },
];
