/**
 * What frame-joiner.ts runs: small DATA frames of a read become few. In WebAssembly, since a payload of a hundred octets is moved sooner
 * than `copyWithin` is called for it, and JavaScript has no wider loads and stores than 32 bits that allocate nothing.
 */

import { DEFAULT_MAX_FRAME, FRAME_HEADER_BYTES } from '../constants.js';
import {
  above,
  add,
  and,
  assemble,
  below,
  type Code,
  copyMemory,
  copyVector,
  equal,
  isZero,
  Local,
  number,
  octetAt,
  or,
  putOctet,
  putWord,
  result,
  shiftLeft,
  shiftRight,
  sub,
  when,
  whenElse,
  whileTrue,
  wordAt,
} from './assembler.js';

/** Payload of the frames that are joined, octets, at most: larger ones are passed on where they lie. */
export const SMALL_FRAME_BYTES = 1024;
/** Frames of so many streams are gathered from one sequence: each takes a walk over all of it. */
const MOST_GATHERED = 8;
/** The octets of a read begin here in memory, and what becomes of them there; a vector beyond either end is touched. */
export const MOST_BYTES = 128 * 1024 + 64;
const PAGE_BYTES = 64 * 1024;
const INPUT_PAGES = Math.ceil((MOST_BYTES + 16) / PAGE_BYTES);
export const OUTPUT_AT = INPUT_PAGES * PAGE_BYTES;
/** In place of the type of a frame whose payload has been taken; no other frame of a sequence has a first word as large. */
const TAKEN = 0xff;
const TAKEN_WORD = 0xff000000;
/** Bits of the first word of a frame that is no DATA frame, or too long. */
const LONG_OR_TYPED = 0xff0000ff;

const VECTOR_BYTES = 16;
/** Where flags and stream id are in a frame header (RFC 9113 section 4.1). */
const TYPE_AT = 3;
const FLAGS_AT = 4;
const ID_AT = 5;
/** The four octets of a stream id as a little-endian word, without the reserved bit. */
const ID_BITS = ~0x80;

/** The parameter: where the read ends. */
const end = new Local(0);
/** Where what is not taken yet begins. */
const at = new Local(1);
/** Where the next octet is written. */
const to = new Local(2);
/** Where the sequence of small DATA frames from `at` on ends. */
const stop = new Local(3);
const isSmall = new Local(4);
/** The frame that is looked at, and its length without its header. */
const frame = new Local(5);
const length = new Local(6);
/** The stream that is gathered, where its frame is written, and how much payload it has. */
const id = new Local(7);
const head = new Local(8);
const n = new Local(9);
/** How many frames the sequence has become. */
const gathered = new Local(10);
/** Of a payload that is moved. */
const from = new Local(11);
const limit = new Local(12);
/** The first four octets of a frame: the high one of its length, the two others, and the type. */
const word = new Local(13);

const HEAD = number(FRAME_HEADER_BYTES);

/** Length of the payload from `word`, of a frame below 64 KiB. */
const shortLength: Code = or(
  and(word.get, number(0xff00)),
  and(shiftRight(word.get, number(16)), number(0xff)),
);
const idAt = (address: Code): Code => and(wordAt(address, ID_AT), number(ID_BITS));

/** `isSmall` := whether a whole small DATA frame without flags begins at `stop`; `length` := its length. */
const judge: Code = [
  ...isSmall.set(number(0)),
  ...when(
    below(add(stop.get, number(FRAME_HEADER_BYTES - 1)), end.get),
    word.set(wordAt(stop.get)),
    length.set(shortLength),
    isSmall.set(
      and(
        isZero(or(and(word.get, number(LONG_OR_TYPED)), octetAt(stop.get, FLAGS_AT))),
        and(
          below(sub(length.get, number(1)), number(SMALL_FRAME_BYTES)),
          below(add(add(stop.get, length.get), number(FRAME_HEADER_BYTES - 1)), end.get),
        ),
      ),
    ),
  ),
];

