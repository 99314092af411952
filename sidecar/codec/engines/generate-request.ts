/**
 * The request of `Generate`: read in place, whatever lies before what is looked for, and written anew for an engine that goes on with
 * its answer.
 */

import { type Body, BodyReader } from '../body-reader.js';
import { FieldCursor, packedNumbers, Step, Wire } from '../field-cursor.js';
import { PREFIX_BYTES } from '../grpc-message.js';
import type { EngineCodec, ResumeLayout, SamplingLayout } from './engine-codec.js';
import { MessageParts } from './message-parts.js';

/** Fields that are looked at: of the request, and of its parameters, which may name a token in each. */
const MAX_FIELDS = 64;
const MAX_PARAMETERS = 16_384;
/** Of a list of ids that end an answer. */
const MAX_STOP_BYTES = 16_384;
/** A longer request id is none that is followed, bytes. */
export const LONGEST_REQUEST_ID = 512;

const UNREADABLE = 'its request cannot be read';
const WITHOUT = -1;
const NOTHING = Buffer.alloc(0);

/** Bytes `[from, to)` of a body are a field, of which `[start, to)` are its content. */
interface Field {
  readonly from: number;
  readonly start: number;
  readonly to: number;
}

/** What a request of `Generate` says that matters for its answer's continuation. */
export interface GenerateRequest {
  /** Empty: none, or one that is too long. */
  readonly requestId: string;
  /** Why another engine could not go on with the very same tokens, in words; empty: it could. */
  readonly obstacle: string;
  /** Why it could not go on at all, with other tokens or another end neither; empty: it could. */
  readonly refusal: string;
  /** An engine that is given its answer but for the last token most likely makes that one again. */
  readonly isGreedy: boolean;
  /** −1: absent. */
  readonly maxTokens: number;
  readonly minTokens: number;
  readonly seed: number;
  /** Ids that end its answer, beside the end of the model's own, which does not where `ignoresEnd`; null: too many to be kept. */
  readonly stopTokens: readonly number[] | null;
  readonly ignoresEnd: boolean;
  /** Texts end its answer, too: by which token, no message says. */
  readonly hasStopText: boolean;
  /** Null where there is a refusal. */
  readonly fields: {
    readonly id: Field | null;
    readonly prompt: Field;
    /** Null: the engine has its defaults. */
    readonly sampling: Field | null;
  } | null;
}

/** What another engine is told. */
export interface Continuation {
  readonly requestId: string;
  /** Ids that are added to the prompt, as varints, and how many. */
  readonly ids: Buffer;
  readonly count: number;
  /** It draws by chance: with the same seed it would draw as for the first tokens of the answer. */
  readonly isDrawn: boolean;
}

/** Reads a request. @param body all of it, with the prefix of its message. */
export function readGenerateRequest(codec: EngineCodec, body: Body): GenerateRequest {
  const reader = new BodyReader(body);
  if (!isOneMessage(reader)) return obstructed('', UNREADABLE);
  return new RequestReading(codec, reader).read();
}

/** The request for an engine that goes on, with the prefix of its message; `request` has no refusal. */
export function continuedRequest(
  codec: EngineCodec,
  body: Body,
  request: GenerateRequest,
  { requestId, ids, count, isDrawn }: Continuation,
): Buffer {
  const { message: promptField, ids: idsField } = codec.prompt;
  const { sampling: samplingField, parameters } = codec.resume!;
  const { id, prompt, sampling } = request.fields!;
  const reader = new BodyReader(body);
  const copy = (from: number, to: number): Buffer => reader.copy(from, to);
  // Of a scalar the last one counts, and lists are joined, so that what is new is added at the end of each message.
  const more = new MessageParts();
  // An engine may have made more tokens than it was asked for.
  if (request.maxTokens !== WITHOUT)
    more.varint(parameters.maxTokens, Math.max(1, request.maxTokens - count));
  if (request.minTokens > 0) more.varint(parameters.minTokens, Math.max(0, request.minTokens - count));
  if (isDrawn && request.seed !== WITHOUT) more.varint(parameters.seed, (request.seed + count) % 2 ** 31);
  const ownIds = count === 0 ? NOTHING : new MessageParts().bytes(idsField, ids).finish();
  const longer = (number: number, field: Field, added: Buffer): Buffer =>
    new MessageParts().bytes(number, copy(field.start, field.to), added).finish();
  const changed: { readonly field: Field; readonly content: Buffer }[] = [
    { field: prompt, content: longer(promptField, prompt, ownIds) },
  ];
  // Without parameters there are no limits to be lowered.
  if (sampling !== null)
    changed.push({ field: sampling, content: longer(samplingField, sampling, more.finish()) });
  if (id !== null) changed.push({ field: id, content: NOTHING });
  changed.sort((a, b) => a.field.from - b.field.from);
  const message = new MessageParts().bytes(codec.requestId, Buffer.from(requestId));
  let from = PREFIX_BYTES;
  for (const { field, content } of changed) {
    message.raw(copy(from, field.from), content);
    from = field.to;
  }
  const bytes = message.raw(copy(from, body.bytes)).finish();
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([prefix, bytes]);
}

