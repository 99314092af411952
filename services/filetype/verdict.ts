/** From what the network says to the type that is answered, as the package decides by default (high confidence). */

/** How sure the network must be: a part of `config.min.json` of the package. */
export interface VerdictConfig {
  /** What each output of the network stands for. */
  readonly target_labels_space: readonly string[];
  /** For labels that need another confidence than the rest. */
  readonly thresholds: Readonly<Record<string, number>>;
  readonly medium_confidence_threshold: number;
  /** Labels that are answered as others. */
  readonly overwrite_map: Readonly<Record<string, string>>;
}

/** What the package knows of a type: a part of `content_types_kb.min.json`. */
export interface ContentType {
  readonly is_text: boolean;
  readonly mime_type: string | null;
}

/** By label. */
export type ContentTypes = Readonly<Record<string, ContentType>>;

/** The answer for one file. */
export interface Verdict {
  readonly label: string;
  /** 0 to 1: the network's; 1 where the network was not asked. */
  readonly score: number;
}

/** The likeliest type, or `txt` or `unknown` (binary) when the network is not sure enough. */
export function verdictOf(probabilities: Float32Array, config: VerdictConfig, types: ContentTypes): Verdict {
  const score = Math.max(...probabilities);
  const found = config.target_labels_space[probabilities.indexOf(score)]!;
  const label = config.overwrite_map[found] ?? found;
  const least = config.thresholds[found] ?? config.medium_confidence_threshold;
  if (score >= least) return { label, score };
  return { label: types[label]!.is_text ? 'txt' : 'unknown', score };
}

/** For a file with too little in it: whether it is empty, text (UTF-8) or neither. */
export function verdictOfFew(content: Uint8Array, blockSize: number): Verdict {
  if (content.length === 0) return { label: 'empty', score: 1 };
  return { label: isUtf8(content.subarray(0, blockSize)) ? 'txt' : 'unknown', score: 1 };
}

/** The media type of a label. */
export function mimeTypeOf(label: string, types: ContentTypes): string {
  const type = types[label];
  return type?.mime_type ?? (type?.is_text === true ? 'text/plain' : 'application/octet-stream');
}

function isUtf8(bytes: Uint8Array): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return true;
  } catch {
    return false;
  }
}
