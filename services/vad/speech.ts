import type { PackageSource } from '../fetch/recipe.js';

/** Where the recording is in the package. */
export const RECORDING = 'moonshine_onnx/assets/beckett.wav';

/** Ten seconds of speech, to measure with: six short sentences with pauses between them. One channel, 16 kHz, 16 bits. */
export const SPEECH: PackageSource = {
  registry: 'pypi',
  name: 'useful-moonshine-onnx',
  version: '20251121',
  licence: 'MIT',
  files: [
    {
      path: RECORDING,
      bytes: 318_978,
      sha256: 'e5a26b3d29e5b0bc8dbd72c11d16a3808a4ec0ac45b21f12a27d2a2fe5c5ae61',
    },
  ],
};
