/** The golden input of a model card as a request, and the answer to it beside the golden output. */
import { type Datatype, fromHalf, isDatatype } from '../../../proto/datatypes.js';
import { goldenData } from '../../../proto/golden-values.js';
import type { InferTensor, TensorMetadata } from '../../../proto/messages.js';
import { decodeRaw, encodeRaw, fromContents } from '../../../proto/tensors.js';
import type { InferAnswer, RawInput } from '../../codec/inference.js';
import type { GoldenCard } from '../../config/file/golden-card.js';

const MAX_DETAILS = 200;

/**
 * The inputs of the card, with FP32 where neither it nor the server states a datatype.
 *
 * @param declared inputs of the model's metadata; empty: they are not known.
 * @throws Error of one line for a datatype or values that do not fit.
 */
export function goldenInputs(
  { inputs }: Pick<GoldenCard, 'inputs'>,
  declared: readonly Pick<TensorMetadata, 'name' | 'datatype'>[],
): readonly RawInput[] {
  return Object.entries(inputs).map(([name, { shape, values, datatype: cardType }]) => {
    const datatype = cardType ?? declared.find((input) => input.name === name)?.datatype ?? 'FP32';
    if (!isDatatype(datatype)) throw new Error(`${name} has the datatype '${datatype}'`);
    const data = goldenData(values, datatype, `golden input ${name}`);
    return { name, datatype, shape, raw: encodeRaw({ datatype, dims: shape, data }) };
  });
}

type Element = number | bigint | string;

/**
 * The first difference in one sentence; undefined: none. Throws when the answer breaks the
 * protocol.
 */
export function goldenProblem({ outputs, raw }: InferAnswer, card: GoldenCard): string | undefined {
  for (const [name, { values }] of Object.entries(card.outputs)) {
    const at = outputs.findIndex((output) => output.name === name);
    if (at < 0) return `golden output differs: ${name} is missing`;
    const datatype = outputs[at]!.datatype;
    if (!isDatatype(datatype)) throw new Error(`${name} has the datatype '${datatype}'`);
    const found = elementsOf(outputs[at]!, raw[at], datatype);
    const expected = readable([...goldenData(values, datatype, `golden output ${name}`)], datatype);
    if (found.length !== expected.length)
      return `golden output differs: ${name} has ${found.length} elements, expected ${expected.length}`;
    const wrong = expected.findIndex((value, i) => !isNear(found[i]!, value, card.tolerance));
    if (wrong >= 0) {
      const [f, e] = distinct(found[wrong]!, expected[wrong]!);
      return `golden output differs: ${name}[${wrong}] is ${f}, expected ${e}`;
    }
  }
  return undefined;
}

function elementsOf(output: InferTensor, raw: Buffer | undefined, datatype: Datatype): Element[] {
  const count = output.shape.reduce<number>((product, size) => product * Number(size), 1);
  const elements =
    raw === undefined
      ? fromContents(output.contents ?? {}, datatype, count, output.name)
      : decodeRaw(raw, datatype, count, output.name);
  return readable([...elements], datatype);
}

function readable(elements: Element[], datatype: Datatype): Element[] {
  return datatype === 'FP16' ? elements.map((bits) => fromHalf(bits as number)) : elements;
}

function isNear(found: Element, expected: Element, tolerance: number): boolean {
  if (found === expected) return true;
  if (typeof found !== 'number' || typeof expected !== 'number') return false;
  if (Number.isNaN(found) && Number.isNaN(expected)) return true;
  return Math.abs(found - expected) <= tolerance * Math.max(1, Math.abs(expected));
}

/** Both as text, with as many digits as it takes to see the difference. */
function distinct(found: Element, expected: Element): [string, string] {
  if (typeof found !== 'number' || typeof expected !== 'number')
    return [String(found).slice(0, MAX_DETAILS), String(expected).slice(0, MAX_DETAILS)];
  for (let digits = 3; digits < 17; digits++) {
    const pair = [found, expected].map((value) => String(Number(value.toPrecision(digits))));
    if (pair[0] !== pair[1]) return [pair[0]!, pair[1]!];
  }
  return [String(found), String(expected)];
}
