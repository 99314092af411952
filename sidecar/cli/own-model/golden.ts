import { existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { CommandFailure } from '../failure.js';
import { answerOf } from '../infer/answers/answer.js';
import { givenInputs } from '../infer/inputs.js';
import { outputsOf } from '../infer/output.js';
import { encoded } from '../infer/request.js';
import type { OutputStream } from '../terminal.js';
import { AuthoringProcess } from './authoring-process.js';

export interface GoldenOptions {
  /** Directory of a model.yaml, or of a model, whose highest version is taken. */
  readonly directory: string;
  /** As `outrider infer` takes them. Inputs that are not given keep their golden values. */
  readonly inputs: readonly string[];
  /** One JSON object with the file and the answer, as `outrider infer --json` has it. */
  readonly json?: boolean;
  readonly stdin?: AsyncIterable<Uint8Array>;
  readonly stdout?: OutputStream;
}

/**
 * `outrider golden`: runs a model once on inputs of its maker and writes what came out into its
 * model.yaml as the expected output, with the sha256 of the file that gave it. Other keys and comments stay. Nothing is written when the model
 * would not be served with it.
 *
 * @returns the exit code 0.
 * @throws CommandFailure with the reason: 2 for a wrong argument, 1 for anything else.
 */
export async function goldenCommand(options: GoldenOptions): Promise<number> {
  const directory = cardDirectory(options.directory);
  const file = join(directory, 'model.yaml');
  const before = readFileSync(file, 'utf8');
  const author = AuthoringProcess.start();
  try {
    const { metadata } = await author.ask<'describe'>(
      { ask: 'describe', directory: resolve(directory) },
      file,
    );
    const given = await givenInputs(options.inputs, metadata, options.stdin ?? process.stdin);
    const { inputs, raw_input_contents: raw } = encoded(given);
    const { card, isOtherFile, response } = await author.ask<'golden'>({ ask: 'golden', inputs, raw }, file);
    if (readFileSync(file, 'utf8') !== before)
      throw new CommandFailure(`${file} was changed meanwhile; it is left as it is`);
    writeFileSync(`${file}.new`, card);
    renameSync(`${file}.new`, file);
    const rowNames = given.find((input) => input.rowNames.length > 1)?.rowNames ?? [];
    const outputs = outputsOf(response);
    const answer = answerOf(outputs, { metadata, rowNames, seconds: 0 });
    const out = options.stdout ?? process.stdout;
    if (options.json === true) {
      const named = { file, model: response.model_name, version: response.model_version, isOtherFile };
      out.write(`${JSON.stringify({ ...named, ...answer.json, outputs })}\n`);
      return 0;
    }
    out.write(`${answer.text}\n`);
    const blocks = isOtherFile ? 'the block golden and sha256' : 'the block golden';
    if (isOtherFile) out.write(`model.onnx is another file than the one that ${file} was written for\n`);
    out.write(`wrote ${blocks} of ${file}: is that answer right?\n`);
    return 0;
  } finally {
    author.close();
  }
}

/** @throws CommandFailure unless there is a model.yaml. */
function cardDirectory(directory: string): string {
  if (existsSync(join(directory, 'model.yaml'))) return directory;
  const [newest] = existsSync(directory)
    ? readdirSync(directory)
        .filter((name) => /^[1-9]\d*$/.test(name) && existsSync(join(directory, name, 'model.yaml')))
        .sort((a, b) => Number(b) - Number(a))
    : [];
  if (newest === undefined)
    throw new CommandFailure(
      `${directory}: found no model.yaml, expected one in it or in a version directory (1)`,
    );
  return join(directory, newest);
}
