/** The etag of a stored object, as Moray computes it (moray.md §2.3). */
import { crc32 } from 'node:zlib';

/**
 * CRC-32 of a JSON text as eight upper-case hex digits.
 *
 * Moray feeds the low byte of each UTF-16 code unit to the checksum, not UTF-8; 'latin1' does the same.
 */
export function morayEtag(json: string): string {
    return crc32(Buffer.from(json, 'latin1')).toString(16).toUpperCase().padStart(8, '0');
}
