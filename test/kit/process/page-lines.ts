/** Command lines of the documents' pages, and what the lines of pages that begin in an empty folder have to say. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { REPOSITORY } from './outrider.js';

export const pageText = (name: string): string => readFileSync(join(REPOSITORY, 'docs', name), 'utf8');

/** The lines of every shell block, in their order. */
export const shellLines = (text: string): string[] =>
  [...text.matchAll(/^```sh\n(.*?)^```/gms)].flatMap(([, block]) => block!.trim().split('\n'));

export const blocksOf = (text: string, language: string): string[] =>
  [...text.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'gms'))].map(([, block]) => block!);

/** How each line begins, and what it has to say; in the order of the page. */
export type Steps = readonly (readonly [start: string, says: RegExp])[];

export const IS_UP = /Ctrl-C drains and stops everything/;

export const FIRST_MESH: Steps = [
  ['npm install', /$/],
  ['npx outrider up', IS_UP],
  ['npx outrider infer', /^7 {2}\(\d+\.\d %\)$/m],
  ['npx outrider status', /digits-3 +eligible/],
  ['kill -9', /^$/],
  ['npx outrider infer', /^7 {2}\(\d+\.\d %\)$/m],
];

export const OWN_MODEL: Steps = [
  ['npm install', /$/],
  ['npx outrider init', /^ {2}npx outrider infer iris --input .*petals=/m],
  ['npx outrider up', IS_UP],
  ['npx outrider infer', /^setosa {2}\(\d+\.\d %\)$/m],
  ['npx outrider infer', /^setosa {2}\(\d+\.\d %\)\nvirginica {2}\(\d+\.\d %\)$/m],
  ['npx outrider status', /iris-1 +eligible/],
  ['npx outrider golden', /^setosa .*\nwrote the block golden of models\/iris\/1\/model\.yaml/m],
];
