/** The alphabet of storage keys (see driver.ts): what every driver checks before it touches its backend. */

const SEGMENT = /^[A-Za-z0-9._-]+$/;

/** Whether a name can be one segment of a key. */
export function isKeySegment(name: string): boolean {
    return SEGMENT.test(name) && name !== '.' && name !== '..';
}

/** @throws TypeError if the key is not segments of `[A-Za-z0-9._-]`, none `.` or `..`, joined by `/`. */
export function assertKey(key: string): void {
    if (!key.split('/').every(isKeySegment)) {
        throw new TypeError(
            `"${key}" is not a storage key: it must be segments of letters, digits, ".", "_" and "-" joined by "/".`,
        );
    }
}

/** @throws TypeError if the prefix is not a key followed by `/`. */
export function assertPrefix(prefix: string): void {
    if (!prefix.endsWith('/')) {
        throw new TypeError(`"${prefix}" is not a storage prefix: it must end with "/".`);
    }
    assertKey(prefix.slice(0, -1));
}

/** A name with an id of its own: `file0-<uuid>`. */
export const NAME_WITH_ID = /^(.+)-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;

/** The last segment of a key. */
export function nameOf(key: string): string {
    return key.slice(key.lastIndexOf('/') + 1);
}

/** The key under which an object without an id in its name is received. @throws TypeError if the id is no uuid */
export function unfinishedKey(key: string, id: string): string {
    const unfinished = `${key}.${id}`;
    if (!isKeySegment(nameOf(unfinished))) {
        throw new TypeError(`"${id}" cannot be the id of an unfinished object: it must be a uuid.`);
    }
    return unfinished;
}
