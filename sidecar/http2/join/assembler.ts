/** Instructions of WebAssembly as octets (WebAssembly Core Specification, chapter 5), as many as join-program.ts is made of. */

/** Octets of one instruction or of several. */
export type Code = readonly number[];

/** Block type "nothing". */
const EMPTY = 0x40;
const END = 0x0b;
const I32 = 0x7f;

/** Unsigned LEB128. */
function unsigned(value: number): Code {
  const octets: number[] = [];
  let rest = value >>> 0;
  for (; rest >= 0x80; rest >>>= 7) octets.push((rest & 0x7f) | 0x80);
  return [...octets, rest];
}

/** Signed LEB128. */
function signed(value: number): Code {
  const octets: number[] = [];
  for (let rest = value | 0; ; ) {
    const octet = rest & 0x7f;
    rest >>= 7;
    if ((rest === 0 && (octet & 0x40) === 0) || (rest === -1 && (octet & 0x40) !== 0))
      return [...octets, octet];
    octets.push(octet | 0x80);
  }
}

/** An instruction of two operands, both 32-bit numbers. */
const binary =
  (opcode: number) =>
  (left: Code, right: Code): Code => [...left, ...right, opcode];

export const add = binary(0x6a);
export const sub = binary(0x6b);
export const and = binary(0x71);
export const or = binary(0x72);
export const shiftLeft = binary(0x74);
export const shiftRight = binary(0x76);
export const equal = binary(0x46);
export const differ = binary(0x47);
export const below = binary(0x49);
export const above = binary(0x4b);

export const number = (value: number): Code => [0x41, ...signed(value)];
export const isZero = (operand: Code): Code => [...operand, 0x45];

/** One of the parameters and variables of a function, all of them 32-bit numbers. */
export class Local {
  constructor(private readonly index: number) {}
  get get(): Code {
    return [0x20, ...unsigned(this.index)];
  }
  set(value: Code): Code {
    return [...value, 0x21, ...unsigned(this.index)];
  }
}

/** The octet, or the little-endian word, at an address; no alignment is promised. */
export const octetAt = (address: Code, offset = 0): Code => [...address, 0x2d, 0, ...unsigned(offset)];
export const wordAt = (address: Code, offset = 0): Code => [...address, 0x28, 0, ...unsigned(offset)];
export const putOctet = (address: Code, offset: number, value: Code): Code => [
  ...address,
  ...value,
  0x3a,
  0,
  ...unsigned(offset),
];
export const putWord = (address: Code, offset: number, value: Code): Code => [
  ...address,
  ...value,
  0x36,
  0,
  ...unsigned(offset),
];
/** Copies 16 octets (a vector). */
export const copyVector = (to: Code, from: Code): Code => [
  ...to,
  ...[...from, 0xfd, 0x00, 0, 0],
  ...[0xfd, 0x0b, 0, 0],
];
/** Copies any number of octets. */
export const copyMemory = (to: Code, from: Code, length: Code): Code => [
  ...to,
  ...from,
  ...length,
  ...[0xfc, 0x0a, 0, 0],
];

/** Begins again for as long as `condition` holds. */
export const whileTrue = (condition: Code, ...body: readonly Code[]): Code => [
  ...[0x02, EMPTY, 0x03, EMPTY],
  ...[...isZero(condition), 0x0d, 1],
  ...body.flat(),
  ...[0x0c, 0, END, END],
];
export const when = (condition: Code, ...body: readonly Code[]): Code => [
  ...[...condition, 0x04, EMPTY],
  ...body.flat(),
  END,
];
export const whenElse = (condition: Code, yes: readonly Code[], no: readonly Code[]): Code => [
  ...[...condition, 0x04, EMPTY],
  ...[...yes.flat(), 0x05, ...no.flat(), END],
];
export const result = (value: Code): Code => [...value, 0x0f];

const bytesOf = (text: string): Code => [...Buffer.from(text, 'latin1')];
const withLength = (content: Code): Code => [...unsigned(content.length), ...content];
const section = (id: number, content: Code): Code => [id, ...withLength(content)];

/**
 * A module with one function of one number that returns one, exported as `run`, and a memory of so many pages (64 KiB),
 * exported as `memory`. `locals`: how many variables it has besides its parameter.
 */
export function assemble(pages: number, locals: number, body: readonly Code[]): Uint8Array {
  const type = [0x60, 1, I32, 1, I32];
  const exported = [2, ...withLength(bytesOf('run')), 0, 0, ...withLength(bytesOf('memory')), 2, 0];
  const code = [1, ...unsigned(locals), I32, ...body.flat(), 0x00, END];
  return new Uint8Array([
    ...[0, ...bytesOf('asm'), 1, 0, 0, 0],
    ...section(1, [1, ...type]),
    ...section(3, [1, 0]),
    ...section(5, [1, 1, ...unsigned(pages), ...unsigned(pages)]),
    ...section(7, exported),
    ...section(10, [1, ...withLength(code)]),
  ]);
}
