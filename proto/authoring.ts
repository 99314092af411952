/**
 * What `outrider init`, `outrider golden` and `outrider check` ask of the process that looks into a model (services/model-server/authoring/):
 * messages over Node's IPC channel with structured clone, one answer for each request, in their order.
 */

import type { InferTensor, ModelInferResponse, ModelMetadataResponse } from './messages.js';

/** One request. Paths are absolute. */
export type AuthoringRequest =
  | {
      /** Writes a card for an ONNX file that has none. */
      readonly ask: 'card';
      readonly file: string;
      /** Shown in the card: where the file came from. */
      readonly source: string;
      readonly labels: readonly string[];
      /** Sizes of named dimensions. */
      readonly sizes: Readonly<Record<string, number>>;
    }
  | {
      /** What the model beside this model.yaml takes and gives. */
      readonly ask: 'describe';
      /** Directory of model.yaml. */
      readonly directory: string;
    }
  | {
      /** Runs the model beside this model.yaml on its golden input, as a server does before it serves it. */
      readonly ask: 'prove';
      /** Directory of model.yaml. */
      readonly directory: string;
    }
  | {
      /** Runs the described model once, and writes its card anew with these inputs and what came out. */
      readonly ask: 'golden';
      readonly inputs: readonly InferTensor[];
      /** One for each of `inputs`. */
      readonly raw: readonly Uint8Array[];
    };

/** The answer of the request of the same name; `failed` for any. */
export type AuthoringAnswer =
  | {
      readonly answer: 'card';
      /** Text of model.yaml. */
      readonly card: string;
      /** The golden inputs as `--input` takes them; empty where they are too large for a command line. */
      readonly inputs: readonly string[];
      /** One line for people on what was found. */
      readonly found: readonly string[];
    }
  | { readonly answer: 'describe'; readonly metadata: ModelMetadataResponse }
  /** `isRun`: false for a model that only a server can run. */
  | { readonly answer: 'prove'; readonly isRun: boolean }
  | {
      readonly answer: 'golden';
      readonly card: string;
      /** The card was written for another model.onnx, and has its new sum. */
      readonly isOtherFile: boolean;
      readonly response: ModelInferResponse;
    }
  | { readonly answer: 'failed'; readonly why: string };