/** Takes the frame at `frame` over as it is, whole or as far as it is there: `length` octets. */
const copyFrame = (length: Code): Code => [
  ...n.set(length),
  ...copyMemory(to.get, frame.get, n.get),
  ...to.set(add(to.get, n.get)),
];

/** Appends the payload of the frame at `frame`, `length` octets, a vector at a time: what is beyond is written over by what follows. */
const takePayload: Code = [
  ...from.set(add(frame.get, HEAD)),
  ...limit.set(add(to.get, length.get)),
  ...whileTrue(
    below(to.get, limit.get),
    copyVector(to.get, from.get),
    to.set(add(to.get, number(VECTOR_BYTES))),
    from.set(add(from.get, number(VECTOR_BYTES))),
  ),
  ...to.set(limit.get),
  ...n.set(add(n.get, length.get)),
  ...putOctet(frame.get, TYPE_AT, number(TAKEN)),
];

const nextFrame: Code = frame.set(add(frame.get, add(HEAD, length.get)));

/** One frame of all that the sequence has of the stream `id`, as far as it fits; what does not is left for the next one. */
const gather: Code = [
  ...head.set(to.get),
  ...to.set(add(to.get, HEAD)),
  ...n.set(number(0)),
  ...frame.set(at.get),
  ...whileTrue(
    below(frame.get, stop.get),
    word.set(wordAt(frame.get)),
    length.set(shortLength),
    whenElse(
      and(below(word.get, number(TAKEN_WORD)), equal(idAt(frame.get), id.get)),
      [
        whenElse(
          above(add(n.get, length.get), number(DEFAULT_MAX_FRAME)),
          [frame.set(stop.get)],
          [takePayload, nextFrame],
        ),
      ],
      [nextFrame],
    ),
  ),
  ...putWord(head.get, 0, or(and(n.get, number(0xff00)), shiftLeft(and(n.get, number(0xff)), number(16)))),
  ...putOctet(head.get, FLAGS_AT, number(0)),
  ...putWord(head.get, ID_AT, id.get),
];

/** The sequence `[at, stop)`: gathered by stream, then what is left of it in its order. */
const takeSequence: Code = [
  ...gathered.set(number(0)),
  ...whileTrue(
    below(at.get, stop.get),
    word.set(wordAt(at.get)),
    when(
      below(word.get, number(TAKEN_WORD)),
      whenElse(
        below(gathered.get, number(MOST_GATHERED)),
        [id.set(idAt(at.get)), gather, gathered.set(add(gathered.get, number(1))), word.set(wordAt(at.get))],
        [frame.set(at.get), copyFrame(add(HEAD, shortLength))],
      ),
    ),
    at.set(add(at.get, add(HEAD, shortLength))),
  ),
];

/** A frame of another kind, or the begin of one. */
const takeOther: Code = [
  ...frame.set(at.get),
  ...length.set(sub(end.get, at.get)),
  ...when(
    above(length.get, number(FRAME_HEADER_BYTES - 1)),
    word.set(wordAt(at.get)),
    n.set(add(HEAD, or(shortLength, shiftLeft(and(word.get, number(0xff)), number(16))))),
    when(below(n.get, length.get), length.set(n.get)),
  ),
  ...at.set(add(at.get, length.get)),
  ...copyFrame(length.get),
];

/**
 * The module: `run(end)` reads frames in `[0, end)` of its memory, which begin with a frame header, and writes those they
 * become from `OUTPUT_AT` on. @returns the end of what it wrote.
 */
export const joinProgram = (): Uint8Array =>
  assemble(2 * INPUT_PAGES, 13, [
    to.set(number(OUTPUT_AT)),
    at.set(number(0)),
    whileTrue(
      below(at.get, end.get),
      stop.set(at.get),
      judge,
      whileTrue(isSmall.get, stop.set(add(stop.get, add(HEAD, length.get))), judge),
      whenElse(equal(stop.get, at.get), [takeOther], [takeSequence]),
    ),
    result(to.get),
  ]);
