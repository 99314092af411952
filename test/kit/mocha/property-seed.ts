/** One seed for every property, so that the suite says the same of the same code; another one by `PROPERTY_SEED`. */
import fc from 'fast-check';

const said = process.env['PROPERTY_SEED'];

fc.configureGlobal({ ...fc.readConfigureGlobal(), seed: said === undefined ? 20_261_124 : Number(said) });
