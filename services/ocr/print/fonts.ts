import { readFileSync } from 'node:fs';
import type { PackageSource } from '../../fetch/recipe.js';
import { TrueTypeFont } from './truetype.js';

/** Fonts to print pages with, for samples and measurements. The models need none. */
export const FONTS: PackageSource = {
  registry: 'npm',
  name: 'dejavu-fonts-ttf',
  version: '2.37.3',
  licence: 'Bitstream-Vera',
  files: [
    {
      path: 'ttf/DejaVuSans.ttf',
      bytes: 757076,
      sha256: '7da195a74c55bef988d0d48f9508bd5d849425c1770dba5d7bfc6ce9ed848954',
    },
    {
      path: 'ttf/DejaVuSans-Bold.ttf',
      bytes: 705684,
      sha256: 'e6476c1b80502924294eed40894c5b18e06c181444ca953e5334262df9c27724',
    },
    {
      path: 'ttf/DejaVuSansCondensed.ttf',
      bytes: 680264,
      sha256: '8550cd5ca1acb65a8fc7877c46939cd0b4d909f8e7bc1e24716873d918c5e549',
    },
    {
      path: 'ttf/DejaVuSansMono.ttf',
      bytes: 340712,
      sha256: 'b4a6c3e4faab8773f4ff761d56451646409f29abedd68f05d38c2df667d3c582',
    },
    {
      path: 'ttf/DejaVuSerif.ttf',
      bytes: 380132,
      sha256: '42d1edeb7952f31b1f96d767ed7030b08a39e0c372b0071641518864e2bffb51',
    },
    {
      path: 'ttf/DejaVuSerif-Bold.ttf',
      bytes: 356088,
      sha256: 'c47b5527bcdc8dcf9ea8c77054454c5a884beaca2f44851a2a823ee639cbf07f',
    },
  ],
};

/** The fonts of the package by their names (`DejaVuSans`), from the places that `bringPackage` gives. */
export function fontsIn(places: ReadonlyMap<string, string>): ReadonlyMap<string, TrueTypeFont> {
  return new Map(
    FONTS.files.map(({ path }) => [
      path.replace(/^ttf\/|\.ttf$/g, ''),
      new TrueTypeFont(readFileSync(places.get(path)!)),
    ]),
  );
}
