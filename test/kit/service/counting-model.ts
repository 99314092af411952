/**
 * A model in code for tests, as a user would write one: it adds up the numbers of a sequence, counts in a stream, echoes a
 * parameter, fails on request, and calls an upstream. Its settings make it refuse to open or to close.
 */

import type {
  ModelAnswer,
  ModelCode,
  ModelContext,
  ModelRequest,
} from '../../../services/model-server/code/model-code.js';
import { RequestError } from '../../../services/model-server/code/model-code.js';

const value = (n: number) => ({ datatype: 'INT32' as const, dims: [1], data: Int32Array.of(n) });
const numberOf = ({ inputs }: ModelRequest) => (inputs['number']!.data as Int32Array)[0]!;

export async function open(context: ModelContext): Promise<ModelCode> {
  if (context.settings['refuse'] === true) throw new Error('it was told to refuse');
  async function answer(request: ModelRequest): Promise<ModelAnswer> {
    const { sequence, parameters } = request;
    const number = numberOf(request);
    if (number === -1) throw new RequestError("input 'number': found -1, expected 0 or more");
    if (number === -2) throw new TypeError('minus two');
    if (typeof parameters['upstream'] === 'string') {
      const { outputs, degraded } = await context
        .upstream(parameters['upstream'])
        .infer(String(parameters['model']), { number: value(number) }, request);
      return { outputs: { total: outputs['total']! }, parameters: { degraded } };
    }
    const before = (sequence?.state as number | undefined) ?? 0;
    const total = before + number;
    if (sequence !== undefined) sequence.state = total;
    return { outputs: { total: value(total) }, parameters: { ...parameters, name: context.name } };
  }
  return {
    inputs: [
      { name: 'number', datatype: 'INT32', shape: [1] },
      { name: 'step', datatype: 'INT32', shape: [1], optional: true },
    ],
    outputs: [{ name: 'total', datatype: 'INT32', shape: [1] }],
    execute: (requests) => Promise.all(requests.map((r) => answer(r).catch((error: Error) => error))),
    async close() {
      if (context.settings['unclosable'] === true) throw new Error('it was told not to close');
    },
    ...(context.settings['streams'] === true
      ? {
          async *stream(request: ModelRequest): AsyncGenerator<ModelAnswer> {
            const step = (request.inputs['step']?.data as Int32Array | undefined)?.[0] ?? 1;
            for (let i = 0; i < numberOf(request) && !request.signal.aborted; i++)
              yield { outputs: { total: value(i * step) } };
          },
        }
      : {}),
  };
}
