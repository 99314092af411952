/** What `--only` may name of the scale benchmark. */
export const SCALE_PARTS = ['consul', 'kubernetes', 'series'] as const;
