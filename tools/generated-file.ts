/** A file that is made from declarations. */
export interface GeneratedFile {
  /** Path from mesh-config/. */
  readonly name: string;
  readonly content: string;
}