function isOneMessage(reader: BodyReader): boolean {
  if (reader.bytes < PREFIX_BYTES || reader.byteAt(0) !== 0) return false;
  return reader.uint32At(1) === reader.bytes - PREFIX_BYTES;
}

function obstructed(requestId: string, refusal: string, obstacle = refusal): GenerateRequest {
  return { ...NOT_RESUMED, requestId, obstacle, refusal };
}

const NOT_RESUMED: GenerateRequest = {
  ...{ requestId: '', obstacle: '', refusal: '', isGreedy: false, fields: null },
  ...{ maxTokens: WITHOUT, minTokens: WITHOUT, seed: WITHOUT, stopTokens: [], ignoresEnd: false },
  hasStopText: false,
};

/** Of a request of which not all is kept. */
export const NOT_KEPT: GenerateRequest = obstructed('', 'its request is longer than what is kept of one');

/** One pass over a request. */
class RequestReading {
  private requestId = '';
  private obstacle = '';
  private refusal = '';
  private maxTokens = WITHOUT;
  private minTokens = WITHOUT;
  private seed = WITHOUT;
  private ignoresEnd = false;
  private hasStopText = false;
  private stopTokens: number[] | null = [];
  /** Temperature 0 is said; what counts tokens of the answer is not. */
  private isCold = false;
  private isPenalized = false;
  private id: Field | null = null;
  private prompt: Field | null = null;
  private sampling: Field | null = null;

  constructor(
    private readonly codec: EngineCodec,
    private readonly reader: BodyReader,
  ) {}

  read(): GenerateRequest {
    const { resume } = this.codec;
    this.readFields(resume);
    if (resume === null) return obstructed(this.requestId, 'streams of this engine are not resumed');
    if (this.refusal === '') this.judge(resume);
    const { requestId, obstacle, refusal, id, prompt, sampling } = this;
    if (refusal !== '' || prompt === null) return obstructed(requestId, refusal, obstacle);
    const { maxTokens, minTokens, seed, stopTokens, ignoresEnd, hasStopText, isCold, isPenalized } = this;
    const limits = { maxTokens, minTokens, seed, stopTokens, ignoresEnd, hasStopText };
    const isGreedy = isCold && !isPenalized;
    return { requestId, obstacle, refusal, isGreedy, ...limits, fields: { id, prompt, sampling } };
  }

  private readFields(resume: ResumeLayout | null): void {
    const cursor = new FieldCursor(this.reader, PREFIX_BYTES);
    let from = PREFIX_BYTES;
    for (let n = 0; ; n++) {
      const step = cursor.step();
      if (step === Step.end) return;
      if (step !== Step.field || n >= MAX_FIELDS) return this.stopBy(UNREADABLE);
      const { number, wire, start, end: to } = cursor;
      const field = { from, start, to };
      from = to;
      if (number === this.codec.requestId) this.takeId(field, wire);
      else if (resume !== null) this.takeField(resume, number, wire, field);
    }
  }

