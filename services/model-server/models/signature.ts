import type { TensorSpec } from '../../../proto/datatypes.js';
import type { InputSpec } from '../runs/executor.js';

/** What a request for a model has to fit. */
export interface Signature {
  readonly name: string;
  readonly inputs: readonly InputSpec[];
  readonly outputs: readonly TensorSpec[];
}
