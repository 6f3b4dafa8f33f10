/** Whether a record meets a filter: what databases decide by their indexes, decided by a look at the record itself. */
import type { ImageFilter, ImageQuery, ListPosition } from './driver';
import { booleanOf, compareBytes, keptText, stringsOf, textOf } from './image-values';
import type { RawImage } from '../manifest';

const TEXTS = ['owner', 'state', 'os', 'origin'] as const;
const SPELLED = ['name', 'version'] as const;
const BOOLEANS = ['activated', 'disabled', 'public'] as const;

export function matches(raw: RawImage, filter: ImageFilter): boolean {
    const { type } = filter;
    return (
        (filter.uuid === undefined || raw.uuid === filter.uuid) &&
        TEXTS.every((field) => isText(raw[field], filter[field])) &&
        SPELLED.every((field) => hasText(raw[field], filter[field])) &&
        BOOLEANS.every((field) => filter[field] === undefined || booleanOf(raw[field]) === filter[field]) &&
        (!type || ('is' in type ? isText(raw.type, type.is) : textOf(raw.type) !== keptText(type.not))) &&
        hasAll(raw.acl, filter.acl === undefined ? [] : [filter.acl]) &&
        hasAll(raw.channels, filter.channel === undefined ? [] : [filter.channel]) &&
        hasAll(raw.billing_tags, filter.billingTags ?? []) &&
        hasAll(raw.tags, filter.tags ?? []) &&
        hasKeys(raw.tags, filter.tagKeys ?? [])
    );
}

function isText(value: unknown, wanted: string | undefined): boolean {
    return wanted === undefined || textOf(value) === keptText(wanted);
}

function hasText(value: unknown, wanted: ImageFilter['name']): boolean {
    if (!wanted) {
        return true;
    }
    return 'is' in wanted
        ? isText(value, wanted.is)
        : (textOf(value)?.includes(keptText(wanted.contains)) ?? false);
}

function hasAll(value: unknown, wanted: readonly string[]): boolean {
    if (wanted.length === 0) {
        return true;
    }
    const strings = stringsOf(value);
    return wanted.every((one) => strings.includes(keptText(one)));
}

function hasKeys(value: unknown, keys: readonly string[]): boolean {
    if (keys.length === 0) {
        return true;
    }
    const strings = stringsOf(value);
    return keys.every((key) => strings.some((one) => one.startsWith(`${keptText(key)}=`)));
}

/** In the order of lists: negative if `a` comes first. */
export function comparePlaces(order: ImageQuery['order'], a: ListPosition, b: ListPosition): number {
    const ascending = compareBytes(a.publishedAt, b.publishedAt) || compareBytes(a.uuid, b.uuid);
    return order === 'asc' ? ascending : -ascending;
}

/** Whether a place is one at which the query looks. */
export function isInRange({ order, marker, after }: ImageQuery, place: ListPosition): boolean {
    if (after && comparePlaces(order, place, after) <= 0) {
        return false;
    }
    if (!marker) {
        return true;
    }
    const start = { publishedAt: marker.publishedAt, uuid: marker.uuid ?? place.uuid };
    return place.publishedAt !== '' && comparePlaces(order, place, start) >= 0;
}
