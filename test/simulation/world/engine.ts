/**
 * Answers of a language-model engine with the messages of vLLM: the tokens of a call are known by its id, so that one that was lost or
 * repeated is seen where it arrives. Shares no code with the product (proto/vllm-engine.proto has the numbers of the fields).
 */
import { hashOf } from '../dice.js';
import { ENCODING, GENERATE, PROMPT } from '../plan/plan.js';
import { encoded, framedMessage } from './content.js';

/** Of the tokens of a prompt, those of its own. */
const OWN_PROMPT = 2;
/** Beginnings of prompts that there are. */
const PROMPTS = 4;
const LAST = 'length';

/** Of tokens that are drawn, those of each engine are so many further on: it is seen where another one goes on. */
const VARIANT = 100_000;

interface Generated {
  readonly id: number;
  readonly path: string;
  readonly tokens?: number;
  readonly promptTokens?: number;
  /** Drawn by chance: each engine makes tokens of its own. */
  readonly isDrawn?: boolean;
}

export const isGenerate = ({ path }: { readonly path: string }): boolean => path === GENERATE;

const tokenOf = (call: number, index: number): number => 3 + (hashOf(`${call} token ${index}`) % VARIANT);
const tokensIn = (call: number, from: number, to: number, variant = 0): number[] =>
  Array.from({ length: to - from }, (_, i) => tokenOf(call, from + i) + variant * VARIANT);
const variantOf = (token: number): number => Math.floor((token - 3) / VARIANT);
/** Whether it is this token of the answer, of any engine where they may differ. */
const isToken = ({ id, isDrawn }: Generated, index: number, token: number): boolean =>
  token === tokenOf(id, index) + (isDrawn === true ? variantOf(token) * VARIANT : 0);
/** Of several calls the first tokens are the same, as with a system prompt. */
const promptOf = ({ id, promptTokens = PROMPT }: Generated): number[] => [
  ...tokensIn(-1 - (id % PROMPTS), -PROMPT, promptTokens - PROMPT - OWN_PROMPT),
  ...tokensIn(id, -OWN_PROMPT, 0),
];

function varint(value: number): number[] {
  return value < 128 ? [value] : [(value % 128) + 128, ...varint(Math.floor(value / 128))];
}

const number = (field: number, value: number): number[] => [...varint(field * 8), ...varint(value)];
const bytes = (field: number, content: readonly number[]): number[] => [
  ...varint(field * 8 + 2),
  ...varint(content.length),
  ...content,
];
const packed = (field: number, values: readonly number[]): number[] =>
  bytes(
    field,
    values.flatMap((value) => varint(value)),
  );

/** A request with temperature 0, or 1, for so many tokens as the call is to have. */
export function generateRequest(call: Generated): Buffer {
  const { id, tokens = 1, isDrawn } = call;
  const temperature = isDrawn === true ? [0, 0, 0x80, 0x3f] : [0, 0, 0, 0];
  const sampling = [8 * 1 + 5, ...temperature, ...number(8, tokens)];
  const message = [
    ...bytes(1, [...Buffer.from(`g${id}`)]),
    ...bytes(2, packed(2, promptOf(call))),
    ...bytes(4, sampling),
    ...number(5, 1),
  ];
  return framedMessage(Buffer.from(message));
}

/** Tokens `[from, to)` of an answer, as one engine makes them. */
export interface Tokens {
  readonly from: number;
  readonly to: number;
  /** Of its request. */
  readonly prompt: number;
  readonly variant: number;
}

/** The message with these tokens. */
export function chunkMessage({ id }: Generated, { from, to, prompt, variant }: Tokens): Buffer {
  const chunk = [
    ...packed(1, tokensIn(id, from, to, variant)),
    ...number(2, prompt),
    ...number(3, to - from),
  ];
  return Buffer.from(bytes(1, chunk));
}

/** Methods of vLLM by which an engine says how many calls it runs at once, and what it has to do. */
export const SERVER_INFO = GENERATE.replace('Generate', 'GetServerInfo');
export const GET_LOADS = GENERATE.replace('Generate', 'GetLoads');

export function serverInfo(slots: number): Buffer {
  return Buffer.from(number(20, slots));
}

/** In two parts, as of an engine that works in two processes. */
export function loadsMessage(running: number, waiting: number): Buffer {
  const part = (run: number, wait: number): number[] =>
    bytes(4, [...number(2, run), ...number(3, wait), ...number(5, 16 * run), ...number(6, 4_096)]);
  return Buffer.from([...part(running, 0), ...part(0, waiting)]);
}

/** An OrcaLoadReport (xds.data.orca.v3) with its application_utilization. */
export function loadReport(utilization: number): Buffer {
  const value = Buffer.alloc(8);
  value.writeDoubleLE(utilization);
  return Buffer.from([8 * 9 + 1, ...value]);
}

/** The message behind the last tokens, which were these. */
export function completeMessage({ id }: Generated, { from, to, prompt, variant }: Tokens): Buffer {
  const reason = bytes(2, [...Buffer.from(LAST)]);
  const counts = [...number(3, prompt), ...number(4, to - from)];
  return Buffer.from(bytes(2, [...packed(1, tokensIn(id, from, to, variant)), ...reason, ...counts]));
}

