/** From a raw record to its index columns and elements (moray.md §1.3, §2.4). */
import type { RawImage } from '../manifest';
import { booleanOf, publishedAt, stringsOf, textOf } from './image-values';
import type { SqlValue } from './sqlite';

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

/** 1 or 0; null for what is no boolean in any spelling. */
function bit(value: unknown): number | null {
    const spelled = booleanOf(value);
    return spelled === null ? null : Number(spelled);
}

/** The values of {@link VALUE_COLUMNS}. */
export function columnValues(raw: RawImage): SqlValue[] {
    return [
        textOf(raw.name),
        textOf(raw.version),
        textOf(raw.owner),
        textOf(raw.origin),
        textOf(raw.state),
        textOf(raw.urn),
        bit(raw.activated),
        bit(raw.disabled),
        bit(raw.public),
        textOf(raw.os),
        textOf(raw.type),
        textOf(raw.expires_at),
        publishedAt(raw),
    ];
}

/** The part of a tag up to and with its first `=`; all of one that has none. */
export function tagKey(tag: string): string {
    const end = tag.indexOf('=') + 1;
    return end > 0 ? tag.slice(0, end) : tag;
}

/** The searchable elements of a record, each once. */
export function elements(raw: RawImage): ImageElement[] {
    const tags = stringsOf(raw.tags);
    const lists: [ElementAttribute, string[]][] = [
        ['acl', stringsOf(raw.acl)],
        ['billing_tags', stringsOf(raw.billing_tags)],
        ['channels', stringsOf(raw.channels)],
        ['tags', tags],
        ['tag_keys', tags.map(tagKey)],
    ];
    return lists.flatMap(([attribute, values]) =>
        [...new Set(values)].map((value) => ({ attribute, value })),
    );
}
