import { MetadataKey } from '../../core/metadata-key.js';
import { extraValue, metadataValue } from '../../http2/header-view.js';
import { makeField } from '../../http2/hpack/field.js';
import type { HeaderBlock } from '../../http2/hpack/header-list.js';
import { Token } from '../../http2/hpack/tokens.js';

/** Why an engine does not go on with an answer, in words that follow its name. */
export const OTHER_MODEL = 'runs another model than the engine that began the answer';

/**
 * What the engine runs that answers, as its sidecar says in the headers of the response; empty: nothing says it. Two engines that say the same make
 * the same tokens. Where one says it and the other does not, as during an upgrade of the sidecars, that is not known.
 */
export function engineModelIn(head: HeaderBlock): string {
  return extraValue(head, Token.outriderEngineModel) ?? '';
}

/** In requests to the sidecar of an engine: what it says of the model is read, and told no client. A sidecar that does not say so passes it on. */
export const ENGINE_MODEL_ASKED = makeField(MetadataKey.acceptEngineModel, '1');

/** Whether the sidecar of the caller asks for it. */
export function isModelAsked(request: HeaderBlock): boolean {
  return metadataValue(request, MetadataKey.acceptEngineModel) !== undefined;
}
