/** How the values of a raw record are searched for and ordered, in every database (moray.md §1.3, §2.4). */
import type { RawImage } from '../manifest';

/**
 * The text as databases keep it. SQLite would cut one at a NUL character, PostgreSQL refuses it, and neither has a form
 * for half a surrogate pair: in the place of either stands U+FFFD, so that texts which differ only there are one and the
 * same.
 */
export function keptText(text: string): string {
    return text.replaceAll('\0', '\ufffd').replace(/\p{Surrogate}/gu, '\ufffd');
}

/** A string column holds the text of any scalar, as Moray's do, in the form in which it can be found again. */
export function textOf(value: unknown): string | null {
    switch (typeof value) {
        case 'string':
            return keptText(value);
        case 'number':
        case 'boolean':
            return String(value);
        default:
            return null;
    }
}

/** The boolean in any spelling; null for what is none, which then matches neither. */
export function booleanOf(value: unknown): boolean | null {
    const spelled = textOf(value)?.toLowerCase();
    return spelled === 'true' ? true : spelled === 'false' ? false : null;
}

/** The strings of an array field; old records may have a single string in its place. */
export function stringsOf(value: unknown): string[] {
    const items: unknown[] = Array.isArray(value) ? value : [value];
    return items.map(textOf).filter((item) => item !== null);
}

/** The place of an image in the list order; '' for one that is not published. */
export function publishedAt(raw: RawImage): string {
    return textOf(raw.published_at) ?? '';
}

/** As databases compare texts that are ordered by their bytes. */
export function compareBytes(a: string, b: string): number {
    return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
