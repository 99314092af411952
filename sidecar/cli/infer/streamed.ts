import { protocols } from '../../../proto/load.js';
import type { ModelInferRequest, ModelInferResponse } from '../../../proto/messages.js';
import { MetadataKey } from '../../core/metadata-key.js';
import { CommandFailure } from '../failure.js';
import type { OutputStream } from '../terminal.js';
import { type Asked, answerOf, tokensOf } from './answers/answer.js';
import type { InferClient } from './client.js';
import { outputsOf } from './output.js';

/** How a stream is printed. */
export interface StreamPrinting {
  readonly about: Asked;
  readonly json: boolean;
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  /** Ms of a monotonic clock. */
  now(): number;
}

/**
 * ModelStreamInfer: prints each answer as it comes. Text is written piece by piece on one line, for
 * models whose `output_kind` is `tokens`; how many answers came and how fast, on standard error.
 *
 * @throws CommandFailure with the server's words for a request that fails.
 */
export async function streamed(
  client: Pick<InferClient, 'stream'>,
  requests: readonly ModelInferRequest[],
  { about, json, stdout, stderr, now }: StreamPrinting,
): Promise<void> {
  const { inference } = protocols();
  const isText = about.metadata.properties['output_kind'] === 'tokens';
  const degraded = new Set<string>();
  const began = now();
  let [answers, firstMs] = [0, 0];
  const { headers } = await client.stream(inference.ModelStreamInfer, requests, (message) => {
    if (message.error_message) throw new CommandFailure(message.error_message.replace(/\s+/g, ' '));
    const response = message.infer_response;
    if (!response || response.outputs.length === 0) return; // the end of the answers of one request
    if (answers++ === 0) firstMs = now() - began;
    const why = degradedIn(response);
    if (why) degraded.add(why);
    const outputs = outputsOf(response);
    const tokens = isText ? tokensOf(outputs) : undefined;
    if (json) stdout.write(`${JSON.stringify({ ...answerOf(outputs, about).json, outputs })}\n`);
    else stdout.write(tokens?.join('') ?? `${answerOf(outputs, about).text}\n`);
  });
  if (json) return;
  if (isText && answers > 0) stdout.write('\n');
  const rest = (now() - began - firstMs) / 1000;
  const rate = answers > 1 && rest > 0 ? `, then ${Math.round((answers - 1) / rest)} a second` : '';
  stderr.write(`${answers} answers, the first after ${Math.round(firstMs)} ms${rate}\n`);
  const why = [headers[MetadataKey.degraded] ?? '', ...degraded].filter(Boolean).join('; ');
  if (why !== '') stderr.write(`degraded: ${why}\n`);
}

/** Why the model itself calls its answer degraded: a parameter of its response. Empty: it does not. */
export function degradedIn({ parameters }: ModelInferResponse): string {
  return parameters?.['degraded']?.string_param ?? '';
}
