/** The two forms of an image's tags: the object that is served, and the strings that searches run on (manifest.md §3). */
import { isObject } from './json';

/** Longer values are left out of the search form: only the presence of their key can be asked for. */
const SEARCHED_CHARACTERS = 100;

/**
 * The search form: one `key=value` a tag. Strings of over 100 characters, objects, arrays and null leave the value
 * empty. What is no object has no tags; saying so is the validator's part.
 */
export function searchTags(tags: unknown): string[] {
    return isObject(tags) ? Object.entries(tags).map(([key, value]) => `${key}=${searchedValue(value)}`) : [];
}

function searchedValue(value: unknown): string {
    if (typeof value === 'string') {
        return value.length > SEARCHED_CHARACTERS ? '' : value;
    }
    return typeof value === 'number' || typeof value === 'boolean' ? String(value) : '';
}

/**
 * The tags of a record from before the object was kept, from its search form. The types of the values are lost: all
 * are strings. An entry without `=` is a key with an empty value.
 */
export function tagsFromSearch(search: readonly unknown[]): Record<string, string> {
    const entries = search
        .filter((entry) => typeof entry === 'string')
        .map((entry): [string, string] => {
            const end = entry.indexOf('=');
            return end === -1 ? [entry, ''] : [entry.slice(0, end), entry.slice(end + 1)];
        });
    // fromEntries defines members, so that a tag named __proto__ is a tag like any other.
    return Object.fromEntries(entries);
}
