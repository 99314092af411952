import { isNumber, type Output } from '../output.js';

/** From when to when there is speech, s. */
export interface Segment {
  readonly from: number;
  readonly to: number;
}

/** Cells of the picture of the whole sound. */
const WIDTH = 60;

/**
 * Stretches of speech: the first output whose numbers are all probabilities has one for each part of the
 * sound, all of one length. Undefined where there is none.
 */
export function speechOf(
  outputs: readonly Output[],
  { seconds, threshold }: { readonly seconds: number; readonly threshold: number },
): Segment[] | undefined {
  const isProbability = (value: number | string) => isNumber(value) && value >= 0 && value <= 1;
  const output = outputs.find(
    ({ datatype, data }) => datatype.startsWith('FP') && data.length > 0 && data.every(isProbability),
  );
  if (output === undefined) return undefined;
  const part = seconds / output.data.length;
  const segments: Segment[] = [];
  let start: number | undefined;
  [...output.data, 0].forEach((value, i) => {
    const isSpeech = i < output.data.length && Number(value) >= threshold;
    if (isSpeech) start ??= i;
    else if (start !== undefined) {
      segments.push({ from: start * part, to: i * part });
      start = undefined;
    }
  });
  return segments;
}

/** A line that shows the whole sound, and a line for each stretch. */
export function speechText(segments: readonly Segment[], seconds: number): string {
  const cells = Array.from({ length: WIDTH }, (_, i) => {
    const at = ((i + 0.5) * seconds) / WIDTH;
    return segments.some(({ from, to }) => from <= at && at < to) ? '#' : '.';
  });
  const spoken = segments.reduce((sum, { from, to }) => sum + to - from, 0);
  return [
    `${cells.join('')}  ${seconds.toFixed(1)} s, ${spoken.toFixed(1)} s of speech`,
    ...segments.map(({ from, to }) => `speech  ${from.toFixed(2)} s to ${to.toFixed(2)} s`),
  ].join('\n');
}
