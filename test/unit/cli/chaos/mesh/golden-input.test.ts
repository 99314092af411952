import assert from 'node:assert/strict';
import { Client, credentials } from '@grpc/grpc-js';
import { GoldenInput } from '../../../../../sidecar/cli/chaos/mesh/golden-input.js';
import { DIGITS_MODELS } from '../../../../kit/process/outrider.js';

describe('the golden input of a drill', () => {
  it('is not taken for numbers where the model does not say what it takes: the reason is why it does not', async () => {
    // Port 1 of loopback: nothing listens there.
    const client = new Client('127.0.0.1:1', credentials.createInsecure());
    try {
      await assert.rejects(
        GoldenInput.open(DIGITS_MODELS, undefined, client),
        /^CommandFailure: the golden input of digits: ModelMetadata: UNAVAILABLE: /,
      );
      await assert.rejects(
        GoldenInput.open(DIGITS_MODELS, 'digts', client),
        /--model: found digts; .*: digits$/,
      );
    } finally {
      client.close();
    }
  });
});
