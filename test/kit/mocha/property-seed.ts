/** One seed for every property, so that the suite says the same of the same code; another one by `PROPERTY_SEED`. How often each is tried. */
import fc from 'fast-check';
import { runs } from './effort.js';

const said = process.env['PROPERTY_SEED'];

fc.configureGlobal({
  ...fc.readConfigureGlobal(),
  numRuns: runs(40),
  seed: said === undefined ? 20_261_124 : Number(said),
});
