import type { TensorSpec } from '../../../proto/datatypes.js';

/** What a request for a model has to fit. */
export interface Signature {
  readonly name: string;
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
}
