/** What files need not say, and the command line neither. */

export const DEFAULT_TRUST_DOMAIN = 'outrider.local';
export const DEFAULT_DATACENTER = 'dc1';
