/** From a raw record to its index columns and elements (moray.md §1.3, §2.4). */
import type { RawImage } from '../manifest';
import { keptText, type SqlValue } from './sqlite';

/** The array fields whose elements can be searched for. `tag_keys` is made from `tags`: what stands before the first `=`. */
export type ElementAttribute = 'acl' | 'billing_tags' | 'channels' | 'tags' | 'tag_keys';

export interface ImageElement {
    attribute: ElementAttribute;
    value: string;
}

/** Index columns with a value of the record, in table order. */
export const VALUE_COLUMNS = [
    'name',
    'version',
    'owner',
    'origin',
    'state',
    'urn',
    'activated',
    'disabled',
    'public',
    'os',
    'type',
    'expires_at',
    'published_at',
] as const;

/** A string column holds the text of any scalar, as Moray's do, in the form in which it can be found again. */
function text(value: unknown): string | null {
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

/** 1 or 0; null for what is no boolean in any spelling, which then matches neither. */
function bit(value: unknown): number | null {
    const spelled = text(value)?.toLowerCase();
    return spelled === 'true' ? 1 : spelled === 'false' ? 0 : null;
}

/** The place of an image in the list order; '' for one that is not published. */
export function publishedAt(raw: RawImage): string {
    return text(raw.published_at) ?? '';
}

/** The values of {@link VALUE_COLUMNS}. */
export function columnValues(raw: RawImage): SqlValue[] {
    return [
        text(raw.name),
        text(raw.version),
        text(raw.owner),
        text(raw.origin),
        text(raw.state),
        text(raw.urn),
        bit(raw.activated),
        bit(raw.disabled),
        bit(raw.public),
        text(raw.os),
        text(raw.type),
        text(raw.expires_at),
        publishedAt(raw),
    ];
}

/** The strings of an array field; old records may have a single string in its place. */
function strings(value: unknown): string[] {
    const items: unknown[] = Array.isArray(value) ? value : [value];
    return items.map(text).filter((item) => item !== null);
}

/** The part of a tag up to and with its first `=`; all of one that has none. */
export function tagKey(tag: string): string {
    const end = tag.indexOf('=') + 1;
    return end > 0 ? tag.slice(0, end) : tag;
}

/** The searchable elements of a record, each once. */
export function elements(raw: RawImage): ImageElement[] {
    const tags = strings(raw.tags);
    const lists: [ElementAttribute, string[]][] = [
        ['acl', strings(raw.acl)],
        ['billing_tags', strings(raw.billing_tags)],
        ['channels', strings(raw.channels)],
        ['tags', tags],
        ['tag_keys', tags.map(tagKey)],
    ];
    return lists.flatMap(([attribute, values]) =>
        [...new Set(values)].map((value) => ({ attribute, value })),
    );
}
