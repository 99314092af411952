/** A small mesh file for tests: digits on free ports, called by one application. */

import { DIGITS_MODELS } from '../process/outrider.js';

/**
 * `listen`: `host:port` of the upstream's listener, by default a free port; `attemptTimeout`: longer where a single call has to
 * succeed on a busy machine; `more`: further top-level text.
 */
export function meshFile({
  replicas = 1,
  listen = '127.0.0.1:0',
  models = DIGITS_MODELS,
  attemptTimeout = '500ms',
  more = '',
} = {}) {
  return `
services:
  digits: { models: ${models}, replicas: ${replicas} }
caller:
  name: client
  admin: 127.0.0.1:0
  upstreams:
    digits:
      listen: ${listen}
      routes:
        - methods: [/inference.GRPCInferenceService/ModelInfer]
          idempotent: true
          timeout: 5s
          attempt_timeout: ${attemptTimeout}
          retry: { attempts: 2, on: [unavailable] }
intentions:
  - { from: client, to: digits, action: allow }
${more}`;
}
