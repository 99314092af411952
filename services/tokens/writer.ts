/** One text: the prompt is read byte by byte, then characters are written, each of as many bytes as UTF-8 has for it. */

import { choose, draw } from './sampling.js';
import { after, BETWEEN, mayFollow, type Unfinished } from './utf8.js';
import type { Vocabulary } from './vocabulary.js';

/** The most bytes of a character: places of one character in the chain of chance. */
const PLACES = 4;
/** What stands for an empty prompt: a paragraph begins. */
const BEGINNING = '\n\n';

/** What is to be written. */
export interface Task {
  readonly prompt: string;
  /** Characters. */
  readonly maxTokens: number;
  /** A signed 64-bit integer. */
  readonly seed: bigint;
  /** 0: always the most probable byte. */
  readonly temperature: number;
}

/** Says what the network is to read next, and takes what it expects after that. */
export class Writer {
  private readonly task: Task;
  private readonly vocabulary: Vocabulary;
  private readonly prompt: Uint8Array;
  private read = 0;
  private token: number;
  private unfinished: Unfinished = BETWEEN;
  private bytes: number[] = [];
  private written = 0;

  constructor(task: Task, vocabulary: Vocabulary) {
    this.task = task;
    this.vocabulary = vocabulary;
    this.prompt = vocabulary.encode(task.prompt === '' ? BEGINNING : task.prompt);
    this.token = this.prompt[0]!;
  }

  /** The token that the network reads next. */
  get next(): number {
    return this.token;
  }

  /** Characters so far. */
  get count(): number {
    return this.written;
  }

  /** As many characters as were asked for. */
  get isDone(): boolean {
    return this.written >= this.task.maxTokens;
  }

  /** The network has read `next`. Returns the character that is complete with this step, if one is. */
  take(logits: Float32Array): string | undefined {
    this.read++;
    if (this.read < this.prompt.length) {
      this.token = this.prompt[this.read]!;
      return undefined;
    }
    const place = this.written * PLACES + this.bytes.length;
    this.token = choose(logits, {
      temperature: this.task.temperature,
      chance: draw(this.task.seed, place),
      isAllowed: (token) => this.isAllowed(token),
    });
    const byte = this.vocabulary.byteOf(this.token)!;
    this.bytes.push(byte);
    this.unfinished = after(this.unfinished, byte);
    if (this.unfinished.missing > 0) return undefined;
    const character = Buffer.from(this.bytes).toString();
    this.bytes = [];
    this.written++;
    return character;
  }

  private isAllowed(token: number): boolean {
    const byte = this.vocabulary.byteOf(token);
    return byte !== undefined && mayFollow(this.unfinished, byte);
  }
}
