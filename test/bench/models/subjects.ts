/** The models in code that are measured: how each is opened, and what it is given. */

import { PARAPHRASES } from '../../../services/embed/samples.js';
import { SAMPLES } from '../../../services/langid/samples.js';
import type { OpenModel, Tensors } from '../../../services/model-server/code/model-code.js';
import { textTensor } from '../../kit/service/model-context.js';
import { madeFiles } from '../../kit/service/sample-files.js';

/** One model of `.cache/models/NAME/NAME/VERSION`. */
export interface ModelSubject {
  readonly name: string;
  /** Default: 1. */
  readonly version?: string;
  /** Loads its module, so that a process has the code of one model only. */
  open(): Promise<OpenModel>;
  /** Real inputs of single requests; they are taken in turns. */
  inputs(): readonly Tensors[];
}

/** Samples at 16 kHz. */
const SECOND = 16_000;

const texts = (list: readonly string[]): Tensors[] => list.map((text) => ({ text: textTensor(text) }));

/** In the order of the table. */
export const SUBJECTS: readonly ModelSubject[] = [
  {
    name: 'embed',
    open: async () => (await import('../../../services/embed/model.js')).open,
    inputs: () => texts(PARAPHRASES.flat()),
  },
  {
    name: 'filetype',
    open: async () => (await import('../../../services/filetype/model.js')).open,
    inputs: () =>
      madeFiles().map(({ content }) => ({
        content: { datatype: 'UINT8', dims: [content.length], data: Uint8Array.from(content) },
      })),
  },
  {
    name: 'langid',
    open: async () => (await import('../../../services/langid/model.js')).open,
    inputs: () => texts(SAMPLES.map(([, text]) => text)),
  },
  {
    name: 'vad',
    version: '6',
    open: async () => (await import('../../../services/vad/model.js')).open,
    inputs: () => [{ audio: { datatype: 'FP32', dims: [SECOND], data: hum() } }],
  },
];

/** A second of a voice-like hum; the network takes as long for it as for speech. */
function hum(): Float32Array {
  return Float32Array.from({ length: SECOND }, (_, i) => 0.3 * Math.sin(i / 18) * Math.sin(i / 700));
}
