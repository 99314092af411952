import type { ModelMetadataResponse } from '../../../../proto/messages.js';
import { guessesOf, guessText, type Output, tensorText } from '../output.js';
import { boxesOf, boxText } from './boxes.js';
import { similarityOf, similarityText } from './similarity.js';
import { speechOf, speechText } from './speech.js';

/** An answer as people read it, and what is added to the JSON of machines. */
export interface Answer {
  readonly text: string;
  readonly json: Readonly<Record<string, unknown>>;
}

/** What is known of the request that was answered. */
export interface Asked {
  readonly metadata: ModelMetadataResponse;
  /** Names of the rows, such as their texts; empty where there are none. */
  readonly rowNames: readonly string[];
  /** Length of the sound that was sent, s; 0 where there was none. */
  readonly seconds: number;
}

/**
 * The answer by what the model says of its outputs: property `output_kind` (`embedding`, `boxes`,
 * `speech`, `tokens`), else its labels. Outputs that do not have the shape of that kind are shown as
 * the tensors that they are.
 */
export function answerOf(outputs: readonly Output[], { metadata, rowNames, seconds }: Asked): Answer {
  const guesses = guessesOf(outputs, metadata);
  const kind = metadata.properties['output_kind'];
  if (kind === 'embedding') {
    const similarity = similarityOf(outputs);
    if (similarity !== undefined)
      return { text: similarityText(similarity, rowNames), json: { guesses, similarity } };
  }
  if (kind === 'boxes') {
    const boxes = boxesOf(outputs);
    if (boxes !== undefined) return { text: boxText(boxes), json: { guesses, boxes } };
  }
  if (kind === 'speech' && seconds > 0) {
    const speech = speechOf(outputs, { seconds, threshold: Number(metadata.properties['threshold'] ?? 0.5) });
    if (speech !== undefined) return { text: speechText(speech, seconds), json: { guesses, speech } };
  }
  if (kind === 'tokens') {
    const tokens = tokensOf(outputs);
    if (tokens !== undefined) return { text: tokens.join(''), json: { guesses, tokens } };
  }
  const text = guesses.length > 0 ? guessText(guesses, rowNames) : tensorText(outputs);
  return { text, json: { guesses } };
}

/** The text of an answer, piece by piece: the first output of BYTES. */
export function tokensOf(outputs: readonly Output[]): readonly string[] | undefined {
  return outputs.find(({ datatype }) => datatype === 'BYTES')?.data.map(String);
}