  private takeId(field: Field, wire: number): void {
    if (this.id !== null || wire !== Wire.bytes) this.stopBy(UNREADABLE);
    this.id = field;
    const { start, to } = field;
    this.requestId = to - start > LONGEST_REQUEST_ID ? '' : this.reader.copy(start, to).toString('utf8');
  }

  private takeField(resume: ResumeLayout, number: number, wire: number, field: Field): void {
    const isPrompt = number === this.codec.prompt.message;
    if (isPrompt || number === resume.sampling) {
      if ((isPrompt ? this.prompt : this.sampling) !== null || wire !== Wire.bytes)
        return this.stopBy(UNREADABLE);
      if (isPrompt) this.prompt = field;
      else this.sampling = field;
    } else if (!resume.harmless.has(number)) this.stopBy(reasonOf(resume.refused, number));
  }

  private judge({ parameters }: ResumeLayout): void {
    if (this.prompt === null) return this.stopBy('it has no token ids');
    // As an empty message would: the engine draws by chance.
    if (this.sampling === null) return this.hinderBy('temperature is not 0');
    const cursor = new FieldCursor(this.reader, this.sampling.start, this.sampling.to);
    for (let n = 0; ; n++) {
      const step = cursor.step();
      if (step === Step.end) break;
      if (step !== Step.field || n >= MAX_PARAMETERS) return this.stopBy(UNREADABLE);
      this.takeParameter(parameters, cursor);
    }
    if (!this.isCold) this.hinderBy('temperature is not 0');
    if (this.maxTokens === 0) this.stopBy('max_tokens is 0');
  }

  private takeParameter(layout: SamplingLayout, { number, wire, value, start, end }: FieldCursor): void {
    if (number === layout.temperature) this.isCold = wire === Wire.fixed32 && this.isZero(start);
    else if (layout.zero[number] !== undefined) {
      if (wire === Wire.fixed32 && this.isZero(start)) return;
      this.isPenalized = true;
      this.hinderBy(`its request has ${layout.zero[number]}`);
    } else if (layout.inexact[number] !== undefined) {
      if (number === layout.stopTexts) this.hasStopText = true;
      this.hinderBy(`its request has ${layout.inexact[number]}`);
    } else if (number === layout.stopTokens) this.takeStopTokens(wire, value, start, end);
    else if (number === layout.ignoresEnd) this.ignoresEnd = wire === Wire.varint && value !== 0;
    else if (number === layout.seed && wire === Wire.varint) this.seed = value;
    else if (number === layout.maxTokens || number === layout.minTokens || number === layout.n) {
      if (wire !== Wire.varint || value >= 2 ** 32) return this.stopBy(UNREADABLE);
      if (number === layout.maxTokens) this.maxTokens = value;
      else if (number === layout.minTokens) this.minTokens = value;
      else if (value > 1) this.stopBy('n is more than 1');
    } else if (!layout.harmless.has(number)) this.stopBy(reasonOf(layout.refused, number));
  }

  private takeStopTokens(wire: number, value: number, start: number, end: number): void {
    if (wire === Wire.varint) this.stopTokens?.push(value);
    else if (wire !== Wire.bytes) this.stopBy(UNREADABLE);
    else if (end - start > MAX_STOP_BYTES) this.stopTokens = null;
    else
      try {
        this.stopTokens?.push(...packedNumbers(this.reader, start, end));
      } catch {
        this.stopBy(UNREADABLE);
      }
  }

  /** A float of 0, or of −0. */
  private isZero(at: number): boolean {
    const { reader } = this;
    return (reader.uint32At(at) & 0xffffff7f) === 0;
  }

  /** No engine can go on. The first one counts. */
  private stopBy(refusal: string): void {
    if (this.refusal === '') this.refusal = refusal;
    this.hinderBy(refusal);
  }

  /** What another engine makes may differ, in its tokens or in where it ends. */
  private hinderBy(obstacle: string): void {
    if (this.obstacle === '') this.obstacle = obstacle;
  }
}

function reasonOf(refused: Readonly<Record<number, string>>, number: number): string {
  const name = refused[number];
  return name === undefined ? `its request has an unknown field (${number})` : `its request has ${name}`;
}
