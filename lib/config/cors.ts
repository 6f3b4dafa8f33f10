/** The key `cors` of the configuration (daemon.md §1). */
import { optionalText, type KeySchema } from './key-schema';

/** A browser writes no path and no capital letters: what has them would never be met. */
const ORIGIN = String.raw`(\*|[a-z][a-z0-9+.-]*://[^\s,/?#@A-Z]+)`;

export const corsKey: KeySchema = {
    ...optionalText(
        '"*", or origins as browsers write them, such as "https://example.com", with commas between them',
        'Pages of these origins may use the API in a browser, which learns that from headers of every answer. It is no ' +
            'access control. Absent or empty: none.',
    ),
    pattern: `^(${ORIGIN}( *, *${ORIGIN})*)?$`,
};