/** The fields of a message: numbers, or bytes. */
function fieldsOf(message: Buffer): (readonly [number, number | Buffer])[] {
  const fields: (readonly [number, number | Buffer])[] = [];
  let at = 0;
  const next = (): number => {
    let value = 0;
    for (let unit = 1; ; unit *= 128) {
      const byte = message[at++] ?? 0;
      value += (byte & 127) * unit;
      if (byte < 128) return value;
    }
  };
  while (at < message.length) {
    const tag = next();
    if (tag % 8 === 0) fields.push([tag >>> 3, next()]);
    else if (tag % 8 === 5) {
      fields.push([tag >>> 3, message.readUInt32LE(at)]);
      at += 4;
    } else {
      const size = next();
      fields.push([tag >>> 3, message.subarray(at, at + size)]);
      at += size;
    }
  }
  return fields;
}

const partOf = (fields: ReturnType<typeof fieldsOf>, field: number): Buffer => {
  const parts = fields.flatMap(([key, value]) => (key === field && typeof value !== 'number' ? [value] : []));
  return Buffer.concat(parts);
};
/** Of several the last one, as decoders take it. */
const numberIn = (fields: ReturnType<typeof fieldsOf>, field: number): number =>
  Number(fields.findLast(([key]) => key === field)?.[1] ?? 0);
function idsIn(list: Buffer): number[] {
  const ids: number[] = [];
  let [value, unit] = [0, 1];
  for (const byte of list) {
    value += (byte & 127) * unit;
    unit *= 128;
    if (byte >= 128) continue;
    ids.push(value);
    [value, unit] = [0, 1];
  }
  return ids;
}

/** What one side of a call has received, checked. */
abstract class EngineCheck {
  received = 0;
  messages = 0;
  encoding = 'identity';
  problem = '';
  private rest: Buffer = Buffer.alloc(0);

  get isBetweenMessages(): boolean {
    return this.rest.length === 0;
  }

  take(more: Buffer): void {
    this.rest = Buffer.concat([this.rest, more]);
    while (this.rest.length >= 5) {
      const end = 5 + this.rest.readUInt32BE(1);
      if (this.rest.length < end) return;
      this.onMessage(fieldsOf(this.contentOf(this.rest.subarray(5, end))));
      this.messages++;
      this.rest = this.rest.subarray(end);
    }
  }

  private contentOf(message: Buffer): Buffer {
    if (this.rest[0] === 0) return message;
    if (this.encoding !== ENCODING) this.problem ||= `message ${this.messages}: flag ${this.rest[0]}`;
    return encoded(message);
  }

  protected abstract onMessage(fields: ReturnType<typeof fieldsOf>): void;
}

/** At the caller: each token once and in order, then what completes the answer; counts as if one engine had made it. */
export class AnswerCheck extends EngineCheck {
  private isDone = false;
  private readonly seen = new Set<number>();

  constructor(private readonly plan: Generated) {
    super();
  }

  /** Variants of the tokens that it has. */
  get variants(): readonly number[] {
    return [...this.seen];
  }

  get isComplete(): boolean {
    const isAll = this.plan.tokens === undefined ? this.messages === 0 : this.isDone;
    return this.problem === '' && this.isBetweenMessages && isAll;
  }

  protected onMessage(fields: ReturnType<typeof fieldsOf>): void {
    const { tokens = 0, promptTokens = PROMPT } = this.plan;
    const isChunk = fields[0]?.[0] === 1;
    const inner = fieldsOf(partOf(fields, isChunk ? 1 : 2));
    const ids = idsIn(partOf(inner, 1));
    const say = (what: string): void => {
      this.problem ||= `message ${this.messages}: ${what}`;
    };
    if (this.isDone) return say('behind the end of the answer');
    if (numberIn(inner, isChunk ? 2 : 3) !== promptTokens)
      say(`counts ${numberIn(inner, 2)} tokens of the prompt`);
    if (numberIn(inner, isChunk ? 3 : 4) !== ids.length) say('counts other tokens than it has');
    if (!isChunk) {
      this.isDone = true;
      if (this.received !== tokens) say(`completes ${this.received} of ${tokens} tokens`);
      if (partOf(inner, 2).toString() !== LAST) say('another reason for its end');
      return;
    }
    for (const each of ids) {
      if (!isToken(this.plan, this.received, each)) return say(`not token ${this.received}`);
      this.seen.add(variantOf(each));
      this.received++;
    }
  }
}

/** At the engine: the prompt, perhaps with the first tokens of the answer, and a limit that is less by these. */
export class AskedCheck extends EngineCheck {
  /** Tokens of the answer that are in the prompt. */
  given = 0;
  isComplete = false;

  constructor(private readonly plan: Generated) {
    super();
  }

  get prompt(): number {
    return (this.plan.promptTokens ?? PROMPT) + this.given;
  }

  protected onMessage(fields: ReturnType<typeof fieldsOf>): void {
    const { id, tokens = 1, promptTokens = PROMPT } = this.plan;
    const ids = idsIn(partOf(fieldsOf(partOf(fields, 2)), 2));
    this.given = ids.length - promptTokens;
    const isPrompt = `${ids.slice(0, promptTokens)}` === `${promptOf(this.plan)}`;
    const limit = numberIn(fieldsOf(partOf(fields, 4)), 8);
    const name = partOf(fields, 1).toString();
    if (!isPrompt || !ids.slice(promptTokens).every((each, i) => isToken(this.plan, i, each)))
      this.problem ||= 'other tokens in the prompt';
    else if (limit !== tokens - this.given) this.problem ||= `asks for ${limit} tokens behind ${this.given}`;
    else if (!name.startsWith(`g${id}`)) this.problem ||= `the id of another request, ${name}`;
    this.isComplete = this.problem === '';
    this.received = 1;
  }
}
